"""Double descent: the test error falls, rises where the network can just learn everything by heart, and falls again.

    python scripts/recipes/double_descent.py

With a part of the labels wrong, the test error of ever wider networks peaks at about the width that is just enough to
fit all of them (Belkin et al. 2019; Nakkiran et al. 2020); beyond it, more width makes it better.
"""

import numpy as np
from recipe import Remembered, arguments, claim, digits, figure, save

import jitnet
from jitnet import layers, optimizers, schedules


def errors(width, x, y, test, steps):
    """Training and test error, and the test loss, after so many steps on the whole training set."""
    model = jitnet.Sequential([layers.Input((64,)), layers.Dense(width, "relu"), layers.Dense(10, "softmax")])
    rate = schedules.CosineDecay(0.01, steps)
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=True)
    model.fit(x, y, batch_size=len(x), epochs=steps, verbose=0)
    _, accuracy = model.evaluate(x, y, verbose=0)
    loss, on_test = model.evaluate(*test, verbose=0)
    return 100 * (1 - accuracy), 100 * (1 - on_test), loss


def main():
    given = arguments(__doc__, steps=(4000, 60), samples=(800, 80), seeds=(5, 1), noise=(0.2, 0.2))
    (x, y), test = digits(given.samples)
    widths = (2, 8, 32) if given.quick else (2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 128, 256, 512)
    settings = {name: getattr(given, name) for name in ("steps", "samples", "noise")}
    runs = Remembered(given.output / "double_descent.json", settings)

    def one(seed, width):
        random = np.random.default_rng(seed)
        wrong = random.random(len(y)) < given.noise
        labels = np.where(wrong, random.integers(0, 10, len(y)), y)
        jitnet.utils.set_random_seed(seed)
        return errors(width, x, labels, test, given.steps)

    seeds = range(given.seed, given.seed + given.seeds)
    found = np.array([[runs.get(f"{s}, {w}", lambda s=s, w=w: one(s, w)) for w in widths] for s in seeds])
    training, on_test, loss = np.moveaxis(found, 2, 0)
    mean = on_test.mean(axis=0)
    enough = int(np.argmax(training.mean(axis=0) < 1)) or len(widths) - 1  # the first width that fits all
    picture, (axes,) = figure(1, 2, 10, 4)
    axes[0].errorbar(widths, mean, on_test.std(axis=0), fmt="o-", label="test")
    axes[0].errorbar(widths, training.mean(axis=0), training.std(axis=0), fmt="o-", label="training")
    axes[0].set_ylabel("error, %")
    axes[1].errorbar(widths, loss.mean(axis=0), loss.std(axis=0), fmt="o-", label="test")
    axes[1].set_yscale("log")
    axes[1].set_ylabel("cross-entropy")
    for axis in axes:
        axis.axvline(widths[enough], color="grey", linestyle=":", label="fits all labels")
        axis.set_xscale("log", base=2)
        axis.set_xlabel("units of the hidden layer")
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "double_descent")
    print(f"{100 * given.noise:.0f} % wrong labels, test error by units: "
          + ", ".join(f"{w}: {e:.1f} %" for w, e in zip(widths, mean, strict=True)))  # fmt: skip
    # the lowest before the peak, the peak, and the widest
    peak = int(np.argmax(mean[1:])) + 1
    first = int(np.argmin(mean[: peak + 1]))
    claim(f"The test error rises from {widths[first]} units to {widths[peak]}.", on_test[:, peak] - on_test[:, first])
    claim(f"It falls again to {widths[-1]} units.", on_test[:, peak] - on_test[:, -1])
    claim("The widest network is better than the best narrow one.", on_test[:, first] - on_test[:, -1])


if __name__ == "__main__":
    main()
