"""Hashes of the weights after three epochs of five networks, plain and compiled: did a change move a bit?

    python scripts/bench/bits.py [OLD]

OLD is a commit, or a folder that holds a checkout, to compare with; exit status 1 if a hash differs.  Hashes depend on
the machine's vector units, so that they are compared and not kept.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SAMPLES, BATCH = 200, 64  # the last batch is a partial one


def networks(keras):
    """name -> (layers, input shape, optimizer)"""
    layers, regularizers = keras.layers, keras.regularizers

    def residual():
        inputs = keras.Input((12, 12, 16))
        x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(16, 3, padding="same")(x)
        x = layers.ReLU()(layers.Add()([x, inputs]))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(10)(x), name="residual")

    def sequential(shape, *parts):
        return lambda: keras.Sequential([keras.Input(shape), *(make() for make in parts)])

    return {
        "mlp": (
            sequential(
                (30,),
                lambda: layers.Dense(37, activation="tanh", kernel_regularizer=regularizers.L1L2(1e-4, 1e-3)),
                lambda: layers.Dropout(0.3),
                lambda: layers.Dense(10),
            ),
            (30,),
            lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        ),
        "lenet5": (
            sequential(
                (28, 28, 1),
                lambda: layers.Conv2D(6, 5, padding="same", activation="relu"),
                lambda: layers.MaxPooling2D(2),
                lambda: layers.Conv2D(16, 5, activation="relu"),
                lambda: layers.MaxPooling2D(2),
                lambda: layers.Flatten(),
                lambda: layers.Dense(120, activation="relu"),
                lambda: layers.Dense(10),
            ),
            (28, 28, 1),
            lambda: keras.optimizers.Adam(1e-3),
        ),
        "residual": (residual, (12, 12, 16), lambda: keras.optimizers.SGD(0.05, momentum=0.9)),
        "groups": (
            sequential(
                (9, 9, 8),
                lambda: layers.Conv2D(16, 3, strides=2, groups=4, activation="silu"),
                lambda: layers.Conv2D(16, 3, padding="same", groups=16),
                lambda: layers.AveragePooling2D(2),
                lambda: layers.Flatten(),
                lambda: layers.Dense(10),
            ),
            (9, 9, 8),
            lambda: keras.optimizers.Adam(1e-3),
        ),
        "wide": (
            sequential((300,), lambda: layers.Dense(1100, activation="elu"), lambda: layers.Dense(10)),
            (300,),
            lambda: keras.optimizers.SGD(0.01),
        ),
    }


def hashes() -> None:
    """Print ``network mode threads hash`` for all of them."""
    import jitnet as keras

    for name, (make, shape, optimizer) in networks(keras).items():
        for compiled in (False, True):
            for threads in (1, 2):
                keras.set_num_threads(threads)
                keras.utils.set_random_seed(1)
                model = make()
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile(optimizer=optimizer(), loss=loss, metrics=["accuracy"], jit_compile=compiled)
                generator = np.random.default_rng(0)
                x = generator.standard_normal((SAMPLES, *shape), np.float32)
                y = generator.integers(0, 10, SAMPLES)
                model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0)
                # automatic names count from one network to the next: only what follows the layer's name is stable
                weights = sorted((v.name.rpartition("/")[2], v.shape, v.numpy().tobytes()) for v in model.weights)
                digest = hashlib.sha256(repr(weights).encode() + model.predict(x, verbose=0).tobytes())
                print(name, "compiled" if compiled else "plain", threads, digest.hexdigest()[:16], flush=True)


def of(root: Path) -> dict:
    """{(network, mode, threads): hash} of a state of jitnet."""
    variables = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, __file__, "--print"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=variables).stdout.splitlines()
    return {tuple(line.split()[:-1]): line.split()[-1] for line in lines}


def main(arguments: list[str]) -> int:
    if arguments == ["--print"]:
        hashes()
        return 0
    from compare import ROOT, checkout

    new = of(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        old = of(checkout(arguments[0], Path(folder))) if arguments else new
    different = 0
    for key, digest in new.items():
        same = old.get(key) == digest
        different += not same
        print(*key, digest, "" if same else f"was {old.get(key)}")
    for name, *_ in {key[:1] for key in new}:
        if len({digest for key, digest in new.items() if key[0] == name}) > 1:
            print(f"{name}: modes or numbers of threads disagree")
            different += 1
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
