"""Pooling kernels against their oracle, central differences and PyTorch."""

import naive.pool as naive
import numpy as np
import pytest
from naive import assert_close, check, draw, numerical_gradient

from jitnet.kernels.cpu import pool
from jitnet.kernels.cpu.fast import pool as fast_pool

# x shape, output size, (window_h, window_w, stride_h, stride_w, pad_top, pad_left)
CASES = {
    "one": ((1, 1, 1, 1), (1, 1), (1, 1, 1, 1, 0, 0)),
    "halves": ((2, 6, 8, 3), (3, 4), (2, 2, 2, 2, 0, 0)),
    "empty_batch": ((0, 6, 8, 3), (3, 4), (2, 2, 2, 2, 0, 0)),
    "overlap": ((2, 7, 7, 17), (3, 3), (3, 3, 2, 2, 0, 0)),
    "padding": ((1, 5, 7, 2), (3, 4), (3, 3, 2, 2, 1, 1)),
    "same_asymmetric": ((2, 5, 5, 3), (3, 3), (2, 2, 2, 2, 0, 0)),
    "rectangular": ((3, 7, 5, 5), (6, 3), (2, 4, 1, 2, 0, 2)),
    "stride_beyond_window": ((2, 11, 13, 1), (4, 3), (2, 3, 3, 5, 0, 0)),
    "whole": ((2, 3, 5, 16), (1, 1), (3, 5, 1, 1, 0, 0)),
    "image_inside_window": ((1, 2, 2, 3), (1, 1), (5, 5, 1, 1, 2, 1)),
    "only_padding": ((1, 2, 2, 2), (3, 2), (2, 2, 2, 2, 2, 0)),
}
cases = pytest.mark.parametrize("shape,out_size,geometry", CASES.values(), ids=CASES.keys())
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
IMAGES = [(1, 1, 1, 1), (0, 3, 4, 2), (2, 3, 5, 7), (3, 7, 1, 16)]


def operands(shape, out_size, dtype):
    return draw(*shape, dtype=dtype), draw(shape[0], *out_size, shape[3], dtype=dtype, seed=1)


@cases
@dtypes
def test_max_pool2d(shape, out_size, geometry, dtype):
    x, dy = operands(shape, out_size, dtype)
    y, argmax = naive.max_pool2d_forward(x, out_size, *geometry)
    check(pool.max_pool2d_forward, [x], geometry, [y, argmax])
    expected = naive.max_pool2d_backward(dy, argmax, shape, *geometry)
    check(pool.max_pool2d_backward, [dy, argmax], geometry, [expected], accumulates=True)


@cases
@dtypes
def test_average_pool2d(shape, out_size, geometry, dtype):
    x, dy = operands(shape, out_size, dtype)
    check(pool.average_pool2d_forward, [x], geometry, [naive.average_pool2d_forward(x, out_size, *geometry)])
    expected = naive.average_pool2d_backward(dy, shape, *geometry)
    check(pool.average_pool2d_backward, [dy], geometry, [expected], accumulates=True)


@pytest.mark.parametrize("shape", IMAGES)
@dtypes
def test_global_pools(shape, dtype):
    x, dy = draw(*shape, dtype=dtype), draw(shape[0], shape[3], dtype=dtype, seed=1)
    check(pool.global_average_pool2d_forward, [x], (), [naive.global_average_pool2d_forward(x)])
    expected = naive.global_average_pool2d_backward(dy, shape)
    check(pool.global_average_pool2d_backward, [dy], (), [expected], accumulates=True)
    y, argmax = naive.global_max_pool2d_forward(x)
    check(pool.global_max_pool2d_forward, [x], (), [y, argmax])
    expected = naive.global_max_pool2d_backward(dy, argmax, shape)
    check(pool.global_max_pool2d_backward, [dy, argmax.astype(np.int32)], (), [expected], accumulates=True)


