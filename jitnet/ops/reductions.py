"""Sums, means, extremes and what is made of them, along axes."""

import math

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.batch import BatchMax, BatchSum, SampleSum
from ..core.operations.cumulative import Cumulative
from ..core.operations.indexed import ArgMax, ArgSort, TakeAlongAxis
from ..core.operations.reduction import Reduction
from ..core.operations.shape import Concatenate, ExpandDims, Reshape, Slice, Squeeze, Transpose
from ..core.values import Value, is_integer
from ._calls import apply, on_arrays, publisher
from .comparisons import equal, greater, isfinite, isnan, logical_not, not_equal, where
from .elementwise import absolute, exp, isclose, log, maximum, negative, power, sqrt, square
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
    """The maximum along ``axis`` (an int or a tuple), or of all elements; the first one receives the gradient.

    initial: a number that the result is not below.  Over the batch it has no gradient.
    """
    over_batch = x.batched and (axis is None or 0 in [a % x.ndim for a in np.atleast_1d(axis)])
    if over_batch and is_integer(x):
        found = cast(max(cast(x, "float64"), axis, keepdims), x.dtype)
    elif is_integer(x):
        found = x
        for a in _axes("max", x, axis):
            found = TakeAlongAxis(a)(found, ArgMax(a, True)(found))
            found = found if keepdims else Squeeze((a,))(found)
    elif over_batch and not keepdims:
        found = BatchMax()(x)
        others = range(1, x.ndim) if axis is None else {a % x.ndim for a in map(int, np.atleast_1d(axis))} - {0}
        for a in sorted(others, reverse=True):
            found = Reduction("max", a - 1)(found)
    else:
        found = _reduce("max", x, axis, keepdims)
    return found if initial is None else maximum(found, initial)


def _given(initial) -> dict:
    return {} if initial is None else {"initial": initial}


@public
@on_arrays(lambda x, axis, keepdims, initial: np.min(x, axis, keepdims=keepdims, **_given(initial)))
def min(x, axis=None, keepdims=False, initial=None):
    """The minimum along ``axis`` (an int or a tuple), or of all elements; the first one receives the gradient.

    initial: a number that the result is not above.  Over the batch it has no gradient.
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


@public
@on_arrays(lambda x, axis, keepdims: np.ptp(x, axis=axis, keepdims=keepdims))
def ptp(x, axis=None, keepdims=False):
    """The largest minus the smallest along ``axis`` (an int or a tuple, not the batch)."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


@public
@on_arrays(lambda x1, x2, rtol, atol, equal_nan: np.allclose(x1, x2, rtol, atol, equal_nan))
def allclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all elements, the batch's included, are as ``isclose`` says: one bool."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@public
@on_arrays(lambda x, q, axis, method, keepdims: np.quantile(x, q, axis, method=method, keepdims=keepdims))
def quantile(x, q, axis=None, method="linear", keepdims=False):
    """What the parts ``q`` of the elements along ``axis`` (an int or a tuple, not the batch) are not above.

    q: numbers from 0 to 1; several have a new axis, the first of all, or of a tensor with a batch axis the second.
    method: "linear" (between neighbours), "lower", "higher", "midpoint" or "nearest".
    """
    checks.one_of("ops.quantile", "method", method, _METHODS)
    if isinstance(q, Value):
        raise invalid("ops.quantile takes numbers for q.", q=q)
    fractions = np.atleast_1d(np.asarray(q, np.float64))
    if fractions.ndim > 1 or not ((fractions >= 0) & (fractions <= 1)).all():
        raise invalid("ops.quantile expects q to be a number from 0 to 1, or several.", q=q)
    axes = sorted(_axes("quantile", x, axis))
    kept = [a for a in range(x.ndim) if a not in axes]
    size = int(np.prod([x.shape[a] for a in axes]))
    rest = [x.shape[a] for a in kept[x.batched :]]
    rows = Reshape([*rest, size])(x if kept + axes == list(range(x.ndim)) else Transpose([*kept, *axes])(x))
    last = rows.ndim - 1
    rows = TakeAlongAxis(last)(rows, ArgSort(last)(rows))
    found = []
    for fraction in fractions:
        place = float(fraction) * (size - 1)
        low, high = math.floor(place), math.ceil(place)
        if method in ("lower", "higher", "nearest"):
            chosen = {"lower": low, "higher": high, "nearest": int(np.round(place))}[method]
            low = high = chosen
        weight = 0.5 if method == "midpoint" and high > low else place - low
        part = Slice(last, low, low + 1)(rows)
        if high > low and weight:
            part = part + (Slice(last, high, high + 1)(rows) - part) * weight
        found.append(part)
    shape = [1 if a in axes else x.shape[a] for a in range(x.batched, x.ndim)] if keepdims else rest
    found = [Reshape(shape)(part) for part in found]
    if np.ndim(q) == 0:
        return found[0]
    return Concatenate(int(x.batched))(*(ExpandDims((int(x.batched),))(part) for part in found))


