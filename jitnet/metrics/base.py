"""What a metric is: the mean over the samples of one value each, or any number that is made of sums."""

import functools
import inspect
import math
from dataclasses import dataclass

import numpy as np

from .. import _registry, initializers, losses, ops
from .._fixed import Fixed, noticed
from ..core import checks, trace
from ..core.errors import NamesArguments, SamplesPairedError, invalid
from ..core.lengths import Samples
from ..core.operations.base import display, elements
from ..core.policy import floatx
from ..core.values import Value, as_value
from ..eager import Evaluated, evaluate_function
from ..losses import checked_values, per_sample
from ..losses.base import aligned, aligned_array, compared, mask_of, with_other_rank


class MetricVariable:
    """What a metric adds up over batches, a number or an array, in float64, or of which it keeps the extremes.

    In a step it is summed with the step's results; on arrays it is added to at once.

    kept: "sum", "maximum" or "minimum", as the metric's first update says.
    """

    kept = None

    def __init__(self, metric, shape, name, initial=0.0):
        self._metric, self.shape, self.name = metric, tuple(shape), name
        self._initial = np.broadcast_to(np.asarray(initial, np.float64), self.shape)
        self.reset()

    def reset(self) -> None:
        """What it starts with in every epoch."""
        self.value = self._initial.copy()

    def assign_add(self, value) -> None:
        """Add to it: an array, or in a step a symbolic tensor of its shape, such as jitnet.ops.sum(values, axis=0).

        Of ``jitnet.ops.shape(x)[0]`` that is the number of samples of the batch.
        """
        value = ops.cast(value, floatx()) if isinstance(value, Samples) else value
        if isinstance(value, Value) or self._metric._contributions is not None:
            self._take(as_value(value), "sum")
        else:
            self.value = self.value + np.asarray(value, np.float64)

    def _take(self, value: Value, kept: str) -> None:
        """Add a symbolic value to it, or keep the extreme of both, whenever the step runs."""
        reduced = {"sum": "sum", "maximum": "max", "minimum": "min"}[kept]
        if value.batched or elements(value.shape) != self.value.size:
            verb = "adds to" if kept == "sum" else "compares with"
            raise ValueError(
                f"The metric {self._metric.name!r} {verb} {self.name} what has its shape, {self.shape}: reduce "
                f"the batch with jitnet.ops.{reduced}. Received: shape={display(value.shape)}"
            )
        if self.kept not in (None, kept):
            raise invalid(
                f"The metric {self._metric.name!r} updates {self.name} in one way: adds to it, or keeps a maximum, or "
                "a minimum.", first=self.kept, then=kept,
            )  # fmt: skip
        self.kept = kept
        # results keep sums and maxima
        self._metric._contribute(self, ops.negative(value) if kept == "minimum" else value)

    @property
    def first_result(self):
        """What the results of a step have of it before the first batch."""
        return {"maximum": self._initial, "minimum": -self._initial}.get(self.kept, 0.0)

    def take_result(self, found) -> None:
        """Take what the results of a step have of it into account."""
        found = np.asarray(found, np.float64).reshape(self.shape)
        if self.kept in ("maximum", "minimum"):
            self.value = np.maximum(self.value, found) if self.kept == "maximum" else np.minimum(self.value, -found)
        else:
            self.value = self.value + found

    def kept_as(self, kept: str, value: Value) -> "_Extreme":
        """The larger one ("maximum") or the smaller one ("minimum") of itself and a symbolic value."""
        return _Extreme(self, kept, value)

    def assign(self, value) -> None:
        """Overwrite it with an array.

        In a step, with the sum of itself and what is added, ``variable + value``, or with an extreme:
        ``jitnet.ops.maximum(variable, jitnet.ops.max(values))``, or ``minimum``.
        """
        if isinstance(value, _Sum) and value.variable is self:
            self.assign_add(value.added)
        elif isinstance(value, _Extreme) and value.variable is self:
            self._take(value.value, value.kept)
        elif isinstance(value, Value | _Sum | _Extreme):
            raise ValueError(
                f"In a step the metric {self._metric.name!r} can add to {self.name}, with assign_add(value) or "
                f"assign({self.name} + value), or keep an extreme, with assign(jitnet.ops.maximum({self.name}, value)) "
                f"or minimum. Received: {value!r}"
            )
        else:
            self.value = np.broadcast_to(np.asarray(value, np.float64), self.shape).copy()

    def numpy(self) -> np.ndarray:
        return self.value.copy()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=dtype)

    def __float__(self):
        return float(self.value)

    def _delegated(name):
        def method(self, *others):
            return getattr(self.value, name)(*(o.value if isinstance(o, MetricVariable) else o for o in others))

        return method

    for _name in (
        "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__",
        "__neg__", "__abs__", "__lt__", "__le__", "__gt__", "__ge__", "__getitem__", "__len__",
    ):  # fmt: skip
        locals()[_name] = _delegated(_name)
    del _name, _delegated

    def __add__(self, other):
        if isinstance(other, Value | Samples):
            return _Sum(self, other)
        return self.value + (other.value if isinstance(other, MetricVariable) else other)

    __radd__ = __add__


