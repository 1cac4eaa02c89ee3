"""Normalisation of each sample by itself: over its rows, their root mean square, or groups of channels.

A block has the elements of one sample that are normalised together: those of ``width`` neighbouring channels at all
positions.  Rows are samples of one position and one group.  Sums for gamma and beta are over columns, by other blocks.
"""

import math

from ..scalar import real
from ._api import ceil_div, cuda, function, kernel, launch, over, row_block, workspace
from ._blocks import block_sum, column_sum
from ._columns import column_block, row_parts, row_step


@function
def _place(i, first, channels, width):
    """Where element i of the block's lies."""
    return first + i // width * channels + i % width


@function
def _first(positions, channels, width, groups):
    """Where the elements of the block's begin."""
    return cuda.blockIdx.x // groups * positions * channels + cuda.blockIdx.x % groups * width


@kernel
def _forward(x, gamma, beta, y, mean, rstd, epsilon, positions, channels, width, copies, centred):
    """copies: of the statistics of a block, which lie side by side."""
    groups = channels // width
    first, weights = _first(positions, channels, width, groups), cuda.blockIdx.x % groups * width
    size = positions * width
    shift, offset = x[first] if centred else real(0), real(0)
    if centred:
        total = real(0)
        for i in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            total += x[_place(i, first, channels, width)] - shift
        offset = block_sum(total) / real(size)
    squares = real(0)
    for i in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        difference = (x[_place(i, first, channels, width)] - shift) - offset
        squares += difference * difference
    scale = real(1) / real(math.sqrt(block_sum(squares) / real(size) + real(epsilon[0])))
    for i in range(cuda.threadIdx.x, copies, cuda.blockDim.x):
        rstd[cuda.blockIdx.x * copies + i] = scale
        if centred:
            mean[cuda.blockIdx.x * copies + i] = shift + offset
    for i in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        at, c = _place(i, first, channels, width), weights + i % width
        value = ((x[at] - shift) - offset) * (scale * gamma[c])
        y[at] = value + beta[c] if centred else value


@kernel
def _row_backward(x, dy, gamma, mean, rstd, dx, columns, centred, accumulate):
    first = cuda.blockIdx.x * columns
    centre, scale = mean[cuda.blockIdx.x] if centred else real(0), rstd[cuda.blockIdx.x]
    level, slope = real(0), real(0)
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        gradient = dy[first + j] * gamma[j]
        level += gradient
        slope += gradient * ((x[first + j] - centre) * scale)
    slope = block_sum(slope) / real(columns)
    level = block_sum(level) / real(columns)
    level = level if centred else real(0)
    for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        normalised = (x[first + j] - centre) * scale
        gradient = (dy[first + j] * gamma[j] - (level + normalised * slope)) * scale
        dx[first + j] = dx[first + j] + gradient if accumulate else gradient


@kernel
def _row_sums(x, dy, mean, rstd, dgamma, dbeta, beta_first, rows, columns, centred):
    """Over the rows of each blockIdx.y; dbeta starts at ``beta_first``."""
    column, first = cuda.grid(2)
    gamma_sum, beta_sum = real(0), real(0)
    if column < columns:
        for row in range(first, rows, row_step()):
            at = row * columns + column
            gamma_sum += dy[at] * ((x[at] - (mean[row] if centred else real(0))) * rstd[row])
            beta_sum += dy[at]
    gamma_sum = column_sum(gamma_sum)
    cuda.syncthreads()  # the second sum takes the memory of the first
    beta_sum = column_sum(beta_sum)
    if column < columns and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * columns + column
        dgamma[at] = gamma_sum
        if centred:
            dbeta[beta_first + at] = beta_sum


@kernel
def _sum_parts(partial, dgamma, dbeta, parts, columns, centred):
    """partial: (2, parts, columns)"""
    column = cuda.grid(1)
    if column < columns:
        gamma_sum, beta_sum = real(0), real(0)
        for part in range(parts):
            gamma_sum += partial[part * columns + column]
            beta_sum += partial[(parts + part) * columns + column] if centred else real(0)
        dgamma[column] = gamma_sum
        if centred:
            dbeta[column] = beta_sum


def _launch_row_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, centred, accumulate) -> None:
    rows, columns = x.shape
    x, dy = x.reshape(-1), dy.reshape(-1)
    arrays = x, dy, gamma, mean, rstd, dx.reshape(-1)
    launch(_row_backward, rows, row_block(columns), *arrays, columns, centred, accumulate)
    parts, block = row_parts(rows, columns), column_block(rows, columns)
    grid = ceil_div(columns, block[0]), parts
    if parts == 1:
        launch(_row_sums, grid, block, x, dy, mean, rstd, dgamma, dbeta, 0, rows, columns, centred)
        return
    partial = workspace(2 * parts * columns, dgamma.dtype)
    launch(_row_sums, grid, block, x, dy, mean, rstd, partial, partial, parts * columns, rows, columns, centred)
    launch(_sum_parts, ceil_div(columns, 64), 64, partial, dgamma, dbeta, parts, columns, centred)


@kernel
def _group_sums(x, dy, mean, rstd, dgamma, dbeta, positions, channels):
    """A sample for each blockIdx.y."""
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    sample = cuda.blockIdx.y
    statistic = sample * channels + channel
    gamma_sum, beta_sum = real(0), real(0)
    if channel < channels:
        for position in range(cuda.threadIdx.y, positions, cuda.blockDim.y):
            at = (sample * positions + position) * channels + channel
            gamma_sum += dy[at] * ((x[at] - mean[statistic]) * rstd[statistic])
            beta_sum += dy[at]
    gamma_sum = column_sum(gamma_sum)
    cuda.syncthreads()
    beta_sum = column_sum(beta_sum)
    if channel < channels and cuda.threadIdx.y == 0:
        dgamma[statistic] = gamma_sum
        dbeta[statistic] = beta_sum


