"""Batch normalisation over the rows of (M, C) (Ioffe and Szegedy, 2015): statistics per chunk, then combined.

The kernels with ``relu`` in their name do what a ReLU behind the normalisation adds, in the same pass; going back, its
mask is where its result y is positive.
"""

import numpy as np

from .runtime.arrays import SCRATCH, scratch
from .runtime.jit import apart, inlined, kernel, kernel_attributes, scalar
from .runtime.rows import fold, repeated, rows_together, zeros_for

_SHIFT_ROWS = 256  # of which the mean is near enough to that of all (a guess; see batch_norm_statistics)


@apart
def _add_deviations(x, start, rows, stride, shift, sums, squares):
    """sums += sum of x - shift over rows, squares += sum of (x - shift)^2, four rows at a time."""
    width = shift.size
    for m in range(0, rows - rows % 4, 4):
        at = start + m * stride
        a, b = x[at : at + width], x[at + stride : at + stride + width]
        at += 2 * stride
        c, d = x[at : at + width], x[at + stride : at + stride + width]
        for j in range(width):
            s = shift[j]
            e, f, g, h = a[j] - s, b[j] - s, c[j] - s, d[j] - s
            sums[j] += (e + f) + (g + h)
            squares[j] += (e * e + f * f) + (g * g + h * h)
    for m in range(rows - rows % 4, rows):
        a = x[start + m * stride : start + m * stride + width]
        for j in range(width):
            e = a[j] - shift[j]
            sums[j] += e
            squares[j] += e * e


@kernel
def batch_norm_statistics(x, mean, m2):
    """Mean and sum of squared deviations of one chunk.  x: (M, C), mean, m2: (C,); zeros if M = 0

    One pass over deviations d from a shift: m2 = sum d^2 - (sum d)^2 / M.  The shift is the mean of the first 256 rows,
    which is at most sqrt(M / 256) standard deviations from the mean of all, so that little cancels.
    """
    kernel_attributes()
    rows, channels = x.shape
    x = x.reshape(-1)
    mean[:] = 0
    m2[:] = 0
    if rows == 0:
        return
    early = min(rows, _SHIFT_ROWS)
    times = rows_together(rows, channels)
    wide_rows = rows // times
    one, zero = x.dtype.type(1), x.dtype.type(0)
    sums_space, wide_shift, wide_sums, wide_squares = (
        scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    )  # fmt: skip
    for start in range(0, channels, SCRATCH):
        shift, squares = mean[start : start + SCRATCH], m2[start : start + SCRATCH]
        sums = sums_space[: shift.size]
        first_row = x[start : start + shift.size]
        for c in range(shift.size):
            sums[c] = 0
        _add_deviations(x, start, early, channels, first_row, sums, squares)
        for c in range(shift.size):
            shift[c] = first_row[c] + sums[c] * (one / x.dtype.type(early))
            sums[c] = 0
            squares[c] = 0
        total, total_squares = zeros_for(sums, times, wide_sums), zeros_for(squares, times, wide_squares)
        stride = times * channels
        _add_deviations(x, start, wide_rows, stride, repeated(shift, times, wide_shift), total, total_squares)
        fold(total, times, sums)
        fold(total_squares, times, squares)
        _add_deviations(x, start + wide_rows * stride, rows % times, channels, shift, sums, squares)
        for c in range(shift.size):
            rest = sums[c] * (one / x.dtype.type(rows))
            difference = squares[c] - sums[c] * rest
            squares[c] = zero if difference < zero else difference
            shift[c] += rest


@kernel
def batch_norm_combine(means, m2s, counts, mean, variance, rstd, epsilon):
    """Statistics of the batch from those of its chunks, in chunk order (Chan, Golub and LeVeque, 1979, eq. 2.1).

    means, m2s: (G, C), counts: (G,) int64, mean, variance (biased), rstd = 1 / sqrt(variance + epsilon): (C,)
    """
    kernel_attributes()
    chunks, channels = means.shape
    number = means.dtype.type
    for c in range(channels):
        mean[c] = 0
        variance[c] = 0
    total = 0
    for g in range(chunks):
        if counts[g] == 0:
            continue
        before = total
        total += counts[g]
        fraction = number(counts[g]) / number(total)
        weight = number(before) * fraction
        for c in range(channels):
            delta = means[g, c] - mean[c]
            mean[c] += delta * fraction
            variance[c] += m2s[g, c] + delta * delta * weight
    for c in range(channels):
        variance[c] /= number(max(1, total))
        rstd[c] = number(1) / np.sqrt(variance[c] + number(epsilon))


