"""Features that move: learned on MNIST, used for another set of digits with 10, 30 or 100 labels.

    python scripts/recipes/transfer_learning.py

The first layers of a network learn what its pictures have in common with others (Yosinski et al. 2014). Frozen, they
leave few weights to learn from few labels; fine-tuned, they adapt. The other digits are the 8x8 ones that jitnet brings
with it, written by others and enlarged.
"""

import numpy as np
from recipe import arguments, claim, digits, figure, mnist, save

import jitnet
from jitnet import layers, ops, optimizers


def features():
    return [
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(64, "relu"),
    ]  # fmt: skip


def with_head(body):
    return jitnet.Sequential([layers.Input((28, 28, 1)), *body, layers.Dense(10, "softmax")])


def trained(model, x, y, batch, epochs, rate=1e-3):
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return model


def enlarged(x):
    """(N, 64) as MNIST has its digits, (N, 28, 28, 1): of 20 x 20 pixels, in a margin."""
    x = ops.image.resize(x.reshape(-1, 8, 8, 1), (20, 20))
    return np.pad(np.asarray(x), ((0, 0), (4, 4), (4, 4), (0, 0)))


def main():
    given = arguments(__doc__, epochs=(3, 1), tuning=(300, 2), seeds=(5, 2))
    source, _ = mnist(given.quick)
    (x, y), (x_test, y_test) = digits()
    x, x_test = enlarged(x), enlarged(x_test)
    jitnet.utils.set_random_seed(given.seed)
    body = features()
    learned = trained(with_head(body), *source, 128, given.epochs)
    at_once = 100 * learned.evaluate(x_test, y_test, verbose=0)[1]
    weights = [layer.get_weights() for layer in body]

    sizes = (10, 30, 100)
    ways = ("from scratch", "frozen", "fine-tuned")
    found = {way: np.empty((given.seeds, len(sizes))) for way in ways}
    for seed in range(given.seeds):
        order = np.random.default_rng(given.seed + seed).permutation(len(x))
        # as many of every digit
        rank = np.empty(len(x), int)
        for digit in range(10):
            mine = order[y[order] == digit]
            rank[mine] = np.arange(len(mine))
        for i, size in enumerate(sizes):
            chosen = order[rank[order] < size // 10]
            for way in ways:
                jitnet.utils.set_random_seed(given.seed + seed)
                parts = features()
                model = with_head(parts)
                if way != "from scratch":
                    for part, values in zip(parts, weights, strict=True):
                        part.set_weights(values)
                        part.trainable = way != "frozen"
                rate = 1e-3 if way != "fine-tuned" else 3e-4
                trained(model, x[chosen], y[chosen], 10, given.tuning, rate)
                found[way][seed, i] = 100 * model.evaluate(x_test, y_test, verbose=0)[1]
    picture, ((axis,),) = figure(1, 1, 6.5, 4.2)
    for way, table in found.items():
        axis.errorbar(sizes, table.mean(axis=0), table.std(axis=0), fmt="o-", label=way, capsize=3)
    axis.axhline(at_once, color="grey", linestyle=":", label="MNIST's network as it is")
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel("labels of the other digits")
    axis.set_ylabel("accuracy on their test, %")
    axis.legend()
    axis.grid(alpha=0.3)
    save(picture, given.output, "transfer_learning")
    print(f"As it is {at_once:.1f} %; by labels: " + "; ".join(
        f"{way} " + ", ".join(f"{n}: {a:.1f} %" for n, a in zip(sizes, table.mean(axis=0), strict=True))
        for way, table in found.items()
    ))  # fmt: skip
    scratch, frozen, tuned = found.values()
    for i, size in enumerate(sizes):
        claim(f"With {size} labels, features that were moved, frozen, beat those from scratch, in %.",
              frozen[:, i] - scratch[:, i])  # fmt: skip
    claim("With 100 labels, fine-tuned ones beat frozen ones.", tuned[:, 2] - frozen[:, 2])


if __name__ == "__main__":
    main()
