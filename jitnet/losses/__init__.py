"""Losses, as in Keras 3: ``call(y_true, y_pred)`` gives one value per sample, ``reduction`` makes the batch's loss.

A function of a loss's name in snake case, ``mean_squared_error(y_true, y_pred)``, gives its values without a reduction.
"""

from .. import _registry
from ..core.errors import module_dir, module_getattr
from .base import (  # noqa: F401 - the last ones are jitnet's own
    FunctionLoss,
    Loss,
    aligned,
    as_function,
    check_labels,
    checked,
    checked_values,
    leaves_targets_open,
    per_sample,
    prepare_targets,
    step_values,
    symbolic_targets,
    takes_targets_as_given,
    target_shape,
)  # fmt: skip
from .crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)  # fmt: skip
from .margins import CategoricalHinge, Circle, ContrastiveLoss, Hinge, SquaredHinge, TripletMarginLoss, circle
from .overlap import Dice, Tversky
from .regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)  # fmt: skip
from .sequence import CTC

_CLASSES = [
    SparseCategoricalCrossentropy, CategoricalCrossentropy, BinaryCrossentropy, MeanSquaredError, MeanAbsoluteError,
    CTC, BinaryFocalCrossentropy, CategoricalFocalCrossentropy, CategoricalGeneralizedCrossEntropy, CategoricalHinge,
    Circle, ContrastiveLoss, CosineSimilarity, Dice, Hinge, Huber, KLDivergence, LogCosh, MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError, Poisson, SquaredHinge, TripletMarginLoss, Tversky,
]  # fmt: skip
_ALIASES = {
    "mse": MeanSquaredError, "mae": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError, "kld": KLDivergence, "bce": BinaryCrossentropy,
}  # fmt: skip
KNOWN = _registry.by_name(
    _CLASSES, **_ALIASES, **{name.upper(): loss for name, loss in _ALIASES.items()}, logcosh=LogCosh,
    kullback_leibler_divergence=KLDivergence,
)  # fmt: skip
FUNCTIONS = {}
for _loss in _CLASSES:
    _name = _registry.snake_case(_loss.__name__)
    FUNCTIONS[_name] = as_function(_loss, _name)
FUNCTIONS["circle"] = circle
globals().update(FUNCTIONS)
# the functions that Keras has among the losses alone
NOT_METRICS = (
    "categorical_generalized_cross_entropy", "circle", "contrastive_loss", "cosine_similarity", "ctc", "dice",
    "triplet_margin_loss", "tversky",
)  # fmt: skip
__all__ = ["Loss", *(loss.__name__ for loss in _CLASSES), *FUNCTIONS, "deserialize", "get", "serialize"]
del _loss, _name


def serialize(loss) -> dict | str:
    """``{"class_name": ..., "config": {...}}``; a user's function as its name."""
    return _registry.serialize(loss.function if isinstance(loss, FunctionLoss) else loss)


def deserialize(name, custom_objects=None):
    """The loss that ``serialize`` described."""
    return get(_registry.deserialize(name, KNOWN, custom_objects, kind="loss"))


def get(identifier):
    """A loss from an instance, a class, a config, a name such as "mse", or a function (y_true, y_pred)."""
    found = _registry.get(getattr(identifier, "loss_class", identifier), KNOWN, kind="loss")
    if found is None or isinstance(found, Loss):
        return found
    return FunctionLoss(found)


__getattr__ = module_getattr(__name__, "loss")
__dir__ = module_dir(__name__)
