"""What a loss is: from targets and predictions to values, and from values to the number that is minimised."""

import inspect

import numpy as np

from .. import _registry, ops
from .._fixed import Fixed, noticed
from ..core import checks
from ..core.errors import NamesArguments, SamplesPairedError, invalid
from ..core.operations.base import display
from ..core.policy import floatx
from ..core.values import SymbolicTensor

EPSILON = 1e-7  # Keras's: what keeps divisors and the arguments of logarithms from 0
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight", "none")


class Loss(Fixed, NamesArguments):
    """Base of all losses.

    A subclass gives ``call(y_true, y_pred)``, made of jitnet.ops: symbolic tensors in, values (batch,) or
    (batch, ...) out, or a single number for the batch.

    reduction: "sum_over_batch_size" or "mean" (the mean over all values), "sum", "mean_with_sample_weight" (the sum of
        the weighted values, divided by the sum of the weights), or "none" or None: the values as they are, for calls
        only, because a model trains on one number.
    dtype: accepted for Keras's sake; must be None: a loss is computed in its model's dtype.
    """

    sparse = False  # y_true holds integer labels, without the class axis
    over_batch = False  # values may be some of the batch, without its axis

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        reduction = {"mean": "sum_over_batch_size", None: "none"}.get(reduction, reduction)
        if reduction not in REDUCTIONS:
            raise invalid(
                'A loss expects reduction "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight" or "none".',
                reduction=reduction,
            )
        if dtype is not None:
            raise invalid(f"{type(self).__name__} is computed in its model's dtype: dtype must be None.", dtype=dtype)
        self.name = checks.text("A loss", "name", name or _registry.snake_case(type(self).__name__))
        self.reduction = reduction

    def call(self, y_true, y_pred):
        raise TypeError(f"{type(self).__name__} lacks a call method")

    def compared(self, y_true, y_pred):
        """``call``, of a user's class with targets as they are given."""
        return compared(self.call, y_true, y_pred) if compares_itself(self) else self.call(y_true, y_pred)

    def _mask(self, y_true, y_pred, values):
        """1 for the values that count, 0 for others, of the shape of ``values``; None: all do."""
        return None

    def counting(self, y_true, y_pred, values):
        """``_mask``, and the one that the predictions have: of the first axes of ``values``, or None."""
        own = self._mask(y_true, y_pred, values)
        given = mask_of(y_pred, values)
        return own if given is None else given if own is None else own * given

    def _target_shape(self, prediction_shape: tuple) -> tuple | None:
        """The shape of the targets of a sample, for predictions (batch, ...); None: any."""
        return tuple(prediction_shape[1:-1] if self.sparse else prediction_shape[1:])

    def _classes(self, prediction_shape: tuple) -> int | None:
        """How many integer labels there are, for predictions (batch, ...); None: any number."""
        return prediction_shape[-1] if self.sparse else None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch: of arrays a float, of symbolic tensors a single number; without a reduction values.

        sample_weight: (batch,), or the first axes of the values: each sample's, or each position's.
        """
        if isinstance(y_pred, SymbolicTensor):
            noticed(self)
            y_true = symbolic_targets(self, y_true, y_pred)
            values = self.compared(y_true, y_pred)
            return self.reduced(values, sample_weight, self.counting(y_true, y_pred, values))
        values, mask = values_of_arrays(self, y_true, y_pred)
        return self._reduced_array(values, sample_weight, mask)

    def reduced(self, values, weights=None, mask=None):
        """The loss of a batch, of symbolic values (batch, ...): a single number; the values without a reduction.

        weights, mask: (batch, ...), the first axes of the values; a mask is 1 where they count, else 0.
        """
        if weights is not None and values.batched:
            weights = aligned(weights, values)
        if mask is not None:
            weights = mask if weights is None else weights * mask
        if weights is not None:
            values = values * weights
        if self.reduction == "none":
            return values
        if self.reduction == "sum":
            return ops.sum(values)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            return _divided(ops.sum(values), ops.sum(_everywhere(weights, values)))
        if mask is not None:
            return _divided(ops.sum(values), ops.sum(_everywhere(mask, values)))
        return ops.mean(per_sample(values))

    def _reduced_array(self, values, sample_weight, mask):
        """The same of arrays, in float64."""
        weights = None if sample_weight is None else aligned_array(np.asarray(sample_weight, np.float64), values)
        if mask is not None:
            weights = mask if weights is None else weights * mask
        if weights is not None:
            values = values * weights
        if self.reduction == "none":
            return values
        total, count = values.sum(), values.size if mask is None else mask.sum()
        if self.reduction == "sum":
            return float(total)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            count = np.broadcast_to(weights, values.shape).sum()
        return float(total / count) if count else 0.0

    def get_config(self) -> dict:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class FunctionLoss(Loss):
    """A user's function (y_true, y_pred) of symbolic tensors as a loss."""

    def __init__(self, function, name=None, reduction="sum_over_batch_size"):
        super().__init__(name or getattr(function, "__name__", "loss"), reduction)
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(*_of_one_rank(y_true, y_pred))


