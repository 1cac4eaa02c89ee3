"""Normalisation of each sample by itself: over its rows, their root mean square, or groups of channels.

Means are those of differences from a first element, so that numbers far from zero lose no digits.  The gradient takes
one pass for the sums of a row (or a group), with those of gamma and beta, and one for dx.
"""

import numpy as np

from .runtime.arrays import separate_arrays
from .runtime.jit import kernel, kernel_attributes


@kernel
def layer_norm_forward(x, gamma, beta, y, mean, rstd, epsilon):
    """y = (x - mean) * rstd * gamma + beta, with each row's mean and rstd = 1 / sqrt(variance + epsilon).

    (Ba et al. 2016, equation 4.)  x, y: (M, C), gamma, beta: (C,), mean, rstd: (M,)
    """
    kernel_attributes()
    separate_arrays()
    rows, columns = x.shape
    x = x.reshape(-1)
    y = y.reshape(-1)
    number = x.dtype.type
    share, smallest = number(1) / number(columns), number(epsilon)
    for m in range(rows):
        row, out = x[m * columns : (m + 1) * columns], y[m * columns : (m + 1) * columns]
        shift, total, squares = row[0], number(0), number(0)
        for j in range(columns):
            # through memory: the compiler may reorder the terms of one expression
            out[j] = row[j] - shift
            total += out[j]
        offset = total * share
        for j in range(columns):
            squares += (out[j] - offset) * (out[j] - offset)
        scale = number(1) / np.sqrt(squares * share + smallest)
        mean[m] = shift + offset
        rstd[m] = scale
        for j in range(columns):
            out[j] = (out[j] - offset) * (scale * gamma[j]) + beta[j]


