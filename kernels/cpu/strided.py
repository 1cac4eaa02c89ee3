"""Kernels that read or write along strides: slices with steps, flips, tiles, repeats, diagonals, padding.

``shape`` has six dimensions per sample, 1s first; ``strides`` and ``offset``, in elements, say where one of these
elements lies in the part of a sample of the other array, which has ``size`` elements; 0: all samples share one.
"""

from .runtime.jit import kernel, kernel_attributes


@kernel
def _gather(source, target, shape, strides, offset, size, accumulate):
    """target = what lies along strides in source.  both flat"""
    kernel_attributes()
    d1, d2, d3, d4, d5, d6 = shape
    step = strides[5]
    row = 0
    for n in range(target.size // (d1 * d2 * d3 * d4 * d5 * d6)):
        for i1 in range(d1):
            for i2 in range(d2):
                for i3 in range(d3):
                    outer = n * size + offset + i1 * strides[0] + i2 * strides[1] + i3 * strides[2]
                    for i4 in range(d4):
                        for i5 in range(d5):
                            first = outer + i4 * strides[3] + i5 * strides[4]
                            target_row = target[row : row + d6]
                            if step == 1:
                                source_row = source[first : first + d6]
                                for i in range(d6):
                                    target_row[i] = target_row[i] + source_row[i] if accumulate else source_row[i]
                            else:
                                for i in range(d6):
                                    value = source[first + i * step]
                                    target_row[i] = target_row[i] + value if accumulate else value
                            row += d6


@kernel
def _scatter(source, target, shape, strides, offset, size, accumulate):
    """What lies along strides in target = source, in the order of source.  both flat"""
    kernel_attributes()
    d1, d2, d3, d4, d5, d6 = shape
    step = strides[5]
    row = 0
    for n in range(source.size // (d1 * d2 * d3 * d4 * d5 * d6)):
        for i1 in range(d1):
            for i2 in range(d2):
                for i3 in range(d3):
                    outer = n * size + offset + i1 * strides[0] + i2 * strides[1] + i3 * strides[2]
                    for i4 in range(d4):
                        for i5 in range(d5):
                            first = outer + i4 * strides[3] + i5 * strides[4]
                            source_row = source[row : row + d6]
                            if step == 1:
                                target_row = target[first : first + d6]
                                for i in range(d6):
                                    target_row[i] = target_row[i] + source_row[i] if accumulate else source_row[i]
                            else:
                                for i in range(d6):
                                    at = first + i * step
                                    target[at] = target[at] + source_row[i] if accumulate else source_row[i]
                            row += d6


@kernel
def take_forward(x, y, shape, strides, offset, size):
    """y = what lies along strides in x.  x: (n, size) or (size,), y: (n, *shape)"""
    kernel_attributes()
    _gather(x.reshape(-1), y.reshape(-1), shape, strides, offset, size, False)


@kernel
def take_backward(dy, dx, shape, strides, offset, size, accumulate):
    """dx = the sum of dy over where an element was taken to, 0 where to none.  dx: (n, size) or (size,)"""
    kernel_attributes()
    dx = dx.reshape(-1)
    if not accumulate:
        dx[:] = 0
    _scatter(dy.reshape(-1), dx, shape, strides, offset, size, True)


@kernel
def put_forward(x, y, shape, strides, offset, size, value):
    """y = x along strides, ``value`` elsewhere; no two elements in one place.  x: (n, *shape), y: (n, size)"""
    kernel_attributes()
    y = y.reshape(-1)
    y[:] = y.dtype.type(value)
    _scatter(x.reshape(-1), y, shape, strides, offset, size, False)


@kernel
def put_backward(dy, dx, shape, strides, offset, size, accumulate):
    """dx = what lies along strides in dy.  dy: (n, size), dx: (n, *shape)"""
    kernel_attributes()
    _gather(dy.reshape(-1), dx.reshape(-1), shape, strides, offset, size, accumulate)