def _of_one_rank(y_true, y_pred) -> tuple:
    """Targets and predictions of one rank, where a last axis of 1 is all that they differ by, as Keras has them."""
    short, long = sorted((y_true, y_pred), key=lambda x: x.ndim)
    if long.ndim != short.ndim + 1 or long.shape[-1] != 1:
        return y_true, y_pred
    if short.ndim == 1:
        short = ops.expand_dims(short, -1)
    else:
        long = ops.squeeze(long, -1)
    return (long, short) if y_true.ndim > y_pred.ndim else (short, long)


def compares_itself(owner) -> bool:
    """Whether the ``call`` of a loss, or the ``values`` of a metric, is a user's own, or a metric is a function."""
    loss = getattr(owner, "loss", None)
    if isinstance(loss, Loss):
        return isinstance(loss, FunctionLoss) or compares_itself(loss)
    method = getattr(type(owner), "call", None) or getattr(owner, "_fn", None) or type(owner).values
    return not str(method.__module__).startswith("jitnet.")


def compared(function, y_true, y_pred):
    """``function(y_true, y_pred)`` of a user, with targets as they are given, as in Keras.

    Where that pairs each sample with all others, (batch,) with (batch, 1), targets get the axis that they lack, or lose
    the one that predictions lack.
    """
    try:
        return function(y_true, y_pred)
    except SamplesPairedError:
        other = with_other_rank(y_true)
        if other is None:
            raise
        return function(other, y_pred)


def with_other_rank(y_true):
    """Targets (batch,) as (batch, 1), and the other way round; None of other shapes."""
    if not isinstance(y_true, SymbolicTensor) or y_true.shape not in ((None,), (None, 1)):
        return None
    return ops.expand_dims(y_true, -1) if y_true.ndim == 1 else ops.squeeze(y_true, -1)


def takes_targets_as_given(owner) -> bool:
    """Whether targets keep their shape for a loss or a metric, as in Keras: for a user's own."""
    update = getattr(type(owner), "update_state", None)
    return compares_itself(owner) or not str(getattr(update, "__module__", "jitnet.")).startswith("jitnet.")


def leaves_targets_open(loss) -> bool:
    """Whether a loss does not say what targets are, labels or a number for each prediction: None, or a user's own."""
    return loss is None or isinstance(loss, FunctionLoss) or takes_targets_as_given(loss)


def mask_of(predictions, values):
    """The mask of symbolic predictions as numbers, with the axes of their loss's values (batch, ...); None: none."""
    mask = getattr(predictions, "mask", None)
    if mask is None or not values.batched:
        return None
    mask = ops.cast(ops.not_equal(mask, 0), values.dtype)
    if mask.shape[1:] != values.shape[1 : mask.ndim]:
        raise invalid(
            f"The predictions have a mask of shape {display(mask.shape)}: a loss or a metric has values for its axes.",
            values=display(values.shape),
        )
    return aligned(mask, values)


def _everywhere(weights, values):
    """Weights of the shape of the values."""
    return weights if weights.shape == values.shape else weights + 0.0 * values


def _divided(total, count):
    """total / count, and 0 / 1 for a count of 0."""
    return total / (count + (1.0 - ops.absolute(ops.sign(count))))


def per_sample(values):
    """(batch, ...) to (batch,) by the mean over the other axes; without a batch axis, the mean of all."""
    if not values.batched:
        return ops.mean(values) if values.ndim else values
    for axis in reversed(range(1, values.ndim)):
        values = ops.mean(values, axis=axis)
    return values


