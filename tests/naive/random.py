"""Philox 4x32-10 in Python integers, and the draws made from it (Salmon et al. 2011, section 3.3)."""

import math
from statistics import NormalDist

import numpy as np


def philox4x32(counter, key):
    """counter: four 32-bit words, key: two"""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def word(seed, stream, step, element, half=0):
    block = element // 4
    high = half << 31 | (step >> 32) % 2**15 << 16 | (block >> 32) % 2**16
    counter = (block % 2**32, stream, step % 2**32, high)
    return philox4x32(counter, (seed % 2**32, seed >> 32))[element % 4]


def uniform(count, seed, stream, step, first=0):
    """53-bit uniform numbers in [0, 1) of elements ``first`` and after"""
    elements = range(first, first + count)
    words = [word(seed, stream, step, e) << 32 | word(seed, stream, step, e, half=1) for e in elements]
    return np.array([(w >> 11) / 2**53 for w in words])


def normal(count, seed, stream, step):
    """``count`` even"""
    u = uniform(count, seed, stream, step)
    radius = [math.sqrt(-2 * math.log(1 - v)) for v in u[0::2]]
    angle = [2 * math.pi * v for v in u[1::2]]
    pairs = [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radius, angle, strict=True)]
    return np.array(pairs).reshape(-1)


def truncated_normal(count, seed, stream, step):
    distribution = NormalDist()
    low, high = distribution.cdf(-2), distribution.cdf(2)
    u = uniform(count, seed, stream, step)
    return np.array([distribution.inv_cdf(low + v * (high - low)) for v in u])


def dropout_mask(count, rate, seed, stream, step, first=0):
    """1 where the element is kept"""
    elements = range(first, first + count)
    return np.array([word(seed, stream, step, e) >= rate * 2**32 for e in elements], np.uint8)
