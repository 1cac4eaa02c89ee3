"""Random numbers and dropout, drawn by counter: see ``scalar/philox.py``.

Element j of row i of an output is number ``(first + i) * row size + j`` of the sequence (seed, stream, step), as on
the CPU: the same uniform numbers and masks to the last bit.
"""

import numpy as np

from ..scalar import real
from ..scalar.philox import (
    box_muller,
    random_block,
    unit_float32,
    unit_float64,
)
from ..scalar.philox import (
    truncated_normal as truncated_normal_of,
)
from ._api import ceil_div, cuda, function, kernel, launch, over, workspace


@function
def _words_of(seed, stream, step, block, half):
    return random_block(np.uint64(seed), np.uint64(stream), np.uint64(step), np.uint64(block), np.uint64(half))


@function
def _uniform_float32(seed, stream, step, block):
    """Four uniform numbers in [0, 1), from 24 bits each."""
    words = _words_of(seed, stream, step, block, 0)
    return unit_float32(words[0]), unit_float32(words[1]), unit_float32(words[2]), unit_float32(words[3])


@function
def _uniform_float64(seed, stream, step, block):
    """Four uniform numbers in [0, 1), from 53 bits each."""
    words = _words_of(seed, stream, step, block, 0)
    more = _words_of(seed, stream, step, block, 1)
    return (
        unit_float64(words[0], more[0]),
        unit_float64(words[1], more[1]),
        unit_float64(words[2], more[2]),
        unit_float64(words[3], more[3]),
    )


@function
def _store_block(out, position, values):
    """out[position : position + 4] = values, where that lies in out"""
    for k in range(4):
        if 0 <= position + k < out.size:
            out[position + k] = values[k]


