"""Weight decay: the gap between training and test by its strength, and on kernels alone against biases, too.

    python scripts/recipes/weight_decay.py

A penalty on the squares of the weights keeps them small (Krogh & Hertz 1992). Too little leaves the network to learn by
heart, too much to learn nothing. The texts leave biases out.
"""

import numpy as np
from overfitting import network
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import regularizers


def trained(strength, biases, data, epochs):
    penalty = regularizers.L2(strength) if strength else None
    kernels = {"kernel_regularizer": penalty}
    model = network(depth=2, hidden=kernels | {"bias_regularizer": penalty if biases else None}, output=kernels)
    model.fit(*data, batch_size=32, epochs=epochs, verbose=0)
    return model


def cross_entropy(model, x, y):
    """The loss without its penalty."""
    return float(-np.log(np.maximum(model.predict(x, verbose=0)[np.arange(len(y)), y], 1e-12)).mean())


def main():
    given = arguments(__doc__, epochs=(150, 4), samples=(150, 100), seeds=(5, 2))
    (x, y), (x_test, y_test) = digits(given.samples + 1000)
    y, y_test = y.astype(int), y_test.astype(int)
    # the strength is chosen by a thousand other digits
    x, x_choice, y, y_choice = *np.split(x, [given.samples]), *np.split(y, [given.samples])
    strengths = (0, 1e-3, 1e-2) if given.quick else (0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    training, test, choice, accuracy, norms = np.empty((5, given.seeds, len(strengths)))
    with_biases = []
    for seed in range(given.seeds):
        for i, strength in enumerate(strengths):
            jitnet.utils.set_random_seed(given.seed + seed)
            model = trained(strength, False, (x, y), given.epochs)
            training[seed, i], test[seed, i] = cross_entropy(model, x, y), cross_entropy(model, x_test, y_test)
            choice[seed, i] = cross_entropy(model, x_choice, y_choice)
            accuracy[seed, i] = 100 * model.evaluate(x_test, y_test, verbose=0)[1]
            norms[seed, i] = np.sqrt(sum((layer.get_weights()[0] ** 2).sum() for layer in model.layers))
        jitnet.utils.set_random_seed(given.seed + seed)
        model = trained(strengths[choice[seed].argmin()], True, (x, y), given.epochs)
        with_biases.append(100 * model.evaluate(x_test, y_test, verbose=0)[1])
    picture, ((losses, sizes),) = figure(1, 2, 10, 4)
    places = np.arange(len(strengths))
    losses.errorbar(places, training.mean(axis=0), training.std(axis=0), fmt="o-", label="training")
    losses.errorbar(places, test.mean(axis=0), test.std(axis=0), fmt="o-", label="test")
    losses.set_yscale("log")
    losses.set_ylabel("cross-entropy")
    losses.legend()
    sizes.errorbar(places, norms.mean(axis=0), norms.std(axis=0), fmt="o-", color="tab:grey")
    sizes.set_ylabel("norm of all kernels")
    for axis in (losses, sizes):
        axis.set_xticks(places, [f"{strength:g}" for strength in strengths])
        axis.set_xlabel("weight decay")
        axis.grid(alpha=0.3)
    save(picture, given.output, "weight_decay")
    seeds, chosen = np.arange(given.seeds), choice.argmin(axis=1)
    print("Test accuracy by decay: " + ", ".join(
        f"{s:g}: {a:.1f} %" for s, a in zip(strengths, accuracy.mean(axis=0), strict=True)
    ) + "; chosen " + ", ".join(f"{strengths[i]:g}" for i in chosen))  # fmt: skip
    gap, best = test - training, accuracy[seeds, chosen]
    claim("Weight decay, as chosen, closes a part of the gap.", gap[:, 0] - gap[seeds, chosen])
    claim("It improves the loss on the test.", test[:, 0] - test[seeds, chosen])
    claim("It improves the accuracy on the test, in %.", best - accuracy[:, 0])
    claim("Leaving biases out is more accurate, in %.", best - with_biases)


if __name__ == "__main__":
    main()
