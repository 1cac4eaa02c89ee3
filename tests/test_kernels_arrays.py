"""Kernels of comparison.py, strided.py, indexed.py, cumulative.py and matrices.py beside NumPy, on odd shapes."""

import naive.optimizers as naive_optimizers
import numpy as np
import pytest

from jitnet.kernels.cpu import comparison, cumulative, indexed, matrices, strided
from jitnet.kernels.cpu.fast.embedding import add_rows, add_rows_adagrad, add_rows_sgd, order_rows
from jitnet.kernels.scalar import comparisons
from jitnet.kernels.scalar.broadcasting import canonical

DTYPES = ("float32", "float64", "int64")


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def numbers(generator, dtype, *shape):
    return generator.integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("name", comparisons.NAMES)
def test_comparisons(name, generator):
    for a_shape, b_shape in (((5, 3), (5, 3)), ((5, 3), (1, 3)), ((5, 1), (5, 7)), ((1, 1), (5, 3))):
        a, b = numbers(generator, "float32", *a_shape), numbers(generator, "float32", *b_shape)
        a.flat[0] = np.nan
        expected = getattr(np, name)(a, b)
        y = np.zeros(expected.shape, bool)
        getattr(comparison, f"{name}_forward")(a, b, y, *canonical(a_shape, False, b_shape, False))
        np.testing.assert_array_equal(y, expected)


def test_select(generator):
    y = np.zeros((4, 3, 2), "float32")
    for shapes in (((4, 3, 2),) * 3, ((3, 2), (4, 3, 2), (1,)), ((1,), (2,), (3, 2)), ((4, 3, 2), (1,), (1,))):
        condition, a, b = (numbers(generator, "float32", *shape) for shape in shapes)
        condition = condition > 0
        comparison.select_forward(condition, a, b, y)
        np.testing.assert_array_equal(y, np.broadcast_to(np.where(condition, a, b), y.shape))
    condition = numbers(generator, "float32", 3, 2) > 0
    for accumulate in (False, True):
        for side in (False, True):
            dx = np.ones_like(y)
            comparison.select_backward(condition, y, dx, side, accumulate)
            np.testing.assert_array_equal(dx, np.where(condition == side, y, 0) + accumulate)
    nothing = np.zeros((0, 3), "float32")
    comparison.select_forward(nothing > 0, nothing, np.ones(1, "float32"), nothing)
    comparison.select_backward(nothing > 0, nothing, nothing, True, False)


