"""What a training step needs around its layers: sums over chunks in a fixed order, and running results."""

import math

import numpy as np

from ..scalar import real
from ._api import THREADS, ceil_div, cuda, kernel, launch, over, over_rows, whole_warps, workspace
from ._blocks import block_sum64


@kernel
def _chunk_counts(counts, batch, rows):
    chunks = counts.size
    for i in range(cuda.grid(1), chunks, cuda.gridsize(1)):
        counts[i] = (batch * (i + 1) // chunks - batch * i // chunks) * rows


def chunk_counts(counts, batch, rows):
    """counts: (chunks,) int64; counts[i] = rows per sample times the samples of chunk i of a batch."""
    launch(_chunk_counts, *over(counts.size), counts, batch, rows)


@kernel
def _sum_rows(values, out, rows, width, begin):
    for j in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total = values[begin + j]
        for i in range(1, rows):
            total += values[i * width + begin + j]
        out[j] = total


def sum_partials(partials, out):
    """out[...] = sum over i of partials[i, ...], in the order of i.  partials: (chunks, ...), out: (...)"""
    launch(_sum_rows, *over(out.size), partials.reshape(-1), out.reshape(-1), partials.shape[0], out.size, 0)


def sum_gradients(chunk_gradients, begin, out):
    """out[j] = sum over chunks i of chunk_gradients[i, begin + j].  chunk_gradients: (chunks, P), out: (n,)"""
    chunks, width = chunk_gradients.shape
    launch(_sum_rows, *over(out.size), chunk_gradients.reshape(-1), out, chunks, width, begin)


# ---- sums in float64: each block leaves its own, and one block adds them up

_VALUES_OF_A_BLOCK = 16 * THREADS
_MOST_BLOCKS = 256


def _blocks_for(values: int) -> int:
    return max(1, min(ceil_div(values, _VALUES_OF_A_BLOCK), _MOST_BLOCKS))


def _launch_total(kernel, size: int, *arguments, out) -> None:
    """Launch a kernel whose blocks leave sums in float64, and add these up in ``out``."""
    blocks = _blocks_for(size)
    sums = out if blocks == 1 else workspace(blocks, np.float64)
    threads = min(THREADS, whole_warps(ceil_div(size, 4)))  # few values are a single warp's, which has no barrier
    launch(kernel, blocks, threads, *arguments, sums)
    if blocks > 1:
        launch(_total, 1, THREADS, sums, out)


@kernel
def _total(values, sums):
    result = np.float64(0)
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        result += values[i]
    result = block_sum64(result)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = result


def total(values, out):
    """out[0] = sum of values in float64.  values: (n,), out: (1,) float64"""
    _launch_total(_total, values.size, values, out=out)


@kernel
def _weighted_total(values, weights, sums):
    result = np.float64(0)
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        result += values[i] * weights[i]
    result = block_sum64(result)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = result


def weighted_total(values, weights, out):
    """out[0] = sum of values * weights in float64.  values, weights: (n,), out: (1,) float64"""
    _launch_total(_weighted_total, values.size, values, weights, out=out)


@kernel
def _add_result(totals, results, index, factor):
    result = np.float64(0)
    for i in range(totals.size):
        result += totals[i]
    results[index] += factor[0] * result


def add_result(totals, results, index, factor):
    """results[index] += factor * sum of totals, in order.  totals: (chunks, 1) float64, results: (k,) float64"""
    launch(_add_result, 1, 1, totals.reshape(-1), results, index, factor)


@kernel
def _loss_gradient(weights, d_values, scale, accumulate):
    factor = real(scale[0])
    for i in range(cuda.grid(1), d_values.size, cuda.gridsize(1)):
        gradient = weights[i] * factor
        d_values[i] = d_values[i] + gradient if accumulate else gradient


def loss_gradient(weights, d_values, scale, accumulate):
    """d_values = weights * scale: the gradient of a weighted mean.  weights, d_values: (n,)"""
    launch(_loss_gradient, *over(d_values.size), weights, d_values, scale, accumulate)


@kernel
def _penalties(parameter, sums):
    """sums[2 i] = sum(|p|), sums[2 i + 1] = sum(p^2) of block i's share"""
    absolute, squares = np.float64(0), np.float64(0)
    for i in range(cuda.grid(1), parameter.size, cuda.gridsize(1)):
        absolute += abs(parameter[i])
        squares += parameter[i] * parameter[i]
    absolute = block_sum64(absolute)
    squares = block_sum64(squares)
    if cuda.threadIdx.x == 0:
        sums[2 * cuda.blockIdx.x] = absolute
        sums[2 * cuda.blockIdx.x + 1] = squares


@kernel
def _add_penalties(sums, l1, l2, results, index, factor):
    absolute, squares = np.float64(0), np.float64(0)
    for i in range(cuda.threadIdx.x, sums.size // 2, cuda.blockDim.x):
        absolute += sums[2 * i]
        squares += sums[2 * i + 1]
    absolute = block_sum64(absolute)
    squares = block_sum64(squares)
    if cuda.threadIdx.x == 0:
        results[index] += factor[0] * (l1[0] * absolute + l2[0] * squares)


def l1_l2_penalty(parameter, l1, l2, results, index, factor):
    """results[index] += factor * (l1 * sum(|p|) + l2 * sum(p^2))."""
    blocks = _blocks_for(parameter.size)
    sums = workspace(2 * blocks, np.float64)
    launch(_penalties, blocks, min(THREADS, whole_warps(parameter.size)), parameter.reshape(-1), sums)
    launch(_add_penalties, 1, whole_warps(blocks), sums, l1, l2, results, index, factor)


@kernel
def _l1_l2_gradient(parameter, gradient, l1, l2):
    slope, factor, zero = real(l1[0]), real(2) * real(l2[0]), real(0)
    for i in range(cuda.grid(1), parameter.size, cuda.gridsize(1)):
        p = parameter[i]
        gradient[i] += (slope if p > zero else (-slope if p < zero else zero)) + factor * p


def l1_l2_gradient(parameter, gradient, l1, l2):
    """gradient += l1 * sign(p) + 2 * l2 * p."""
    launch(_l1_l2_gradient, *over(parameter.size), parameter.reshape(-1), gradient.reshape(-1), l1, l2)


@kernel
def _add_up(totals, out, scale):
    result = np.float64(0)
    for i in range(totals.size):
        result += totals[i]
    out[0] = scale[0] * result


def add_up(totals, out, scale):
    """out[0] = scale * sum of totals, in order.  totals: (chunks, 1) float64, out: (1,)"""
    launch(_add_up, 1, 1, totals.reshape(-1), out.reshape(-1), scale)


@kernel
def _spread(dvalues, dtotal, scale, accumulate):
    slope = real(dtotal[0] * scale[0])
    for i in range(cuda.grid(1), dvalues.size, cuda.gridsize(1)):
        dvalues[i] = dvalues[i] + slope if accumulate else slope


def spread(dtotal, dvalues, scale, accumulate):
    """dvalues = dtotal[0] * scale everywhere: the gradient of a sum or a mean.  dtotal: (1,), dvalues: (n,)"""
    launch(_spread, *over(dvalues.size), dvalues.reshape(-1), dtotal.reshape(-1), scale, accumulate)


@kernel
def _count_step(iterations):
    iterations[0] += 1


def count_step(iterations):
    """One step more was taken.  iterations: (1,) int64"""
    launch(_count_step, 1, 1, iterations)


@kernel
def _add_numbers(numbers, results, index, factor):
    for i in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        results[index + i] += factor[0] * numbers[i]


def add_numbers(numbers, results, index, factor):
    """results[index + i] += factor * numbers[i].  numbers: any shape, n elements; results: (k,) float64"""
    launch(_add_numbers, *over(numbers.size), numbers.reshape(-1), results, index, factor)


@kernel
def _keep_largest(numbers, results, index):
    for i in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        number = numbers[i]
        if number > results[index + i] or number != number:
            results[index + i] = number


def keep_largest(numbers, results, index):
    """results[index + i] = max(itself, numbers[i]), NaN from the first one on.  numbers: (n,), results: (k,) float64"""
    launch(_keep_largest, *over(numbers.size), numbers.reshape(-1), results, index)


@kernel
def _scale(values, factor):
    times = real(factor[0])
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        values[i] *= times


def scale(values, factor):
    """values *= factor.  values: (n,)"""
    launch(_scale, *over(values.size), values.reshape(-1), factor)


@kernel
def _repeat(row, rows, scale, accumulate):
    factor = real(scale[0])
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for i in range(first_row, rows.shape[0], row_step):
        for j in range(first_column, row.size, column_step):
            rows[i, j] = rows[i, j] + factor * row[j] if accumulate else factor * row[j]


def repeat(row, rows, scale, accumulate):
    """rows[i] = scale * row: the gradient of a sum or a mean of rows.  row: (n,), rows: (m, n)"""
    launch(_repeat, *over_rows(*rows.shape), row, rows, scale, accumulate)


@kernel
def _sum_of_squares(values, sums):
    result = np.float64(0)
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        result += np.float64(values[i]) * np.float64(values[i])
    result = block_sum64(result)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = result


@kernel
def _add_squares(sums, out, accumulate):
    result = np.float64(0)
    for i in range(cuda.threadIdx.x, sums.size, cuda.blockDim.x):
        result += sums[i]
    result = block_sum64(result)
    if cuda.threadIdx.x == 0:
        out[0] = out[0] + result if accumulate else result


def sum_of_squares(values, out, accumulate):
    """out[0] = sum of values^2 in float64, always in the same order, added to out if accumulate.  out: (1,) float64"""
    blocks = _blocks_for(values.size)
    sums = workspace(blocks, np.float64)
    launch(_sum_of_squares, blocks, min(THREADS, whole_warps(values.size)), values.reshape(-1), sums)
    launch(_add_squares, 1, whole_warps(blocks), sums, out, accumulate)


@kernel
def _limit_norm(squares, factor, limit):
    norm = math.sqrt(squares[0])
    factor[0] = limit[0] / norm if norm > limit[0] else np.float64(1)


def limit_norm(squares, factor, limit):
    """factor[0] = what values are multiplied by whose squares sum up to squares[0], so that their norm is in limit."""
    launch(_limit_norm, 1, 1, squares, factor, limit)


@kernel
def _scale_by(values, factor):
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        values[i] *= factor[0]


def scale_by(values, factor):
    """values *= factor[0].  values: (n,), factor: (1,)"""
    launch(_scale_by, *over(values.size), values.reshape(-1), factor)