@kernel
def batch_norm_update_moving(mean, variance, moving_mean, moving_variance, momentum):
    """moving = moving * momentum + batch * (1 - momentum), biased variance included, as Keras 3 has it.  All: (C,)"""
    kernel_attributes()
    keep = mean.dtype.type(momentum)
    take = mean.dtype.type(1 - momentum)
    for c in range(mean.shape[0]):
        moving_mean[c] = moving_mean[c] * keep + mean[c] * take
        moving_variance[c] = moving_variance[c] * keep + variance[c] * take


@kernel
def batch_norm_rstd(variance, rstd, epsilon):
    """rstd = 1 / sqrt(variance + epsilon), for inference from moving statistics.  variance, rstd: (C,)"""
    kernel_attributes()
    number = variance.dtype.type
    for c in range(variance.shape[0]):
        rstd[c] = number(1) / np.sqrt(variance[c] + number(epsilon))


@scalar
def _fold(kernel, mean, variance, gamma, beta, epsilon, folded, folded_bias):
    number = kernel.dtype.type
    channels = mean.size
    for c in range(channels):
        folded_bias[c] = (folded_bias[c] - mean[c]) / np.sqrt(variance[c] + number(epsilon)) * gamma[c] + beta[c]
    kernel, folded = kernel.reshape(-1), folded.reshape(-1)
    for first in range(0, kernel.size, channels):
        row, out = kernel[first : first + channels], folded[first : first + channels]
        for c in range(channels):
            out[c] = row[c] * (gamma[c] / np.sqrt(variance[c] + number(epsilon)))


@kernel
def batch_norm_fold(kernel, mean, variance, gamma, beta, epsilon, folded, folded_bias):
    """Weights and bias with which a layer does the batch normalisation after it, too (in inference).

    folded = kernel gamma / sqrt(variance + epsilon), and the bias to it.  kernel, folded: (..., C), the rest: (C,)
    """
    kernel_attributes()
    folded_bias[:] = 0
    _fold(kernel, mean, variance, gamma, beta, epsilon, folded, folded_bias)


@kernel
def batch_norm_fold_bias(kernel, bias, mean, variance, gamma, beta, epsilon, folded, folded_bias):
    """The same for a layer that has a bias (C,)."""
    kernel_attributes()
    folded_bias[:] = bias
    _fold(kernel, mean, variance, gamma, beta, epsilon, folded, folded_bias)


@inlined
def _cut(value, relu):
    return value if not relu or not value <= type(value)(0) else type(value)(0)


@inlined
def _apply(x, mean, rstd, gamma, beta, y, relu, spaces):
    times = rows_together(*x.shape)
    mean, rstd = repeated(mean, times, spaces[0]), repeated(rstd, times, spaces[1])
    gamma, beta = repeated(gamma, times, spaces[2]), repeated(beta, times, spaces[3])
    x = x.reshape(-1)
    y = y.reshape(-1)
    for first in range(0, y.size, mean.size):
        out = y[first : first + mean.size]
        # in place is a loop of its own: the compiler only vectorises what doesn't overlap
        if x.ctypes.data == y.ctypes.data:
            for j in range(out.size):
                out[j] = _cut((out[j] - mean[j]) * (rstd[j] * gamma[j]) + beta[j], relu)
        else:
            row = x[first : first + mean.size]
            for j in range(out.size):
                out[j] = _cut((row[j] - mean[j]) * (rstd[j] * gamma[j]) + beta[j], relu)


@kernel
def batch_norm_apply(x, mean, rstd, gamma, beta, y):
    """y = (x - mean) * rstd * gamma + beta.  x, y: (M, C), the rest: (C,); y may be x's memory."""
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _apply(x, mean, rstd, gamma, beta, y, False, spaces)


@kernel
def batch_norm_relu_apply(x, mean, rstd, gamma, beta, y):
    """y = relu((x - mean) * rstd * gamma + beta).  x, y: (M, C), the rest: (C,); y may be x's memory."""
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _apply(x, mean, rstd, gamma, beta, y, True, spaces)


@kernel
def batch_norm_add_relu_apply(x, residual, mean, rstd, gamma, beta, y):
    """y = relu((x - mean) * rstd * gamma + beta + residual).  x, residual, y: (M, C), the rest: (C,)"""
    kernel_attributes()
    times = rows_together(*x.shape)
    mean, rstd = repeated(mean, times, scratch(x.dtype)), repeated(rstd, times, scratch(x.dtype))
    gamma, beta = repeated(gamma, times, scratch(x.dtype)), repeated(beta, times, scratch(x.dtype))
    x = x.reshape(-1)
    residual = residual.reshape(-1)
    y = y.reshape(-1)
    for first in range(0, y.size, mean.size):
        last = first + mean.size
        row, extra, out = x[first:last], residual[first:last], y[first:last]
        for j in range(out.size):
            out[j] = _cut((row[j] - mean[j]) * (rstd[j] * gamma[j]) + beta[j] + extra[j], True)


