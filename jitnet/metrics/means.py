"""Metrics that are means of losses, and correlations."""

import warnings

import numpy as np

from .. import losses, ops
from .._settings import described
from ..core import checks
from ..core.operations.base import display
from ..losses.base import last
from ..losses.regression import cosine
from .base import Metric


class LossMetric(Metric):
    """A loss, or a user's function (y_true, y_pred), as a metric."""

    _takes_vectors = True

    def __init__(self, loss, name=None, dtype=None):
        self.loss = losses.get(loss)
        super().__init__(dtype, name or self.loss.name)

    @property
    def sparse(self):
        return self.loss.sparse

    @property
    def ignore_class(self):
        return getattr(self.loss, "ignore_class", None)

    def _target_shape(self, prediction_shape):
        return self.loss._target_shape(prediction_shape)

    def _classes(self, prediction_shape):
        return self.loss._classes(prediction_shape)

    def _mask(self, y_true, y_pred, values):
        return self.loss._mask(y_true, y_pred, values)

    def values(self, y_true, y_pred):
        if isinstance(self.loss, losses.FunctionLoss):
            return self.loss.function(y_true, y_pred)
        return self.loss.compared(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "loss": losses.serialize(self.loss)}


def _loss_metric(loss: type, name: str | None = None, class_name: str | None = None):
    default = name or loss().name

    class LossAsMetric(LossMetric):
        __doc__ = loss.__doc__

        def __init__(self, name=default, dtype=None):
            super().__init__(loss(), name, dtype)

        def get_config(self):
            return {"name": self.name}

    LossAsMetric.__name__ = LossAsMetric.__qualname__ = class_name or loss.__name__
    return LossAsMetric


MeanSquaredError = _loss_metric(losses.MeanSquaredError)
MeanAbsoluteError = _loss_metric(losses.MeanAbsoluteError)
MeanAbsolutePercentageError = _loss_metric(losses.MeanAbsolutePercentageError)
MeanSquaredLogarithmicError = _loss_metric(losses.MeanSquaredLogarithmicError)
LogCoshError = _loss_metric(losses.LogCosh, "logcosh", "LogCoshError")
Hinge = _loss_metric(losses.Hinge)
SquaredHinge = _loss_metric(losses.SquaredHinge)
CategoricalHinge = _loss_metric(losses.CategoricalHinge)
KLDivergence = _loss_metric(losses.KLDivergence)
Poisson = _loss_metric(losses.Poisson)


class BinaryCrossentropy(LossMetric):
    """As the loss of this name."""

    def __init__(self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0):
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name, dtype)

    def get_config(self):
        smoothing = described(self.loss.label_smoothing)
        return {"name": self.name, "from_logits": self.loss.from_logits, "label_smoothing": smoothing}


class CategoricalCrossentropy(LossMetric):
    """As the loss of this name."""

    def __init__(self, name="categorical_crossentropy", dtype=None, from_logits=False, label_smoothing=0, axis=-1):
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing, axis), name, dtype)

    def get_config(self):
        smoothing = described(self.loss.label_smoothing)
        own = {"from_logits": self.loss.from_logits, "label_smoothing": smoothing, "axis": self.loss.axis}
        return {"name": self.name, **own}


class SparseCategoricalCrossentropy(LossMetric):
    """As the loss of this name."""

    def __init__(
        self, name="sparse_categorical_crossentropy", dtype=None, from_logits=False, ignore_class=None, axis=-1
    ):
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
        super().__init__(loss, name, dtype)

    def get_config(self):
        own = {"from_logits": self.loss.from_logits, "ignore_class": self.loss.ignore_class, "axis": self.loss.axis}
        return {"name": self.name, **own}


class RootMeanSquaredError(Metric):
    """The root of the mean of (y_true - y_pred)^2 over all elements."""

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(dtype, name)

    def values(self, y_true, y_pred):
        return ops.square(y_pred - y_true)

    def result(self):
        return super().result() ** 0.5


class _AlongAxis(Metric):
    """A number for vectors along ``axis``, which is not the batch."""

    _takes_vectors = True

    def __init__(self, name, dtype, axis):
        super().__init__(dtype, name)
        self.axis = checks.integer(type(self).__name__, "axis", axis)

    def values(self, y_true, y_pred):
        return self._of_vectors(last(y_true, self.axis), last(y_pred, self.axis))

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


class CosineSimilarity(_AlongAxis):
    """The cosine of the angle between y_true and y_pred along ``axis``, from -1 to 1, mean over the samples."""

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(name, dtype, axis)

    def _of_vectors(self, y_true, y_pred):
        return cosine(y_true, y_pred)


class PearsonCorrelation(_AlongAxis):
    """Pearson's correlation of y_true and y_pred along ``axis``, from -1 to 1, mean over the samples; NaN for vectors
    of equal numbers.
    """

    def __init__(self, name="pearson_correlation", dtype=None, axis=-1):
        super().__init__(name, dtype, axis)

    def _of_vectors(self, y_true, y_pred):
        a, b = (y - ops.mean(y, axis=-1, keepdims=True) for y in (y_true, y_pred))
        scales = ops.sqrt(ops.mean(ops.square(a), axis=-1)) * ops.sqrt(ops.mean(ops.square(b), axis=-1))
        return ops.mean(a * b, axis=-1) / scales


