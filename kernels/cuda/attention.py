"""Attention in one pass over keys, with an online softmax: no scores are kept (Milakov and Gimelshein 2018).

query: (n, queries, heads, size), key: (n, keys, key_heads, size), value: (n, keys, key_heads, width), where heads is a
multiple of key_heads: neighbouring heads share keys and values.  A block has some rows of one head, each thread one of
the columns that pass by: queries are rows and keys columns, but in the gradients of keys and values.
"""

import math

import numpy as np

from ..scalar import real
from ._api import ceil_div, cuda, function, kernel, launch, over, workspace
from ._blocks import block_max, block_sum
from .random import _words_of

_ROWS = 8  # of a block
_COLUMNS = 64  # threads of a block: two warps


@function
def _dot(a, a_first, b, b_first, size):
    total = real(0)
    for d in range(size):
        total += a[a_first + d] * b[b_first + d]
    return total


@function
def _place(strides, b, h, i, j):
    return b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]


@function
def _kept(rate, seed, stream, step, number):
    """What a probability is multiplied by in dropout; number: of the element among all of them."""
    if rate[0] == 0:
        return real(1)
    words = _words_of(seed[0], stream, step[0], number // 4, 0)
    kept = words[number % 4] >= np.uint64(rate[0] * 4294967296.0)
    return real(1.0 / (1.0 - rate[0])) if kept else real(0)


@function
def _is_seen(mask, mask_strides, causal, b, h, i, j, queries, keys):
    if i >= queries or j >= keys or (causal and j > i):
        return False
    return mask[_place(mask_strides, b, h, i, j)] != 0


@kernel
def _forward(
    query, key, value, mask, bias, y, log_sums, sizes, mask_strides, bias_strides, scale, causal, mean, rate, seed,
    stream, step, first,
):  # fmt: skip
    heads, key_heads, queries, keys, size, width = sizes
    scores = cuda.shared.array((_ROWS, _COLUMNS), real)
    most, total, factor = cuda.local.array(_ROWS, real), cuda.local.array(_ROWS, real), cuda.local.array(_ROWS, real)
    blocks, thread = (queries + _ROWS - 1) // _ROWS, cuda.threadIdx.x
    b, h, start = (
        cuda.blockIdx.x // (heads * blocks),
        cuda.blockIdx.x // blocks % heads,
        cuda.blockIdx.x % blocks * _ROWS,
    )
    shared = h * key_heads // heads
    for r in range(_ROWS):
        most[r], total[r] = real(-np.inf), real(0)
    for j0 in range(0, keys, _COLUMNS):
        j = j0 + thread
        for r in range(_ROWS):
            i = start + r
            score = real(-np.inf)
            if _is_seen(mask, mask_strides, causal, b, h, i, j, queries, keys):
                q = ((b * queries + i) * heads + h) * size
                k = ((b * keys + j) * key_heads + shared) * size
                score = _dot(query, q, key, k, size) * real(scale[0]) + bias[_place(bias_strides, b, h, i, j)]
            largest = block_max(score)
            largest = largest if largest > most[r] else most[r]
            factor[r] = real(math.exp(most[r] - largest)) if most[r] > real(-np.inf) else real(0)
            p = real(math.exp(score - largest)) if score > real(-np.inf) else real(0)
            total[r] = total[r] * factor[r] + block_sum(p)
            most[r] = largest
            number = (((first + b) * heads + h) * queries + i) * keys + j
            scores[r, thread] = p * _kept(rate, seed, stream, step, number)
        cuda.syncthreads()
        for d in range(thread, width, _COLUMNS):
            for r in range(_ROWS):
                if start + r < queries:
                    at = ((b * queries + start + r) * heads + h) * width + d
                    found = y[at] * factor[r] if j0 > 0 else real(0)
                    for c in range(min(_COLUMNS, keys - j0)):
                        found += scores[r, c] * value[((b * keys + j0 + c) * key_heads + shared) * width + d]
                    y[at] = found
        cuda.syncthreads()
    for r in range(_ROWS):
        i = start + r
        if i < queries:
            for d in range(thread, width, _COLUMNS):
                at = ((b * queries + i) * heads + h) * width + d
                if total[r] > 0 or total[r] != total[r]:
                    y[at] /= total[r]
                else:
                    found = real(0)
                    for j in range(keys if mean else 0):
                        found += value[((b * keys + j) * key_heads + shared) * width + d]
                    y[at] = found / real(keys)
            if thread == 0:
                log_sum = most[r] + real(math.log(total[r])) if total[r] != 0 else real(np.inf)
                log_sums[(b * heads + h) * queries + i] = log_sum


def _sizes(query, value):
    """heads, key heads, queries, keys, size, width"""
    _, queries, heads, size = query.shape
    _, keys, key_heads, width = value.shape
    return heads, key_heads, queries, keys, size, width


def attention_forward(
    query, key, value, mask, bias, y, log_sums, mask_strides, bias_strides, scale, causal, mean, rate, seed, stream,
    step, first,
):  # fmt: skip
    """y = dropout(softmax(scale query key^T + bias)) value over the keys that a query may see.

    Where that is none, y is the mean of all values, or without ``mean`` zero.
    y: (n, queries, heads, width); log_sums: (n, heads, queries), the logarithms of the sums of exp, inf for none.
    causal: whether query i sees keys up to i only; rate: of the dropout, in [0, 1).
    """
    sizes = _sizes(query, value)
    blocks = query.shape[0] * sizes[0] * ceil_div(sizes[2], _ROWS)
    arrays = [array.reshape(-1) for array in (query, key, value, mask, bias, y, log_sums)]
    launch(
        _forward, blocks, _COLUMNS, *arrays, sizes, mask_strides, bias_strides, scale, causal, mean, rate, seed, stream,
        step, first,
    )  # fmt: skip


@kernel
def _deltas(y, dy, deltas, heads, queries, width):
    """The sum over keys of a probability times its gradient, for each query."""
    for row in range(cuda.grid(1), deltas.size, cuda.gridsize(1)):
        b, h, i = row // (heads * queries), row // queries % heads, row % queries
        at = ((b * queries + i) * heads + h) * width
        deltas[row] = _dot(dy, at, y, at, width)


@kernel
def _backward_queries(
    query, key, value, mask, bias, log_sums, dy, deltas, dquery, sizes, mask_strides, bias_strides, scale, causal, rate,
    seed, stream, step, first,
):  # fmt: skip
    heads, key_heads, queries, keys, size, width = sizes
    gradients = cuda.shared.array((_ROWS, _COLUMNS), real)
    blocks, thread = (queries + _ROWS - 1) // _ROWS, cuda.threadIdx.x
    b, h, start = (
        cuda.blockIdx.x // (heads * blocks),
        cuda.blockIdx.x // blocks % heads,
        cuda.blockIdx.x % blocks * _ROWS,
    )
    shared = h * key_heads // heads
    for j0 in range(0, keys, _COLUMNS):
        j = j0 + thread
        for r in range(_ROWS):
            i = start + r
            gradient = real(0)
            if _is_seen(mask, mask_strides, causal, b, h, i, j, queries, keys):
                q, row = (b * queries + i) * heads + h, (b * heads + h) * queries + i
                k = (b * keys + j) * key_heads + shared
                score = _dot(query, q * size, key, k * size, size) * real(scale[0])
                score += bias[_place(bias_strides, b, h, i, j)]
                p = real(math.exp(score - log_sums[row]))
                number = (((first + b) * heads + h) * queries + i) * keys + j
                dp = _kept(rate, seed, stream, step, number) * _dot(dy, q * width, value, k * width, width)
                gradient = p * (dp - deltas[row]) * real(scale[0])
            gradients[r, thread] = gradient
        cuda.syncthreads()
        for d in range(thread, size, _COLUMNS):
            for r in range(_ROWS):
                if start + r < queries:
                    at = ((b * queries + start + r) * heads + h) * size + d
                    found = dquery[at] if j0 > 0 else real(0)
                    for c in range(min(_COLUMNS, keys - j0)):
                        found += gradients[r, c] * key[((b * keys + j0 + c) * key_heads + shared) * size + d]
                    dquery[at] = found
        cuda.syncthreads()


@kernel
def _backward_keys(
    query, key, value, mask, bias, log_sums, dy, deltas, dkey, dvalue, sizes, mask_strides, bias_strides, scale, causal,
    mean, rate, seed, stream, step, first,
):  # fmt: skip
    heads, key_heads, queries, keys, size, width = sizes
    gradients = cuda.shared.array((_ROWS, _COLUMNS), real)
    probabilities = cuda.shared.array((_ROWS, _COLUMNS), real)
    blocks, thread = (keys + _ROWS - 1) // _ROWS, cuda.threadIdx.x
    b, shared, start = (
        cuda.blockIdx.x // (key_heads * blocks),
        cuda.blockIdx.x // blocks % key_heads,
        cuda.blockIdx.x % blocks * _ROWS,
    )
    group = heads // key_heads
    for h in range(shared * group, (shared + 1) * group):
        for i0 in range(0, queries, _COLUMNS):
            i = i0 + thread
            for r in range(_ROWS):
                j = start + r
                gradient, kept = real(0), real(0)
                q, row = (b * queries + i) * heads + h, (b * heads + h) * queries + i
                k = (b * keys + j) * key_heads + shared
                if i < queries and j < keys and log_sums[row] == real(np.inf):
                    kept = real(1) / real(keys) if mean else real(0)
                elif _is_seen(mask, mask_strides, causal, b, h, i, j, queries, keys):
                    score = _dot(query, q * size, key, k * size, size) * real(scale[0])
                    score += bias[_place(bias_strides, b, h, i, j)]
                    p = real(math.exp(score - log_sums[row]))
                    number = (((first + b) * heads + h) * queries + i) * keys + j
                    kept = _kept(rate, seed, stream, step, number)
                    dp = kept * _dot(dy, q * width, value, k * width, width)
                    gradient = p * (dp - deltas[row]) * real(scale[0])
                    kept *= p
                gradients[r, thread] = gradient
                probabilities[r, thread] = kept
            cuda.syncthreads()
            more = h > shared * group or i0 > 0
            for r in range(_ROWS):
                if start + r < keys:
                    k = (b * keys + start + r) * key_heads + shared
                    for d in range(thread, size, _COLUMNS):
                        found = dkey[k * size + d] if more else real(0)
                        for c in range(min(_COLUMNS, queries - i0)):
                            found += gradients[r, c] * query[((b * queries + i0 + c) * heads + h) * size + d]
                        dkey[k * size + d] = found
                    for d in range(thread, width, _COLUMNS):
                        found = dvalue[k * width + d] if more else real(0)
                        for c in range(min(_COLUMNS, queries - i0)):
                            found += probabilities[r, c] * dy[((b * queries + i0 + c) * heads + h) * width + d]
                        dvalue[k * width + d] = found
            cuda.syncthreads()


def attention_backward(
    query, key, value, mask, bias, y, log_sums, dy, dquery, dkey, dvalue, mask_strides, bias_strides, scale, causal,
    mean, rate, seed, stream, step, first,
):  # fmt: skip
    """The gradients of what ``attention_forward`` computed, from y and log_sums as it left them; dy: like y."""
    sizes = heads, key_heads, queries, keys, _, width = _sizes(query, value)
    n = query.shape[0]
    deltas = workspace(n * heads * queries, y.dtype)
    flat_dy = dy.reshape(-1)
    launch(_deltas, *over(n * heads * queries), y.reshape(-1), flat_dy, deltas, heads, queries, width)
    given = [array.reshape(-1) for array in (query, key, value, mask, bias, log_sums, dy)]
    launch(
        _backward_queries, n * heads * ceil_div(queries, _ROWS), _COLUMNS, *given, deltas, dquery.reshape(-1), sizes,
        mask_strides, bias_strides, scale, causal, rate, seed, stream, step, first,
    )  # fmt: skip
    launch(
        _backward_keys, n * key_heads * ceil_div(keys, _ROWS), _COLUMNS, *given, deltas, dkey.reshape(-1),
        dvalue.reshape(-1), sizes, mask_strides, bias_strides, scale, causal, mean, rate, seed, stream, step, first,
    )  # fmt: skip
