"""Batch normalisation over the rows of (M, C) (Ioffe and Szegedy, 2015): statistics per chunk, then combined.

The kernels with ``relu`` in their name do what a ReLU behind the normalisation adds, in the same pass; going back, its
mask is where its result y is positive.  A thread keeps to one channel; sums over rows are split among blocks, whose
parts a second kernel adds up in order.
"""

import math

from ..scalar import real
from ._api import THREADS, ceil_div, cuda, function, is_aligned, kernel, launch, over, workspace
from ._blocks import column_sum, column_sums_of_quads
from ._columns import in_parts, over_columns, row_step, sum_block
from .ptx import load_quad, store_quad


@function
def _four(vector, c):
    return vector[c], vector[c + 1], vector[c + 2], vector[c + 3]


@function
def _combined(count, mean, m2, other_count, other_mean, other_m2):
    """Count, mean and sum of squared deviations of two sets of rows (Chan, Golub and LeVeque, 1979, eq. 2.1)."""
    if other_count == real(0):
        return count, mean, m2
    total = count + other_count
    fraction = other_count / total
    delta = other_mean - mean
    return total, mean + delta * fraction, m2 + other_m2 + delta * delta * (count * fraction)


@function
def _combine_rows(count, mean, m2, counts, means, m2s):
    """Combines what the threads of a block's columns have; the result is that of the threads of threadIdx.y = 0."""
    width = cuda.blockDim.x
    at = cuda.threadIdx.y * width + cuda.threadIdx.x
    counts[at] = count
    means[at] = mean
    m2s[at] = m2
    half = cuda.blockDim.y // 2
    while half > 0:
        cuda.syncthreads()
        if cuda.threadIdx.y < half:
            other = at + half * width
            count, mean, m2 = _combined(count, mean, m2, counts[other], means[other], m2s[other])
            counts[at] = count
            means[at] = mean
            m2s[at] = m2
        half //= 2
    return mean, m2


@function
def _square(value):
    """What rounding made of a sum of squares, no less than zero; NaN stays."""
    return real(0) if value < real(0) else value


@kernel
def _statistics(x, mean, m2, m2_first, rows, channels, share):
    """Mean and m2 of the ``share`` rows of each blockIdx.y; m2 of the first channel is at ``m2_first``.

    Means of several parts are differences from the first row: those of numbers far from zero lose no digits.
    """
    counts, means, m2s = (
        cuda.shared.array(THREADS, real), cuda.shared.array(THREADS, real), cuda.shared.array(THREADS, real)
    )  # fmt: skip
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    first = cuda.blockIdx.y * share + cuda.threadIdx.y
    end = min(rows, (cuda.blockIdx.y + 1) * share)
    # one pass over deviations d from the thread's own first row: m2 = sum d^2 - (sum d)^2 / count, little of it cancels
    count, total, squares, shift, origin = 0, real(0), real(0), real(0), real(0)
    if channel < channels and first < end:
        shift = x[first * channels + channel]
        origin = x[channel]
        for row in range(first, end, cuda.blockDim.y):
            deviation = x[row * channels + channel] - shift
            total += deviation
            squares += deviation * deviation
            count += 1
    rest = total / real(max(1, count))
    squares -= total * rest
    part_mean, part_m2 = _combine_rows(real(count), (shift - origin) + rest, _square(squares), counts, means, m2s)
    if channel < channels and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * channels + channel
        mean[at] = part_mean if cuda.gridDim.y > 1 else origin + part_mean
        m2[m2_first + at] = part_m2


@function
def _spread(count, mean, m2, middle):
    """What rows of this mean and m2 add to the m2 of rows around ``middle``."""
    return m2 + count * ((mean - middle) * (mean - middle))


