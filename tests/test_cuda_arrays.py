"""CUDA kernels of comparison.py, strided.py, indexed.py, cumulative.py and matrices.py, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from test_kernels_arrays import LAYOUTS

from jitnet.kernels.scalar import comparisons
from jitnet.kernels.scalar.broadcasting import canonical

GENERATOR = np.random.default_rng(0)


def floats(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def whole(*shape):
    return GENERATOR.integers(-3, 4, shape)


@pytest.mark.parametrize("name", comparisons.NAMES)
def test_comparisons(name):
    for a, b in ((whole(5, 3).astype("float32"), whole(1, 3).astype("float32")), (whole(5, 1), whole(5, 7))):
        y = np.zeros(np.broadcast_shapes(a.shape, b.shape), bool)
        geometry = canonical(a.shape, False, b.shape, False)
        assert_twins("comparison", f"{name}_forward", a, b, y, *geometry, unwritten=("y",))


def test_select():
    y = floats(4, 3, 2)
    for condition, a, b in ((whole(4, 3, 2) > 0, floats(1), floats(3, 2)), (whole(3, 2) > 0, floats(4, 3, 2), y)):
        assert_twins("comparison", "select_forward", condition, a, b, np.zeros_like(y), unwritten=("y",))
        assert_twins("comparison", "select_backward", condition, y, floats(4, 3, 2), True, True)
        assert_twins("comparison", "select_backward", condition, y, floats(4, 3, 2), False, False, unwritten=("dx",))


@pytest.mark.parametrize("case", LAYOUTS)
def test_strides(case):
    view, *layout = LAYOUTS[case]
    x = floats(3, 5, 4, 3)
    y = np.ascontiguousarray(np.stack([view(sample) for sample in x]))
    assert_twins("strided", "take_forward", x, y, *layout, 60, unwritten=("y",))
    assert_twins("strided", "take_backward", y, x, *layout, 60, False, unwritten=("dx",))
    assert_twins("strided", "take_backward", y, x, *layout, 60, True)
    assert_twins("strided", "put_forward", y, x, *layout, 60, 2.0, unwritten=("y",))
    assert_twins("strided", "put_backward", x, y, *layout, 60, True)


def test_strides_of_what_repeats():
    layout = (1, 1, 1, 1, 4, 3), (0, 0, 0, 0, 0, 1), 0, 0
    assert_twins("strided", "take_forward", floats(3), floats(2, 4, 3), *layout, unwritten=("y",))
    assert_twins("strided", "take_backward", floats(2, 4, 3), floats(3), *layout, False, unwritten=("dx",))


def test_take():
    x, indices, y = floats(2, 5, 3), np.array([[4, -1, 0], [0, 7, -6]]), floats(2, 6, 3)
    assert_twins("indexed", "take_forward", x, indices, y, 5, 3, np.nan, unwritten=("y",))
    assert_twins("indexed", "take_backward", indices, y, x, 5, 3, False, unwritten=("dx",))
    assert_twins("indexed", "take_backward", indices, y, x, 5, 3, True)
    places = GENERATOR.integers(-6, 6, (4, 2, 3))
    for given, where in ((floats(4, 5, 3), places), (floats(1, 5, 3), places), (floats(4, 5, 3), places[:2])):
        y = floats(4, 2, 3)
        assert_twins("indexed", "take_along_axis_forward", given, where, y, 5, 2, 3, np.nan, unwritten=("y",))
        assert_twins("indexed", "take_along_axis_backward", where, y, given, 5, 2, 3, False, unwritten=("dx",))
        assert_twins("indexed", "take_along_axis_backward", where, y, given, 5, 2, 3, True)


def test_order():
    for x in (whole(3, 7, 2), whole(3, 7, 2).astype("float32")):
        if x.dtype == np.float32:
            x[0, 3, 0] = x[0, 0, 1] = x[0, 6, 1] = np.nan
        assert_twins("indexed", "argmax", x, np.zeros((3, 2), "int32"), 7, 2, unwritten=("y",))
        assert_twins("indexed", "argsort", x, np.zeros(x.shape, "int32"), 7, 2, unwritten=("y",))


def test_running_sums_and_products():
    x, y, dy, dx = floats(2, 5, 3), floats(2, 5, 3), floats(2, 5, 3), floats(2, 5, 3)
    for name in ("cumsum", "cumprod"):
        assert_twins("cumulative", f"{name}_forward", x, y, 5, 3, unwritten=("y",))
    for accumulate in (False, True):
        assert_twins("cumulative", "cumsum_backward", dy, dx, 5, 3, accumulate)
        assert_twins("cumulative", "cumprod_backward", x, x.cumprod(1), dy, dx, 5, 3, accumulate)


@pytest.mark.parametrize(("p", "q"), [(4, 4), (4, 2), (1, 4)])
def test_products_of_matrices(p, q):
    a, b, y = floats(p, 3, 5), floats(q, 5, 17), floats(4, 3, 17)
    tolerance = {"rtol": 1e-5, "atol": 1e-5}  # of products elsewhere: a device adds in another order, and rounds less
    assert_twins("matrices", "matmul_forward", a, b, y, 3, 5, 17, unwritten=("y",), **tolerance)
    for accumulate in (False, True):
        assert_twins("matrices", "matmul_backward_a", b, y, a, 3, 5, 17, accumulate, **tolerance)
        assert_twins("matrices", "matmul_backward_b", a, y, b, 3, 5, 17, accumulate, **tolerance)
