"""Which quads of an operand's tile each thread of a block brings into shared memory, and how it reads them.

A thread brings ``count`` quads in each step, all at one k and ``distance`` apart in what is ``fixed``, so that it works
out once a step what their k adds to where they lie, and once for all what else does.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from ..scalar import real
from ._api import ceil_div, function
from ._operands import Operand
from .ptx import copy_async, load_quad, worked_out


class Quads(NamedTuple):
    """A thread's share of a tile.

    own(thread) -> fixed and k of its first quad
    locate(places, shape, group, first, end) -> nothing; places: (count, 3) of ``place_type``, see ``_operands``
    fetch(values, array, shape, places, fixed, k, end) -> nothing; values: (count, 4)
    put(tile, at, values, fixed) -> nothing: the first lies at tile[at], in a tile whose lines are those of the array
    put_across(tile, stage, values, fixed, k) -> nothing; tile: (stages, k, fixed)
    copy(tile, at, array, shape, places, fixed, k, end) -> nothing: on their way to where ``put`` would put them
    """

    count: int
    place_type: type
    own: Callable
    locate: Callable
    fetch: Callable
    put: Callable
    put_across: Callable
    copy: Callable


@cache  # so that kernels share functions, each of which is compiled but once
def quads(operand: Operand, whole: bool, fixed: int, depth: int, threads: int) -> Quads:
    """Shares of tiles of ``fixed`` by ``depth``; whole: whether quads are, in memory."""
    along = operand.along_depth
    lanes = depth // 4 if along else threads // depth  # threads that share a line of the tile
    distance = threads // lanes if along else 4 * lanes
    count = ceil_div(fixed, distance)
    exact = count * distance == fixed
    step = distance * depth if along else distance
    place, position_of, find = operand.place, operand.position, operand.find
    place_any, load = operand.locate, operand.load

    @function
    def own(thread):
        if along:
            return thread // lanes, thread % lanes * 4
        return thread % lanes * 4, thread // lanes

    @function
    def locate_whole(places, shape, group, first, end):
        for q in range(count):
            found = place(shape, group, np.int32(first + q * distance), end)
            for e in range(3):
                places[q, e] = worked_out(found[e])

    @function
    def locate_any(places, shape, group, first, end):
        for q in range(count):
            places[q, 0], places[q, 1], places[q, 2] = place_any(shape, group, first + q * distance, end)

    @function
    def inside_tile(own_fixed, q):
        return exact or own_fixed + q * distance < fixed

    @function
    def fetch_whole(values, array, shape, places, own_fixed, k, end):
        position = position_of(shape, k, end)
        for q in range(count):
            if inside_tile(own_fixed, q):
                at, inside = find(shape, (places[q, 0], places[q, 1], places[q, 2]), position)
                found = load_quad(array, at) if inside else (real(0), real(0), real(0), real(0))
                for e in range(4):
                    values[q, e] = found[e]

    @function
    def fetch_any(values, array, shape, places, own_fixed, k, end):
        for q in range(count):
            if inside_tile(own_fixed, q):
                found = load(array, shape, (places[q, 0], places[q, 1], places[q, 2]), k, end)
                for e in range(4):
                    values[q, e] = found[e]

    @function
    def put(tile, at, values, own_fixed):
        for q in range(count):
            if inside_tile(own_fixed, q):
                for e in range(4):
                    tile[at + q * step + e] = values[q, e]

    @function
    def put_across(tile, stage, values, own_fixed, own_k):
        for q in range(count):
            if inside_tile(own_fixed, q):
                for e in range(4):
                    if along:
                        tile[stage, own_k + e, own_fixed + q * distance] = values[q, e]
                    else:
                        tile[stage, own_k, own_fixed + q * distance + e] = values[q, e]

    @function
    def copy(tile, at, array, shape, places, own_fixed, k, end):
        position = position_of(shape, k, end)
        for q in range(count):
            if inside_tile(own_fixed, q):
                source, inside = find(shape, (places[q, 0], places[q, 1], places[q, 2]), position)
                copy_async(tile, at + q * step, array, source, inside)

    place_type, locate, fetch = (
        (np.int32, locate_whole, fetch_whole) if whole else (np.int64, locate_any, fetch_any)
    )  # fmt: skip
    return Quads(count, place_type, own, locate, fetch, put, put_across, copy)
