"""Batch normalisation with a ReLU going backward, whose mask comes from what was normalised: its result is not read.

These kernels wait for the main memory, and read an array less.  They round operation by operation, in the order that
the compiler chooses for the reference: the mask is where ``batch_norm_relu_apply`` leaves more than 0, and vectors of
gradients have the reference's bits.  All arrays are float32.
"""

from ..runtime.arrays import scratch, separate_arrays
from ..runtime.jit import exact_kernel, kernel_attributes, scalar
from ..runtime.rows import fold, repeated, rows_together, zeros_for
from ..runtime.vector_math import _multiply_add


def _passed(gradient, normalised, gamma, beta):
    """The gradient that the ReLU lets through, of xhat = (x - mean) * rstd."""
    return gradient if _multiply_add(normalised, gamma, beta) > type(beta)(0) else type(beta)(0)


_passed = scalar(_passed, True)


@exact_kernel
def batch_norm_relu_backward_statistics(x, dy, mean, rstd, gamma, beta, dgamma, dbeta, accumulate):
    """``normalization.batch_norm_relu_backward_statistics``.  x, dy: (M, C), the rest: (C,)"""
    kernel_attributes()
    separate_arrays()
    if not accumulate:
        dgamma[:] = 0
        dbeta[:] = 0
    times = rows_together(*x.shape)
    gamma_sums, beta_sums = zeros_for(dgamma, times, scratch(x.dtype)), zeros_for(dbeta, times, scratch(x.dtype))
    mean, rstd = repeated(mean, times, scratch(x.dtype)), repeated(rstd, times, scratch(x.dtype))
    gamma, beta = repeated(gamma, times, scratch(x.dtype)), repeated(beta, times, scratch(x.dtype))
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    for first in range(0, x.size, mean.size):
        x_row, dy_row = x[first : first + mean.size], dy[first : first + mean.size]
        for j in range(x_row.size):
            centred = x_row[j] - mean[j]
            gradient = _passed(dy_row[j], centred * rstd[j], gamma[j], beta[j])
            gamma_sums[j] = _multiply_add(gradient * rstd[j], centred, gamma_sums[j])
            beta_sums[j] += gradient
    fold(gamma_sums, times, dgamma)
    fold(beta_sums, times, dbeta)


def _gradient(dy, x, mean, rstd, gamma, beta, dgamma, dbeta, inverse_count):
    normalised = (x - mean) * rstd
    common = _multiply_add(normalised, dgamma, dbeta) * inverse_count
    return (_passed(dy, normalised, gamma, beta) - common) * (gamma * rstd)


_gradient = scalar(_gradient, True)


@exact_kernel
def batch_norm_relu_backward_data(x, dy, mean, rstd, gamma, beta, dgamma, dbeta, dx, count, accumulate):
    """``normalization.batch_norm_relu_backward_data``.  x, dy, dx: (M, C), dx may be dy's memory; the rest: (C,)"""
    kernel_attributes()
    separate_arrays()
    inverse_count = x.dtype.type(1) / x.dtype.type(count)
    times = rows_together(*x.shape)
    mean, rstd = repeated(mean, times, scratch(x.dtype)), repeated(rstd, times, scratch(x.dtype))
    gamma, beta = repeated(gamma, times, scratch(x.dtype)), repeated(beta, times, scratch(x.dtype))
    dgamma, dbeta = repeated(dgamma, times, scratch(x.dtype)), repeated(dbeta, times, scratch(x.dtype))
    x = x.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    for first in range(0, x.size, mean.size):
        last = first + mean.size
        x_row, dy_row, dx_row = x[first:last], dy[first:last], dx[first:last]
        if accumulate:
            for j in range(x_row.size):
                dx_row[j] += _gradient(
                    dy_row[j], x_row[j], mean[j], rstd[j], gamma[j], beta[j], dgamma[j], dbeta[j], inverse_count
                )
        elif dx.ctypes.data == dy.ctypes.data:
            for j in range(x_row.size):
                dx_row[j] = _gradient(
                    dx_row[j], x_row[j], mean[j], rstd[j], gamma[j], beta[j], dgamma[j], dbeta[j], inverse_count
                )
        else:
            for j in range(x_row.size):
                dx_row[j] = _gradient(
                    dy_row[j], x_row[j], mean[j], rstd[j], gamma[j], beta[j], dgamma[j], dbeta[j], inverse_count
                )
