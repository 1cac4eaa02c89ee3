"""The range test of learning rates."""

import contextlib
import itertools
import math

import numpy as np

from .._structures import flatten
from ..core import checks
from ..core.errors import invalid
from ..pictures import figures
from . import streams
from .exclusive import trained_here
from .fit_arguments import checked_batch_size
from .logs import read_logs
from .placed import placed

FEWEST = 10  # steps that say anything


class LearningRateTest:
    """What ``lr_find`` found.

    Attributes:
        rates: the learning rates that were tried (count,), rising.
        losses: the loss of the batch that each was tried on, before the step (count,); the last may not be finite.
        smoothed: their average, by which the test ended (count,).
        suggestion: the rate at which the loss falls fastest, None if it never falls; see ``lr_find``.
    """

    def __init__(self, rates, losses, smoothed):
        self.rates, self.losses, self.smoothed = (np.asarray(values, float) for values in (rates, losses, smoothed))
        self.suggestion = _steepest(self.rates, self.losses)

    def __repr__(self):
        tried = f"{len(self.rates)} rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"<LearningRateTest: {tried}, suggestion {self.suggestion and f'{self.suggestion:.3g}'}>"

    def plot(self, path=None):
        """Draw the loss against the learning rate with matplotlib; returns the figure.

        path: where to write it instead of leaving it to pyplot; the suffix says what it is: ".png", ".svg", ".pdf".

        Raises ImportError without matplotlib.
        """
        figure = figures.new_figure("plot", path, 7, 4.5)
        axes = figure.add_subplot()
        finite = np.isfinite(self.losses) & np.isfinite(self.smoothed)
        axes.plot(self.rates[finite], self.losses[finite], ".", color="0.7", label="loss of a batch")
        axes.plot(self.rates[finite], self.smoothed[finite], label="smoothed")
        if self.suggestion is not None:
            label = f"suggestion: {self.suggestion:.2g}"
            axes.axvline(self.suggestion, color="C1", linestyle="--", label=label)
        # what diverges would leave the rest flat
        shown = np.concatenate([self.losses[finite], self.smoothed[finite]])
        low, high = shown.min(), self.losses[finite][: len(self.rates) // 4 + 1].max()
        if high > low:
            axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        return figures.finished(figure, path)


@placed
def lr_find(
    model, x, y=None, *, batch_size=32, lowest=1e-6, highest=10.0, steps=100, smoothing=0.8, divergence=4.0,
    sample_weight=None,
) -> LearningRateTest:  # fmt: skip
    """Find a learning rate: a short training in which it rises from step to step, until the loss diverges.

    The rates rise by the same factor in every step. The losses are smoothed by an exponential moving average, corrected
    for its start; the test ends when it exceeds its least value so far by ``divergence - 1`` times that value, or a
    loss is not finite.  The suggestion is the rate at which the loss falls fastest per factor of the rate: where the
    slope of a straight line through neighbouring losses (an eighth of all), over the logarithm of the rate, is most
    negative.  It suits the optimizer and the batch size that were tried.

    Afterwards the model's weights and states, its optimizer's state, steps and learning rate are as before, so that a
    training that follows has the bits that it would have had.

    x, y, sample_weight: as of ``fit``: arrays, which are shuffled, or batches that come one after the other.
    batch_size: samples of a step; steps: how many, at least 10.
    lowest, highest: the first and the last learning rate.
    smoothing: how much of the average remains at every step, from 0 to below 1.
    divergence: a smoothed loss so many times the least one ends the test, from 1 up.

    Raises ValueError for a model that is not compiled or whose optimizer has no learning rate, for other ranges, and if
    there are fewer than 10 steps before the loss is not finite.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.

    Example::

        found = jitnet.lr_find(model, x, y)
        found.plot("rates.png")
        model.optimizer.learning_rate = found.suggestion
    """
    name = "lr_find"
    steps = checks.integer(name, "steps", steps, least=FEWEST)
    lowest, highest = checks.positive(name, "lowest", lowest), checks.positive(name, "highest", highest)
    if highest <= lowest:
        raise invalid("lr_find expects highest to be more than lowest.", lowest=lowest, highest=highest)
    smoothing = checks.number(name, "smoothing", smoothing, least=0, below=1)
    divergence = checks.number(name, "divergence", divergence, least=1)
    model._require_compiled(name)
    optimizer = model.optimizer
    if "learning_rate" not in getattr(optimizer, "hyperparameter_names", ()):
        raise invalid("lr_find needs an optimizer with a learning rate.", optimizer=optimizer)
    rates = lowest * (highest / lowest) ** (np.arange(steps) / (steps - 1))
    losses, smoothed = _tried(model, x, y, sample_weight, batch_size, rates, smoothing, divergence)
    if len(losses) < FEWEST:
        raise invalid(
            f"lr_find needs at least {FEWEST} steps with a finite loss: give a lower `lowest` or more data.",
            steps=len(losses), loss=losses[-1],
        )  # fmt: skip
    return LearningRateTest(rates[: len(losses)], losses, smoothed)


def _tried(model, x, y, sample_weight, batch_size, rates, smoothing, divergence) -> tuple[list, list]:
    """The losses of a training with these rates, as far as it went, and their average."""
    optimizer, losses, smoothed, average = model.optimizer, [], [], 0.0
    batches = _batches(model, x, y, sample_weight, batch_size, len(rates))
    first = next(batches)  # for which the model is built
    with trained_here(model, model.trainable_weights), _as_before(model):
        for rate, (arrays, shapes, order) in zip(rates, itertools.chain([first], batches), strict=False):
            optimizer._hyperparameters["learning_rate"] = float(rate)  # also where a schedule governs it
            step = model._step("train", shapes, arrays=arrays)
            results = step.first_results.copy()
            model._run_batches(step, ("train", shapes), arrays, order, len(order), results)
            losses.append(read_logs(step, results, len(order))["loss"])
            average = smoothing * average + (1 - smoothing) * losses[-1]
            smoothed.append(average / (1 - smoothing ** len(losses)))
            least = min(smoothed)
            grows = len(losses) > FEWEST and smoothed[-1] > least + (divergence - 1) * abs(least)
            if grows or not math.isfinite(losses[-1]):
                break
    return losses, smoothed


def _batches(model, x, y, sample_weight, batch_size, steps):
    """Yield (arrays, shapes of the targets, order of the samples) of every step, all of one size where x is arrays."""
    if streams.is_stream(x):
        streams.refuse("x", x, y=y, sample_weight=sample_weight)
        for parts, _ in streams.Stream(x).epoch(steps, limit=lambda: 1):
            arrays, samples, shapes = model._prepare(*parts)
            yield arrays, shapes, np.arange(samples)
        return
    arrays, samples, shapes = model._prepare(x, y, sample_weight)
    size = min(checked_batch_size(batch_size, model._fixed_batch_size), samples)
    for epoch in itertools.count():
        order = model._order(samples, epoch)
        for begin in range(0, samples - size + 1, size):
            yield arrays, shapes, order[begin : begin + size]


@contextlib.contextmanager
def _as_before(model):
    """Afterwards the model's weights and states, and all of its optimizer, are what they were."""
    states = [state for layer in model._all_layers() for state in flatten(getattr(layer, "states", None) or [])]
    values = [(variable, np.array(variable.numpy())) for variable in dict.fromkeys([*model.weights, *states])]
    optimizer = model.optimizer
    iterations, state, numbers = optimizer.iterations, optimizer.state(), dict(optimizer._hyperparameters)
    variables, owned = list(optimizer._variables), set(optimizer._owned)
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
        optimizer._forget_state()
        optimizer.iterations, optimizer._variables, optimizer._owned = iterations, variables, owned
        optimizer.set_state(state)
        optimizer._hyperparameters.update(numbers)


def _steepest(rates, losses) -> float | None:
    """The rate where a straight line through the losses around it, over the logarithm of the rate, falls most."""
    width = max(5, len(rates) // 8) // 2
    finite = losses[np.isfinite(losses)]
    logarithms = np.log(rates[: len(finite)])
    if len(finite) < 2 * width + 1:
        return None
    slopes = []
    for middle in range(width, len(finite) - width):
        part = slice(middle - width, middle + width + 1)
        distance = logarithms[part] - logarithms[middle]
        slopes.append(distance @ finite[part] / (distance @ distance))
    best = int(np.argmin(slopes))
    return float(rates[width + best]) if slopes[best] < 0 else None