@dataclass
class _Sum:
    """A variable and what a step adds to it."""

    variable: MetricVariable
    added: Value

    def __add__(self, other):
        return _Sum(self.variable, self.added + other)


@dataclass
class _Extreme:
    """The larger or smaller one of a variable and a value."""

    variable: MetricVariable
    kept: str
    value: Value


@dataclass
class Traced:
    """The result of a metric, where a step computes it.

    values: (batch,) or a single number, whose mean it is; or contributions: [(variable, what is added to it, or what
        its maximum is taken with)].
    """

    metric: "Metric"
    values: Value | None
    contributions: list


class Metric(Fixed, NamesArguments):
    """Base of the metrics.

    The mean over samples of one value each: a subclass gives ``values(y_true, y_pred)``, made of jitnet.ops: symbolic
    tensors in, values (batch, ...) out; a single number for a batch counts once, as in Keras, so that the last, smaller
    batch counts as much as others.  Anything else that sums add up to: it makes variables with ``add_variable``,
    adds to them in ``update_state(y_true, y_pred, sample_weight)`` with ``assign_add``, and computes ``result()`` of
    them, in NumPy.

    dtype: accepted for Keras's sake; must be None: a metric is computed in its model's dtype.
    """

    sparse = False  # y_true holds integer labels
    _takes_vectors = False  # predictions (n,) are one sample of n numbers, not n samples

    def __init__(self, dtype=None, name=None):
        if dtype is not None:
            raise invalid(f"{type(self).__name__} is computed in its model's dtype: dtype must be None.", dtype=dtype)
        self.name = checks.text("A metric", "name", name or _registry.snake_case(type(self).__name__))
        self._variables: list[MetricVariable] = []
        self._contributions: list | None = None  # what a step that is being traced adds to the variables
        self._values: list[Value] = []  # whose mean it is in such a step
        self._evaluated = Evaluated(self.name)
        self._total, self._count = MetricVariable(self, (), "total"), MetricVariable(self, (), "count")

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "result" in cls.__dict__:
            cls.result = _traced_result(cls.result)
        if "update_state" in cls.__dict__:
            cls.update_state = _traced_update(cls.update_state)

    def add_variable(
        self, shape=(), initializer="zeros", dtype=None, aggregation="sum", name="variable"
    ) -> MetricVariable:
        """A variable that adds up over the batches of an epoch, from what the initializer says, or keeps an extreme.

        dtype: accepted for Keras's sake; None or a float type: sums are float64.  aggregation: "sum".
        """
        if dtype not in (None, "float32", "float64"):
            raise invalid("A metric's variables are numbers of floating point.", dtype=dtype)
        if aggregation not in ("sum", None):
            raise invalid("A metric's variables add up over batches.", aggregation=aggregation)
        shape = checks.sizes(type(self).__name__, "shape", shape)
        initial = 0.0 if initializer in ("zeros", None) else initializers.get(initializer)(shape, "float64")
        self._variables.append(MetricVariable(self, shape, name or "variable", initial))
        return self._variables[-1]

    def add_weight(self, shape=(), initializer=None, dtype=None, name=None) -> MetricVariable:
        """``add_variable``, as Keras calls it, too."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[MetricVariable]:
        """What ``add_variable`` made."""
        return list(self._variables)

    def _contribute(self, variable: MetricVariable, value: Value) -> None:
        if self._is_reported():
            self._contributions = [*(self._contributions or []), (variable, value)]

    def _is_reported(self) -> bool:
        """Whether anything reports a symbolic update: the metric's own trace, or a model's step.

        A layer that updates one in its ``call`` is also traced for other purposes.
        """
        return self._contributions is not None or trace.takes_update(self)

    def forget_updates(self) -> None:
        """Forget what the step that was traced updated it with."""
        self._contributions, self._values = None, []

    def values(self, y_true, y_pred):
        raise TypeError(f"{type(self).__name__} lacks a values method")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take a batch into account: arrays, or in a ``train_step`` symbolic tensors.

        sample_weight: (batch,), or the first axes of the values: the mean is the weighted one.
        """
        if isinstance(y_pred, Value):
            y_true = losses.symbolic_targets(self, y_true, y_pred)
            values = checked_values(self.name, compared(self.values, y_true, y_pred))
            if not values.batched:
                self._take_number(values, sample_weight, getattr(y_pred, "mask", None))
                return
            given = mask_of(y_pred, values)
            if given is not None:
                weights = as_value(1.0 if sample_weight is None else sample_weight, values.dtype)
                sample_weight = given * aligned(weights, values)
            mask = None if sample_weight is None else self._mask(y_true, y_pred, values)
            self._take(values, sample_weight, mask)
            return

        def values_and_mask(predictions, targets):
            noticed(self)
            values = compared(self.values, targets, predictions)
            mask = None if sample_weight is None else self._mask(targets, predictions, values)
            return [values] if mask is None else [values, mask], None

        y_true, y_pred = self._arrays(y_true, y_pred)
        found, _ = self._evaluated(values_and_mask, sample_weight is None, y_pred, y_true)
        values, mask = [*found, None][:2]
        if sample_weight is not None and np.ndim(values) == 0:
            raise self._not_weighed("weights")
        self._take_array(values, sample_weight, mask)

    def _mask(self, y_true, y_pred, values):
        """1 for the weighted values that count, 0 for others, of the shape of ``values``; None: all do."""
        return None

    def _take(self, values, weights=None, mask=None) -> None:
        """Count symbolic values (batch, ...), or a single number, in the mean."""
        if weights is None:
            if self._is_reported():
                self._values = [*self._values, per_sample(values) if values.batched else values]
            return
        weights = aligned(as_value(weights, values.dtype), values)
        weights = weights if mask is None else weights * mask
        self._contribute(self._total, ops.sum(per_sample(values * weights)))
        self._contribute(self._count, ops.sum(per_sample(weights)))

    def _take_number(self, value, weights, mask) -> None:
        """Count a batch's symbolic number once in the mean, as Keras does, of however many samples it is."""
        if weights is not None or mask is not None:
            raise self._not_weighed("a mask" if weights is None else "weights")
        self._contribute(self._total, value)
        self._contribute(self._count, as_value(1.0, value.dtype))

    def _not_weighed(self, by: str) -> ValueError:
        return ValueError(
            f"The metric {self.name!r} is a single number for a batch, which {by} of samples cannot weigh: return "
            f"values (batch,) or (batch, ...), or take the number without {by}."
        )

    def _take_array(self, values, weights=None, mask=None) -> None:
        """The same for arrays."""
        values = np.asarray(values, np.float64)
        weights = np.ones(values.shape[:1]) if weights is None else np.asarray(weights, np.float64)
        weights = aligned_array(np.broadcast_to(weights, values.shape[:1]) if weights.ndim == 0 else weights, values)
        weights = weights if mask is None else weights * mask
        self._total.assign_add(_rows(values * weights).mean(axis=1).sum())
        self._count.assign_add(_rows(np.broadcast_to(weights, values.shape)).mean(axis=1).sum())

    def _arrays(self, y_true, y_pred) -> tuple:
        y_pred, y_true = np.asarray(y_pred), np.asarray(y_true)
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(floatx())
        if self._takes_vectors and y_pred.ndim == 1 and y_true.shape == y_pred.shape:
            y_true, y_pred = y_true[None], y_pred[None]
        return losses.prepare_targets(self, y_true, y_pred.shape, y_pred.dtype), y_pred

    def result(self):
        """The mean so far; 0 before any batch."""
        if trace.collects_effects():
            return self.traced()
        count = float(self._count)
        return float(self._total) / count if count else 0.0

    def traced(self, *arguments) -> Traced:
        """What a step computes of it, after an update with symbolic arguments, if there are any."""
        noticed(self)
        if arguments:
            self._contributions, self._values = [], []
            self.update_state(*arguments)
        found = Traced(self, _mean(self._values), self._contributions or [])
        if found.values is None and not found.contributions and not arguments:
            variables = self._variables or (self._total, self._count)
            found.contributions = [(v, as_value(np.zeros(v.shape or (1,), floatx()))) for v in variables]
        if arguments:
            self.forget_updates()
        if found.values is None and not found.contributions:
            raise ValueError(f"The metric {self.name!r} has nothing to report: its update_state adds to no variable.")
        if found.values is not None and found.contributions:
            raise ValueError(f"The metric {self.name!r} was updated with weights and without: it needs one of both.")
        return found

    def result_of(self, sums: list):
        """The result for what its variables have added up to: a float, or an array."""
        for variable, _ in sums:
            variable.reset()
        for variable, value in sums:
            variable.take_result(value)
        found = self.result()
        return np.array(found) if np.ndim(found) else float(found)

    def result_of_mean(self, total: float, count: float):
        """The result for a sum of ``count`` values."""
        return self.result_of([(self._total, total), (self._count, count)])

    def reset_state(self) -> None:
        for variable in (self._total, self._count, *self._variables):
            variable.reset()

    reset_states = reset_state

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def _update_on_arrays(self, *given, sample_weight=None) -> None:
        """``update_state`` of a class of sums, on arrays: (y_true, y_pred), or values."""
        if len(given) == 2:
            given = self._arrays(*given)
        else:
            given = [np.asarray(x, floatx()) if np.asarray(x).dtype.kind != "f" else np.asarray(x) for x in given]
            given = [np.atleast_1d(x) for x in given]
        weights = [] if sample_weight is None else [np.asarray(sample_weight, given[-1].dtype)]
        if weights and weights[0].ndim == 0:
            weights = [np.full(len(given[-1]), weights[0])]

        def contributions(*values):
            found = self.traced(*values)
            if found.values is not None:
                return [found.values], []
            variables, added = zip(*found.contributions, strict=True)
            return list(added), variables

        sums, variables = self._evaluated(contributions, len(given), *given, *weights)
        if not variables:
            self._take_array(np.atleast_1d(sums[0]))
            return
        for variable, value in zip(variables, sums, strict=True):
            variable.take_result(value)

    def get_config(self) -> dict:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), math.prod(values.shape[1:])) if values.ndim else values.reshape(1, 1)


