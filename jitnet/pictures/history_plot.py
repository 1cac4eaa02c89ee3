"""The history of a training as curves."""

import numpy as np

from ..core.errors import invalid
from . import figures

MOST_MARKS = 8  # changes of the learning rate that are marked; of more there is a curve


def plot(history: dict, epochs: dict, path=None):
    """A figure of the losses, on a logarithmic scale, and the metrics, by epochs from 1.

    history: {name: values}; epochs: {name: the numbers of their epochs}, for names that lack some epochs.
    path: a file to write, or None.
    """
    curves = {name: _points(values, epochs.get(name)) for name, values in history.items()}
    rates = curves.pop("learning_rate", None)
    curves = {name: curve for name, curve in curves.items() if curve is not None}
    if not curves:
        raise invalid("There is nothing to draw: the history has no epoch.", history=list(history))
    panels: dict[str, list] = {}
    for name in curves:
        base = name.removeprefix("val_")
        panels.setdefault("loss" if base == "loss" or base.endswith("_loss") else base, []).append(name)
    changes = [] if rates is None else _changes(*rates)
    if len(changes) > MOST_MARKS:
        curves["learning_rate"], changes = rates, []
        panels["learning_rate"] = ["learning_rate"]
    columns = 1 if len(panels) <= 3 else 2
    rows = -(-len(panels) // columns)
    figure = figures.new_figure("history.plot", path, 7 * columns, 0.5 + 2.75 * rows)
    first = None
    for number, (title, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number, sharex=first)
        first = first or axes
        bases = list(dict.fromkeys(name.removeprefix("val_") for name in names))
        for name in sorted(names, key=lambda name: bases.index(name.removeprefix("val_"))):
            color = f"C{bases.index(name.removeprefix('val_'))}"
            validation = name.startswith("val_")
            style = {"linestyle": "--" if validation else "-", "marker": "." if len(curves[name][0]) < 30 else None}
            axes.plot(*curves[name], color=color, label=name, **style)
        logarithmic = title in ("loss", "learning_rate") and all((curves[name][1] > 0).all() for name in names)
        axes.set_yscale("log" if logarithmic else "linear")
        axes.set_ylabel(title.replace("_", " "))
        axes.grid(alpha=0.3)
        for epoch, before, after in changes:
            axes.axvline(epoch - 0.5, color="0.4", linestyle=":")
            if number == 1:
                label = f"{before:.3g} → {after:.3g}"
                axes.annotate(
                    label, (epoch - 0.5, 1.0), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                    rotation=90, va="top", fontsize="x-small", color="0.4",
                )  # fmt: skip
        if len(names) > 1:
            axes.legend()
        if number > len(panels) - columns:
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        else:
            axes.tick_params(labelbottom=False)
    return figures.finished(figure, path)


def _points(values, epochs) -> tuple | None:
    """(epochs, values) of finite numbers; None where there is none, or where the values are arrays."""
    if not len(values) or any(np.ndim(value) for value in values):
        return None
    y = np.asarray(values, float)
    x = np.arange(1, len(y) + 1) if epochs is None or len(epochs) != len(y) else np.asarray(epochs)
    finite = np.isfinite(y)
    return (x[finite], y[finite]) if finite.any() else None


def _changes(epochs, rates) -> list[tuple]:
    """[(epoch, rate before, rate from this epoch on)]"""
    return [(epochs[i], rates[i - 1], rates[i]) for i in range(1, len(rates)) if rates[i] != rates[i - 1]]
