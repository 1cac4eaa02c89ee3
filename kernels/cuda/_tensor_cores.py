"""Matrix products on tensor cores: operands in TF32 or bfloat16, sums in float32.

A block works out one tile of c, a warp a part of it, in fragments of (16, 8) as the instruction multiplies them (see
``ptx``).  While a step's fragments are multiplied, the next steps' elements are on their way, in float32: straight into
shared memory, two steps ahead, if quads are whole, else by way of registers.  How they lie there, and where they are
rounded, ``_fragments`` says.

Places are integers of 32 bits: those of 64 take twice as many instructions, and more than there are products.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from ..scalar import real
from ._api import WARP, cuda, function, kernel
from ._fragments import DEPTH, layout
from ._operands import Operand
from ._quads import quads
from ._stores import store, store_four, store_two
from ._strides import Classes
from .ptx import await_copies_but_one_step, end_step_of_copies, multiply_bf16, multiply_tf32, worked_out


class Tile(NamedTuple):
    """A block's share of c, and a warp's share of that."""

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    depth: int = DEPTH  # of a step

    @property
    def threads(self) -> int:
        return WARP * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)


LARGE = Tile(128, 128, 64, 64)
TALL = Tile(128, 64, 64, 32)
MEDIUM = Tile(64, 64, 32, 32)
SMALL = Tile(32, 32, 16, 16)
NARROW = Tile(128, 32, 32, 32)
NARROWEST = Tile(128, 16, 32, 16)


@cache
def _multiplier(kind: str, row_fragments: int, column_fragments: int):
    """The function that adds the products of a warp's fragments of a and b to its sums."""
    multiply = multiply_tf32 if kind == "tf32" else multiply_bf16

    @function
    def multiply_fragments(sums, a_own, b_own):
        for i in range(row_fragments):
            a_fragment = a_own[2 * i, 0], a_own[2 * i + 1, 0], a_own[2 * i, 1], a_own[2 * i + 1, 1]
            for j in range(column_fragments):
                before = sums[i, j, 0], sums[i, j, 1], sums[i, j, 2], sums[i, j, 3]
                after = multiply(before, a_fragment, (b_own[j, 0], b_own[j, 1]))
                for e in range(4):
                    sums[i, j, e] = after[e]

    return multiply_fragments


