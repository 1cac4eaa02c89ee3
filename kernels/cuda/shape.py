"""Kernels that move values: copy, concatenate, slice, pad, transpose, fill."""

from ..scalar import real
from ._api import ceil_div, cuda, kernel, launch, over, over_rows
from ._division import check_range, quotient
from ._loops import Loop


@kernel
def _fill(y, value):
    element = y.dtype.type(value[0])
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = element


def fill(y, value):
    """y = value.  y: (...)"""
    launch(_fill, *over(y.size), y.reshape(-1), value)


_COPY = Loop(
    __name__, "_copy", ("source", "target"), ("accumulate",), (),
    ("value = target.dtype.type(source[i])", "target[i] = target[i] + value if accumulate else value"),
    {}, {"target": "accumulate"},
)  # fmt: skip


def copy_forward(x, y):
    """y = x in the order of memory: also a reshape.  x, y: any shapes of one size"""
    _COPY((x, y), False)


def copy_backward(dy, dx, accumulate):
    """dx = dy in the order of memory.  dy, dx: any shapes of one size"""
    _COPY((dy, dx), accumulate)


@kernel
def _part(source, target, offset):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = source[offset + i]


def part_forward(x, y, offset):
    """y = what follows in x from the element ``offset`` on.  x, y: any shapes"""
    launch(_part, *over(y.size), x.reshape(-1), y.reshape(-1), offset)


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
        n = quotient(row, y_height)
        h = row - n * y_height - top
        source = (n * x_height + h) * x_row - left
        inside = 0 <= h < x_height
        for i in range(first_column, y_row, column_step):
            y[row * y_row + i] = x[source + i] if inside and left <= i < left + x_row else element


def pad2d_forward(x, y, top, left, value):
    """y = x with a border of ``value``.  x: (N, H, W, C), y: (N, top + H + bottom, left + W + right, C)"""
    samples, y_height, y_width, channels = y.shape
    _, x_height, x_width, _ = x.shape
    rows, y_row = samples * y_height, y_width * channels
    check_range(y.shape, rows)
    sizes = rows, x_height, x_width * channels, y_height, y_row, top, left * channels
    launch(_pad2d_forward, *over_rows(rows, y_row), x.reshape(-1), y.reshape(-1), value, *sizes)


@kernel
def _pad2d_backward(dy, dx, rows, x_height, x_row, y_height, y_row, top, left, accumulate):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        n = quotient(row, x_height)
        source = (n * y_height + row - n * x_height + top) * y_row + left
        for i in range(first_column, x_row, column_step):
            at = row * x_row + i
            dx[at] = dx[at] + dy[source + i] if accumulate else dy[source + i]


def pad2d_backward(dy, dx, top, left, accumulate):
    """dx = dy without its border.  dy: (N, top + H + bottom, left + W + right, C), dx: (N, H, W, C)"""
    samples, x_height, x_width, channels = dx.shape
    _, y_height, y_width, _ = dy.shape
    rows, x_row = samples * x_height, x_width * channels
    check_range(dx.shape, rows)
    sizes = rows, x_height, x_row, y_height, y_width * channels, top, left * channels
    launch(_pad2d_backward, *over_rows(rows, x_row), dy.reshape(-1), dx.reshape(-1), *sizes, accumulate)


@kernel
def _transpose(source, target, rows, shape, source_strides, target_strides, accumulate):
    """Element by element, in the order of the axes of ``shape``; strides: also of the samples, first."""
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    d1, d2, d3, d4 = shape
    for row in range(first_row, rows, row_step):
        i3, rest = row % d3, row // d3
        i2, rest = rest % d2, rest // d2
        i1, n = rest % d1, rest // d1
        first = n * source_strides[0] + i1 * source_strides[1] + i2 * source_strides[2] + i3 * source_strides[3]
        at = n * target_strides[0] + i1 * target_strides[1] + i2 * target_strides[2] + i3 * target_strides[3]
        for i in range(first_column, d4, column_step):
            value = source[first + i * source_strides[4]]
            place = at + i * target_strides[4]
            target[place] = target[place] + value if accumulate else value


