"""Reductions within a warp and within a block, in a fixed order: every thread gets the result, and the same bits.

A block calls them as a whole, in one dimension of whole warps.
"""

import numpy as np

from ..scalar import arithmetic, real
from ._api import cuda, function

_ALL = 0xFFFFFFFF
_maximum = function(arithmetic.maximum)


@function
def warp_sum(value):
    """The sum of a warp's values."""
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(_ALL, value, distance)
    return value


@function
def warp_max(value):
    """The largest of a warp's values; NaN if there is one."""
    for distance in (16, 8, 4, 2, 1):
        value = _maximum(value, cuda.shfl_xor_sync(_ALL, value, distance))
    return value


@function
def block_sum(value):
    """The sum of a block's values."""
    sums = cuda.shared.array(32, real)
    warp, lane = cuda.threadIdx.x >> 5, cuda.threadIdx.x & 31
    value = warp_sum(value)
    cuda.syncthreads()  # whoever called before has read
    if lane == 0:
        sums[warp] = value
    cuda.syncthreads()
    return warp_sum(sums[lane] if lane < cuda.blockDim.x >> 5 else real(0))


@function
def block_max(value):
    """The largest of a block's values; NaN if there is one."""
    largest = cuda.shared.array(32, real)
    warp, lane = cuda.threadIdx.x >> 5, cuda.threadIdx.x & 31
    value = warp_max(value)
    cuda.syncthreads()  # whoever called before has read
    if lane == 0:
        largest[warp] = value
    cuda.syncthreads()
    return warp_max(largest[lane] if lane < cuda.blockDim.x >> 5 else real(-np.inf))


# sums that are float64 whatever the arrays are
block_sum64 = function(block_sum, np.float64)