def aligned(weights, values):
    """Weights (batch, ...), which are the first axes of the values (batch, ...), with axes of 1 for the others."""
    if not isinstance(weights, SymbolicTensor):
        return weights
    sizes = weights.shape[1:]
    if weights.ndim == values.ndim + 1 and sizes[-1] == 1:
        sizes = sizes[:-1]
    own = values.shape[1 : len(sizes) + 1]
    if len(own) != len(sizes) or any(size not in (1, given) for size, given in zip(sizes, own, strict=True)):
        raise ValueError(
            f"sample_weight expects shape {display(values.shape)}, or the first axes of it: those of the values that "
            f"are weighed. Received: shape={display(weights.shape)}"
        )
    return ops.reshape(weights, (-1, *sizes, *(1,) * (values.ndim - 1 - len(sizes))))


def aligned_array(weights, values):
    """The same for arrays."""
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    return weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))


def step_values(loss, target, prediction, own_weight, weight) -> tuple:
    """(values, reduction) by which a step computes a loss.

    Values (batch,) of which it takes the weighted "sum_over_batch_size" or "sum" itself, which is quickest; or the loss
    as a single number, with the reduction "number".

    own_weight: (batch, ...), weights of this output's samples, or None; weight: (batch,), those of all outputs.
    """
    values = checked(loss, loss.compared(target, prediction))
    mask = loss.counting(target, prediction, values)
    if own_weight is not None and values.batched:
        own_weight = aligned(own_weight, values)
    if values.batched and mask is None and loss.reduction in ("sum_over_batch_size", "sum"):
        values = values if own_weight is None else values * own_weight
        return (summed if loss.reduction == "sum" else per_sample)(values), loss.reduction
    if not values.batched:  # a number for the batch is weighed by the mean of the weights
        weights = weight if own_weight is None else weight * per_sample(own_weight)
        return per_sample(values) * ops.mean(weights), "number"
    weights = aligned(weight, values)
    return loss.reduced(values, weights if own_weight is None else weights * own_weight, mask), "number"


def summed(values):
    """(batch, ...) to (batch,) by the sum over the other axes."""
    for axis in reversed(range(1, values.ndim)):
        values = ops.sum(values, axis=axis)
    return values


def symbolic_targets(loss, y, predictions):
    """What ``prepare_targets`` does, for symbolic targets and predictions."""
    if not isinstance(y, SymbolicTensor):
        return y
    sparse = getattr(loss, "sparse", False)
    expected = None if compares_itself(loss) else target_shape(loss, predictions.shape)
    if expected is None:
        pass
    elif sparse and y.shape[1:] == (*expected, 1):
        y = ops.reshape(y, (-1, *y.shape[1:-1]))
    elif not sparse and y.shape == (None,) and predictions.shape == (None, 1):
        y = ops.reshape(y, (-1, 1))
    dtype = "int64" if sparse else predictions.dtype
    return y if y.dtype == dtype else ops.cast(y, dtype)


def checked(loss, values):
    """What a loss returned: values (batch, ...), or a single number for the batch."""
    return _checked("loss", loss.name, values, values_of_batch=loss.over_batch)


def checked_values(name: str, values):
    """What a metric returned: values (batch, ...), or a single number for the batch."""
    return _checked("metric", name, values)


def _checked(kind: str, name: str, values, values_of_batch=False):
    if not isinstance(values, SymbolicTensor):
        raise TypeError(f"The {kind} {name!r} must be made of jitnet.ops. Received: {values!r}")
    if not (values.batched or values.ndim == 0 or values_of_batch):
        raise ValueError(
            f"The {kind} {name!r} must return one value per sample, (batch,) or (batch, ...), or a single number for "
            f"the batch. Received: shape={display(values.shape)}"
        )
    return values


def target_shape(loss, prediction_shape) -> tuple | None:
    """The shape of a sample's targets of a loss or a metric, for predictions (batch, ...); None: any."""
    if hasattr(loss, "_target_shape"):
        return loss._target_shape(prediction_shape)
    return tuple(prediction_shape[1:-1] if getattr(loss, "sparse", False) else prediction_shape[1:])


