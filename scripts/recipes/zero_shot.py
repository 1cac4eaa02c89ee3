"""Digits never seen: recognised by a description of their strokes and loops, and a class without one noticed.

    python scripts/recipes/zero_shot.py

The network learns to see attributes, not classes (Lampert et al. 2009): a loop above, a stroke across. A digit that
training left out is then the one whose description fits best, and what fits no description that it was given is
unknown.
"""

import itertools

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, metrics

ATTRIBUTES = {
    "one large loop": (0,), "loop above": (8, 9), "loop below": (6, 8), "bar on top": (5, 7), "bar at the foot": (2,),
    "bar in the middle": (4,), "upright stroke": (1, 4, 9), "slanting stroke": (2, 7),
    "bow above, open to the left": (2, 3), "bow below, open to the left": (3, 5), "bow open to the right": (0, 6),
}  # fmt: skip
TABLE = np.array([[digit in digits for digits in ATTRIBUTES.values()] for digit in range(10)], np.float32)


def seen_attributes(x, y, x_test, epochs):
    """The probabilities of the attributes of the test's digits, by a network that was trained on (x, y)."""
    model = jitnet.Sequential(
        [layers.Input((28, 28, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
         layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5),
         layers.Dense(len(ATTRIBUTES), "sigmoid")]
    )  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    model.fit(x, TABLE[y], batch_size=64, epochs=epochs, verbose=0)
    return model.predict(x_test, batch_size=256, verbose=0)


def misfits(seen, classes):
    """How badly what was seen fits each class's description: the cross-entropy, (N, classes)."""
    seen = np.clip(seen, 1e-4, 1 - 1e-4)[:, None]
    table = TABLE[list(classes)][None]
    return -(table * np.log(seen) + (1 - table) * np.log(1 - seen)).mean(axis=-1)


def main():
    given = arguments(__doc__, epochs=(2, 1), samples=(20_000, 256), pairs=(15, 2))
    (x, y), (x_test, y_test) = mnist(given.quick)
    x, y, y_test = x[: given.samples], y[: given.samples].astype(int), y_test.astype(int)
    pairs = list(itertools.combinations(range(10), 2))
    order = np.random.default_rng(given.seed).permutation(len(pairs))
    chosen = sorted(pairs[i] for i in order[: given.pairs])
    of_two, of_ten, noticed = [], [], []
    for pair in chosen:
        known = [digit for digit in range(10) if digit not in pair]
        use = ~np.isin(y, pair)
        seen = seen_attributes(x[use], y[use], x_test, given.epochs)
        unseen = np.isin(y_test, pair)
        guess = np.array(pair)[misfits(seen[unseen], pair).argmin(axis=1)]
        of_two.append(np.mean(guess == y_test[unseen]))
        of_ten.append(np.mean(misfits(seen[unseen], range(10)).argmin(axis=1) == y_test[unseen]))
        # without the descriptions of the pair: does its misfit show that it is unknown?
        area = metrics.AUC(num_thresholds=500)
        doubt = misfits(seen, known).min(axis=1)
        area.update_state(unseen.astype("float32"), (doubt / doubt.max()).astype("float32"))
        noticed.append(float(area.result()))
    of_two, of_ten, noticed = 100 * np.array(of_two), 100 * np.array(of_ten), np.array(noticed)

    picture, ((table, bars),) = figure(1, 2, 12, 4.5)
    table.imshow(TABLE.T, cmap="Greys", aspect="auto")
    table.set_yticks(range(len(ATTRIBUTES)), list(ATTRIBUTES))
    table.set_xticks(range(10))
    table.set_xlabel("digit")
    places = np.arange(len(chosen))
    bars.bar(places - 0.2, of_two, 0.4, label="among the two left out")
    bars.bar(places + 0.2, of_ten, 0.4, label="among all ten")
    bars.axhline(50, color="tab:blue", linestyle=":", linewidth=1, label="chance, two")
    bars.axhline(10, color="tab:orange", linestyle=":", linewidth=1, label="chance, ten")
    bars.set_xticks(places, [f"{a}, {b}" for a, b in chosen], rotation=60)
    bars.set_xlabel("digits that training left out")
    bars.set_ylabel("accuracy on them, %")
    bars.set_ylim(0, 130)
    bars.set_yticks(range(0, 101, 20))
    bars.legend(ncols=2)
    save(picture, given.output, "zero_shot")
    print(
        f"{len(chosen)} pairs left out: right among the two {of_two.mean():.1f} % (lowest {of_two.min():.0f}), among "
        f"all ten {of_ten.mean():.1f} %; unknown noticed, area under the curve {noticed.mean():.2f} "
        f"(lowest {noticed.min():.2f})"
    )
    claim("Digits never seen are told apart above chance.", of_two - 50, "pairs")
    claim("They are found among all ten above chance.", of_ten - 10, "pairs")
    claim("An unknown digit is noticed (area under the curve above a half).", noticed - 0.5, "pairs")


if __name__ == "__main__":
    main()
