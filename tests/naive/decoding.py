"""Attention to a cache of keys and values, one query after the other."""

import numpy as np


def stored(key, value, position, cache):
    """The cache (N, 2, L, K, S) with keys and values (N, T, K, S) from each sample's position on."""
    found = cache.copy()
    for n, first in enumerate(position):
        for t in range(key.shape[1]):
            if 0 <= first + t < cache.shape[2]:
                found[n, 0, first + t], found[n, 1, first + t] = key[n, t], value[n, t]
    return found


def attention(query, cache, position, scale):
    """(probabilities (N, T, H, L), y (N, T, H, S)) of queries (N, T, H, S) over the steps up to their own."""
    samples, steps, heads, _ = query.shape
    length, shared = cache.shape[2], heads // cache.shape[3]
    probabilities, y = np.zeros((samples, steps, heads, length), query.dtype), np.zeros_like(query)
    for n, t, h in np.ndindex(samples, steps, heads):
        seen = min(position[n] + t + 1, length)
        scores = scale * (cache[n, 0, :seen, h // shared] * query[n, t, h]).sum(-1)
        weights = np.exp(scores - scores.max())
        probabilities[n, t, h, :seen] = weights / weights.sum()
        y[n, t, h] = probabilities[n, t, h] @ cache[n, 1, :, h // shared]
    return probabilities, y