def prepare_targets(loss, y, prediction_shape, dtype, as_given: bool = False, what: str = "y_true") -> np.ndarray:
    """Targets in the shape and dtype that ``loss`` compares with predictions (N, ...).

    Targets of another shape are returned as they are, for the caller to reject.  as_given: none gets another shape;
    what: their name in messages.
    """
    sparse = getattr(loss, "sparse", False)
    expected = target_shape(loss, prediction_shape)
    if as_given or compares_itself(loss):
        if sparse and (expected is None or y.shape[1:] in (expected, (*expected, 1))):
            check_labels(loss, y, prediction_shape, what)
        return y.astype(np.int64 if sparse else dtype)
    if sparse:
        if expected is not None and y.shape[1:] == (*expected, 1):
            y = y.reshape(y.shape[:-1])
        if expected is None or y.shape[1:] == expected:
            check_labels(loss, y, prediction_shape, what)
            y = y.astype(np.int64)
    else:
        if isinstance(loss, Loss) and expected is not None:  # a last axis of one element more or less, as in Keras
            if expected[-1:] == (1,) and y.shape[1:] == expected[:-1]:
                y = y[..., None]
            elif expected and y.shape[1:] == (*expected, 1):
                y = y[..., 0]
        y = y.astype(dtype)
    return y


def check_labels(loss, y, prediction_shape, what: str) -> None:
    """Raise ValueError unless ``y``, integer labels called ``what``, are of the classes of predictions."""
    if not y.size:
        return
    fractions = y[y != np.floor(y)] if y.dtype.kind == "f" else y[:0]
    if fractions.size:
        raise ValueError(f"{loss.name} expects integer labels. Received: {what} with a label of {fractions.flat[0]}")
    classes = loss._classes(prediction_shape) if hasattr(loss, "_classes") else prediction_shape[-1]
    if classes is None:
        return
    ignored = getattr(loss, "ignore_class", None)
    counted = y if ignored is None else y[y != ignored]
    if not counted.size:
        return
    low, high = counted.min(), counted.max()
    if low < 0 or high >= classes:
        raise ValueError(
            f"{loss.name} expects labels from 0 to {classes - 1}, because the predictions have {classes} classes. "
            f"Received: {what} with labels from {low} to {high}"
        )


# ---- arrays


def _as_predictions(y_pred) -> np.ndarray:
    y_pred = np.asarray(y_pred)
    return y_pred if y_pred.dtype.kind == "f" else y_pred.astype(floatx())


def values_of_arrays(loss, y_true, y_pred) -> tuple:
    """(values, mask or None) of arrays, or lists of numbers, in float64; predictions (n,) are one sample."""
    from ..eager import evaluate_loss

    y_pred, y_true = _as_predictions(y_pred), np.asarray(y_true)
    alone = y_pred.ndim == 1 and y_true.shape == y_pred.shape
    if alone:
        y_true, y_pred = y_true[None], y_pred[None]
    y_true = prepare_targets(loss, y_true, y_pred.shape, y_pred.dtype)
    found = evaluate_loss(loss, y_pred, y_true)
    values, mask = [*(np.asarray(part, np.float64) for part in found), None][:2]
    return (values[0], mask if mask is None else mask[0]) if alone else (values, mask)


def as_function(cls: type, name: str):
    """The function (y_true, y_pred, ...) of a loss class: its values, without a reduction."""
    given = list(inspect.signature(cls.__init__).parameters.values())[1:]
    own = [p for p in given if p.name not in ("reduction", "name", "dtype")]

    def function(y_true, y_pred, *arguments, **keywords):
        names = [parameter.name for parameter in own]
        loss = cls(**dict(zip(names, arguments, strict=False)), **keywords)
        if isinstance(y_pred, SymbolicTensor):
            return loss.call(symbolic_targets(loss, y_true, y_pred), y_pred)
        values, _ = values_of_arrays(loss, y_true, y_pred)
        return values.astype(_as_predictions(y_pred).dtype)[()]

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("y_true", "y_pred")]
    function.__signature__ = inspect.Signature([*parameters, *own])
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The values of ``losses.{cls.__name__}``, one per sample or position, without a reduction.\n\n"
        f"    {(cls.__doc__ or '').strip()}\n    "
    )
    function.loss_class = cls
    return function


def axis_of(loss, prediction_shape) -> int:
    """The axis that a loss has an argument for, from 1 on; it is not the batch."""
    axis, rank = loss.axis, len(prediction_shape)
    if not -rank <= axis < rank or axis % rank == 0:
        expected = f"{loss.name} expects an axis of predictions with {rank} axes that is not the batch."
        raise invalid(expected, axis=axis)
    return axis % rank


def last(x, axis: int):
    """x with ``axis``, which is not the batch, as the last one."""
    axis = axis % x.ndim
    return x if axis == x.ndim - 1 else ops.transpose(x, [*(i for i in range(x.ndim) if i != axis), axis])
