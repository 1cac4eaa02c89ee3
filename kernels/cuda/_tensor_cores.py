"""Matrix products on tensor cores: operands in TF32 or bfloat16, sums in float32.

A block works out one tile of c, a warp a part of it, in fragments of (16, 8) as the instruction multiplies them (see
``ptx``).  While a step's fragments are multiplied, the next step's elements are on their way: straight into shared
memory, if quads are whole and stay float32 (TF32 is rounded to where fragments are read), else by way of registers.

In shared memory lie words, a float32 or two bfloat16.  Where an operand's quads lie along the depth, its tile is
(fixed, k), else (k, fixed), and fragments of it are read transposed.  Lines are longer than they need be, so that what
a warp reads at a time comes from all banks.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from ..scalar import real
from ._api import WARP, cuda, function, kernel
from ._operands import Operand, loader
from ._stores import store_pair
from .ptx import (
    await_copies,
    copy_async,
    load_matrices,
    load_matrices_transposed,
    multiply_bf16,
    multiply_tf32,
    pack_bf16,
    to_tf32,
)


class Tile(NamedTuple):
    """A block's share of c and a warp's share of that."""

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int

    @property
    def threads(self) -> int:
        return WARP * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)


LARGE = Tile(128, 128, 32, 32)
MEDIUM = Tile(64, 64, 32, 16)
NARROW = Tile(128, 32, 16, 32)
NARROWEST = Tile(128, 16, 16, 16)
DEPTH = {"tf32": 16, "bf16": 32}  # of a step: 64 bytes
_FRAGMENTS_DEPTH = 2  # products of fragments in a step


# ---- tiles in shared memory: what writes a quad, and what reads fragments


def _tile_shape(kind: str, along_depth: bool, fixed: int) -> tuple[int, int, int]:
    """Two buffers of words."""
    if along_depth:
        return 2, fixed, 16 + 4
    return (2, DEPTH[kind], fixed + 8) if kind == "tf32" else (2, DEPTH[kind], fixed // 2 + 4)


@function
def _fill_tf32_along(tile, stage, fixed, k, values):
    for i in range(4):
        tile[stage, fixed, k + i] = values[i]


@function
def _fill_tf32_across(tile, stage, fixed, k, values):
    for i in range(4):
        tile[stage, k, fixed + i] = values[i]


@function
def _fill_bf16_along(tile, stage, fixed, k, values):
    tile[stage, fixed, k // 2] = pack_bf16(values[0], values[1])
    tile[stage, fixed, k // 2 + 1] = pack_bf16(values[2], values[3])


@function
def _fill_bf16_across(tile, stage, fixed, k, values):
    tile[stage, k, fixed // 2] = pack_bf16(values[0], values[1])
    tile[stage, k, fixed // 2 + 1] = pack_bf16(values[2], values[3])


_FILL = {
    ("tf32", True): _fill_tf32_along,
    ("tf32", False): _fill_tf32_across,
    ("bf16", True): _fill_bf16_along,
    ("bf16", False): _fill_bf16_across,
}

# The words of a lane: for a one fragment of 16 rows, for b two fragments, of 16 columns.  A lane gives ldmatrix the
# address of one row of one of four matrices of 8 rows of 16 bytes.


@function
def _round(words):
    return to_tf32(words[0]), to_tf32(words[1]), to_tf32(words[2]), to_tf32(words[3])


@function
def _a_along(tile, stage, row, step, lane):
    return load_matrices(tile, (stage, row + lane % 16, step * 8 + lane // 16 * 4))


@function
def _b_along(tile, stage, column, step, lane):
    return load_matrices(tile, (stage, column + lane % 8 + lane // 16 * 8, step * 8 + lane // 8 % 2 * 4))


@function
def _a_along_tf32(tile, stage, row, step, lane):
    return _round(_a_along(tile, stage, row, step, lane))


@function
def _b_along_tf32(tile, stage, column, step, lane):
    return _round(_b_along(tile, stage, column, step, lane))


@function
def _a_across_bf16(tile, stage, row, step, lane):
    k = step * 16 + lane // 16 * 8 + lane % 8
    return load_matrices_transposed(tile, (stage, k, (row + lane // 8 % 2 * 8) // 2))


@function
def _b_across_bf16(tile, stage, column, step, lane):
    k = step * 16 + lane // 8 % 2 * 8 + lane % 8
    return load_matrices_transposed(tile, (stage, k, (column + lane // 16 * 8) // 2))


@function
def _a_across_tf32(tile, stage, row, step, lane):
    k = step * 8 + lane % 4
    at = row + lane // 4
    return _round((tile[stage, k, at], tile[stage, k, at + 8], tile[stage, k + 4, at], tile[stage, k + 4, at + 8]))


@function
def _b_across_tf32(tile, stage, column, step, lane):
    k = step * 8 + lane % 4
    at = column + lane // 4
    return _round((tile[stage, k, at], tile[stage, k + 4, at], tile[stage, k, at + 8], tile[stage, k + 4, at + 8]))


_A_WORDS = {
    ("tf32", True): _a_along_tf32,
    ("tf32", False): _a_across_tf32,
    ("bf16", True): _a_along,
    ("bf16", False): _a_across_bf16,
}
_B_WORDS = {
    ("tf32", True): _b_along_tf32,
    ("tf32", False): _b_across_tf32,
    ("bf16", True): _b_along,
    ("bf16", False): _b_across_bf16,
}


# ---- who brings what


class _Share(NamedTuple):
    """Of the quads of an operand's tile a thread brings ``count``, all of one place, k ``distance`` apart."""

    lanes: int  # threads that share a line of the tile
    workers: int
    count: int
    distance: int


