"""Optimizers: the paths of all on a saddle and in a valley.

    python scripts/recipes/optimizers_landscape.py

On the saddle x^2 - y^2, started beside its ridge, momentum leaves sooner than plain gradient descent, and the methods
that scale every coordinate soonest of all; in the valley x^2 / 20 + y^2 plain descent swings from side to side.
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import ops, optimizers

SURFACES = {  # name: (function, where it starts)
    "saddle": (lambda x, y: x * x - y * y, (-1.0, 0.01)),
    "valley": (lambda x, y: x * x / 20 + y * y, (-7.0, 2.0)),
}
METHODS = {  # with the rate that suits each, for both surfaces alike
    "SGD": lambda rate=0.1: optimizers.SGD(rate),
    "Momentum": lambda rate=0.1: optimizers.SGD(rate, momentum=0.9),
    "Nesterov": lambda rate=0.1: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "Adagrad": lambda rate=1.0: optimizers.Adagrad(rate),
    "Adadelta": lambda rate=1.0: optimizers.Adadelta(rate, epsilon=1e-3),
    "RMSprop": lambda rate=0.1: optimizers.RMSprop(rate),
    "Adam": lambda rate=0.2: optimizers.Adam(rate),
    "Adamax": lambda rate=0.2: optimizers.Adamax(rate),
    "Nadam": lambda rate=0.2: optimizers.Nadam(rate),
    "Ftrl": lambda rate=1.0: optimizers.Ftrl(rate),
    "Lion": lambda rate=0.1: optimizers.Lion(rate),
    "Eve": lambda rate=0.2: optimizers.Eve(rate),
}
COLOURS = (
    "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:gray", "tab:olive",
    "tab:cyan", "black", "gold",
)  # fmt: skip


class Ball(jitnet.Model):
    """A point on a surface, which every step moves."""

    def __init__(self, surface, start):
        super().__init__()
        self.surface = surface
        self.x = self.add_weight((1,), jitnet.initializers.Constant(start[0]), name="x")
        self.y = self.add_weight((1,), jitnet.initializers.Constant(start[1]), name="y")

    def train_step(self, data):
        variables = self.trainable_variables
        height, gradients = jitnet.value_and_grad(lambda: ops.sum(self.surface(self.x, self.y)), variables=variables)()
        self.optimizer.apply(gradients, variables, loss=height)
        return {"height": height}


def path(surface, start, optimizer, steps: int) -> np.ndarray:
    """Where the ball is after every step: (steps + 1, 2)."""
    ball, nothing = Ball(surface, start), np.zeros((1, 1), "float32")
    ball.compile(optimizer)
    places = [start]
    for _ in range(steps):
        ball.train_on_batch(nothing)
        places.append((float(ball.x.numpy()[0]), float(ball.y.numpy()[0])))
        if abs(places[-1][1]) > 100:
            break
    return np.array(places)


def steps_to_leave(places):
    """How many steps until a path (N, 2) is further from the saddle's ridge than it was along it at the start."""
    left = np.flatnonzero(np.abs(places[:, 1]) > 1)
    return int(left[0]) if left.size else None


def main():
    given = arguments(__doc__, steps=(60, 5))
    picture, (axes,) = figure(1, 2, 12, 5)
    out, near = {}, {}
    for axis, (name, (surface, start)) in zip(axes, SURFACES.items(), strict=True):
        half = (1.5, 2.0) if name == "saddle" else (8.0, 3.0)
        x, y = np.meshgrid(np.linspace(-half[0], half[0], 200), np.linspace(-half[1], half[1], 200))
        axis.set_prop_cycle(color=COLOURS)
        axis.contour(x, y, surface(x, y), 25, colors="0.8", linewidths=0.7)
        for method, make in METHODS.items():
            places = path(surface, start, make(), given.steps)
            axis.plot(*np.clip(places, -10, 10).T, ".-", markersize=3, linewidth=1, label=method)
            if name == "saddle":
                out[method] = steps_to_leave(places)
            else:
                near[method] = float(np.hypot(*places[-1]))
        axis.set_xlim(-half[0], half[0])
        axis.set_ylim(-half[1], half[1])
        axis.set_title(name)
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    axes[1].legend(fontsize=7, ncols=2)
    save(picture, given.output, "optimizers_landscape")
    print("Steps until the saddle is left: " + ", ".join(f"{m} {s or 'never'}" for m, s in out.items()))
    print("Distance from the valley's floor at the end: " + ", ".join(f"{m} {d:.2g}" for m, d in near.items()))
    claim("Momentum leaves the saddle before SGD.", (out["Momentum"] or np.inf) < (out["SGD"] or np.inf))


if __name__ == "__main__":
    main()
