"""Choices by indices, orders, and writes into parts."""

import math

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.indexed import ArgMax, ArgSort, Take, TakeAlongAxis
from ..core.operations.strided import Index
from ..core.policy import floatx
from ..core.values import Value
from ._calls import apply, on_arrays, publisher
from .comparisons import equal, greater, greater_equal, isnan, less, where
from .elementwise import negative
from .products import matmul
from .reductions import max, sum
from .shapes import expand_dims, flip, pad, reshape, transpose
from .tensors import cast, dtype_of

__all__ = []
public = publisher(__all__)


@public
@on_arrays(np.take)
def take(x, indices, axis=None):
    """What lies at ``indices`` along ``axis``; below 0 they count from the end.  axis=None: of all elements in a row.

    x (..., size, ...), indices of any shape, which takes the axis's place.  Of a symbolic x with a batch axis the
    indices have none, and ``axis`` is not 0; indices with a batch axis choose rows of a table, x, by axis=0.

    Raises ValueError for constant indices that are outside; indices of data are checked before a step runs.
    """
    if axis is None:
        if isinstance(x, Value) and x.batched:
            raise invalid("ops.take of symbolic tensors with a batch axis needs an axis.", axis=axis)
        x, axis = reshape(x, (-1,)), 0
    return apply(Take(axis), x, _whole_numbers(indices))


def _whole_numbers(indices):
    """Indices as integers, Python's lists too."""
    if isinstance(indices, Value):
        return indices
    found = np.asarray(indices)
    if found.dtype.kind not in "iub":
        raise TypeError(f"Indices are integers. Received: dtype={found.dtype}")
    return found


@public
@on_arrays(np.take_along_axis)
def take_along_axis(x, indices, axis=None):
    """x[..., indices[..., j, ...], ...] along ``axis``, not the batch's: both have the same sizes elsewhere."""
    if axis is None:
        raise invalid("ops.take_along_axis of symbolic tensors needs an axis.", axis=axis)
    return TakeAlongAxis(axis)(x, _whole_numbers(indices))


@public
@on_arrays(lambda x, axis, keepdims: np.argmax(x, axis=axis, keepdims=keepdims))
def argmax(x, axis=None, keepdims=False):
    """Where the first largest element along ``axis``, not the batch's, lies: int32 of symbolic tensors."""
    if axis is None:
        raise invalid("ops.argmax of symbolic tensors needs an axis, not the batch's.", axis=axis)
    return apply(ArgMax(axis, keepdims), x)


@public
@on_arrays(lambda x, axis, keepdims: np.argmin(x, axis=axis, keepdims=keepdims))
def argmin(x, axis=None, keepdims=False):
    """Where the first smallest element along ``axis``, not the batch's, lies: int32 of symbolic tensors."""
    return argmax(negative(x), axis, keepdims)


@public
@on_arrays(lambda x, axis: np.argsort(x, axis, kind="stable"))
def argsort(x, axis=-1):
    """The order that sorts x along ``axis``, smallest first, equal elements in their order: int32 if symbolic."""
    return apply(ArgSort(axis), x)


@public
@on_arrays(np.sort)
def sort(x, axis=-1):
    """x in order along ``axis``, smallest first."""
    return take_along_axis(x, argsort(x, axis), axis)


def _top_k_of_array(x, k, sorted):
    x = np.asarray(x)
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k].astype("int32")
    return np.take_along_axis(x, order, -1), order


@public
@on_arrays(_top_k_of_array)
def top_k(x, k, sorted=True):
    """``(values, indices)`` of the k largest along the last axis, largest first: (..., k), indices int32."""
    size = x.shape[-1]
    k = checks.integer("ops.top_k", "k", k, least=1, most=size)
    order = argsort(negative(x), -1)
    order = Index([(None, None, None)] * (order.ndim - order.batched - 1) + [(0, k, None)])(order)
    return take_along_axis(x, order, -1), order


@public
def in_top_k(targets, predictions, k):
    """Whether fewer than k of each row of predictions (batch, classes) exceed that at targets (batch,): bool."""
    chosen = take_along_axis(predictions, expand_dims(targets, -1), -1)

    return less(sum(cast(greater(predictions, chosen), "int32"), axis=-1), k)


@public
@on_arrays(lambda x, bins: np.digitize(x, bins).astype("int32"))
def digitize(x, bins):
    """How many of ``bins``, rising numbers, are not above each element: int32."""

    return sum(cast(greater_equal(expand_dims(x, -1), np.asarray(bins)), "int32"), axis=-1)