def _share(along_depth: bool, fixed: int, depth: int, threads: int) -> _Share:
    if along_depth:
        lanes = min(depth // 4, max(1, threads // fixed))
        return _Share(lanes, lanes * fixed, depth // 4 // lanes, 4 * lanes)
    lanes = fixed // 4
    lines = min(depth, threads // lanes)
    return _Share(lanes, lanes * lines, depth // lines, lines)


# ---- the product


@cache
def product_kernel(a_operand: Operand, b_operand: Operand, tile: Tile, kind: str, whole: bool):
    """The kernel of ``_products.product`` for numbers of ``kind``: "tf32", or "bf16" if quads are whole."""
    asynchronous = whole and kind == "tf32"
    locate_a, load_a = loader(a_operand, whole)
    locate_b, load_b = loader(b_operand, whole)
    find_a, find_b = a_operand.find_quad, b_operand.find_quad
    a_along, b_along = a_operand.along_depth, b_operand.along_depth
    fill_a, fill_b = _FILL[kind, a_along], _FILL[kind, b_along]
    a_words, b_words = _A_WORDS[kind, a_along], _B_WORDS[kind, b_along]
    multiply = multiply_tf32 if kind == "tf32" else multiply_bf16
    depth_tile, threads = DEPTH[kind], tile.threads
    rows_tile, columns_tile, warp_rows, warp_columns = tile
    warps_across = columns_tile // warp_columns
    row_fragments, column_fragments = warp_rows // 16, warp_columns // 8
    a_shape_shared, b_shape_shared = _tile_shape(kind, a_along, rows_tile), _tile_shape(kind, b_along, columns_tile)
    a_lanes, a_workers, a_count, a_distance = _share(a_along, rows_tile, depth_tile, threads)
    b_lanes, b_workers, b_count, b_distance = _share(b_along, columns_tile, depth_tile, threads)
    word = np.float32 if kind == "tf32" else np.uint32

    @function
    def copy(tile, stage, fixed, k, along_depth, array, at):
        if along_depth:
            copy_async(tile, (stage, fixed, k), array, max(at, 0), at >= 0)
        else:
            copy_async(tile, (stage, k, fixed), array, max(at, 0), at >= 0)

    @kernel
    def product(
        a,
        b,
        c,
        a_shape,
        b_shape,
        rows,
        columns,
        depth,
        stride,
        groups,
        part_depth,
        part_size,
        accumulate,
        bias,
        other,
        ends,
    ):
        a_tile = cuda.shared.array(a_shape_shared, word, 16)
        b_tile = cuda.shared.array(b_shape_shared, word, 16)
        a_next = cuda.local.array((a_count, 4), real)
        b_next = cuda.local.array((b_count, 4), real)
        a_own = cuda.local.array((row_fragments, 4), np.uint32)
        b_own = cuda.local.array((column_fragments, 2), np.uint32)
        sums = cuda.local.array((row_fragments, column_fragments, 4), real)
        thread = cuda.threadIdx.x
        lane = thread % 32
        warp = thread // 32
        group = cuda.blockIdx.z % groups
        part = cuda.blockIdx.z // groups
        first_row = cuda.blockIdx.x * rows_tile
        first_column = cuda.blockIdx.y * columns_tile
        warp_row = warp // warps_across * warp_rows
        warp_column = warp % warps_across * warp_columns

        # which quads of each tile this thread brings
        if a_along:
            a_fixed, a_k = thread // a_lanes, thread % a_lanes * 4
        else:
            a_fixed, a_k = thread % a_lanes * 4, thread // a_lanes
        if b_along:
            b_fixed, b_k = thread // b_lanes, thread % b_lanes * 4
        else:
            b_fixed, b_k = thread % b_lanes * 4, thread // b_lanes
        a_place = locate_a(a_shape, group, first_row + a_fixed, rows)
        b_place = locate_b(b_shape, group, first_column + b_fixed, columns)

        owns = first_row + warp_row < rows and first_column + warp_column < columns
        for i in range(row_fragments):
            for j in range(column_fragments):
                for e in range(4):
                    sums[i, j, e] = real(0)
        k = part * part_depth
        end = min(depth, k + part_depth)
        k -= depth_tile  # the first step multiplies nothing
        stage = 1
        while k < end:
            if asynchronous:
                await_copies()
            cuda.syncthreads()
            following = k + depth_tile
            if following < end:
                for q in range(a_count):
                    if thread < a_workers:
                        at = a_k + q * a_distance
                        if asynchronous:
                            copy(
                                a_tile,
                                1 - stage,
                                a_fixed,
                                at,
                                a_along,
                                a,
                                find_a(a_shape, a_place, following + at, end),
                            )
                        else:
                            values = load_a(a, a_shape, a_place, following + at, end)
                            for e in range(4):
                                a_next[q, e] = values[e]
                for q in range(b_count):
                    if thread < b_workers:
                        at = b_k + q * b_distance
                        if asynchronous:
                            copy(
                                b_tile,
                                1 - stage,
                                b_fixed,
                                at,
                                b_along,
                                b,
                                find_b(b_shape, b_place, following + at, end),
                            )
                        else:
                            values = load_b(b, b_shape, b_place, following + at, end)
                            for e in range(4):
                                b_next[q, e] = values[e]
            if owns and k >= part * part_depth:
                for step in range(_FRAGMENTS_DEPTH):
                    for i in range(row_fragments):
                        words = a_words(a_tile, stage, warp_row + 16 * i, step, lane)
                        for e in range(4):
                            a_own[i, e] = words[e]
                    for j in range(0, column_fragments, 2):
                        words = b_words(b_tile, stage, warp_column + 8 * j, step, lane)
                        b_own[j, 0] = words[0]
                        b_own[j, 1] = words[1]
                        b_own[j + 1, 0] = words[2]
                        b_own[j + 1, 1] = words[3]
                    for i in range(row_fragments):
                        a_fragment = a_own[i, 0], a_own[i, 1], a_own[i, 2], a_own[i, 3]
                        for j in range(column_fragments):
                            before = sums[i, j, 0], sums[i, j, 1], sums[i, j, 2], sums[i, j, 3]
                            after = multiply(before, a_fragment, (b_own[j, 0], b_own[j, 1]))
                            for e in range(4):
                                sums[i, j, e] = after[e]
            if following < end and not asynchronous:
                for q in range(a_count):
                    if thread < a_workers:
                        values = a_next[q, 0], a_next[q, 1], a_next[q, 2], a_next[q, 3]
                        fill_a(a_tile, 1 - stage, a_fixed, a_k + q * a_distance, values)
                for q in range(b_count):
                    if thread < b_workers:
                        values = b_next[q, 0], b_next[q, 1], b_next[q, 2], b_next[q, 3]
                        fill_b(b_tile, 1 - stage, b_fixed, b_k + q * b_distance, values)
            k = following
            stage = 1 - stage

        first_row += warp_row + lane // 4
        first_column += group * columns + warp_column + lane % 4 * 2
        end = (group + 1) * columns
        for i in range(row_fragments):
            for j in range(column_fragments):
                row, column = first_row + 16 * i, first_column + 8 * j
                at = part * part_size + row * stride + column
                above, below = (sums[i, j, 0], sums[i, j, 1]), (sums[i, j, 2], sums[i, j, 3])
                store_pair(c, at, column, row < rows, end, above, accumulate, bias, other, ends)
                store_pair(c, at + 8 * stride, column, row + 8 < rows, end, below, accumulate, bias, other, ends)

    return product