@pytest.mark.parametrize(
    "window,winner",
    [
        ([0, 0, 0, 0], 0),
        ([1, 3, 3, 2], 1),
        ([-np.inf] * 4, 0),
        ([-0.0, 0.0, -1, 0], 0),
        ([1, np.nan, np.inf, 2], 1),
        ([np.nan, 5, np.nan, 6], 0),
        ([np.inf, 5, 6, np.nan], 3),
    ],
)
@pytest.mark.parametrize("channels", [1, 19])
@dtypes
def test_ties_and_nan(window, winner, channels, dtype):
    """The first maximum wins, the first NaN beats everything; in a vector of channels as in a single one."""
    x = np.repeat(np.array(window, dtype).reshape(1, 2, 2, 1), channels, 3)
    for kernel, shape, geometry in (
        (pool.max_pool2d_forward, (1, 1, 1, channels), (2, 2, 2, 2, 0, 0)),
        (pool.global_max_pool2d_forward, (1, channels), ()),
    ):
        y, argmax = np.empty(shape, dtype), np.empty(shape, np.int32)
        kernel(x, y, argmax, *geometry)
        assert (argmax == winner).all()
        np.testing.assert_array_equal(y, np.full(shape, window[winner], dtype))


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (6, 8), (1, 4)])
@pytest.mark.parametrize("channels", [1, 3, 6, 8, 10, 16, 19, 40])
@dtypes
def test_max_pool2d_2x2(size, channels, dtype):
    """The same as the general kernels, and nothing is written beyond the arrays: here they are parts of larger ones."""
    shape, out_size, geometry = (3, *size, channels), (size[0] // 2, size[1] // 2), (2, 2, 2, 2, 0, 0)
    x, dy = operands(shape, out_size, dtype)
    x[1] = np.round(x[1])
    x[2, 0, 1, 0] = np.nan
    expected, winners = naive.max_pool2d_forward(x, out_size, *geometry)
    y, argmax = np.full((5, *dy.shape[1:]), 7, dtype), np.full((5, *dy.shape[1:]), 7, np.uint8)
    fast_pool.max_pool2d_2x2_forward(x, y[1:4], argmax[1:4])
    np.testing.assert_array_equal(y[1:4], expected.astype(dtype))
    np.testing.assert_array_equal(argmax[1:4], winners)
    dx = np.full((5, *shape[1:]), 7, dtype)
    fast_pool.max_pool2d_2x2_backward(dy, argmax[1:4], dx[1:4])
    np.testing.assert_array_equal(dx[1:4], naive.max_pool2d_backward(dy, winners, shape, *geometry))
    for array in (y, argmax, dx):
        assert (array[[0, 4]] == 7).all()
    none = np.empty((0, *dy.shape[1:]), dtype)
    fast_pool.max_pool2d_2x2_forward(x[:0], none, argmax[:0])
    fast_pool.max_pool2d_2x2_backward(none, argmax[:0], dx[:0])


def test_relu_after_the_maximum_is_relu_before_it():
    """Values and gradients agree, ties at 0 included: where ReLU cuts the maximum, it lets no gradient through."""
    from jitnet.kernels.cpu import elementwise

    x, dy = np.round(draw(4, 6, 8, 6, dtype=np.float32)), draw(4, 3, 4, 6, dtype=np.float32)
    x[0] = -abs(x[0])
    argmax = np.empty(dy.shape, np.uint8)
    rectified, before, slope_before, dx_before = (np.empty_like(a) for a in (x, dy, x, x))
    elementwise.relu_forward(x, rectified)
    fast_pool.max_pool2d_2x2_forward(rectified, before, argmax)
    fast_pool.max_pool2d_2x2_backward(dy, argmax, slope_before)
    elementwise.relu_backward(rectified, slope_before, dx_before, False)
    pooled, after, slope_after, dx_after = (np.empty_like(a) for a in (dy, dy, dy, x))
    fast_pool.max_pool2d_2x2_forward(x, pooled, argmax)
    elementwise.relu_forward(pooled, after)
    elementwise.relu_backward(after, dy, slope_after, False)
    fast_pool.max_pool2d_2x2_backward(slope_after, argmax, dx_after)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(dx_after, dx_before)


@pytest.mark.parametrize("name", ["overlap", "padding", "only_padding"])
def test_max_pool2d_with_small_winners(name):
    """Winners in uint8, where 255 is none, are those in int32."""
    shape, out_size, geometry = CASES[name]
    x, dy = operands(shape, out_size, np.float32)
    y, dx, argmax = np.empty_like(dy), np.empty_like(x), np.full(dy.shape, 7, np.uint8)
    expected, winners = naive.max_pool2d_forward(x, out_size, *geometry)
    pool.max_pool2d_forward(x, y, argmax, *geometry)
    np.testing.assert_array_equal(y, expected.astype(np.float32))
    np.testing.assert_array_equal(argmax, winners.astype(np.uint8))
    pool.max_pool2d_backward(dy, argmax, dx, *geometry, False)
    assert_close(dx, naive.max_pool2d_backward(dy, winners, shape, *geometry), 1e-6)


def test_padding_never_wins():
    x = np.full((1, 2, 2, 1), -5.0)
    y, argmax = np.empty((1, 2, 2, 1)), np.empty((1, 2, 2, 1), np.int32)
    pool.max_pool2d_forward(x, y, argmax, 2, 2, 2, 2, 1, 1)
    assert (y == -5).all()
    np.testing.assert_array_equal(argmax.ravel(), [3, 2, 1, 0])


def test_average_propagates_nan_and_inf():
    x = np.zeros((1, 2, 4, 1))
    x[0, 1, 0, 0], x[0, 0, 3, 0] = np.nan, np.inf
    check(pool.average_pool2d_forward, [x], (2, 2, 2, 2, 0, 0), [np.array([np.nan, np.inf]).reshape(1, 1, 2, 1)])
    check(pool.global_average_pool2d_forward, [x], (), [np.array([[np.nan]])])


@cases
def test_central_differences(shape, out_size, geometry):
    """Distinct integers as pixels: a step of 1e-3 changes no maximum."""
    if geometry == CASES["only_padding"][2]:
        pytest.skip("a maximum over nothing is not finite")
    x = np.random.default_rng(0).permutation(float(np.prod(shape)) - np.arange(np.prod(shape))).reshape(shape)
    dy = draw(shape[0], *out_size, shape[3], seed=1)
    y, dx, argmax = np.empty_like(dy), np.empty_like(x), np.empty(dy.shape, np.int32)

    def maximum():
        pool.max_pool2d_forward(x, y, argmax, *geometry)
        return np.vdot(y, dy)

    def average():
        pool.average_pool2d_forward(x, y, *geometry)
        return np.vdot(y, dy)

    numerical = numerical_gradient(maximum, x)
    pool.max_pool2d_backward(dy, argmax, dx, *geometry, False)
    assert_close(dx, numerical, 1e-6)
    pool.average_pool2d_backward(dy, dx, *geometry, False)
    assert_close(dx, numerical_gradient(average, x), 1e-6)


def test_global_central_differences():
    x = np.random.default_rng(0).permutation(2.0 * 3 * 5 * 7 - np.arange(2 * 3 * 5 * 7)).reshape(2, 3, 5, 7)
    dy = draw(2, 7, seed=1)
    y, dx, argmax = np.empty_like(dy), np.empty_like(x), np.empty(dy.shape, np.int32)

    def maximum():
        pool.global_max_pool2d_forward(x, y, argmax)
        return np.vdot(y, dy)

    def average():
        pool.global_average_pool2d_forward(x, y)
        return np.vdot(y, dy)

    numerical = numerical_gradient(maximum, x)
    pool.global_max_pool2d_backward(dy, argmax, dx, False)
    assert_close(dx, numerical, 1e-6)
    pool.global_average_pool2d_backward(dy, dx, False)
    assert_close(dx, numerical_gradient(average, x), 1e-6)


@pytest.mark.parametrize("name", ["halves", "overlap", "padding", "stride_beyond_window", "whole"])
def test_torch(name):
    torch = pytest.importorskip("torch")
    shape, out_size, geometry = CASES[name]
    x, dy = operands(shape, out_size, np.float32)
    y, dx, argmax = np.empty_like(dy), np.empty_like(x), np.empty(dy.shape, np.int32)
    options = {"kernel_size": geometry[:2], "stride": geometry[2:4], "padding": geometry[4:]}
    functional = torch.nn.functional
    for kind in ("max", "average"):
        image = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
        if kind == "max":
            out = functional.max_pool2d(image, **options)
            pool.max_pool2d_forward(x, y, argmax, *geometry)
            pool.max_pool2d_backward(dy, argmax, dx, *geometry, False)
        else:
            out = functional.avg_pool2d(image, **options, count_include_pad=False)
            pool.average_pool2d_forward(x, y, *geometry)
            pool.average_pool2d_backward(dy, dx, *geometry, False)
        out.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
        assert_close(y, out.detach().numpy().transpose(0, 2, 3, 1), 1e-4)
        assert_close(dx, image.grad.numpy().transpose(0, 2, 3, 1), 1e-4)


def test_global_torch():
    torch = pytest.importorskip("torch")
    x, dy = draw(2, 3, 5, 7, dtype=np.float32), draw(2, 7, dtype=np.float32, seed=1)
    y, dx, argmax = np.empty_like(dy), np.empty_like(x), np.empty(dy.shape, np.int32)
    for kind in ("amax", "mean"):
        image = torch.tensor(x, requires_grad=True)
        out = getattr(image, kind)((1, 2))
        out.backward(torch.tensor(dy))
        if kind == "amax":
            pool.global_max_pool2d_forward(x, y, argmax)
            pool.global_max_pool2d_backward(dy, argmax, dx, False)
        else:
            pool.global_average_pool2d_forward(x, y)
            pool.global_average_pool2d_backward(dy, dx, False)
        assert_close(y, out.detach().numpy(), 1e-4)
        assert_close(dx, image.grad.numpy(), 1e-4)
