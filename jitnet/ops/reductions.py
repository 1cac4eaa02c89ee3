"""Sums, means, extremes and what is made of them, along axes."""

import math

import numpy as np

from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.batch import BatchSum, SampleSum
from ..core.operations.cumulative import Cumulative
from ..core.operations.indexed import ArgMax, ArgSort, TakeAlongAxis
from ..core.operations.reduction import Reduction
from ..core.operations.shape import Reshape, Slice, Squeeze
from ..core.values import is_integer
from ._calls import apply, on_arrays, publisher
from .comparisons import equal, greater, isfinite, not_equal, where
from .elementwise import absolute, exp, log, maximum, negative, power, sqrt, square
from .tensors import cast, stop_gradient

__all__ = ["amax", "amin"]
public = publisher(__all__)


def _axes(function: str, x, axis) -> list[int]:
    """The axes of a reduction that leaves the batch's alone, the last first."""
    if axis is None and x.batched:
        raise invalid(f"ops.{function} needs an axis that is not the batch's.", axis=axis)
    axis = range(x.ndim) if axis is None else axis
    axes = [normalize_axis(function, a, x) for a in (axis if isinstance(axis, tuple | list | range) else (axis,))]
    if len(set(axes)) < len(axes):
        raise invalid(f"ops.{function} expects each axis once.", axis=axis)
    return sorted(axes, reverse=True)


def _reduce(function, x, axis, keepdims):
    if axis is None and x.batched and function in ("sum", "mean") and not keepdims:
        return BatchSum(function == "mean")(x)
    if axis in (0, (0,), -x.ndim) and x.batched and function in ("sum", "mean") and not keepdims:
        return SampleSum(function == "mean")(x)
    for a in _axes(function, x, axis):
        x = Reduction(function, a, keepdims)(x)
    return x


def _of_numpy(function):
    return on_arrays(lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims))


@public
@_of_numpy(np.sum)
def sum(x, axis=None, keepdims=False):
    """The sum along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("sum", x, axis, keepdims)


@public
@_of_numpy(np.mean)
def mean(x, axis=None, keepdims=False):
    """The mean along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("mean", x, axis, keepdims)


@public
@on_arrays(lambda x, axis, keepdims, initial: np.max(x, axis, keepdims=keepdims, **_given(initial)))
def max(x, axis=None, keepdims=False, initial=None):
    """The maximum along ``axis`` (an int or a tuple, not the batch); the first one receives the gradient.

    initial: a number that the result is not below.
    """
    if is_integer(x):
        found = x
        for a in _axes("max", x, axis):
            found = TakeAlongAxis(a)(found, ArgMax(a, True)(found))
            found = found if keepdims else Squeeze((a,))(found)
    else:
        found = _reduce("max", x, axis, keepdims)
    return found if initial is None else maximum(found, initial)


def _given(initial) -> dict:
    return {} if initial is None else {"initial": initial}


@public
@on_arrays(lambda x, axis, keepdims, initial: np.min(x, axis, keepdims=keepdims, **_given(initial)))
def min(x, axis=None, keepdims=False, initial=None):
    """The minimum along ``axis`` (an int or a tuple, not the batch); the first one receives the gradient.

    initial: a number that the result is not above.
    """
    return negative(max(negative(x), axis, keepdims, None if initial is None else -initial))


amax, amin = max, min


@public
@on_arrays(lambda x, axis, keepdims, dtype: np.prod(x, axis=axis, keepdims=keepdims, dtype=dtype))
def prod(x, axis=None, keepdims=False, dtype=None):
    """The product along ``axis`` (an int or a tuple, not the batch); its gradient is exact where elements are 0."""
    x = x if dtype is None else cast(x, dtype)
    for a in _axes("prod", x, axis):
        size = x.shape[a]
        x = Slice(a, size - 1, size)(Cumulative("cumprod", a)(x))
        x = x if keepdims else Squeeze((a,))(x)
    return x


@public
@_of_numpy(np.var)
def var(x, axis=None, keepdims=False):
    """The variance, the mean square of what differs from the mean, along ``axis`` as of ``mean``."""
    return moments_of(x, axis, keepdims)[1]


@public
@_of_numpy(np.std)
def std(x, axis=None, keepdims=False):
    """The standard deviation, sqrt(var), along ``axis`` as of ``mean``."""
    return sqrt(var(x, axis, keepdims))


def moments_of(x, axis, keepdims):
    """Mean and variance."""
    over_batch = x.batched and axis in (None, 0, (0,), -x.ndim)
    if over_batch:
        center = mean(x, axis)
        return center, mean(square(x - center), axis, keepdims)
    center = mean(x, axis, keepdims=True)
    spread = mean(square(x - center), axis, keepdims)
    return center if keepdims else _without(center, axis, spread), spread


def _without(x, axis, like):
    """x without the axes of one element that ``like`` doesn't have."""
    return Reshape(like.shape[like.batched :])(x)


@public
@_of_numpy(np.any)
def any(x, axis=None, keepdims=False):
    """Whether an element along ``axis`` is not 0, or any of all, the batch included: bool."""
    return greater(sum(cast(not_equal(x, 0), "int32"), axis, keepdims), 0)


