"""Kernels that read or write along strides: slices with steps, flips, tiles, repeats, diagonals, padding.

Arguments are those of ``kernels/cpu/strided.py``, where they are explained.
"""

from ._api import cuda, function, kernel, launch, over


@function
def _at(i, shape, strides):
    """Where element i of an array of seven dimensions lies along strides."""
    found = i % shape[6] * strides[6]
    i //= shape[6]
    found += i % shape[5] * strides[5]
    i //= shape[5]
    found += i % shape[4] * strides[4]
    i //= shape[4]
    found += i % shape[3] * strides[3]
    i //= shape[3]
    found += i % shape[2] * strides[2]
    i //= shape[2]
    return found + i % shape[1] * strides[1] + i // shape[1] * strides[0]


@kernel
def _gather(source, target, shape, strides, offset, accumulate):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        value = source[offset + _at(i, shape, strides)]
        target[i] = target[i] + value if accumulate else value


@kernel
def _place(source, target, shape, strides, offset):
    for i in range(cuda.grid(1), source.size, cuda.gridsize(1)):
        target[offset + _at(i, shape, strides)] = source[i]


@kernel
def _fill(target, value):
    element = target.dtype.type(value[0])
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = element


@kernel
def _clear(target):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = target.dtype.type(0)


@kernel
def _sum_repeats(source, target, places, kept, kept_strides, kept_source, count, repeated, repeated_source, offset):
    """Each thread an element of the target: the sum of those of the source that were taken from there, in order."""
    for i in range(cuda.grid(1), places, cuda.gridsize(1)):
        first = _at(i, kept, kept_source)
        total = target.dtype.type(0)
        for j in range(count):
            total += source[first + _at(j, repeated, repeated_source)]
        at = offset + _at(i, kept, kept_strides)
        target[at] = target[at] + total


def _whole(array, shape, strides, size):
    """Shape and strides with the samples, of which ``array`` has all."""
    elements = _product(shape)
    return (array.size // max(1, elements), *shape), (size, *strides)


def _product(sizes) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def take_forward(x, y, shape, strides, offset, size):
    """y = what lies along strides in x.  x: (n, size) or (size,), y: (n, *shape)"""
    shape, strides = _whole(y, shape, strides, size)
    launch(_gather, *over(y.size), x.reshape(-1), y.reshape(-1), shape, strides, offset, False)


def take_backward(dy, dx, shape, strides, offset, size, accumulate):
    """dx = the sum of dy over where an element was taken to, 0 where to none.  dx: (n, size) or (size,)"""
    shape, strides = _whole(dy, shape, strides, size)
    dense = [_product(shape[axis + 1 :]) for axis in range(7)]
    repeats = [stride == 0 and length > 1 for length, stride in zip(shape, strides, strict=True)]
    kept = tuple(1 if repeat else length for length, repeat in zip(shape, repeats, strict=True))
    repeated = tuple(length if repeat else 1 for length, repeat in zip(shape, repeats, strict=True))
    dx = dx.reshape(-1)
    if not accumulate:
        launch(_clear, *over(dx.size), dx)
    places = _product(kept)
    launch(
        _sum_repeats, *over(places), dy.reshape(-1), dx, places, kept, strides, tuple(dense), _product(repeated),
        repeated, tuple(dense), offset,
    )  # fmt: skip


def put_forward(x, y, shape, strides, offset, size, value):
    """y = x along strides, ``value`` elsewhere; no two elements in one place.  x: (n, *shape), y: (n, size)"""
    shape, strides = _whole(x, shape, strides, size)
    y = y.reshape(-1)
    launch(_fill, *over(y.size), y, value)
    launch(_place, *over(x.size), x.reshape(-1), y, shape, strides, offset)


def put_backward(dy, dx, shape, strides, offset, size, accumulate):
    """dx = what lies along strides in dy.  dy: (n, size), dx: (n, *shape)"""
    shape, strides = _whole(dx, shape, strides, size)
    launch(_gather, *over(dx.size), dy.reshape(-1), dx.reshape(-1), shape, strides, offset, accumulate)