@kernel
def _statistics_quads(x, mean, m2, m2_first, rows, channels, share):
    """The same for four channels of a thread; the block's mean first, then what is left around it."""
    middles = cuda.shared.array((4, THREADS), real)
    channel, lane = 4 * (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x), cuda.threadIdx.x
    first = cuda.blockIdx.y * share + cuda.threadIdx.y
    end = min(rows, (cuda.blockIdx.y + 1) * share)
    t = q = shift = origin = real(0), real(0), real(0), real(0)
    count = 0
    if channel < channels and first < end:
        shift = load_quad(x, first * channels + channel)
        origin = load_quad(x, channel)
        for row in range(first, end, cuda.blockDim.y):
            v = load_quad(x, row * channels + channel)
            d = v[0] - shift[0], v[1] - shift[1], v[2] - shift[2], v[3] - shift[3]
            t = t[0] + d[0], t[1] + d[1], t[2] + d[2], t[3] + d[3]
            q = q[0] + d[0] * d[0], q[1] + d[1] * d[1], q[2] + d[2] * d[2], q[3] + d[3] * d[3]
            count += 1
    n = real(count)
    part = real(1) / real(max(1, count))
    r = t[0] * part, t[1] * part, t[2] * part, t[3] * part
    q = (
        _square(q[0] - t[0] * r[0]), _square(q[1] - t[1] * r[1]),
        _square(q[2] - t[2] * r[2]), _square(q[3] - t[3] * r[3]),
    )  # fmt: skip
    own = (
        (shift[0] - origin[0]) + r[0], (shift[1] - origin[1]) + r[1],
        (shift[2] - origin[2]) + r[2], (shift[3] - origin[3]) + r[3],
    )  # fmt: skip
    t = column_sums_of_quads((n * own[0], n * own[1], n * own[2], n * own[3]))
    if cuda.threadIdx.y == 0:
        size = real(max(1, end - cuda.blockIdx.y * share))
        for i in range(4):
            middles[i, lane] = t[i] / size
    cuda.syncthreads()
    m = middles[0, lane], middles[1, lane], middles[2, lane], middles[3, lane]
    q = column_sums_of_quads((
        _spread(n, own[0], q[0], m[0]), _spread(n, own[1], q[1], m[1]),
        _spread(n, own[2], q[2], m[2]), _spread(n, own[3], q[3], m[3]),
    ))  # fmt: skip
    if channel < channels and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * channels + channel
        if cuda.gridDim.y == 1:
            m = origin[0] + m[0], origin[1] + m[1], origin[2] + m[2], origin[3] + m[3]
        store_quad(mean, at, m)
        store_quad(m2, m2_first + at, q)


@function
def _joined(parts, count, rows, channels, share):
    """Mean and m2 of all rows from those of ``count`` parts of ``share`` rows each, for threads of threadIdx.y = 0.

    parts: (2, count, channels)
    """
    middles = cuda.shared.array(THREADS, real)
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total, squares = real(0), real(0)
    if channel < channels:
        for part in range(cuda.threadIdx.y, count, cuda.blockDim.y):
            total += real(min(share, rows - part * share)) * parts[part * channels + channel]
    total = column_sum(total)
    if cuda.threadIdx.y == 0:
        middles[cuda.threadIdx.x] = total / real(max(1, rows))
    cuda.syncthreads()
    middle = middles[cuda.threadIdx.x]
    if channel < channels:
        for part in range(cuda.threadIdx.y, count, cuda.blockDim.y):
            at = part * channels + channel
            squares += _spread(real(min(share, rows - part * share)), parts[at], parts[count * channels + at], middle)
    return middle, column_sum(squares)


@kernel
def _combine_parts(x, parts, mean, m2, count, rows, channels, share):
    middle, squares = _joined(parts, count, rows, channels, share)
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if channel < channels and cuda.threadIdx.y == 0:
        mean[channel] = x[channel] + middle
        m2[channel] = squares


@kernel
def _moments(
    x, parts, mean, variance, rstd, epsilon, moving_mean, moving_variance, momentum, count, rows, channels, share
):  # fmt: skip
    middle, squares = _joined(parts, count, rows, channels, share)
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if channel < channels and cuda.threadIdx.y == 0:
        if count > 1:
            middle += x[channel]
        spread = squares / real(max(1, rows))
        mean[channel] = middle
        variance[channel] = spread
        rstd[channel] = real(1) / real(math.sqrt(spread + real(epsilon[0])))
        keep = real(momentum[0])
        take = real(1) - keep
        moving_mean[channel] = moving_mean[channel] * keep + middle * take
        moving_variance[channel] = moving_variance[channel] * keep + spread * take


