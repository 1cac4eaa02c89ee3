"""Metrics, as in Keras 3: the mean over the samples of one value each, or any number that is made of sums."""

import functools
from dataclasses import dataclass

import numpy as np

from . import _registry, losses, ops
from ._fixed import Fixed, noticed
from ._settings import Adjustable, described
from .core import checks, trace
from .core.errors import NamesArguments, invalid, module_dir, module_getattr
from .core.operations.base import display, elements
from .core.operations.losses import Accuracy as AccuracyOperation
from .core.settings import Setting
from .core.values import Value, as_value
from .eager import evaluate_function
from .losses import checked_values, per_sample


class MetricVariable:
    """A number or an array that a metric adds up over batches, in float64.

    In a step it is summed with the step's results; on arrays it is added to at once.
    """

    def __init__(self, metric, shape, name):
        self._metric, self.shape, self.name = metric, tuple(shape), name
        self.value = np.zeros(self.shape)

    def assign_add(self, value) -> None:
        """Add to it: an array, or in a step a symbolic tensor of its shape, such as jitnet.ops.sum(values, axis=0)."""
        if isinstance(value, Value) or self._metric._contributions is not None:
            value = as_value(value)
            if value.batched or elements(value.shape) != self.value.size:
                raise ValueError(
                    f"The metric {self._metric.name!r} adds to {self.name} what has its shape, {self.shape}: reduce "
                    f"the batch with jitnet.ops.sum. Received: shape={display(value.shape)}"
                )
            self._metric._contribute(self, value)
        else:
            self.value = self.value + np.asarray(value, np.float64)

    def assign(self, value) -> None:
        """Overwrite it with an array."""
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
        "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__",
        "__neg__", "__abs__", "__lt__", "__le__", "__gt__", "__ge__", "__getitem__", "__len__",
    ):  # fmt: skip
        locals()[_name] = _delegated(_name)
    del _name, _delegated


@dataclass
class Traced:
    """The result of a metric, where a step computes it.

    values: (batch,) or a single number, whose mean it is; or contributions: [(variable, what is added to it)].
    """

    metric: "Metric"
    values: Value | None
    contributions: list


