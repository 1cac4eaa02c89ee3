"""Shapes: what moves elements without changing them."""

import itertools
import operator

import numpy as np

from ..core import checks, lengths
from ..core.errors import invalid
from ..core.lengths import Length, Samples, batches_in
from ..core.operations.base import elements, normalize_axis
from ..core.operations.indexed import Take
from ..core.operations.shape import (
    Concatenate,
    ExpandDims,
    Joined,
    Pad2D,
    Part,
    Regrouped,
    Reshape,
    Slice,
    Squeeze,
)
from ..core.operations.strided import BroadcastTo, Diagonal, Flip, Index, Pad, Repeat, Tile, moved
from ..core.values import Value, as_value, is_integer
from ._calls import apply, on_arrays, publisher, sizes_of
from ._turned import Turned, transposed
from .comparisons import where
from .tensors import dtype_of

__all__ = []
public = publisher(__all__)


def _is_sizes(x) -> bool:
    """Whether x is sizes of axes among which is that of a batch."""
    return isinstance(x, list | tuple) and any(isinstance(size, Samples) for size in x)


def _as_tensor(x) -> Value:
    """x itself if symbolic, an array as a constant, of floatx unless it is one of integers or booleans."""
    return x if isinstance(x, Value) else as_value(x, dtype_of(x) if is_integer(x) else None)


def axes_of(owner: str, axis) -> tuple[int, ...]:
    """An axis or several as a tuple."""
    axis = (axis,) if isinstance(axis, int | np.integer) else axis
    return checks.sizes(f"ops.{owner}", "axis", axis, least=-checks.LARGEST)


@public
@on_arrays(lambda x, newshape: np.reshape(x, tuple(-1 if size is None else size for size in np.atleast_1d(newshape))))
def reshape(x, newshape):
    """The elements of x under ``newshape``; of a symbolic tensor its first entry is the batch axis, -1 or None.

    Axes may go into the batch axis, which joins that many batches then, the parts of a sample one after the other, and
    out of it again: windows of images, (-1, rows, columns, height, width, channels), are what is under
    (-1, height, width, channels).
    """
    shape, x = sizes_of(newshape), _as_tensor(x)
    if x.batched:
        if not shape or (shape[0] not in (-1, None) and not isinstance(shape[0], Samples)):
            raise invalid("ops.reshape keeps the batch axis: newshape starts with -1.", newshape=shape)
        first, shape = shape[0], shape[1:]
        batches = first.batches if isinstance(first, Samples) else _batches_under(x, shape)
        if batches != x.batches:
            parts = _without_a_gap(x, batches, shape)
            if batches * elements(parts) != x.batches * elements(x.shape):
                raise invalid(
                    "ops.reshape keeps the batch axis, or puts whole axes into it: newshape starts with -1.",
                    newshape=(first, *shape),
                )  # fmt: skip
            return apply(Regrouped(parts, batches), x)
    return apply(Reshape(shape), x)


def _batches_under(x, shape) -> int:
    """How many batches x joins under another shape of its parts; as many as now, where that can't be."""
    if -1 in shape or lengths.unknown((*x.shape, *shape)):
        return x.batches
    size, whole = elements(shape), x.batches * elements(x.shape)
    return whole // size if size > 0 and whole % size == 0 else x.batches


