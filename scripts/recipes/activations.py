"""Activations: their curves and their derivatives.

    python scripts/recipes/activations.py

The largest slope says how a signal's gradient shrinks or grows from layer to layer: sigmoid's is a quarter.
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import activations, ops

OTHERS = {"glu", "log_softmax", "softmax", "sparsemax", "threshold"}  # of rows, or with arguments of their own
ARITHMETIC = {
    "absolute", "arctan", "cos", "erf", "exp", "exponential", "expm1", "floor", "log", "log1p", "nearest_whole",
    "negative", "reciprocal", "sign", "sin", "sqrt", "square",
}  # fmt: skip


def curves(points: int):
    """{name: (x, value, derivative)}, each (points,)."""
    x = np.linspace(-5, 5, points, dtype="float32")
    found, seen = {}, set()
    for name in sorted(activations.KNOWN):
        function = activations.KNOWN[name]
        if name in OTHERS | ARITHMETIC or function in seen:
            continue
        seen.add(function)
        value = np.asarray(function(x)) if name != "linear" else x
        _, slope = jitnet.value_and_grad(lambda t, f=function: ops.sum(f(t) * 1.0))(x)
        found[name] = (x, value, slope)
    return found


def main():
    given = arguments(__doc__, points=(401, 41))
    found = curves(given.points)
    columns = 5
    rows = -(-len(found) // columns)
    picture, axes = figure(rows, columns, 10, 1.7 * rows)
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, (name, (x, value, slope)) in zip(axes.flat, found.items(), strict=False):
        axis.plot(x, value, label="value")
        axis.plot(x, slope, "--", label="derivative")
        axis.set_title(name, fontsize=9)
        axis.set_ylim(-2, 3)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=7)
    save(picture, given.output, "activations")
    steepest = {name: float(np.nanmax(np.abs(slope))) for name, (_, _, slope) in found.items()}
    chosen = ("sigmoid", "tanh", "relu", "gelu", "selu")
    print(f"{len(found)} activations; largest slopes: " + ", ".join(f"{n} {steepest[n]:.2f}" for n in chosen))
    claim("Sigmoid's slope is nowhere above a quarter, tanh's and ReLU's reach 1.",
          steepest["sigmoid"] <= 0.25 and min(steepest["tanh"], steepest["relu"]) > 0.99)  # fmt: skip


if __name__ == "__main__":
    main()
