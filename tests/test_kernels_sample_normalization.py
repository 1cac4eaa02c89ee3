"""Kernels that normalise each sample by itself, against their definitions, differences, and far from zero."""

import naive.normalization as naive
import numpy as np
import pytest
from naive import draw
from naive.differences import gradient

from jitnet.kernels.cpu import sample_normalization as kernels

EPSILON = 1e-3
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
ROWS = [(1, 1), (0, 3), (3, 1), (7, 5), (2, 300), (5, 67)]
# (N, P, C), groups
GROUPS = [((1, 1, 1), 1), ((0, 2, 4), 2), ((2, 3, 4), 4), ((3, 5, 6), 2), ((2, 7, 12), 1), ((2, 1, 300), 3)]


def vectors(size, count, dtype=np.float64):
    return [draw(size, dtype=dtype, seed=seed) + dtype(1) for seed in range(5, 5 + count)]


def close(found, expected, dtype=np.float64):
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def near(found, expected):
    """As exact as differences are."""
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def layer_norm(x, gamma, beta):
    y, mean, rstd = np.full_like(x, 7), np.full(len(x), 7, x.dtype), np.full(len(x), 7, x.dtype)
    kernels.layer_norm_forward(x, gamma, beta, y, mean, rstd, EPSILON)
    return y, mean, rstd


def rms_norm(x, gamma):
    y, rstd = np.full_like(x, 7), np.full(len(x), 7, x.dtype)
    kernels.rms_norm_forward(x, gamma, y, rstd, EPSILON)
    return y, rstd


def group_norm(x, gamma, beta, groups):
    statistics = [np.full((len(x), x.shape[2]), 7, x.dtype) for _ in range(2)]
    y = np.full_like(x, 7)
    kernels.group_norm_forward(x, gamma, beta, y, *statistics, groups, EPSILON)
    return y, *statistics


@dtypes
def test_rows(dtype):
    for shape in ROWS:
        x, (gamma, beta) = draw(*shape, dtype=dtype), vectors(shape[1], 2, dtype)
        close(layer_norm(x, gamma, beta)[0], naive.layer_norm(x, gamma, beta, EPSILON), dtype)
        close(rms_norm(x, gamma)[0], naive.rms_norm(x, gamma, EPSILON), dtype)


def test_gradients_of_rows():
    for shape in ROWS:
        x, dy, (gamma, beta) = draw(*shape), draw(*shape, seed=1), vectors(shape[1], 2)
        dx, dgamma, dbeta = np.full_like(x, 7), np.full_like(gamma, 7), np.full_like(gamma, 7)
        _, mean, rstd = layer_norm(x, gamma, beta)

        def definition(x, gamma, beta):
            return naive.layer_norm(x, gamma, beta, EPSILON)

        for accumulate in (False, True):
            kernels.layer_norm_backward(x, dy, gamma, mean, rstd, dx, dgamma, dbeta, accumulate)
            expected = gradient(lambda x, g=gamma, b=beta: definition(x, g, b), x, dy) * (1 + accumulate)
            near(dx, expected)
        near(dgamma, gradient(lambda g, x=x, b=beta: definition(x, g, b), gamma, dy) if x.size else 0)
        close(dbeta, dy.sum(0))
        _, rstd = rms_norm(x, gamma)
        for accumulate in (False, True):
            kernels.rms_norm_backward(x, dy, gamma, rstd, dx, dgamma, accumulate)
            expected = gradient(lambda x, g=gamma: naive.rms_norm(x, g, EPSILON), x, dy) * (1 + accumulate)
            near(dx, expected)
        near(dgamma, gradient(lambda g, x=x: naive.rms_norm(x, g, EPSILON), gamma, dy) if x.size else 0)


@dtypes
def test_groups(dtype):
    for shape, groups in GROUPS:
        x, (gamma, beta) = draw(*shape, dtype=dtype), vectors(shape[2], 2, dtype)
        close(group_norm(x, gamma, beta, groups)[0], naive.group_norm(x, gamma, beta, groups, EPSILON), dtype)


def test_gradients_of_groups():
    for shape, groups in GROUPS:
        x, dy, (gamma, beta) = draw(*shape), draw(*shape, seed=1), vectors(shape[2], 2)
        _, mean, rstd = group_norm(x, gamma, beta, groups)
        dgamma, dbeta, slopes, levels = (np.full_like(mean, 7) for _ in range(4))
        kernels.group_norm_backward_sums(x, dy, mean, rstd, dgamma, dbeta)
        kernels.group_norm_backward_means(gamma, dgamma, dbeta, slopes, levels, groups, shape[1])
        dx = np.full_like(x, 7)
        for accumulate in (False, True):
            kernels.group_norm_backward_data(x, dy, gamma, mean, rstd, slopes, levels, dx, accumulate)
            expected = gradient(lambda x, g=gamma, b=beta, n=groups: naive.group_norm(x, g, b, n, EPSILON), x, dy)
            near(dx, expected * (1 + accumulate))
        if x.size:
            of_gamma = gradient(lambda g, x=x, b=beta, n=groups: naive.group_norm(x, g, b, n, EPSILON), gamma, dy)
            near(dgamma.sum(0), of_gamma)
        close(dbeta.sum(0), dy.sum((0, 1)))


def test_far_from_zero():
    """A common offset of 1e4 and a spread of 1: E[x^2] - mean^2 would have no digit left in float32."""
    x = (draw(4, 150) + 1e4).astype(np.float32)
    one, zero = np.ones(150, np.float32), np.zeros(150, np.float32)
    np.testing.assert_allclose(layer_norm(x, one, zero)[0], naive.layer_norm(x, 1, 0, EPSILON), rtol=1e-3, atol=2e-5)
    x = x.reshape(2, 10, 30)
    x[:, :, 15:] *= -1
    y, mean, _ = group_norm(x, one[:30], zero[:30], 2)
    expected = naive.group_norm(x, 1, 0, 2, EPSILON)
    np.testing.assert_allclose(y, expected, atol=2e-3)  # the mean itself is rounded to 1e-3
    np.testing.assert_allclose(mean[:, [0, -1]], x.reshape(2, 10, 2, 15).astype(float).mean((1, 3)), rtol=1e-7)
    constant = np.full((3, 150), 0.1, np.float32)
    assert (layer_norm(constant, one, zero)[0] == 0).all()
