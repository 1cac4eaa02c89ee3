"""Losses of sets: how much of what is predicted and what is wanted is the same."""

from .. import ops
from ..core import checks
from ..core.errors import invalid
from .base import EPSILON, Loss


class _Overlap(Loss):
    """A loss of sums over some axes, of which the batch may be one."""

    over_batch = True

    def _target_shape(self, prediction_shape):
        rank = len(prediction_shape)
        if self.axis is not None and any(not -rank <= axis < rank for axis in self.axis):
            raise invalid(f"{self.name} expects axes of predictions with {rank} axes.", axis=self.axis)
        return super()._target_shape(prediction_shape)


class Tversky(_Overlap):
    """1 - o / (o + alpha sum((1 - p) t) + beta sum(p (1 - t))) of masks t and p that overlap by o = sum(t p)
    (Salehi et al. 2017).

    alpha: the weight of what is missed; beta: that of what is wrong.
    axis: of the sums, an int or several; None: all, the batch included, which makes one number for the batch.
    """

    def __init__(
        self, alpha=0.5, beta=0.5, reduction="sum_over_batch_size", name="tversky", axis=None, dtype=None
    ):
        super().__init__(name, reduction, dtype)
        kind = type(self).__name__
        self.alpha, self.beta = checks.number(kind, "alpha", alpha), checks.number(kind, "beta", beta)
        self.axis = _checked_axes(kind, axis)

    def call(self, y_true, y_pred):
        overlap = _sum(y_true * y_pred, self.axis)
        missed, wrong = _sum((1.0 - y_pred) * y_true, self.axis), _sum(y_pred * (1.0 - y_true), self.axis)
        return 1.0 - overlap / (overlap + missed * self.alpha + wrong * self.beta + EPSILON)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta, "axis": self.axis}


class Dice(_Overlap):
    """1 - 2 sum(t p) / (sum(t) + sum(p)) of masks t and p (Dice 1945; Sudre et al. 2017).

    axis: of the sums, an int or several; None: all, the batch included, which makes one number for the batch.
    """

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(name, reduction, dtype)
        self.axis = _checked_axes(type(self).__name__, axis)

    def call(self, y_true, y_pred):
        sizes = _sum(y_true, self.axis) + _sum(y_pred, self.axis)
        return 1.0 - 2.0 * _sum(y_true * y_pred, self.axis) / (sizes + EPSILON)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _checked_axes(kind: str, axis):
    if axis is None:
        return None
    return list(checks.sizes(kind, "axis", [axis] if isinstance(axis, int) else axis, least=-checks.LARGEST))


def _sum(x, axes):
    """The sum over some axes, of which the batch may be one; None: over all."""
    if axes is None:
        return ops.sum(x)
    chosen = sorted({axis % x.ndim for axis in axes}, reverse=True)
    for axis in chosen:
        x = ops.sum(x) if x.ndim == 1 else ops.sum(x, axis=axis)
    return x
