"""More weights than samples: gradient descent brings the training loss to zero, on random labels, too.

    python scripts/recipes/overparameterised.py

One wide hidden layer and plain gradient descent on the whole training set. Theory for wide layers says that the loss
goes to zero (Jacot et al. 2018; Du et al. 2019); Zhang et al. 2017 found that labels drawn by lot are learned as well,
only later, so that what keeps a network from learning by heart is not its size.
"""

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import layers, optimizers


def descent(width: int, x, y, epochs: int, test):
    """The accuracy on the training set after each epoch, the last loss, and the accuracy on the test."""
    model = jitnet.Sequential(
        [layers.Input((64,)), layers.Dense(width, "relu", kernel_initializer="he_normal"), layers.Dense(10, "softmax")]
    )
    rate = optimizers.SGD(0.2, momentum=0.9)
    model.compile(rate, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=True)
    history = model.fit(x, y, batch_size=len(x), epochs=epochs, verbose=0).history
    return history["loss"], history["accuracy"], model.evaluate(*test, verbose=0)[1]


def main():
    given = arguments(__doc__, epochs=(2000, 40), samples=(300, 60), seeds=(3, 1))
    (x, y), test = digits(given.samples)
    widths = (4, 16, 64, 256, 1024)[:: 2 if given.quick else 1]
    picture, ((losses, ends),) = figure(1, 2, 10, 4)
    accuracies = {}
    for kind, style in (("true labels", "-"), ("random labels", "--")):
        table = np.empty((given.seeds, len(widths)))
        for seed in range(given.seeds):
            jitnet.utils.set_random_seed(given.seed + seed)
            labels = y if kind == "true labels" else np.random.default_rng(given.seed + seed).integers(0, 10, len(y))
            for i, width in enumerate(widths):
                loss, accuracy, on_test = descent(width, x, labels, given.epochs, test)
                table[seed, i] = 100 * accuracy[-1]
        losses.semilogy(loss, style, color="tab:blue", label=f"{kind}, {width} units")
        ends.semilogx(widths, table.mean(axis=0), f"o{style}", label=kind)
        accuracies[kind] = table
        line = ", ".join(f"{n}: {a:.0f} %" for n, a in zip(widths, table.mean(axis=0), strict=True))
        print(
            f"{kind}, {width} units: loss {loss[-1]:.1e}, test accuracy {100 * on_test:.0f} %; "
            f"training accuracy by units: {line}"
        )
    losses.set_xlabel("step of gradient descent")
    losses.set_ylabel("training loss")
    ends.set_xlabel("units of the hidden layer")
    ends.set_ylabel("training accuracy at the end, %")
    ends.set_xticks(widths, [str(width) for width in widths])
    ends.minorticks_off()
    for axis in (losses, ends):
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "overparameterised")
    by_lot = accuracies["random labels"]
    claim("A wide layer learns random labels by heart.", bool(by_lot[:, -1].min() == 100))
    claim("A narrow one does not.", bool(by_lot[:, 0].max() < 100))


if __name__ == "__main__":
    main()
