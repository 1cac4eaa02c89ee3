"""How often predictions are right."""

from .. import _registry, losses, ops
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations.losses import Accuracy as AccuracyOperation
from ..core.settings import Setting
from .base import Metric


def _equal(a, b):
    """1 where a and b are equal, else 0."""
    return 1.0 - ops.absolute(ops.sign(a - b))


def _column(x):
    """Numbers (batch,) as (batch, 1)."""
    return ops.reshape(x, (-1, 1)) if x.ndim == 1 else x


class Accuracy(Metric):
    """How often predictions equal targets, both (batch, ...) of any numbers.

    In ``compile`` the name "accuracy" stands for the accuracy that fits the loss; this one is given as an object.
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
            y_true = ops.reshape(y_true, (-1, *y_true.shape[1:-1]))
        elif y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
            y_pred = ops.reshape(y_pred, (-1, *y_pred.shape[1:-1]))
        return _equal(y_true, y_pred)


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction (batch, classes) is the integer label (batch,)."""

    sparse = True

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        return AccuracyOperation("sparse_categorical_accuracy")(y_pred, y_true)


class SparseTopKCategoricalAccuracy(Metric):
    """How often the integer label is among the k largest predictions.

    from_sorted_ids: predictions are labels (batch, at least k), the best first, instead of scores.
    """

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False):
        super().__init__(dtype, name)
        self.k = checks.integer("SparseTopKCategoricalAccuracy", "k", k, least=1)
        self.from_sorted_ids = checks.boolean("SparseTopKCategoricalAccuracy", "from_sorted_ids", from_sorted_ids)

    sparse = True

    def _classes(self, prediction_shape):
        return None if self.from_sorted_ids else prediction_shape[-1]

    def values(self, y_true, y_pred):
        if not self.from_sorted_ids:
            return AccuracyOperation("sparse_top_k_categorical_accuracy", (self.k,))(y_pred, y_true)
        first = ops.slice_axis(y_pred, y_pred.ndim - 1, 0, min(self.k, y_pred.shape[-1]))
        labels = ops.reshape(ops.cast(y_true, y_pred.dtype), (-1, *y_true.shape[1:], 1))
        return ops.max(_equal(first, labels), axis=-1)

    def get_config(self):
        sorted_ids = {"from_sorted_ids": True} if self.from_sorted_ids else {}
        return {**super().get_config(), "k": self.k, **sorted_ids}


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the largest target is; both (batch, classes)."""

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        return AccuracyOperation("categorical_accuracy")(y_pred, y_true)


class TopKCategoricalAccuracy(Metric):
    """How often the largest target is among the k largest predictions; both (batch, classes)."""

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(dtype, name)
        self.k = checks.integer("TopKCategoricalAccuracy", "k", k, least=1)

    def values(self, y_true, y_pred):
        return AccuracyOperation("top_k_categorical_accuracy", (self.k,))(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "k": self.k}


class BinaryAccuracy(Metric):
    """How often a prediction is on the target's side of ``threshold``, mean over the last axis."""

    threshold = Adjustable(finite=False)

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(dtype, name)
        self.threshold = threshold

    def values(self, y_true, y_pred):
        given = _column(y_pred), _column(y_true)
        return AccuracyOperation("binary_accuracy", (Setting(self, "threshold"),))(*given)

    def get_config(self):
        return {**super().get_config(), "threshold": described(self.threshold)}


class MeanMetricWrapper(Metric):
    """The mean of the values of a function (y_true, y_pred, ...), made of jitnet.ops or one of ``jitnet.losses``.

    kwargs: its further arguments.
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        if not callable(fn):
            raise invalid("MeanMetricWrapper takes a function (y_true, y_pred).", fn=fn)
        super().__init__(dtype, name or getattr(fn, "__name__", None))
        self._fn, self._fn_kwargs = fn, kwargs

    @property
    def sparse(self):
        return getattr(getattr(self._fn, "loss_class", self._fn), "sparse", False)

    @property
    def _takes_vectors(self):
        return hasattr(self._fn, "loss_class")

    def values(self, y_true, y_pred):
        return self._fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self):
        return {**super().get_config(), "fn": _registry.serialize(self._fn), **self._fn_kwargs}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(_registry.get(config.pop("fn"), losses.FUNCTIONS, kind="function"), **config)
