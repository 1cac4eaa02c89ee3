"""Matrix products on tensor cores: operands in TF32 or bfloat16, sums in float32.

A block works out one tile of c, a warp a part of it, in fragments of (16, 8) as the instruction multiplies them (see
``ptx``).  While a step's fragments are multiplied, the next steps' elements are on their way: straight into shared
memory, some steps ahead, if quads are whole and stay float32 (TF32 is rounded to where fragments are read), else by way
of registers.

In shared memory lie words, a float32 or two bfloat16.  Where an operand's quads lie along the depth, its tile is
(fixed, k), else (k, fixed), and fragments of it are read transposed.  What a warp reads at a time must come from all
banks: so the places within a line are exchanged by what line it is (a swizzle), or lines are longer than they need be.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from ..scalar import real
from ._api import WARP, ceil_div, cuda, function, kernel
from ._operands import Operand
from ._stores import store_pair
from .ptx import (
    await_copies_but_one_step,
    await_copies_but_two_steps,
    copy_async,
    end_step_of_copies,
    load_matrices,
    load_matrices_transposed,
    load_quad,
    multiply_bf16,
    multiply_tf32,
    pack_bf16,
    to_tf32,
)


class Tile(NamedTuple):
    """A block's share of c and a warp's share of that; what it takes in a step, and how many steps copies are ahead."""

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    words: int = 16  # of a line along the depth
    ahead: int = 2

    def depth(self, kind: str) -> int:
        """The depth of a step."""
        return self.words if kind == "tf32" else 2 * self.words

    @property
    def threads(self) -> int:
        return WARP * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)


LARGE = Tile(128, 128, 64, 64)
LARGE_OF_QUADS_IN_REGISTERS = Tile(128, 128, 64, 32)
TALL = Tile(128, 64, 64, 32)
MEDIUM = Tile(64, 64, 32, 32)
SMALL = Tile(32, 32, 16, 16)
NARROW = Tile(128, 32, 32, 32)
NARROWEST = Tile(128, 16, 32, 16)


# ---- tiles in shared memory: where an element's word lies, what writes a quad, and what reads fragments


def _tile_shape(kind: str, along_depth: bool, fixed: int, words: int, buffers: int) -> tuple[int, int, int]:
    if along_depth:
        return buffers, fixed, words
    return (buffers, words, fixed) if kind == "tf32" else (buffers, 2 * words, fixed // 2 + 4)


@function
def _along(fixed, word):
    """Where a word of line ``fixed`` lies: of eight lines of 16 words that ldmatrix reads, two share their banks."""
    return word ^ ((fixed >> 1 & 3) << 2)


@function
def _along_short(fixed, word):
    """The same for lines of 8 words, of which four have banks of their own."""
    return word ^ (fixed & 4)


@function
def _across(k, fixed):
    """Where element ``fixed`` of line k lies: four lines and eight elements are read at a time."""
    return fixed ^ ((k & 3) << 3)


@function
def _across_few(k, fixed):
    """The same for lines of 16 elements, of which two have banks of their own."""
    return fixed ^ ((k & 2) << 2)


# (fixed, k) -> line and word of a quad


@function
def _where_along_tf32(fixed, k):
    return fixed, _along(fixed, k)


@function
def _where_along_short_tf32(fixed, k):
    return fixed, _along_short(fixed, k)


@function
def _where_along_bf16(fixed, k):
    return fixed, _along(fixed, k >> 1)


@function
def _where_across_tf32(fixed, k):
    return k, _across(k, fixed)


@function
def _where_across_few_tf32(fixed, k):
    return k, _across_few(k, fixed)


@function
def _where_across_bf16(fixed, k):
    return k, fixed >> 1


@function
def _fill_tf32(tile, stage, line, word, values):
    for i in range(4):
        tile[stage, line, word + i] = values[i]


@function
def _fill_bf16(tile, stage, line, word, values):
    tile[stage, line, word] = pack_bf16(values[0], values[1])
    tile[stage, line, word + 1] = pack_bf16(values[2], values[3])


# The words of a lane: for a one fragment of 16 rows, for b two fragments, of 16 columns.  A lane gives ldmatrix the
# address of one row of one of four matrices of 8 rows of 16 bytes.


@function
def _round(words):
    return to_tf32(words[0]), to_tf32(words[1]), to_tf32(words[2]), to_tf32(words[3])


@function
def _a_along(tile, stage, row, step, lane):
    line = row + (lane & 15)
    return load_matrices(tile, (stage, line, _along(line, (step << 3) + (lane >> 4 << 2))))


@function
def _b_along(tile, stage, column, step, lane):
    line = column + (lane & 7) + (lane >> 4 << 3)
    return load_matrices(tile, (stage, line, _along(line, (step << 3) + ((lane >> 3 & 1) << 2))))


@function
def _a_along_tf32(tile, stage, row, step, lane):
    return _round(_a_along(tile, stage, row, step, lane))


@function
def _b_along_tf32(tile, stage, column, step, lane):
    return _round(_b_along(tile, stage, column, step, lane))


@function
def _a_along_short_tf32(tile, stage, row, step, lane):
    line = row + (lane & 15)
    return _round(load_matrices(tile, (stage, line, _along_short(line, lane >> 4 << 2))))


@function
def _b_along_short_tf32(tile, stage, column, step, lane):
    line = column + (lane & 7) + (lane >> 4 << 3)
    return _round(load_matrices(tile, (stage, line, _along_short(line, (lane >> 3 & 1) << 2))))


@function
def _a_across_bf16(tile, stage, row, step, lane):
    k = (step << 4) + (lane >> 4 << 3) + (lane & 7)
    return load_matrices_transposed(tile, (stage, k, (row + (lane & 8)) >> 1))


@function
def _b_across_bf16(tile, stage, column, step, lane):
    k = (step << 4) + (lane & 8) + (lane & 7)
    return load_matrices_transposed(tile, (stage, k, (column + (lane >> 4 << 3)) >> 1))


@function
def _a_across_tf32(tile, stage, row, step, lane):
    k = (step << 3) + (lane & 3)
    at = _across(k, row + (lane >> 2))
    return _round((tile[stage, k, at], tile[stage, k, at ^ 8], tile[stage, k + 4, at], tile[stage, k + 4, at ^ 8]))


@function
def _b_across_tf32(tile, stage, column, step, lane):
    k = (step << 3) + (lane & 3)
    at = _across(k, column + (lane >> 2))
    return _round((tile[stage, k, at], tile[stage, k + 4, at], tile[stage, k, at ^ 8], tile[stage, k + 4, at ^ 8]))


@function
def _b_across_few_tf32(tile, stage, column, step, lane):
    k = (step << 3) + (lane & 3)
    at = _across_few(k, column + (lane >> 2))
    return _round((tile[stage, k, at], tile[stage, k + 4, at], tile[stage, k, at ^ 8], tile[stage, k + 4, at ^ 8]))


class _Access(NamedTuple):
    """Where the quads of a tile lie, and how fragments of it are read, as an a or as a b."""

    where: object
    a_words: object
    b_words: object


def _access(kind: str, along_depth: bool, fixed: int, words: int) -> _Access:
    if kind == "bf16":
        if along_depth:
            return _Access(_where_along_bf16, _a_along, _b_along)
        return _Access(_where_across_bf16, _a_across_bf16, _b_across_bf16)
    if along_depth and words == 8:
        return _Access(_where_along_short_tf32, _a_along_short_tf32, _b_along_short_tf32)
    if along_depth:
        return _Access(_where_along_tf32, _a_along_tf32, _b_along_tf32)
    if fixed >= WARP:
        return _Access(_where_across_tf32, _a_across_tf32, _b_across_tf32)
    return _Access(_where_across_few_tf32, _a_across_tf32, _b_across_few_tf32)


# ---- who brings what


class _Share(NamedTuple):
    """A thread brings ``count`` quads of an operand's tile, all at one k, ``distance`` apart."""

    lanes: int  # threads that share a line of the tile
    count: int
    distance: int
    lines: int  # from one quad to the next, in the tile; or words
    words: int


