"""Losses, as in Keras 3: ``call(y_true, y_pred)`` gives one value per sample, ``reduction`` makes the batch's loss."""

import numpy as np

from . import _registry, ops
from ._fixed import Fixed, noticed
from ._settings import Adjustable, described
from .core import checks
from .core.errors import NamesArguments, invalid, module_dir, module_getattr
from .core.operations import losses as operations
from .core.operations.base import display
from .core.operations.elementwise import Unary
from .core.operations.softmax import Softmax
from .core.settings import Setting
from .core.values import SymbolicTensor


class Loss(Fixed, NamesArguments):
    """Base of all losses.

    A subclass gives ``call(y_true, y_pred)``, made of jitnet.ops: symbolic tensors in, values (batch,) or
    (batch, ...) out.

    reduction: "sum_over_batch_size" or "mean" (the mean over all values), "sum", or "none" or None: one value per
        sample, for calls on arrays only, because a model trains on one number.
    dtype: accepted for Keras's sake; must be None: a loss is computed in its model's dtype.
    """

    sparse = False  # y_true holds integer labels, without the class axis

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        if reduction is not None and reduction not in ("sum_over_batch_size", "mean", "sum", "none"):
            raise invalid('A loss expects reduction "sum_over_batch_size", "sum" or "none".', reduction=reduction)
        if dtype is not None:
            raise invalid(f"{type(self).__name__} is computed in its model's dtype: dtype must be None.", dtype=dtype)
        self.name = checks.text("A loss", "name", name or _registry.snake_case(type(self).__name__))
        self.reduction = {"mean": "sum_over_batch_size", None: "none"}.get(reduction, reduction)

    def call(self, y_true, y_pred):
        raise TypeError(f"{type(self).__name__} lacks a call method")

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch: of arrays a float, of symbolic tensors a single number; without a reduction (batch,)."""
        if isinstance(y_pred, SymbolicTensor):
            noticed(self)
            values = per_sample(self.call(symbolic_targets(self, y_true, y_pred), y_pred))
            return self.reduced(values if sample_weight is None else values * sample_weight)
        from .eager import evaluate_function

        y_pred = np.asarray(y_pred)
        y_true = prepare_targets(self, np.asarray(y_true), y_pred.shape, y_pred.dtype)
        values = evaluate_function(lambda p, t: per_sample(self.call(t, p)), y_pred, y_true)
        values = values.astype(np.float64)
        if sample_weight is not None:
            values = values * np.asarray(sample_weight, np.float64)
        if self.reduction == "none":
            return values
        return float(values.sum() if self.reduction == "sum" else values.mean())

    def reduced(self, values):
        """The loss of a batch, of symbolic values (batch,), which it is without a reduction."""
        if self.reduction == "none":
            return values
        return ops.sum(values) if self.reduction == "sum" else ops.mean(values)

    def get_config(self) -> dict:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def per_sample(values):
    """(batch, ...) to (batch,) by the mean over the other axes."""
    for axis in reversed(range(1, values.ndim)):
        values = ops.mean(values, axis=axis)
    return values


def symbolic_targets(loss, y, predictions):
    """What ``prepare_targets`` does, for symbolic targets and predictions."""
    if not isinstance(y, SymbolicTensor):
        return y
    sparse = getattr(loss, "sparse", False)
    if sparse and y.shape == (*predictions.shape[:-1], 1):
        y = ops.reshape(y, (-1, *y.shape[1:-1]))
    elif not sparse and y.shape == (None,) and predictions.shape == (None, 1):
        y = ops.reshape(y, (-1, 1))
    dtype = "int64" if sparse else predictions.dtype
    return y if y.dtype == dtype else ops.cast(y, dtype)


def checked_values(kind: str, name: str, values):
    """What a loss or a metric returned, as one value per sample."""
    if not isinstance(values, SymbolicTensor):
        raise TypeError(f"The {kind} {name!r} must be made of jitnet.ops. Received: {values!r}")
    if not values.batched:
        raise ValueError(
            f"The {kind} {name!r} must return one value per sample, (batch,) or (batch, ...): the mean over the batch "
            f"is taken by jitnet. Received: shape={display(values.shape)}"
        )
    return per_sample(values)


def prepare_targets(loss, y, prediction_shape, dtype) -> np.ndarray:
    """Targets in the shape and dtype that ``loss`` compares with predictions (N, ...).

    Targets of another shape are returned as they are, for the caller to reject.
    """
    sparse = getattr(loss, "sparse", False)
    expected = tuple(prediction_shape[1:-1] if sparse else prediction_shape[1:])
    if sparse:
        if y.shape[1:] == (*expected, 1):
            y = y.reshape(y.shape[:-1])
        if y.shape[1:] == expected:
            _check_labels(loss, y, prediction_shape[-1])
            y = y.astype(np.int64)
    else:
        if isinstance(loss, Loss) and y.shape[1:] == () and expected == (1,):
            y = y.reshape(-1, 1)
        y = y.astype(dtype)
    return y


def _check_labels(loss, y, classes: int) -> None:
    if not y.size:
        return
    fractions = y[y != np.floor(y)] if y.dtype.kind == "f" else y[:0]
    if fractions.size:
        raise ValueError(f"{loss.name} expects integer labels. Received: a label of {fractions.flat[0]}")
    low, high = y.min(), y.max()
    if low < 0 or high >= classes:
        raise ValueError(
            f"{loss.name} expects labels from 0 to {classes - 1}, because the predictions have {classes} classes. "
            f"Received: labels from {low} to {high}"
        )


class _Smoothing(Loss):
    """A loss whose targets may be smoothed."""

    label_smoothing = Adjustable(least=0, most=1)

    def _structure(self) -> bool:
        """Whether targets are smoothed."""
        return vars(self)["label_smoothing"] != 0

    def get_config(self):
        return {**super().get_config(), "label_smoothing": described(self.label_smoothing)}


class SparseCategoricalCrossentropy(Loss):
    """-log p[label] for integer labels (batch,) and predictions (batch, classes).

    from_logits: predictions are logits; otherwise probabilities.  Where the predictions come straight from a softmax,
    softmax and cross-entropy are computed together, which is exact for any logits.
    ignore_class: accepted for Keras's sake; must be None.  axis: of the classes; must be -1.
    """

    sparse = True

    def __init__(
        self, from_logits=False, ignore_class=None, reduction="sum_over_batch_size", axis=-1,
        name="sparse_categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        if ignore_class is not None:
            hint = "Give the samples of the class a sample_weight of 0 instead."
            raise invalid(f"SparseCategoricalCrossentropy counts every class. {hint}", ignore_class=ignore_class)
        self.from_logits = checks.boolean(type(self).__name__, "from_logits", from_logits)
        _check_axis(axis)

    def call(self, y_true, y_pred):
        logits = y_pred if self.from_logits else logits_of(y_pred, Softmax)
        if logits is not None:
            return operations.SparseSoftmaxCrossEntropy()(logits, y_true)
        return operations.SparseCrossEntropy()(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


class CategoricalCrossentropy(_Smoothing):
    """-sum(y_true * log p) for targets and predictions (batch, classes).

    from_logits: as of SparseCategoricalCrossentropy.
    label_smoothing: from 0 to 1, or a schedule; targets become y * (1 - s) + s / classes (Szegedy et al. 2016).
    axis: of the classes; must be -1.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits = checks.boolean(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = label_smoothing
        _check_axis(axis)

    def call(self, y_true, y_pred):
        if self._structure():
            smoothing = Setting(self, "label_smoothing")
            y_true = y_true * (1 - smoothing) + smoothing / y_pred.shape[-1]
        logits = y_pred if self.from_logits else logits_of(y_pred, Softmax)
        if logits is not None:
            return operations.SoftmaxCrossEntropy()(logits, y_true)
        return operations.CrossEntropy()(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


class BinaryCrossentropy(_Smoothing):
    """-(t log p + (1 - t) log(1 - p)), mean over the last axis, for targets and predictions (batch, ...).

    from_logits: predictions are logits; otherwise probabilities.
    label_smoothing: from 0 to 1, or a schedule; targets become t * (1 - s) + s / 2.
    axis: over which the mean is taken; must be -1.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="binary_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits = checks.boolean(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = label_smoothing
        _check_axis(axis)

    def call(self, y_true, y_pred):
        if self._structure():
            smoothing = Setting(self, "label_smoothing")
            y_true = y_true * (1 - smoothing) + smoothing / 2
        logits = y_pred if self.from_logits else logits_of(y_pred, Unary, "sigmoid")
        if logits is not None:
            return operations.BinaryCrossEntropyWithLogits()(logits, y_true)
        return operations.BinaryCrossEntropy()(y_pred, y_true)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


class MeanSquaredError(Loss):
    """mean((y_true - y_pred)^2) over the last axis."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        return operations.MeanSquaredError()(y_pred, y_true)


class MeanAbsoluteError(Loss):
    """mean(|y_true - y_pred|) over the last axis."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        return operations.MeanAbsoluteError()(y_pred, y_true)


class FunctionLoss(Loss):
    """A user's function (y_true, y_pred) of symbolic tensors as a loss."""

    def __init__(self, function, name=None, reduction="sum_over_batch_size"):
        super().__init__(name or getattr(function, "__name__", "loss"), reduction)
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)


def _check_axis(axis) -> None:
    if axis != -1:
        raise invalid("jitnet's losses take the last axis: axis must be -1.", axis=axis)


def logits_of(probabilities, operation: type, function: str | None = None):
    """The logits, where ``probabilities`` come straight from a softmax over the last axis (or a sigmoid)."""
    application = probabilities.producer
    if application is None or type(application.operation) is not operation:
        return None
    if function is not None and application.operation.function != function:
        return None
    if operation is Softmax and application.operation.axis not in (-1, probabilities.ndim - 1):
        return None
    return application.inputs[0]


_CLASSES = [
    SparseCategoricalCrossentropy, CategoricalCrossentropy, BinaryCrossentropy, MeanSquaredError, MeanAbsoluteError,
]  # fmt: skip
KNOWN = _registry.by_name(
    _CLASSES, mse=MeanSquaredError, MSE=MeanSquaredError, mae=MeanAbsoluteError, MAE=MeanAbsoluteError
)


def serialize(loss) -> dict | str:
    """``{"class_name": ..., "config": {...}}``; a user's function as its name."""
    return _registry.serialize(loss.function if isinstance(loss, FunctionLoss) else loss)


def deserialize(config, custom_objects=None):
    """The loss that ``serialize`` described."""
    return get(_registry.deserialize(config, KNOWN, custom_objects, kind="loss"))


def get(identifier):
    """A loss from an instance, a class, a config, a name such as "mse", or a function (y_true, y_pred)."""
    found = _registry.get(identifier, KNOWN, kind="loss")
    if found is None or isinstance(found, Loss):
        return found
    return FunctionLoss(found)


__getattr__ = module_getattr(__name__, "loss")
_OWN = ("per_sample", "symbolic_targets", "checked_values", "prepare_targets", "logits_of")
__dir__ = module_dir(__name__, without=_OWN)