def _mean(values: list):
    """The mean of what a step updates a metric with, several times maybe; None of nothing."""
    if not values:
        return None
    if len({value.batched for value in values}) > 1:
        values = [ops.mean(value) if value.batched else value for value in values]
    total = functools.reduce(ops.add, values)
    return total if len(values) == 1 else total / len(values)


def _traced_result(result):
    """``result`` of a user's class, which in a step that is being traced stands for what it will be."""

    @functools.wraps(result)
    def method(self):
        return self.traced() if trace.collects_effects() else result(self)

    return method


def _traced_update(update):
    """``update_state`` of a subclass; where that is one of sums, it does on arrays what it does in a step."""

    names = list(inspect.signature(update).parameters)[1:]

    @functools.wraps(update)
    def method(self, *given, **named):
        arguments = {**dict(zip(names, given, strict=False)), **named}
        is_mean = type(self).result is Metric.result
        if is_mean or self._contributions is not None or any(isinstance(x, Value) for x in arguments.values()):
            before = self._contributions, self._values
            try:
                return update(self, *given, **named)
            except SamplesPairedError:
                other = with_other_rank(arguments.get("y_true"))
                if other is None:
                    raise
                self._contributions, self._values = before
                return update(self, **{**arguments, "y_true": other})
        sample_weight = arguments.pop("sample_weight", None)
        return self._update_on_arrays(*arguments.values(), sample_weight=sample_weight)

    return method