@public
@on_arrays(lambda x, q, axis, method, keepdims: np.percentile(x, q, axis, method=method, keepdims=keepdims))
def percentile(x, q, axis=None, method="linear", keepdims=False):
    """``quantile`` with q from 0 to 100."""
    if isinstance(q, Value):
        raise invalid("ops.percentile takes numbers for q.", q=q)
    return quantile(x, np.asarray(q, np.float64) / 100, axis, method, keepdims)


@public
@on_arrays(lambda y, x, dx, axis: getattr(np, "trapezoid", getattr(np, "trapz", None))(y, x, dx, axis))
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """The integral of y along ``axis``, not the batch's, by trapezoids; x: its places, an array, else ``dx`` apart."""
    axis = normalize_axis("trapezoid", axis, y)
    size = y.shape[axis]
    middles = (Slice(axis, 1, size)(y) + Slice(axis, 0, size - 1)(y)) * 0.5
    if x is None:
        return sum(middles, axis) * dx
    if isinstance(x, Value) or np.ndim(x) != 1:
        raise invalid("ops.trapezoid of symbolic tensors takes an array (n,) for x.", x=x)
    widths = np.diff(np.asarray(x, np.float64)).reshape([-1 if a == axis else 1 for a in range(y.ndim)])
    return sum(middles * (widths[0] if y.batched and axis else widths).astype(y.dtype), axis)


def _without_nan(name: str, text: str, neutral: float, reduce):
    """A reduction in which NaN counts as ``neutral``."""

    def reduction(x, axis=None, keepdims=False):
        return reduce(where(isnan(x), neutral, x), axis, keepdims)

    reduction.__name__ = reduction.__qualname__ = name
    reduction.__doc__ = f"{text} along ``axis`` (an int or a tuple, not the batch) of what is a number.\n    "
    return public(_of_numpy(getattr(np, name))(reduction))


nansum = _without_nan("nansum", "The sum", 0.0, sum)
nanprod = _without_nan("nanprod", "The product", 1.0, prod)


@public
@_of_numpy(np.nanmax)
def nanmax(x, axis=None, keepdims=False):
    """The maximum along ``axis`` (an int or a tuple, not the batch) of what is a number; NaN where nothing is."""
    return _unless_all(x, max(where(isnan(x), -math.inf, x), axis, keepdims), axis, keepdims)


@public
@_of_numpy(np.nanmin)
def nanmin(x, axis=None, keepdims=False):
    """The minimum along ``axis`` (an int or a tuple, not the batch) of what is a number; NaN where nothing is."""
    return _unless_all(x, min(where(isnan(x), math.inf, x), axis, keepdims), axis, keepdims)


def _unless_all(x, found, axis, keepdims):
    return where(all(isnan(x), axis, keepdims), math.nan, found)


@public
@_of_numpy(np.nanmean)
def nanmean(x, axis=None, keepdims=False):
    """The mean along ``axis`` as of ``mean`` of what is a number."""
    return nansum(x, axis, keepdims) / sum(cast(logical_not(isnan(x)), x.dtype), axis, keepdims)


@public
@_of_numpy(np.nanvar)
def nanvar(x, axis=None, keepdims=False):
    """The variance along ``axis`` (an int or a tuple, not the batch) of what is a number."""
    gaps = isnan(x)
    # NaN goes into no arithmetic: its gradient would be NaN
    spread = where(gaps, 0.0, where(gaps, 0.0, x) - nanmean(x, axis, True))
    return sum(square(spread), axis, keepdims) / sum(cast(logical_not(gaps), x.dtype), axis, keepdims)


@public
@_of_numpy(np.nanstd)
def nanstd(x, axis=None, keepdims=False):
    """The standard deviation along ``axis`` (an int or a tuple, not the batch) of what is a number."""
    return sqrt(nanvar(x, axis, keepdims))


@public
@on_arrays(lambda x, axis, dtype: np.nancumsum(x, axis, dtype))
def nancumsum(x, axis=None, dtype=None):
    """``cumsum`` in which NaN counts as 0."""
    return cumsum(where(isnan(x), 0.0, x), axis, dtype)


@public
@on_arrays(lambda x, axis, dtype: np.nancumprod(x, axis, dtype))
def nancumprod(x, axis=None, dtype=None):
    """``cumprod`` in which NaN counts as 1."""
    return cumprod(where(isnan(x), 1.0, x), axis, dtype)