def _share(kind: str, along_depth: bool, fixed: int, depth: int, threads: int) -> _Share:
    if along_depth:
        lanes = depth // 4
        distance = threads // lanes  # a multiple of 8, so that all quads lie at the same word
        return _Share(lanes, ceil_div(fixed, distance), distance, distance, 0)
    lanes = threads // depth
    distance = 4 * lanes
    return _Share(lanes, ceil_div(fixed, distance), distance, 0, distance if kind == "tf32" else distance // 2)


# ---- the product


@cache
def product_kernel(
    a_operand: Operand, b_operand: Operand, tile: Tile, kind: str, whole: bool, accumulate: bool, ends: tuple
):
    """The kernel of ``_products.product`` for numbers of ``kind``: "tf32", or "bf16" if quads are whole."""
    asynchronous = whole and kind == "tf32"
    ahead = tile.ahead if asynchronous else 1
    locate_a = a_operand.place if whole else a_operand.locate
    locate_b = b_operand.place if whole else b_operand.locate
    a_position, find_a, load_a = a_operand.position, a_operand.find, a_operand.load
    b_position, find_b, load_b = b_operand.position, b_operand.find, b_operand.load
    a_along, b_along = a_operand.along_depth, b_operand.along_depth
    depth_tile, threads = tile.depth(kind), tile.threads
    rows_tile, columns_tile, warp_rows, warp_columns, words_tile, _ = tile
    fragments_deep = words_tile // 8  # products of fragments in a step
    await_copies = await_copies_but_two_steps if ahead == 3 else await_copies_but_one_step
    where_a, a_words, _ = _access(kind, a_along, rows_tile, words_tile)
    where_b, _, b_words = _access(kind, b_along, columns_tile, words_tile)
    fill = _fill_tf32 if kind == "tf32" else _fill_bf16
    multiply = multiply_tf32 if kind == "tf32" else multiply_bf16
    warps_across = columns_tile // warp_columns
    row_fragments, column_fragments = warp_rows // 16, warp_columns // 8
    a_shape_shared = _tile_shape(kind, a_along, rows_tile, words_tile, ahead + 1)
    b_shape_shared = _tile_shape(kind, b_along, columns_tile, words_tile, ahead + 1)
    a_lanes, a_count, a_distance, a_lines, a_step = _share(kind, a_along, rows_tile, depth_tile, threads)
    b_lanes, b_count, b_distance, b_lines, b_step = _share(kind, b_along, columns_tile, depth_tile, threads)
    a_exact, b_exact = a_count * a_distance == rows_tile, b_count * b_distance == columns_tile
    word = np.float32 if kind == "tf32" else np.uint32
    place_type = np.int32 if whole else np.int64

    @function
    def multiply_fragments(sums, a_own, b_own, a_tile, b_tile, stage, warp_row, warp_column, step, lane):
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

    @kernel
    def product(a, b, c, a_shape, b_shape, rows, columns, depth, stride, groups, part_depth, part_size, bias, other):
        a_tile = cuda.shared.array(a_shape_shared, word, 16)
        b_tile = cuda.shared.array(b_shape_shared, word, 16)
        a_places = cuda.local.array((a_count, 3), place_type)
        b_places = cuda.local.array((b_count, 3), place_type)
        a_next = cuda.local.array((a_count, 4), real)
        b_next = cuda.local.array((b_count, 4), real)
        a_own = cuda.local.array((row_fragments, 4), np.uint32)
        b_own = cuda.local.array((column_fragments, 2), np.uint32)
        sums = cuda.local.array((row_fragments, column_fragments, 4), real)
        thread = cuda.threadIdx.x
        lane = thread & 31
        warp = thread >> 5
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
        a_line, a_word = where_a(a_fixed, a_k)
        b_line, b_word = where_b(b_fixed, b_k)
        for q in range(a_count):
            place = locate_a(a_shape, group, first_row + a_fixed + q * a_distance, rows)
            for e in range(3):
                a_places[q, e] = place[e]
        for q in range(b_count):
            place = locate_b(b_shape, group, first_column + b_fixed + q * b_distance, columns)
            for e in range(3):
                b_places[q, e] = place[e]

        owns = first_row + warp_row < rows and first_column + warp_column < columns
        for i in range(row_fragments):
            for j in range(column_fragments):
                for e in range(4):
                    sums[i, j, e] = real(0)
        begin = part * part_depth
        end = min(depth, begin + part_depth)
        k = begin - ahead * depth_tile  # the first steps multiply nothing
        stage, target = 1, 0
        while k < end:
            if asynchronous:
                await_copies()
            cuda.syncthreads()
            following = k + ahead * depth_tile
            if following < end:
                if whole:
                    position = a_position(a_shape, following + a_k, end)
                    for q in range(a_count):
                        if a_exact or a_fixed + q * a_distance < rows_tile:
                            place = a_places[q, 0], a_places[q, 1], a_places[q, 2]
                            at, inside = find_a(a_shape, place, position)
                            if asynchronous:
                                index = target, a_line + q * a_lines, a_word + q * a_step
                                copy_async(a_tile, index, a, at, inside)
                            else:
                                values = load_quad(a, at) if inside else (real(0), real(0), real(0), real(0))
                                for e in range(4):
                                    a_next[q, e] = values[e]
                    position = b_position(b_shape, following + b_k, end)
                    for q in range(b_count):
                        if b_exact or b_fixed + q * b_distance < columns_tile:
                            place = b_places[q, 0], b_places[q, 1], b_places[q, 2]
                            at, inside = find_b(b_shape, place, position)
                            if asynchronous:
                                index = target, b_line + q * b_lines, b_word + q * b_step
                                copy_async(b_tile, index, b, at, inside)
                            else:
                                values = load_quad(b, at) if inside else (real(0), real(0), real(0), real(0))
                                for e in range(4):
                                    b_next[q, e] = values[e]
                else:
                    for q in range(a_count):
                        if a_exact or a_fixed + q * a_distance < rows_tile:
                            place = a_places[q, 0], a_places[q, 1], a_places[q, 2]
                            values = load_a(a, a_shape, place, following + a_k, end)
                            for e in range(4):
                                a_next[q, e] = values[e]
                    for q in range(b_count):
                        if b_exact or b_fixed + q * b_distance < columns_tile:
                            place = b_places[q, 0], b_places[q, 1], b_places[q, 2]
                            values = load_b(b, b_shape, place, following + b_k, end)
                            for e in range(4):
                                b_next[q, e] = values[e]
            if asynchronous:
                end_step_of_copies()
            if owns and k >= begin:
                multiply_fragments(sums, a_own, b_own, a_tile, b_tile, stage, warp_row, warp_column, 0, lane)
                if fragments_deep > 1:  # not in a loop, so that one's elements are read while another's are multiplied
                    multiply_fragments(sums, a_own, b_own, a_tile, b_tile, stage, warp_row, warp_column, 1, lane)
            if following < end and not asynchronous:
                for q in range(a_count):
                    if a_exact or a_fixed + q * a_distance < rows_tile:
                        values = a_next[q, 0], a_next[q, 1], a_next[q, 2], a_next[q, 3]
                        fill(a_tile, target, a_line + q * a_lines, a_word + q * a_step, values)
                for q in range(b_count):
                    if b_exact or b_fixed + q * b_distance < columns_tile:
                        values = b_next[q, 0], b_next[q, 1], b_next[q, 2], b_next[q, 3]
                        fill(b_tile, target, b_line + q * b_lines, b_word + q * b_step, values)
            k += depth_tile
            stage = stage + 1 if stage < ahead else 0
            target = target + 1 if target < ahead else 0

        first_row += warp_row + (lane >> 2)
        first_column += group * columns + warp_column + ((lane & 3) << 1)
        end = (group + 1) * columns
        for i in range(row_fragments):
            for j in range(column_fragments):
                row, column = first_row + 16 * i, first_column + 8 * j
                at = part * part_size + row * stride + column
                above, below = (sums[i, j, 0], sums[i, j, 1]), (sums[i, j, 2], sums[i, j, 3])
                store_pair(c, at, column, row < rows, end, above, accumulate, bias, other, ends)
                store_pair(c, at + 8 * stride, column, row + 8 < rows, end, below, accumulate, bias, other, ends)

    return product
