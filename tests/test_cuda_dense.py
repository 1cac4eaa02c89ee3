"""Matrix products and bias on CUDA, emulated, against their CPU twins."""

import numpy as np
import pytest
from cuda_cases import SEEDS, assert_twins, emulator
from naive import draw

from jitnet.kernels.cuda import _api, _products, _tensor_cores, dense
from jitnet.kernels.cuda._strides import ALL_ROWS, BY_REMAINDER

# (M, K, N): no rows, no depth, a depth in parts, and tiles with edges on all sides
SIZES = {
    "one": (1, 1, 1),
    "no_rows": (0, 3, 2),
    "no_depth": (3, 0, 2),
    "odd": (5, 11, 13),
    "parts": (3, 130, 5),
    "narrow": (130, 9, 21),
    "medium": (67, 17, 66),
    "whole": (9, 20, 36),
}
CASES = {name: (size, np.float32) for name, size in SIZES.items()} | {"float64": (SIZES["odd"], np.float64)}


def assert_products_are_twins(size, dtype):
    rows, depth, columns = size
    x, kernel, dy = draw(rows, depth, dtype=dtype), draw(depth, columns, dtype=dtype), draw(rows, columns, dtype=dtype)
    tolerance = dict.fromkeys(("rtol", "atol"), 1e-5 if dtype is np.float32 else 1e-12)
    assert_twins("dense", "dense_forward", x, kernel, np.zeros_like(dy), unwritten=("y",), **tolerance)
    for accumulate in (False, True):
        options = {"unwritten": () if accumulate else ("dx", "dkernel"), **tolerance}
        dx, dkernel = draw(rows, depth, dtype=dtype, seed=9), draw(depth, columns, dtype=dtype, seed=9)
        assert_twins("dense", "dense_backward_data", dy, kernel, dx, accumulate, **options)
        assert_twins("dense", "dense_backward_filter", x, dy, dkernel, accumulate, **options)


@pytest.mark.parametrize("size,dtype", CASES.values(), ids=CASES.keys())
def test_products(size, dtype):
    assert_products_are_twins(size, dtype)


@pytest.mark.parametrize("tile,size", [
    ("NARROWEST", (130, 9, 18)), ("NARROWEST", (36, 52, 20)), ("NARROW", (36, 52, 40)), ("MEDIUM", (68, 52, 36)),
    ("MEDIUM", (67, 51, 35)), ("TALL", (36, 36, 68)), ("LARGE", (130, 9, 70)), ("LARGE", (36, 28, 132)),
])  # fmt: skip
def test_products_in_other_tiles(tile, size, monkeypatch):
    """What other matrices would be given, here of one and a bit."""
    monkeypatch.setattr(_products, "_tile_for", lambda *_: getattr(_products, tile))
    assert_products_are_twins(size, np.float32)


def test_products_say_what_they_cannot_count():
    with pytest.raises(ValueError, match="at most 2147482624 rows, columns and terms"):
        _products.product(None, None, None, None, None, 2**31, 1, 1)
    with pytest.raises(ValueError, match=r"at most 65535 groups times strides.*Received: 2 groups, 40000 classes"):
        _products.product(None, None, None, None, None, 1, 1, 1, groups=2, classes=BY_REMAINDER, count=40_000)


def test_what_tiles_products_take():
    for kind, tiles in (("float", _products), ("tf32", _tensor_cores)):
        for sizes, name in (
            ((64, 128, 784, 1), "SMALL"), ((5000, 10, 300, 1), "SMALL"), ((1024, 128, 784, 1), "MEDIUM"),
            ((64, 16, 9000, 1), "NARROWEST"),
            ((9000, 30, 300, 1), "NARROW"), ((512, 512, 512, 1), "MEDIUM"), ((17000, 64, 576, 1), "TALL"),
            ((2304, 256, 2048, 1), "TALL"), ((4096, 4096, 4096, 1), "LARGE"), ((17000, 16, 576, 2), "NARROWEST"),
        ):  # fmt: skip
            assert _products._tile_for(*sizes, kind, True, ALL_ROWS) == getattr(tiles, name), sizes
        assert _products._tile_for(4096, 4096, 4096, 1, kind, False, ALL_ROWS) == tiles.MEDIUM
        strided = _products._tile_for(4096, 4096, 4096, 1, kind, True, BY_REMAINDER)
        assert strided == (tiles.TALL if kind == "float" else tiles.LARGE)


@pytest.mark.parametrize(
    "shape", [(1, 1), (0, 3), (3, 0), (2, 3, 4, 17), (513, 3), (5, 70), (0, 4), (9, 4), (37, 12)], ids=str
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_bias_add(shape, dtype):
    x, bias = draw(*shape, dtype=dtype), draw(shape[-1], dtype=dtype)
    assert_twins("dense", "bias_add_forward", x, bias, np.zeros_like(x), rtol=0, atol=0, unwritten=("y",))
    assert_twins("dense", "bias_add_forward", x, bias, x, rtol=0, atol=0)
    tolerance = dict.fromkeys(("rtol", "atol"), 1e-5 if dtype is np.float32 else 1e-12)
    assert_twins("dense", "bias_add_backward", x, bias, False, unwritten=("dbias",), **tolerance)
    assert_twins("dense", "bias_add_backward", x, bias, True, **tolerance)


@pytest.mark.parametrize("shape", [(2, 4400), (3, 2300), (2049, 4), (2100, 8), (70, 36), (513, 35), (2049, 3)], ids=str)
def test_sums_of_columns(shape):
    """Few rows of many columns, many rows at once, and more than one launch takes; of the last two not by quads."""
    x = draw(*shape, dtype=np.float32)
    found = []
    for seed in SEEDS:
        backend = emulator(seed)
        dbias = backend.empty(shape[1:], np.float32)
        with _api.using(backend):
            dense.bias_add_backward(backend.to_device(x), dbias, False)
        found.append(backend.to_host(dbias))
    np.testing.assert_allclose(found[0], x.astype(np.float64).sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(*found)


def test_a_value_that_is_not_finite_stays_in_its_row():
    x, kernel = draw(5, 11, dtype=np.float32), draw(11, 13, dtype=np.float32)
    x[4, 10], x[1, 2] = np.inf, np.nan
    assert_twins("dense", "dense_forward", x, kernel, np.zeros((5, 13), np.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_memory_that_is_not_aligned(precision):
    """Sizes in fours, but an array that starts between: quads of it are not loaded at once."""
    backend, x, kernel = emulator(0), np.arange(32, dtype=np.float32).reshape(4, 8), np.eye(8, dtype=np.float32)
    memory = backend.to_device(np.concatenate([[9], x.ravel()]).astype(np.float32).view(np.uint8))
    y = backend.empty((4, 8), np.float32)
    with _api.using(backend, precision=precision):
        dense.dense_forward(backend.view(memory, 4, (4, 8), np.float32), backend.to_device(kernel), y)
    np.testing.assert_array_equal(backend.to_host(y), x)