def _has_quads(channels: int, *arrays) -> bool:
    return channels % 4 == 0 and all(map(is_aligned, arrays))


def batch_norm_statistics(x, mean, m2):
    """Mean and sum of squared deviations of one chunk.  x: (M, C), mean, m2: (C,); zeros if M = 0"""
    rows, channels = x.shape
    x = x.reshape(-1)
    launched, grid, block, share = _over_parts(x, rows, channels, mean, m2)
    parts = grid[1]
    if parts == 1:
        launch(launched, grid, block, x, mean, m2, 0, rows, channels, share)
        return
    partial = workspace(2 * parts * channels, x.dtype)
    launch(launched, grid, block, x, partial, partial, parts * channels, rows, channels, share)
    block = sum_block(channels, parts, 4)
    launch(_combine_parts, ceil_div(channels, block[0]), block, x, partial, mean, m2, parts, rows, channels, share)


def _over_parts(x, rows: int, channels: int, *results):
    """The kernel of parts of the rows, its grid and block, and the rows of a part."""
    quads = _has_quads(channels, x, *results)
    (across, parts), block = in_parts(rows, channels, quads)
    share = ceil_div(rows, parts)
    return _statistics_quads if quads else _statistics, (across, max(1, ceil_div(rows, max(1, share)))), block, share


@kernel
def _combine(means, m2s, counts, mean, variance, rstd, epsilon, chunks, channels):
    smallest = real(epsilon[0])
    for c in range(cuda.grid(1), channels, cuda.gridsize(1)):
        total, middle, squares = 0, real(0), real(0)
        for g in range(chunks):
            if counts[g] > 0:
                before = total
                total += counts[g]
                fraction = real(counts[g]) / real(total)
                delta = means[g * channels + c] - middle
                middle += delta * fraction
                squares += m2s[g * channels + c] + delta * delta * (real(before) * fraction)
        spread = squares / real(max(1, total))
        mean[c] = middle
        variance[c] = spread
        rstd[c] = real(1) / real(math.sqrt(spread + smallest))


def batch_norm_combine(means, m2s, counts, mean, variance, rstd, epsilon):
    """Statistics of the batch from those of its chunks, in chunk order (Chan, Golub and LeVeque, 1979, eq. 2.1).

    means, m2s: (G, C), counts: (G,) int64, mean, variance (biased), rstd = 1 / sqrt(variance + epsilon): (C,)
    """
    chunks, channels = means.shape
    means, m2s = means.reshape(-1), m2s.reshape(-1)
    launch(_combine, *over(channels), means, m2s, counts, mean, variance, rstd, epsilon, chunks, channels)


@kernel
def _update_moving(mean, variance, moving_mean, moving_variance, momentum):
    keep = real(momentum[0])
    take = real(1) - keep
    for c in range(cuda.grid(1), mean.size, cuda.gridsize(1)):
        moving_mean[c] = moving_mean[c] * keep + mean[c] * take
        moving_variance[c] = moving_variance[c] * keep + variance[c] * take


def batch_norm_update_moving(mean, variance, moving_mean, moving_variance, momentum):
    """moving = moving * momentum + batch * (1 - momentum), biased variance included, as Keras 3 has it.  All: (C,)"""
    launch(_update_moving, *over(mean.size), mean, variance, moving_mean, moving_variance, momentum)


