"""The line through three points, four ways: pseudo-inverse, normal equations, gradient descent, single samples.

    python scripts/recipes/least_squares.py

The error of y = a x + b is a bowl over (a, b), a valley that is steep across and almost flat along. A ball that rolls
down it by steps of gradient descent (learning rate 0.0005, from zero) is across at once and takes 113,957 epochs along
until b has its last three digits; steps for single samples never come to rest.
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import layers, losses, ops, optimizers

X, Y = np.array([[20.0], [30.0], [40.0]]), np.array([[30.0], [50.0], [80.0]])
LAST = 113_957


class HalfSquaredError(losses.Loss):
    """The sum over the samples of (prediction - target)^2 / 2."""

    def __init__(self):
        super().__init__(reduction="sum")

    def call(self, y_true, y_pred):
        return 0.5 * ops.square(y_pred - y_true)


def descent(batch_size: int, epochs):
    """(a, b) after each of the ``epochs``."""
    model = jitnet.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.0005), HalfSquaredError(), jit_compile=True)
    path, done = [(0.0, 0.0)], 0
    for last in epochs:
        model.fit(X, Y, batch_size, initial_epoch=done, epochs=last, shuffle=batch_size < len(X), verbose=0)
        (slope,), (intercept,) = model.get_weights()
        path.append((slope.item(), intercept))
        done = last
    return np.array(path)


def error(a, b):
    return sum((a * x + b - y) ** 2 for x, y in zip(X[:, 0], Y[:, 0], strict=True)) / 2


def main():
    given = arguments(__doc__)
    jitnet.set_floatx("float64")
    matrix = np.hstack([X, np.ones_like(X)])
    inverse = (np.linalg.pinv(matrix) @ Y)[:, 0]
    normal = np.linalg.solve(matrix.T @ matrix, matrix.T @ Y)[:, 0]
    epochs = np.unique(np.concatenate([np.arange(1, 40), np.geomspace(40, LAST - 1, 150).astype(int), [LAST]]))
    whole, single = descent(3, epochs.tolist()), descent(1, epochs.tolist())

    picture, ((surface, distance),) = figure(1, 2, 10, 4)
    a, b = np.meshgrid(np.linspace(-0.3, 3.3, 200), np.linspace(-27, 4, 200))
    surface.contour(a, b, np.log10(error(a, b)), 20, cmap="viridis", linewidths=0.7)
    for path, name, colour in ((single, "single samples", "tab:orange"), (whole, "all three points", "tab:red")):
        surface.plot(*path.T, ".-", color=colour, markersize=3, linewidth=0.8, label=name)
        distance.loglog(epochs, np.abs(path[1:, 1] - inverse[1]), color=colour, label=name)
    surface.plot(*inverse, "k+", markersize=10, label="pseudo-inverse")
    surface.set_xlabel("a")
    surface.set_ylabel("b")
    surface.set_title("the ball's path on the error's surface (logarithm)")
    distance.set_xlabel("epoch")
    distance.set_ylabel("|b - its best value|")
    for axis in (surface, distance):
        axis.legend()
    save(picture, given.output, "least_squares")
    ways = {"pseudo-inverse": inverse, "normal equations": normal, "descent": whole[-1], "single samples": single[-1]}
    print("a, b: " + "; ".join(f"{name} {a:.3f}, {b:.3f}" for name, (a, b) in ways.items()))
    digits = [round(path, 3) == -21.667 for path in whole[1:, 1]]
    claim(f"Descent from zero has b to three digits in epoch {LAST:,} and not before.", digits[-1] and sum(digits) == 1)
    claim(
        "Steps for single samples at a constant rate end further from the best line.",
        bool(np.abs(single[-1] - inverse).max() > np.abs(whole[-1] - inverse).max()),
    )


if __name__ == "__main__":
    main()