@kernel
def _group_means(gamma, dgamma, dbeta, slopes, levels, width, channels, terms, count):
    """A group of a sample for each thread; terms: elements that are normalised together."""
    for group in range(cuda.grid(1), count, cuda.gridsize(1)):
        first, slope, level = group * width, real(0), real(0)
        for i in range(first, first + width):
            slope += gamma[i % channels] * dgamma[i]
            level += gamma[i % channels] * dbeta[i]
        slope /= real(terms)
        level /= real(terms)
        for i in range(first, first + width):
            slopes[i] = slope
            levels[i] = level


@kernel
def _group_data(x, dy, gamma, mean, rstd, slopes, levels, dx, positions, channels, accumulate):
    for at in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        channel = at % channels
        statistic = at // (positions * channels) * channels + channel
        scale = rstd[statistic]
        normalised = (x[at] - mean[statistic]) * scale
        gradient = (dy[at] * gamma[channel] - (levels[statistic] + normalised * slopes[statistic])) * scale
        dx[at] = dx[at] + gradient if accumulate else gradient


def _launch_forward(x, gamma, beta, y, mean, rstd, epsilon, shape, groups, copies, centred) -> None:
    samples, positions, channels = shape
    width = channels // groups
    arrays = x.reshape(-1), gamma, beta, y.reshape(-1), mean.reshape(-1), rstd.reshape(-1)
    rest = positions, channels, width, copies, centred
    launch(_forward, samples * groups, row_block(positions * width), *arrays, epsilon, *rest)


def _rows(x) -> tuple[int, int, int]:
    """Rows as samples of one position."""
    rows, columns = x.shape
    return rows, 1, columns


def layer_norm_forward(x, gamma, beta, y, mean, rstd, epsilon):
    """y = (x - mean) * rstd * gamma + beta, with each row's mean and rstd = 1 / sqrt(variance + epsilon).

    (Ba et al. 2016, equation 4.)  x, y: (M, C), gamma, beta: (C,), mean, rstd: (M,)
    """
    _launch_forward(x, gamma, beta, y, mean, rstd, epsilon, _rows(x), 1, 1, True)


def layer_norm_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, accumulate):
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma, xhat = (x - mean) rstd, added to dx if accumulate.

    dgamma and dbeta are the sums over the rows of dy xhat and of dy.  x, dy, dx: (M, C), gamma, dgamma, dbeta: (C,),
    mean, rstd: (M,)
    """
    _launch_row_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, True, accumulate)


def rms_norm_forward(x, gamma, y, rstd, epsilon):
    """y = x * rstd * gamma, rstd = 1 / sqrt(mean of x^2 + epsilon) of each row (Zhang and Sennrich 2019, equation 4).

    x, y: (M, C), gamma: (C,), rstd: (M,)
    """
    _launch_forward(x, gamma, gamma, y, rstd, rstd, epsilon, _rows(x), 1, 1, False)


def rms_norm_backward(x, dy, gamma, rstd, dx, dgamma, accumulate):
    """dx = rstd (g - xhat mean(g xhat)), g = dy gamma, xhat = x rstd, added to dx if accumulate; dgamma = sum(dy xhat).

    x, dy, dx: (M, C), gamma, dgamma: (C,), rstd: (M,)
    """
    _launch_row_backward(x, dy, gamma, rstd, rstd, dx, dgamma, dgamma, False, accumulate)


def group_norm_forward(x, gamma, beta, y, mean, rstd, groups, epsilon):
    """y = (x - mean) * rstd * gamma + beta, with mean and rstd of each sample's groups of neighbouring channels.

    (Wu and He 2018, equation 1.)  x, y: (N, P, C), gamma, beta: (C,), mean, rstd: (N, C), the same for a whole group
    """
    _launch_forward(x, gamma, beta, y, mean, rstd, epsilon, x.shape, groups, x.shape[2] // groups, True)


def group_norm_backward_sums(x, dy, mean, rstd, dgamma, dbeta):
    """For each sample the sums over positions of dy * (x - mean) * rstd and of dy.

    x, dy: (N, P, C), mean, rstd, dgamma, dbeta: (N, C)
    """
    samples, positions, channels = x.shape
    width, height = column_block(positions, channels)
    arrays = (array.reshape(-1) for array in (x, dy, mean, rstd, dgamma, dbeta))
    launch(_group_sums, (ceil_div(channels, width), samples), (width, height), *arrays, positions, channels)


def group_norm_backward_means(gamma, dgamma, dbeta, slopes, levels, groups, positions):
    """For each channel the means over its group of gamma * dgamma and of gamma * dbeta, sums over so many positions.

    gamma: (C,), dgamma, dbeta, slopes, levels: (N, C)
    """
    samples, channels = dgamma.shape
    width = channels // groups
    arrays = (array.reshape(-1) for array in (gamma, dgamma, dbeta, slopes, levels))
    count = samples * groups
    launch(_group_means, *over(count), *arrays, width, channels, positions * width, count)


def group_norm_backward_data(x, dy, gamma, mean, rstd, slopes, levels, dx, accumulate):
    """dx = rstd (dy gamma - (levels + xhat slopes)), xhat = (x - mean) rstd, added to dx if accumulate.

    x, dy, dx: (N, P, C), gamma: (C,), mean, rstd, slopes, levels: (N, C)
    """
    _, positions, channels = x.shape
    arrays = [array.reshape(-1) for array in (x, dy, gamma, mean, rstd, slopes, levels, dx)]
    launch(_group_data, *over(x.size), *arrays, positions, channels, accumulate)
