"""Metrics of how many predictions are on which side of a threshold, and confusion matrices.

A prediction counts in a bucket: how many of the ascending thresholds are below it.  Of the counts all others follow.
"""

import numpy as np

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display
from ..core.operations.counts import ConfusionCounts, ThresholdCounts
from ..losses.base import aligned, last
from .base import Metric

LEAST = -1e10  # Keras's threshold of metrics with top_k: every score that is left is above it


class _Counting(Metric):
    """Counts at ``thresholds``: arrays of the length of these, or (thresholds, labels) with ``by_label``.

    A subclass computes its result of true_positives, false_positives, true_negatives and false_negatives.
    """

    def __init__(self, name, dtype, thresholds, top_k=None, class_id=None, by_label=False):
        super().__init__(dtype, name)
        kind = type(self).__name__
        self._given = np.asarray(thresholds, np.float64)
        self._ascending = np.sort(self._given)
        self._order = np.argsort(np.argsort(self._given, kind="stable"), kind="stable")
        self.top_k = checks.optional(checks.integer)(kind, "top_k", top_k, least=1)
        self.class_id = checks.optional(checks.integer)(kind, "class_id", class_id, least=0)
        self._by_label = by_label
        self._counts = None if by_label else self.add_variable((2, len(self._given) + 1), name="counts")

    @property
    def thresholds(self) -> list:
        return self._given.tolist()

    def _weights(self, weights, y_pred):
        """Weights of the predictions' shape, or without its last axis."""
        weights = aligned(weights, y_pred)
        rows = y_pred.shape[:-1] if y_pred.ndim > 1 else y_pred.shape
        if weights.shape[-1] == 1 and weights.shape[:-1] == rows:
            return ops.reshape(weights, (-1, *rows[1:]))
        return weights if weights.shape == y_pred.shape else weights + 0.0 * y_pred

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = same_rank(self, y_true, y_pred)
        columns = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        chosen = (0, columns)
        if self.class_id is not None:
            if self.class_id >= columns:
                raise invalid(f"{self.name} has predictions of {columns} classes.", class_id=self.class_id)
            chosen = (self.class_id, self.class_id + 1)
        if self._counts is None:
            self._build(y_pred)
        operation = ThresholdCounts(len(self._given), chosen, self.top_k or 0, self._by_label)
        weights = [] if sample_weight is None else [self._weights(sample_weight, y_pred)]
        self._counts.assign_add(operation(y_pred, y_true, self._ascending.astype(y_pred.dtype), *weights))

    def _build(self, y_pred) -> None:
        if y_pred.ndim != 2:
            raise ValueError(
                f"{self.name} of several labels expects predictions (batch, labels). "
                f"Received: shape={display(y_pred.shape)}"
            )
        self._counts = self.add_variable((2, len(self._given) + 1, y_pred.shape[-1]), name="counts")

    def _above(self, positive: int) -> np.ndarray:
        """How many predictions, of targets that are ``positive`` or not, are above each threshold."""
        if self._counts is None:
            return np.zeros(len(self._given))
        counts = self._counts.value[positive]
        return counts[::-1].cumsum(axis=0)[::-1][1:][self._order]

    def _all(self, positive: int):
        return 0.0 if self._counts is None else self._counts.value[positive].sum(axis=0)

    @property
    def true_positives(self) -> np.ndarray:
        return self._above(1)

    @property
    def false_positives(self) -> np.ndarray:
        return self._above(0)

    @property
    def true_negatives(self) -> np.ndarray:
        return self._all(0) - self._above(0)

    @property
    def false_negatives(self) -> np.ndarray:
        return self._all(1) - self._above(1)


def same_rank(metric, y_true, y_pred):
    """Targets in the shape of predictions, from which they may differ by a last axis of 1."""
    shapes = [(*y_true.shape, 1), y_true.shape[:-1] if y_true.shape[-1] == 1 and y_true.ndim > 1 else None]
    if y_true.shape != y_pred.shape and y_pred.shape in shapes:
        return ops.reshape(y_true, (-1, *y_pred.shape[1:]))
    return y_true


