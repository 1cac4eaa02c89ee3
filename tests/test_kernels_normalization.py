"""Batch normalisation kernels against their oracle, central differences and PyTorch."""

import itertools

import naive.normalization as naive
import numpy as np
import pytest
from naive import assert_close, check, draw, numerical_gradient

from jitnet.kernels.cpu import normalization
from jitnet.kernels.cpu.fast import normalization as fast_normalization

# few and many rows and channels: rows are taken together where channels are few, and channels in parts
SHAPES = [(1, 1), (2, 1), (0, 3), (1, 5), (7, 3), (13, 19), (64, 16), (107, 6), (35, 40), (5, 1031)]
EPSILON = 1e-3
shapes = pytest.mark.parametrize("shape", SHAPES)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def channel_vectors(channels, count, dtype=np.float64):
    """Vectors (C,) with entries from 0.5 to 1.5: they serve as mean, rstd, gamma and so on."""
    generator = np.random.default_rng(channels)
    return [generator.uniform(0.5, 1.5, channels).astype(dtype) for _ in range(count)]


def batch_norm(x, gamma, beta, chunks=3):
    """Training mode from the kernels, in ``chunks`` chunks.  Returns y, mean, variance and rstd."""
    channels = x.shape[1]
    parts = np.array_split(x, chunks)
    counts = np.array([len(part) for part in parts])
    means, m2s = np.empty((chunks, channels), x.dtype), np.empty((chunks, channels), x.dtype)
    for g, part in enumerate(parts):
        normalization.batch_norm_statistics(np.ascontiguousarray(part), means[g], m2s[g])
    mean, variance, rstd = (np.empty(channels, x.dtype) for _ in range(3))
    normalization.batch_norm_combine(means, m2s, counts, mean, variance, rstd, EPSILON)
    y = np.empty_like(x)
    normalization.batch_norm_apply(x, mean, rstd, gamma, beta, y)
    return y, mean, variance, rstd


def batch_norm_gradients(x, dy, mean, rstd, gamma, chunks=2):
    """dx, dgamma and dbeta from the kernels, in ``chunks`` chunks."""
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.empty_like(x)
    bounds = np.linspace(0, len(x), chunks + 1).astype(int)
    slices = [slice(*pair) for pair in itertools.pairwise(bounds)]
    for rows in slices:
        normalization.batch_norm_backward_statistics(x[rows], dy[rows], mean, rstd, dgamma, dbeta, True)
    for rows in slices:
        normalization.batch_norm_backward_data(
            x[rows], dy[rows], mean, rstd, gamma, dgamma, dbeta, dx[rows], len(x), False
        )
    return dx, dgamma, dbeta


@shapes
@dtypes
def test_statistics(shape, dtype):
    x = draw(*shape, dtype=dtype)
    check(normalization.batch_norm_statistics, [x], (), list(naive.batch_norm_statistics(x)))


@dtypes
def test_statistics_far_from_zero(dtype):
    """A common offset of 1e4 and a spread of 1: E[x^2] - mean^2 would have no digit left in float32."""
    x = (draw(1000, 3) + 1e4).astype(dtype)
    mean, m2 = np.empty(3, dtype), np.empty(3, dtype)
    normalization.batch_norm_statistics(x, mean, m2)
    expected_mean, expected_m2 = naive.batch_norm_statistics(x)
    assert_close(mean, expected_mean, {np.float32: 1e-7, np.float64: 1e-14}[dtype])
    assert_close(m2, expected_m2, {np.float32: 1e-5, np.float64: 1e-12}[dtype])
    normalization.batch_norm_statistics(np.full((17, 3), 0.1, dtype), mean, m2)
    assert (m2 == 0).all()


@pytest.mark.parametrize("counts", [[5], [3, 4, 2], [0, 7, 0, 1], [1, 1, 1]])
@dtypes
def test_combine(counts, dtype):
    means = draw(len(counts), 5, dtype=dtype)
    m2s = draw(len(counts), 5, dtype=dtype, seed=1) ** 2
    counts = np.array(counts)
    means[counts == 0] = m2s[counts == 0] = 0
    expected = naive.batch_norm_combine(means, m2s, counts, EPSILON)
    check(normalization.batch_norm_combine, [means, m2s, counts], (EPSILON,), list(expected))


def test_combine_of_nothing():
    means, m2s, counts = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2, np.int64)
    expected = np.zeros(3), np.zeros(3), np.full(3, 1 / np.sqrt(EPSILON))
    check(normalization.batch_norm_combine, [means, m2s, counts], (EPSILON,), list(expected))


