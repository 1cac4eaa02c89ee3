"""Losses of probabilities and logits."""

from .. import ops
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations import losses as operations
from ..core.operations.elementwise import Unary
from ..core.operations.softmax import Softmax
from ..core.settings import Setting
from .base import EPSILON, Loss, axis_of, last

TINY = 1e-30  # below it a factor is 0: the slope of its powers below 1 would not be finite there


class _Smoothing(Loss):
    """A loss of logits or probabilities, whose targets may be smoothed."""

    label_smoothing = Adjustable(least=0, most=1)

    def __init__(self, name, reduction, dtype, from_logits, label_smoothing, axis):
        super().__init__(name, reduction, dtype)
        self.from_logits = checks.boolean(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = label_smoothing
        self.axis = checks.integer(type(self).__name__, "axis", axis)

    def _structure(self) -> bool:
        """Whether targets are smoothed."""
        return vars(self)["label_smoothing"] != 0

    def _target_shape(self, prediction_shape):
        axis_of(self, prediction_shape)  # raises where there is no such axis
        return super()._target_shape(prediction_shape)

    def _smoothed(self, y_true, classes: int):
        """Targets, of which a part is shared out among the classes."""
        if not self._structure():
            return y_true
        smoothing = Setting(self, "label_smoothing")
        return y_true * (1 - smoothing) + smoothing / classes

    def get_config(self):
        return {
            **super().get_config(), "from_logits": self.from_logits,
            "label_smoothing": described(self.label_smoothing), "axis": self.axis,
        }  # fmt: skip


class SparseCategoricalCrossentropy(Loss):
    """-log p[label] for integer labels (batch, ...) and predictions (batch, ..., classes).

    from_logits: predictions are logits; otherwise probabilities.  Where the predictions come straight from a softmax,
    softmax and cross-entropy are computed together, which is exact for any logits.
    ignore_class: a label, of the classes or not, whose positions count nothing: means are over the other ones.
    axis: of the classes.
    """

    sparse = True

    def __init__(
        self, from_logits=False, ignore_class=None, reduction="sum_over_batch_size", axis=-1,
        name="sparse_categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype)
        self.from_logits = checks.boolean(type(self).__name__, "from_logits", from_logits)
        self.ignore_class = checks.optional(checks.integer)(type(self).__name__, "ignore_class", ignore_class)
        self.axis = checks.integer(type(self).__name__, "axis", axis)

    def _target_shape(self, prediction_shape):
        axis = axis_of(self, prediction_shape)
        return tuple(prediction_shape[1:axis] + prediction_shape[axis + 1 :])

    def _classes(self, prediction_shape):
        return prediction_shape[axis_of(self, prediction_shape)]

    def _mask(self, y_true, y_pred, values):
        if self.ignore_class is None:
            return None
        return ops.cast(ops.absolute(ops.sign(y_true - self.ignore_class)), y_pred.dtype)

    def call(self, y_true, y_pred):
        logits = last(y_pred, self.axis) if self.from_logits else logits_of(y_pred, Softmax, axis=self.axis)
        if self.ignore_class is not None:
            counts = ops.absolute(ops.sign(y_true - self.ignore_class))
            y_true = y_true * counts  # an ignored label need be no class: any other takes its place
        if logits is not None:
            values = operations.SparseSoftmaxCrossEntropy()(logits, y_true)
        else:
            values = operations.SparseCrossEntropy()(last(y_pred, self.axis), y_true)
        return values if self.ignore_class is None else values * ops.cast(counts, values.dtype)

    def get_config(self):
        return {
            **super().get_config(), "from_logits": self.from_logits, "ignore_class": self.ignore_class,
            "axis": self.axis,
        }  # fmt: skip


class CategoricalCrossentropy(_Smoothing):
    """-sum(y_true * log p) for targets and predictions (batch, ..., classes).

    from_logits: as of SparseCategoricalCrossentropy.
    label_smoothing: from 0 to 1, or a schedule; targets become y * (1 - s) + s / classes (Szegedy et al. 2016).
    axis: of the classes.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="categorical_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits, label_smoothing, axis)

    def call(self, y_true, y_pred):
        classes = y_pred.shape[axis_of(self, y_pred.shape)]
        y_true = last(self._smoothed(y_true, classes), self.axis)
        logits = last(y_pred, self.axis) if self.from_logits else logits_of(y_pred, Softmax, axis=self.axis)
        if logits is not None:
            return operations.SoftmaxCrossEntropy()(logits, y_true)
        return operations.CrossEntropy()(last(y_pred, self.axis), y_true)


class BinaryCrossentropy(_Smoothing):
    """-(t log p + (1 - t) log(1 - p)), mean over ``axis``, for targets and predictions (batch, ...).

    from_logits: predictions are logits; otherwise probabilities.
    label_smoothing: from 0 to 1, or a schedule; targets become t * (1 - s) + s / 2.
    axis: over which the mean is taken; not the batch.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size",
        name="binary_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits, label_smoothing, axis)

    def call(self, y_true, y_pred):
        y_true = last(self._smoothed(y_true, 2), self.axis)
        logits = y_pred if self.from_logits else logits_of(y_pred, Unary, "sigmoid")
        if logits is not None:
            return operations.BinaryCrossEntropyWithLogits()(last(logits, self.axis), y_true)
        return operations.BinaryCrossEntropy()(last(y_pred, self.axis), y_true)


class BinaryFocalCrossentropy(_Smoothing):
    """(1 - p_t)^gamma times the binary cross-entropy, p_t the probability of the target, mean over ``axis``
    (Lin et al. 2017).

    apply_class_balancing: weigh by ``alpha`` where the target is 1, by 1 - alpha where it is 0.
    gamma: not negative; 0 is the cross-entropy.
    from_logits, label_smoothing, axis: as of BinaryCrossentropy.
    """

    def __init__(
        self, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1,
        reduction="sum_over_batch_size", name="binary_focal_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits, label_smoothing, axis)
        kind = type(self).__name__
        self.apply_class_balancing = checks.boolean(kind, "apply_class_balancing", apply_class_balancing)
        self.alpha = checks.number(kind, "alpha", alpha)
        self.gamma = checks.number(kind, "gamma", gamma, least=0)

    def call(self, y_true, y_pred):
        t = self._smoothed(y_true, 2)
        logits = y_pred if self.from_logits else logits_of(y_pred, Unary, "sigmoid")
        if logits is None:
            p, q = y_pred, 1.0 - y_pred
            clipped = _clipped(p)
            entropy = -(t * ops.log(clipped) + (1.0 - t) * ops.log(1.0 - clipped))
        else:
            p, q = ops.sigmoid(logits), ops.sigmoid(-logits)
            # terms of one sign: nothing cancels
            entropy = ops.softplus(-ops.absolute(logits)) + (1.0 - t) * ops.relu(logits) + t * ops.relu(-logits)
        values = _power(t * q + (1.0 - t) * p, self.gamma) * entropy
        if self.apply_class_balancing:
            values = (t * self.alpha + (1.0 - t) * (1.0 - self.alpha)) * values
        return ops.mean(last(values, self.axis), axis=-1)

    def get_config(self):
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return {**super().get_config(), **own}


class CategoricalFocalCrossentropy(_Smoothing):
    """-sum(alpha (1 - p)^gamma y_true log p) over the classes (Lin et al. 2017).

    alpha: a number, or one for each class; gamma: not negative.
    from_logits, label_smoothing, axis: as of CategoricalCrossentropy.
    """

    def __init__(
        self, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1,
        reduction="sum_over_batch_size", name="categorical_focal_crossentropy", dtype=None,
    ):  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits, label_smoothing, axis)
        kind = type(self).__name__
        found = [checks.number(kind, "alpha", a) for a in (alpha if isinstance(alpha, list | tuple) else [alpha])]
        self.alpha = found if isinstance(alpha, list | tuple) else found[0]
        self.gamma = checks.number(kind, "gamma", gamma, least=0)

    def call(self, y_true, y_pred):
        classes = y_pred.shape[axis_of(self, y_pred.shape)]
        if isinstance(self.alpha, list) and len(self.alpha) != classes:
            raise invalid(f"{self.name} expects one alpha, or one for each of {classes} classes.", alpha=self.alpha)
        t = last(self._smoothed(y_true, classes), self.axis)
        logits = last(y_pred, self.axis) if self.from_logits else logits_of(y_pred, Softmax, axis=self.axis)
        if logits is None:
            p = last(y_pred, self.axis)
            p = _clipped(p / ops.sum(p, axis=-1, keepdims=True))
            logarithm = ops.log(p)
        else:
            logarithm = ops.log_softmax(logits)
            p = ops.exp(logarithm)
        return -ops.sum(_power(1.0 - p, self.gamma) * (t * logarithm) * self.alpha, axis=-1)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p[label]^q) / q for integer labels (batch, ...) and probabilities (batch, ..., classes): robust against
    wrong labels (Zhang and Sabuncu 2018).

    q: between 0, near which it is the cross-entropy, and 1, near which it is the mean absolute error.
    """

    sparse = True

    def __init__(
        self, q=0.5, reduction="sum_over_batch_size", name="categorical_generalized_cross_entropy", dtype=None
    ):
        super().__init__(name, reduction, dtype)
        self.q = checks.number(type(self).__name__, "q", q, least=0, below=1)
        if self.q == 0:
            raise invalid(f"{type(self).__name__} expects q to be between 0 and 1.", q=q)

    def call(self, y_true, y_pred):
        p = ops.sum(y_pred * one_hot(y_true, y_pred.shape[-1], y_pred.dtype), axis=-1)
        return (1.0 - _power(p, self.q)) / self.q

    def get_config(self):
        return {**super().get_config(), "q": self.q}


class KLDivergence(Loss):
    """sum(y_true log(y_true / y_pred)) over the last axis; probabilities below 1e-7 count as 1e-7, above 1 as 1."""

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        t, p = (ops.minimum(ops.maximum(y, EPSILON), 1.0) for y in (y_true, y_pred))
        return ops.sum(t * ops.log(t / p), axis=-1)


class Poisson(Loss):
    """mean(y_pred - y_true log(y_pred + 1e-7)) over the last axis: -log of Poisson's probability, but for a constant.

    Predictions are rates, not negative.
    """

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        return ops.mean(y_pred - y_true * ops.log(y_pred + EPSILON), axis=-1)


def one_hot(labels, classes: int, dtype: str):
    """1 at each label, else 0: (..., classes) for integer labels (...)."""
    given = ops.reshape(ops.cast(labels, dtype), (-1, *labels.shape[1:], 1))
    places = ops.reshape(given, given.shape) - [float(c) for c in range(classes)]
    return 1.0 - ops.absolute(ops.sign(places))


def logits_of(probabilities, operation: type, function: str | None = None, axis: int = -1):
    """The logits, where ``probabilities`` come straight from a softmax over ``axis`` (or a sigmoid); classes last."""
    application = probabilities.producer
    if application is None or type(application.operation) is not operation:
        return None
    if function is not None:
        return application.inputs[0] if application.operation.function == function else None
    if application.operation.axis % probabilities.ndim != axis % probabilities.ndim:
        return None
    return last(application.inputs[0], axis)


def _clipped(p):
    """Probabilities in [1e-7, 1 - 1e-7]."""
    return ops.minimum(ops.maximum(p, EPSILON), 1.0 - EPSILON)


def _power(x, exponent: float):
    """x^exponent of what is not negative, with finite slopes."""
    if exponent == 1:
        return x
    return ops.power(x if exponent > 1 else ops.maximum(x, TINY), exponent)
