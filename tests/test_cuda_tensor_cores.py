"""Products on tensor cores, emulated: exact for numbers of few digits, and rounded once for others."""

import numpy as np
import pytest
from cuda_cases import assert_twins, cuda_function, emulator, run_cuda
from test_kernels_conv import Case

from jitnet.kernels.cuda import _fragments, _operands, _products, _quads, _tensor_cores
from jitnet.kernels.cuda._bodies import Function, rebuilt

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
@pytest.mark.parametrize("tile,size", [
    ("NARROWEST", (36, 84, 20)), ("NARROW", (36, 52, 40)), ("MEDIUM", (68, 84, 36)), ("TALL", (36, 52, 68)),
    ("LARGE", (132, 84, 36)),
])  # fmt: skip
def test_products_in_other_tiles(tile, size, precision, monkeypatch):
    """What other matrices would be given, here of one and a bit, in enough steps for all buffers to be used again."""
    monkeypatch.setattr(_products, "_tile_for", lambda *_: getattr(_tensor_cores, tile))
    assert_products_are_twins(size, precision)


@PRECISIONS
def test_products_of_quads_that_are_not_whole_in_medium_tiles(precision, monkeypatch):
    monkeypatch.setattr(_products, "_tile_for", lambda *_: _tensor_cores.MEDIUM)
    assert_products_are_twins((37, 21, 19), precision)


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


def plain(function):
    """A device function as one of Python, with those that it calls."""
    return rebuilt(function.function, lambda _, value: plain(value) if isinstance(value, Function) else value)


@pytest.mark.parametrize("along_depth", [True, False])
@pytest.mark.parametrize("name", ["LARGE", "TALL", "MEDIUM", "SMALL", "NARROW", "NARROWEST"])
def test_what_is_read_or_written_at_a_time_lies_in_all_banks(name, along_depth):
    """Of 32 banks of four bytes; 128 bytes are read at a time, by 8 lanes of 16 or by 16 lanes of 8."""
    tile = getattr(_tensor_cores, name)
    for fixed, width in ((tile.rows, tile.warp_rows), (tile.columns, tile.warp_columns)):
        layout = _fragments.layout("tf32", along_depth, fixed, width)
        operand = _operands.ROWS if along_depth else _operands.COLUMNS
        brought = plain(_quads.quads(operand, True, fixed, _fragments.DEPTH, tile.threads).own)
        place, own = plain(layout.place), plain(layout.own)
        size = 2 if layout.run == 2 else 4
        for warp in range(tile.threads // 32):
            lanes, threads = range(32), range(32 * warp, 32 * warp + 32)
            read = [own(width * (warp % (fixed // width)), lane) for lane in lanes]
            written = [place(*brought(thread)) for thread in threads]
            for words, each in ((read, size), (written, 4)):
                for first in range(0, 32, 32 // each):
                    banks = {(word + i) % 32 for word in words[first : first + 32 // each] for i in range(each)}
                    assert len(banks) == 32, (fixed, width, each)


def rounded(x, digits):
    """To so many binary digits: bfloat16's 8 to nearest; of TF32's 11 the rest is cut off, after 3/8192 is added."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    scaled = mantissa * 2**digits
    return np.ldexp(np.round(scaled) if digits == 8 else np.trunc(scaled * (1 + 3 / 8192)), exponent - digits)


@pytest.mark.parametrize(
    "precision,depth,digits", [("high", 8, 11), ("high", 9, 11), ("medium", 8, 8), ("medium", 9, 8)]
)
def test_operands_are_rounded_and_sums_are_not(precision, depth, digits):
    generator = np.random.default_rng(0)
    x, kernel = (generator.standard_normal(shape).astype(np.float32) for shape in ((5, depth), (depth, 12)))
    y = np.zeros((5, 12), np.float32)
    names = "x", "kernel", "y"
    function = cuda_function("dense", "dense_forward")
    found = run_cuda(function, names, x, kernel, y, backend=emulator(0), precision=precision)[2]
    np.testing.assert_allclose(found, rounded(x, digits) @ rounded(kernel, digits), rtol=1e-6, atol=1e-6)
    error = found - x.astype(np.float64) @ kernel
    assert 1e-5 < abs(error).max() < depth * 4 * 2.0**-digits
    assert abs(error.mean()) < abs(error).mean()  # to both sides


def test_float64_is_multiplied_in_float64():
    x, kernel = np.full((2, 3), 1 / 3), np.full((3, 2), 1 / 7)
    assert_twins("dense", "dense_forward", x, kernel, np.zeros((2, 2)), rtol=1e-15, atol=0, precision="medium")
