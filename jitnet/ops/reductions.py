"""Sums, means and maxima."""

from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.batch import BatchSum, SampleSum
from ..core.operations.reduction import Reduction
from ..core.values import Value
from ._calls import publisher

__all__ = []
public = publisher(__all__)


def _reduce(function, x, axis, keepdims):
    if not isinstance(x, Value):
        from ..eager import evaluate_function

        return evaluate_function(lambda value: _reduce(function, value, axis, keepdims), x)
    if axis is None and x.batched and function in ("sum", "mean") and not keepdims:
        return BatchSum(function == "mean")(x)
    if axis is None and x.batched:
        raise invalid(f"ops.{function} needs an axis that is not the batch's.", axis=axis)
    if axis is None:
        axis = tuple(range(x.ndim))
    if axis in (0, (0,), -x.ndim) and x.batched and function in ("sum", "mean") and not keepdims:
        return SampleSum(function == "mean")(x)
    axes = [normalize_axis(function, a, x) for a in (axis if isinstance(axis, tuple | list) else (axis,))]
    for a in sorted(axes, reverse=True):
        x = Reduction(function, a, keepdims)(x)
    return x


@public
def sum(x, axis=None, keepdims=False):
    """The sum along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("sum", x, axis, keepdims)


@public
def mean(x, axis=None, keepdims=False):
    """The mean along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("mean", x, axis, keepdims)


@public
def max(x, axis=None, keepdims=False):
    """The maximum along ``axis`` (an int or a tuple, not the batch); the first one receives the gradient."""
    return _reduce("max", x, axis, keepdims)
