"""Kernels that normalise each sample by itself on CUDA, emulated, against their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive import draw
from test_cuda_normalization import tolerance
from test_kernels_sample_normalization import EPSILON, group_norm, layer_norm, rms_norm, vectors

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
FAMILY = "sample_normalization"


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (7, 5), (2, 70), (170, 3)], ids=str)
def test_rows(shape, dtype):
    x, dy, dx = (draw(*shape, dtype=dtype, seed=seed) for seed in range(3))
    gamma, beta, dgamma, dbeta = vectors(shape[1], 4, dtype)
    options = tolerance(dtype)
    options = {name: 10 * value for name, value in options.items()}
    y, mean, rstd = layer_norm(x, gamma, beta)
    arguments, outputs = (x, gamma, beta, y, mean, rstd, EPSILON), ("y", "mean", "rstd")
    assert_twins(FAMILY, "layer_norm_forward", *arguments, unwritten=outputs, **options)
    for accumulate in (False, True):
        outputs = ("dgamma", "dbeta") if accumulate else ("dx", "dgamma", "dbeta")
        arguments = x, dy, gamma, mean, rstd, dx, dgamma, dbeta, accumulate
        assert_twins(FAMILY, "layer_norm_backward", *arguments, unwritten=outputs, **options)
    y, rstd = rms_norm(x, gamma)
    assert_twins(FAMILY, "rms_norm_forward", x, gamma, y, rstd, EPSILON, unwritten=("y", "rstd"), **options)
    for accumulate in (False, True):
        outputs = ("dgamma",) if accumulate else ("dx", "dgamma")
        arguments = x, dy, gamma, rstd, dx, dgamma, accumulate
        assert_twins(FAMILY, "rms_norm_backward", *arguments, unwritten=outputs, **options)


@DTYPES
@pytest.mark.parametrize(
    ("shape", "groups"), [((1, 1, 1), 1), ((0, 2, 4), 2), ((2, 3, 4), 4), ((3, 5, 6), 2), ((2, 40, 3), 1)], ids=str
)
def test_groups(shape, groups, dtype):
    x, dy, dx = (draw(*shape, dtype=dtype, seed=seed) for seed in range(3))
    gamma, beta = vectors(shape[2], 2, dtype)
    options = {name: 10 * value for name, value in tolerance(dtype).items()}
    y, mean, rstd = group_norm(x, gamma, beta, groups)
    arguments, outputs = (x, gamma, beta, y, mean, rstd, groups, EPSILON), ("y", "mean", "rstd")
    assert_twins(FAMILY, "group_norm_forward", *arguments, unwritten=outputs, **options)
    sums = [draw(shape[0], shape[2], dtype=dtype, seed=seed) for seed in range(4)]
    arguments, outputs = (x, dy, mean, rstd, *sums[:2]), ("dgamma", "dbeta")
    assert_twins(FAMILY, "group_norm_backward_sums", *arguments, unwritten=outputs, **options)
    arguments, outputs = (gamma, *sums, groups, shape[1]), ("slopes", "levels")
    assert_twins(FAMILY, "group_norm_backward_means", *arguments, unwritten=outputs, **options)
    for accumulate in (False, True):
        outputs = () if accumulate else ("dx",)
        arguments = x, dy, gamma, mean, rstd, *sums[2:], dx, accumulate
        assert_twins(FAMILY, "group_norm_backward_data", *arguments, unwritten=outputs, **options)
