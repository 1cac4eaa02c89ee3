"""Attention of new steps to those of a cache.

Arguments are those of ``kernels/cpu/decoding.py``, where they are explained.  A block has one query of one head.
"""

import math

import numpy as np

from ..scalar import arithmetic, real
from ._api import cuda, function, kernel, launch, over, row_block
from ._blocks import block_max, block_sum

_maximum = function(arithmetic.maximum)


@kernel
def _cache_store(key, value, position, cache, steps, width, length):
    for i in range(cuda.grid(1), key.size, cuda.gridsize(1)):
        row = i // width
        n = row // steps
        place = position[n] + row % steps
        if 0 <= place < length:
            target = (n * 2 * length + place) * width + i % width
            cache[target] = key[i]
            cache[target + length * width] = value[i]


def cache_store(key, value, position, cache):
    """cache[n, :, position[n] + t] = key[n, t], value[n, t].  key, value: (N, T, K, S)"""
    steps, width, length = key.shape[1], key.shape[2] * key.shape[3], cache.shape[2]
    flat = key.reshape(-1), value.reshape(-1), position, cache.reshape(-1)
    launch(_cache_store, *over(key.size), *flat, steps, width, length)


@kernel
def _cached_attention_forward(
    query, cache, position, mask, probabilities, y, scale, steps, heads, size, length, width, shared, rows
):
    """rows: of the mask for each sample, 0 for none."""
    h = cuda.blockIdx.x % heads
    t = cuda.blockIdx.x // heads % steps
    n = cuda.blockIdx.x // heads // steps
    first, row = cuda.blockIdx.x * size, cuda.blockIdx.x * length
    at = n * 2 * length * width + h // shared * size
    seen, factor = min(position[n] + t + 1, length), real(scale[0])
    line = (n * rows + (t if rows > 1 else 0)) * length
    largest = real(-np.inf)
    for j in range(cuda.threadIdx.x, seen, cuda.blockDim.x):
        product = real(0)
        for i in range(size):
            product += query[first + i] * cache[at + j * width + i]
        probabilities[row + j] = product * factor
        if rows == 0 or mask[line + j]:
            largest = _maximum(largest, product * factor)
    largest = block_max(largest)
    total = real(0)
    for j in range(cuda.threadIdx.x, seen, cuda.blockDim.x):
        value = real(0)
        if rows == 0 or mask[line + j]:
            value = real(math.exp(probabilities[row + j] - largest))
        probabilities[row + j] = value
        total += value
    total = block_sum(total)
    share = real(0) if rows > 0 and total == real(0) else real(1) / total
    for j in range(cuda.threadIdx.x, length, cuda.blockDim.x):
        probabilities[row + j] = probabilities[row + j] * share if j < seen else real(0)
    cuda.syncthreads()
    at += length * width
    for i in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        found = real(0)
        for j in range(seen):
            found += probabilities[row + j] * cache[at + j * width + i]
        y[first + i] = found


def cached_attention_forward(query, cache, position, mask, probabilities, y, scale, masked):
    """y[n, t] = probabilities[n, t] values, which are softmax(scale query[n, t] . keys) up to step position[n] + t."""
    _, steps, heads, size = query.shape
    length, key_heads = cache.shape[2], cache.shape[3]
    sizes = steps, heads, size, length, key_heads * size, heads // key_heads, mask.shape[1] if masked else 0
    flat = query.reshape(-1), cache.reshape(-1), position, mask.reshape(-1), probabilities.reshape(-1), y.reshape(-1)
    launch(_cached_attention_forward, y.size // size, row_block(length), *flat, scale, *sizes)
