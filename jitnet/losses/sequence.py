"""Losses of sequences."""

from ..core.operations import losses as operations
from .base import Loss


class CTC(Loss):
    """-log of the probability of a sequence of labels, whatever steps of time emit them (Graves et al. 2006).

    y_true: integers (batch, length), from 1 to classes - 1, and 0 after the last label of shorter sequences.
    y_pred: logits (batch, steps, classes), of which class 0 is blank.  inf, with a gradient of 0, for labels that can't
    be emitted in so many steps: more than these, repeated ones counting twice.
    """

    sparse = True

    def __init__(self, reduction="sum_over_batch_size", name="ctc", dtype=None):
        super().__init__(name, reduction, dtype)

    def _target_shape(self, prediction_shape):
        return None

    def call(self, y_true, y_pred):
        return operations.CTC()(y_pred, y_true)
