"""Eve against Adam: does dividing the rate by how much the loss changes train faster?

    python scripts/recipes/eve.py

The claim of Koushik and Hayashi 2016: with both at their best learning rate, Eve's training loss falls faster than
Adam's, shown there for convolutional networks that classify images.  Here such a network learns MNIST, which is looked
for in $JITNET_DATA_DIR/mnist/ and downloaded otherwise.
"""

import numpy as np
from optimizers_mnist import network

import jitnet as keras
from jitnet import optimizers

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
EPOCHS, BATCH_SIZE, SEEDS = 8, 128, (1, 2, 3)


def decaying_adam(rate: float):
    """Adam with a rate that a schedule made for these epochs takes to zero."""
    return optimizers.Adam(optimizers.schedules.CosineDecay(rate, EPOCHS * -(-60000 // BATCH_SIZE)))


def losses(make, rate: float, data, seed: int) -> list[float]:
    """The training loss of each epoch."""
    model = network(seed)
    model.compile(make(rate), "sparse_categorical_crossentropy")
    return model.fit(*data, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0).history["loss"]


def main() -> None:
    (x, y), _ = keras.datasets.mnist.load_data()
    data = x[..., None].astype("float32") / 255, y
    for make in (optimizers.Adam, optimizers.Eve, decaying_adam):
        last = {rate: losses(make, rate, data, seed=0)[-1] for rate in RATES}
        print(f"{make.__name__}: " + ", ".join(f"{loss:.4f} at {rate:g}" for rate, loss in last.items()), flush=True)
        best = min(last, key=last.get)
        runs = np.array([losses(make, best, data, seed) for seed in SEEDS])
        print(f"{make.__name__}, {best:g}, other seeds, by epoch: " + " ".join(f"{loss:.4f}" for loss in runs.mean(0)))
        print(f"{make.__name__}, the last one of each: " + " ".join(f"{loss:.4f}" for loss in runs[:, -1]), flush=True)


if __name__ == "__main__":
    main()
