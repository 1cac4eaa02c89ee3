"""Metrics, as in Keras 3: the mean over the samples of one value each, or any number that is made of sums.

Functions ``mean_squared_error(y_true, y_pred)`` and the like give one value per sample.
"""

from .. import _registry, losses
from ..core.errors import module_dir, module_getattr
from .accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanMetricWrapper,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from .base import Mean, Metric, Sum, Traced, as_function, takes_targets  # noqa: F401 - the last ones are jitnet's own
from .counts import (
    AUC,
    BinaryIoU,
    ConfusionMatrix,
    FalseNegatives,
    FalsePositives,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from .means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    F1Score,
    FBetaScore,
    Hinge,
    KLDivergence,
    LogCoshError,
    LossMetric,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

_CLASSES = [
    AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, BinaryIoU, CategoricalAccuracy, CategoricalCrossentropy,
    CategoricalHinge, ConcordanceCorrelation, ConfusionMatrix, CosineSimilarity, F1Score, FBetaScore, FalseNegatives,
    FalsePositives, Hinge, IoU, KLDivergence, LogCoshError, Mean, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanIoU, MeanMetricWrapper, MeanSquaredError, MeanSquaredLogarithmicError, OneHotIoU, OneHotMeanIoU,
    PearsonCorrelation, Poisson, Precision, PrecisionAtRecall, R2Score, Recall, RecallAtPrecision, RootMeanSquaredError,
    SensitivityAtSpecificity, SparseCategoricalAccuracy, SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy,
    SpecificityAtSensitivity, SquaredHinge, Sum, TopKCategoricalAccuracy, TrueNegatives, TruePositives,
]  # fmt: skip
_ALIASES = {
    "mse": MeanSquaredError, "mae": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError, "kld": KLDivergence, "bce": BinaryCrossentropy,
}  # fmt: skip
KNOWN = _registry.by_name(
    _CLASSES, **_ALIASES, **{name.upper(): metric for name, metric in _ALIASES.items()}, logcosh=LogCoshError,
    log_cosh=LogCoshError,
    LossMetric=LossMetric,
)  # fmt: skip
_FUNCTIONS = {
    **{name: losses.FUNCTIONS[name] for name in losses.FUNCTIONS if name not in losses.NOT_METRICS},
    **{
        _registry.snake_case(cls.__name__): as_function(cls, _registry.snake_case(cls.__name__))
        for cls in (
            BinaryAccuracy, CategoricalAccuracy, ConcordanceCorrelation, PearsonCorrelation, SparseCategoricalAccuracy,
            SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy,
        )
    },
}  # fmt: skip
globals().update(_FUNCTIONS)
__all__ = ["Metric", *(metric.__name__ for metric in _CLASSES), *_FUNCTIONS, "deserialize", "get", "serialize"]
_ACCURACY = ("accuracy", "acc")


def get(identifier, loss=None, prediction_shape=None, target_shape=None) -> Metric:
    """A metric from an instance, a class, a config, a name or a function (y_true, y_pred).

    "accuracy" becomes the accuracy that fits ``loss`` and the shape of the predictions; without both, ``Accuracy``.  A
    user's own loss does not say what targets are: their shape does, where it is known.
    """
    if isinstance(identifier, str) and identifier in _ACCURACY:
        if loss is None and prediction_shape is None:
            metric = Accuracy(identifier)
        elif getattr(loss, "sparse", False) or (
            losses.leaves_targets_open(loss) and _are_labels(target_shape, prediction_shape)
        ):
            metric = SparseCategoricalAccuracy(identifier)
        elif prediction_shape is not None and prediction_shape[-1] > 1 and not isinstance(
            loss, losses.BinaryCrossentropy | losses.BinaryFocalCrossentropy
        ):
            metric = CategoricalAccuracy(identifier)
        else:
            metric = BinaryAccuracy(identifier)
        return metric
    if isinstance(identifier, str) and identifier in losses.KNOWN and identifier not in KNOWN:
        return LossMetric(identifier, identifier)
    if isinstance(identifier, losses.Loss):
        return LossMetric(identifier)
    identifier = getattr(identifier, "metric_class", identifier)
    if hasattr(identifier, "loss_class"):
        return LossMetric(identifier, identifier.__name__)
    found = _registry.get(identifier, KNOWN, kind="metric")
    if found is None or isinstance(found, Metric):
        return found
    return LossMetric(found, getattr(found, "__name__", None))


def _are_labels(target_shape, prediction_shape) -> bool:
    """Whether targets (batch, ...) are integer labels of predictions that have several classes, as Keras tells it."""
    if target_shape is None or prediction_shape[-1] == 1:
        return False
    return len(target_shape) < len(prediction_shape) or target_shape[-1] == 1


def serialize(metric) -> dict | str:
    """A name as it is, a metric as ``{"class_name": ..., "config": {...}}``."""
    return metric if isinstance(metric, str) else _registry.serialize(metric)


def deserialize(config, custom_objects=None) -> Metric:
    """The metric that ``serialize`` described."""
    with _registry.custom_object_scope(custom_objects):
        return get(config)


__getattr__ = module_getattr(__name__, "metric")
__dir__ = module_dir(__name__)
