"""Softmax and batch normalisation on CUDA, emulated, against their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins, emulator, run_cpu
from naive import draw
from test_kernels_normalization import EPSILON, channel_vectors

from jitnet.kernels.cuda import _api, normalization

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
# few and many rows and channels: rows of a block in one part and in several, channels in several blocks, in fours
SHAPES = pytest.mark.parametrize(
    "shape", [(1, 1), (0, 3), (7, 3), (5, 70), (601, 6), (13, 19), (0, 4), (7, 12), (3, 132), (270, 64)], ids=str
)
# (outer, axis, inner): a block for each line, of one warp and of several, and a thread for each line; rows in
# registers, of a warp and of a block, whose last quads are beyond the row
LINES = pytest.mark.parametrize(
    "shape",
    [(3, 5, 1), (2, 1, 7), (1, 13, 3), (0, 4, 2), (2, 301, 1), (9, 4, 1), (3, 268, 1), (2, 1028, 1), (1, 8196, 1)],
    ids=str,
)


def tolerance(dtype):
    return dict.fromkeys(("rtol", "atol"), 2e-6 if dtype is np.float32 else 1e-12)


@DTYPES
@LINES
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])
def test_softmax(name, shape, dtype):
    x, y, dy = 3 * draw(*shape, dtype=dtype), draw(*shape, dtype=dtype, seed=1), draw(*shape, dtype=dtype, seed=2)
    sizes, options = shape[1:], tolerance(dtype)
    assert_twins("softmax", f"{name}_forward", x, np.zeros_like(x), *sizes, unwritten=("y",), **options)
    assert_twins("softmax", f"{name}_forward", x, x, *sizes, **options)
    options["atol"] *= shape[1]  # y is no softmax here: the sums are of large numbers
    dx = draw(*shape, dtype=dtype, seed=9)
    assert_twins("softmax", f"{name}_backward", y, dy, dx, *sizes, False, unwritten=("dx",), **options)
    assert_twins("softmax", f"{name}_backward", y, dy, dx, *sizes, True, **options)
    assert_twins("softmax", f"{name}_backward", y, dy, dy, *sizes, False, **options)


@pytest.mark.parametrize("name", ["softmax_forward", "log_softmax_forward"])
@pytest.mark.parametrize("inner", [1, 4])
def test_softmax_of_extremes(name, inner):
    rows = np.array([[-300, 300, 300], [1e30, 1e30, -1e30], [-np.inf, 0, -0.0], [np.nan, 0, 1]], np.float32)
    x = rows[:, :, None] if inner == 1 else np.ascontiguousarray(rows.T[None])
    assert_twins("softmax", name, x, np.zeros_like(x), 3, inner, unwritten=("y",))
    x = np.concatenate([x, x[:, :1]], axis=1)  # in fours
    assert_twins("softmax", name, x, np.zeros_like(x), 4, inner, unwritten=("y",))


@DTYPES
@SHAPES
def test_statistics(shape, dtype):
    x, (mean, rstd, dgamma, dbeta) = draw(*shape, dtype=dtype), channel_vectors(shape[1], 4, dtype)
    y, dy = draw(*shape, dtype=dtype, seed=1), draw(*shape, dtype=dtype, seed=2)
    options = tolerance(dtype)
    options["atol"] *= max(1, shape[0] / 10)
    assert_twins("normalization", "batch_norm_statistics", x, mean, rstd, unwritten=("mean", "m2"), **options)
    for accumulate in (False, True):
        unwritten = () if accumulate else ("dgamma", "dbeta")
        rest = mean, rstd, dgamma, dbeta, accumulate
        for name, arrays in (("", (x, dy)), ("relu_", (x, y, dy))):
            name = f"batch_norm_{name}backward_statistics"
            assert_twins("normalization", name, *arrays, *rest, unwritten=unwritten, **options)


@pytest.mark.parametrize("channels", [3, 72])
def test_statistics_far_from_zero(channels):
    """A common offset of 1e4 and a spread of 1, and rows that differ from the first: no digit is lost."""
    x = draw(1000, channels) + 1e4
    x[:300] += 10
    x = x.astype(np.float32)
    expected = x.astype(np.float64).mean(0), x.astype(np.float64).var(0) * len(x)
    results = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    assert_twins("normalization", "batch_norm_statistics", x, *results, rtol=1e-5, unwritten=("mean", "m2"))
    for found, wanted, relative in zip(run_statistics(x), expected, (1e-7, 1e-5), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=relative)
    assert (run_statistics(np.full((170, channels), 0.1, np.float32))[1] == 0).all()


def run_statistics(x):
    from cuda_cases import cuda_function, emulator, run_cuda

    results = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    function = cuda_function("normalization", "batch_norm_statistics")
    return run_cuda(function, ("x", "mean", "m2"), x, *results, backend=emulator(0))[1:]


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (601, 6), (7, 12), (270, 64)], ids=str)
def test_moments(shape, dtype):
    """All at once what the statistics of one chunk, their combination and the moving averages are."""
    x, given, backend = draw(*shape, dtype=dtype), channel_vectors(shape[1], 2, dtype), emulator(0)
    _, mean, m2 = run_cpu("normalization", "batch_norm_statistics", x, *np.zeros((2, shape[1]), dtype))
    chunks = mean[None], m2[None], np.array([shape[0]])
    combined = run_cpu("normalization", "batch_norm_combine", *chunks, *np.zeros((3, shape[1]), dtype), EPSILON)[3:]
    moved = run_cpu("normalization", "batch_norm_update_moving", *combined[:2], *given, 0.9)[2:]
    numbers = [backend.to_device(np.array([number])) for number in (EPSILON, 0.9)]
    results = [backend.empty(shape[1:], dtype) for _ in range(3)]
    moving = [backend.to_device(vector) for vector in given]
    with _api.using(backend):
        normalization._batch_norm_moments(backend.to_device(x), *results, numbers[0], *moving, numbers[1])
    for found, expected in zip([*results, *moving], [*combined, *moved], strict=True):
        np.testing.assert_allclose(backend.to_host(found), expected, **tolerance(dtype))


@DTYPES
@pytest.mark.parametrize("counts", [[5], [3, 4, 2], [0, 7, 0, 1], [0, 0]], ids=str)
def test_vectors_of_channels(counts, dtype):
    means, m2s = draw(len(counts), 5, dtype=dtype), draw(len(counts), 5, dtype=dtype, seed=1) ** 2
    counts = np.array(counts, np.int64)
    means[counts == 0] = m2s[counts == 0] = 0
    vectors, results = channel_vectors(5, 4, dtype), ("mean", "variance", "rstd")
    options, name = tolerance(dtype), "batch_norm_combine"
    arguments = means, m2s, counts, *vectors[:3], EPSILON
    assert_twins("normalization", name, *arguments, unwritten=results, **options)
    assert_twins("normalization", "batch_norm_update_moving", *vectors, 0.99, **options)
    assert_twins("normalization", "batch_norm_rstd", *vectors[:2], EPSILON, unwritten=("rstd",), **options)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (7, 3), (5, 70), (9, 20), (1, 4)], ids=str)
def test_rows(shape, dtype):
    x, y, dy, residual = (draw(*shape, dtype=dtype, seed=seed) for seed in range(4))
    mean, rstd, gamma, beta, dgamma, dbeta = channel_vectors(shape[1], 6, dtype)
    options, vectors = tolerance(dtype), (mean, rstd, gamma, beta)
    for name in ("batch_norm_apply", "batch_norm_relu_apply"):
        assert_twins("normalization", name, x, *vectors, np.zeros_like(x), unwritten=("y",), **options)
        assert_twins("normalization", name, x, *vectors, x, **options)
    arguments = x, residual, *vectors, np.zeros_like(x)
    assert_twins("normalization", "batch_norm_add_relu_apply", *arguments, unwritten=("y",), **options)
    for accumulate in (False, True):
        options["unwritten"] = () if accumulate else ("dx",)
        rest = mean, rstd, gamma, dgamma, dbeta, draw(*shape, dtype=dtype, seed=9), shape[0] + 3, accumulate
        assert_twins("normalization", "batch_norm_backward_data", x, dy, *rest, **options)
        assert_twins("normalization", "batch_norm_relu_backward_data", x, y, dy, *rest, **options)
        dx = draw(*shape, dtype=dtype, seed=9)
        assert_twins("normalization", "batch_norm_backward_data_frozen", dy, rstd, gamma, dx, accumulate, **options)


@DTYPES
@pytest.mark.parametrize("shape", [(5,), (3, 2, 4, 5), (1, 70)], ids=str)
def test_folded_weights(shape, dtype):
    kernel, channels = draw(*shape, dtype=dtype), shape[-1]
    bias, mean, variance, gamma, beta = channel_vectors(channels, 5, dtype)
    rest = mean, variance, gamma, beta, EPSILON, np.zeros_like(kernel), np.zeros_like(bias)
    options = {"unwritten": ("folded", "folded_bias"), **tolerance(dtype)}
    assert_twins("normalization", "batch_norm_fold", kernel, *rest, **options)
    assert_twins("normalization", "batch_norm_fold_bias", kernel, bias, *rest, **options)


def test_relu_keeps_nan():
    x, (mean, rstd, gamma, beta) = np.full((7, 3), np.nan, np.float32), channel_vectors(3, 4, np.float32)
    assert_twins("normalization", "batch_norm_relu_apply", x, mean, rstd, gamma, beta, np.zeros_like(x))
    arguments = np.ones_like(x), x, mean, rstd, gamma, beta, np.zeros_like(x)
    assert_twins("normalization", "batch_norm_add_relu_apply", *arguments)
