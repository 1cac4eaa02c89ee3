"""Kernels that move values: copy, concatenate, slice, pad, transpose, fill."""

from ._api import cuda, kernel, launch, over, over_rows


@kernel
def _fill(y, value):
    element = y.dtype.type(value[0])
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = element


def fill(y, value):
    """y = value.  y: (...)"""
    launch(_fill, *over(y.size), y.reshape(-1), value)


@kernel
def _copy(source, target, accumulate):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = target[i] + source[i] if accumulate else source[i]


def copy_forward(x, y):
    """y = x in the order of memory: also a reshape.  x, y: any shapes of one size"""
    launch(_copy, *over(y.size), x.reshape(-1), y.reshape(-1), False)


def copy_backward(dy, dx, accumulate):
    """dx = dy in the order of memory.  dy, dx: any shapes of one size"""
    launch(_copy, *over(dx.size), dy.reshape(-1), dx.reshape(-1), accumulate)


@kernel
def _copy_rows(source, target, rows, source_offset, target_offset, source_width, target_width, width, accumulate):
    """Copy ``width`` elements from an offset of each source row to an offset of each target row."""
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        source_first = row * source_width + source_offset
        target_first = row * target_width + target_offset
        for i in range(first_column, width, column_step):
            value = source[source_first + i]
            target[target_first + i] = target[target_first + i] + value if accumulate else value


def _launch_copy_rows(source, target, *numbers):
    rows = source.size // max(1, numbers[2])
    width = numbers[4]
    launch(_copy_rows, *over_rows(rows, width), source.reshape(-1), target.reshape(-1), rows, *numbers)


def concatenate_forward(x, y, offset, x_width, y_width):
    """Each row of x becomes part of a row of y, from ``offset``.  x: (rows, x_width), y: (rows, y_width)"""
    _launch_copy_rows(x, y, 0, offset, x_width, y_width, x_width, False)


def concatenate_backward(dy, dx, offset, x_width, y_width, accumulate):
    """dx = its part of each row of dy.  dy: (rows, y_width), dx: (rows, x_width)"""
    _launch_copy_rows(dy, dx, offset, 0, y_width, x_width, x_width, accumulate)


def slice_forward(x, y, offset, x_width, y_width):
    """y = part of each row of x, from ``offset``.  x: (rows, x_width), y: (rows, y_width)"""
    _launch_copy_rows(x, y, offset, 0, x_width, y_width, y_width, False)


@kernel
def _slice_backward(dy, dx, rows, offset, x_width, y_width):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    zero = dx.dtype.type(0)
    for row in range(first_row, rows, row_step):
        for i in range(first_column, x_width, column_step):
            inside = offset <= i < offset + y_width
            dx[row * x_width + i] = dy[row * y_width + i - offset] if inside else zero


def slice_backward(dy, dx, offset, x_width, y_width, accumulate):
    """dx = dy in its part of each row, else 0.  dy: (rows, y_width), dx: (rows, x_width)"""
    if accumulate:
        _launch_copy_rows(dy, dx, 0, offset, y_width, x_width, y_width, True)
    else:
        rows = dx.size // max(1, x_width)
        launch(
            _slice_backward, *over_rows(rows, x_width), dy.reshape(-1), dx.reshape(-1), rows, offset, x_width, y_width
        )


@kernel
def _pad2d_forward(x, y, value, rows, x_height, x_row, y_height, y_row, top, left):
    """x_row, y_row, left: elements of a row, and of it those before x's"""
    element = y.dtype.type(value[0])
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        h = row % y_height - top
        source = (row // y_height * x_height + h) * x_row - left
        inside = 0 <= h < x_height
        for i in range(first_column, y_row, column_step):
            y[row * y_row + i] = x[source + i] if inside and left <= i < left + x_row else element


def pad2d_forward(x, y, top, left, value):
    """y = x with a border of ``value``.  x: (N, H, W, C), y: (N, top + H + bottom, left + W + right, C)"""
    samples, y_height, y_width, channels = y.shape
    _, x_height, x_width, _ = x.shape
    rows, y_row = samples * y_height, y_width * channels
    sizes = rows, x_height, x_width * channels, y_height, y_row, top, left * channels
    launch(_pad2d_forward, *over_rows(rows, y_row), x.reshape(-1), y.reshape(-1), value, *sizes)


@kernel
def _pad2d_backward(dy, dx, rows, x_height, x_row, y_height, y_row, top, left, accumulate):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        source = (row // x_height * y_height + row % x_height + top) * y_row + left
        for i in range(first_column, x_row, column_step):
            at = row * x_row + i
            dx[at] = dx[at] + dy[source + i] if accumulate else dy[source + i]


def pad2d_backward(dy, dx, top, left, accumulate):
    """dx = dy without its border.  dy: (N, top + H + bottom, left + W + right, C), dx: (N, H, W, C)"""
    samples, x_height, x_width, channels = dx.shape
    _, y_height, y_width, _ = dy.shape
    rows, x_row = samples * x_height, x_width * channels
    sizes = rows, x_height, x_row, y_height, y_width * channels, top, left * channels
    launch(_pad2d_backward, *over_rows(rows, x_row), dy.reshape(-1), dx.reshape(-1), *sizes, accumulate)


@kernel
def _transpose(x, y, rows, shape, strides):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    d1, d2, d3, d4 = shape
    for row in range(first_row, rows, row_step):
        rest = row // d3
        source = row % d3 * strides[2] + rest % d2 * strides[1]
        rest //= d2
        source += rest % d1 * strides[0] + rest // d1 * (d1 * d2 * d3 * d4)
        for i in range(first_column, d4, column_step):
            y[row * d4 + i] = x[source + i * strides[3]]


def transpose_forward(x, y, shape, strides):
    """y = x with the axes of each sample in another order.

    x, y: (n, ...); shape: y's four dimensions per sample, 1s first; strides: x's strides in elements over these.
    """
    rows = y.size // max(1, shape[3])
    launch(_transpose, *over_rows(rows, shape[3]), x.reshape(-1), y.reshape(-1), rows, shape, strides)


@kernel
def _transpose_back(dy, dx, rows, shape, strides, accumulate):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    d1, d2, d3, d4 = shape
    for row in range(first_row, rows, row_step):
        rest = row // d3
        target = row % d3 * strides[2] + rest % d2 * strides[1]
        rest //= d2
        target += rest % d1 * strides[0] + rest // d1 * (d1 * d2 * d3 * d4)
        for i in range(first_column, d4, column_step):
            at = target + i * strides[3]
            dx[at] = dx[at] + dy[row * d4 + i] if accumulate else dy[row * d4 + i]


def transpose_backward(dy, dx, shape, strides, accumulate):
    """dx = dy with the axes of each sample back in order; arguments as of ``transpose_forward``.  dy, dx: (n, ...)"""
    rows = dy.size // max(1, shape[3])
    launch(
        _transpose_back, *over_rows(rows, shape[3]), dy.reshape(-1), dx.reshape(-1), rows, shape, strides, accumulate
    )
