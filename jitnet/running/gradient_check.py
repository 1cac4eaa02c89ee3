"""Gradients held against differences of the loss: for layers, losses and activations of users' own."""

import contextlib
import copy
import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._fixed import tracing
from .._places import paths
from .._structures import flatten
from ..config import floatx, set_floatx
from ..core import checks
from ..core.errors import invalid
from ..core.locks import building
from ..core.values import Constant, Value, Variable
from ..models import Model
from ..step import Step, target_of
from .stored import loaded

STEPS = (1e-5, 1e-6, 1e-7)  # relative to the element, or absolute below 1: the smaller ones step over no kink
SMALL = 1e-3  # of an array's largest gradient: below it errors are relative to this
ROUNDING = 50 * np.finfo(float).eps  # of a loss, relative


class CheckedArray(NamedTuple):
    """What was found of a weight or an input.

    name: ``layer/weight``, with the models that the layer is in before it, or that of the argument of the step.
    checked, kinks: elements that were looked at, and those of them where the loss has no derivative.
    largest_error: relative, of the others; worst: the index of that element, whose ``gradient`` is the step's and whose
        ``difference`` is the loss's.
    """

    name: str
    shape: tuple
    checked: int
    kinks: int
    largest_error: float
    worst: tuple
    gradient: float
    difference: float
    ok: bool


class GradientCheck:
    """The result of ``gradient_check``: ``ok``, ``arrays`` (a list of ``CheckedArray``), and as text a table."""

    def __init__(self, arrays: list[CheckedArray], tolerance: float):
        self.arrays, self.tolerance = arrays, tolerance

    @property
    def ok(self) -> bool:
        """Whether no gradient is wrong by more than ``tolerance``."""
        return all(array.ok for array in self.arrays)

    def __str__(self):
        width = max([len("array"), *(len(array.name) for array in self.arrays)])
        lines = [f"{'array':<{width}}  checked  kinks    error  worst element: gradient, difference of the loss"]
        for a in self.arrays:
            found = f"[{', '.join(map(str, a.worst))}]: {a.gradient:.6g}, {a.difference:.6g}"
            verdict = "" if a.ok else "  WRONG"
            lines.append(f"{a.name:<{width}}  {a.checked:7}  {a.kinks:5}  {a.largest_error:7.1e}  {found}{verdict}")
        wrong = [a.name for a in self.arrays if not a.ok]
        if kinks := sum(a.kinks for a in self.arrays):
            lines.append(f"{kinks} elements have no derivative: the loss has a kink there.")
        lines.append(f"Wrong: {', '.join(wrong)}" if wrong else f"All gradients are right to {self.tolerance:g}.")
        return "\n".join(lines)

    __repr__ = __str__


def gradient_check(model, x, y, sample_weight=None, samples=8, tolerance=1e-5, seed=0) -> GradientCheck:
    """Hold the gradients of a model's training step against differences of its loss: are layers' backward passes right?

    It looks at some elements of every trainable weight and of x, for a batch of all of x, with dropout and the like as
    in one and the same step.  The model stays as it is: a copy of it computes, in double precision.  An element at
    which the loss has a kink, its slopes on both sides being different, is counted and not judged: a ReLU at 0, say.

    Args:
        model: compiled with a loss.
        x, y, sample_weight: one batch, as of ``fit``; a few samples suffice.
        samples: how many elements of each array; the one with the largest gradient is always among them.
        tolerance: of the difference of the two, relative to the larger; of gradients below a thousandth of the
            array's largest, relative to that thousandth.
        seed: of the choice of elements, and of what layers draw.

    Returns:
        A ``GradientCheck``: ``result.ok``, ``result.arrays`` with the largest error of each and its element; printed,
        it is a table.

    Raises:
        TypeError: ``model`` is no model.
        ValueError: it has no loss, or a ``train_step`` of its own.

    Example::

        model.compile("sgd", my_loss)
        print(jitnet.gradient_check(model, x[:4], y[:4]))

    Source: central differences, as in Press et al., Numerical Recipes, section 5.7.
    """
    if not isinstance(model, Model):
        raise TypeError(f"gradient_check expects a model. Received: {model!r}")
    samples = checks.integer("gradient_check", "samples", samples, 1)
    seed = checks.integer("gradient_check", "seed", seed, 0)
    if not isinstance(tolerance, float) or not 0 < tolerance < 1:
        raise invalid("gradient_check expects a tolerance between 0 and 1.", tolerance=tolerance)
    model._require_compiled("gradient_check")
    model._prepare_inputs(x)  # which builds it
    before = floatx()
    set_floatx("float64")
    try:
        network = _Network(_in_double_precision(model), (x, y, sample_weight), seed)
        rng = np.random.default_rng(seed)
        arrays = [_checked(network, array, rng, samples, tolerance) for array in network.arrays]
    finally:
        set_floatx(before)
    return GradientCheck(arrays, tolerance)


def _in_double_precision(model):
    """A copy of a model, with weights, constants and inputs in double precision, and without an optimizer."""
    copied = copy.deepcopy(model)
    for layer in copied._parts():
        layer._policy = layer._built_policy = "float64"
        for variable in layer._weights:
            _widen(variable)
        for node in getattr(layer, "_nodes", ()):
            for value in flatten([node.arguments, list(node.keywords.values()), node.outputs]):
                _widen(value)
        for value in [*(getattr(layer, "_graph_inputs", None) or ()), *(getattr(layer, "_graph_outputs", None) or ())]:
            _widen(value)
    copied.optimizer = None
    copied._compiled = {**copied._compiled, "metrics": [], "weighted_metrics": []}
    if copied._is_custom("train"):
        raise invalid(
            "gradient_check takes gradients of the loss that compile was given: take those of a train_step of your "
            "own with jitnet.value_and_grad.",
            model=model.name,
        )  # fmt: skip
    copied._forget_steps()
    return copied


