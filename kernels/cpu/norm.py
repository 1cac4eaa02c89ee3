"""Batch normalisation over the rows of (M, C) (Ioffe and Szegedy, 2015): statistics per chunk, then combined."""

import numpy as np

from ._jit import kernel, kernel_attributes


@kernel
def batch_norm_statistics(x, mean, m2):
    """Mean and sum of squared deviations of one chunk, in two passes.  x: (M, C), mean, m2: (C,); zeros if M = 0

    The first pass sums deviations from the first row, so a large common offset costs no digits.
    """
    kernel_attributes()
    rows, channels = x.shape
    for c in range(channels):
        mean[c] = 0
        m2[c] = 0
    if rows == 0:
        return
    for m in range(rows):
        for c in range(channels):
            mean[c] += x[m, c] - x[0, c]
    share = x.dtype.type(1) / x.dtype.type(rows)
    for c in range(channels):
        mean[c] = x[0, c] + mean[c] * share
    for m in range(rows):
        for c in range(channels):
            deviation = x[m, c] - mean[c]
            m2[c] += deviation * deviation


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
        share = number(counts[g]) / number(total)
        weight = number(before) * share
        for c in range(channels):
            delta = means[g, c] - mean[c]
            mean[c] += delta * share
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


@kernel
def batch_norm_apply(x, mean, rstd, gamma, beta, y):
    """y = (x - mean) * rstd * gamma + beta.  x, y: (M, C), the rest: (C,); y may be x's memory."""
    kernel_attributes()
    for m in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[m, c] = (x[m, c] - mean[c]) * (rstd[c] * gamma[c]) + beta[c]


@kernel
def batch_norm_backward_statistics(x, dy, mean, rstd, dgamma, dbeta, accumulate):
    """One chunk's sums of dy * xhat and of dy, xhat = (x - mean) * rstd.  x, dy: (M, C), the rest: (C,)"""
    kernel_attributes()
    if not accumulate:
        for c in range(x.shape[1]):
            dgamma[c] = 0
            dbeta[c] = 0
    for m in range(x.shape[0]):
        for c in range(x.shape[1]):
            dgamma[c] += dy[m, c] * ((x[m, c] - mean[c]) * rstd[c])
            dbeta[c] += dy[m, c]


@kernel
def batch_norm_backward_data(x, dy, mean, rstd, gamma, dgamma, dbeta, dx, count, accumulate):
    """dx = gamma * rstd * (dy - (dbeta + xhat * dgamma) / count), the training mode's gradient.

    x, dy, dx: (M, C), the rest: (C,).  dgamma and dbeta are sums over the ``count`` rows of the whole batch.
    """
    kernel_attributes()
    share = x.dtype.type(1) / x.dtype.type(count)
    zero = x.dtype.type(0)
    for m in range(x.shape[0]):
        for c in range(x.shape[1]):
            common = (dbeta[c] + (x[m, c] - mean[c]) * rstd[c] * dgamma[c]) * share
            before = dx[m, c] if accumulate else zero
            dx[m, c] = before + gamma[c] * rstd[c] * (dy[m, c] - common)


@kernel
def batch_norm_backward_data_frozen(dy, rstd, gamma, dx, accumulate):
    """dx = dy * gamma * rstd, where the statistics are constants.  dy, dx: (M, C), rstd, gamma: (C,)"""
    kernel_attributes()
    zero = dy.dtype.type(0)
    for m in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            before = dx[m, c] if accumulate else zero
            dx[m, c] = before + dy[m, c] * (gamma[c] * rstd[c])