@dtypes
def test_moving_statistics(dtype):
    mean, variance, moving_mean, moving_variance = channel_vectors(7, 4, dtype)
    expected = naive.batch_norm_update_moving(mean, variance, moving_mean, moving_variance, 0.99)
    normalization.batch_norm_update_moving(mean, variance, moving_mean, moving_variance, 0.99)
    for actual, wanted in zip((moving_mean, moving_variance), expected, strict=True):
        assert_close(actual, wanted, {np.float32: 1e-6, np.float64: 1e-14}[dtype])
    check(normalization.batch_norm_rstd, [variance], (EPSILON,), [naive.batch_norm_rstd(variance, EPSILON)])


@shapes
@dtypes
def test_apply(shape, dtype):
    x = draw(*shape, dtype=dtype)
    vectors = channel_vectors(shape[1], 4, dtype)
    expected = naive.batch_norm_apply(x, *vectors)
    check(normalization.batch_norm_apply, [x, *vectors], (), [expected])
    normalization.batch_norm_apply(x, *vectors, x)
    assert_close(x, expected, 1e-5)


@shapes
@dtypes
def test_backward(shape, dtype):
    x, dy = draw(*shape, dtype=dtype), draw(*shape, dtype=dtype, seed=1)
    mean, rstd, gamma, dgamma, dbeta = channel_vectors(shape[1], 5, dtype)
    expected = naive.batch_norm_backward_statistics(x, dy, mean, rstd)
    check(normalization.batch_norm_backward_statistics, [x, dy, mean, rstd], (), list(expected), accumulates=True)
    count = shape[0] + 3
    inputs = [x, dy, mean, rstd, gamma, dgamma, dbeta]
    expected = naive.batch_norm_backward_data(*inputs, count)
    check(normalization.batch_norm_backward_data, inputs, (count,), [expected], accumulates=True)
    expected = naive.batch_norm_backward_data_frozen(dy, rstd, gamma)
    check(normalization.batch_norm_backward_data_frozen, [dy, rstd, gamma], (), [expected], accumulates=True)


@dtypes
def test_statistics_of_rows_that_differ_from_the_first(dtype):
    """The shift comes from the first rows; here they are ten standard deviations of the others off."""
    x = draw(3000, 7)
    x[:256] += 10
    x = x.astype(dtype)
    mean, m2 = np.empty(7, dtype), np.empty(7, dtype)
    normalization.batch_norm_statistics(x, mean, m2)
    expected_mean, expected_m2 = naive.batch_norm_statistics(x)
    assert_close(mean, expected_mean, {np.float32: 1e-6, np.float64: 1e-14}[dtype])
    assert_close(m2, expected_m2, {np.float32: 1e-5, np.float64: 1e-13}[dtype])


@shapes
@dtypes
def test_fused_with_relu(shape, dtype):
    """The kernels with ReLU are those without, composed with its definition."""
    x, dy, residual = (draw(*shape, dtype=dtype, seed=seed) for seed in range(3))
    mean, rstd, gamma, beta, dgamma, dbeta = channel_vectors(shape[1], 6, dtype)
    normalised = naive.batch_norm_apply(x, mean, rstd, gamma, beta)
    y = np.maximum(normalised, 0).astype(dtype)
    check(normalization.batch_norm_relu_apply, [x, mean, rstd, gamma, beta], (), [y])
    inputs = [x, residual, mean, rstd, gamma, beta]
    check(normalization.batch_norm_add_relu_apply, inputs, (), [np.maximum(normalised + residual, 0)])
    passed = dy * (y > 0)
    expected = naive.batch_norm_backward_statistics(x, passed, mean, rstd)
    check(
        normalization.batch_norm_relu_backward_statistics, [x, y, dy, mean, rstd], (), list(expected), accumulates=True
    )
    count = shape[0] + 3
    expected = naive.batch_norm_backward_data(x, passed, mean, rstd, gamma, dgamma, dbeta, count)
    inputs = [x, y, dy, mean, rstd, gamma, dgamma, dbeta]
    check(normalization.batch_norm_relu_backward_data, inputs, (count,), [expected], accumulates=True)
    normalization.batch_norm_relu_apply(x, mean, rstd, gamma, beta, x)
    assert_close(x, y, 1e-5)