@kernel
def layer_norm_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, accumulate):
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma, xhat = (x - mean) rstd, added to dx if accumulate.

    dgamma and dbeta are the sums over the rows of dy xhat and of dy.  x, dy, dx: (M, C), gamma, dgamma, dbeta: (C,),
    mean, rstd: (M,)
    """
    kernel_attributes()
    separate_arrays()
    rows, columns = x.shape
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    number = x.dtype.type
    share = number(1) / number(columns)
    dgamma[:] = 0
    dbeta[:] = 0
    for m in range(rows):
        row, d_out = x[m * columns : (m + 1) * columns], dy[m * columns : (m + 1) * columns]
        d_in = dx[m * columns : (m + 1) * columns]
        centre, scale, level, slope = mean[m], rstd[m], number(0), number(0)
        for j in range(columns):
            normalised = (row[j] - centre) * scale
            gradient = d_out[j] * gamma[j]
            level += gradient
            slope += gradient * normalised
            dgamma[j] += d_out[j] * normalised
            dbeta[j] += d_out[j]
        level *= share
        slope *= share
        if accumulate:
            for j in range(columns):
                normalised = (row[j] - centre) * scale
                d_in[j] += (d_out[j] * gamma[j] - (level + normalised * slope)) * scale
        else:
            for j in range(columns):
                normalised = (row[j] - centre) * scale
                d_in[j] = (d_out[j] * gamma[j] - (level + normalised * slope)) * scale


@kernel
def rms_norm_forward(x, gamma, y, rstd, epsilon):
    """y = x * rstd * gamma, rstd = 1 / sqrt(mean of x^2 + epsilon) of each row (Zhang and Sennrich 2019, equation 4).

    x, y: (M, C), gamma: (C,), rstd: (M,)
    """
    kernel_attributes()
    separate_arrays()
    rows, columns = x.shape
    x = x.reshape(-1)
    y = y.reshape(-1)
    number = x.dtype.type
    share, smallest = number(1) / number(columns), number(epsilon)
    for m in range(rows):
        row, out = x[m * columns : (m + 1) * columns], y[m * columns : (m + 1) * columns]
        squares = number(0)
        for j in range(columns):
            squares += row[j] * row[j]
        scale = number(1) / np.sqrt(squares * share + smallest)
        rstd[m] = scale
        for j in range(columns):
            out[j] = row[j] * (scale * gamma[j])


@kernel
def rms_norm_backward(x, dy, gamma, rstd, dx, dgamma, accumulate):
    """dx = rstd (g - xhat mean(g xhat)), g = dy gamma, xhat = x rstd, added to dx if accumulate; dgamma = sum(dy xhat).

    x, dy, dx: (M, C), gamma, dgamma: (C,), rstd: (M,)
    """
    kernel_attributes()
    separate_arrays()
    rows, columns = x.shape
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    number = x.dtype.type
    share = number(1) / number(columns)
    dgamma[:] = 0
    for m in range(rows):
        row, d_out = x[m * columns : (m + 1) * columns], dy[m * columns : (m + 1) * columns]
        d_in = dx[m * columns : (m + 1) * columns]
        scale, slope = rstd[m], number(0)
        for j in range(columns):
            normalised = row[j] * scale
            slope += d_out[j] * gamma[j] * normalised
            dgamma[j] += d_out[j] * normalised
        slope *= share * scale
        if accumulate:
            for j in range(columns):
                d_in[j] += (d_out[j] * gamma[j] - row[j] * slope) * scale
        else:
            for j in range(columns):
                d_in[j] = (d_out[j] * gamma[j] - row[j] * slope) * scale


@kernel
def group_norm_forward(x, gamma, beta, y, mean, rstd, groups, epsilon):
    """y = (x - mean) * rstd * gamma + beta, with mean and rstd of each sample's groups of neighbouring channels.

    (Wu and He 2018, equation 1.)  x, y: (N, P, C), gamma, beta: (C,), mean, rstd: (N, C), the same for a whole group
    """
    kernel_attributes()
    separate_arrays()
    samples, positions, channels = x.shape
    x = x.reshape(-1)
    y = y.reshape(-1)
    number = x.dtype.type
    width = channels // groups
    share, of_group, smallest = number(1) / number(positions), number(1) / number(width), number(epsilon)
    for n in range(samples):
        means, squares = mean[n], rstd[n]
        start, end = n * positions * channels, (n + 1) * positions * channels
        first_row = x[start : start + channels]
        for c in range(channels):
            means[c] = 0
            squares[c] = 0
        # each channel's mean and sum of squared deviations, and then those of its group
        for at in range(start, end, channels):
            row, out = x[at : at + channels], y[at : at + channels]
            for c in range(channels):
                out[c] = row[c] - first_row[c]
                means[c] += out[c]
        for c in range(channels):
            means[c] *= share
        for at in range(start, end, channels):
            out = y[at : at + channels]
            for c in range(channels):
                squares[c] += (out[c] - means[c]) * (out[c] - means[c])
        for first in range(0, channels, width):
            group, deviations = means[first : first + width], squares[first : first + width]
            shifts, offset, total = first_row[first : first + width], number(0), number(0)
            middle = shifts[0]
            for c in range(width):
                group[c] += shifts[c] - middle
                offset += group[c]
            offset *= of_group
            for c in range(width):
                total += deviations[c] * share + (group[c] - offset) * (group[c] - offset)
            scale = number(1) / np.sqrt(total * of_group + smallest)
            for c in range(width):
                group[c] = middle + offset
                deviations[c] = scale
        for at in range(start, end, channels):
            row, out = x[at : at + channels], y[at : at + channels]
            for c in range(channels):
                out[c] = (row[c] - means[c]) * (squares[c] * gamma[c]) + beta[c]


@kernel
def group_norm_backward_sums(x, dy, mean, rstd, dgamma, dbeta):
    """For each sample the sums over positions of dy * (x - mean) * rstd and of dy.

    x, dy: (N, P, C), mean, rstd, dgamma, dbeta: (N, C)
    """
    kernel_attributes()
    separate_arrays()
    samples, positions, channels = x.shape
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    for n in range(samples):
        centres, scales, slopes, levels = mean[n], rstd[n], dgamma[n], dbeta[n]
        for c in range(channels):
            slopes[c] = 0
            levels[c] = 0
        for at in range(n * positions * channels, (n + 1) * positions * channels, channels):
            row, d_out = x[at : at + channels], dy[at : at + channels]
            for c in range(channels):
                slopes[c] += d_out[c] * ((row[c] - centres[c]) * scales[c])
                levels[c] += d_out[c]


@kernel
def group_norm_backward_means(gamma, dgamma, dbeta, slopes, levels, groups, positions):
    """For each channel the means over its group of gamma * dgamma and of gamma * dbeta, sums over so many positions.

    gamma: (C,), dgamma, dbeta, slopes, levels: (N, C)
    """
    kernel_attributes()
    separate_arrays()
    samples, channels = dgamma.shape
    number = dgamma.dtype.type
    width = channels // groups
    share = number(1) / (number(positions) * number(width))
    for n in range(samples):
        for first in range(0, channels, width):
            slope, level = number(0), number(0)
            for c in range(first, first + width):
                slope += gamma[c] * dgamma[n, c]
                level += gamma[c] * dbeta[n, c]
            for c in range(first, first + width):
                slopes[n, c] = slope * share
                levels[n, c] = level * share


@kernel
def group_norm_backward_data(x, dy, gamma, mean, rstd, slopes, levels, dx, accumulate):
    """dx = rstd (dy gamma - (levels + xhat slopes)), xhat = (x - mean) rstd, added to dx if accumulate.

    x, dy, dx: (N, P, C), gamma: (C,), mean, rstd, slopes, levels: (N, C)
    """
    kernel_attributes()
    separate_arrays()
    samples, positions, channels = x.shape
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    for n in range(samples):
        centres, scales, slope, level = mean[n], rstd[n], slopes[n], levels[n]
        for at in range(n * positions * channels, (n + 1) * positions * channels, channels):
            row, d_out, d_in = x[at : at + channels], dy[at : at + channels], dx[at : at + channels]
            for c in range(channels):
                normalised = (row[c] - centres[c]) * scales[c]
                gradient = (d_out[c] * gamma[c] - (level[c] + normalised * slope[c])) * scales[c]
                d_in[c] = d_in[c] + gradient if accumulate else gradient
