"""Losses of numbers: how far predictions are from targets."""

import math

from .. import ops
from ..core import checks
from ..core.operations import losses as operations
from .base import EPSILON, Loss, axis_of, last


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


class MeanAbsolutePercentageError(Loss):
    """100 mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        size = ops.maximum(ops.absolute(y_true), EPSILON)
        return 100.0 * ops.mean(ops.absolute((y_true - y_pred) / size), axis=-1)


class MeanSquaredLogarithmicError(Loss):
    """mean((log(y_true + 1) - log(y_pred + 1))^2) over the last axis; numbers below 1e-7 count as 1e-7."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        predicted, wanted = (ops.log(ops.maximum(y, EPSILON) + 1.0) for y in (y_pred, y_true))
        return ops.mean(ops.square(predicted - wanted), axis=-1)


class Huber(Loss):
    """e^2 / 2 where the error |e| is at most ``delta``, else delta (|e| - delta / 2), mean over the last axis
    (Huber 1964).

    delta: above 0.
    """

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(name, reduction, dtype)
        self.delta = checks.positive(type(self).__name__, "delta", delta)

    def call(self, y_true, y_pred):
        error = ops.absolute(y_pred - y_true)
        near = ops.minimum(error, self.delta)
        return ops.mean(0.5 * ops.square(near) + self.delta * (error - near), axis=-1)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


class LogCosh(Loss):
    """log(cosh(y_pred - y_true)), mean over the last axis."""

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        error = ops.absolute(y_pred - y_true)
        return ops.mean(error + (ops.softplus(-2.0 * error) - math.log(2)), axis=-1)


class CosineSimilarity(Loss):
    """-cos of the angle between y_true and y_pred along ``axis``: from -1, the same direction, to 1.

    axis: not the batch.
    """

    def __init__(self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None):
        super().__init__(name, reduction, dtype)
        self.axis = checks.integer(type(self).__name__, "axis", axis)

    def _target_shape(self, prediction_shape):
        axis_of(self, prediction_shape)  # raises where there is no such axis
        return super()._target_shape(prediction_shape)

    def call(self, y_true, y_pred):
        y_true, y_pred = last(y_true, self.axis), last(y_pred, self.axis)
        return -cosine(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def cosine(a, b):
    """The cosine of the angle between vectors along the last axis; of a vector of zeros 0."""
    return ops.sum(_direction(a) * _direction(b), axis=-1)


def _direction(x):
    # the bound keeps the root's slope finite, too, where the vector is 0
    squares = ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), EPSILON**2)
    return x / ops.sqrt(squares)