def _batch_norm_moments(x, mean, variance, rstd, epsilon, moving_mean, moving_variance, momentum):
    """batch_norm_statistics, batch_norm_combine and batch_norm_update_moving of a batch that is one chunk."""
    rows, channels = x.shape
    x = x.reshape(-1)
    launched, grid, block, share = _over_parts(x, rows, channels)
    parts = grid[1]
    partial = workspace(2 * parts * channels, x.dtype)
    launch(launched, grid, block, x, partial, partial, parts * channels, rows, channels, share)
    block = sum_block(channels, parts, 4)
    launch(
        _moments, ceil_div(channels, block[0]), block, x, partial, mean, variance, rstd, epsilon, moving_mean,
        moving_variance, momentum, parts, rows, channels, share,
    )  # fmt: skip


@kernel
def _rstd(variance, rstd, epsilon):
    smallest = real(epsilon[0])
    for c in range(cuda.grid(1), variance.size, cuda.gridsize(1)):
        rstd[c] = real(1) / real(math.sqrt(variance[c] + smallest))


def batch_norm_rstd(variance, rstd, epsilon):
    """rstd = 1 / sqrt(variance + epsilon), for inference from moving statistics.  variance, rstd: (C,)"""
    launch(_rstd, *over(variance.size), variance, rstd, epsilon)


@kernel
def _fold(kernel, bias, mean, variance, gamma, beta, epsilon, folded, folded_bias, rows, channels, has_bias):
    channel, first = cuda.grid(2)
    if channel < channels:
        root = real(math.sqrt(variance[channel] + real(epsilon[0])))
        scale = gamma[channel] / root
        if first == 0:
            shift = bias[channel] if has_bias else real(0)
            folded_bias[channel] = (shift - mean[channel]) / root * gamma[channel] + beta[channel]
        for row in range(first, rows, row_step()):
            folded[row * channels + channel] = kernel[row * channels + channel] * scale


def _launch_fold(kernel, bias, mean, variance, gamma, beta, epsilon, folded, folded_bias, has_bias):
    channels = mean.size
    rows = kernel.size // channels
    launch(
        _fold, *over_columns(max(1, rows), channels), kernel.reshape(-1), bias, mean, variance, gamma, beta, epsilon,
        folded.reshape(-1), folded_bias, rows, channels, has_bias,
    )  # fmt: skip


def batch_norm_fold(kernel, mean, variance, gamma, beta, epsilon, folded, folded_bias):
    """Weights and bias with which a layer does the batch normalisation after it, too (in inference).

    folded = kernel gamma / sqrt(variance + epsilon), and the bias to it.  kernel, folded: (..., C), the rest: (C,)
    """
    _launch_fold(kernel, mean, mean, variance, gamma, beta, epsilon, folded, folded_bias, False)


def batch_norm_fold_bias(kernel, bias, mean, variance, gamma, beta, epsilon, folded, folded_bias):
    """The same for a layer that has a bias (C,)."""
    _launch_fold(kernel, bias, mean, variance, gamma, beta, epsilon, folded, folded_bias, True)


# What goes element by element has two kernels: the second takes four neighbouring channels of a row at once.


