"""Kernels of a convolution and the max pooling after it against their oracle, PyTorch and themselves."""

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, draw
from naive.pool import max_pool2d_forward
from test_simd import TARGETS, guarded

from jitnet.kernels.cpu.fast.convolution_pooled import (
    conv2d_pooled_backward_data_kernel,
    conv2d_pooled_backward_filter_kernel,
    conv2d_pooled_forward_kernel,
    pooled_weights_kernel,
)

# images (N, H, W), kernel (R, S, C, K), size of the convolution's output, (top, left) padding
CASES = {
    "same_5x5_1_6": ((2, 9, 11), (5, 5, 1, 6), (9, 11), (2, 2)),
    "valid_5x5_6_16": ((3, 8, 7), (5, 5, 6, 16), (4, 3), (0, 0)),
    "uneven_padding": ((1, 7, 8), (3, 2, 3, 7), (7, 9), (1, 1)),
    "padding_below_only": ((2, 5, 6), (3, 1, 2, 3), (4, 6), (0, 0)),
    "padding_over_kernel": ((2, 3, 5), (2, 3, 2, 3), (8, 6), (3, 2)),
    "many_channels": ((1, 5, 6), (3, 3, 13, 5), (3, 4), (0, 0)),
    "one_tap": ((2, 2, 2), (1, 1, 1, 1), (2, 2), (0, 0)),
    "no_images": ((0, 6, 5), (3, 3, 2, 4), (4, 3), (0, 0)),
}
ONE_CHANNEL = {
    "same_5x5_1_6": CASES["same_5x5_1_6"],
    "eleven_filters": ((3, 7, 8), (3, 2, 1, 11), (7, 9), (1, 1)),
    "padding_over_kernel": ((1, 3, 5), (2, 3, 1, 3), (8, 6), (3, 2)),
    "one_tap": CASES["one_tap"],
    "sixteen_filters": ((2, 6, 37), (4, 4, 1, 16), (3, 34), (0, 0)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
one_channel = pytest.mark.parametrize("case", ONE_CHANNEL.values(), ids=ONE_CHANNEL.keys())
POOL = (2, 2, 2, 2, 0, 0)


def pooled(size):
    return size[0] // 2, size[1] // 2


def operands(case, dtype):
    """x, kernel, pooled gradient, winners"""
    images, kernel_shape, size, _ = case
    result = images[0], *pooled(size), kernel_shape[3]
    x = draw(*images, kernel_shape[2], dtype=dtype, seed=0)
    argmax = np.random.default_rng(3).integers(0, 4, result).astype(np.uint8)
    return x, draw(*kernel_shape, dtype=dtype, seed=1), draw(*result, dtype=dtype, seed=2), argmax


def spread(case, dy, argmax):
    """The gradient of the convolution's output."""
    dx = np.zeros((case[0][0], *case[2], case[1][3]))
    for row in range(2):
        for column in range(2):
            part = dx[:, row : 2 * dy.shape[1] : 2, column : 2 * dy.shape[2] : 2]
            part[...] = np.where(argmax == 2 * row + column, dy, 0)
    return dx


def scratch(elements, dtype):
    return guarded(np.full(elements, np.nan, dtype))


def run_filter(case, x, dy, argmax, start, accumulate, target=None):
    images, kernel_shape, size, padding = case
    plan = conv2d_pooled_backward_filter_kernel(
        kernel_shape, images[2], pooled(size)[1], padding[1], x.dtype.name, target
    )
    workspace, workspace_intact = scratch(plan.workspace_elements(images[1], pooled(size)[0], padding[0]), x.dtype)
    dkernel, intact = guarded(start)
    plan.kernel()(x, dy, argmax, dkernel, workspace, padding[0], accumulate)
    assert intact() and workspace_intact()
    return dkernel


def run_data(case, kernel, dy, argmax, epilogue="store", activation=None, before=0, target=None):
    images, kernel_shape, size, padding = case
    dtype = kernel.dtype
    plan = conv2d_pooled_backward_data_kernel(
        kernel_shape, images[2], pooled(size)[1], padding[1], dtype.name, epilogue, target
    )
    weights, intact = scratch(plan.weight_elements, dtype)
    pooled_weights_kernel(dtype.name, target).kernel()(kernel, weights, plan.weight_row)
    assert intact()
    workspace, workspace_intact = scratch(plan.workspace_elements(images[1], pooled(size)[0], padding[0]), dtype)
    dx, intact = guarded(np.full((*images, kernel_shape[2]), before, dtype))
    extra = [] if activation is None else [activation]
    plan.kernel()(dy, argmax, weights, *extra, dx, workspace, padding[0])
    assert intact() and workspace_intact()
    return dx


def run_forward(case, x, kernel, bias, relu=False, target=None):
    images, kernel_shape, size, padding = case
    plan = conv2d_pooled_forward_kernel(kernel_shape, images[1:], pooled(size), padding, relu, x.dtype.name, target)
    workspace, workspace_intact = scratch(plan.workspace_elements, x.dtype)
    y, y_intact = guarded(np.full((len(x), *pooled(size), kernel_shape[3]), 3, x.dtype))
    argmax, argmax_intact = guarded(np.full(y.shape, 9, np.uint8))
    plan.kernel()(x, kernel, bias, y, argmax, workspace)
    assert y_intact() and argmax_intact() and workspace_intact()
    return y, argmax


def check_backward(case, dtype, tolerance, target=None):
    x, kernel, dy, argmax = operands(case, dtype)
    padding = case[3]
    gradient = spread(case, dy, argmax)
    expected = naive.conv2d_backward_filter(x, gradient, kernel.shape, 1, 1, *padding, 1, 1, 1)
    start = draw(*kernel.shape, dtype=dtype, seed=8)
    assert_close(run_filter(case, x, dy, argmax, start, True, target), start + expected, 10 * tolerance)
    expected = naive.conv2d_backward_data(gradient, kernel, x.shape, 1, 1, *padding, 1, 1, 1)
    activation = draw(*x.shape, dtype=dtype, seed=9)
    result = run_data(case, kernel, dy, argmax, "relu_mask", activation, target=target)
    assert_close(result, np.where(activation > 0, expected, 0), tolerance)


def check_forward(case, dtype, tolerance, relu=False, target=None):
    x, kernel, _, _ = operands(case, dtype)
    x[0, : case[0][1] // 2] = 0  # windows whose pixels are all equal: the first one wins
    x[-1, -1, -1] = np.nan
    bias = draw(kernel.shape[3], dtype=dtype, seed=7)
    y, argmax = run_forward(case, x, kernel, bias, relu, target)
    dense = naive.conv2d_forward(x, kernel, case[2], 1, 1, *case[3], 1, 1, 1) + bias
    expected, winners = max_pool2d_forward(dense, pooled(case[2]), *POOL)
    assert_close(y, np.where(expected < 0, 0, expected) if relu else expected, tolerance)
    assert (argmax == winners).all()


@cases
def test_backward_float32(case):
    check_backward(case, "float32", 2e-5)


@pytest.mark.parametrize("name", ["same_5x5_1_6", "padding_over_kernel"])
def test_backward_float64(name):
    check_backward(CASES[name], "float64", 1e-12)


@pytest.mark.parametrize("name", ["valid_5x5_6_16", "uneven_padding"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_backward_other_vectors(name, target):
    check_backward(CASES[name], "float32", 2e-5, target)


@one_channel
def test_forward_float32(case):
    check_forward(case, "float32", 2e-5)


@pytest.mark.parametrize("name", ["same_5x5_1_6", "eleven_filters"])
def test_forward_float64_and_relu(name):
    check_forward(ONE_CHANNEL[name], "float64", 1e-12, relu=True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_forward_other_vectors(target):
    check_forward(ONE_CHANNEL["eleven_filters"], "float32", 2e-5, target=target)


def test_other_epilogues():
    case = CASES["uneven_padding"]
    x, kernel, dy, argmax = operands(case, "float32")
    gradient = spread(case, dy, argmax)
    expected = naive.conv2d_backward_data(gradient, kernel, x.shape, 1, 1, *case[3], 1, 1, 1)
    assert_close(run_data(case, kernel, dy, argmax), expected, 2e-5)
    assert_close(run_data(case, kernel, dy, argmax, "accumulate", before=2), expected + 2, 2e-5)
    expected = naive.conv2d_backward_filter(x, gradient, kernel.shape, 1, 1, *case[3], 1, 1, 1)
    assert_close(run_filter(case, x, dy, argmax, np.full_like(kernel, 5), False), expected, 2e-4)


def test_an_image_does_not_depend_on_the_others():
    for case in (CASES["valid_5x5_6_16"], CASES["same_5x5_1_6"]):
        x, kernel, dy, argmax = operands(case, "float32")
        last = ((1, *case[0][1:]), *case[1:])
        whole = run_data(case, kernel, dy, argmax)
        assert (run_data(last, kernel, dy[-1:], argmax[-1:]) == whole[-1:]).all()
        # the gradient of the weights is the sum over the images, whose place in memory doesn't matter
        zeros = np.zeros_like(kernel)
        dy[:-1] = 0
        alone = run_filter(last, x[-1:], dy[-1:], argmax[-1:], zeros, False)
        assert (run_filter(case, x, dy, argmax, zeros, False) == alone).all()
    bias = draw(kernel.shape[3], dtype="float32", seed=7)
    whole = run_forward(case, x, kernel, bias)
    for part, result in zip(run_forward(last, x[-1:], kernel, bias), whole, strict=True):
        assert (part == result[-1:]).all()


def test_where_the_passes_pay():
    filters = conv2d_pooled_backward_filter_kernel
    avx512 = TARGETS[0]
    assert filters((5, 5, 1, 6), 28, 14, 2, target=avx512).pays
    assert filters((5, 5, 6, 16), 14, 5, target=avx512).pays
    assert conv2d_pooled_backward_data_kernel((5, 5, 6, 16), 14, 5, target=avx512).pays
    # a row of a window that fills more vectors than there are registers, and weights that fill the first cache
    assert not filters((5, 5, 128, 32), 28, 14, target=avx512).pays
    assert not conv2d_pooled_backward_data_kernel((3, 3, 64, 64), 32, 16, target=avx512).pays
    forward = conv2d_pooled_forward_kernel
    assert forward((5, 5, 1, 6), (28, 28), (14, 14), (2, 2), target=avx512).pays
    assert not forward((5, 5, 1, 16), (28, 28), (14, 14), (2, 2), target=avx512).pays
    assert not forward((5, 5, 3, 6), (28, 28), (14, 14), (2, 2), target=avx512).pays


@pytest.mark.parametrize("name", ["same_5x5_1_6", "eleven_filters"])
def test_torch(name):
    torch = pytest.importorskip("torch")
    case = ONE_CHANNEL[name]
    images, kernel_shape, size, padding = case
    x, kernel, dy, _ = operands(case, "float32")
    bias = draw(kernel.shape[3], dtype="float32", seed=7)
    given = [torch.from_numpy(a) for a in (x, kernel)]
    inputs = [given[0].permute(0, 3, 1, 2).requires_grad_(), given[1].permute(3, 2, 0, 1).requires_grad_()]
    below, right = (size[i] + kernel_shape[i] - 1 - images[i + 1] - padding[i] for i in range(2))
    wide = torch.nn.functional.pad(inputs[0], (padding[1], right, padding[0], below))
    expected = torch.nn.functional.conv2d(wide, inputs[1], torch.from_numpy(bias))
    expected = torch.nn.functional.max_pool2d(expected, 2)
    expected.backward(torch.from_numpy(dy).permute(0, 3, 1, 2))
    y, argmax = run_forward(case, x, kernel, bias)
    assert_close(y, expected.detach().permute(0, 2, 3, 1).numpy(), 2e-5)
    assert_close(run_data(case, kernel, dy, argmax), inputs[0].grad.permute(0, 2, 3, 1).numpy(), 2e-5)
    result = run_filter(case, x, dy, argmax, np.zeros(kernel_shape, np.float32), True)
    assert_close(result, inputs[1].grad.permute(2, 3, 1, 0).numpy(), 2e-4)