_TILE, _TILE_ROWS = 32, 8  # a square of elements, by threads (32, 8)
_TILE_LINE = _TILE + 1  # one more, so that a column is not in one bank


@kernel
def _transpose_tiles(source, target, across, down, source_down, target_across, shape, source_strides, target_strides,
                     accumulate):  # fmt: skip
    """By way of shared memory, so that neighbours are read as well as written together.

    across, down: sizes of the axes that lie side by side in the source and in the target; source_down, target_across:
    their strides in the other one.  shape, source_strides, target_strides: of the three other axes.
    """
    tile = cuda.shared.array((_TILE, _TILE_LINE), real)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    first_across, first_down = cuda.blockIdx.x * _TILE, cuda.blockIdx.y * _TILE
    for number in range(cuda.blockIdx.z, shape[0] * shape[1] * shape[2], cuda.gridDim.z):
        i3, rest = number % shape[2], number // shape[2]
        i2, i1 = rest % shape[1], rest // shape[1]
        first = i1 * source_strides[0] + i2 * source_strides[1] + i3 * source_strides[2]
        at = i1 * target_strides[0] + i2 * target_strides[1] + i3 * target_strides[2]
        for k in range(row, _TILE, _TILE_ROWS):
            i, j = first_across + column, first_down + k
            if i < across and j < down:
                tile[k, column] = source[first + j * source_down + i]
        cuda.syncthreads()
        for k in range(row, _TILE, _TILE_ROWS):
            i, j = first_across + k, first_down + column
            if i < across and j < down:
                place = at + i * target_across + j
                target[place] = target[place] + tile[column, k] if accumulate else tile[column, k]
        cuda.syncthreads()


_FEWEST = 8  # elements side by side for which tiles pay
_MOST_BLOCKS = 2048


def _launch_transpose(source, target, shape, source_strides, target_strides, accumulate) -> None:
    """target = source; shape: four dimensions per sample; strides of both over these."""
    size = shape[0] * shape[1] * shape[2] * shape[3]
    samples = source.size // max(1, size)
    flat = source.reshape(-1), target.reshape(-1)
    across, down = (_neighbours(shape, strides) for strides in (source_strides, target_strides))
    if across != down and min(shape[across], shape[down]) >= _FEWEST and source.dtype.kind == "f":
        others = [axis for axis in range(4) if axis not in (across, down)]
        rest = samples * shape[others[0]] * shape[others[1]]
        grid = ceil_div(shape[across], _TILE), ceil_div(shape[down], _TILE)
        launch(
            _transpose_tiles, (*grid, min(rest, ceil_div(_MOST_BLOCKS, grid[0] * grid[1]))), (_TILE, _TILE_ROWS), *flat,
            shape[across], shape[down], source_strides[down], target_strides[across],
            (samples, *(shape[axis] for axis in others)), (size, *(source_strides[axis] for axis in others)),
            (size, *(target_strides[axis] for axis in others)), accumulate,
        )  # fmt: skip
    else:
        rows = source.size // max(1, shape[3])
        strides = (size, *source_strides), (size, *target_strides)
        launch(_transpose, *over_rows(rows, shape[3]), *flat, rows, shape, *strides, accumulate)


def _neighbours(shape, strides) -> int:
    """The axis whose elements lie side by side."""
    return max((axis for axis in range(4) if strides[axis] == 1 and shape[axis] > 1), default=3)


def _in_order(shape) -> tuple[int, ...]:
    """Strides of an array of this shape."""
    return shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1


def transpose_forward(x, y, shape, strides):
    """y = x with the axes of each sample in another order.

    x, y: (n, ...); shape: y's four dimensions per sample, 1s first; strides: x's strides in elements over these.
    """
    _launch_transpose(x, y, shape, strides, _in_order(shape), False)


def transpose_backward(dy, dx, shape, strides, accumulate):
    """dx = dy with the axes of each sample back in order; arguments as of ``transpose_forward``.  dy, dx: (n, ...)"""
    _launch_transpose(dy, dx, shape, _in_order(shape), strides, accumulate)
