"""Winograd's convolution along rows against its oracle and the direct convolution."""

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, draw
from test_simd import TARGETS, guarded

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.fast.convolution_direct import conv2d_forward_kernel
from jitnet.kernels.cpu.fast.convolution_rows import conv2d_row_forward_kernel, row_weights_kernel

# images (N, H, W), kernel (R, 5, C, K), size of the output, (top, left) padding
CASES = {
    "valid_5x5_6_16": ((2, 8, 14), (5, 5, 6, 16), (4, 10), (0, 0)),
    "same_odd_width": ((1, 6, 7), (3, 5, 3, 21), (6, 7), (1, 2)),
    "two_tiles": ((1, 3, 16), (1, 5, 1, 5), (3, 13), (0, 1)),
    "padding_over_kernel": ((2, 2, 3), (2, 5, 2, 4), (5, 9), (2, 6)),
    "one_pixel": ((1, 1, 1), (5, 5, 4, 3), (1, 1), (2, 2)),
    "no_images": ((0, 5, 6), (2, 5, 2, 4), (4, 2), (0, 0)),
}


@pytest.fixture(autouse=True)
def automatic():
    yield
    jitnet.set_conv_algorithm("auto")


def run(case, x, kernel, bias, epilogue, target=None):
    images, kernel_shape, size, padding = case
    dtype = x.dtype.name
    plan = conv2d_row_forward_kernel(kernel_shape, images[2], size[1], padding[1], dtype, epilogue, target)
    weights, weights_intact = guarded(np.full(plan.weight_elements, np.nan, dtype))
    row_weights_kernel(dtype, target).kernel()(kernel, weights)
    workspace, workspace_intact = guarded(np.full(plan.workspace_elements(images[1]), np.nan, dtype))
    y, intact = guarded(np.full((len(x), *size, kernel_shape[3]), 3, dtype))
    plan.kernel()(x, weights, *([bias] if bias is not None else []), y, workspace, padding[0])
    assert weights_intact() and workspace_intact() and intact()
    return y


def check(case, dtype, tolerance, target=None):
    images, kernel_shape, size, padding = case
    x, kernel = draw(*images, kernel_shape[2], dtype=dtype), draw(*kernel_shape, dtype=dtype, seed=1)
    bias = draw(kernel_shape[3], dtype=dtype, seed=7)
    expected = naive.conv2d_forward(x, kernel, size, 1, 1, *padding, 1, 1, 1)
    assert_close(run(case, x, kernel, bias, "bias_relu", target), np.maximum(expected + bias, 0), tolerance)
    return x, kernel, bias, expected


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_float32(case):
    check(case, "float32", 2e-5)


def test_float64_and_other_epilogues():
    case = CASES["same_odd_width"]
    x, kernel, bias, expected = check(case, "float64", 1e-12)
    assert_close(run(case, x, kernel, None, "store"), expected, 1e-12)
    assert_close(run(case, x, kernel, bias, "bias"), expected + bias, 1e-12)


@pytest.mark.parametrize("target", TARGETS[1:], ids=lambda target: target.name)
def test_other_vectors(target):
    case = CASES["valid_5x5_6_16"] if target.bytes == 32 else CASES["padding_over_kernel"]
    check(case, "float32", 2e-5, target)


def test_rounding_is_about_that_of_the_direct_convolution():
    case = (4, 14, 14), (5, 5, 6, 16), (10, 10), (0, 0)
    images, kernel_shape, size, padding = case
    x, kernel = draw(*images, 6, dtype="float32"), draw(*kernel_shape, dtype="float32", seed=1)
    dense = np.empty((4, 10, 10, 16), np.float32)
    plan = conv2d_forward_kernel(kernel_shape, 10, edges=(0, 14))
    plan.kernel()(x, kernel, dense, np.empty(16, np.float32), *padding, 0, 0, 0, 0, *size)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype("f8"), (5, 5), axis=(1, 2))
    exact = np.einsum("npqcrs,rsck->npqk", windows, kernel.astype("f8"))
    errors = [np.sqrt(np.mean((y - exact) ** 2)) for y in (run(case, x, kernel, None, "store"), dense)]
    assert errors[0] < 2 * errors[1]


def test_where_it_is_used():
    def source(algorithm="auto", filters=16, width=5, dtype="float32"):
        jitnet.set_floatx(dtype)
        jitnet.set_conv_algorithm(algorithm)
        model = jitnet.Sequential([jitnet.Input((14, 14, 6)), layers.Conv2D(filters, (5, width))])
        model.compile("sgd", "mse")
        return model.step_source()

    assert "conv2d_forward_5x5_6_16_winograd_rows_bias(" in source()
    for other in (dict(algorithm="direct"), dict(filters=3), dict(width=3), dict(dtype="float64")):
        assert "winograd_rows" not in source(**other)
