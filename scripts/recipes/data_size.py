"""How much data: accuracy by the size of the training set, of a network with and without convolutions and of lines.

    python scripts/recipes/data_size.py

The error falls with the number of digits about as a power of it (Hestness et al. 2017), and what a network knows
beforehand, that a picture's parts may move, is worth digits.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers

NETWORKS = {
    "softmax regression": lambda: [layers.Flatten()],
    "dense, 256-128": lambda: [layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(128, "relu")],
    "convolutional": lambda: [
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(64, "relu"),
    ],
}  # fmt: skip


def accuracy(network, x, y, test, steps: int) -> float:
    model = jitnet.Sequential([layers.Input((28, 28, 1)), *network(), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    batch = min(64, len(x))
    model.fit(x, y, batch_size=batch, epochs=max(1, steps * batch // len(x)), verbose=0)
    return 100 * model.evaluate(*test, batch_size=256, verbose=0)[1]


def main():
    given = arguments(__doc__, steps=(1000, 8), seeds=(3, 1))
    (x, y), test = mnist(given.quick)
    sizes = (50, 200) if given.quick else (30, 100, 300, 1000, 3000, 10_000, 30_000)
    picture, ((axis,),) = figure(1, 1, 7, 4.5)
    found = {}
    for name, network in NETWORKS.items():
        table = np.empty((given.seeds, len(sizes)))
        for seed in range(given.seeds):
            jitnet.utils.set_random_seed(given.seed + seed)
            order = np.random.default_rng(given.seed + seed).permutation(len(x))
            for i, size in enumerate(sizes):
                chosen = order[:size]
                table[seed, i] = accuracy(network, x[chosen], y[chosen], test, given.steps)
        errors = 100 - table
        axis.errorbar(sizes, errors.mean(axis=0), errors.std(axis=0), fmt="o-", label=name)
        found[name] = table
        print(f"{name}, accuracy by digits: " + ", ".join(
            f"{n:,}: {a:.1f} %" for n, a in zip(sizes, table.mean(axis=0), strict=True)
        ))  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("training digits")
    axis.set_ylabel("error on the test, %")
    axis.legend()
    axis.grid(alpha=0.3, which="both")
    save(picture, given.output, "data_size")
    claim("Convolutions need fewer digits: at every size they err less than dense layers.",
          (found["convolutional"] - found["dense, 256-128"]).min(axis=1))  # fmt: skip
    claim("More digits help every network to the last.",
          np.min([table[:, -1] - table[:, -2] for table in found.values()], axis=0))  # fmt: skip


if __name__ == "__main__":
    main()
