"""Products on tensor cores, emulated: exact for numbers of few digits, and rounded once for others."""

import numpy as np
import pytest
from cuda_cases import assert_twins, cuda_function, emulator, run_cuda
from cuda_emulator import EmulationError
from test_kernels_conv import Case

from jitnet.kernels.cuda import _products, _tensor_cores
from jitnet.kernels.cuda._api import cuda, kernel, launch, using
from jitnet.kernels.cuda.ptx import await_copies, copy_async, load_matrices, load_quad, multiply_tf32, to_tf32
from jitnet.kernels.scalar import real

PRECISIONS = pytest.mark.parametrize("precision", ["high", "medium"])
# (M, K, N): tiles with edges on all sides, of each size, and quads that are whole, the only ones in bfloat16
SIZES = {
    "one": ((1, 1, 1), "high"),
    "odd": ((37, 21, 19), "high"),
    "whole_tf32": ((36, 20, 20), "high"),
    "whole_bf16": ((36, 44, 20), "medium"),
    "medium_tf32": ((66, 18, 34), "high"),
    "medium_bf16": ((68, 36, 36), "medium"),
}
CONVOLUTIONS = {
    "odd": Case((2, 5, 6, 6), (3, 2, 3, 10), (2, 1), padding=(1, 1, 1, 0), dilation=(1, 2), groups=2),
    "whole": Case((2, 5, 6, 8), (2, 3, 4, 16), (1, 2), padding=(1, 0, 1, 1), groups=2),
}
EXACT = {"rtol": 0, "atol": 0}


def integers(*shape, seed=0):
    """Whose products and sums no rounding changes, neither of 8 digits nor of 24."""
    return np.random.default_rng([seed, *shape]).integers(-9, 10, shape).astype(np.float32)


def assert_products_are_twins(size, precision):
    rows, depth, columns = size
    x, kernel, dy = integers(rows, depth), integers(depth, columns), integers(rows, columns)
    options = {"precision": precision, **EXACT}
    assert_twins("dense", "dense_forward", x, kernel, np.zeros_like(dy), unwritten=("y",), **options)
    assert_twins("dense", "dense_backward_data", dy, kernel, integers(rows, depth, seed=1), True, **options)
    assert_twins("dense", "dense_backward_filter", x, dy, integers(depth, columns, seed=1), True, **options)


@pytest.mark.parametrize("size,precision", SIZES.values(), ids=SIZES.keys())
def test_products(size, precision):
    assert_products_are_twins(size, precision)


@PRECISIONS
def test_products_in_large_tiles(precision, monkeypatch):
    """What a matrix of so many tiles would be given, here of one and a bit."""
    monkeypatch.setattr(_products, "_tile_for", lambda *_: _tensor_cores.LARGE)
    assert_products_are_twins((132, 12, 36), precision)


@PRECISIONS
def test_a_depth_in_parts(precision):
    x, kernel, y = integers(3, 264), integers(264, 4), np.zeros((3, 4), np.float32)
    assert_twins("dense", "dense_forward", x, kernel, y, unwritten=("y",), precision=precision, **EXACT)


@pytest.mark.parametrize("case,precision", [("odd", "high"), ("whole", "high"), ("whole", "medium")])
def test_convolutions(case, precision):
    case = CONVOLUTIONS[case]
    x, kernel, dy = integers(*case.x), integers(*case.kernel), integers(*case.y)
    options = {"precision": precision, **EXACT}
    assert_twins("conv", "conv2d_forward", x, kernel, np.zeros_like(dy), *case.geometry, unwritten=("y",), **options)
    dx, dkernel = integers(*case.x, seed=1), integers(*case.kernel, seed=1)
    assert_twins("conv", "conv2d_backward_data", dy, kernel, dx, *case.geometry, True, **options)
    assert_twins("conv", "conv2d_backward_filter", x, dy, dkernel, *case.geometry, True, **options)


def rounded(x, digits):
    """To so many binary digits."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2**digits) / 2**digits, exponent)


@pytest.mark.parametrize(
    "precision,depth,digits", [("high", 8, 11), ("high", 9, 11), ("medium", 8, 8), ("medium", 9, 11)]
)
def test_operands_are_rounded_and_sums_are_not(precision, depth, digits):
    generator = np.random.default_rng(0)
    x, kernel = (generator.standard_normal(shape).astype(np.float32) for shape in ((5, depth), (depth, 12)))
    y = np.zeros((5, 12), np.float32)
    names = "x", "kernel", "y"
    function = cuda_function("dense", "dense_forward")
    found = run_cuda(function, names, x, kernel, y, backend=emulator(0), precision=precision)[2]
    np.testing.assert_allclose(found, rounded(x, digits) @ rounded(kernel, digits), rtol=1e-6, atol=1e-6)
    assert abs(found - x @ kernel).max() > 1e-5


def test_float64_is_multiplied_in_float64():
    x, kernel = np.full((2, 3), 1 / 3), np.full((3, 2), 1 / 7)
    assert_twins("dense", "dense_forward", x, kernel, np.zeros((2, 2)), rtol=1e-15, atol=0, precision="medium")


# ---- planted bugs: what the emulator says of instructions used wrongly


@kernel
def _copied(x, y, awaits, barrier, shift):
    tile = cuda.shared.array((2, 32), real, 16)
    lane = cuda.threadIdx.x
    if lane < 8:
        copy_async(tile, (0, 4 * lane), x, 4 * lane + shift, True)
    if awaits:
        await_copies()
    if barrier:
        cuda.syncthreads()
    y[lane] = tile[0, 31 - lane]


def run(kernel, *arguments, threads=32):
    backend = emulator(0)
    x = backend.to_device(np.arange(64, dtype=np.float32))
    y = backend.to_device(np.zeros(32, np.float32))
    with using(backend):
        launch(kernel, 1, threads, x, y, *arguments)
    return backend.to_host(y)


def test_copies_have_arrived_when_they_were_awaited():
    np.testing.assert_array_equal(run(_copied, True, True, 0), np.arange(31, -1, -1))
    assert np.isnan(run(_copied, False, True, 0)).all()
    with pytest.raises(EmulationError, match=r"race|never written"):
        run(_copied, True, False, 0)
    with pytest.raises(EmulationError, match="not aligned to 16 bytes"):
        run(_copied, True, True, 1)


@kernel
def _quad(x, y, at):
    values = load_quad(x, at)
    for i in range(4):
        y[i] = values[i]


def test_quads_are_aligned():
    np.testing.assert_array_equal(run(_quad, 8, threads=1)[:4], [8, 9, 10, 11])
    with pytest.raises(EmulationError, match="not aligned to 16 bytes"):
        run(_quad, 7, threads=1)
    with pytest.raises(EmulationError, match="outside"):
        run(_quad, 64, threads=1)


@kernel
def _matrices(x, y, line, lanes):
    tile = cuda.shared.array((32, 8), real, 16)
    lane = cuda.threadIdx.x
    for i in range(line):
        tile[lane, i] = real(1)
    cuda.syncwarp()
    if lane < lanes:
        words = load_matrices(tile, (lane, 0))
        sums = multiply_tf32((real(0), real(0), real(0), real(0)), words, (to_tf32(real(1)), to_tf32(real(1))))
        y[lane] = sums[0]


def test_matrices_are_whole_and_of_whole_warps():
    np.testing.assert_array_equal(run(_matrices, 4, 32), np.full(32, 8))
    with pytest.raises(EmulationError, match="never written"):
        run(_matrices, 3, 32)
    with pytest.raises(EmulationError):
        run(_matrices, 4, 31)
