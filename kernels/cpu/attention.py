"""Attention in one pass over keys, with an online softmax: no scores are kept (Milakov and Gimelshein 2018).

query: (n, queries, heads, size), key: (n, keys, key_heads, size), value: (n, keys, key_heads, width), where heads is a
multiple of key_heads: neighbouring heads share keys and values.  Element (b, h, i, j) of mask and bias lies at
``b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]``; a stride is 0 where they repeat.

Element (b, h, i, j) of the probabilities, counted with ``first`` samples before, is the number of the random word by
which it is dropped, as ``random.dropout_forward`` would count.
"""

import functools
import math

import numpy as np

from .random import _words_of
from .runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _place(strides, b, h, i, j):
    return b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]


@scalar
def _is_kept(number, threshold, seed, stream, step):
    """Whether element ``number`` of the probabilities is not dropped."""
    return _words_of(seed, stream, step, number // 4, 0)[number % 4] >= threshold


@scalar
def _product(a, b):
    """The sum of products of two rows."""
    total = a.dtype.type(0)
    for d in range(a.size):
        total += a[d] * b[d]
    return total


@functools.partial(scalar, fastmath=False)
def _log_probability(product, scale, bias, log_sum):
    """A score less the logarithm of their sum, in this order: a compiler may not group the terms as it likes."""
    return product * scale + bias - log_sum


@kernel
def attention_forward(
    query, key, value, mask, bias, y, log_sums, mask_strides, bias_strides, scale, causal, mean, rate, seed, stream,
    step, first,
):  # fmt: skip
    """y = dropout(softmax(scale query key^T + bias)) value over the keys that a query may see.

    Where that is none, y is the mean of all values, or without ``mean`` zero.
    y: (n, queries, heads, width); log_sums: (n, heads, queries), the logarithms of the sums of exp, inf for none.
    causal: whether query i sees keys up to i only; rate: of the dropout, in [0, 1).
    """
    kernel_attributes()
    n, queries, heads, _ = query.shape
    keys, key_heads, width = value.shape[1:]
    mask = mask.reshape(-1)
    bias = bias.reshape(-1)
    real = query.dtype.type
    factor = real(1.0 / (1.0 - rate))
    threshold = np.uint64(rate * 4294967296.0)
    for b in range(n):
        for h in range(heads):
            shared = h * key_heads // heads
            for i in range(queries):
                target = y[b, i, h]
                target[:] = 0
                most, total = real(-np.inf), real(0)
                for j in range(min(i + 1, keys) if causal else keys):
                    if not mask[_place(mask_strides, b, h, i, j)]:
                        continue
                    score = _product(query[b, i, h], key[b, j, shared]) * real(scale)
                    score += bias[_place(bias_strides, b, h, i, j)]
                    if score > most:  # what is there was relative to another maximum
                        before = real(math.exp(most - score))
                        total *= before
                        for d in range(width):
                            target[d] *= before
                        most = score
                    p = real(math.exp(score - most)) if score > -np.inf else real(0)
                    total += p
                    number = (((first + b) * heads + h) * queries + i) * keys + j
                    if rate > 0:
                        p = p * factor if _is_kept(number, threshold, seed, stream, step) else real(0)
                    for d in range(width):
                        target[d] += p * value[b, j, shared, d]
                if total == 0:
                    log_sums[b, h, i] = np.inf
                    for j in range(keys if mean else 0):
                        for d in range(width):
                            target[d] += value[b, j, shared, d]
                    total = real(keys)
                else:
                    log_sums[b, h, i] = most + real(math.log(total))
                for d in range(width):
                    target[d] /= total


@kernel
def attention_backward(
    query, key, value, mask, bias, y, log_sums, dy, dquery, dkey, dvalue, mask_strides, bias_strides, scale, causal,
    mean, rate, seed, stream, step, first,
):  # fmt: skip
    """The gradients of what ``attention_forward`` computed, from y and log_sums as it left them; dy: like y."""
    kernel_attributes()
    n, queries, heads, size = query.shape
    keys, key_heads, width = value.shape[1:]
    mask = mask.reshape(-1)
    bias = bias.reshape(-1)
    dquery[:] = 0
    dkey[:] = 0
    dvalue[:] = 0
    real = query.dtype.type
    factor = real(1.0 / (1.0 - rate))
    threshold = np.uint64(rate * 4294967296.0)
    for b in range(n):
        for h in range(heads):
            shared = h * key_heads // heads
            for i in range(queries):
                log_sum = log_sums[b, h, i]
                if log_sum == np.inf:
                    for j in range(keys if mean else 0):
                        for d in range(width):
                            dvalue[b, j, shared, d] += dy[b, i, h, d] / real(keys)
                    continue
                # the sum over keys of a probability times its gradient
                delta = _product(dy[b, i, h], y[b, i, h])
                for j in range(min(i + 1, keys) if causal else keys):
                    if not mask[_place(mask_strides, b, h, i, j)]:
                        continue
                    product = _product(query[b, i, h], key[b, j, shared])
                    at = _place(bias_strides, b, h, i, j)
                    p = real(math.exp(_log_probability(product, real(scale), bias[at], log_sum)))
                    kept = real(1)
                    number = (((first + b) * heads + h) * queries + i) * keys + j
                    if rate > 0:
                        kept = factor if _is_kept(number, threshold, seed, stream, step) else real(0)
                    for d in range(width):
                        dvalue[b, j, shared, d] += p * kept * dy[b, i, h, d]
                    gradient = p * (kept * _product(dy[b, i, h], value[b, j, shared]) - delta) * real(scale)
                    for d in range(size):
                        dquery[b, i, h, d] += gradient * key[b, j, shared, d]
                        dkey[b, j, shared, d] += gradient * query[b, i, h, d]