@public
@_of_numpy(np.all)
def all(x, axis=None, keepdims=False):
    """Whether no element along ``axis`` is 0, or none of all, the batch included: bool."""
    return equal(sum(cast(equal(x, 0), "int32"), axis, keepdims), 0)


@public
@on_arrays(lambda x, axis: np.count_nonzero(x, axis=axis))
def count_nonzero(x, axis=None):
    """How many elements along ``axis``, not the batch's, are not 0: int32."""
    if axis is None and x.batched:
        raise invalid("ops.count_nonzero needs an axis that is not the batch's.", axis=axis)
    return sum(cast(not_equal(x, 0), "int32"), axis)


def _logsumexp_of_array(x, axis, keepdims):
    x = np.asarray(x)
    largest = np.max(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        found = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return found if keepdims else np.squeeze(found, axis if axis is None or isinstance(axis, int) else tuple(axis))


@public
@on_arrays(_logsumexp_of_array)
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) along ``axis`` (an int or a tuple, not the batch), without overflow."""
    largest = stop_gradient(max(x, axis, keepdims=True))
    largest = where(isfinite(largest), largest, 0.0)
    found = log(sum(exp(x - largest), axis, keepdims=True)) + largest
    if keepdims:
        return found
    axes = _axes("logsumexp", x, axis)
    return Reshape([size for a, size in enumerate(x.shape) if a not in axes and size is not None])(found)


@public
@on_arrays(lambda x, axis, weights: np.average(x, axis=axis, weights=weights))
def average(x, axis=None, weights=None):
    """The mean along ``axis`` as of ``mean``; ``weights``: of the same shape, or of that of the axis."""
    if weights is None:
        return mean(x, axis)
    if isinstance(axis, int) and len(weights.shape) == 1 and len(x.shape) > 1:
        a = normalize_axis("average", axis, x)
        weights = np.reshape(weights, [-1 if i == a else 1 for i in range(x.ndim)])
        return sum(x * weights, axis) / float(np.sum(weights))
    return sum(x * weights, axis) / sum(weights, axis)


@public
@on_arrays(lambda x, axis, dtype: np.cumsum(x, axis, dtype))
def cumsum(x, axis=None, dtype=None):
    """x[0] + ... + x[j] along ``axis`` (not the batch)."""
    return _cumulative("cumsum", x, axis, dtype)


@public
@on_arrays(lambda x, axis, dtype: np.cumprod(x, axis, dtype))
def cumprod(x, axis=None, dtype=None):
    """x[0] * ... * x[j] along ``axis`` (not the batch)."""
    return _cumulative("cumprod", x, axis, dtype)


def _cumulative(function, x, axis, dtype):
    if axis is None:
        raise invalid(f"ops.{function} of symbolic tensors needs an axis, not the batch's.", axis=axis)
    return apply(Cumulative(function, axis), x if dtype is None else cast(x, dtype))


@public
@on_arrays(lambda x, n, axis: np.diff(x, n, axis))
def diff(a, n=1, axis=-1):
    """a[1:] - a[:-1] along ``axis``, not the batch's, n times."""
    axis = normalize_axis("diff", axis, a)
    for _ in range(n):
        size = a.shape[axis]
        a = Slice(axis, 1, size)(a) - Slice(axis, 0, size - 1)(a)
    return a


@public
@on_arrays(lambda x, axis, keepdims: np.median(x, axis=axis, keepdims=keepdims))
def median(x, axis=None, keepdims=False):
    """The middle of what is sorted along one ``axis``, not the batch's; of an even number the mean of both."""
    (a,) = _axes("median", x, axis)
    order = ArgSort(a)(x)
    size = x.shape[a]
    middle = Slice(a, (size - 1) // 2, size // 2 + 1)(order)
    return mean(TakeAlongAxis(a)(x, middle), a, keepdims)


@public
@on_arrays(lambda x, ord, axis, keepdims: np.linalg.norm(x, ord, axis, keepdims))
def norm(x, ord=None, axis=None, keepdims=False):
    """The length of vectors along ``axis``, an int, or of matrices along a pair of axes, not the batch's.

    ord: of vectors a number, infinity included (2 by default); of symbolic matrices "fro", the default.
    """
    axes = _axes("norm", x, axis)
    if ord in (None, "fro") or (ord == 2 and len(axes) == 1):
        return sqrt(sum(square(x), tuple(axes), keepdims))
    if len(axes) > 1 or isinstance(ord, str):
        raise invalid("ops.norm of symbolic matrices knows ord='fro' only.", ord=ord, axis=axis)
    size = absolute(x)
    if ord in (math.inf, -math.inf):
        return (max if ord > 0 else min)(size, axes[0], keepdims)
    if ord == 0:
        return cast(sum(cast(not_equal(x, 0), "int32"), axes[0], keepdims), x.dtype)
    if ord == 1:
        return sum(size, axes[0], keepdims)
    return power(sum(power(size, float(ord)), axes[0], keepdims), 1.0 / ord)


