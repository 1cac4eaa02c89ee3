"""Work on the columns of a matrix (rows, columns): a thread keeps to one column, so that it knows its channel.

A block is ``width`` columns wide, at most a warp, and of all its rows' sums a tree in shared memory makes one, in an
order that the shape alone decides.
"""

from ..scalar import real
from ._api import THREADS, WARP, ceil_div, cuda, function, kernel, launch, power_of_two, workspace
from ._blocks import column_sum
from ._stores import NOTHING, store

_SHARE = 8  # rows of a thread at least, where a sum is split among blocks
_MOST_BLOCKS = 528  # that a sum is split among: four for each processor of a large GPU


def column_block(rows: int, columns: int) -> tuple[int, int]:
    """Columns and rows that a block takes at a time: powers of two."""
    width = min(WARP, power_of_two(columns))
    return width, min(THREADS // width, power_of_two(rows))


def over_columns(rows: int, columns: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block of a kernel whose threads keep to a column and step through the rows by ``row_step()``."""
    width, height = column_block(rows, columns)
    across = ceil_div(columns, width)
    down = min(ceil_div(rows, height * 4), max(1, 4 * _MOST_BLOCKS // across))
    return (across, down), (width, height)


def row_parts(rows: int, columns: int) -> int:
    """Among how many blocks the sum of a column is split."""
    width, height = column_block(rows, columns)
    return max(1, min(ceil_div(rows, height * _SHARE), _MOST_BLOCKS // ceil_div(columns, width)))


@function
def row_step():
    return cuda.gridDim.y * cuda.blockDim.y


@kernel
def _column_sums(x, sums, rows, columns, accumulate, bias, other, ends, width):
    """Row blockIdx.y of ``sums`` is the sum of this block's rows of x."""
    column, first = cuda.grid(2)
    total = real(0)
    if column < columns:
        for row in range(first, rows, row_step()):
            total += x[row * columns + column]
    total = column_sum(total)
    at = cuda.blockIdx.y * columns + column
    inside = column < columns and cuda.threadIdx.y == 0
    store(sums, at, column % width, inside, total, accumulate, bias, other, ends)


def sum_parts(parts, sums, count: int, columns: int, accumulate: bool, following=None) -> None:
    """sums = sum of the rows of parts, or added to them.  parts: (count, columns) and sums: (columns,), both flat

    following: bias, other array, ends and width of the rows that the sums are, if they are a product (see ``_stores``).
    """
    width = min(8, power_of_two(columns))  # the 32 bytes of a sector: all else is for more rows at a time
    height = min(THREADS // width, power_of_two(count))
    following = following or (sums, sums, NOTHING, columns)
    arguments = parts, sums, count, columns, accumulate, *following
    launch(_column_sums, ceil_div(columns, width), (width, height), *arguments)


def column_sums(x, sums, rows: int, columns: int, accumulate: bool) -> None:
    """The same for a matrix of many rows, by way of a workspace."""
    parts = row_parts(rows, columns)
    if parts == 1:
        sum_parts(x, sums, rows, columns, accumulate)
        return
    width, height = column_block(rows, columns)
    partial = workspace(parts * columns, sums.dtype)
    arguments = x, partial, rows, columns, False, partial, partial, NOTHING, columns
    launch(_column_sums, (ceil_div(columns, width), parts), (width, height), *arguments)
    sum_parts(partial, sums, parts, columns, accumulate)