@shapes
def test_masks_from_what_was_normalised(shape):
    """Also where the result is next to 0: the gradients' bits are those of masks from the result."""
    x, dy = (draw(*shape, dtype=np.float32, seed=seed) for seed in range(2))
    mean, rstd, gamma, beta, dgamma, dbeta = channel_vectors(shape[1], 6, np.float32)
    zero = (mean - beta / (rstd * gamma)).astype(np.float32)
    x[::2] = zero + np.random.default_rng(3).integers(-3, 4, x[::2].shape).astype(np.float32) * np.spacing(zero)
    y = np.empty_like(x)
    normalization.batch_norm_relu_apply(x, mean, rstd, gamma, beta, y)
    for accumulate in (False, True):
        sums = np.ones((2, 2, shape[1]), np.float32)
        arguments = x, dy, mean, rstd
        normalization.batch_norm_relu_backward_statistics(x, y, *arguments[1:], *sums[0], accumulate)
        fast_normalization.batch_norm_relu_backward_statistics(*arguments, gamma, beta, *sums[1], accumulate)
        np.testing.assert_array_equal(sums[0][1], sums[1][1])  # not a mask differs
        assert_close(sums[1][0], sums[0][0], 1e-6)
        expected, found = np.ones_like(x), np.ones_like(x)
        rest = dgamma, dbeta
        count = shape[0] + 3
        normalization.batch_norm_relu_backward_data(x, y, *arguments[1:], gamma, *rest, expected, count, accumulate)
        fast_normalization.batch_norm_relu_backward_data(*arguments, gamma, beta, *rest, found, count, accumulate)
        assert_close(found, expected, 1e-6)
        np.testing.assert_array_equal(found == 0, expected == 0)
    in_place = dy.copy()
    fast_normalization.batch_norm_relu_backward_data(
        x, in_place, mean, rstd, gamma, beta, *rest, in_place, count, False
    )
    normalization.batch_norm_relu_backward_data(x, y, dy, mean, rstd, gamma, *rest, expected, count, False)
    assert_close(in_place, expected, 1e-6)
    normalization.batch_norm_relu_backward_data(x, y, dy, mean, rstd, gamma, *rest, dy, count, False)
    assert_close(dy, expected, 1e-6)


def test_relu_keeps_nan():
    x, ones, zeros, y = np.full((40, 3), np.nan), np.ones(3), np.zeros(3), np.empty((40, 3))
    normalization.batch_norm_relu_apply(x, zeros, ones, ones, zeros, y)
    assert np.isnan(y).all()
    normalization.batch_norm_add_relu_apply(np.ones_like(x), x, zeros, ones, ones, zeros, y)
    assert np.isnan(y).all()


@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (13, 5)])
def test_central_differences(shape):
    x, dy = draw(*shape), draw(*shape, seed=1)
    gamma, beta = channel_vectors(shape[1], 2)
    _, mean, _, rstd = batch_norm(x, gamma, beta)
    dx, dgamma, dbeta = batch_norm_gradients(x, dy, mean, rstd, gamma)

    def loss():
        return np.vdot(batch_norm(x, gamma, beta)[0], dy)

    # a curved function: at this step truncation and rounding errors are both below 1e-8
    assert_close(dx, numerical_gradient(loss, x, 1e-5), 1e-6)
    assert_close(dgamma, numerical_gradient(loss, gamma, 1e-5), 1e-6)
    assert_close(dbeta, numerical_gradient(loss, beta, 1e-5), 1e-6)


@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (64, 16)])
@pytest.mark.parametrize("training", [True, False])
def test_torch(shape, training):
    torch = pytest.importorskip("torch")
    x, dy = draw(*shape, dtype=np.float32), draw(*shape, dtype=np.float32, seed=1)
    gamma, beta, moving_mean, moving_variance = channel_vectors(shape[1], 4, np.float32)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
    running = torch.tensor(moving_mean), torch.tensor(moving_variance)
    out = torch.nn.functional.batch_norm(leaves[0], *running, *leaves[1:], training, 0.01, EPSILON)
    out.backward(torch.tensor(dy))
    if training:
        y, mean, variance, rstd = batch_norm(x, gamma, beta)
        dx, dgamma, dbeta = batch_norm_gradients(x, dy, mean, rstd, gamma)
        # PyTorch's running variance is the unbiased one; Keras's is not
        unbiased = variance * (len(x) / np.float32(len(x) - 1))
        normalization.batch_norm_update_moving(mean, unbiased, moving_mean, moving_variance, 0.99)
        assert_close(moving_mean, running[0].numpy(), 1e-4)
        assert_close(moving_variance, running[1].numpy(), 1e-4)
    else:
        y, dx, rstd, dgamma, dbeta = (np.empty_like(array) for array in (x, x, gamma, gamma, gamma))
        normalization.batch_norm_rstd(moving_variance, rstd, EPSILON)
        normalization.batch_norm_apply(x, moving_mean, rstd, gamma, beta, y)
        normalization.batch_norm_backward_data_frozen(dy, rstd, gamma, dx, False)
        normalization.batch_norm_backward_statistics(x, dy, moving_mean, rstd, dgamma, dbeta, False)
    assert_close(y, out.detach().numpy(), 1e-4)
    for actual, leaf in zip((dx, dgamma, dbeta), leaves, strict=True):
        assert_close(actual, leaf.grad.numpy(), 1e-4)


def test_nan_stays_in_its_channel():
    x, gamma, beta = draw(9, 3), np.ones(3), np.zeros(3)
    x[4, 1] = np.nan
    y = batch_norm(x, gamma, beta)[0]
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
