"""Random numbers and dropout, drawn by counter: see ``scalar/philox.py``.

Element j of row i of an output is number ``(first + i) * row size + j`` of the sequence (seed, stream, step): a chunk
of rows that starts at row ``first`` of its batch draws what the whole batch would.
"""

import numpy as np

from ..scalar import philox
from .runtime.jit import inlined, kernel, kernel_attributes, scalar

# ten rounds are more than the compiler inlines by itself, and a loop with a call in it does not vectorise
_philox_round = inlined(philox.philox_round)
_next_key = inlined(philox.next_key)
_philox4x32 = inlined(philox.philox4x32)
_random_block = inlined(philox.random_block)
_unit_float32 = scalar(philox.unit_float32)
_unit_float64 = scalar(philox.unit_float64)
_box_muller = scalar(philox.box_muller)
_inverse_error_function = scalar(philox.inverse_error_function)
_truncated_normal_of = scalar(philox.truncated_normal)


@scalar
def _first_element(out, first):
    return first * (out.size // out.shape[0]) if out.size else 0


@inlined
def _words_of(seed, stream, step, block, half):
    return _random_block(np.uint64(seed), np.uint64(stream), np.uint64(step), np.uint64(block), np.uint64(half))


@scalar
def _uniform_block(out, seed, stream, step, block):
    """Four uniform numbers in [0, 1) of out's type, from 24 bits each, or 53 for float64."""
    real = out.dtype.type
    words = _words_of(seed, stream, step, block, 0)
    if out.itemsize == 4:
        return (
            real(_unit_float32(words[0])),
            real(_unit_float32(words[1])),
            real(_unit_float32(words[2])),
            real(_unit_float32(words[3])),
        )
    more = _words_of(seed, stream, step, block, 1)
    return (
        real(_unit_float64(words[0], more[0])),
        real(_unit_float64(words[1], more[1])),
        real(_unit_float64(words[2], more[2])),
        real(_unit_float64(words[3], more[3])),
    )


@scalar
def _store_block(out, position, values):
    """out[position : position + 4] = values, where that lies in out"""
    for k in range(4):
        if 0 <= position + k < out.size:
            out[position + k] = values[k]


@kernel
def uniform(out, low, high, seed, stream, step, first):
    """Uniform numbers in [low, high).  out: (n, ...)"""
    kernel_attributes()
    start = _first_element(out, first)
    out = out.reshape(-1)
    base, width = out.dtype.type(low), out.dtype.type(high - low)
    for block in range(start // 4, (start + out.size + 3) // 4):
        u0, u1, u2, u3 = _uniform_block(out, seed, stream, step, block)
        values = (base + width * u0, base + width * u1, base + width * u2, base + width * u3)
        _store_block(out, 4 * block - start, values)


@kernel
def normal(out, mean, stddev, seed, stream, step, first):
    """Normal numbers, two from two uniform ones.  out: (n, ...)"""
    kernel_attributes()
    start = _first_element(out, first)
    out = out.reshape(-1)
    centre, scale = out.dtype.type(mean), out.dtype.type(stddev)
    for block in range(start // 4, (start + out.size + 3) // 4):
        u0, u1, u2, u3 = _uniform_block(out, seed, stream, step, block)
        z0, z1 = _box_muller(u0, u1)
        z2, z3 = _box_muller(u2, u3)
        values = (centre + scale * z0, centre + scale * z1, centre + scale * z2, centre + scale * z3)
        _store_block(out, 4 * block - start, values)


@kernel
def truncated_normal(out, mean, stddev, seed, stream, step, first):
    """Normal numbers cut to within two ``stddev`` of ``mean``.  out: (n, ...)"""
    kernel_attributes()
    start = _first_element(out, first)
    out = out.reshape(-1)
    centre, scale = out.dtype.type(mean), out.dtype.type(stddev)
    for block in range(start // 4, (start + out.size + 3) // 4):
        u0, u1, u2, u3 = _uniform_block(out, seed, stream, step, block)
        z0, z1, z2, z3 = (
            _truncated_normal_of(u0),
            _truncated_normal_of(u1),
            _truncated_normal_of(u2),
            _truncated_normal_of(u3),
        )
        values = (centre + scale * z0, centre + scale * z1, centre + scale * z2, centre + scale * z3)
        _store_block(out, 4 * block - start, values)


@kernel
def random_permutation(out, seed, stream, step):
    """A random order of 0 to n - 1: Fisher and Yates's shuffle, inside out (Durstenfeld 1964).  out: int64 (n,)

    Element i is drawn from 32 bits, so that its i + 1 places differ in probability by at most (i + 1) / 2^32.
    """
    kernel_attributes()
    whole = out.size - out.size % 4
    for first in range(0, whole, 4):
        words = _words_of(seed, stream, step, first // 4, 0)
        for k in range(4):
            out[first + k] = words[k]
    _store_block(out, whole, _words_of(seed, stream, step, whole // 4, 0))
    for i in range(out.size):
        # the word of an element waits in its place
        j = (out[i] * (i + 1)) >> 32
        out[i] = out[j]
        out[j] = i


@kernel
def dropout_forward(x, y, mask, rate, seed, stream, step, first):
    """y = x / (1 - rate) where mask, else 0; mask is 0 with probability ``rate``.

    x, y: (n, ...), y may be x's memory; mask: uint8 (n, ...); rate in [0, 1].
    """
    kernel_attributes()
    start = _first_element(mask, first)
    x = x.reshape(-1)
    y = y.reshape(-1)
    mask = mask.reshape(-1)
    # kept: a word of 32 bits that is at least this; 2^32 keeps none
    threshold = np.uint64(rate * 4294967296.0)

    # whole blocks in one loop that vectorises, then the blocks that reach over either end
    head = min(-start % 4, mask.size)
    blocks = (mask.size - head) // 4
    whole = mask[head : head + 4 * blocks].view(np.uint32)
    first_whole = (start + head) // 4
    for b in range(blocks):
        w0, w1, w2, w3 = _words_of(seed, stream, step, first_whole + b, 0)
        # four bytes of mask as one word, first element lowest
        low = np.uint32(w0 >= threshold) | np.uint32(w1 >= threshold) << np.uint32(8)
        high = np.uint32(w2 >= threshold) | np.uint32(w3 >= threshold) << np.uint32(8)
        whole[b] = low | high << np.uint32(16)
    for block in (start // 4, (start + mask.size) // 4):
        w0, w1, w2, w3 = _words_of(seed, stream, step, block, 0)
        _store_block(mask, 4 * block - start, (w0 >= threshold, w1 >= threshold, w2 >= threshold, w3 >= threshold))

    zero = y.dtype.type(0)
    scale = y.dtype.type(1.0 / (1.0 - rate) if rate < 1.0 else 0.0)
    for i in range(y.size):
        y[i] = x[i] * scale if mask[i] else zero


@kernel
def dropout_backward(dy, mask, dx, rate, accumulate):
    """dx = dy / (1 - rate) where mask, else 0.  dy, dx: (n, ...), dx may be dy's memory; mask: uint8 (n, ...)"""
    kernel_attributes()
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    mask = mask.reshape(-1)
    zero = dx.dtype.type(0)
    scale = dx.dtype.type(1.0 / (1.0 - rate) if rate < 1.0 else 0.0)
    for i in range(dx.size):
        gradient = dy[i] * scale if mask[i] else zero
        dx[i] = dx[i] + gradient if accumulate else gradient
