"""Metrics, as in Keras 3: the mean over the samples of one value each."""

import numpy as np

from . import _registry, losses
from ._fixed import Fixed
from ._settings import Adjustable, described
from .core import checks
from .core.errors import NamesArguments, invalid, module_getattr
from .core.operations.losses import Accuracy as AccuracyOperation
from .core.settings import Setting
from .losses import per_sample


class Metric(Fixed, NamesArguments):
    """Base of the metrics that are a mean over samples.

    A subclass gives ``values(y_true, y_pred)``, made of jitnet.ops: symbolic tensors in, values (batch, ...) out.

    dtype: accepted for Keras's sake; must be None: a metric is computed in its model's dtype.
    """

    sparse = False  # y_true holds integer labels

    def __init__(self, dtype=None, name=None):
        if dtype is not None:
            raise invalid(f"{type(self).__name__} is computed in its model's dtype: dtype must be None.", dtype=dtype)
        self.name = checks.text("A metric", "name", name or _registry.snake_case(type(self).__name__))
        self.reset_state()

    def values(self, y_true, y_pred):
        raise TypeError(f"{type(self).__name__} lacks a values method")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take a batch of arrays into account."""
        from .eager import evaluate_function

        y_pred = np.asarray(y_pred)
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        y_true = losses.prepare_targets(self, np.asarray(y_true), y_pred.shape, y_pred.dtype)
        values = evaluate_function(lambda p, t: per_sample(self.values(t, p)), y_pred, y_true)
        weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self._total += float((values * weights).sum())
        self._count += float(weights.sum())

    def result(self) -> float:
        """The mean so far; 0 before any batch."""
        return self._total / self._count if self._count else 0.0

    def reset_state(self) -> None:
        self._total = 0.0
        self._count = 0.0

    def __call__(self, y_true, y_pred, sample_weight=None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def get_config(self) -> dict:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


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