class ConcordanceCorrelation(_AlongAxis):
    """2 cov / (var(y_true) + var(y_pred) + (difference of the means)^2 + 1e-7) along ``axis`` (Lin 1989), mean over the
    samples.
    """

    def __init__(self, name="concordance_correlation", dtype=None, axis=-1):
        super().__init__(name, dtype, axis)

    def _of_vectors(self, y_true, y_pred):
        means = [ops.mean(y, axis=-1, keepdims=True) for y in (y_true, y_pred)]
        a, b = y_true - means[0], y_pred - means[1]
        norm = ops.mean(ops.square(a) + ops.square(b) + ops.square(means[0] - means[1]), axis=-1)
        return 2.0 * ops.mean(a * b, axis=-1) / (norm + 1e-7)


class R2Score(Metric):
    """1 - the sum of squared errors / that of the deviations from the mean, of predictions (batch, outputs).

    class_aggregation: "uniform_average" of the outputs' scores; "variance_weighted_average"; None: one for each.
    num_regressors: from 1 up, the score is adjusted for so many independent variables.
    """

    def __init__(self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None):
        super().__init__(dtype, name)
        known = ("uniform_average", "variance_weighted_average")
        if class_aggregation is not None:
            checks.one_of("R2Score", "class_aggregation", class_aggregation, known)
        self.class_aggregation = class_aggregation
        self.num_regressors = checks.integer("R2Score", "num_regressors", num_regressors, least=0)
        self._samples = self.add_variable(name="num_samples")
        self._sums = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        require_table(self, y_true, y_pred)
        outputs = y_pred.shape[-1]
        if self._sums is None:
            names = ("squared_sum", "sum", "residual", "count")
            self._sums = [self.add_variable((outputs,), name=name) for name in names]
        ones = 0.0 * y_true + 1.0
        weights = ones if sample_weight is None else ones * column_weights(sample_weight)
        terms = y_true * y_true * weights, y_true * weights, ops.square(y_true - y_pred) * weights, weights
        for variable, term in zip(self._sums, terms, strict=True):
            variable.assign_add(ops.sum(term, axis=0))
        self._samples.assign_add(ops.sum(ones))

    def result(self):
        if self._sums is None or not self._sums[3].value.any():
            return 0.0
        squares, total, residual, count = (variable.numpy() for variable in self._sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            deviations = squares - total * total / count
            scores = 1.0 - residual / deviations
        scores[np.isinf(scores)] = 0.0
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (deviations * scores).sum() / deviations.sum()
        free = float(self._samples) - self.num_regressors - 1
        if self.num_regressors and free > 0:
            scores = 1.0 - (1.0 - scores) * (float(self._samples) - 1.0) / free
        elif self.num_regressors:
            warnings.warn("R2Score has too few samples to be adjusted for its num_regressors.", stacklevel=3)
        return scores

    def get_config(self):
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}


class FBetaScore(Metric):
    """(1 + beta^2) p r / (beta^2 p + r) of precision p and recall r of each class; targets and predictions (batch,
    classes).

    average: None: one number for each class; "micro": of all classes together; "macro": their mean; "weighted": by how
        often each is wanted.
    beta: above 0.
    threshold: above it a class is predicted; None: that of the largest prediction.
    """

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(dtype, name)
        kind = type(self).__name__
        if average is not None:
            checks.one_of(kind, "average", average, ("micro", "macro", "weighted"))
        self.average, self.beta = average, checks.positive(kind, "beta", beta)
        self.threshold = checks.optional(checks.number)(kind, "threshold", threshold, least=0, most=1)
        self._sums = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        require_table(self, y_true, y_pred)
        micro = self.average == "micro"
        if self._sums is None:
            names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            self._sums = [self.add_variable(() if micro else (y_pred.shape[-1],), name=name) for name in names]
        if self.threshold is None:
            largest = ops.max(y_pred, axis=-1, keepdims=True)
            found = (1.0 - ops.sign(largest - y_pred)) * ops.relu(ops.sign(ops.absolute(y_pred) - 1e-9))
        else:
            found = ops.relu(ops.sign(y_pred - self.threshold))
        terms = [found * y_true, found * (1.0 - y_true), (1.0 - found) * y_true, 1.0 * y_true]
        if sample_weight is not None:
            terms = [term * column_weights(sample_weight) for term in terms]
        for variable, term in zip(self._sums, terms, strict=True):
            variable.assign_add(ops.sum(term) if micro else ops.sum(term, axis=0))

    def result(self):
        if self._sums is None:
            return 0.0
        true, false, missed, wanted = (variable.numpy() for variable in self._sums)
        precision, recall = true / (true + false + 1e-7), true / (true + missed + 1e-7)
        scores = (1 + self.beta**2) * precision * recall / (self.beta**2 * precision + recall + 1e-7)
        if self.average == "weighted":
            return float((scores * wanted).sum() / (wanted.sum() + 1e-7))
        return scores if self.average is None else float(np.mean(scores))

    def get_config(self):
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """FBetaScore with beta = 1: 2 p r / (p + r)."""

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "beta"}


def require_table(metric, y_true, y_pred) -> None:
    """Raise ValueError unless targets and predictions are (batch, columns)."""
    if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
        raise ValueError(
            f"{type(metric).__name__} expects targets and predictions (batch, columns). "
            f"Received: shapes {display(y_true.shape)} and {display(y_pred.shape)}"
        )


def column_weights(weights):
    """Weights (batch,) as (batch, 1)."""
    return ops.reshape(weights, (-1, 1)) if weights.ndim == 1 else weights