def ratio(a, b) -> np.ndarray:
    """a / b, 0 where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)


def checked_thresholds(kind: str, thresholds, default: float) -> list:
    """Numbers from 0 to 1, as a list."""
    if thresholds is None:
        return [default]
    several = isinstance(thresholds, list | tuple | np.ndarray)
    return [checks.number(kind, "thresholds", t, least=0, most=1) for t in (thresholds if several else [thresholds])]


class _AtThresholds(_Counting):
    """A number for each threshold; of a single one no array."""

    def __init__(self, thresholds, name, dtype, **options):
        default = 0.5 if options.get("top_k") is None else LEAST
        super().__init__(name, dtype, checked_thresholds(type(self).__name__, thresholds, default), **options)
        self._init_thresholds = thresholds

    def result(self):
        found = self._at_thresholds()
        return float(found[0]) if len(found) == 1 else found

    def get_config(self):
        given = self._init_thresholds
        return {**super().get_config(), "thresholds": given.tolist() if isinstance(given, np.ndarray) else given}


class TruePositives(_AtThresholds):
    """How many predictions above the threshold have targets other than 0.

    thresholds: from 0 to 1, one (0.5) or a list, which makes the result an array.
    """

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype)

    def _at_thresholds(self):
        return self.true_positives


class FalsePositives(_AtThresholds):
    """How many predictions above the threshold have the target 0; thresholds: as of TruePositives."""

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype)

    def _at_thresholds(self):
        return self.false_positives


class TrueNegatives(_AtThresholds):
    """How many predictions not above the threshold have the target 0; thresholds: as of TruePositives."""

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype)

    def _at_thresholds(self):
        return self.true_negatives


class FalseNegatives(_AtThresholds):
    """How many predictions not above the threshold have targets other than 0; thresholds: as of TruePositives."""

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype)

    def _at_thresholds(self):
        return self.false_negatives


class Precision(_AtThresholds):
    """How much of what is predicted, above the threshold, is wanted: true positives / all positives; 0 of none.

    thresholds: as of TruePositives.
    top_k: only the k largest predictions of a row can be above a threshold, which by default all of them are.
    class_id: the only column that counts.
    """

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype, top_k=top_k, class_id=class_id)

    def _at_thresholds(self):
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    def get_config(self):
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Recall(_AtThresholds):
    """How much of what is wanted is predicted, above the threshold: true positives / all wanted; 0 of none.

    thresholds, top_k, class_id: as of Precision.
    """

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype, top_k=top_k, class_id=class_id)

    def _at_thresholds(self):
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    def get_config(self):
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class _UnderConstraint(_Counting):
    """The largest of one rate at the thresholds at which another is at least a given one; 0 if none is.

    num_thresholds: evenly between 0 and 1; class_id: the only column that counts.
    """

    argument = ""

    def __init__(self, least, num_thresholds, class_id, name, dtype):
        kind = type(self).__name__
        self.num_thresholds = checks.integer(kind, "num_thresholds", num_thresholds, least=1)
        thresholds = [0.5] if num_thresholds == 1 else np.arange(num_thresholds) / (num_thresholds - 1)
        super().__init__(name, dtype, thresholds, class_id=class_id)
        setattr(self, self.argument, checks.number(kind, self.argument, least, least=0, most=1))

    def _rates(self) -> tuple:
        """(the rate that is bounded, the other one)"""
        raise NotImplementedError

    def result(self):
        bounded, wanted = self._rates()
        return float(np.where(bounded >= getattr(self, self.argument), wanted, 0.0).max(initial=0.0))

    def _sensitivity(self):
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    def _specificity(self):
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)

    def _precision(self):
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    def get_config(self):
        own = {"num_thresholds": self.num_thresholds, "class_id": self.class_id}
        return {**super().get_config(), self.argument: getattr(self, self.argument), **own}


class SensitivityAtSpecificity(_UnderConstraint):
    """The largest sensitivity, tp / (tp + fn), where the specificity, tn / (tn + fp), is at least ``specificity``.

    num_thresholds: evenly between 0 and 1; class_id: the only column that counts.
    """

    argument = "specificity"

    def __init__(self, specificity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def _rates(self):
        return self._specificity(), self._sensitivity()


class SpecificityAtSensitivity(_UnderConstraint):
    """The largest specificity, tn / (tn + fp), where the sensitivity, tp / (tp + fn), is at least ``sensitivity``.

    num_thresholds: evenly between 0 and 1; class_id: the only column that counts.
    """

    argument = "sensitivity"

    def __init__(self, sensitivity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self):
        return self._sensitivity(), self._specificity()


class PrecisionAtRecall(_UnderConstraint):
    """The largest precision, tp / (tp + fp), where the recall, tp / (tp + fn), is at least ``recall``.

    num_thresholds: evenly between 0 and 1; class_id: the only column that counts.
    """

    argument = "recall"

    def __init__(self, recall, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def _rates(self):
        return self._sensitivity(), self._precision()


class RecallAtPrecision(_UnderConstraint):
    """The largest recall, tp / (tp + fn), where the precision, tp / (tp + fp), is at least ``precision``.

    num_thresholds: evenly between 0 and 1; class_id: the only column that counts.
    """

    argument = "precision"

    def __init__(self, precision, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def _rates(self):
        return self._precision(), self._sensitivity()


class AUC(_Counting):
    """The area under a curve of rates at many thresholds, in predictions from 0 to 1.

    num_thresholds: evenly from 0 to 1, in all; thresholds: those between 0 and 1, instead.
    curve: "ROC": the true positive rate over the false positive rate; "PR": precision over recall; "PRGAIN": their
        gains (Flach and Kull 2015).
    summation_method: between neighbouring thresholds: "interpolation" (trapezia; of "PR" the interpolation of Davis and
        Goadrich 2006), "minoring" or "majoring", the smaller or larger height.
    multi_label: the mean of the labels' areas, of predictions (batch, labels), otherwise all elements are one set;
        num_labels: how many; label_weights: one for each, by which the areas, or the elements, are weighed.
    from_logits: predictions are logits.
    """

    def __init__(
        self, num_thresholds=200, curve="ROC", summation_method="interpolation", name=None, dtype=None, thresholds=None,
        multi_label=False, num_labels=None, label_weights=None, from_logits=False,
    ):  # fmt: skip
        if thresholds is None:
            checks.integer("AUC", "num_thresholds", num_thresholds, least=2)
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        else:
            inner = sorted(checked_thresholds("AUC", list(thresholds), 0.5))
        self.multi_label = checks.boolean("AUC", "multi_label", multi_label)
        super().__init__(name or "auc", dtype, [-1e-7, *inner, 1 + 1e-7], by_label=self.multi_label)
        self.num_thresholds = len(inner) + 2
        self.curve = checks.one_of("AUC", "curve", _upper(curve), ("ROC", "PR", "PRGAIN"))
        methods = ("interpolation", "majoring", "minoring")
        method = summation_method.lower() if isinstance(summation_method, str) else summation_method
        self.summation_method = checks.one_of("AUC", "summation_method", method, methods)
        self.num_labels = checks.optional(checks.integer)("AUC", "num_labels", num_labels, least=1)
        if num_labels and not multi_label:
            raise invalid("AUC needs num_labels only with multi_label=True.", num_labels=num_labels)
        weights = None if label_weights is None else [checks.number("AUC", "label_weights", w) for w in label_weights]
        self.label_weights = weights
        self.from_logits = checks.boolean("AUC", "from_logits", from_logits)
        self._own_thresholds = thresholds is not None

    def _build(self, y_pred):
        if self.num_labels is not None and y_pred.shape[-1] != self.num_labels:
            raise invalid(f"{self.name} expects predictions of {self.num_labels} labels.", shape=display(y_pred.shape))
        super()._build(y_pred)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        if self.label_weights is not None:
            if y_pred.ndim < 2 or y_pred.shape[-1] != len(self.label_weights):
                raise invalid(f"{self.name} expects a label weight for each label.", label_weights=self.label_weights)
            if not self.multi_label:
                weights = 0.0 * y_pred + np.asarray(self.label_weights)
                sample_weight = weights if sample_weight is None else weights * aligned(sample_weight, y_pred)
        super().update_state(y_true, y_pred, sample_weight)

    def result(self):
        true, false = self.true_positives, self.false_positives
        missed, right = self.false_negatives, self.true_negatives
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated(true, false, missed)
        else:
            x, y = self._curve(true, false, missed, right)
            heights = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": np.minimum(y[:-1], y[1:])}
            heights = heights.get(self.summation_method, np.maximum(y[:-1], y[1:]))
            areas = ((x[:-1] - x[1:]) * heights).sum(axis=0)
        if not self.multi_label or self._counts is None:
            return float(areas)
        weights = np.ones(len(areas)) if self.label_weights is None else np.asarray(self.label_weights)
        return float(ratio((areas * weights).sum(), weights.sum()))

    def _curve(self, true, false, missed, right) -> tuple:
        recall = ratio(true, true + missed)
        if self.curve == "ROC":
            return ratio(false, false + right), recall
        if self.curve == "PR":
            return recall, ratio(true, true + false)
        scale = ratio(true + missed, right + false)
        recall_gain = np.where(true == 0, 0.0, 1.0 - scale * ratio(missed, true))
        precision_gain = np.where(true == 0, 1.0, 1.0 - scale * ratio(false, true))
        return np.maximum(recall_gain, 0.0), precision_gain

    def get_config(self):
        own = {
            "num_thresholds": self.num_thresholds, "curve": self.curve, "summation_method": self.summation_method,
            "multi_label": self.multi_label, "num_labels": self.num_labels, "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }  # fmt: skip
        thresholds = {"thresholds": self.thresholds[1:-1]} if self._own_thresholds else {}
        return {**super().get_config(), **own, **thresholds}


def _upper(curve):
    return curve.upper() if isinstance(curve, str) else curve


def _interpolated(true, false, missed) -> np.ndarray:
    """The area under precision over recall, between thresholds with tp linear in tp + fp."""
    positives = true + false
    steps, widths = true[:-1] - true[1:], positives[:-1] - positives[1:]
    slopes = ratio(steps, np.maximum(widths, 0))
    intercepts = true[1:] - slopes * positives[1:]
    both = (positives[:-1] > 0) & (positives[1:] > 0)
    ratios = np.where(both, ratio(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
    return ratio(slopes * (steps + intercepts * np.log(ratios)), np.maximum(true[1:] + missed[1:], 0)).sum(axis=0)


# ---- confusion matrices


class _Confusion(Metric):
    """A matrix of how often the target is one class, and the prediction another."""

    def __init__(self, num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis):
        super().__init__(dtype, name)
        kind = type(self).__name__
        self.num_classes = checks.integer(kind, "num_classes", num_classes, least=1)
        self.ignore_class = checks.optional(checks.integer)(kind, "ignore_class", ignore_class)
        self.sparse_y_true = checks.boolean(kind, "sparse_y_true", sparse_y_true)
        self.sparse_y_pred = checks.boolean(kind, "sparse_y_pred", sparse_y_pred)
        self.axis = checks.integer(kind, "axis", axis)
        self._matrix = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    @property
    def sparse(self):
        return self.sparse_y_true and not self.sparse_y_pred

    def _classes(self, prediction_shape):
        return None  # labels of no class are left out

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = y_true if self.sparse_y_true else last(y_true, self.axis)
        y_pred = y_pred if self.sparse_y_pred else last(y_pred, self.axis)
        y_true = ops.cast(y_true, y_pred.dtype) if y_true.dtype != y_pred.dtype else y_true
        sparse = (self.sparse_y_pred, self.sparse_y_true)
        rows = y_pred.shape if self.sparse_y_pred else y_pred.shape[:-1]
        if self.sparse_y_true and y_true.shape != rows and y_true.shape in ((*rows, 1), rows[:-1]):
            y_true = ops.reshape(y_true, (-1, *rows[1:]))
        weights = []
        if sample_weight is not None:
            like = y_pred if self.sparse_y_pred else ops.max(y_pred, axis=-1)
            weights = aligned(sample_weight, like)
            weights = [weights if weights.shape == rows else weights + 0.0 * like]
        ignored = -1 if self.ignore_class is None else self.ignore_class
        self._matrix.assign_add(ConfusionCounts(self.num_classes, sparse, ignored)(y_pred, y_true, *weights))


class ConfusionMatrix(_Confusion):
    """How often the target is class i and the prediction class j: an array (num_classes, num_classes).

    ignore_class: of targets, whose samples are left out, as are those of what is no class.
    sparse_y_true, sparse_y_pred: classes (batch, ...), otherwise scores of which the largest counts, along ``axis``.
    normalize: "true", "pred" or "all": divide by the sums of rows, of columns, or of everything.
    """

    def __init__(
        self, num_classes, name=None, dtype=None, ignore_class=None, sparse_y_true=True, sparse_y_pred=False, axis=-1,
        normalize=None,
    ):  # fmt: skip
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        if normalize is not None:
            checks.one_of("ConfusionMatrix", "normalize", normalize, ("true", "pred", "all"))
        self.normalize = normalize

    def result(self):
        matrix = self._matrix.numpy()
        axis = {"true": 1, "pred": 0}.get(self.normalize)
        return matrix if self.normalize is None else ratio(matrix, matrix.sum(axis=axis, keepdims=True))

    def get_config(self):
        own = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis", "normalize")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


class IoU(_Confusion):
    """The mean over some classes of intersection / union: tp / (tp + fp + fn); classes that occur nowhere count not.

    target_class_ids: these classes.  Other arguments: as of ConfusionMatrix.
    """

    def __init__(
        self, num_classes, target_class_ids, name=None, dtype=None, ignore_class=None, sparse_y_true=True,
        sparse_y_pred=True, axis=-1,
    ):  # fmt: skip
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        kind = type(self).__name__
        classes = [checks.integer(kind, "target_class_ids", c, 0, num_classes - 1) for c in target_class_ids]
        self.target_class_ids = classes

    def result(self):
        matrix = self._matrix.value
        hits = np.diag(matrix)
        unions = (matrix.sum(axis=0) + matrix.sum(axis=1) - hits)[self.target_class_ids]
        return float(ratio(ratio(hits[self.target_class_ids], unions).sum(), (unions > 0).sum()))

    def get_config(self):
        own = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


class BinaryIoU(IoU):
    """IoU of predictions from 0 to 1, which are class 1 from ``threshold`` up, otherwise class 0."""

    def __init__(self, target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = checks.number("BinaryIoU", "threshold", threshold)

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, 1.0 - ops.relu(ops.sign(self.threshold - y_pred)), sample_weight)

    def get_config(self):
        return {"name": self.name, "target_class_ids": self.target_class_ids, "threshold": self.threshold}


class MeanIoU(IoU):
    """IoU of all classes; arguments as of ConfusionMatrix."""

    def __init__(
        self, num_classes, name=None, dtype=None, ignore_class=None, sparse_y_true=True, sparse_y_pred=True, axis=-1
    ):
        classes = range(checks.integer(type(self).__name__, "num_classes", num_classes, least=1))
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "target_class_ids"}


class OneHotIoU(IoU):
    """IoU of one-hot targets, and of scores or, with ``sparse_y_pred``, classes; arguments as of IoU."""

    def __init__(
        self, num_classes, target_class_ids, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1
    ):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "sparse_y_true"}


class OneHotMeanIoU(MeanIoU):
    """MeanIoU of one-hot targets, and of scores or, with ``sparse_y_pred``, classes; arguments as of MeanIoU."""

    def __init__(self, num_classes, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "sparse_y_true"}
