"""Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

A draw is a function of (seed, stream, step, element) and of nothing else: not of the order of the draws, of threads or
of chunks.  Four neighbouring elements share one block of four 32-bit words.

    key       seed's low 32 bits, its high 32 bits
    counter   block = element // 4, its low 32 bits
              stream: which of a step's independent sequences, 32 bits
              step, its low 32 bits
              half << 31 | step's bits 32-46 << 16 | block's bits 32-47
    half      1 for the words that extend a 32-bit draw to 64 bits (float64), else 0

Integers are NumPy's uint64, holding 32-bit words where nothing else is said: products then fit, nothing wraps.
"""

import math

import numpy as np

from . import real

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_16 = np.uint64(16)
_CIRCLE = 2 * math.pi
_HALF_ROOT_OF_PI = math.sqrt(math.pi) / 2
_ROOT_OF_TWO = math.sqrt(2.0)
_WITHIN_TWO = math.erf(_ROOT_OF_TWO)  # the share of normal numbers in [-2, 2]


def philox_round(counter0, counter1, counter2, counter3, key0, key1):
    product0 = _MULTIPLIER_0 * counter0
    product1 = _MULTIPLIER_1 * counter2
    return (product1 >> _32) ^ counter1 ^ key0, product1 & _MASK, (product0 >> _32) ^ counter3 ^ key1, product0 & _MASK


def next_key(key0, key1):
    return (key0 + _WEYL_0) & _MASK, (key1 + _WEYL_1) & _MASK


def philox4x32(c0, c1, c2, c3, k0, k1):
    """Philox 4x32-10: four 32-bit words of counter c and two of key k, as uint64, to four random ones."""
    # ten rounds written out: as a loop they keep compilers from vectorising the loop around them
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    k0, k1 = next_key(k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


def random_block(seed, stream, step, block, half):
    """The four words of elements 4 block ... 4 block + 3.  All arguments uint64; half is 0 or 1."""
    high = (half << np.uint64(31)) | ((step >> _32 & np.uint64(0x7FFF)) << _16) | (block >> _32 & np.uint64(0xFFFF))
    return philox4x32(block & _MASK, stream & _MASK, step & _MASK, high, seed & _MASK, seed >> _32)


def unit_float32(word):
    """A float32 in [0, 1) from a word's upper 24 bits."""
    # by way of int32, which vector units convert fastest
    return np.float32(np.int32(word >> np.uint64(8))) * np.float32(2.0**-24)


def unit_float64(word, extension):
    """A float64 in [0, 1) from two words, 53 bits; ``unit_float32(word)`` is the same number cut to 24 bits."""
    return np.float64((word << np.uint64(21)) | (extension >> np.uint64(11))) * np.float64(2.0**-53)


def box_muller(u0, u1):
    """Two independent standard normal numbers from two uniform ones in [0, 1) (Box and Muller 1958)."""
    # 1 - u0 is in (0, 1]: the logarithm is finite
    radius = math.sqrt(real(-2) * math.log(real(1) - u0))
    angle = real(_CIRCLE) * u1
    return radius * math.cos(angle), radius * math.sin(angle)


def inverse_error_function(x):
    """The y with erf(y) = x, for |x| < 0.996.

    Giles 2012, "Approximating the erfinv function", the central polynomial of its single-precision version, and one
    step of Newton's method with its second-order term (Halley), which takes float64 to about 1e-15.
    """
    w = -math.log1p(-x * x) - real(2.5)
    p = real(2.81022636e-08)
    p = real(3.43273939e-07) + p * w
    p = real(-3.5233877e-06) + p * w
    p = real(-4.39150654e-06) + p * w
    p = real(0.00021858087) + p * w
    p = real(-0.00125372503) + p * w
    p = real(-0.00417768164) + p * w
    p = real(0.246640727) + p * w
    p = real(1.50140941) + p * w
    y = p * x
    correction = (math.erf(y) - x) * real(_HALF_ROOT_OF_PI) * math.exp(y * y)
    return y - correction / (real(1) + y * correction)


def truncated_normal(u):
    """A standard normal number cut to [-2, 2], from a uniform one in [0, 1), by the inverse distribution function."""
    # the distribution function reaches from (1 - erf(sqrt 2)) / 2 to (1 + erf(sqrt 2)) / 2
    centred = (real(2) * u - real(1)) * real(_WITHIN_TWO)
    return real(_ROOT_OF_TWO) * inverse_error_function(centred)
