"""Random changes of pictures on CUDA, emulated, against their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive import draw

SHAPE = (3, 5, 7, 3)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
RANDOM = np.random.default_rng(4)


def draws(columns, dtype, rows=3):
    return np.random.default_rng(columns).uniform(size=(rows, columns)).astype(dtype)


AFFINE = (-0.2, 0.3, 0.7, 1.2, 0.8, 1.4, -0.3, 0.2, -0.1, 0.4, -0.2, 0.5, -0.1, 0.3)


@DTYPES
def test_transforms(dtype):
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    found = np.zeros((3, 8), dtype)
    for same in (False, True):
        arguments = draws(8, dtype), np.array(AFFINE, dtype), found, 5, 7, 4, 6, same
        assert_twins("augmentation", "affine_transforms", *arguments, unwritten=("transforms",), **tolerance)
    ranges = np.array([0.4, 0.6, -0.5, 0.5], dtype)
    arguments = draws(12, dtype), ranges, found, 5, 7
    assert_twins("augmentation", "perspective_transforms", *arguments, unwritten=("transforms",), **tolerance)


@DTYPES
@pytest.mark.parametrize("fill_mode", range(4))
def test_resampling(dtype, fill_mode):
    x, y, dy = draw(*SHAPE, dtype=dtype), np.zeros((3, 4, 6, 3), dtype), draw(3, 4, 6, 3, dtype=dtype, seed=2)
    transforms = np.tile(np.array([1, 0.1, -1.3, -0.2, 1.5, 0.4, 0.01, 0.02], dtype), (3, 1))
    transforms[1, 2] = 40  # far away
    transforms[2, 6] = -0.3  # from far away
    for nearest in (False, True):
        arguments = x, transforms, y, fill_mode, nearest, 0.5
        assert_twins("augmentation", "resample", *arguments, unwritten=("y",), rtol=1e-4, atol=1e-4)
        for accumulate in (False, True):
            dx, unwritten = draw(*SHAPE, dtype=dtype, seed=3), () if accumulate else ("dx",)
            arguments = dy, transforms, dx, fill_mode, nearest, accumulate
            assert_twins("augmentation", "resample_backward", *arguments, unwritten=unwritten, rtol=1e-4, atol=1e-4)


@DTYPES
def test_moves(dtype):
    x, chosen = draw(*SHAPE, dtype=dtype), draws(4, dtype)
    for directions in ((True, False), (True, True)):
        arguments = x, chosen, np.zeros_like(x), *directions
        assert_twins("augmentation", "flip", *arguments, unwritten=("y",), rtol=0, atol=0)
        assert_twins("augmentation", "flip_backward", x, chosen, draw(*SHAPE, dtype=dtype, seed=5), *directions, True)
    for size, padding in (((4, 7), 0), ((5, 7), 2)):
        part = draw(3, *size, 3, dtype=dtype)
        arguments = x, chosen, part, padding
        assert_twins("augmentation", "crop", *arguments, unwritten=("y",), rtol=0, atol=0)
        assert_twins("augmentation", "crop_backward", part, chosen, x, padding, False, unwritten=("dx",))


@DTYPES
@pytest.mark.parametrize("flag", range(6))
def test_colours(dtype, flag):
    x = RANDOM.uniform(size=SHAPE).astype(dtype)
    ranges = np.array([0, 1, -0.3, 0.3, 0.4, 1.6, 0.3, 0.8, 0.0, 0.4, 0.5, 0.5], dtype)
    flags = [flag in (i, 5) for i in range(5)]
    arguments = x, draws(8, dtype), ranges, np.zeros_like(x), *flags, flag != 1
    assert_twins("augmentation", "adjust_colour", *arguments, unwritten=("y",), rtol=1e-4, atol=1e-5)


@DTYPES
def test_blur_and_erasing(dtype):
    x, noise = RANDOM.uniform(size=SHAPE).astype(dtype), draw(*SHAPE, dtype=dtype)
    ranges = np.array([0, 1, 0.5, 0.9, 0.4, 1.5], dtype)
    arguments = x, draws(4, dtype), ranges, np.zeros_like(x), np.zeros_like(x), 3, 5
    # what is not blurred leaves no trace in the scratch memory on the CPU
    names = ("scratch", "y")
    found = twins_of("gaussian_blur", *arguments, unwritten=names)
    np.testing.assert_allclose(found[0][-1], found[1][-1], rtol=1e-4, atol=1e-5)
    arguments = x, draws(8, dtype), np.array([0.5, 1, 0.1, 0.4], dtype), noise, np.zeros_like(x)
    assert_twins("augmentation", "erase", *arguments, unwritten=("y",), rtol=0, atol=0)


def twins_of(name, *arguments, unwritten):
    """What the CPU kernel and its twin leave in the arrays."""
    from cuda_cases import cuda_function, emulator, parameters, run_cpu, run_cuda

    names = parameters("augmentation", name)
    function = cuda_function("augmentation", name)
    return run_cpu("augmentation", name, *arguments), run_cuda(
        function, names, *arguments, backend=emulator(0), unwritten=unwritten
    )
