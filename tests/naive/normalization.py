"""Batch normalisation over rows, in NumPy float64."""

import numpy as np


def _float64(*arrays):
    return [array.astype(np.float64) for array in arrays]


def batch_norm_statistics(x):
    (x,) = _float64(x)
    if len(x) == 0:
        return np.zeros(x.shape[1]), np.zeros(x.shape[1])
    return x.mean(0), x.var(0) * len(x)


def batch_norm_combine(means, m2s, counts, epsilon):
    """From E[x] and E[x^2] of the whole, which float64 affords where the test's numbers are near 1."""
    means, m2s = _float64(means, m2s)
    weights = counts[:, None] / max(1, counts.sum())
    mean = (weights * means).sum(0)
    squares = (m2s.sum(0) / max(1, counts.sum())) + (weights * means**2).sum(0)
    variance = squares - mean**2
    return mean, variance, 1 / np.sqrt(variance + epsilon)


def batch_norm_update_moving(mean, variance, moving_mean, moving_variance, momentum):
    mean, variance, moving_mean, moving_variance = _float64(mean, variance, moving_mean, moving_variance)
    return (
        moving_mean * momentum + mean * (1 - momentum),
        moving_variance * momentum + variance * (1 - momentum),
    )


def batch_norm_rstd(variance, epsilon):
    return 1 / np.sqrt(variance.astype(np.float64) + epsilon)


def batch_norm_apply(x, mean, rstd, gamma, beta):
    x, mean, rstd, gamma, beta = _float64(x, mean, rstd, gamma, beta)
    return (x - mean) * rstd * gamma + beta


def batch_norm_backward_statistics(x, dy, mean, rstd):
    x, dy, mean, rstd = _float64(x, dy, mean, rstd)
    return (dy * (x - mean) * rstd).sum(0), dy.sum(0)


def batch_norm_backward_data(x, dy, mean, rstd, gamma, dgamma, dbeta, count):
    """Chain rule through xhat, the variance and the mean, one after the other (Ioffe and Szegedy, 2015, section 3).

    The sums over the batch are given, so that x and dy may be a chunk: sum(dy) = dbeta, sum(dy * (x - mean)) =
    dgamma / rstd, and the sum of the deviations x - mean over the batch is zero.
    """
    x, dy, mean, rstd, gamma, dgamma, dbeta = _float64(x, dy, mean, rstd, gamma, dgamma, dbeta)
    dvariance = gamma * dgamma / rstd * -0.5 * rstd**3
    dmean = -gamma * dbeta * rstd
    return dy * gamma * rstd + dvariance * 2 * (x - mean) / count + dmean / count


def batch_norm_backward_data_frozen(dy, rstd, gamma):
    dy, rstd, gamma = _float64(dy, rstd, gamma)
    return dy * rstd * gamma


def layer_norm(x, gamma, beta, epsilon):
    """x: (M, C)"""
    x = x.astype(np.float64)
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def rms_norm(x, gamma, epsilon):
    """x: (M, C)"""
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(1, keepdims=True) + epsilon) * gamma


def group_norm(x, gamma, beta, groups, epsilon):
    """x: (N, P, C)"""
    samples, positions, channels = x.shape
    parts = x.astype(np.float64).reshape(samples, positions, groups, channels // groups)
    mean, variance = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    return ((parts - mean) / np.sqrt(variance + epsilon)).reshape(x.shape) * gamma + beta
