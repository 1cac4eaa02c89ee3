"""Matrix products c = a b of any two operands of `_operands`: tiles in shared memory, sums in registers.

A block works out one tile of c.  In each step it brings the next few k of both operands into shared memory, while its
threads add up the products of the step before; two buffers take turns, so that one barrier a step is enough.  Where c
has too few tiles to occupy a GPU, its depth is split: each part is a block of its own, and a second kernel sums the
parts in order.
"""

import contextlib
import sys
import threading
from functools import cache
from typing import NamedTuple

import numpy as np

from ..scalar import real
from . import _tensor_cores
from ._api import ceil_div, cuda, function, is_aligned, kernel, launch, precision, workspace
from ._columns import sum_parts
from ._operands import LARGEST, Operand, is_small
from ._quads import quads
from ._stores import NOTHING, store
from ._strides import ALL_ROWS, Classes
from .ptx import load_quad


class Tile(NamedTuple):
    """A block's share of c, how much depth it takes in a step, and the share of a thread."""

    rows: int
    columns: int
    depth: int
    own_rows: int
    own_columns: int

    @property
    def threads(self) -> int:
        return self.rows // self.own_rows * (self.columns // self.own_columns)


LARGE = Tile(128, 128, 8, 8, 8)
TALL = Tile(128, 64, 16, 8, 4)
MEDIUM = Tile(64, 64, 16, 8, 4)
SMALL = Tile(32, 32, 16, 4, 2)
NARROW = Tile(128, 32, 16, 8, 4)
NARROWEST = Tile(128, 16, 16, 4, 4)
_PADDING = 4  # elements between lines of shared memory: less waiting for one bank, and quads stay aligned
_ENOUGH_BLOCKS = 132  # to occupy a large GPU; the same on all, for the same bits on all
_MOST_PARTS = 2 * _ENOUGH_BLOCKS  # of all tiles together: two blocks at a time on each of its processors
_FEWEST_STEPS = 4  # of a part
# what it takes to sum parts, as steps of a block (0.4 us on an H100): a launch, and elements that are written and read
_STEPS_OF_A_SUM = 8
_ELEMENTS_OF_A_STEP = 100_000
_MOST_PRODUCTS = 65_535  # side by side: of a grid's third axis
_MOST = LARGEST - 1024  # rows, columns or terms: with a tile and some steps more they still have 32 bits

# measured by scripts/bench/gpu_tiles.py on an H100
_SMALL_RESULT = 32 * 64 * 64  # elements, for which small tiles give more blocks something to do
_SMALL_DEPTH = 1024  # beyond, it is more parts that do
_SMALL_WORK = 1 << 26  # products, from which on larger tiles' fewer loads count more
_GREAT_DEPTH = 1600  # from which on tall tiles in parts pay


def _kind(dtype) -> str:
    """What is multiplied at the precision in force: the arrays' numbers, TF32 or bfloat16."""
    if precision() == "highest" or dtype != np.float32:
        return "float"
    return "bf16" if precision() == "medium" else "tf32"


def _tile_for(rows: int, columns: int, depth: int, groups: int, kind: str, whole: bool, classes: Classes):
    tiles = sys.modules[__name__] if kind == "float" else _tensor_cores
    size = rows * columns * groups
    if size <= _SMALL_RESULT and depth <= _SMALL_DEPTH and size * depth <= _SMALL_WORK:
        return tiles.SMALL
    if columns <= tiles.NARROWEST.columns:
        return tiles.NARROWEST
    if columns <= tiles.NARROW.columns:
        return tiles.NARROW
    if whole:  # other quads take too many registers
        large = columns > tiles.TALL.columns and (kind != "float" or classes is ALL_ROWS)  # else 130 of them
        for tile in (tiles.LARGE, tiles.TALL) if large else (tiles.TALL,):
            if ceil_div(rows, tile.rows) * ceil_div(columns, tile.columns) * groups >= _ENOUGH_BLOCKS:
                return tile
        if depth >= _GREAT_DEPTH:
            return tiles.TALL
    return tiles.MEDIUM