@inlined
def _passed(gradient, y, relu):
    """The gradient that a ReLU of result y lets through."""
    return gradient if not relu or y > type(y)(0) else type(gradient)(0)


@inlined
def _backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate, relu, spaces):
    if not accumulate:
        dgamma[:] = 0
        dbeta[:] = 0
    times = rows_together(*x.shape)
    gamma_sums, beta_sums = zeros_for(dgamma, times, spaces[0]), zeros_for(dbeta, times, spaces[1])
    mean, rstd = repeated(mean, times, spaces[2]), repeated(rstd, times, spaces[3])
    x = x.reshape(-1)
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    for first in range(0, x.size, mean.size):
        last = first + mean.size
        x_row, y_row, dy_row = x[first:last], y[first:last], dy[first:last]
        for j in range(x_row.size):
            gradient = _passed(dy_row[j], y_row[j], relu)
            gamma_sums[j] += gradient * ((x_row[j] - mean[j]) * rstd[j])
            beta_sums[j] += gradient
    fold(gamma_sums, times, dgamma)
    fold(beta_sums, times, dbeta)


@kernel
def batch_norm_backward_statistics(x, dy, mean, rstd, dgamma, dbeta, accumulate):
    """One chunk's sums of dy * xhat and of dy, xhat = (x - mean) * rstd.  x, dy: (M, C), the rest: (C,)"""
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _backward_statistics(x, x, dy, mean, rstd, dgamma, dbeta, accumulate, False, spaces)


@kernel
def batch_norm_relu_backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate):
    """batch_norm_backward_statistics of dy where y > 0.  x, y, dy: (M, C), the rest: (C,)"""
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _backward_statistics(x, y, dy, mean, rstd, dgamma, dbeta, accumulate, True, spaces)


@inlined
def _backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, relu, spaces):
    inverse_count = x.dtype.type(1) / x.dtype.type(count)
    times = rows_together(*x.shape)
    mean, rstd = repeated(mean, times, spaces[0]), repeated(rstd, times, spaces[1])
    gamma, dgamma = repeated(gamma, times, spaces[2]), repeated(dgamma, times, spaces[3])
    dbeta = repeated(dbeta, times, spaces[4])
    x = x.reshape(-1)
    y = y.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    for first in range(0, x.size, mean.size):
        last = first + mean.size
        x_row, y_row, dy_row, dx_row = x[first:last], y[first:last], dy[first:last], dx[first:last]
        if accumulate:
            for j in range(x_row.size):
                common = (dbeta[j] + (x_row[j] - mean[j]) * (rstd[j] * dgamma[j])) * inverse_count
                dx_row[j] += (_passed(dy_row[j], y_row[j], relu) - common) * (gamma[j] * rstd[j])
        elif dx.ctypes.data == dy.ctypes.data:
            for j in range(x_row.size):
                common = (dbeta[j] + (x_row[j] - mean[j]) * (rstd[j] * dgamma[j])) * inverse_count
                dx_row[j] = (_passed(dx_row[j], y_row[j], relu) - common) * (gamma[j] * rstd[j])
        else:
            for j in range(x_row.size):
                common = (dbeta[j] + (x_row[j] - mean[j]) * (rstd[j] * dgamma[j])) * inverse_count
                dx_row[j] = (_passed(dy_row[j], y_row[j], relu) - common) * (gamma[j] * rstd[j])


@kernel
def batch_norm_backward_data(x, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate):
    """dx = gamma * rstd * (dy - (dbeta + xhat * dgamma) / count), the training mode's gradient.

    x, dy, dx: (M, C), dx may be dy's memory where accumulate is false; the rest: (C,).  dgamma and dbeta are sums over
    the ``count`` rows of the whole batch.
    """
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _backward_data(x, x, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, False, spaces)


@kernel
def batch_norm_relu_backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate):
    """batch_norm_backward_data of dy where y > 0.  x, y, dy, dx: (M, C), the rest: (C,)"""
    kernel_attributes()
    spaces = scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype), scratch(x.dtype)
    _backward_data(x, y, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate, True, spaces)


@kernel
def batch_norm_backward_data_frozen(dy, rstd, gamma, dx, accumulate):
    """dx = dy * gamma * rstd, where the statistics are constants.  dy, dx: (M, C), rstd, gamma: (C,)"""
    kernel_attributes()
    times = rows_together(*dy.shape)
    rstd, gamma = repeated(rstd, times, scratch(dy.dtype)), repeated(gamma, times, scratch(dy.dtype))
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    for first in range(0, dx.size, rstd.size):
        row, out = dy[first : first + rstd.size], dx[first : first + rstd.size]
        if accumulate:
            for j in range(out.size):
                out[j] += row[j] * (gamma[j] * rstd[j])
        else:
            for j in range(out.size):
                out[j] = row[j] * (gamma[j] * rstd[j])
