"""Compilation ahead of time: what it must not change, and that it leaves nothing to compile."""

import os
import subprocess
import sys

import numpy as np
import pytest

import jitnet
from jitnet import _seed, layers
from jitnet.cli import main

X = np.random.default_rng(0).standard_normal((37, 6, 5, 2))
Y = np.arange(37) % 3


def network(jit_compile="auto", optimizer="adam"):
    jitnet.utils.set_random_seed(5)
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 2)),
            layers.Conv2D(3, 3, kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile)
    return model


def fitted(model):
    history = model.fit(X, Y, batch_size=8, epochs=2, validation_data=(X, Y), verbose=0).history
    return history, [w.tobytes() for w in model.get_weights()]


def everything(model):
    """All that training could change."""
    optimizer = model.optimizer
    state = {key: value.tobytes() for key, value in optimizer.state().items()}
    random = _seed._seed, _seed.streams(), np.random.get_state()[1].tobytes()
    return [w.tobytes() for w in model.get_weights()], optimizer.iterations, state, random


@pytest.mark.parametrize("jit_compile", [True, False, "auto"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_nothing_changes(jit_compile, optimizer):
    cold, warm = (network(jit_compile, optimizer) for _ in range(2))
    before = everything(warm)
    jitnet.warmup(warm, 8)
    assert everything(warm) == before
    assert fitted(warm) == fitted(cold)
    before = everything(warm)
    assert before[1] == 10
    assert before[2] or optimizer == "sgd"
    jitnet.warmup(warm, 3)
    assert everything(warm) == before
    assert fitted(warm) == fitted(cold)
    np.testing.assert_array_equal(warm.predict(X, verbose=0), cold.predict(X, verbose=0))


def test_several_inputs_and_outputs():
    a, b = jitnet.Input((4,)), jitnet.Input((3,))
    shared = layers.Dense(2)
    model = jitnet.Model([a, b], [shared(layers.Dense(3)(a)), shared(b)])
    with pytest.raises(ValueError, match="needs a loss before warmup"):
        jitnet.warmup(model)
    jitnet.warmup(model, training=False)
    model.compile("sgd", ["mse", "mae"], loss_weights=[1, 2])
    before = everything(model)
    jitnet.warmup(model)
    assert everything(model) == before
    with pytest.raises(ValueError, match="batch_size"):
        jitnet.warmup(model, batch_size=0)
    with pytest.raises(ValueError, match="not built"):
        jitnet.warmup(jitnet.Sequential([layers.Dense(2)]))


IN_A_PROCESS = """
import sys, numpy as np, test_warmup as t, jitnet
from pathlib import Path
what, cache = sys.argv[1], Path(sys.argv[2])
model = t.network()
if what == "warm":
    jitnet.warmup(model, 8)
else:
    t.fitted(model)
    model.predict(t.X[:5], verbose=0)
    model.train_on_batch(t.X[:1], t.Y[:1])
print(sorted((p.name, p.stat().st_mtime_ns) for p in cache.rglob("*.o")))
"""


def test_a_later_process_compiles_nothing(tmp_path):
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.path.dirname(__file__)}

    def files(what):
        command = [sys.executable, "-c", IN_A_PROCESS, what, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    after_warmup = files("warm")
    assert after_warmup.count(".o'") > 10
    assert files("fit") == after_warmup


# ---- jitnet warmup


def test_command(capsys):
    assert main(["warmup", "--dataset", "digits", "--model", "mlp", "--batch-size", "4"]) == 0
    assert capsys.readouterr().out.startswith("digits, mlp, batch 4: ready after ")
    for arguments in (["--model", "lenet"], ["--dataset", "mist"], ["--batch-size", "0"]):
        assert main(["warmup", *arguments]) == 2
        assert "Received" in capsys.readouterr().err
    assert main(["warmup", "--dataset", "digits", "--model", "lenet5"]) == 2
    assert "larger than the padded input" in capsys.readouterr().err
