"""2-D convolution of images of few channels, or with few filters: without tiles, which would be mostly padding.

A thread works out ``RUN`` neighbouring channels of one pixel, or ``RUN`` filters at one place of the kernel, in
registers; weights lie in shared memory, by way of which results go to memory as well, so that neighbours are written
together.  All three add in the order of the taps, or of the pixels, in float32 whatever the precision of products.

shape: height, width of the image, taps_h, taps_w, out_height, out_width, then the geometry: stride_h, stride_w,
pad_top, pad_left, dilation_h, dilation_w, and the divisors (see ``_operands``) of the width and the height of what
pixels are of.
"""

import math
from functools import cache

import numpy as np

from ..scalar import real
from ._api import ceil_div, cuda, function, is_aligned, kernel, launch, whole_warps, workspace
from ._columns import sum_parts
from ._operands import divisor, quotient
from ._stores import store
from .ptx import load_quad

RUN = 8  # channels or filters of a thread
_MOST_LINES = 512  # of weights that fit into shared memory
_MOST_RUNS = 8
_MOST_OWNERS = 512  # threads of a group, each with its place of the kernel and its filters
_THREADS = 128
_ALL = 0xFFFFFFFF  # lanes of a warp
_RESULTS = _THREADS, RUN + 1  # in shared memory: lines that begin in different banks
_TOTALS = _MOST_OWNERS, RUN
_AT_ONCE = 4  # pixels whose elements are on their way together
_STRIP = 16  # pixels of a group, at least
_MOST_BLOCKS = 528  # four for each processor of a large GPU


def sums_of_thin(taps_h: int, terms: int, results: int) -> bool:
    """Whether ``results`` sums of so many terms in each row of taps are for ``forward`` or ``backward_data``."""
    return _lines(taps_h, terms) <= _MOST_LINES and results <= _MOST_RUNS * RUN


def filters_of_thin(terms: int, filters: int) -> bool:
    """Whether so many filters of so many terms each are for ``backward_filter``."""
    return terms * ceil_div(filters, RUN) <= _MOST_OWNERS


def _shape(image, kernel, outputs, geometry, pixels):
    divisors = *divisor(pixels.shape[2]), *divisor(pixels.shape[1])
    return *image.shape[1:3], *kernel.shape[:2], *outputs.shape[1:3], *geometry, *divisors


@function
def _split(shape, height, width, pixel):
    """(n, p, q) of a pixel."""
    line = quotient(pixel, shape[12], shape[13])
    n = quotient(line, shape[14], shape[15])
    return np.int32(n), np.int32(line - n * height), np.int32(pixel - line * width)


def _adder(channels: int, quads: bool):
    """The function that adds ``channels`` elements of an array from ``at`` on, times their weights, to sums.

    quads: whether they are whole quads.
    """

    four, two = channels % 16 == 0, channels % 8 == 0

    @function
    def add_quad(sums, values, weights, term):
        for e in range(4):
            for f in range(RUN):
                sums[f] += values[e] * weights[term + e, f]

    @function
    def add(sums, array, at, weights, term):
        if quads and four:  # as many as possible are on their way before the first is used
            for c in range(0, channels, 16):
                v0, v1 = load_quad(array, at + c), load_quad(array, at + c + 4)
                v2, v3 = load_quad(array, at + c + 8), load_quad(array, at + c + 12)
                add_quad(sums, v0, weights, term + c)
                add_quad(sums, v1, weights, term + c + 4)
                add_quad(sums, v2, weights, term + c + 8)
                add_quad(sums, v3, weights, term + c + 12)
        elif quads and two:
            for c in range(0, channels, 8):
                v0, v1 = load_quad(array, at + c), load_quad(array, at + c + 4)
                add_quad(sums, v0, weights, term + c)
                add_quad(sums, v1, weights, term + c + 4)
        elif quads:
            for c in range(0, channels, 4):
                add_quad(sums, load_quad(array, at + c), weights, term + c)
        else:
            for c in range(channels):
                value = array[at + c]
                for f in range(RUN):
                    sums[f] += value * weights[term + c, f]

    return add