class Metric(Fixed, NamesArguments):
    """Base of the metrics.

    The mean over samples of one value each: a subclass gives ``values(y_true, y_pred)``, made of jitnet.ops: symbolic
    tensors in, values (batch, ...) out.  Anything else that sums add up to: it makes variables with ``add_variable``,
    adds to them in ``update_state(y_true, y_pred, sample_weight)`` with ``assign_add``, and computes ``result()`` of
    them, in NumPy.

    dtype: accepted for Keras's sake; must be None: a metric is computed in its model's dtype.
    """

    sparse = False  # y_true holds integer labels

    def __init__(self, dtype=None, name=None):
        if dtype is not None:
            raise invalid(f"{type(self).__name__} is computed in its model's dtype: dtype must be None.", dtype=dtype)
        self.name = checks.text("A metric", "name", name or _registry.snake_case(type(self).__name__))
        self._variables: list[MetricVariable] = []
        self._contributions: list | None = None  # what a step that is being traced adds to the variables
        self._values: list[Value] = []  # whose mean it is in such a step
        self.reset_state()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "result" in cls.__dict__:
            cls.result = _traced_result(cls.result)
        if "update_state" in cls.__dict__ and cls.result is not Metric.result:
            cls.update_state = _traced_update(cls.update_state)

    def add_variable(self, shape=(), initializer="zeros", dtype=None, name="variable") -> MetricVariable:
        """A variable that starts at zero and adds up over the batches of an epoch.

        initializer, dtype: accepted for Keras's sake; must be "zeros" and None or a float type.
        """
        if initializer not in ("zeros", None) or dtype not in (None, "float32", "float64"):
            raise invalid("A metric's variables start at zero.", initializer=initializer, dtype=dtype)
        self._variables.append(MetricVariable(self, shape, name))
        return self._variables[-1]

    def _contribute(self, variable: MetricVariable, value: Value) -> None:
        self._contributions = [*(self._contributions or []), (variable, value)]

    def values(self, y_true, y_pred):
        raise TypeError(f"{type(self).__name__} lacks a values method")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take a batch into account: arrays, or in a ``train_step`` symbolic tensors."""
        if isinstance(y_pred, Value):
            y_true = losses.symbolic_targets(self, y_true, y_pred)
            self._values = [*self._values, checked_values("metric", self.name, self.values(y_true, y_pred))]
            if sample_weight is not None:
                raise invalid("In a train_step metrics take no sample weights.", sample_weight=sample_weight)
            return
        y_true, y_pred = self._arrays(y_true, y_pred)
        values = evaluate_function(lambda p, t: per_sample(self.values(t, p)), y_pred, y_true)
        weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self._total += float((values * weights).sum())
        self._count += float(weights.sum())

    def _arrays(self, y_true, y_pred) -> tuple:
        y_pred = np.asarray(y_pred)
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        return losses.prepare_targets(self, np.asarray(y_true), y_pred.shape, y_pred.dtype), y_pred

    def result(self):
        """The mean so far; 0 before any batch."""
        if trace.collects_effects():
            return self.traced()
        return self._total / self._count if self._count else 0.0

    def traced(self, *arguments) -> Traced:
        """What a step computes of it, after an update with symbolic arguments, if there are any."""
        noticed(self)
        if arguments:
            self._contributions, self._values = [], []
            self.update_state(*arguments)
        found = Traced(self, _mean(self._values), self._contributions or [])
        self._contributions, self._values = None, []
        if found.values is None and not found.contributions:
            raise ValueError(f"The metric {self.name!r} has nothing to report: its update_state adds to no variable.")
        return found

    def result_of(self, sums: list) -> float:
        """The result for what its variables have added up to."""
        for variable, _ in sums:
            variable.value = np.zeros(variable.shape)
        for variable, value in sums:
            variable.value = variable.value + np.asarray(value).reshape(variable.shape)
        return float(self.result())

    def reset_state(self) -> None:
        self._total = 0.0
        self._count = 0.0
        for variable in self._variables:
            variable.value = np.zeros(variable.shape)

    reset_states = reset_state

    def __call__(self, y_true, y_pred, sample_weight=None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def _update_on_arrays(self, y_true, y_pred, sample_weight=None) -> None:
        """``update_state`` of a class of sums, on arrays."""
        y_true, y_pred = self._arrays(y_true, y_pred)
        weights = [] if sample_weight is None else [np.asarray(sample_weight, y_pred.dtype)]
        variables: list = []

        def contributions(p, t, *weights):
            found = self.traced(t, p, *weights).contributions
            variables[:] = [variable for variable, _ in found]
            return [value for _, value in found]

        sums = evaluate_function(contributions, y_pred, y_true, *weights)
        for variable, value in zip(variables, sums, strict=True):
            variable.value = variable.value + np.asarray(value, np.float64).reshape(variable.shape)

    def get_config(self) -> dict:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


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
    """``update_state`` of a user's class of sums, which on arrays does what it does in a step."""

    @functools.wraps(update)
    def method(self, y_true, y_pred, sample_weight=None):
        if isinstance(y_pred, Value):
            return update(self, y_true, y_pred, *([] if sample_weight is None else [sample_weight]))
        return self._update_on_arrays(y_true, y_pred, sample_weight)

    return method


class Mean(Metric):
    """The mean of what it is updated with: losses in a ``train_step``, or arrays."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)

    def update_state(self, values, sample_weight=None):
        if isinstance(values, Value):
            if sample_weight is not None:  # predictions, where it was given to compile
                raise invalid("In a step Mean takes values alone; compile takes no Mean.", sample_weight=sample_weight)
            self._values = [*self._values, per_sample(values) if values.batched else values]
            return
        values = np.asarray(values, np.float64)
        weights = np.ones(values.shape) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self._total += float((values * weights).sum())
        self._count += float(np.broadcast_to(weights, values.shape).sum())

    def __call__(self, values, sample_weight=None):
        self.update_state(values, sample_weight)
        return self.result()


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction (batch, classes) is the integer label (batch,)."""

    sparse = True

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        return AccuracyOperation("sparse_categorical_accuracy")(y_pred, y_true)