def _launch_rows(one_by_one, by_quads, x, arrays, *rest):
    """Launch the kernel that fits x, (M, C); arrays: those of its size, which are first, and of (C,)."""
    rows, channels = x.shape
    whole = channels % 4 == 0 and all(is_aligned(array) for array in arrays if array.size == x.size)
    grid_and_block = over_columns(rows, channels // 4 if whole else channels)
    flat = [array.reshape(-1) for array in arrays]
    launch(by_quads if whole else one_by_one, *grid_and_block, *flat, rows, channels, *rest)


@function
def _normalised(x, residual, mean, scale, beta, relu):
    value = (x - mean) * scale + beta + residual
    return real(0) if relu and value <= real(0) else value


@kernel
def _apply(x, residual, y, mean, rstd, gamma, beta, rows, channels, add, relu):
    c, first = cuda.grid(2)
    if c < channels:
        centre, scale, shift = mean[c], rstd[c] * gamma[c], beta[c]
        for row in range(first, rows, row_step()):
            at = row * channels + c
            y[at] = _normalised(x[at], residual[at] if add else real(0), centre, scale, shift, relu)


@kernel
def _apply_quads(x, residual, y, mean, rstd, gamma, beta, rows, channels, add, relu):
    quad, first = cuda.grid(2)
    c = 4 * quad
    if c < channels:
        m, r, g, b = _four(mean, c), _four(rstd, c), _four(gamma, c), _four(beta, c)
        s = r[0] * g[0], r[1] * g[1], r[2] * g[2], r[3] * g[3]
        for row in range(first, rows, row_step()):
            at = row * channels + c
            v = load_quad(x, at)
            e = load_quad(residual, at) if add else (real(0), real(0), real(0), real(0))
            results = (
                _normalised(v[0], e[0], m[0], s[0], b[0], relu), _normalised(v[1], e[1], m[1], s[1], b[1], relu),
                _normalised(v[2], e[2], m[2], s[2], b[2], relu), _normalised(v[3], e[3], m[3], s[3], b[3], relu),
            )  # fmt: skip
            store_quad(y, at, results)


def _launch_apply(x, residual, mean, rstd, gamma, beta, y, add, relu):
    _launch_rows(_apply, _apply_quads, x, (x, residual, y, mean, rstd, gamma, beta), add, relu)


def batch_norm_apply(x, mean, rstd, gamma, beta, y):
    """y = (x - mean) * rstd * gamma + beta.  x, y: (M, C), the rest: (C,); y may be x's memory."""
    _launch_apply(x, x, mean, rstd, gamma, beta, y, False, False)


def batch_norm_relu_apply(x, mean, rstd, gamma, beta, y):
    """y = relu((x - mean) * rstd * gamma + beta).  x, y: (M, C), the rest: (C,); y may be x's memory."""
    _launch_apply(x, x, mean, rstd, gamma, beta, y, False, True)


def batch_norm_add_relu_apply(x, residual, mean, rstd, gamma, beta, y):
    """y = relu((x - mean) * rstd * gamma + beta + residual).  x, residual, y: (M, C), the rest: (C,)"""
    _launch_apply(x, residual, mean, rstd, gamma, beta, y, True, True)


@function
def _add_pair(gamma_sum, beta_sum, dgamma, dbeta, beta_first, channels, accumulate):
    """The sums over a block's rows, into row blockIdx.y of dgamma and of dbeta, which starts at ``beta_first``."""
    gamma_sum = column_sum(gamma_sum)
    cuda.syncthreads()  # the second sum takes the memory of the first
    beta_sum = column_sum(beta_sum)
    channel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if channel < channels and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * channels + channel
        dgamma[at] = dgamma[at] + gamma_sum if accumulate else gamma_sum
        dbeta[beta_first + at] = dbeta[beta_first + at] + beta_sum if accumulate else beta_sum


@kernel
def _backward_sums(x, y, dy, mean, rstd, dgamma, dbeta, beta_first, rows, channels, relu, accumulate):
    channel, first = cuda.grid(2)
    gamma_sum, beta_sum = real(0), real(0)
    if channel < channels:
        centre, scale = mean[channel], rstd[channel]
        for row in range(first, rows, row_step()):
            at = row * channels + channel
            gradient, result = dy[at], y[at] if relu else real(1)
            passed = (
                gradient if result > real(0) else real(0)
            )  # a choice, not a branch: loads don't wait for each other
            gamma_sum += passed * ((x[at] - centre) * scale)
            beta_sum += passed
    _add_pair(gamma_sum, beta_sum, dgamma, dbeta, beta_first, channels, accumulate)


@function
def _add_quad(gamma, beta, x, y, dy, mean, rstd, relu):
    passed = dy if not relu or y > real(0) else real(0)
    return gamma + passed * ((x - mean) * rstd), beta + passed


@kernel
def _backward_sums_quads(x, y, dy, mean, rstd, dgamma, dbeta, beta_first, rows, channels, relu, accumulate):
    quad, first = cuda.grid(2)
    c = 4 * quad
    zeros = real(0), real(0), real(0), real(0)
    g = b = zeros
    if c < channels:
        m, r = _four(mean, c), _four(rstd, c)
        for row in range(first, rows, row_step()):
            at = row * channels + c
            v, d = load_quad(x, at), load_quad(dy, at)
            o = load_quad(y, at) if relu else zeros
            g0, b0 = _add_quad(g[0], b[0], v[0], o[0], d[0], m[0], r[0], relu)
            g1, b1 = _add_quad(g[1], b[1], v[1], o[1], d[1], m[1], r[1], relu)
            g2, b2 = _add_quad(g[2], b[2], v[2], o[2], d[2], m[2], r[2], relu)
            g3, b3 = _add_quad(g[3], b[3], v[3], o[3], d[3], m[3], r[3], relu)
            g, b = (g0, g1, g2, g3), (b0, b1, b2, b3)
    g = column_sums_of_quads(g)
    cuda.syncthreads()  # the second sum takes the memory of the first
    b = column_sums_of_quads(b)
    if c < channels and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * channels + c
        e = load_quad(dgamma, at) if accumulate else zeros
        f = load_quad(dbeta, beta_first + at) if accumulate else zeros
        store_quad(dgamma, at, (e[0] + g[0], e[1] + g[1], e[2] + g[2], e[3] + g[3]))
        store_quad(dbeta, beta_first + at, (f[0] + b[0], f[1] + b[1], f[2] + b[2], f[3] + b[3]))


@kernel
def _sum_pairs(parts, dgamma, dbeta, count, channels, accumulate):
    """parts: (2, count, channels)"""
    channel, first = cuda.grid(2)
    gamma_sum, beta_sum = real(0), real(0)
    if channel < channels:
        for part in range(first, count, row_step()):
            gamma_sum += parts[part * channels + channel]
            beta_sum += parts[(count + part) * channels + channel]
    _add_pair(gamma_sum, beta_sum, dgamma, dbeta, 0, channels, accumulate)


def _backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate, relu):
    rows, channels = x.shape
    arrays = x.reshape(-1), y.reshape(-1), dy.reshape(-1), mean, rstd
    quads = _has_quads(channels, *arrays[:3], dgamma, dbeta)
    grid, block = in_parts(rows, channels, quads)
    launched, parts = _backward_sums_quads if quads else _backward_sums, grid[1]
    if parts == 1:
        launch(launched, grid, block, *arrays, dgamma, dbeta, 0, rows, channels, relu, accumulate)
        return
    partial = workspace(2 * parts * channels, dgamma.dtype)
    launch(launched, grid, block, *arrays, partial, partial, parts * channels, rows, channels, relu, False)
    block = sum_block(channels, parts, 4)
    launch(_sum_pairs, ceil_div(channels, block[0]), block, partial, dgamma, dbeta, parts, channels, accumulate)


