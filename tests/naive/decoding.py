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


def attention(query, cache, position, scale, mask=None):
    """(probabilities (N, T, H, L), y (N, T, H, S)) of queries (N, T, H, S) over the steps up to their own.

    mask: (N, 1 or T, L), false where a step is not seen: of none, both are 0.
    """
    samples, steps, heads, _ = query.shape
    length, shared = cache.shape[2], heads // cache.shape[3]
    probabilities, y = np.zeros((samples, steps, heads, length), query.dtype), np.zeros_like(query)
    for n, t, h in np.ndindex(samples, steps, heads):
        seen = min(position[n] + t + 1, length)
        there = np.arange(seen) if mask is None else np.flatnonzero(mask[n, t % mask.shape[1], :seen])
        if len(there):
            scores = scale * (cache[n, 0, there, h // shared] * query[n, t, h]).sum(-1)
            weights = np.exp(scores - scores.max())
            probabilities[n, t, h, there] = weights / weights.sum()
        y[n, t, h] = probabilities[n, t, h] @ cache[n, 1, :, h // shared]
    return probabilities, y