@cache
def _adder(tile: Tile, whole: bool):
    """The function that adds the products of a line of both tiles to a thread's sums."""
    own_rows, own_columns = tile.own_rows, tile.own_columns
    row_run, column_run, row_distance, column_distance = _runs(tile)

    @function
    def add_line(sums, a_own, b_own, a_tile, b_tile, stage, line, own_row, own_column):
        # one function that reads either takes 149 registers of the largest tile's threads instead of 128
        if whole and row_run == 4:
            for i in range(0, own_rows, 4):
                values = load_quad(a_tile, (stage, line, own_row + i // 4 * row_distance))
                for e in range(4):
                    a_own[i + e] = values[e]
        else:
            for i in range(own_rows):
                a_own[i] = a_tile[stage, line, own_row + i // row_run * row_distance + i % row_run]
        if whole and column_run == 4:
            for j in range(0, own_columns, 4):
                values = load_quad(b_tile, (stage, line, own_column + j // 4 * column_distance))
                for e in range(4):
                    b_own[j + e] = values[e]
        else:
            for j in range(own_columns):
                b_own[j] = b_tile[stage, line, own_column + j // column_run * column_distance + j % column_run]
        for i in range(own_rows):
            for j in range(own_columns):
                sums[i, j] += a_own[i] * b_own[j]

    return add_line


def _runs(tile: Tile) -> tuple[int, int, int, int]:
    """A thread owns runs of neighbours, to load vectors from shared memory: their lengths, how far they are apart."""
    thread_columns = tile.columns // tile.own_columns
    row_run, column_run = min(4, tile.own_rows), min(4, tile.own_columns)
    return row_run, column_run, tile.threads // thread_columns * row_run, thread_columns * column_run


@cache
def _product_kernel(
    a_operand: Operand, b_operand: Operand, classes: Classes, tile: Tile, whole: bool, accumulate: bool, ends: tuple
):
    rows_tile, columns_tile, depth_tile, own_rows, own_columns = tile
    threads = tile.threads
    a_quads = quads(a_operand, whole, rows_tile, depth_tile, threads)
    b_quads = quads(b_operand, whole, columns_tile, depth_tile, threads)
    a_count, place_type, a_quad, locate_a, fetch_a, _, put_a, _ = a_quads
    b_count, _, b_quad, locate_b, fetch_b, _, put_b, _ = b_quads
    thread_columns = columns_tile // own_columns
    row_run, column_run, row_distance, column_distance = _runs(tile)
    add_line = _adder(tile, whole)
    a_line, b_line = rows_tile + _PADDING, columns_tile + _PADDING
    count_of, class_of, depth_of, pixel_of, row_of = classes

    @kernel
    def product(a, b, c, a_all, b_all, rows, columns, depth, stride, groups, part_depth, part_size, bias, other):
        a_tile = cuda.shared.array((2, depth_tile, a_line), real, 16)
        b_tile = cuda.shared.array((2, depth_tile, b_line), real, 16)
        a_places = cuda.local.array((a_count, 3), place_type)
        b_places = cuda.local.array((b_count, 3), place_type)
        a_next = cuda.local.array((a_count, 4), real)
        b_next = cuda.local.array((b_count, 4), real)
        sums = cuda.local.array((own_rows, own_columns), real)
        a_own = cuda.local.array(own_rows, real)
        b_own = cuda.local.array(own_columns, real)
        thread = cuda.threadIdx.x
        group = cuda.blockIdx.z % groups
        part = cuda.blockIdx.z // groups // count_of(a_all)
        a_shape, b_shape = class_of(a_all, b_all, groups)
        first_row = cuda.blockIdx.x * rows_tile
        first_column = cuda.blockIdx.y * columns_tile
        a_fixed, a_k = a_quad(thread)
        b_fixed, b_k = b_quad(thread)
        locate_a(a_places, a_shape, group, first_row + a_fixed, np.int32(rows))
        locate_b(b_places, b_shape, group, first_column + b_fixed, np.int32(columns))

        for i in range(own_rows):
            for j in range(own_columns):
                sums[i, j] = real(0)
        own_row = thread // thread_columns * row_run
        own_column = thread % thread_columns * column_run
        owns = first_row + own_row < rows and first_column + own_column < columns
        begin = np.int32(part * part_depth)
        end = np.int32(min(depth_of(a_shape, depth), begin + part_depth))
        k, stage = begin, np.int32(0)
        while True:
            if k < end:
                fetch_a(a_next, a, a_shape, a_places, a_fixed, np.int32(k + a_k), end)
                fetch_b(b_next, b, b_shape, b_places, b_fixed, np.int32(k + b_k), end)
            if owns and k > begin:
                for line in range(0, depth_tile, 4):  # not one by one: some are read while others are multiplied
                    add_line(sums, a_own, b_own, a_tile, b_tile, 1 - stage, line, own_row, own_column)
                    add_line(sums, a_own, b_own, a_tile, b_tile, 1 - stage, line + 1, own_row, own_column)
                    add_line(sums, a_own, b_own, a_tile, b_tile, 1 - stage, line + 2, own_row, own_column)
                    add_line(sums, a_own, b_own, a_tile, b_tile, 1 - stage, line + 3, own_row, own_column)
            if k >= end:
                break
            put_a(a_tile, stage, a_next, a_fixed, a_k)
            put_b(b_tile, stage, b_next, b_fixed, b_k)
            cuda.syncthreads()
            stage = np.int32(1 - stage)
            k = np.int32(k + depth_tile)

        pixel = pixel_of(a_all, groups)
        first_column += group * columns
        last = (group + 1) * columns
        for i in range(own_rows):
            row = first_row + own_row + i // row_run * row_distance + i % row_run
            row, there = row_of(a_all, pixel, row, rows)
            for j in range(0, own_columns, column_run):
                column = first_column + own_column + j // column_run * column_distance
                at = part * part_size + row * stride + column
                for e in range(column_run):  # not as vectors, which take 167 registers instead of 128
                    inside = there and column + e < last
                    store(c, at + e, column + e, inside, sums[i, j + e], accumulate, bias, other, ends)

    return product


class Epilogue:
    """What follows a product before it is used, in place: bias, residual and ReLU, or the mask of a ReLU.

    bias: (columns of all groups,) or None; residual, mask: like c, or None.  done: whether a product did it.
    """

    def __init__(self, bias=None, residual=None, mask=None, relu: bool = False):
        self.arrays = bias, residual if mask is None else mask
        self.ends = bias is not None, residual is not None, relu, mask is not None
        self.done = False


_following = threading.local()


@contextlib.contextmanager
def followed_by(epilogue: Epilogue):
    """Within it, this thread's next product does ``epilogue``, if it can; it tells by ``epilogue.done``."""
    _following.epilogue = epilogue
    try:
        yield
    finally:
        _following.epilogue = None


def taken_epilogue() -> Epilogue:
    """What is to follow a product of this thread, which from now on is done."""
    found = getattr(_following, "epilogue", None) or Epilogue()
    found.done = True
    return found


def _parts(blocks: int, steps: int, size: int) -> int:
    """Among how many blocks the depth of each tile is split: what takes the fewest steps, with the sum of the parts."""
    most = min(_MOST_PARTS // blocks, steps // _FEWEST_STEPS)
    return min(range(1, max(1, most) + 1), key=lambda parts: (
        ceil_div(steps, parts) + (0 if parts == 1 else _STEPS_OF_A_SUM + parts * size / _ELEMENTS_OF_A_STEP)
    ))  # fmt: skip


def product(
    a, b, c, a_matrix, b_matrix, rows: int, columns: int, depth: int, groups: int = 1, accumulate=False,
    classes: Classes = ALL_ROWS, count: int = 1,
):  # fmt: skip
    """c = a b, or c += a b, of arrays read as matrices; ``groups`` products side by side, each ``columns`` wide.

    classes: which rows are of other terms; ``count`` classes, of which the largest has ``rows`` of ``depth`` terms.
    """
    if rows == 0 or columns == 0:
        return
    if max(rows, depth, columns) > _MOST:
        received = f"{rows} rows, {columns} columns, {depth} terms"
        raise ValueError(f"A product on CUDA has at most {_MOST} rows, columns and terms. Received: {received}")
    if groups * count > _MOST_PRODUCTS:
        raise ValueError(
            f"A convolution on CUDA has at most {_MOST_PRODUCTS} groups times strides. Received: {groups} groups, "
            f"{count} classes of pixels by strides"
        )
    a, b, c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    whole = a_matrix.whole and b_matrix.whole and all(is_aligned(array) and is_small(array) for array in (a, b))
    kind = _kind(c.dtype)
    tile = _tile_for(rows, columns, depth, groups * count, kind, whole, classes)
    row_tiles, column_tiles = ceil_div(rows, tile.rows), ceil_div(columns, tile.columns)
    steps = ceil_div(depth, tile.depth)
    blocks = row_tiles * column_tiles * groups * count
    size = c.size
    parts = _parts(blocks, steps, size)
    part_steps = max(1, ceil_div(steps, parts))
    parts = max(1, ceil_div(steps, part_steps))
    single = parts == 1
    target = c if single else workspace(parts * size, c.dtype)
    epilogue = taken_epilogue()
    following = [c if array is None else array.reshape(-1) for array in epilogue.arrays]
    outputs = (target, *following) if single else (target, target, target)
    form = a_matrix.operand, b_matrix.operand, classes, tile
    last = (accumulate, epilogue.ends) if single else (False, NOTHING)
    if kind == "float":
        made = _product_kernel(*form, whole, *last)
    else:
        aligned = whole and columns % 4 == 0 and all(map(is_aligned, outputs))
        made = _tensor_cores.product_kernel(*form, kind, whole, aligned, *last)
    launch(
        made, (row_tiles, column_tiles, parts * count * groups), tile.threads,
        a, b, target, a_matrix.shape, b_matrix.shape, rows, columns, depth, columns * groups, groups,
        part_steps * tile.depth, size, *outputs[1:],
    )  # fmt: skip
    if not single:
        sum_parts(target, c, parts, size, accumulate, (*following, epilogue.ends, columns * groups))