LAYOUTS = {  # what NumPy takes of a sample (5, 4, 3): (shape, strides, offset)
    "a step": (lambda x: x[:, ::2, 1:], (1, 1, 1, 5, 2, 2), (0, 0, 0, 12, 6, 1), 1),
    "backwards": (lambda x: x[::-1, :, ::-2], (1, 1, 1, 5, 4, 2), (0, 0, 0, -12, 3, -2), 50),
    "turned": (lambda x: x.transpose(2, 0, 1), (1, 1, 1, 3, 5, 4), (0, 0, 0, 1, 12, 3), 0),
    "six": (lambda x: x.reshape(5, 2, 2, 3)[:, None, None], (5, 1, 1, 2, 2, 3), (12, 0, 0, 6, 3, 1), 0),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_strides(case, generator):
    view, *layout = LAYOUTS[case]
    x = generator.normal(size=(3, 5, 4, 3))
    expected = np.stack([view(sample) for sample in x])
    y = np.full(expected.shape, 7.0)
    strided.take_forward(x, y, *layout, 60)
    np.testing.assert_array_equal(y, expected)
    for accumulate in (False, True):
        dx = np.ones_like(x)
        strided.take_backward(y, dx, *layout, 60, accumulate)
        known = np.zeros_like(x)
        for sample, part in zip(known, y, strict=True):
            view(sample)[...] = part
        np.testing.assert_array_equal(dx, known + accumulate)
    put = np.full_like(x, 7)
    strided.put_forward(y, put, *layout, 60, 2.0)
    known = np.full_like(x, 2)
    for sample, part in zip(known, y, strict=True):
        view(sample)[...] = part
    np.testing.assert_array_equal(put, known)
    for accumulate in (False, True):
        dy = np.ones_like(y)
        strided.put_backward(put, dy, *layout, 60, accumulate)
        np.testing.assert_array_equal(dy, y + accumulate)


def test_strides_of_what_repeats(generator):
    row = generator.normal(size=3)
    y = np.zeros((2, 4, 3))
    layout = (1, 1, 1, 1, 4, 3), (0, 0, 0, 0, 0, 1), 0, 0
    strided.take_forward(row, y, *layout)
    np.testing.assert_array_equal(y, np.broadcast_to(row, y.shape))
    dy, dx = generator.normal(size=y.shape), np.zeros(3)
    strided.take_backward(dy, dx, *layout, False)
    np.testing.assert_allclose(dx, dy.sum((0, 1)), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_take(dtype, generator):
    x = numbers(generator, dtype, 2, 5, 3)
    indices = np.array([[4, -1, 0], [0, 7, -6]])
    missing = np.nan if dtype != "int64" else 0.0
    y = np.zeros((2, 6, 3), dtype)
    indexed.take_forward(x, indices, y, 5, 3, missing)
    known = indices.ravel()[:4]
    np.testing.assert_array_equal(y[:, :4], x[:, known])
    np.testing.assert_array_equal(y[:, 4:], np.full((2, 2, 3), missing, dtype))
    if dtype == "int64":
        return
    dy = generator.normal(size=y.shape).astype(dtype)
    for accumulate in (False, True):
        dx = np.ones_like(x)
        indexed.take_backward(indices, dy, dx, 5, 3, accumulate)
        expected = np.full_like(x, accumulate)
        np.add.at(expected, (slice(None), known), dy[:, :4])
        np.testing.assert_allclose(dx, expected, rtol=1e-6)


def test_take_along_axis(generator):
    x, indices = generator.normal(size=(4, 5, 3)), generator.integers(-5, 5, (4, 2, 3))
    for given, places in ((x, indices), (x[:1], indices), (x, indices[:2])):
        whole = np.broadcast_to(given, x.shape)
        spread = np.concatenate([places] * (4 // len(places)))
        y = np.zeros(indices.shape)
        indexed.take_along_axis_forward(given, places, y, 5, 2, 3, np.nan)
        np.testing.assert_array_equal(y, np.take_along_axis(whole, spread, 1))
        dy = generator.normal(size=y.shape)
        for accumulate in (False, True):
            dx = np.ones_like(given)
            indexed.take_along_axis_backward(places, dy, dx, 5, 2, 3, accumulate)
            expected = np.zeros_like(x)
            for n, j, i in np.ndindex(y.shape):
                expected[n, spread[n, j, i], i] += dy[n, j, i]
            if len(given) == 1:
                expected = expected.sum(0, keepdims=True)
            np.testing.assert_allclose(dx, expected + accumulate, rtol=1e-12, atol=1e-12)
    outside = np.full((4, 2, 3), 5)
    indexed.take_along_axis_forward(x, outside, y, 5, 2, 3, np.nan)
    dx = np.zeros_like(x)
    indexed.take_along_axis_backward(outside, y, dx, 5, 2, 3, False)
    assert np.isnan(y).all() and not dx.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 7, 33])
def test_order(dtype, size, generator):
    x = numbers(generator, dtype, 3, size, 2)
    if dtype != "int64":
        x[0, size // 2, 0] = x[0, 0, 1] = x[0, size - 1, 1] = np.nan
    place, order = np.zeros((3, 2), "int32"), np.zeros(x.shape, "int32")
    indexed.argmax(x, place, size, 2)
    np.testing.assert_array_equal(place, x.argmax(1))
    indexed.argsort(x, order, size, 2)
    np.testing.assert_array_equal(order, x.argsort(1, kind="stable"))


def test_running_sums_and_products(generator):
    x = generator.normal(size=(2, 5, 3))
    x[1, 2, 1] = x[1, 4, 1] = 0
    dy, y = generator.normal(size=x.shape), np.zeros_like(x)
    cumulative.cumsum_forward(x, y, 5, 3)
    np.testing.assert_allclose(y, x.cumsum(1), rtol=1e-12)
    for accumulate in (False, True):
        dx = np.ones_like(x)
        cumulative.cumsum_backward(dy, dx, 5, 3, accumulate)
        np.testing.assert_allclose(dx, dy[:, ::-1].cumsum(1)[:, ::-1] + accumulate, rtol=1e-12)
    cumulative.cumprod_forward(x, y, 5, 3)
    np.testing.assert_allclose(y, x.cumprod(1), rtol=1e-12)
    expected = np.zeros_like(x)
    for j in range(5):
        for k in range(j, 5):
            others = [m for m in range(k + 1) if m != j]
            expected[:, j] += dy[:, k] * x[:, others].prod(1)
    for accumulate in (False, True):
        dx = np.ones_like(x)
        cumulative.cumprod_backward(x, y, dy, dx, 5, 3, accumulate)
        np.testing.assert_allclose(dx, expected + accumulate, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("p", "q"), [(4, 4), (4, 2), (1, 4)])
def test_products_of_matrices(p, q, generator):
    a, b, dy = generator.normal(size=(p, 3, 5)), generator.normal(size=(q, 5, 7)), generator.normal(size=(4, 3, 7))
    y = np.zeros_like(dy)
    matrices.matmul_forward(a, b, y, 3, 5, 7)
    left, right = np.concatenate([a] * (4 // p)), np.concatenate([b] * (4 // q))
    np.testing.assert_allclose(y, left @ right, rtol=1e-12, atol=1e-12)
    for accumulate in (False, True):
        da, db = np.ones_like(a), np.ones_like(b)
        matrices.matmul_backward_a(b, dy, da, 3, 5, 7, accumulate)
        matrices.matmul_backward_b(a, dy, db, 3, 5, 7, accumulate)
        for found, each, count in ((da, dy @ right.mT, p), (db, left.mT @ dy, q)):
            expected = each.reshape(4 // count, count, *each.shape[1:]).sum(0)
            np.testing.assert_allclose(found, expected + accumulate, rtol=1e-12, atol=1e-12)


def ordered(indices, size):
    """The places of indices row by row, and their rows, by two calls of which the second has nothing to do."""
    order, rows, *spare = np.full((4, indices.size), 99)
    for first in (0, 1):
        order_rows(indices, order, rows, *spare, np.full(2048, 99), size, first, 1)
    return order, rows


@pytest.mark.parametrize("size", [1, 2047, 2048, 70_000, 5_000_000])
def test_places_in_the_order_of_their_rows(size, generator):
    for indices in (generator.integers(-2 * size, 2 * size, 999), generator.integers(0, min(size, 9), 50)):
        order, rows = ordered(indices, size)
        wanted = np.where(indices < 0, indices + size, indices)
        wanted = np.where((wanted >= 0) & (wanted < size), wanted, size)
        np.testing.assert_array_equal(order, np.argsort(wanted, kind="stable"))
        np.testing.assert_array_equal(rows, np.sort(wanted))


@pytest.mark.parametrize(("first", "last"), [(0, 7), (2, 5), (6, 7)])
def test_rows_of_a_table(first, last, generator):
    indices, dy = np.array([6, 2, 2, -2, 9, 0, -8, 2]), generator.normal(size=(8, 3)).astype("float32")
    dx, expected = np.full((7, 3), 7, "float32"), np.zeros((7, 3), "float32")
    indexed.take_backward(indices, dy, expected, 7, 3, False)
    order, rows = ordered(indices, 7)
    np.testing.assert_array_equal(rows, [0, 2, 2, 2, 5, 6, 7, 7])
    np.testing.assert_array_equal(order, [5, 1, 2, 7, 3, 0, 4, 6])
    add_rows(order, rows, dy, dx, first, last)
    np.testing.assert_array_equal(dx[first:last], expected[first:last])
    assert (np.delete(dx, np.s_[first:last], 0) == 7).all()
    # with an update of those rows alone that something was sent to: 0, 2, 5, 6
    used = [row for row in range(first, last) if row in (0, 2, 5, 6)]
    parameter, squares = generator.random((2, 7, 3)).astype("float32")
    for name in ("sgd", "adagrad"):
        dx, found = np.full((7, 3), 7, "float32"), [parameter.copy(), squares.copy()]
        slots = {"squares": squares[used]}
        if name == "sgd":
            add_rows_sgd(order, rows, dy, dx, found[0], 0.5, first, last)
            new = naive_optimizers.sgd(parameter[used], expected[used], {}, 1, 0.5)
        else:
            add_rows_adagrad(order, rows, dy, dx, *found, 0.5, 1e-3, first, last)
            new = naive_optimizers.adagrad(parameter[used], expected[used], slots, 1, 0.5, 1e-3, None)
        np.testing.assert_array_equal(dx[used], expected[used])
        np.testing.assert_allclose(found[0][used], new, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found[1][used], slots["squares"], rtol=1e-6)
        for array, before in ((dx, np.full((7, 3), 7)), (found[0], parameter), (found[1], squares)):
            np.testing.assert_array_equal(np.delete(array, used, 0), np.delete(before, used, 0))