def _widen(value) -> None:
    """Let a value of the copy be one of double precision."""
    if not isinstance(value, Value) or value.dtype != "float32":
        return
    value.dtype = "float64"
    if isinstance(value, Variable):
        value._live_in(value._value.astype(np.float64))
    elif isinstance(value, Constant):
        value.array = value.array.astype(np.float64)


class _Array(NamedTuple):
    """A weight or an input of the copy: how its value is read and written, and its gradient."""

    name: str
    value: np.ndarray
    gradient: np.ndarray
    assign: object


class _Network:
    """A copy of a model with one batch: its loss, and the gradients of its step."""

    def __init__(self, model, batch: tuple, seed: int):
        found, self._samples, shapes = model._prepare(*batch)
        self._data = {name: np.array(loaded(array)) for name, array in found.items()}
        weighted = tuple(a.shape[1:] for name, a in self._data.items() if name.startswith("sample_weight_"))
        trainable = model.trainable_weights
        with building, tracing():
            sizes = model._sizes(self._data)
            computation, _, inputs = model._computation("train", tuple(trainable), shapes, weighted, sizes)
            wanted = [x for x in inputs if x.dtype.startswith("float")]
            computation = replace(computation, gathered=False, wanted_inputs=wanted)
            self._step = Step("Gradients to be checked.", computation, target=target_of("cpu"))
        self._states = [(v, v.numpy()) for v in model.non_trainable_weights]
        given = [name for name, x in zip(model._input_arguments(), inputs, strict=True) if x in wanted]
        out = {name: np.zeros_like(self._data[x]) for name, x in zip(self._step.gradient_arguments, given, strict=True)}
        results = np.zeros(self._step.results)
        self._arrays = {**self._data, **out, "seed": seed, "t": model._iteration(), "results": results}
        self.loss()
        gradients = {v: g.copy() for v, g in self._step.variable_gradients().items()}
        owners = {v: path for layer, path in reversed(paths(model).items()) for v in layer._weights}
        self.arrays = []
        for v in trainable:
            name = f"{owners.get(v, model.name)}/{v.name.rpartition('/')[2]}"
            self.arrays.append(_Array(name, v.numpy(), gradients[v], v.assign))
        for name, gradient in zip(given, out.values(), strict=True):
            array = self._data[name]
            self.arrays.append(_Array(name, array.copy(), gradient.copy(), lambda value, a=array: np.copyto(a, value)))

    def loss(self) -> float:
        for variable, value in self._states:  # which a step moves, such as a batch's statistics
            variable.assign(value)
        self._arrays["results"][:] = 0
        self._step.run(self._samples, 1, dict(self._arrays), compiled=False)
        return float(self._arrays["results"][0] / self._samples)


def _checked(network: _Network, array: _Array, rng, samples: int, tolerance: float) -> CheckedArray:
    flat = np.abs(array.gradient).reshape(-1)
    order = rng.permutation(flat.size)
    largest = int(np.nanargmax(flat)) if flat.size and not np.isnan(flat).all() else 0
    chosen = [largest, *(i for i in order.tolist() if i != largest)][: min(samples, flat.size)]
    at, least = network.loss(), SMALL * np.nanmax(flat, initial=0)
    kinks, worst = 0, (-1.0, 0, 0.0, 0.0)
    for i in chosen:
        gradient = float(array.gradient.reshape(-1)[i])
        error, difference, kink = _compared(network, array, i, at, gradient, least, tolerance)
        kinks += kink
        if not kink and not error <= worst[0]:  # NaN counts as the largest
            worst = error, i, gradient, difference
            if math.isnan(error):
                break
    error, i, gradient, difference = worst
    index = tuple(int(k) for k in np.unravel_index(i, array.value.shape)) if flat.size else ()
    error = max(error, 0.0) if not math.isnan(error) else error
    return CheckedArray(
        array.name, array.value.shape, len(chosen), kinks, error, index, gradient, difference, error <= tolerance
    )


def _compared(network, array: _Array, i: int, at: float, gradient: float, least: float, tolerance: float) -> tuple:
    """(relative error of an element's gradient, difference of the loss, whether the loss has a kink there).

    at: the loss; least: what errors are relative to, at least.
    """
    best, gaps = (math.inf, math.nan), []
    for step in STEPS:
        up, down, step = _around(network, array, i, step)
        central, right, left = (up - down) / (2 * step), (up - at) / step, (at - down) / step
        if not math.isfinite(central + gradient):
            return math.nan, central, False
        rounding = ROUNDING * abs(at) / step
        error = abs(central - gradient) / max(abs(central), abs(gradient), least, rounding / tolerance, 1e-300)
        best = min(best, (error, central))
        if error <= tolerance:
            return error, central, False
        gaps.append(abs(right - left))
    # of a smooth function the slopes on both sides meet as fast as the step shrinks
    slack = tolerance * max(abs(left), abs(right)) + rounding
    return *best, gaps[-1] > gaps[-2] / 2 and gaps[-1] > slack


def _around(network, array: _Array, i: int, step: float) -> tuple[float, float, float]:
    """The loss with an element moved up and down, and by how much."""
    place, found = np.unravel_index(i, array.value.shape), []
    step *= max(1.0, abs(float(array.value[place])))
    with contextlib.ExitStack() as stack:
        stack.callback(array.assign, array.value)
        for moved in (step, -step):
            value = array.value.copy()
            value[place] += moved
            array.assign(value)
            found.append(network.loss())
    return found[0], found[1], step