class Mean(Metric):
    """The mean of what it is updated with: losses in a ``train_step``, or arrays; a number counts once, as in Keras."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)

    @property
    def total(self) -> float:
        """The weighted sum of the values so far."""
        return float(self._total)

    @property
    def count(self) -> float:
        """The sum of their weights."""
        return float(self._count)

    def update_state(self, values, sample_weight=None):
        if not isinstance(values, Value):
            self._take_array(values, sample_weight)
        elif sample_weight is None and not values.batched:
            self._take_number(values, None, None)
        else:
            self._take(values, sample_weight)

    def __call__(self, values, sample_weight=None):
        self.update_state(values, sample_weight)
        return self.result()


class Sum(Metric):
    """The weighted sum of what it is updated with: numbers in a ``train_step``, or arrays."""

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values, sample_weight=None):
        if sample_weight is not None:
            values = values * (aligned(sample_weight, values) if values.batched else sample_weight)
        self.total.assign_add(ops.sum(values))

    def result(self):
        return float(self.total)

    def __call__(self, values, sample_weight=None):
        self.update_state(values, sample_weight)
        return self.result()


def takes_targets(metric: Metric) -> bool:
    """Whether it compares targets with predictions, and so can be given to ``compile``."""
    return type(metric).update_state not in (Mean.update_state, Sum.update_state)


def as_function(cls: type, name: str):
    """The function (y_true, y_pred, ...) of a metric class: its values, one per sample or position."""
    own = [p for p in list(inspect.signature(cls.__init__).parameters.values())[1:] if p.name not in ("name", "dtype")]

    def function(y_true, y_pred, *arguments, **keywords):
        names = [parameter.name for parameter in own]
        metric = cls(**dict(zip(names, arguments, strict=False)), **keywords)
        if isinstance(y_pred, Value):
            return metric.values(losses.symbolic_targets(metric, y_true, y_pred), y_pred)
        y_true, y_pred = metric._arrays(y_true, y_pred)
        return evaluate_function(lambda p, t: metric.values(t, p), y_pred, y_true)

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("y_true", "y_pred")]
    function.__signature__ = inspect.Signature([*parameters, *own])
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The values of ``metrics.{cls.__name__}``.\n\n    {(cls.__doc__ or '').strip()}\n    "
    function.metric_class = cls
    return function