@public
def searchsorted(sorted_sequence, values, side="left"):
    """Where each of ``values`` would go into ``sorted_sequence``, an array (n,): int32."""
    checks.one_of("ops.searchsorted", "side", side, ("left", "right"))

    compare = greater if side == "left" else greater_equal
    found = compare(expand_dims(values, -1), np.asarray(sorted_sequence))
    return sum(cast(found, "int32"), axis=-1)


@public
def one_hot(x, num_classes, axis=-1, dtype=None, sparse=False):
    """1 at the place that x says along a new axis of ``num_classes``, else 0; nothing where x is outside.

    x (...) of integers; the result (..., num_classes), of floatx by default.
    """
    if sparse:
        raise invalid("ops.one_hot makes dense tensors only.", sparse=sparse)
    x = x if isinstance(x, Value) else np.asarray(x)
    ndim = len(x.shape) + 1
    place = checks.integer("ops.one_hot", "axis", axis, least=-ndim, most=ndim - 1) % ndim
    classes = np.arange(num_classes).reshape((-1,) + (1,) * (ndim - 1 - place))
    return cast(equal(expand_dims(x, place), classes), dtype or floatx())


@public
def multi_hot(inputs, num_classes=None, axis=-1, dtype=None, sparse=False, num_tokens=None):
    """1 at every place that inputs (batch, n) name, else 0: (batch, num_classes)."""

    num_classes = num_tokens if num_classes is None else num_classes
    found = one_hot(inputs, num_classes, axis, dtype, sparse)
    return max(found, axis=1 if len(found.shape) > 2 else 0)


@public
def slice(inputs, start_indices, shape):
    """The part of ``inputs`` that starts at ``start_indices`` and has the sizes ``shape``; the batch's: 0 and None."""
    start = [int(number) for number in start_indices]
    if not isinstance(inputs, Value):
        inputs = np.asarray(inputs)
        return inputs[tuple(_part(a, b) for a, b in zip(start, shape, strict=True))]
    _check_start("slice", inputs, start, shape)
    parts = list(zip(start, shape, inputs.shape, strict=True))[inputs.batched :]
    for first, count, size in parts:
        if not 0 <= first < first + count <= size:
            raise invalid(f"ops.slice takes a part of {inputs.shape}.", start_indices=start, shape=tuple(shape))
    return Index([(first, first + count, None) for first, count, _ in parts])(inputs)


def _part(start: int, count: int):
    return _python_slice(start, start + count)


_python_slice = type(np.s_[:])  # the name stands for a function here


def _check_start(owner: str, x, start, shape) -> None:
    shape = tuple(shape)
    whole = len(start) == len(shape) == x.ndim
    if not whole or (x.batched and (start[0] != 0 or shape[0] not in (None, -1))):
        raise invalid(
            f"ops.{owner} takes a number for every axis of {x.shape}, and all of a batch: it starts at 0, its size is "
            "None.", start_indices=start, shape=shape,
        )  # fmt: skip


@public
def slice_update(inputs, start_indices, updates):
    """``inputs`` with ``updates`` in the place of the part that starts at ``start_indices``."""
    start = [int(number) for number in start_indices]
    if not isinstance(inputs, Value) and not isinstance(updates, Value):
        found = np.array(inputs)
        found[tuple(_part(a, b) for a, b in zip(start, np.shape(updates), strict=True))] = updates
        return found
    _check_start("slice_update", inputs, start, np.shape(updates) if not isinstance(updates, Value) else updates.shape)
    batched = inputs.batched
    sizes = inputs.shape[batched:]
    taken = tuple(updates.shape)[batched:]
    widths = [(a, size - a - n) for a, n, size in zip(start[batched:], taken, sizes, strict=True)]
    if any(low < 0 or high < 0 for low, high in widths):
        raise invalid(f"ops.slice_update replaces a part of {inputs.shape}.", start_indices=start, updates=updates)
    inside = np.pad(np.ones(taken, bool), widths)
    return where(inside, pad(updates, ([(0, 0)] if batched else []) + widths), inputs)


def _places(owner: str, indices):
    if isinstance(indices, Value):
        raise invalid(f"ops.{owner} takes an array of indices, no symbolic ones.", indices=indices)
    return tuple(np.moveaxis(_whole_numbers(indices), -1, 0))


@public
def scatter(indices, values, shape):
    """Zeros of the sizes ``shape``, to which ``values`` (n, ...) are added at ``indices`` (n, axes): arrays only."""
    places = _places("scatter", indices)
    if isinstance(values, Value):
        raise invalid("ops.scatter takes arrays; of symbolic tensors there is ops.slice_update.", values=values)
    found = np.zeros(shape, np.asarray(values).dtype)
    np.add.at(found, places, values)
    return found