def _uniform_kernel(draw):
    @kernel
    def _uniform(out, low, high, seed, stream, step, start, blocks):
        base, width = real(low[0]), real(high[0] - low[0])
        for block in range(start // 4 + cuda.grid(1), start // 4 + blocks, cuda.gridsize(1)):
            u0, u1, u2, u3 = draw(seed[0], stream, step[0], block)
            values = (
                cuda.fma(width, u0, base),
                cuda.fma(width, u1, base),
                cuda.fma(width, u2, base),
                cuda.fma(width, u3, base),
            )
            _store_block(out, 4 * block - start, values)

    return _uniform


def _normal_kernel(draw):
    @kernel
    def _normal(out, mean, stddev, seed, stream, step, start, blocks):
        centre, scale = real(mean[0]), real(stddev[0])
        for block in range(start // 4 + cuda.grid(1), start // 4 + blocks, cuda.gridsize(1)):
            u0, u1, u2, u3 = draw(seed[0], stream, step[0], block)
            z0, z1 = box_muller(u0, u1)
            z2, z3 = box_muller(u2, u3)
            values = centre + scale * z0, centre + scale * z1, centre + scale * z2, centre + scale * z3
            _store_block(out, 4 * block - start, values)

    return _normal


def _truncated_normal_kernel(draw):
    @kernel
    def _truncated_normal(out, mean, stddev, seed, stream, step, start, blocks):
        centre, scale = real(mean[0]), real(stddev[0])
        for block in range(start // 4 + cuda.grid(1), start // 4 + blocks, cuda.gridsize(1)):
            u0, u1, u2, u3 = draw(seed[0], stream, step[0], block)
            values = (
                centre + scale * truncated_normal_of(u0),
                centre + scale * truncated_normal_of(u1),
                centre + scale * truncated_normal_of(u2),
                centre + scale * truncated_normal_of(u3),
            )
            _store_block(out, 4 * block - start, values)

    return _truncated_normal


def _of_both_types(make) -> dict:
    return {"float32": make(_uniform_float32), "float64": make(_uniform_float64)}


_UNIFORM, _NORMAL = _of_both_types(_uniform_kernel), _of_both_types(_normal_kernel)
_TRUNCATED_NORMAL = _of_both_types(_truncated_normal_kernel)


def _launch_blocks(kernel, array, arguments, first) -> None:
    """Launch a kernel over the blocks of four numbers that ``array`` needs, whose first row is row ``first``."""
    start = first * (array.size // array.shape[0]) if array.size else 0
    blocks = ceil_div(start + array.size, 4) - start // 4
    launch(kernel, *over(blocks), *arguments, start, blocks)


def uniform(out, low, high, seed, stream, step, first):
    """Uniform numbers in [low, high).  out: (n, ...)"""
    _launch_blocks(_UNIFORM[out.dtype.name], out, (out.reshape(-1), low, high, seed, stream, step), first)


def normal(out, mean, stddev, seed, stream, step, first):
    """Normal numbers, two from two uniform ones.  out: (n, ...)"""
    _launch_blocks(_NORMAL[out.dtype.name], out, (out.reshape(-1), mean, stddev, seed, stream, step), first)


def truncated_normal(out, mean, stddev, seed, stream, step, first):
    """Normal numbers cut to within two ``stddev`` of ``mean``.  out: (n, ...)"""
    _launch_blocks(_TRUNCATED_NORMAL[out.dtype.name], out, (out.reshape(-1), mean, stddev, seed, stream, step), first)


# rows of the workspace of a permutation: where each number is put, and for each place a list of those that are put
# there, in no order: the latest, the one before it, and so on until -1
PLACE, LATEST, BEFORE = 0, 1, 2


@kernel
def _forget_places(lists):
    for i in range(cuda.grid(1), lists.shape[1], cuda.gridsize(1)):
        lists[LATEST, i] = -1


@kernel
def _draw_places(lists, seed, stream, step):
    size = lists.shape[1]
    for block in range(cuda.grid(1), (size + 3) // 4, cuda.gridsize(1)):
        words = _words_of(seed[0], stream, step[0], block, 0)
        for k in range(4):
            i = 4 * block + k
            if i < size:
                place = np.int64(words[k] * np.uint64(i + 1) >> np.uint64(32))
                lists[PLACE, i] = place
                lists[BEFORE, i] = cuda.atomic.exch(lists, (LATEST, place), i)


@function
def _next_at(place, after, lists):
    """The first number beyond ``after`` that is put at ``place``; -1 if there is none."""
    found = np.int64(-1)
    i = lists[LATEST, place]
    while i >= 0:
        if i > after and (found < 0 or i < found):
            found = i
        i = lists[BEFORE, i]
    return found


@kernel
def _follow(out, lists):
    """A number stays where it is put until another one is put there; then it moves to that one's own place."""
    for number in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        place = lists[PLACE, number]
        following = _next_at(place, number, lists)
        while following >= 0:
            place = following
            following = _next_at(place, place, lists)
        out[place] = number


def random_permutation(out, seed, stream, step):
    """A random order of 0 to n - 1: Fisher and Yates's shuffle, inside out (Durstenfeld 1964).  out: int64 (n,)

    The shuffle puts numbers one after the other.  Here every thread follows one of them to its last place, by way of
    the about log(n) others that move it: the same order as on the CPU.
    """
    n = out.size
    space = workspace(3 * n, np.int64).reshape(3, n)
    launch(_forget_places, *over(n), space)
    launch(_draw_places, *over(ceil_div(n, 4)), space, seed, stream, step)
    launch(_follow, *over(n), out, space)


@kernel
def _dropout_forward(x, y, mask, rate, seed, stream, step, start, blocks):
    # kept: a word of 32 bits that is at least this; 2^32 keeps none
    threshold = np.uint64(rate[0] * 4294967296.0)
    scale = real(1.0 / (1.0 - rate[0]) if rate[0] < 1.0 else 0.0)
    zero = real(0)
    for block in range(start // 4 + cuda.grid(1), start // 4 + blocks, cuda.gridsize(1)):
        words = _words_of(seed[0], stream, step[0], block, 0)
        for k in range(4):
            i = 4 * block - start + k
            if 0 <= i < mask.size:
                kept = words[k] >= threshold
                mask[i] = kept
                y[i] = x[i] * scale if kept else zero


def dropout_forward(x, y, mask, rate, seed, stream, step, first):
    """y = x / (1 - rate) where mask, else 0; mask is 0 with probability ``rate``.

    x, y: (n, ...), y may be x's memory; mask: uint8 (n, ...); rate in [0, 1].
    """
    arguments = x.reshape(-1), y.reshape(-1), mask.reshape(-1), rate, seed, stream, step
    _launch_blocks(_dropout_forward, mask, arguments, first)


@kernel
def _dropout_backward(dy, mask, dx, rate, accumulate):
    zero = real(0)
    scale = real(1.0 / (1.0 - rate[0]) if rate[0] < 1.0 else 0.0)
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        gradient = dy[i] * scale if mask[i] else zero
        dx[i] = dx[i] + gradient if accumulate else gradient


def dropout_backward(dy, mask, dx, rate, accumulate):
    """dx = dy / (1 - rate) where mask, else 0.  dy, dx: (n, ...), dx may be dy's memory; mask: uint8 (n, ...)"""
    launch(_dropout_backward, *over(dx.size), dy.reshape(-1), mask.reshape(-1), dx.reshape(-1), rate, accumulate)
