"""Eve against Adam: does dividing the rate by how much the loss changes train faster?

    python scripts/recipes/eve.py

The claim of Koushik and Hayashi 2016: with both at their best learning rate, Eve's training loss falls faster than
Adam's, shown there for convolutional networks that classify images.  Here such a network learns MNIST, which is looked
for in $JITNET_DATA_DIR/mnist/ and downloaded otherwise.

What Eve does is much as a schedule does: Adam whose rate falls along a cosine to 0 is the third one here, which has to
know the number of steps.
"""

import numpy as np
from optimizers_mnist import network
from recipe import arguments, claim, figure, mnist, save

from jitnet import optimizers

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BATCH_SIZE = 128


def decaying_adam(rate: float, steps: int):
    """Adam with a rate that a schedule made for so many steps takes to zero."""
    return optimizers.Adam(optimizers.schedules.CosineDecay(rate, steps))


METHODS = {
    "Adam": lambda rate, steps: optimizers.Adam(rate),
    "Eve": lambda rate, steps: optimizers.Eve(rate),
    "Adam along a cosine": decaying_adam,
}


def losses(make, rate: float, data, epochs: int, seed: int) -> list[float]:
    """The training loss of each epoch."""
    model = network(seed)
    model.compile(make(rate, epochs * -(-len(data[0]) // BATCH_SIZE)), "sparse_categorical_crossentropy")
    return model.fit(*data, batch_size=BATCH_SIZE, epochs=epochs, verbose=0).history["loss"]


def main() -> None:
    given = arguments(__doc__, epochs=(8, 2), seeds=(3, 1))
    data, _ = mnist(given.quick)
    picture, ((by_rate, by_epoch),) = figure(1, 2)
    ends = {}
    for name, make in METHODS.items():
        rates = RATES[2:4] if given.quick else RATES
        last = {rate: losses(make, rate, data, given.epochs, seed=0)[-1] for rate in rates}
        print(f"{name}, training loss by rate: " + ", ".join(f"{loss:.4f} at {rate:g}" for rate, loss in last.items()))
        best = min(last, key=last.get)
        runs = np.array([losses(make, best, data, given.epochs, seed) for seed in range(1, given.seeds + 1)])
        print(f"{name}, {best:g}, other seeds, by epoch: " + " ".join(f"{loss:.4f}" for loss in runs.mean(0)))
        ends[name] = runs[:, -1]
        by_rate.loglog(*zip(*last.items(), strict=True), "o-", label=name)
        by_epoch.semilogy(range(1, given.epochs + 1), runs.mean(0), label=f"{name}, {best:g}")
        by_epoch.fill_between(range(1, given.epochs + 1), runs.min(0), runs.max(0), alpha=0.3)
    by_rate.set_xlabel("learning rate")
    by_rate.set_ylabel(f"training loss after {given.epochs} epochs")
    by_epoch.set_xlabel("epoch")
    by_epoch.set_title("each at its best rate: mean and range of other seeds", fontsize=9)
    for axis in (by_rate, by_epoch):
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "eve")
    claim("Eve at its best rate ends lower than Adam at its best one.", ends["Adam"] - ends["Eve"])
    claim("Eve ends lower than Adam along a cosine.", ends["Adam along a cosine"] - ends["Eve"])


if __name__ == "__main__":
    main()
