"""The race: who leaves a saddle first, who is first down a valley, who is best on MNIST; no one wins all.

    python scripts/recipes/optimizer_race.py

SGD, momentum, Nesterov, Adagrad, Adadelta, RMSprop, Adam and Eve on the two surfaces of ``optimizers_landscape.py``,
each with the rate that suits it there, and for one epoch of MNIST with the best of three rates, chosen on held-out
digits.
"""

import numpy as np
from optimizers_landscape import METHODS, SURFACES, path, steps_to_leave
from optimizers_mnist import accuracy as accuracy_on_mnist
from recipe import arguments, claim, figure, mnist, save

from jitnet import optimizers

RATES = {  # of MNIST
    "SGD": (0.03, 0.1, 0.3),
    "Momentum": (0.01, 0.03, 0.1),
    "Nesterov": (0.01, 0.03, 0.1),
    "Adagrad": (0.01, 0.03, 0.1),
    "Adadelta": (0.3, 1.0, 3.0),
    "RMSprop": (0.0003, 0.001, 0.003),
    "Adam": (0.0003, 0.001, 0.003),
    "Eve": (0.0003, 0.001, 0.003),
}
# there with the epsilon that is usual
ON_MNIST = METHODS | {"Adadelta": lambda rate: optimizers.Adadelta(rate)}


def main():
    given = arguments(__doc__, steps=(400, 20), seeds=(3, 1), samples=(60_000, 256))
    (x, y), test = mnist(given.quick)
    held = min(given.samples, len(x)) // 10
    data, validation = (x[held : given.samples], y[held : given.samples]), (x[:held], y[:held])
    first, accuracy = {}, {}
    paths = {name: path(*SURFACES["saddle"], METHODS[name](), given.steps) for name in RATES}
    first["saddle"] = {name: steps_to_leave(places) or given.steps for name, places in paths.items()}
    height, _ = SURFACES["valley"]
    first["valley"] = {}
    for name in RATES:
        places = path(*SURFACES["valley"], METHODS[name](), given.steps)
        above = height(places[:, 0], places[:, 1]) > 0.01
        first["valley"][name] = int(len(above) - np.argmax(above[::-1])) if above.any() else 0  # from there on, below
    for name, rates in RATES.items():
        make, seeds = ON_MNIST[name], range(given.seed, given.seed + given.seeds)
        tried = {rate: accuracy_on_mnist(make(rate), data, validation, given.seed) for rate in rates}
        best = max(tried, key=tried.get)
        accuracy[name] = [100 * accuracy_on_mnist(make(best), data, test, seed) for seed in seeds]
    picture, (axes,) = figure(1, 3, 13, 3.8)
    names = list(RATES)
    for axis, place, label in zip(axes, ("saddle", "valley"), ("to leave the saddle", "down to 0.01"), strict=False):
        axis.barh(names, [first[place][name] for name in names])
        axis.set_xlabel(f"steps {label}")
    axes[2].barh(names, [np.mean(accuracy[n]) for n in names], xerr=[np.std(accuracy[n]) for n in names])
    lowest = min(min(values) for values in accuracy.values())
    axes[2].set_xlim(lowest - 0.5, 100)
    axes[2].set_xlabel("accuracy after an epoch of MNIST, %")
    for axis in axes:
        axis.invert_yaxis()
        axis.grid(alpha=0.3, axis="x")
    save(picture, given.output, "optimizer_race")
    print("Steps on the saddle and in the valley, accuracy on MNIST: " + "; ".join(
        f"{n} {first['saddle'][n]}, {first['valley'][n]}, {np.mean(accuracy[n]):.2f} ± {np.std(accuracy[n]):.2f} %"
        for n in names
    ))  # fmt: skip
    winners = [min(first[place], key=first[place].get) for place in ("saddle", "valley")]
    winners.append(max(accuracy, key=lambda name: np.mean(accuracy[name])))
    print(f"First: on the saddle {winners[0]}, in the valley {winners[1]}, on MNIST {winners[2]}")
    claim("Momentum leaves the saddle before SGD.", first["saddle"]["Momentum"] < first["saddle"]["SGD"])
    claim("No single optimizer wins all three.", len(set(winners)) > 1)


if __name__ == "__main__":
    main()
