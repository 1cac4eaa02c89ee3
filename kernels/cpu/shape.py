"""Kernels that move values: copy, concatenate, slice, pad, transpose, fill."""

from .runtime.jit import kernel, kernel_attributes


@kernel
def fill(y, value):
    """y = value.  y: (...)"""
    kernel_attributes()
    y = y.reshape(-1)
    element = y.dtype.type(value)
    for i in range(y.size):
        y[i] = element


@kernel
def copy_forward(x, y):
    """y = x in the order of memory: also a reshape.  x, y: any shapes of one size"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for i in range(y.size):
        y[i] = x[i]


@kernel
def copy_backward(dy, dx, accumulate):
    """dx = dy in the order of memory.  dy, dx: any shapes of one size"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    for i in range(dx.size):
        dx[i] = dx[i] + dy[i] if accumulate else dy[i]


@kernel
def _copy_rows(source, target, source_offset, target_offset, source_width, target_width, width, accumulate):
    """Copy ``width`` elements from an offset of each source row to an offset of each target row.  all: flat"""
    kernel_attributes()
    for row in range(source.size // source_width):
        source_first = row * source_width + source_offset
        target_first = row * target_width + target_offset
        source_row = source[source_first : source_first + width]
        target_row = target[target_first : target_first + width]
        for i in range(width):
            target_row[i] = target_row[i] + source_row[i] if accumulate else source_row[i]


@kernel
def part_forward(x, y, offset):
    """y = what follows in x from the element ``offset`` on.  x, y: any shapes"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    for i in range(y.size):
        y[i] = x[offset + i]


@kernel
def concatenate_forward(x, y, offset, x_width, y_width):
    """Each row of x becomes part of a row of y, from ``offset``.  x: (rows, x_width), y: (rows, y_width)"""
    kernel_attributes()
    _copy_rows(x.reshape(-1), y.reshape(-1), 0, offset, x_width, y_width, x_width, False)


@kernel
def concatenate_backward(dy, dx, offset, x_width, y_width, accumulate):
    """dx = its part of each row of dy.  dy: (rows, y_width), dx: (rows, x_width)"""
    kernel_attributes()
    _copy_rows(dy.reshape(-1), dx.reshape(-1), offset, 0, y_width, x_width, x_width, accumulate)


@kernel
def slice_forward(x, y, offset, x_width, y_width):
    """y = part of each row of x, from ``offset``.  x: (rows, x_width), y: (rows, y_width)"""
    kernel_attributes()
    _copy_rows(x.reshape(-1), y.reshape(-1), offset, 0, x_width, y_width, y_width, False)


@kernel
def slice_backward(dy, dx, offset, x_width, y_width, accumulate):
    """dx = dy in its part of each row, else 0.  dy: (rows, y_width), dx: (rows, x_width)"""
    kernel_attributes()
    dx = dx.reshape(-1)
    if not accumulate:
        dx[:] = 0
    _copy_rows(dy.reshape(-1), dx, 0, offset, y_width, x_width, y_width, accumulate)


@kernel
def pad2d_forward(x, y, top, left, value):
    """y = x with a border of ``value``.  x: (N, H, W, C), y: (N, top + H + bottom, left + W + right, C)"""
    kernel_attributes()
    element = y.dtype.type(value)
    samples, height, width, channels = x.shape
    rows, before, count = y.shape[1], left * channels, width * channels
    size = y.shape[2] * channels
    x = x.reshape(-1)
    y = y.reshape(-1)
    for n in range(samples):
        for h in range(rows):
            row = y[(n * rows + h) * size : (n * rows + h + 1) * size]
            inside = top <= h < top + height
            for i in range(before if inside else size):
                row[i] = element
            if inside:
                at = (n * height + h - top) * count
                source, target = x[at : at + count], row[before : before + count]
                for i in range(count):
                    target[i] = source[i]
                for i in range(before + count, size):
                    row[i] = element


@kernel
def pad2d_backward(dy, dx, top, left, accumulate):
    """dx = dy without its border.  dy: (N, top + H + bottom, left + W + right, C), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, _, channels = dx.shape
    for n in range(samples):
        for h in range(height):
            dx_row = dx[n, h].reshape(-1)
            dy_row = dy[n, top + h].reshape(-1)[left * channels :]
            for i in range(dx_row.size):
                dx_row[i] = dx_row[i] + dy_row[i] if accumulate else dy_row[i]


@kernel
def transpose_forward(x, y, shape, strides):
    """y = x with the axes of each sample in another order.

    x, y: (n, ...); shape: y's four dimensions per sample, 1s first; strides: x's strides in elements over these.
    """
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    d1, d2, d3, d4 = shape
    size = d1 * d2 * d3 * d4
    row = 0
    for n in range(y.size // size):
        for i1 in range(d1):
            for i2 in range(d2):
                for i3 in range(d3):
                    first = n * size + i1 * strides[0] + i2 * strides[1] + i3 * strides[2]
                    y_row = y[row : row + d4]
                    x_rest = x[first:]
                    for i4 in range(d4):
                        y_row[i4] = x_rest[i4 * strides[3]]
                    row += d4


@kernel
def transpose_backward(dy, dx, shape, strides, accumulate):
    """dx = dy with the axes of each sample back in order; arguments as of ``transpose_forward``.  dy, dx: (n, ...)"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    d1, d2, d3, d4 = shape
    size = d1 * d2 * d3 * d4
    row = 0
    for n in range(dy.size // size):
        for i1 in range(d1):
            for i2 in range(d2):
                for i3 in range(d3):
                    first = n * size + i1 * strides[0] + i2 * strides[1] + i3 * strides[2]
                    dy_row = dy[row : row + d4]
                    dx_rest = dx[first:]
                    for i4 in range(d4):
                        position = i4 * strides[3]
                        dx_rest[position] = dx_rest[position] + dy_row[i4] if accumulate else dy_row[i4]
                    row += d4
