"""Work on the columns of a matrix (rows, columns): a thread keeps to one column, so that it knows its channel.

A block is ``width`` columns wide, at most a warp, and of all its rows' sums a tree in shared memory makes one, in an
order that the shape alone decides.
"""

from ..scalar import real
from ._api import THREADS, WARP, ceil_div, cuda, function, is_aligned, kernel, launch, power_of_two, workspace
from ._blocks import column_sum, column_sums_of_quads
from ._stores import NOTHING, finished, store
from .ptx import load_quad, store_quad

_SHARE = 8  # rows of a thread at least, where a sum is split among blocks
_MOST_BLOCKS = 528  # that a sum is split among: four for each processor of a large GPU
_NARROWEST = 2  # lanes of a block that sums all rows: then it has most rows at a time; two quads are memory's 32 bytes
_FEW_ROWS = 2048  # that such a block sums, 16 of a thread: it takes less time than a second launch


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


def in_parts(rows: int, columns: int, quads: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block of sums over rows, by columns or by quads of them: (blocks across, parts), (lanes, rows at a time)

    Each part but a single one leaves its sums to a second launch.
    """
    if not quads:
        block = column_block(rows, columns)
        return (ceil_div(columns, block[0]), row_parts(rows, columns)), block
    lanes = columns // 4
    width = min(WARP, power_of_two(lanes))
    height, across = THREADS // width, ceil_div(lanes, width)
    # 16 rows of a thread cost less than a second launch; else two blocks for each processor are enough
    parts = 1 if rows <= 16 * height else max(1, min(ceil_div(rows, 4 * height), _MOST_BLOCKS // 2 // across))
    return (across, parts), (width, height)


@function
def row_step():
    return cuda.gridDim.y * cuda.blockDim.y


@kernel
def _column_sums(x, sums, rows, columns, share, accumulate, bias, other, ends, width):
    """Row blockIdx.y of ``sums`` is the sum of ``share`` rows of x."""
    column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    row = cuda.blockIdx.y * share + cuda.threadIdx.y
    end = min(rows, (cuda.blockIdx.y + 1) * share)
    step, last = cuda.blockDim.y, end - 1
    total = real(0)
    if column < columns:
        while row < end:  # four loads at a time, of which those beyond the end are of the last row, and count as 0
            a = x[row * columns + column]
            b = x[min(row + step, last) * columns + column]
            c = x[min(row + 2 * step, last) * columns + column]
            d = x[min(row + 3 * step, last) * columns + column]
            total += a
            total += b if row + step < end else real(0)
            total += c if row + 2 * step < end else real(0)
            total += d if row + 3 * step < end else real(0)
            row += 4 * step
    total = column_sum(total)
    at = cuda.blockIdx.y * columns + column
    inside = column < columns and cuda.threadIdx.y == 0
    store(sums, at, column % width if ends[0] else 0, inside, total, accumulate, bias, other, ends)


@function
def _plus(total, values, counts):
    """The sum of two quads, or the first where the second doesn't count."""
    zero = real(0)
    return (
        total[0] + (values[0] if counts else zero), total[1] + (values[1] if counts else zero),
        total[2] + (values[2] if counts else zero), total[3] + (values[3] if counts else zero),
    )  # fmt: skip


@kernel
def _column_sums_quads(x, sums, rows, columns, share, accumulate, bias, other, ends, width):
    """The same for four neighbouring columns of a thread, in blocks of whole warps."""
    column = 4 * (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    row = cuda.blockIdx.y * share + cuda.threadIdx.y
    end = min(rows, (cuda.blockIdx.y + 1) * share)
    step, last = cuda.blockDim.y, end - 1
    zeros = real(0), real(0), real(0), real(0)
    total = zeros
    if column < columns:
        while row < end:
            a = load_quad(x, row * columns + column)
            b = load_quad(x, min(row + step, last) * columns + column)
            c = load_quad(x, min(row + 2 * step, last) * columns + column)
            d = load_quad(x, min(row + 3 * step, last) * columns + column)
            total = _plus(_plus(total, a, True), b, row + step < end)
            total = _plus(_plus(total, c, row + 2 * step < end), d, row + 3 * step < end)
            row += 4 * step
    t = column_sums_of_quads(total)
    if column < columns and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * columns + column
        c = load_quad(sums, at) if accumulate else zeros
        s = load_quad(bias, column % width) if ends[0] else zeros
        o = load_quad(other, at) if ends[1] or ends[3] else zeros
        results = (
            finished(t[0], c[0], s[0], o[0], accumulate, ends), finished(t[1], c[1], s[1], o[1], accumulate, ends),
            finished(t[2], c[2], s[2], o[2], accumulate, ends), finished(t[3], c[3], s[3], o[3], accumulate, ends),
        )  # fmt: skip
        store_quad(sums, at, results)


def sum_block(lanes: int, rows: int, narrowest: int) -> tuple[int, int]:
    """Threads of a block that sums all rows: few wide ones where lanes (columns or quads) are many, else high ones."""
    height = min(THREADS // narrowest, power_of_two(ceil_div(rows, 4)))  # a thread loads four rows at a time
    width = max(THREADS // height, min(WARP, power_of_two(lanes // _MOST_BLOCKS)))
    width = min(width, power_of_two(lanes))
    return width, max(min(THREADS // width, power_of_two(rows)), WARP // width)


def _launch_sums(x, sums, rows: int, columns: int, parts: int, accumulate: bool, following) -> None:
    """Launch the kernel that fits: over all rows, or ``parts`` of them, whose sums are rows of ``sums``."""
    bias, other, ends, width = following
    used = [x, sums, *([bias] if ends[0] else []), *([other] if ends[1] or ends[3] else [])]
    quads = columns % 4 == 0 and width % 4 == 0 and all(map(is_aligned, used))
    lanes = columns // 4 if quads else columns
    if parts == 1:
        block = sum_block(lanes, rows, _NARROWEST if quads or columns <= WARP else 4 * _NARROWEST)
    else:
        across = min(WARP, power_of_two(lanes))
        block = across, THREADS // across
    launched = _column_sums_quads if quads else _column_sums
    sizes = rows, columns, ceil_div(rows, parts)
    launch(launched, (ceil_div(lanes, block[0]), parts), block, x, sums, *sizes, accumulate, *following)


def sum_parts(parts, sums, count: int, columns: int, accumulate: bool, following=None) -> None:
    """sums = sum of the rows of parts, or added to them.  parts: (count, columns) and sums: (columns,), both flat

    following: bias, other array, ends and width of the rows that the sums are, if they are a product (see ``_stores``).
    """
    _launch_sums(parts, sums, count, columns, 1, accumulate, following or (sums, sums, NOTHING, columns))


def column_sums(x, sums, rows: int, columns: int, accumulate: bool) -> None:
    """The same for a matrix of many rows, by way of a workspace."""
    parts = row_parts(rows, columns)
    if parts == 1 or rows <= (_FEW_ROWS if columns % 4 == 0 or columns <= WARP else _FEW_ROWS // 4):
        sum_parts(x, sums, rows, columns, accumulate)
        return
    partial = workspace(parts * columns, sums.dtype)
    _launch_sums(x, partial, rows, columns, parts, False, (partial, partial, NOTHING, columns))
    sum_parts(partial, sums, parts, columns, accumulate)