def batch_norm_backward_statistics(x, dy, mean, rstd, dgamma, dbeta, accumulate):
    """One chunk's sums of dy * xhat and of dy, xhat = (x - mean) * rstd.  x, dy: (M, C), the rest: (C,)"""
    _backward_statistics(x, x, dy, mean, rstd, dgamma, dbeta, accumulate, False)


def batch_norm_relu_backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate):
    """batch_norm_backward_statistics of dy where y > 0.  x, y, dy: (M, C), the rest: (C,)"""
    _backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate, True)


@function
def _gradient(x, y, dy, mean, slope, level, scale, relu):
    passed = dy if not relu or y > real(0) else real(0)
    return (passed - (level + (x - mean) * slope)) * scale


@kernel
def _backward_data(x, y, dy, dx, mean, rstd, gamma, dgamma, dbeta, rows, channels, count, relu, accumulate):
    c, first = cuda.grid(2)
    if c < channels:
        inverse_count = real(1) / real(count)
        centre, scale = mean[c], gamma[c] * rstd[c]
        slope, level = rstd[c] * dgamma[c] * inverse_count, dbeta[c] * inverse_count
        for row in range(first, rows, row_step()):
            at = row * channels + c
            gradient = _gradient(x[at], y[at] if relu else real(0), dy[at], centre, slope, level, scale, relu)
            dx[at] = dx[at] + gradient if accumulate else gradient


