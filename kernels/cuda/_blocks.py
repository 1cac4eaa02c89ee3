"""Reductions within a warp, within a block and over many blocks, always in the same order.

``warp_`` and ``block_`` give every thread the result; a block calls them as a whole, in one dimension of whole warps.

Kernels call ``block_`` and ``column_`` themselves: numba-cuda links a function that has shared memory with each of its
callers, and takes no program in which it is twice.
"""

import numpy as np

from ..scalar import arithmetic, real
from ._api import THREADS, ceil_div, cuda, function, kernel, launch, over, power_of_two, workspace

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


@function
def column_sum(value):
    """The sum over threadIdx.y of the values of threads with one threadIdx.x; what those with threadIdx.y = 0 get.

    The block is a matrix of at most THREADS threads whose height is a power of two.
    """
    sums = cuda.shared.array(THREADS, real)
    width, height = cuda.blockDim.x, cuda.blockDim.y
    place = cuda.threadIdx.y * width + cuda.threadIdx.x
    sums[place] = value
    height >>= 1
    while height > 0:
        cuda.syncthreads()
        if cuda.threadIdx.y < height:
            sums[place] += sums[place + height * width]
        height >>= 1
    return sums[place]


@function
def column_sums_of_quads(values):
    """As ``column_sum`` for four values of each thread, in a block of whole warps whose width is a power of two."""
    sums = cuda.shared.array((4, THREADS), real)
    width = cuda.blockDim.x
    place = cuda.threadIdx.y * width + cuda.threadIdx.x
    a, b, c, d = values
    distance = 16
    while distance >= width:  # over the rows that a warp has
        a += cuda.shfl_xor_sync(_ALL, a, distance)
        b += cuda.shfl_xor_sync(_ALL, b, distance)
        c += cuda.shfl_xor_sync(_ALL, c, distance)
        d += cuda.shfl_xor_sync(_ALL, d, distance)
        distance >>= 1
    span = max(width, 32)
    if place & (span - 1) < width:
        sums[0, place], sums[1, place], sums[2, place], sums[3, place] = a, b, c, d
    cuda.syncthreads()
    if cuda.threadIdx.y == 0:
        place += span
        while place < width * cuda.blockDim.y:
            a += sums[0, place]
            b += sums[1, place]
            c += sums[2, place]
            d += sums[3, place]
            place += span
    return a, b, c, d


@function
def column_max(value):
    """The largest of the values of threads with one threadIdx.x, NaN if there is one; as ``column_sum``."""
    largest = cuda.shared.array(THREADS, real)
    width, height = cuda.blockDim.x, cuda.blockDim.y
    place = cuda.threadIdx.y * width + cuda.threadIdx.x
    largest[place] = value
    height >>= 1
    while height > 0:
        cuda.syncthreads()
        if cuda.threadIdx.y < height:
            largest[place] = _maximum(largest[place], largest[place + height * width])
        height >>= 1
    return largest[place]


_BLOCKS_ENOUGH = 512  # to fill a device
_TERMS_ENOUGH = 16  # of a thread


class Columns:
    """How blocks reduce ``terms`` rows for each of so many ``columns``.

    neighbours: columns that lie side by side in memory.  Blocks are (width, height) with ``column_sum``; block y of the
    ``grid`` takes a share of the terms, and where there are several, ``finish`` sums what is left of them.
    """

    def __init__(self, columns: int, terms: int, neighbours: int, most_shares: int = _BLOCKS_ENOUGH):
        self.columns = columns
        width = min(32, power_of_two(min(columns, neighbours)))
        height = min(THREADS // width, power_of_two(terms))
        width = min(THREADS // height, power_of_two(columns))
        blocks = ceil_div(columns, width)
        wanted = min(ceil_div(terms, height * _TERMS_ENOUGH), _BLOCKS_ENOUGH // max(1, blocks))
        self.shares = max(1, min(wanted, most_shares))
        self.grid, self.block = (blocks, self.shares), (width, height)

    def target(self, out):
        """Where the kernel stores: (shares * columns,) elements."""
        return out if self.shares == 1 else workspace(self.shares * self.columns, out.dtype)

    def finish(self, sums, out, accumulate: bool) -> None:
        """out = the sums of the shares, if there are several."""
        if self.shares > 1:
            launch(_sum_shares, *over(self.columns), sums, out, self.shares, accumulate)


@kernel
def _sum_shares(sums, out, shares, accumulate):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total = real(0)
        for share in range(shares):
            total += sums[share * out.size + i]
        out[i] = out[i] + total if accumulate else total