def _storer(lanes: int, accumulate: bool, ends: tuple):
    """The function by which a block stores the sums of its pixels, from column ``first`` on.

    lanes: threads that share a pixel.
    """
    pixels_of_block = _THREADS // lanes

    @function
    def store_all(y, sums, results, pixels, columns, first, bias, other):
        for f in range(RUN):
            total = sums[f]
            if lanes > 1:
                total += cuda.shfl_xor_sync(_ALL, total, 1)
            if lanes > 2:
                total += cuda.shfl_xor_sync(_ALL, total, 2)
            if cuda.threadIdx.x % lanes == 0:
                results[cuda.threadIdx.x // lanes, f] = total
        cuda.syncthreads()
        width = min(RUN, columns - first)
        begin = cuda.blockIdx.x * pixels_of_block
        count = pixels - begin
        for i in range(cuda.threadIdx.x, pixels_of_block * RUN, _THREADS):
            row, f = i >> 3, i & 7
            at = (begin + row) * columns + first + f
            store(y, at, first + f, row < count and f < width, results[row, f], accumulate, bias, other, ends)

    return store_all


@cache
def _forward(channels: int, quads: bool, taps: tuple, room: int, lanes: int, ends: tuple):
    """taps: height and width of the kernel; room: lines of weights in shared memory; lanes: threads of a pixel."""
    add, store_all = _adder(channels, quads), _storer(lanes, False, ends)
    taps_h, taps_w = taps

    @kernel
    def thin_forward(x, kernel, y, pixels, filters, shape, bias, other):
        (
            height, width, _, _, out_height, out_width,
            stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, _, _, _, _,
        ) = shape  # fmt: skip
        weights = cuda.shared.array((room, RUN), real, 16)
        results = cuda.shared.array(_RESULTS, real)
        sums = cuda.local.array(RUN, real)
        first = cuda.blockIdx.y * RUN
        for i in range(cuda.threadIdx.x, taps_h * taps_w * channels * RUN, cuda.blockDim.x):
            term, f = i >> 3, i & 7
            line = term + term // (taps_w * channels)
            weights[line, f] = kernel[term * filters + first + f] if first + f < filters else real(0)
        for f in range(RUN):
            sums[f] = real(0)
        cuda.syncthreads()
        pixel = cuda.grid(1) // lanes
        if pixel < pixels:
            n, p, q = _split(shape, out_height, out_width, pixel)
            top, left = np.int32(p * stride_h - pad_top), np.int32(q * stride_w - pad_left)
            for r in range(cuda.threadIdx.x % lanes, taps_h, lanes):
                h = np.int32(top + r * dilation_h)
                if h >= 0 and h < np.int32(height):
                    row = np.int32((n * height + h) * width)
                    for s in range(taps_w):
                        w = np.int32(left + s * dilation_w)
                        if w >= 0 and w < np.int32(width):
                            add(sums, x, np.int32((row + w) * channels), weights, (r * taps_w + s) * channels + r)
        store_all(y, sums, results, pixels, filters, first, bias, other)

    return thin_forward


@cache
def _backward_data(
    filters: int, quads: bool, taps: tuple, room: int, lanes: int, strides: tuple, accumulate: bool, ends: tuple
):
    stride_h, stride_w = strides  # what is divided by them is divided by constants
    add, store_all = _adder(filters, quads), _storer(lanes, accumulate, ends)
    taps_h, taps_w = taps

    @kernel
    def thin_backward_data(dy, kernel, dx, pixels, channels, shape, bias, other):
        (
            height, width, _, _, out_height, out_width, _, _, pad_top, pad_left, dilation_h, dilation_w,
            _, _, _, _,
        ) = shape  # fmt: skip
        weights = cuda.shared.array((room, RUN), real, 16)
        results = cuda.shared.array(_RESULTS, real)
        sums = cuda.local.array(RUN, real)
        first = cuda.blockIdx.y * RUN
        for i in range(cuda.threadIdx.x, taps_h * taps_w * filters * RUN, cuda.blockDim.x):
            term, c = i >> 3, i & 7
            tap = term // filters
            at = (tap * channels + first + c) * filters + term - tap * filters
            weights[term + tap // taps_w, c] = kernel[at] if first + c < channels else real(0)
        for f in range(RUN):
            sums[f] = real(0)
        cuda.syncthreads()
        pixel = cuda.grid(1) // lanes
        if pixel < pixels:
            n, h, w = _split(shape, height, width, pixel)
            bottom, right = np.int32(h + pad_top), np.int32(w + pad_left)
            for r in range(cuda.threadIdx.x % lanes, taps_h, lanes):
                down = np.int32(bottom - r * dilation_h)
                p = np.int32(down // stride_h)
                if down >= 0 and p < out_height and p * stride_h == down:
                    row = np.int32((n * out_height + p) * out_width)
                    for s in range(taps_w):
                        across = np.int32(right - s * dilation_w)
                        q = np.int32(across // stride_w)
                        if across >= 0 and q < out_width and q * stride_w == across:
                            add(sums, dy, np.int32((row + q) * filters), weights, (r * taps_w + s) * filters + r)
        store_all(dx, sums, results, pixels, channels, first, bias, other)

    return thin_backward_data


@cache
def _backward_filter(channels: int, filters: int, quads: bool, groups: int):
    """groups: of threads, each of which goes through a strip of pixels of its own; quads: whether filters are."""
    runs = ceil_div(filters, RUN)
    count = filters if runs == 1 else RUN
    exact = runs == 1 or filters % RUN == 0

    @kernel
    def thin_backward_filter(x, dy, sums, pixels, strip, shape):
        (
            height, width, taps_h, taps_w, out_height, out_width,
            stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, _, _, _, _,
        ) = shape  # fmt: skip
        totals = cuda.shared.array(_TOTALS, real, 16)
        own = cuda.local.array(RUN, real)
        values = cuda.local.array(_AT_ONCE, real)
        last_row, last_column = np.int32(height - 1), np.int32(width - 1)
        terms = taps_h * taps_w * channels
        owners = terms * runs
        group = cuda.threadIdx.x // owners
        owner = cuda.threadIdx.x - group * owners
        first = owner // terms * RUN if runs > 1 else 0
        term = owner % terms
        tap = term // channels
        r = tap // taps_w
        down = np.int32(r * dilation_h - pad_top)
        across = np.int32((tap - r * taps_w) * dilation_w - pad_left)
        c = term - tap * channels
        for f in range(RUN):
            own[f] = real(0)
        if group < groups:
            begin = (cuda.blockIdx.x * groups + group) * strip
            end = np.int32(min(pixels, begin + strip))
            n, p, q = _split(shape, out_height, out_width, begin)
            for pixel in range(begin, end, _AT_ONCE):
                inside = 0
                for u in range(_AT_ONCE):
                    h = np.int32(p * stride_h + down)
                    w = np.int32(q * stride_w + across)
                    values[u] = real(0)
                    if pixel + u < end and h >= 0 and h <= last_row and w >= 0 and w <= last_column:
                        values[u] = x[np.int32(((n * height + h) * width + w) * channels + c)]
                        inside |= 1 << u
                    q = np.int32(q + 1)
                    if q == np.int32(out_width):
                        q = np.int32(0)
                        p = np.int32(p + 1)
                        if p == np.int32(out_height):
                            p = np.int32(0)
                            n = np.int32(n + 1)
                for u in range(_AT_ONCE):
                    if inside >> u & 1:
                        at = np.int32((pixel + u) * filters + first)
                        if quads:
                            for f in range(0, count, 4):
                                if exact or first + f < filters:
                                    gradients = load_quad(dy, at + f)
                                    for e in range(4):
                                        own[f + e] += values[u] * gradients[e]
                        else:
                            for f in range(count):
                                if exact or first + f < filters:
                                    own[f] += values[u] * dy[at + f]
        for f in range(RUN):
            totals[cuda.threadIdx.x, f] = own[f]
        cuda.syncthreads()
        if group == 0:
            for f in range(RUN):
                if first + f < filters:
                    total = real(0)
                    for g in range(groups):
                        total += totals[g * owners + owner, f]
                    sums[(cuda.blockIdx.x * terms + term) * filters + first + f] = total

    return thin_backward_filter


def _lanes(threads: int, taps_h: int) -> int:
    """Among how many threads the rows of a pixel's taps are shared out, where one for each pixel were few."""
    for lanes in (4, 2):
        if taps_h >= lanes and threads * lanes <= _MOST_BLOCKS * _THREADS:
            return lanes
    return 1


def _lines(taps_h: int, terms: int) -> int:
    """Lines of weights: after each row of taps one lies unused, so that lanes with a row each read different banks."""
    return taps_h * (terms + 1)


def _room(taps_h: int, terms: int) -> int:
    """Lines that shared memory is made for: of few sizes, for each is compiled."""
    return next(size for size in (32, 64, 128, 256, _MOST_LINES) if _lines(taps_h, terms) <= size)


def forward(x, kernel, y, geometry, epilogue) -> None:
    """conv2d_forward and its epilogue (see ``_products``)."""
    taps_h, taps_w, channels, filters = kernel.shape
    pixels = math.prod(y.shape[:3])
    bias, other = (y.reshape(-1) if array is None else array.reshape(-1) for array in epilogue.arrays)
    x_flat, kernel_flat, room = x.reshape(-1), kernel.reshape(-1), _room(taps_h, taps_w * channels)
    runs = ceil_div(filters, RUN)
    lanes = _lanes(pixels * runs, taps_h)
    quads = channels % 4 == 0 and is_aligned(x_flat)
    thin = _forward(channels, quads, (taps_h, taps_w), room, lanes, epilogue.ends)
    grid = ceil_div(pixels * lanes, _THREADS), runs
    arguments = x_flat, kernel_flat, y.reshape(-1), pixels, filters, _shape(x, kernel, y, geometry, y), bias, other
    launch(thin, grid, _THREADS, *arguments)


def backward_data(dy, kernel, dx, geometry, accumulate, epilogue) -> None:
    """conv2d_backward_data and its epilogue."""
    taps_h, taps_w, channels, filters = kernel.shape
    pixels = math.prod(dx.shape[:3])
    bias, other = (dx.reshape(-1) if array is None else array.reshape(-1) for array in epilogue.arrays)
    dy_flat, kernel_flat, room = dy.reshape(-1), kernel.reshape(-1), _room(taps_h, taps_w * filters)
    runs = ceil_div(channels, RUN)
    lanes = _lanes(pixels * runs, taps_h)
    quads = filters % 4 == 0 and is_aligned(dy_flat)
    taps, strides = (taps_h, taps_w), tuple(geometry[:2])
    thin = _backward_data(filters, quads, taps, room, lanes, strides, accumulate, epilogue.ends)
    grid = ceil_div(pixels * lanes, _THREADS), runs
    arguments = (
        dy_flat,
        kernel_flat,
        dx.reshape(-1),
        pixels,
        channels,
        _shape(dx, kernel, dy, geometry, dx),
        bias,
        other,
    )
    launch(thin, grid, _THREADS, *arguments)


def backward_filter(x, dy, dkernel, geometry, accumulate) -> None:
    """conv2d_backward_filter."""
    taps_h, taps_w, channels, filters = dkernel.shape
    pixels, size = math.prod(dy.shape[:3]), dkernel.size
    owners = taps_h * taps_w * channels * ceil_div(filters, RUN)
    groups = max(1, 256 // owners)
    strip = max(_STRIP, ceil_div(pixels, _MOST_BLOCKS * groups))
    blocks = ceil_div(pixels, strip * groups)
    target = dkernel.reshape(-1) if blocks == 1 and not accumulate else workspace(blocks * size, dkernel.dtype)
    dy_flat = dy.reshape(-1)
    quads = filters % 4 == 0 and is_aligned(dy_flat)
    arguments = x.reshape(-1), dy_flat, target, pixels, strip, _shape(x, dkernel, dy, geometry, dy)
    launch(_backward_filter(channels, filters, quads, groups), blocks, whole_warps(owners * groups), *arguments)
    if target.size != size or blocks > 1 or accumulate:
        sum_parts(target, dkernel.reshape(-1), blocks, size, accumulate)
