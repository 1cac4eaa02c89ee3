"""Pooling on CUDA, emulated, against its CPU twins, bit for bit where they add in the same order."""

from types import SimpleNamespace

import numpy as np
import pytest
import test_kernels_pool
from cuda_cases import assert_twins
from naive import draw

from jitnet.kernels.cuda import pool

CASES = test_kernels_pool.CASES | {
    "fours": ((2, 6, 8, 4), (3, 4), (2, 2, 2, 2, 0, 0)),
    "fours_overlap": ((2, 5, 7, 12), (3, 4), (3, 3, 2, 2, 1, 1)),
    "one_of_four_pixels": ((2, 6, 5, 8), (3, 3), (1, 1, 2, 2, 0, 0)),
    "more_columns_than_threads": ((1, 3, 9, 70), (2, 8), (2, 2, 1, 1, 0, 0)),
}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.parametrize("shape,out_size,geometry", CASES.values(), ids=CASES.keys())
def test_windows(shape, out_size, geometry, dtype):
    x, dy = test_kernels_pool.operands(shape, out_size, dtype)
    x = np.round(x)  # ties
    if x.size > 10:
        x.reshape(-1)[7] = np.nan
    y, results, tolerance = np.zeros_like(dy), ("y", "argmax"), 1e-6 if dtype is np.float32 else 1e-14
    # a type of the winners each: for none, one has -1 and the other its largest number
    winners = np.zeros(dy.shape, np.uint8 if dtype is np.float32 else np.int32)
    assert_twins("pool", "max_pool2d_forward", x, y, winners, *geometry, rtol=0, atol=0, unwritten=results)
    assert_twins("pool", "average_pool2d_forward", x, y, *geometry, rtol=tolerance, atol=tolerance, unwritten=results)
    argmax = (np.arange(dy.size) % (geometry[0] * geometry[1])).reshape(dy.shape).astype(winners.dtype)
    for accumulate in (False, True):
        options = {"unwritten": () if accumulate else ("dx",), "rtol": tolerance, "atol": tolerance}
        dx = draw(*shape, dtype=dtype, seed=9)
        assert_twins("pool", "max_pool2d_backward", dy, argmax, dx, *geometry, accumulate, **options)
        assert_twins("pool", "average_pool2d_backward", dy, dx, *geometry, accumulate, **options)


@DTYPES
@pytest.mark.parametrize("shape", [*test_kernels_pool.IMAGES, (2, 5, 7, 37)], ids=str)
def test_whole_images(shape, dtype):
    x, dy = np.round(2 * draw(*shape, dtype=dtype)), draw(shape[0], shape[3], dtype=dtype, seed=1)
    y, argmax, tolerance = np.zeros_like(dy), np.zeros(dy.shape, np.int32), 1e-6 if dtype is np.float32 else 1e-14
    options = {"rtol": tolerance, "atol": tolerance}
    assert_twins("pool", "global_average_pool2d_forward", x, y, unwritten=("y",), **options)
    assert_twins("pool", "global_max_pool2d_forward", x, y, argmax, rtol=0, atol=0, unwritten=("y", "argmax"))
    argmax = (np.arange(dy.size) % (shape[1] * shape[2])).reshape(dy.shape).astype(np.int32)
    for accumulate in (False, True):
        options["unwritten"] = () if accumulate else ("dx",)
        dx = draw(*shape, dtype=dtype, seed=9)
        assert_twins("pool", "global_average_pool2d_backward", dy, dx, accumulate, **options)
        assert_twins("pool", "global_max_pool2d_backward", dy, argmax, dx, accumulate, **options)


def test_more_lines_than_32_bits_number():
    shape = 2**16, 2**16, 1, 1
    images = SimpleNamespace(shape=shape, size=2**32)
    with pytest.raises(ValueError, match=r"fewer than 2\*\*32 lines.*Received: shape=\(65536, 65536, 1, 1\)"):
        pool.average_pool2d_forward(images, images, 1, 1, 1, 1, 0, 0)


def test_the_first_maximum_wins_or_the_first_nan():
    """In every position of an image that many threads share."""
    x = np.zeros((6, 3, 5, 5), np.float32)
    x[1, 1, 2], x[1, 2, 4] = 1, 1
    x[2] = -np.inf
    x[3] = np.nan
    x[4, 0, 3], x[4, 2, 1], x[4, 0, 0] = np.nan, np.nan, np.inf
    x[5] = np.random.default_rng(0).integers(0, 3, x[5].shape)
    y, argmax = np.zeros((6, 5), np.float32), np.zeros((6, 5), np.int32)
    assert_twins("pool", "global_max_pool2d_forward", x, y, argmax, rtol=0, atol=0, unwritten=("y", "argmax"))
