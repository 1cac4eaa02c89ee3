"""What augmentation is worth in labels: each kind's accuracy, and how many more digits would give the same.

    python scripts/recipes/augmentation.py

A digit that is moved, turned or enlarged a little is still the same digit. A network that is told so by random copies
needs fewer labels; one that is told that a mirrored digit is the same is misled.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers

KINDS = {
    "moved": lambda: [layers.RandomTranslation(0.1, 0.1, fill_mode="constant")],
    "turned": lambda: [layers.RandomRotation(0.04, fill_mode="constant")],
    "enlarged": lambda: [layers.RandomZoom(0.15, fill_mode="constant")],
    "sheared": lambda: [layers.RandomShear(0.15, 0.15, fill_mode="constant")],
    "erased": lambda: [layers.RandomErasing(0.5, scale=(0.02, 0.15))],
    "mirrored": lambda: [layers.RandomFlip("horizontal")],
}
KINDS["moved, turned, enlarged, sheared"] = lambda: [
    layer for kind in ("moved", "turned", "enlarged", "sheared") for layer in KINDS[kind]()
]


def accuracy(before, x, y, test, steps):
    body = [
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax"),
    ]  # fmt: skip
    model = jitnet.Sequential([layers.Input((28, 28, 1)), *before, *body])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    batch = min(64, len(x))
    model.fit(x, y, batch_size=batch, epochs=max(1, steps * batch // len(x)), verbose=0)
    return 100 * model.evaluate(*test, batch_size=256, verbose=0)[1]


def worth(value, sizes, accuracies):
    """With how many labels the accuracy would have been reached without augmentation, and that in words.

    Between those measured; outside them the first or the last.
    """
    accuracies = np.maximum.accumulate(accuracies)
    count = float(np.exp(np.interp(value, accuracies, np.log(sizes))))
    beyond = "fewer than " if value < accuracies[0] else "more than " if value > accuracies[-1] else ""
    return count, f"worth {beyond}{count:,.0f} labels"


def main():
    given = arguments(__doc__, steps=(1500, 8), seeds=(3, 1), labels=(300, 100))
    (x, y), test = mnist(given.quick)
    sizes = np.array([given.labels, 2 * given.labels] + ([] if given.quick else [n * given.labels for n in (4, 8, 16)]))
    plain = np.empty((given.seeds, len(sizes)))
    with_kind = np.empty((given.seeds, len(KINDS)))
    for seed in range(given.seeds):
        order = np.random.default_rng(given.seed + seed).permutation(len(x))
        for i, size in enumerate(sizes):
            jitnet.utils.set_random_seed(given.seed + seed)
            chosen = order[:size]
            plain[seed, i] = accuracy([], x[chosen], y[chosen], test, given.steps)
        chosen = order[: given.labels]
        for i, kind in enumerate(KINDS.values()):
            jitnet.utils.set_random_seed(given.seed + seed)
            with_kind[seed, i] = accuracy(kind(), x[chosen], y[chosen], test, given.steps)
    means = with_kind.mean(axis=0)
    labels, words = zip(*(worth(value, sizes, plain.mean(axis=0)) for value in means), strict=True)
    picture, ((curve, bars),) = figure(1, 2, 12, 4)
    curve.errorbar(sizes, plain.mean(axis=0), plain.std(axis=0), fmt="o-", label="without augmentation")
    for name, value, count in zip(KINDS, means, labels, strict=True):
        curve.plot(count, value, "o", markersize=7, label=name)
    curve.set_xscale("log")
    curve.set_xticks(sizes, [f"{size:,}" for size in sizes])
    curve.minorticks_off()
    curve.set_xlabel(f"labels (dots: {given.labels}, worth as many)")
    curve.set_ylabel("accuracy on the test, %")
    curve.legend(fontsize=8)
    curve.grid(alpha=0.3)
    gains = with_kind - plain[:, :1]
    bars.barh(list(KINDS), gains.mean(axis=0), xerr=gains.std(axis=0))
    bars.axvline(0, color="black", linewidth=0.8)
    bars.set_xlabel(f"accuracy gained with {given.labels} labels, %")
    bars.invert_yaxis()
    save(picture, given.output, "augmentation")
    print(f"{given.labels} labels, {plain[:, 0].mean():.1f} % without; " + "; ".join(
        f"{name} {value:.1f} %, {text}" for name, value, text in zip(KINDS, means, words, strict=True)
    ))  # fmt: skip
    names = list(KINDS)
    claim("All four kinds of movement together help more than any alone.",
          gains[:, -1] - gains[:, :4].max(axis=1))  # fmt: skip
    claim("Mirroring misleads.", -gains[:, names.index("mirrored")])


if __name__ == "__main__":
    main()
