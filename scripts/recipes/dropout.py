"""Dropout: the gap between training and test, an ensemble, and what scaling has to do with it.

    python scripts/recipes/dropout.py

Dropout (Srivastava et al. 2014) trains a different thinned network at every step and uses all of it at the end, its
outputs scaled by what was kept: an approximation of the mean of all thinned networks. "Inverted" dropout divides while
training instead; the two are one method. Here: its rate against the gap, and one network with dropout against the mean
of an ensemble without.
"""

import numpy as np
from overfitting import network
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import layers

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)


def trained(rate, data, epochs):
    model = network(dropout=rate)
    model.fit(*data, batch_size=32, epochs=epochs, verbose=0)
    return model


def scaling_at_test_time(x, rate=0.5, times=20_000):
    """By how much a linear unit's mean over dropped inputs differs from its output of inputs scaled by 1 - rate.

    And how far inverted dropout, which divides by 1 - rate in training, is from the unscaled output.
    """
    drop, unit = layers.Dropout(rate), layers.Dense(1, use_bias=False)
    many = np.tile(x, (times, 1))
    inverted = np.asarray(unit(drop(many, training=True))).reshape(times, -1).mean(axis=0)
    plain = inverted * (1 - rate)
    whole = np.asarray(unit(x))[:, 0]
    spread = np.abs(whole).max()
    return np.abs(plain - (1 - rate) * whole).max() / spread, np.abs(inverted - whole).max() / spread


def main():
    given = arguments(__doc__, epochs=(60, 4), samples=(1000, 100), seeds=(5, 2), members=(10, 2))
    data, (x_test, y_test) = digits(given.samples)
    gaps, accuracies = np.empty((2, given.seeds, len(RATES)))
    thinned, mean_of_thinned, ensemble = [], [], []
    for seed in range(given.seeds):
        jitnet.utils.set_random_seed(given.seed + seed)
        for i, rate in enumerate(RATES):
            model = trained(rate, data, given.epochs)
            loss, _ = model.evaluate(*data, verbose=0)
            test_loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
            gaps[seed, i], accuracies[seed, i] = test_loss - loss, 100 * accuracy
            if rate == 0.4:
                samples = sum(np.asarray(model(x_test, training=True)) for _ in range(20 if given.quick else 200))
                thinned.append(100 * accuracy)
                mean_of_thinned.append(100 * np.mean(samples.argmax(axis=1) == y_test))
        members = [trained(0.0, data, given.epochs).predict(x_test, verbose=0) for _ in range(given.members)]
        ensemble.append(100 * np.mean(sum(members).argmax(axis=1) == y_test))

    picture, (axes,) = figure(1, 2, 10, 4)
    labels = "test loss - training loss", "test accuracy, %"
    for axis, values, label in zip(axes, (gaps, accuracies), labels, strict=True):
        axis.errorbar(RATES, values.mean(axis=0), values.std(axis=0), fmt="o-", label="one network")
        axis.set_xlabel("rate of dropout")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[1].axhline(np.mean(ensemble), color="tab:orange", label=f"mean of {given.members} networks without dropout")
    axes[1].axhline(np.mean(mean_of_thinned), color="tab:green", linestyle="--", label="mean of thinned, rate 0.4")
    axes[1].legend()
    save(picture, given.output, "dropout")
    test_time, inverted = scaling_at_test_time(x_test[:20], times=200 if given.quick else 20_000)
    print(
        "Gap by rate: " + ", ".join(f"{r}: {g:.2f}" for r, g in zip(RATES, gaps.mean(axis=0), strict=True))
        + f"; accuracy without {accuracies[:, 0].mean():.1f} %, rate 0.4 {np.mean(thinned):.1f} %, "
        f"its thinned networks {np.mean(mean_of_thinned):.1f} %, ensemble {np.mean(ensemble):.1f} %"
    )
    claim("Dropout of 0.4 closes a part of the gap.", gaps[:, 0] - gaps[:, 2])
    claim("It makes the network more accurate on the test, in %.", accuracies[:, 2] - accuracies[:, 0])
    claim("One network with dropout is as accurate as the ensemble, or better.", np.array(thinned) - ensemble)
    limit = 0.2 if given.quick else 0.03
    claim(f"Scaling at test time equals inverted dropout in the mean ({test_time:.3f}, {inverted:.3f} of the output).",
          bool(max(test_time, inverted) < limit))  # fmt: skip


if __name__ == "__main__":
    main()