@kernel
def _backward_data_quads(x, y, dy, dx, mean, rstd, gamma, dgamma, dbeta, rows, channels, count, relu, accumulate):
    quad, first = cuda.grid(2)
    c = 4 * quad
    if c < channels:
        inverse_count = real(1) / real(count)
        zeros = real(0), real(0), real(0), real(0)
        m, r, g, w, b = _four(mean, c), _four(rstd, c), _four(gamma, c), _four(dgamma, c), _four(dbeta, c)
        s = r[0] * g[0], r[1] * g[1], r[2] * g[2], r[3] * g[3]
        k = (
            r[0] * w[0] * inverse_count, r[1] * w[1] * inverse_count,
            r[2] * w[2] * inverse_count, r[3] * w[3] * inverse_count,
        )  # fmt: skip
        b = b[0] * inverse_count, b[1] * inverse_count, b[2] * inverse_count, b[3] * inverse_count
        for row in range(first, rows, row_step()):
            at = row * channels + c
            v, d = load_quad(x, at), load_quad(dy, at)
            o = load_quad(y, at) if relu else zeros
            a = load_quad(dx, at) if accumulate else zeros
            results = (
                a[0] + _gradient(v[0], o[0], d[0], m[0], k[0], b[0], s[0], relu),
                a[1] + _gradient(v[1], o[1], d[1], m[1], k[1], b[1], s[1], relu),
                a[2] + _gradient(v[2], o[2], d[2], m[2], k[2], b[2], s[2], relu),
                a[3] + _gradient(v[3], o[3], d[3], m[3], k[3], b[3], s[3], relu),
            )
            store_quad(dx, at, results)


def _launch_backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, relu):
    arrays = x, y, dy, dx, mean, rstd, gamma, dgamma, dbeta
    _launch_rows(_backward_data, _backward_data_quads, x, arrays, count, relu, accumulate)


def batch_norm_backward_data(x, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate):
    """dx = gamma * rstd * (dy - (dbeta + xhat * dgamma) / count), the training mode's gradient.

    x, dy, dx: (M, C), the rest: (C,).  dgamma and dbeta are sums over the ``count`` rows of the whole batch.
    """
    _launch_backward_data(x, x, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, False)


def batch_norm_relu_backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate):
    """batch_norm_backward_data of dy where y > 0.  x, y, dy, dx: (M, C), the rest: (C,)"""
    _launch_backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, True)


@kernel
def _backward_data_frozen(dy, dx, rstd, gamma, rows, channels, accumulate):
    c, first = cuda.grid(2)
    if c < channels:
        scale = gamma[c] * rstd[c]
        for row in range(first, rows, row_step()):
            at = row * channels + c
            gradient = dy[at] * scale
            dx[at] = dx[at] + gradient if accumulate else gradient


@kernel
def _backward_data_frozen_quads(dy, dx, rstd, gamma, rows, channels, accumulate):
    quad, first = cuda.grid(2)
    c = 4 * quad
    if c < channels:
        r, g = _four(rstd, c), _four(gamma, c)
        for row in range(first, rows, row_step()):
            at = row * channels + c
            d = load_quad(dy, at)
            a = load_quad(dx, at) if accumulate else (real(0), real(0), real(0), real(0))
            results = (
                a[0] + d[0] * (g[0] * r[0]), a[1] + d[1] * (g[1] * r[1]),
                a[2] + d[2] * (g[2] * r[2]), a[3] + d[3] * (g[3] * r[3]),
            )  # fmt: skip
            store_quad(dx, at, results)


def batch_norm_backward_data_frozen(dy, rstd, gamma, dx, accumulate):
    """dx = dy * gamma * rstd, where the statistics are constants.  dy, dx: (M, C), rstd, gamma: (C,)"""
    _launch_rows(_backward_data_frozen, _backward_data_frozen_quads, dy, (dy, dx, rstd, gamma), accumulate)
