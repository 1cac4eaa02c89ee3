"""Flat and sharp: the loss around what small and large batches find, and what it says of the test.

    python scripts/recipes/flat_minima.py

Large batches are said to end in sharp minima, which generalise worse (Keskar et al. 2017). Sharpness is measured along
random directions that are scaled unit by unit as the weights are (Li et al. 2018), for otherwise the sizes of the
weights decide it.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, optimizers


def trained(batch, x, y, epochs):
    """Trained with a learning rate that suits the small batch as well as the large one: Adam's."""
    model = jitnet.Sequential(
        [layers.Input((784,)), layers.Dense(256, "relu"), layers.Dense(256, "relu"), layers.Dense(10, "softmax")]
    )
    model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return model


def direction(weights, random):
    """A random direction, each unit's weights as large as the unit's own; biases stay."""
    found = []
    for weight in weights:
        if weight.ndim < 2:
            found.append(np.zeros_like(weight))
            continue
        way = random.normal(size=weight.shape).astype(weight.dtype)
        found.append(way * np.linalg.norm(weight, axis=0) / np.linalg.norm(way, axis=0))
    return found


def losses_along(model, x, y, steps, random):
    """The loss at every step along a direction; the model's weights are as before afterwards."""
    weights = model.get_weights()
    way = direction(weights, random)
    found = []
    for step in steps:
        model.set_weights([w + step * d for w, d in zip(weights, way, strict=True)])
        found.append(model.evaluate(x, y, batch_size=1000, verbose=0)[0])
    model.set_weights(weights)
    return np.array(found)


def main():
    given = arguments(__doc__, epochs=(60, 2), samples=(6000, 256), seeds=(5, 2), directions=(5, 2))
    (x, y), (x_test, y_test) = mnist(given.quick)
    x, y = x[: given.samples].reshape(-1, 784), y[: given.samples]
    test = x_test.reshape(-1, 784), y_test
    steps = np.linspace(-0.6, 0.6, 13)
    sizes = {"small batches, 32": 32, f"large batches, {given.samples // 4}": given.samples // 4}
    picture, ((curve, scatter),) = figure(1, 2, 10, 4)
    sharpness, gaps = {}, {}
    for name, batch in sizes.items():
        around = []
        gaps[name] = []
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            model = trained(batch, x, y, given.epochs)
            random = np.random.default_rng(seed)
            runs = [losses_along(model, x, y, steps, random) for _ in range(given.directions)]
            around.append(np.mean(runs, axis=0))
            gaps[name].append(100 * (model.evaluate(x, y, verbose=0)[1] - model.evaluate(*test, verbose=0)[1]))
        around = np.array(around)
        curve.errorbar(steps, around.mean(axis=0), around.std(axis=0), fmt="o-", markersize=3, label=name)
        # the rise half a unit away
        sharpness[name] = np.array([np.interp([-0.5, 0.5], steps, line).mean() - line[6] for line in around])
        scatter.plot(sharpness[name], gaps[name], "o", label=name)
    curve.set_xlabel("distance along a random direction, in parts of the weights")
    curve.set_ylabel("training loss")
    scatter.set_xlabel("sharpness: rise of the loss at a distance of 0.5")
    scatter.set_ylabel("training accuracy - test accuracy, %")
    for axis in (curve, scatter):
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "flat_minima")
    print("Sharpness and gap: " + "; ".join(
        f"{n} {s.mean():.3f} ± {s.std():.3f}, {np.mean(gaps[n]):.2f} %" for n, s in sharpness.items()
    ))  # fmt: skip
    small, large = sharpness.values()
    gap_small, gap_large = (np.array(gap) for gap in gaps.values())
    claim("Large batches end in sharper minima.", large - small)
    claim("They generalise worse.", gap_large - gap_small)


if __name__ == "__main__":
    main()
