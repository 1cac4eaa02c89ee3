"""Shapes: what moves elements without changing them, and types."""

import numpy as np

from ..core.errors import invalid
from ..core.operations.elementwise import Cast
from ..core.operations.shape import Concatenate, Pad2D, Reshape, Slice, Transpose
from ..core.values import Value
from ._calls import apply, publisher

__all__ = []
public = publisher(__all__)


@public
def shape(x):
    """The sizes of x, as a tuple; None for the batch axis of a symbolic tensor."""
    return tuple(x.shape) if isinstance(x, Value) else np.shape(x)


@public
def reshape(x, newshape):
    """The elements of x under ``newshape``; its first entry is the batch axis, -1 or None."""
    shape = tuple(newshape)
    batched = x.batched if isinstance(x, Value) else True
    if batched:
        if not shape or shape[0] not in (-1, None):
            raise invalid("ops.reshape keeps the batch axis: newshape starts with -1.", newshape=shape)
        shape = shape[1:]
    return apply(Reshape(shape), x)


@public
def transpose(x, axes):
    """The axes of x in the order ``axes``; axis 0, the batch, stays first."""
    return apply(Transpose(axes), x)


@public
def concatenate(xs, axis=0):
    """Tensors side by side along ``axis``; the batch axis, 0, is for arrays and weights only."""
    if not any(isinstance(x, Value) for x in xs):
        arrays = [np.asarray(x) for x in xs]
        if axis in (0, -arrays[0].ndim):
            return apply(Concatenate(1), *(a[None] for a in arrays))[0]
    return apply(Concatenate(axis), *xs)


@public
def cast(x, dtype):
    """x as "float32", "float64", "int32" or "int64"; towards integers, what is after the point is cut off."""
    return apply(Cast(dtype), x)


@public
def slice_axis(x, axis, start, stop):
    """Elements start to stop - 1 of x along ``axis``."""
    return apply(Slice(axis, start, stop), x)


@public
def pad(x, pad_width):
    """Zeros around height and width of x (N, H, W, C); pad_width as NumPy's: ((0, 0), (t, b), (l, r), (0, 0))."""
    if len(pad_width) != 4 or tuple(pad_width[0]) != (0, 0) or tuple(pad_width[3]) != (0, 0):
        raise invalid("ops.pad pads height and width of a (N, H, W, C) tensor only.", pad_width=pad_width)
    return apply(Pad2D(pad_width[1:3]), x)