@public
def scatter_update(inputs, indices, updates, reduction=None):
    """``inputs`` with ``updates`` (n, ...) at ``indices`` (n, axes): arrays only; reduction: None, the last one counts.
    """
    if reduction is not None:
        raise invalid("ops.scatter_update overwrites: add up with ops.scatter.", reduction=reduction)
    places = _places("scatter_update", indices)
    if isinstance(inputs, Value) or isinstance(updates, Value):
        raise invalid("ops.scatter_update takes arrays; of symbolic tensors there is ops.slice_update.", inputs=inputs)
    found = np.array(inputs)
    found[places] = updates
    return found


@public
def segment_sum(data, segment_ids, num_segments=None, sorted=False):
    """The sums of the rows of data (n, ...) that have the same number in segment_ids (n,): (num_segments, ...).

    Of symbolic data, which have no batch axis, ``num_segments`` is needed.
    """
    if not isinstance(data, Value) and not isinstance(segment_ids, Value):
        data, ids = np.asarray(data), np.asarray(segment_ids)
        found = np.zeros((num_segments or int(ids.max()) + 1, *data.shape[1:]), data.dtype)
        np.add.at(found, ids, data)
        return found
    ids_batched = isinstance(segment_ids, Value) and segment_ids.batched
    if num_segments is None or data.batched or ids_batched:
        raise invalid(
            "ops.segment_sum of symbolic data needs num_segments, and data without a batch axis: the sum over the "
            "batch has none.", num_segments=num_segments, data=data,
        )  # fmt: skip
    rows = transpose(one_hot(segment_ids, num_segments, dtype=dtype_of(data)))
    size = int(np.prod(data.shape[1:]))
    return reshape(matmul(rows, reshape(data, (data.shape[0], size))), (num_segments, *data.shape[1:]))


@public
@on_arrays(lambda x, k, axes: np.rot90(x, k, axes))
def rot90(array, k=1, axes=(0, 1)):
    """The array turned by k quarters, from the first of two ``axes`` to the second; neither is the batch's."""
    x = array
    one, two = (normalize_axis("rot90", axis, x) for axis in axes)
    order = list(range(x.ndim))
    order[one], order[two] = two, one
    k %= 4
    if k == 2:
        return flip(x, (one, two))
    if k == 0:
        return x
    return transpose(flip(x, two), order) if k == 1 else flip(transpose(x, order), two)


@public
@on_arrays(lambda x, axis, keepdims: np.nanargmax(x, axis=axis, keepdims=keepdims))
def nanargmax(x, axis=None, keepdims=False):
    """``argmax`` among what is a number; 0 where nothing is, of arrays ValueError."""
    return argmax(where(isnan(x), -math.inf, x), axis, keepdims)


@public
@on_arrays(lambda x, axis, keepdims: np.nanargmin(x, axis=axis, keepdims=keepdims))
def nanargmin(x, axis=None, keepdims=False):
    """``argmin`` among what is a number; 0 where nothing is, of arrays ValueError."""
    return argmin(where(isnan(x), math.inf, x), axis, keepdims)


def _segments(name: str, text: str, update, neutral):
    """A function of rows with the same number; ``update``: of NumPy, ``neutral``: of no row, by dtype."""

    def segments(data, segment_ids, num_segments=None, sorted=False):
        if isinstance(data, Value) or isinstance(segment_ids, Value):
            raise invalid(f"ops.{name} takes arrays; of symbolic tensors there is ops.segment_sum.", data=data)
        data, ids = np.asarray(data), np.asarray(segment_ids)
        found = np.full((num_segments or int(ids.max()) + 1, *data.shape[1:]), neutral(data.dtype), data.dtype)
        update.at(found, ids, data)
        return found

    segments.__name__ = segments.__qualname__ = name
    segments.__doc__ = (
        f"{text} of the rows of data (n, ...) that have the same number in segment_ids (n,): (num_segments, ...).\n\n"
        "    Of arrays only.\n    "
    )
    return public(segments)


def _extreme(which: str):
    def of(dtype):
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        infinite = {"max": math.inf, "min": -math.inf}[which]
        return infinite if dtype.kind == "f" else getattr(limits, which)

    return of


segment_max = _segments("segment_max", "The largest", np.maximum, _extreme("min"))
segment_min = _segments("segment_min", "The smallest", np.minimum, _extreme("max"))
segment_prod = _segments("segment_prod", "The product", np.multiply, lambda dtype: 1)
