"""Depth against kernels: a step and a function that is smooth here and rough there, at equal numbers of weights.

    python scripts/recipes/jump_functions.py

Linear methods (kernels, splines of fixed width) have one resolution everywhere; a jump or uneven smoothness is what
they do worst. Deep networks choose where to be sharp (Imaizumi & Fukumizu 2019; Suzuki 2019). Networks of one to five
hidden layers with as many weights each, and kernel ridge regression at its best width, learn both from noisy samples.
What a network could represent it need not find: gradient descent learns slow waves first (Rahaman et al. 2019).
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import layers, optimizers, schedules

WEIGHTS = 1200
FUNCTIONS = {
    "a step": lambda x: np.where(x < 0.3, -1.0, 1.0),
    "uneven smoothness": lambda x: np.where(x < 0, 0.6 * np.sin(3 * x), np.sin(40 * x**2)),
}


def width(depth: int) -> int:
    """The units of each of ``depth`` layers with which a network from 1 to 1 has about WEIGHTS weights."""
    return min(range(2, WEIGHTS), key=lambda n: abs(2 * n + (depth - 1) * (n * n + n) + n + 1 - WEIGHTS))


def network(depth: int, x, y, steps: int):
    stack = [layers.Dense(width(depth), "relu", kernel_initializer="he_normal") for _ in range(depth)]
    model = jitnet.Sequential([layers.Input((1,)), *stack, layers.Dense(1)])
    model.compile(optimizers.Adam(schedules.CosineDecay(0.005, steps)), "mean_squared_error", jit_compile=True)
    model.fit(x, y, batch_size=len(x) // 8, epochs=steps // 8, verbose=0)
    return model


def kernel_ridge(x, y, at, truth):
    """The best of Gaussian kernels' predictions, chosen by the truth: an advantage that networks don't get."""
    best = None
    for scale in np.geomspace(0.005, 0.5, 12):
        for ridge in (1e-3, 1e-2, 1e-1, 1.0):
            gram = np.exp(-0.5 * ((x - x.T) / scale) ** 2)
            found = np.exp(-0.5 * ((at - x.T) / scale) ** 2) @ np.linalg.solve(gram + ridge * np.eye(len(x)), y)
            error = np.mean((found - truth) ** 2)
            if best is None or error < best[0]:
                best = error, found
    return best


def main():
    given = arguments(__doc__, steps=(12_000, 80), samples=(400, 64), seeds=(5, 1))
    depths = (1, 2, 3, 5)
    at = np.linspace(-1, 1, 1001, dtype="float32")[:, None]
    picture, axes = figure(2, 2, 11, 6.5)
    for (drawn, errors), (name, function) in zip(axes, FUNCTIONS.items(), strict=True):
        truth = function(at)
        found = np.empty((given.seeds, len(depths) + 1))
        for seed in range(given.seeds):
            random = np.random.default_rng(given.seed + seed)
            x = random.uniform(-1, 1, (given.samples, 1)).astype("float32")
            y = (function(x) + random.normal(0, 0.1, x.shape)).astype("float32")
            found[seed, 0], ridge = kernel_ridge(x, y, at, truth)
            jitnet.utils.set_random_seed(given.seed + seed)
            for i, depth in enumerate(depths, 1):
                guess = network(depth, x, y, given.steps).predict(at, verbose=0)
                found[seed, i] = np.mean((guess - truth) ** 2)
                if depth in (1, 3) and seed == 0:
                    drawn.plot(at, guess, linewidth=1, label=f"{depth} hidden layer{'s' if depth > 1 else ''}")
        drawn.plot(at, ridge, linewidth=1, label="Gaussian kernel")
        drawn.plot(at, truth, "k:", linewidth=1, label=name)
        drawn.legend(fontsize=8)
        drawn.set_xlabel("x")
        drawn.set_ylabel("y")
        names = ["kernel", *(f"{depth}" for depth in depths)]
        errors.bar(names, found.mean(axis=0), yerr=found.std(axis=0), color="tab:blue")
        errors.set_xlabel(f"hidden layers, about {WEIGHTS} weights each")
        errors.set_ylabel("mean squared error")
        line = ", ".join(f"{n} {v:.4f}" for n, v in zip(names, found.mean(axis=0), strict=True))
        print(f"{name}, error by layers: {line}")
        claim(f"{name}: three layers do better than one.", found[:, 1] - found[:, 3])
        claim(f"{name}: three layers do better than the best Gaussian kernel.", found[:, 0] - found[:, 3])
    save(picture, given.output, "jump_functions")


if __name__ == "__main__":
    main()
