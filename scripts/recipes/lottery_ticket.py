"""Lottery tickets: a small part of a network, rewound to where it began, trains as well as the whole.

    python scripts/recipes/lottery_ticket.py

Frankle & Carbin 2019: train, take away the smallest fifth of the weights, set the others back to what they were at the
start, and again. What is left trains as well as the whole network, and better than weights drawn anew in the same
places ("random tickets"), until too few are left.
"""

import numpy as np
from recipe import Remembered, arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, optimizers
from jitnet.utils import prune


def network():
    stack = [layers.Dense(300, "relu"), layers.Dense(100, "relu"), layers.Dense(10, "softmax")]
    return jitnet.Sequential([layers.Input((784,)), *stack])


def accuracy(model, data, test, epochs):
    """The best accuracy on the test over the epochs' ends, as with early stopping."""
    model.compile(optimizers.Adam(1.2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data, batch_size=60, epochs=epochs, validation_data=test, verbose=0).history
    return 100 * max(history["val_accuracy"])


def tickets(seed, data, test, rounds, epochs):
    """Accuracies of the winning and of random tickets, by round."""
    jitnet.utils.set_random_seed(seed)
    model = network()
    beginning = [layer.kernel.numpy() for layer in model.layers]
    won, drawn = [], []
    for number in range(rounds):
        won.append(accuracy(model, data, test, epochs))
        other = network()
        for layer, theirs in zip(other.layers, model.layers, strict=True):
            if prune.is_pruned(theirs):
                prune.custom_from_mask(layer, "kernel", theirs.kernel_mask)
        drawn.append(accuracy(other, data, test, epochs))
        for layer, kernel in zip(model.layers, beginning, strict=True):
            # the last layer at half the rate, as in the paper
            prune.l1_unstructured(layer, "kernel", 0.1 if layer is model.layers[-1] else 0.2)
            layer.kernel.assign(kernel)
            layer.bias.assign(np.zeros_like(layer.bias.numpy()))
        print(f"  seed {seed}, round {number + 1}: {won[-1]:.2f} %, random {drawn[-1]:.2f} %", flush=True)
    return won, drawn


def main():
    given = arguments(__doc__, epochs=(4, 1), samples=(30_000, 256), seeds=(3, 1), rounds=(20, 2))
    (x, y), (x_test, y_test) = mnist(given.quick)
    data = x[: given.samples].reshape(-1, 784), y[: given.samples]
    test = x_test.reshape(-1, 784), y_test
    settings = {name: getattr(given, name) for name in ("epochs", "samples", "rounds")}
    runs = Remembered(given.output / "lottery_ticket.json", settings)
    seeds = range(given.seed, given.seed + given.seeds)
    found = np.array([runs.get(f"{s}", lambda s=s: tickets(s, data, test, given.rounds, given.epochs)) for s in seeds])
    left = 100 * 0.8 ** np.arange(given.rounds)
    picture, ((axis,),) = figure(1, 1, 7, 4.2)
    for values, name in zip(np.moveaxis(found, 1, 0), ("winning tickets, rewound", "random tickets"), strict=True):
        axis.errorbar(left, values.mean(axis=0), values.std(axis=0), fmt="o-", markersize=3, label=name)
    axis.axhline(found[:, 0, 0].mean(), color="grey", linestyle=":", label="the whole network")
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.set_xlabel("weights left, %")
    axis.set_ylabel("accuracy on the test, %")
    axis.legend()
    axis.grid(alpha=0.3, which="both")
    save(picture, given.output, "lottery_ticket")
    at = min(10, given.rounds - 1)  # 11 % of the weights
    won, drawn = found[:, 0], found[:, 1]
    print(
        f"Whole {won[:, 0].mean():.2f} %; {left[at]:.0f} % of the weights: rewound {won[:, at].mean():.2f} %, random "
        f"{drawn[:, at].mean():.2f} %; {left[-1]:.1f} %: {won[:, -1].mean():.2f} % and {drawn[:, -1].mean():.2f} %"
    )
    claim(f"With {left[at]:.0f} % of its weights, rewound, the network is as accurate as the whole or better.",
          won[:, at] - won[:, 0])  # fmt: skip
    claim("Rewound weights beat random ones in the same places.", won[:, at] - drawn[:, at])


if __name__ == "__main__":
    main()