@cache
def product_kernel(
    a_operand: Operand, b_operand: Operand, classes: Classes, tile: Tile, kind: str, whole: bool, aligned: bool,
    accumulate: bool, ends,
):  # fmt: skip
    """The kernel of ``_products.product`` for numbers of ``kind``, "tf32" or "bf16".

    whole: whether quads are; aligned: whether those of c and of what is added to it are.
    """
    threads = tile.threads
    rows_tile, columns_tile, warp_rows, warp_columns, _ = tile
    a_size, place_a, own_a, read_a, a_run = layout(kind, a_operand.along_depth, rows_tile, warp_rows)
    b_size, place_b, own_b, read_b, b_run = layout(kind, b_operand.along_depth, columns_tile, warp_columns)
    a_quads = quads(a_operand, whole, rows_tile, DEPTH, threads)
    b_quads = quads(b_operand, whole, columns_tile, DEPTH, threads)
    a_count, place_type, a_quad, locate_a, fetch_a, put_a, _, copy_a = a_quads
    b_count, _, b_quad, locate_b, fetch_b, put_b, _, copy_b = b_quads
    ahead = 2 if whole else 1
    a_buffers, b_buffers = (ahead + 1) * a_size, (ahead + 1) * b_size
    warps_across = columns_tile // warp_columns
    row_slots, row_fragments, column_fragments = warp_rows // 8, warp_rows // 16, warp_columns // 8
    count_of, class_of, depth_of, pixel_of, row_of = classes
    in_tf32, multiply_fragments = kind == "tf32", _multiplier(kind, row_fragments, column_fragments)

    @kernel
    def product(a, b, c, a_all, b_all, rows, columns, depth, stride, groups, part_depth, part_size, bias, other):
        a_tile = cuda.shared.array(a_buffers, real, 16)
        b_tile = cuda.shared.array(b_buffers, real, 16)
        a_places = cuda.local.array((a_count, 3), place_type)
        b_places = cuda.local.array((b_count, 3), place_type)
        a_next = cuda.local.array((a_count, 4), real)
        b_next = cuda.local.array((b_count, 4), real)
        a_own = cuda.local.array((row_slots, 2), np.uint32)
        b_own = cuda.local.array((column_fragments, 2), np.uint32)
        sums = cuda.local.array((row_fragments, column_fragments, 4), real)
        thread = cuda.threadIdx.x
        lane = thread & 31
        warp = thread >> 5
        group = cuda.blockIdx.z % groups
        part = cuda.blockIdx.z // groups // count_of(a_all)
        a_shape, b_shape = class_of(a_all, b_all, groups)
        first_row = cuda.blockIdx.x * rows_tile
        first_column = cuda.blockIdx.y * columns_tile
        warp_row = warp // warps_across * warp_rows
        warp_column = warp % warps_across * warp_columns

        # which quads of each tile this thread brings, and what of them its warp reads
        a_fixed, a_k = a_quad(thread)
        b_fixed, b_k = b_quad(thread)
        locate_a(a_places, a_shape, group, first_row + a_fixed, np.int32(rows))
        locate_b(b_places, b_shape, group, first_column + b_fixed, np.int32(columns))
        a_place, b_place = worked_out(np.int32(place_a(a_fixed, a_k))), worked_out(np.int32(place_b(b_fixed, b_k)))
        a_first, b_first = worked_out(np.int32(own_a(warp_row, lane))), worked_out(np.int32(own_b(warp_column, lane)))

        owns = first_row + warp_row < rows and first_column + warp_column < columns
        for i in range(row_fragments):
            for j in range(column_fragments):
                for e in range(4):
                    sums[i, j, e] = real(0)
        begin = np.int32(part * part_depth)
        end = np.int32(min(depth_of(a_shape, depth), begin + part_depth))
        k = np.int32(begin - ahead * DEPTH)  # the first steps multiply nothing
        stage, target = np.int32(1), np.int32(0)
        while k < end:
            if whole:
                await_copies_but_one_step()
            cuda.syncthreads()
            following = np.int32(k + ahead * DEPTH)
            a_target, b_target = np.int32(a_place + target * a_size), np.int32(b_place + target * b_size)
            if following < end:
                if whole:
                    copy_a(a_tile, a_target, a, a_shape, a_places, a_fixed, np.int32(following + a_k), end)
                    copy_b(b_tile, b_target, b, b_shape, b_places, b_fixed, np.int32(following + b_k), end)
                else:
                    fetch_a(a_next, a, a_shape, a_places, a_fixed, following + a_k, end)
                    fetch_b(b_next, b, b_shape, b_places, b_fixed, following + b_k, end)
            if whole:
                end_step_of_copies()
            if owns and k >= begin:
                a_at, b_at = np.int32(a_first + stage * a_size), np.int32(b_first + stage * b_size)
                read_a(a_own, a_tile, a_at, 0)
                read_b(b_own, b_tile, b_at, 0)
                if in_tf32:  # and not in a loop, so that one half is read while the other is multiplied
                    multiply_fragments(sums, a_own, b_own)
                read_a(a_own, a_tile, a_at, 1)
                read_b(b_own, b_tile, b_at, 1)
                multiply_fragments(sums, a_own, b_own)
            if following < end and not whole:
                put_a(a_tile, a_target, a_next, a_fixed)
                put_b(b_tile, b_target, b_next, b_fixed)
            k = np.int32(k + DEPTH)
            stage = np.int32(stage + 1 if stage < ahead else 0)
            target = np.int32(target + 1 if target < ahead else 0)

        # a lane has two columns of each slot of b, those of a run side by side
        pixel = pixel_of(a_all, groups)
        first_row += warp_row + a_run * (lane >> 2)
        first_column += group * columns + warp_column + b_run * ((lane & 3) << 1)
        last = (group + 1) * columns
        for slot in range(row_slots):
            row, there = row_of(a_all, pixel, first_row + slot // a_run * a_run * 8 + slot % a_run, rows)
            i, half = slot // 2, slot % 2 * 2
            for j in range(0, column_fragments, b_run):
                column = first_column + 8 * j
                at = part * part_size + row * stride + column
                if not aligned:
                    for v in range(2 * b_run):
                        inside = there and column + v < last
                        value = sums[i, j + v % b_run, half + v // b_run]
                        store(c, at + v, column + v, inside, value, accumulate, bias, other, ends)
                elif b_run == 1:
                    values = sums[i, j, half], sums[i, j, half + 1]
                    inside = there and column < last
                    store_two(c, at, column, inside, values, accumulate, bias, other, ends)
                else:
                    for v in range(0, 2 * b_run, 4):
                        values = (
                            sums[i, j + v % b_run, half + v // b_run],
                            sums[i, j + (v + 1) % b_run, half + (v + 1) // b_run],
                            sums[i, j + (v + 2) % b_run, half + (v + 2) // b_run],
                            sums[i, j + (v + 3) % b_run, half + (v + 3) // b_run],
                        )
                        inside = there and column + v < last
                        store_four(c, at + v, column + v, inside, values, accumulate, bias, other, ends)

    return product
