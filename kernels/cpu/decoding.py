"""Attention of new steps to those of a cache: what a decoder does when a sequence grows step by step.

cache: (N, 2, L, K, S), keys and then values of L steps and K heads of the size S; position: (N,), how many steps of
each sample's sequence are in it.
"""

import numpy as np

from .runtime import vector_math
from .runtime.arrays import separate_arrays
from .runtime.jit import kernel, kernel_attributes


@kernel
def cache_store(key, value, position, cache):
    """cache[n, :, position[n] + t] = key[n, t], value[n, t]; what would lie outside is left out.

    key, value: (N, T, K, S)
    """
    kernel_attributes()
    separate_arrays()
    samples, steps, heads, size = key.shape
    length, width = cache.shape[2], heads * size
    keys, values, out = key.reshape(-1), value.reshape(-1), cache.reshape(-1)
    for n in range(samples):
        for t in range(steps):
            place = position[n] + t
            if 0 <= place < length:
                source = (n * steps + t) * width
                target = (n * 2 * length + place) * width
                for i in range(width):
                    out[target + i] = keys[source + i]
                target += length * width
                for i in range(width):
                    out[target + i] = values[source + i]


@kernel
def cached_attention_forward(query, cache, position, mask, probabilities, y, scale, masked):
    """y[n, t] = probabilities[n, t] values, which are softmax(scale query[n, t] . keys) up to step position[n] + t.

    query, y: (N, T, H, S), with H a multiple of K: so many heads that follow one another share one of the cache;
    probabilities: (N, T, H, L); with ``masked`` mask: (N, 1 or T, L), false where a step is not seen: of none, y is 0
    """
    kernel_attributes()
    separate_arrays()
    samples, steps, heads, size = query.shape
    length, width = cache.shape[2], cache.shape[3] * size
    shared = heads // cache.shape[3]
    queries, stored, weights, out = query.reshape(-1), cache.reshape(-1), probabilities.reshape(-1), y.reshape(-1)
    visible, rows = mask.reshape(-1), mask.shape[1] if masked else 1
    number = query.dtype.type
    factor = number(scale)
    for n in range(samples):
        for t in range(steps):
            seen = min(position[n] + t + 1, length)
            for h in range(heads):
                place = (n * steps + t) * heads + h
                q, o = queries[place * size : (place + 1) * size], out[place * size : (place + 1) * size]
                row = weights[place * length : (place + 1) * length]
                at = n * 2 * length * width + h // shared * size
                largest = number(-np.inf)
                for j in range(seen):
                    k = stored[at + j * width : at + j * width + size]
                    product = number(0)
                    for i in range(size):
                        product += q[i] * k[i]
                    row[j] = product * factor
                    largest = row[j] if row[j] > largest else largest
                total = number(0)
                if masked:
                    line = (n * rows + t % rows) * length
                    largest = number(-np.inf)
                    for j in range(seen):
                        largest = row[j] if visible[line + j] and row[j] > largest else largest
                    for j in range(seen):
                        row[j] = vector_math.exp(row[j] - largest) if visible[line + j] else number(0)
                        total += row[j]
                else:
                    for j in range(seen):
                        row[j] = vector_math.exp(row[j] - largest)
                        total += row[j]
                share = number(0) if masked and total == 0 else number(1) / total
                at += length * width
                o[:] = 0
                for j in range(seen):
                    v = stored[at + j * width : at + j * width + size]
                    row[j] *= share
                    for i in range(size):
                        o[i] += row[j] * v[i]
                for j in range(seen, length):
                    row[j] = 0
