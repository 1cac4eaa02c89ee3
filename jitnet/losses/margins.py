"""Losses that are 0 beyond a margin."""

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations import losses as operations
from ..core.operations.base import display
from .base import Loss, as_function


def signs(y_true):
    """Labels -1 or 1: 0 stands for -1."""
    return y_true - (1.0 - ops.absolute(ops.sign(y_true)))


class Hinge(Loss):
    """mean(max(1 - t y_pred, 0)) over the last axis, for targets t of -1 (or 0) and 1."""

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        return ops.mean(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0), axis=-1)


class SquaredHinge(Loss):
    """mean(max(1 - t y_pred, 0)^2) over the last axis, for targets t of -1 (or 0) and 1."""

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0)), axis=-1)


class CategoricalHinge(Loss):
    """max(largest score of another class - score of the target + 1, 0), for one-hot targets (batch, ..., classes)."""

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(name, reduction, dtype)

    def call(self, y_true, y_pred):
        score = ops.sum(y_true * y_pred, axis=-1)
        others = ops.max((1.0 - y_true) * y_pred, axis=-1)
        return ops.maximum(others - score + 1.0, 0.0)


class ContrastiveLoss(Loss):
    """t d^2 + (1 - t) max(margin - d, 0)^2, mean over the last axis, of distances d = y_pred (batch, ...): those of
    pairs that belong together, t = 1, shrink, others grow up to the margin (Hadsell et al. 2006).

    margin: above 0.
    """

    def __init__(self, margin=1.0, reduction="sum_over_batch_size", name="contrastive_loss", dtype=None):
        super().__init__(name, reduction, dtype)
        self.margin = checks.positive(type(self).__name__, "margin", margin)

    def call(self, y_true, y_pred):
        apart = ops.square(ops.maximum(self.margin - y_pred, 0.0))
        return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * apart, axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


class TripletMarginLoss(Loss):
    """max(|a - p| - |a - n| + margin, 0) of embeddings y_pred (batch, 3, features): an anchor a, a positive p of its
    class, a negative n of another one (Schroff et al. 2015; distances as PyTorch's, not squared).

    y_true: any numbers, one per sample: they are not looked at.
    margin: above 0.  squared: squares of the distances, as in the paper.
    """

    def __init__(
        self, margin=1.0, squared=False, reduction="sum_over_batch_size", name="triplet_margin_loss", dtype=None
    ):
        super().__init__(name, reduction, dtype)
        self.margin = checks.positive(type(self).__name__, "margin", margin)
        self.squared = checks.boolean(type(self).__name__, "squared", squared)

    def _target_shape(self, prediction_shape):
        return None

    def call(self, y_true, y_pred):
        if y_pred.ndim != 3 or y_pred.shape[1] != 3:
            raise invalid(
                f"{self.name} expects predictions (batch, 3, features): anchors, positives and negatives.",
                shape=display(y_pred.shape),
            )
        anchor, positive, negative = (ops.slice_axis(y_pred, 1, i, i + 1) for i in range(3))
        near, far = (ops.sum(ops.square(anchor - other + 1e-6), axis=-1) for other in (positive, negative))
        if not self.squared:
            near, far = ops.sqrt(near), ops.sqrt(far)
        return ops.mean(ops.maximum(near - far + self.margin, 0.0), axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "squared": self.squared}


class Circle(Loss):
    """The circle loss (Sun et al. 2020): embeddings of one class come near each other, those of two classes apart.

    y_true: integer labels (batch,); y_pred: embeddings (batch, features) of length 1 (``UnitNormalization``).  Every
    pair of the batch counts, and means are over samples with a loss above 0.

    gamma: the scale, not negative; margin: from 0 to 1, between the classes.
    remove_diagonal: a sample is no pair with itself.
    """

    sparse = True

    def __init__(
        self, gamma=80.0, margin=0.4, remove_diagonal=True, reduction="sum_over_batch_size", name="circle", dtype=None
    ):
        super().__init__(name, reduction, dtype)
        kind = type(self).__name__
        self.gamma = checks.number(kind, "gamma", gamma, least=0)
        self.margin = checks.number(kind, "margin", margin, least=0, most=1)
        self.remove_diagonal = checks.boolean(kind, "remove_diagonal", remove_diagonal)

    def _classes(self, prediction_shape):
        return None

    def _mask(self, y_true, y_pred, values):
        return ops.sign(values)

    def call(self, y_true, y_pred):
        return operations.CircleLoss(self.gamma, self.margin, self.remove_diagonal)(y_pred, y_true)

    def get_config(self):
        own = {"gamma": self.gamma, "margin": self.margin, "remove_diagonal": self.remove_diagonal}
        return {**super().get_config(), **own}


def circle(y_true, y_pred, ref_labels=None, ref_embeddings=None, remove_diagonal=True, gamma=80, margin=0.4):
    """The values of ``losses.Circle``, one per sample.

    ref_labels, ref_embeddings: accepted for Keras's sake; must be None: pairs are those of the batch.
    """
    if ref_labels is not None or ref_embeddings is not None:
        raise invalid(
            "circle compares the samples of a batch: ref_labels and ref_embeddings must be None.",
            ref_labels=ref_labels, ref_embeddings=ref_embeddings,
        )  # fmt: skip
    return as_function(Circle, "circle")(y_true, y_pred, gamma, margin, remove_diagonal)


circle.loss_class = Circle