def _without_a_gap(x, batches: int, shape: tuple) -> tuple:
    """The shape of a part of x, with what is left of its elements in the place of -1."""
    known = batches * elements([size for size in shape if size != -1])
    return tuple(x.batches * elements(x.shape) // known if size == -1 and known else size for size in shape)


@public
@on_arrays(np.ravel)
def ravel(x):
    """The elements of x, which has no batch axis, one after the other."""
    if x.batched:
        raise invalid("ops.ravel would join the batch axis with others; ops.reshape(x, (-1, size)) keeps it.", x=x)
    return reshape(x, (-1,))


@public
@on_arrays(np.transpose)
def transpose(x, axes=None):
    """The axes of x in the order ``axes``, by default reversed.

    Where a batch doesn't stay first, the result is to be taken apart, ``result[i]``, or turned back.
    """
    return transposed(x, list(range(x.ndim)[::-1] if axes is None else [a % x.ndim for a in axes]))


@public
@on_arrays(np.swapaxes)
def swapaxes(x, axis1, axis2):
    """x with two axes in each other's place; see ``transpose`` for the batch's."""
    order = list(range(x.ndim))
    one, two = (_any_axis("swapaxes", axis, x) for axis in (axis1, axis2))
    order[one], order[two] = two, one
    return transpose(x, order)


def _any_axis(function: str, axis: int, x) -> int:
    """An axis of x counted from the start, the batch's, too."""
    if not -x.ndim <= axis < x.ndim:
        raise invalid(f"ops.{function} expects axes from {-x.ndim} to {x.ndim - 1}.", axis=axis)
    return axis % x.ndim


@public
@on_arrays(np.moveaxis)
def moveaxis(x, source, destination):
    """x with the axes ``source`` at the places ``destination``, the others in their order; see ``transpose``."""
    source, destination = axes_of("moveaxis", source), axes_of("moveaxis", destination)
    for axis in (*source, *destination):
        _any_axis("moveaxis", axis, x)
    return transpose(x, moved(x.ndim, source, destination))


@public
@on_arrays(np.concatenate)
def concatenate(xs, axis=0):
    """Tensors side by side along ``axis``.

    Along the batch axis, 0, the samples of symbolic tensors become one batch, as long as theirs together: what follows
    treats them as one, batch normalisation, say.  ``split`` and slices from one multiple of ``ops.shape(x)[0]`` to
    another take it apart again.  In which order it has its samples, no operation tells.

    Sizes, one of which is ``ops.shape(x)[0]``, are a tuple again.
    """
    xs = list(xs)
    if any(map(_is_sizes, xs)):
        return tuple(size if isinstance(size, Samples) else int(size) for sizes in xs for size in sizes)
    if any(isinstance(x, Value) and x.batched and axis in (0, -x.ndim) for x in xs):
        return apply(Joined(), *xs)
    return apply(Concatenate(axis), *xs)


@public
@on_arrays(np.append)
def append(x1, x2, axis=None):
    """x2 after x1 along ``axis``."""
    if axis is None:
        raise invalid("ops.append of symbolic tensors needs an axis.", axis=axis)
    return concatenate([x1, x2], axis)


@public
@on_arrays(np.stack)
def stack(x, axis=0):
    """Tensors of one shape side by side along a new ``axis``; before the batch's, the result is to be taken apart, as
    that of ``transpose``.

    Of sizes, one of which is ``ops.shape(x)[0]``, it makes a tuple.
    """
    x = list(x)
    if _is_sizes(x):
        return tuple(x)
    ndim = max(np.ndim(part) if not isinstance(part, Value) else part.ndim for part in x)
    place = axis % (ndim + 1) if -ndim - 1 <= axis <= ndim else axis
    if place == 0 and any(part.batched for part in x if isinstance(part, Value)):
        return Turned(stack(x, 1), 1)
    return concatenate([expand_dims(part, place) for part in x], place)


@public
@on_arrays(lambda xs: np.vstack(xs))
def vstack(xs):
    """Tensors one below the other: ``concatenate`` along axis 0."""
    return concatenate([expand_dims(x, 0) if len(x.shape) == 1 else x for x in xs], 0)


@public
@on_arrays(lambda xs: np.hstack(xs))
def hstack(xs):
    """Tensors side by side: ``concatenate`` along axis 1, or 0 if there is only that."""
    return concatenate(xs, 0 if len(xs[0].shape) == 1 else 1)


@public
@on_arrays(lambda x, sections, axis: list(np.split(x, sections, axis)))
def split(x, indices_or_sections, axis=0):
    """A list of parts along ``axis``: so many equal ones, or between indices.

    Along the batch axis, of what ``concatenate`` has joined: as many as it has joined, or between multiples of
    ``ops.shape(x)[0]``.
    """
    if isinstance(x, Turned):
        return [Turned(part, x.place) for part in split(x.tensor, indices_or_sections, x.inner(axis))]
    if x.batched and axis in (0, -x.ndim):
        return _parts_of_batch(x, indices_or_sections)
    axis = normalize_axis("split", axis, x)
    size = x.shape[axis]
    if isinstance(indices_or_sections, int | np.integer):
        count = checks.integer("ops.split", "indices_or_sections", indices_or_sections, least=1)
        if size % count:
            raise invalid(f"ops.split expects a number that divides {size}.", indices_or_sections=count)
        places = range(0, size + 1, size // count)
    else:
        places = [0, *checks.sizes("ops.split", "indices_or_sections", indices_or_sections), size]
    return [Slice(axis, start, stop)(x) for start, stop in itertools.pairwise(places)]


def _parts_of_batch(x, indices_or_sections) -> list:
    """``split`` along the batch axis."""
    if isinstance(indices_or_sections, int | np.integer):
        count = checks.integer("ops.split", "indices_or_sections", indices_or_sections, least=1)
        if x.batches % count:
            raise invalid(
                "ops.split along the batch axis takes apart what ops.concatenate(xs, axis=0) has joined, into a number "
                f"of parts that divides {x.batches}: a batch of any size has no halves.", indices_or_sections=count,
            )  # fmt: skip
        places = range(0, x.batches + 1, x.batches // count)
    else:
        places = [0, *(_batches_before(x, place) for place in indices_or_sections), x.batches]
    return [x if ends == (0, x.batches) else Part(*ends)(x) for ends in itertools.pairwise(places)]


def _batches_before(x, place) -> int:
    """Which of the batches of x begins at a place of its batch axis."""
    batches = place.batches if isinstance(place, Samples) else None
    if isinstance(batches, int) and -x.batches <= batches <= x.batches:
        return batches % x.batches if batches < 0 else batches
    raise invalid(
        "A part of the batch axis begins and ends at multiples of a batch's size, n = ops.shape(x)[0], in what "
        f"ops.concatenate(xs, axis=0) has joined; this joins {x.batches}. For another part of the batch, cut the "
        "arrays before they are given to the model.", index=place,
    )  # fmt: skip


def _part_of_batch(x, part: slice):
    """``x[part]`` along the batch axis, from one multiple of the batch's size to another."""
    if part.step not in (None, 1):
        raise invalid("A part of the batch axis has the step 1.", index=part)
    start = 0 if part.start is None else _batches_before(x, 0 if part.start == 0 else part.start)
    stop = x.batches if part.stop is None else _batches_before(x, part.stop)
    if start >= stop:
        raise invalid(f"A part of a batch axis that joins {x.batches} batches has samples.", index=part)
    return x if (start, stop) == (0, x.batches) else Part(start, stop)(x)


@public
def unstack(x, num=None, axis=0):
    """The parts of x along ``axis``, not the batch's, without that axis: a list of ``num``."""
    if isinstance(x, Turned):
        x, axis = x.tensor, x.inner(axis)
    axis = normalize_axis("unstack", axis, x) if isinstance(x, Value) else axis
    size = x.shape[axis]
    if num not in (None, size):
        raise invalid(f"ops.unstack expects num to be the size of the axis, {size}.", num=num)
    return [squeeze(part, axis) for part in split(x, size, axis)]


@public
@on_arrays(np.expand_dims)
def expand_dims(x, axis):
    """x with a new axis of one element at the place ``axis``, or several; of ``ops.shape(x)[0]`` a tuple of that."""
    if isinstance(x, Samples):
        return (x,)
    return apply(ExpandDims(axes_of("expand_dims", axis)), x)


@public
@on_arrays(np.squeeze)
def squeeze(x, axis=None):
    """x without ``axis``, or several, of one element; by default all such."""
    if axis is None:
        axis = [i for i, size in enumerate(x.shape) if size == 1]
    if isinstance(x, Turned):
        dropped = [x.inner(a) for a in axes_of("squeeze", axis)]
        tensor, place = squeeze(x.tensor, dropped), x.place - sum(a <= x.place for a in dropped)
        return Turned(tensor, place) if place else tensor
    return apply(Squeeze(axes_of("squeeze", axis)), x)


@public
@on_arrays(lambda x, axis: np.flip(x, axis))
def flip(x, axis=None):
    """x in reverse order along ``axis``, or several; by default along all but the batch's."""
    axes = range(x.batched, x.ndim) if axis is None else axes_of("flip", axis)
    return apply(Flip(tuple(axes)), x)


@public
@on_arrays(np.roll)
def roll(x, shift, axis=None):
    """x with elements moved on by ``shift`` along ``axis``; what leaves at the end comes in at the start."""
    if axis is None:
        raise invalid("ops.roll of symbolic tensors needs an axis, not the batch's.", axis=axis)
    axes, shifts = axes_of("roll", axis), np.broadcast_to(shift, len(axes_of("roll", axis)))
    for each, step in zip(axes, shifts, strict=True):
        each = normalize_axis("roll", each, x)
        first = -int(step) % x.shape[each]
        if first:
            x = concatenate([Slice(each, first, x.shape[each])(x), Slice(each, 0, first)(x)], each)
    return x


@public
@on_arrays(np.tile)
def tile(x, repeats):
    """x so many times along each axis; missing numbers in front are 1.

    x may have one element along the first axis and no batch; ``ops.shape(y)[0]`` times that is once for each sample.
    """
    repeats, x = sizes_of(repeats), _as_tensor(x)
    repeats = (1,) * (x.ndim - len(repeats)) + repeats
    if len(repeats) > x.ndim:
        raise invalid(f"ops.tile expects up to {x.ndim} numbers.", repeats=repeats)
    if isinstance(repeats[0], Samples):
        if x.batched or x.shape[0] != 1:
            raise invalid("ops.tile repeats one row for each sample of a batch.", shape=x.shape, repeats=repeats)
        x = broadcast_to(x, (repeats[0], *x.shape[1:]))
        return tile(x, (1, *repeats[1:]))
    if x.batched and repeats[0] != 1:
        count = checks.integer("ops.tile", "repeats", repeats[0], least=1)
        x = concatenate([x] * count, 0)
    return apply(Tile(repeats[x.batched :]), x) if repeats[x.batched :] != (1,) * (x.ndim - x.batched) else x


@public
@on_arrays(np.repeat)
def repeat(x, repeats, axis=None):
    """x with each element along ``axis``, not the batch's, so many times; of arrays also in numbers of each's own.

    Along axis 0, of one element, ``ops.shape(y)[0]`` times is once for each sample, as in ``tile``.
    """
    (repeats,) = sizes_of(repeats) if isinstance(repeats, Value) else (repeats,)
    if isinstance(repeats, Samples) and axis == 0:
        return tile(x, (repeats, *(1 for _ in x.shape[1:])))
    if axis is None:
        raise invalid("ops.repeat of symbolic tensors needs an axis, not the batch's.", axis=axis)
    return apply(Repeat(repeats, axis), x)


@public
@on_arrays(lambda x, shape: np.broadcast_to(x, shape).copy())
def broadcast_to(x, shape):
    """x repeated to ``shape``, whose first entry is None for the batch."""
    shape, x = sizes_of(shape), _as_tensor(x)
    batched = shape[:1] == (None,)
    if batched and not x.batched and x.ndim == len(shape):
        x = squeeze(x, 0)
    return BroadcastTo(shape[batched:], batched, batches_in(shape[0]) if batched else 1)(x)


@public
@on_arrays(lambda x, pad_width, mode, value: np.pad(x, pad_width, mode, **_padded(mode, value)))
def pad(x, pad_width, mode="constant", constant_values=None):
    """Elements before and after those of x: pad_width is (before, after) for each axis, (0, 0) for the batch's.

    mode: "constant", with ``constant_values``, by default 0, or NumPy's "reflect", "symmetric", "edge" or "wrap".
    """
    if isinstance(pad_width, int | np.integer) or len(pad_width) == 1 or isinstance(pad_width[0], int):
        raise invalid("ops.pad expects a pair for every axis of a symbolic tensor.", pad_width=pad_width)
    widths = tuple(tuple(int(n) for n in pair) for pair in pad_width)
    if len(widths) != x.ndim or (x.batched and widths[0] != (0, 0)):
        raise invalid(f"ops.pad expects {x.ndim} pairs, (0, 0) for the batch axis.", pad_width=pad_width)
    if mode == "constant":
        value = constant_values or 0.0
        if x.batched and x.ndim == 4 and widths[3] == (0, 0) and value == 0:
            return apply(Pad2D(widths[1:3]), x)
        return apply(Pad(widths[x.batched :], value), x)
    _padded(mode, constant_values)
    for axis, width in enumerate(widths):
        if width != (0, 0):
            x = Take(axis)(x, np.pad(np.arange(x.shape[axis]), width, mode))
    return x


def _padded(mode: str, value) -> dict:
    checks.one_of("ops.pad", "mode", mode, ("constant", "reflect", "symmetric", "edge", "wrap"))
    if mode != "constant" and value is not None:
        raise invalid('ops.pad takes constant_values only with mode="constant".', constant_values=value)
    return {"constant_values": value or 0} if mode == "constant" else {}


@public
def slice_axis(x, axis, start, stop):
    """Elements start to stop - 1 of x along ``axis``."""
    return apply(Slice(axis, start, stop), x)


def index(x, key):
    """``x[key]``: integers, slices, ``...`` and None; of the batch axis, parts that are whole batches."""
    if x.batches > 1 and isinstance(key, slice) and key.start is key.stop is key.step is None:
        raise invalid(
            "x[:] of a tensor that joins several batches would be all of it. The size of a batch is ops.shape(x)[0] of "
            "one of them, not x.shape[0], which is None.", index=key,
        )  # fmt: skip
    key = key if isinstance(key, tuple) else (key,)
    given = sum(part is not None and part is not Ellipsis for part in key)
    if sum(part is Ellipsis for part in key) > 1 or given > x.ndim:
        raise invalid(f"A tensor with {x.ndim} axes takes as many indices at most, and one `...`.", index=key)
    if Ellipsis not in [part for part in key if part is Ellipsis or part is None]:
        key = (*key, Ellipsis)
    at = next(i for i, part in enumerate(key) if part is Ellipsis)
    key = (*key[:at], *[slice(None)] * (x.ndim - given), *key[at + 1 :])
    slices, dropped, new = [], [], []
    first = key[0] if key else None
    if x.batched and isinstance(first, slice) and any(isinstance(n, Samples) for n in (first.start, first.stop)):
        x, key = _part_of_batch(x, first), (slice(None), *key[1:])
    for part in key:
        if part is None:
            new.append(len(slices) - len(dropped) + len(new))
        else:
            slices.append(part)
            if not isinstance(part, slice):
                dropped.append(len(slices) - 1)
    bounds = [_bounds(x, axis, part) for axis, part in enumerate(slices)]
    if x.batched and (bounds[0] != (None, None, None) or 0 in new):
        raise invalid(
            "The batch axis stays first and whole: an index of it starts with `:` or `...`. For a part of the batch, "
            "cut the arrays before they are given to the model.", index=key,
        )  # fmt: skip
    bounds = bounds[x.batched :]
    chosen = [axis for axis, part in enumerate(bounds) if part != (None, None, None)]
    if chosen:
        axis = chosen[0]
        start, stop, step = bounds[axis]
        size = x.shape[axis + x.batched]
        plain = len(chosen) == 1 and step is None and not isinstance(size, Length)
        if plain:
            first, last, _ = slice(start, stop).indices(size)
            plain = last > first
        x = Slice(axis + x.batched, first, last)(x) if plain else Index(bounds)(x)
    x = Squeeze(dropped)(x) if dropped else x
    return ExpandDims(new)(x) if new else x


def _bounds(x, axis: int, part) -> tuple:
    if isinstance(part, slice):
        numbers = (part.start, part.stop, None if part.step == 1 else part.step)
        if any(isinstance(number, Value) for number in numbers):
            raise invalid("A slice has numbers as bounds, no symbolic values.", index=part)
        return tuple(None if number is None else operator.index(number) for number in numbers)
    try:
        place = operator.index(part) if not isinstance(part, bool) else None
    except TypeError:
        place = None
    if place is None:
        raise invalid(
            "An index of a tensor is made of integers, slices, ... and None. For arrays of integers there is ops.take, "
            "for a condition ops.where.", index=part,
        )  # fmt: skip
    if x.batched and axis == 0:
        raise invalid("The batch axis stays first and whole: an index of it starts with `:` or `...`.", index=part)
    size = x.shape[axis]
    if not isinstance(size, Length) and not -size <= place < size:
        raise invalid(f"Axis {axis} has indices from {-size} to {size - 1}.", index=place)
    return place, place + 1 if place != -1 else None, None


@public
@on_arrays(np.diagonal)
def diagonal(x, offset=0, axis1=0, axis2=1):
    """The elements (i, i + offset) of two axes, not the batch's, as the last axis."""
    return apply(Diagonal(offset, axis1, axis2), x)


@public
@on_arrays(np.diag)
def diag(x, k=0):
    """The k-th diagonal of a matrix, or a matrix with x on it; x has no batch axis."""
    if x.batched or x.ndim not in (1, 2):
        raise invalid("ops.diag takes a vector or a matrix without a batch axis.", shape=x.shape)
    if x.ndim == 2:
        return diagonal(x, k)
    side = x.shape[0] + abs(k)
    before = max(0, k)  # column j has x[j - before]
    row = pad(expand_dims(x, 0), ((0, 0), (before, side - x.shape[0] - before)))
    return where(np.eye(side, k=k) != 0, row, _zero(x))


@public
@on_arrays(np.tril)
def tril(x, k=0):
    """x with zeros above the k-th diagonal of its last two axes."""
    return where(np.tri(*x.shape[-2:], k) != 0, x, _zero(x))


@public
@on_arrays(np.triu)
def triu(x, k=0):
    """x with zeros below the k-th diagonal of its last two axes."""
    return where(np.tri(*x.shape[-2:], k - 1) == 0, x, _zero(x))


def _zero(x):
    return 0.0 if x.dtype.startswith("float") else 0


@public
@on_arrays(np.copy)
def copy(x):
    """x as it is, of arrays a copy."""
    return x


@public
@on_arrays(lambda x, sections, axis: list(np.array_split(x, sections, axis)))
def array_split(x, indices_or_sections, axis=0):
    """A list of so many parts along ``axis``, not the batch's, of which the first have one element more, if need be."""
    axis = normalize_axis("array_split", axis, x)
    if not isinstance(indices_or_sections, int | np.integer):
        return split(x, indices_or_sections, axis)
    count = checks.integer("ops.array_split", "indices_or_sections", indices_or_sections, least=1)
    size, more = divmod(x.shape[axis], count)
    sizes = [size + (i < more) for i in range(count)]
    return split(x, list(itertools.accumulate(sizes))[:-1], axis)


def _split_along(name: str, axis: int):
    def parts(x, indices_or_sections):
        return split(x, indices_or_sections, axis)

    parts.__name__ = parts.__qualname__ = name
    parts.__doc__ = f"``split`` along axis {axis}, which must not be the batch's.\n    "
    return public(on_arrays(lambda x, sections: list(getattr(np, name)(x, sections)))(parts))


vsplit = _split_along("vsplit", 0)
hsplit = _split_along("hsplit", 1)
dsplit = _split_along("dsplit", 2)


@public
@on_arrays(lambda xs: np.dstack(xs))
def dstack(xs):
    """Tensors side by side along axis 2; those with fewer axes get one at the end, and before that one in front."""
    widened = [expand_dims(x, 0) if len(x.shape) == 1 else x for x in xs]
    return concatenate([expand_dims(x, 2) if len(x.shape) == 2 else x for x in widened], 2)


@public
@on_arrays(np.flipud)
def flipud(x):
    """x in reverse order along axis 0, which must not be the batch's."""
    return flip(x, 0)


@public
@on_arrays(np.fliplr)
def fliplr(x):
    """x in reverse order along axis 1."""
    return flip(x, 1)


@public
@on_arrays(np.diagflat)
def diagflat(x, k=0):
    """A matrix with the elements of x, which has no batch axis, on its k-th diagonal, else 0."""
    return diag(ravel(x), k)


@public
@on_arrays(lambda x, key: np.asarray(x)[key])
def get_item(x, key):
    """``x[key]``."""
    return index(x, key)


@public
def rearrange(tensor, pattern, **axes_lengths):
    """Axes split, reordered and joined as a pattern says: ``rearrange(x, "b (h p) c -> b h (p c)", p=2)``.

    pattern: names of the axes before and after "->"; those in parentheses are one axis.  (Rogozhnikov 2022, "Einops".)
    axes_lengths: sizes of names that can't be told from the shape.

    The batch axis of a symbolic tensor stays first, by itself.
    """
    checks.text("ops.rearrange", "pattern", pattern)
    before, arrow, after = pattern.partition("->")
    left, right = _groups(pattern, before), _groups(pattern, after)
    sizes = tuple(tensor.shape) if isinstance(tensor, Value) else np.shape(tensor)
    names = [name for group in left for name in group]
    others = [name for group in right for name in group]
    if not arrow or sorted(names) != sorted(others) or len(set(names)) < len(names) or len(left) != len(sizes):
        raise invalid(
            f"ops.rearrange expects {len(sizes)} axes before '->', and the same names, each once, after it.",
            pattern=pattern,
        )
    known = dict(axes_lengths)
    for group, size in zip(left, sizes, strict=True):
        missing = [name for name in group if name not in known]
        product = int(np.prod([known[name] for name in group if name in known]))
        if len(missing) > 1 or (size is None and len(group) > 1):
            raise invalid(f"ops.rearrange needs the sizes of all but one of {group}.", **axes_lengths)
        if missing:
            known[missing[0]] = None if size is None else size // product
        if size is not None and int(np.prod([known[name] for name in group])) != size:
            raise invalid(f"ops.rearrange can't split {size} into {group}.", **axes_lengths)
    split_sizes = [known[name] for name in names]
    x = tensor if split_sizes == list(sizes) else reshape(tensor, tuple(-1 if n is None else n for n in split_sizes))
    order = [names.index(name) for name in others]
    x = x if order == list(range(len(order))) else transpose(x, order)
    if all(len(group) == 1 for group in right):
        return x
    joined = [[known[name] for name in group] for group in right]
    return reshape(x, tuple(-1 if None in group else int(np.prod(group)) for group in joined))


def _groups(pattern: str, side: str) -> list[list[str]]:
    """The names of each axis."""
    groups, inside = [], None
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(" and inside is None:
            inside = []
        elif word == ")" and inside is not None:
            groups.append(inside)
            inside = None
        elif word.isidentifier():
            if inside is None:
                groups.append([word])
            else:
                inside.append(word)
        else:
            raise invalid("ops.rearrange knows names of axes and parentheses.", pattern=pattern)
    return groups