class SparseTopKCategoricalAccuracy(Metric):
    """How often the integer label is among the k largest predictions.

    from_sorted_ids: accepted for Keras's sake; must be False.
    """

    sparse = True

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False):
        super().__init__(dtype, name)
        if from_sorted_ids:
            raise invalid("Predictions are scores, not sorted ids.", from_sorted_ids=from_sorted_ids)
        self.k = checks.integer("SparseTopKCategoricalAccuracy", "k", k, least=1)

    def values(self, y_true, y_pred):
        return AccuracyOperation("sparse_top_k_categorical_accuracy", (self.k,))(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "k": self.k}


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the largest target is; both (batch, classes)."""

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        return AccuracyOperation("categorical_accuracy")(y_pred, y_true)


class BinaryAccuracy(Metric):
    """How often a prediction is on the target's side of ``threshold``, mean over the last axis."""

    threshold = Adjustable(finite=False)

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(dtype, name)
        self.threshold = threshold

    def values(self, y_true, y_pred):
        return AccuracyOperation("binary_accuracy", (Setting(self, "threshold"),))(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "threshold": described(self.threshold)}


class LossMetric(Metric):
    """A loss, or a user's function (y_true, y_pred), as a metric."""

    def __init__(self, loss, name=None, dtype=None):
        self.loss = losses.get(loss)
        super().__init__(dtype, name or self.loss.name)

    @property
    def sparse(self):
        return self.loss.sparse

    def values(self, y_true, y_pred):
        return self.loss.call(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "loss": losses.serialize(self.loss)}


def _loss_metric(loss: type):
    class LossAsMetric(LossMetric):
        __doc__ = loss.__doc__

        def __init__(self, name=None, dtype=None):
            super().__init__(loss(), name, dtype)

        def get_config(self):
            return {"name": self.name}

    LossAsMetric.__name__ = LossAsMetric.__qualname__ = loss.__name__
    return LossAsMetric


MeanSquaredError = _loss_metric(losses.MeanSquaredError)
MeanAbsoluteError = _loss_metric(losses.MeanAbsoluteError)

KNOWN = _registry.by_name(
    [
        SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy, CategoricalAccuracy, BinaryAccuracy,
        MeanSquaredError, MeanAbsoluteError,
    ],
    mse=MeanSquaredError, mae=MeanAbsoluteError, LossMetric=LossMetric,
)  # fmt: skip
_ACCURACY = ("accuracy", "acc")


def get(identifier, loss=None, prediction_shape=None) -> Metric:
    """A metric from an instance, a class, a config, a name or a function (y_true, y_pred).

    "accuracy" becomes the accuracy that fits ``loss`` and the shape of the predictions.
    """
    if isinstance(identifier, str) and identifier in _ACCURACY:
        if getattr(loss, "sparse", False):
            metric = SparseCategoricalAccuracy(identifier)
        elif prediction_shape is not None and prediction_shape[-1] > 1 and not isinstance(
            loss, losses.BinaryCrossentropy
        ):
            metric = CategoricalAccuracy(identifier)
        else:
            metric = BinaryAccuracy(identifier)
        return metric
    if isinstance(identifier, str) and identifier in losses.KNOWN and identifier not in KNOWN:
        return LossMetric(identifier, identifier)
    if isinstance(identifier, losses.Loss):
        return LossMetric(identifier)
    known = {**KNOWN, **dict.fromkeys(_ACCURACY)}
    found = _registry.get(identifier, known, kind="metric")
    if found is None or isinstance(found, Metric):
        return found
    return LossMetric(found, getattr(found, "__name__", None))


def serialize(metric) -> dict | str:
    """A name as it is, a metric as ``{"class_name": ..., "config": {...}}``."""
    return metric if isinstance(metric, str) else _registry.serialize(metric)


__getattr__ = module_getattr(__name__, "metric")
__dir__ = module_dir(__name__, without=("MetricVariable", "Traced"))
