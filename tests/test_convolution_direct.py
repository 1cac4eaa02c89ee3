"""Generated direct convolutions against their oracle, PyTorch and themselves."""

from typing import NamedTuple

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, draw
from test_simd import TARGETS, guarded

from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
    supports,
)
from jitnet.kernels.cpu.fast.transpose import transpose_kernel


class Case(NamedTuple):
    """images: (N, H, W), kernel_shape: (R, S, C / groups, K), padding: (top, left)"""

    images: tuple
    kernel_shape: tuple
    size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int = 1


CASES = {
    "same_5x5_1_6": Case((2, 9, 11), (5, 5, 1, 6), (9, 11), (1, 1), (2, 2), (1, 1)),
    "valid_prime_channels": Case((1, 7, 14), (3, 3, 13, 7), (5, 12), (1, 1), (0, 0), (1, 1)),
    "two_blocks_with_tail": Case((1, 4, 5), (3, 2, 3, 37), (4, 5), (1, 1), (1, 0), (1, 1)),
    "strides": Case((2, 9, 8), (3, 3, 2, 5), (5, 4), (2, 2), (1, 0), (1, 1)),
    "stride_over_kernel": Case((1, 8, 7), (1, 2, 3, 4), (3, 3), (3, 3), (0, 1), (1, 1)),
    "dilation": Case((1, 9, 8), (2, 3, 3, 2), (8, 6), (1, 1), (1, 2), (3, 2)),
    "one_pixel": Case((3, 1, 1), (1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    "kernel_over_image": Case((1, 2, 3), (5, 7, 2, 3), (2, 3), (1, 1), (2, 3), (1, 1)),
    "full_width": Case((2, 13, 17), (1, 1, 16, 16), (13, 17), (1, 1), (0, 0), (1, 1)),
    "no_images": Case((0, 5, 5), (3, 3, 3, 8), (5, 5), (1, 1), (1, 1), (1, 1)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def operands(case, dtype):
    images, kernel_shape, size, *_, groups = case
    shapes = (*images, kernel_shape[2] * groups), kernel_shape, (images[0], *size, kernel_shape[3])
    return (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate(shapes))


def buffered(array, top, left, right=0):
    """The images in a buffer of zeros, with ``right`` more columns than ``left``."""
    return np.pad(array, ((0, 0), (top, top), (left, left + right), (0, 0)))


def workspace(plan, buffer, pad_left, left, width=None, shares=1):
    elements = plan.workspace_elements(buffer.shape[1], buffer.shape[2], pad_left, left, width)
    return guarded(np.full(shares * elements, np.nan, buffer.dtype))


def run_forward(
    case, dtype, epilogue="store", extra=(), top=0, left=0, target=None, images=slice(None), edges=None, in_place=False,
    any_width=False,
):  # fmt: skip
    """in_place: the residual of the epilogue is y, which is 3 everywhere"""
    _, kernel_shape, size, stride, padding, dilation, groups = case
    x, kernel, _ = operands(case, dtype)
    x = buffered(x, top, left)[images]
    width = None if any_width else size[1]
    plan = conv2d_forward_kernel(kernel_shape, width, stride, dilation, dtype, epilogue, target, edges, groups)
    scratch, scratch_intact = workspace(plan, x, padding[1], left, size[1])
    y, intact = guarded(np.full((len(x), size[0] + 2, size[1] + 1, kernel_shape[3]), 3, dtype))
    plan.kernel()(x, kernel, *extra, *([y] if in_place else []), y, scratch, *padding, top, left, 2, 1, *size)
    assert (y[:, :2] == 3).all() and (y[:, :, :1] == 3).all()
    assert intact() and scratch_intact()
    return y[:, 2:, 1:]


def run_backward_data(
    case, dtype, epilogue="store", activation=None, before=0, top=0, left=0, target=None, edges=None, any_width=False,
    bias=None,
):  # fmt: skip
    images, kernel_shape, _, stride, padding, dilation, groups = case
    _, kernel, dy = operands(case, dtype)
    dy = buffered(dy, top, left)
    transposed, intact = guarded(np.zeros(kernel.size, dtype))
    transpose_kernel(dtype, target, groups).kernel()(kernel, transposed, *stride)
    assert intact()
    geometry = kernel_shape, None if any_width else images[2], stride, dilation
    plan = conv2d_backward_data_kernel(*geometry, dtype, epilogue, target, edges, groups)
    assert plan.needs_transposed_kernel
    scratch, scratch_intact = workspace(plan, dy, padding[1], left, images[2])
    dx, intact = guarded(np.full((*images, kernel_shape[2] * groups), before, dtype))
    extra, origin = ([], []) if activation is None else ([buffered(activation, 2, 1)], [2, 1])
    extra += [] if bias is None else [bias]
    plan.kernel()(dy, transposed, *extra, dx, scratch, *padding, top, left, 0, 0, *origin, *images[1:])
    assert intact() and scratch_intact()
    return dx


def run_backward_filter(
    case, dtype, start, accumulate, top=0, left=0, target=None, any_width=False, shares=0
):  # fmt: skip
    """shares: the gradient in so many calls, the last first."""
    _, kernel_shape, size, stride, padding, dilation, groups = case
    x, _, dy = operands(case, dtype)
    x, dy = buffered(x, top, left), buffered(dy, 1, 2)
    width = None if any_width else size[1]
    plan = conv2d_backward_filter_kernel(kernel_shape, width, stride, dilation, dtype, target, groups, shares > 0)
    scratch, scratch_intact = workspace(plan, x, padding[1], left, size[1], shares or 1)
    dkernel, intact = guarded(start)
    pieces = [(s, plan.pieces * s // shares, plan.pieces * (s + 1) // shares) for s in reversed(range(shares))]
    for piece in pieces or [()]:
        plan.kernel()(x, dy, dkernel, scratch, *padding, top, left, 1, 2, *size, accumulate, *piece)
    assert intact() and scratch_intact()
    return dkernel


def check(case, dtype, tolerance, target=None):
    _, kernel_shape, size, *geometry, _ = case
    geometry = (*geometry[0], *geometry[1], *geometry[2], case.groups)
    x, kernel, dy = operands(case, dtype)
    bias = draw(kernel_shape[3], dtype=dtype, seed=7)
    y = naive.conv2d_forward(x, kernel, size, *geometry)
    assert_close(run_forward(case, dtype, "bias_relu", [bias], target=target), np.maximum(y + bias, 0), tolerance)
    dkernel = naive.conv2d_backward_filter(x, dy, kernel.shape, *geometry)
    start = draw(*kernel.shape, dtype=dtype, seed=8)
    for top, left in ((0, 0), (1, 7)):
        result = run_backward_filter(case, dtype, start, True, top, left, target)
        assert_close(result, start + dkernel, 10 * tolerance)
    if supports("backward_data", case.stride, case.dilation):
        dx = naive.conv2d_backward_data(dy, kernel, x.shape, *geometry)
        activation = draw(*x.shape, dtype=dtype, seed=9)
        result = run_backward_data(case, dtype, "relu_mask", activation, target=target)
        assert_close(result, np.where(activation > 0, dx, 0), tolerance)


@cases
def test_float32(case):
    check(case, "float32", 2e-5)


@pytest.mark.parametrize("name", ["two_blocks_with_tail", "strides"])
def test_the_gradient_of_the_weights_in_pieces(name):
    case = CASES[name]
    start = draw(*case.kernel_shape, dtype="float32", seed=8)
    for accumulate, places in ((True, (0, 0)), (False, (1, 7))):
        whole = run_backward_filter(case, "float32", start, accumulate, *places)
        for shares in (1, 3):
            pieces = run_backward_filter(case, "float32", start, accumulate, *places, shares=shares)
            assert (pieces == whole).all()


@pytest.mark.parametrize("name", ["two_blocks_with_tail", "strides"])
def test_float64(name):
    check(CASES[name], "float64", 1e-12)


@pytest.mark.parametrize("name", ["same_5x5_1_6", "strides"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_other_vectors(name, target):
    check(CASES[name], "float32", 2e-5, target)


def test_stride_and_dilation_together():
    case = Case((1, 9, 10), (3, 2, 3, 5), (3, 4), (2, 2), (1, 0), (2, 3))
    assert not supports("backward_data", case.stride, case.dilation)
    check(case, "float32", 2e-5)
    with pytest.raises(ValueError, match=r"Received: stride=\(2, 2\), dilation=\(2, 3\)"):
        conv2d_backward_data_kernel(case[1], 10, case[3], case[5])


@pytest.mark.parametrize("case", ["two_blocks_with_tail", "strides", "stride_over_kernel", "full_width", "dilation"])
def test_bias_and_relu_after_a_transposed_convolution(case):
    case = CASES[case]
    bias = draw(case.kernel_shape[2], dtype="float32", seed=5)
    plain = run_backward_data(case, "float32")
    for any_width in (False, True):
        for epilogue, expected in (("bias", plain + bias), ("bias_relu", np.maximum(plain + bias, 0))):
            found = run_backward_data(case, "float32", epilogue, before=3, bias=bias, any_width=any_width)
            assert_close(found, expected, 1e-6)


def test_epilogues():
    case = CASES["valid_prime_channels"]
    x, kernel, dy = operands(case, "float32")
    geometry = (1, 1, 0, 0, 1, 1, 1)
    y = naive.conv2d_forward(x, kernel, case[2], *geometry)
    bias = np.float32(draw(7, seed=7))
    assert_close(run_forward(case, "float32"), y, 2e-5)
    assert_close(run_forward(case, "float32", "bias", [bias]), y + bias, 2e-5)
    residual = draw(1, 7, 13, 7, dtype="float32", seed=9)
    total = y + bias + residual[:, 2:, 1:]
    assert_close(run_forward(case, "float32", "bias_add", [bias, residual]), total, 2e-5)
    assert_close(run_forward(case, "float32", "bias_add_relu", [bias, residual]), np.maximum(total, 0), 2e-5)
    in_place = run_forward(case, "float32", "bias_add_relu", [bias - 3], in_place=True)
    assert_close(in_place, np.maximum(y + bias, 0), 2e-5)
    dx = naive.conv2d_backward_data(dy, kernel, x.shape, *geometry)
    assert_close(run_backward_data(case, "float32"), dx, 2e-5)
    assert_close(run_backward_data(case, "float32", "accumulate", before=2), dx + 2, 2e-5)
    dkernel = naive.conv2d_backward_filter(x, dy, kernel.shape, *geometry)
    assert_close(run_backward_filter(case, "float32", np.full_like(kernel, 5), False), dkernel, 2e-4)


def test_accumulate_over_phases():
    case = CASES["stride_over_kernel"]  # some pixels of dx have no tap at all
    x, kernel, dy = operands(case, "float32")
    dx = naive.conv2d_backward_data(dy, kernel, x.shape, 3, 3, 0, 1, 1, 1, 1)
    assert_close(run_backward_data(case, "float32", "accumulate", before=2), dx + 2, 2e-5)


@pytest.mark.parametrize("name", ["same_5x5_1_6", "kernel_over_image"])
def test_a_halo_in_the_buffer_gives_the_same_bits(name):
    case = CASES[name]
    images, kernel_shape, size, stride, padding, dilation, _ = case
    plan = conv2d_forward_kernel(kernel_shape, size[1], stride, dilation)
    left, right = plan.halo(images[2], padding[1])
    assert (left, right) == (padding[1], size[1] - 1 + kernel_shape[1] - padding[1] - images[2])
    assert plan.workspace_elements(images[1], images[2] + left + right, padding[1], left) == 0
    assert plan.workspace_elements(images[1], images[2] + left + right - 1, padding[1], left) > 0
    copied = run_forward(case, "float32")
    assert (run_forward(case, "float32", left=left) == copied).all()
    assert (run_forward(case, "float32", top=3, left=left + 2) == copied).all()
    data = conv2d_backward_data_kernel(kernel_shape, images[2], stride, dilation)
    left = max(data.halo(size[1], padding[1]))
    assert (run_backward_data(case, "float32", left=left) == run_backward_data(case, "float32")).all()


@pytest.mark.parametrize("name", ["same_5x5_1_6", "kernel_over_image", "strides", "dilation", "one_pixel"])
@pytest.mark.parametrize("target", [TARGETS[0], TARGETS[-1]], ids=lambda target: target.name)
def test_known_edges_give_the_same_bits_without_a_workspace(name, target):
    case = CASES[name]
    images, kernel_shape, size, stride, padding, dilation, _ = case
    edges = padding[1], images[2]
    plan = conv2d_forward_kernel(kernel_shape, size[1], stride, dilation, target=target, edges=edges)
    if target.registers >= 32:
        assert "_whole_rows" in plan.name
        assert plan.workspace_elements(images[1], images[2], padding[1], 0) == 0
    expected = run_forward(case, "float32", target=target)
    assert (run_forward(case, "float32", target=target, edges=edges) == expected).all()
    expected = run_backward_data(case, "float32", target=target)
    assert (run_backward_data(case, "float32", target=target, edges=(padding[1], size[1])) == expected).all()


def test_an_image_does_not_depend_on_the_others():
    case = Case((5, 6, 7), (3, 3, 3, 20), (6, 7), (1, 1), (1, 1), (1, 1))
    whole = run_forward(case, "float32")
    for images in (slice(0, 1), slice(2, 5)):
        assert (run_forward(case, "float32", images=images) == whole[images]).all()


def test_names_say_what_a_kernel_does():
    assert conv2d_forward_kernel((5, 5, 1, 6), 28, epilogue="bias_relu").name == "conv2d_forward_5x5_1_6_bias_relu"
    plan = conv2d_backward_data_kernel((3, 3, 16, 32), 32, (2, 2))
    assert plan.name == "conv2d_backward_data_3x3_16_32_stride2x2"


@pytest.mark.parametrize("name", ["same_5x5_1_6", "strides", "dilation"])
def test_torch(name):
    torch = pytest.importorskip("torch")
    case = CASES[name]
    images, kernel_shape, size, stride, padding, dilation, _ = case
    x, kernel, dy = (torch.from_numpy(array) for array in operands(case, "float32"))
    x, kernel, dy = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), dy.permute(0, 3, 1, 2)
    x.requires_grad_(), kernel.requires_grad_()
    # padding on the far sides that leads to the same output size
    below, right = (
        (size[i] - 1) * stride[i] + (kernel_shape[i] - 1) * dilation[i] + 1 - images[i + 1] - padding[i]
        for i in range(2)
    )
    padded = torch.nn.functional.pad(x, (padding[1], right, padding[0], below))
    y = torch.nn.functional.conv2d(padded, kernel, stride=stride, dilation=dilation)
    y.backward(dy)
    assert_close(run_forward(case, "float32"), y.detach().permute(0, 2, 3, 1).numpy(), 2e-5)
    assert_close(run_backward_data(case, "float32"), x.grad.permute(0, 2, 3, 1).numpy(), 2e-5)
    start = np.zeros(kernel_shape, np.float32)
    assert_close(run_backward_filter(case, "float32", start, True), kernel.grad.permute(2, 3, 1, 0).numpy(), 2e-4)


ANY_WIDTH = {
    "same": ((3, 3, 5, 7), (1, 1), (1, 1)),
    "stride": ((3, 3, 5, 7), (2, 2), (1, 1)),
    "stride_over_kernel": ((2, 2, 5, 7), (3, 3), (0, 0)),
}


@pytest.mark.parametrize(("kernel_shape", "stride", "padding"), ANY_WIDTH.values(), ids=ANY_WIDTH.keys())
def test_any_width(kernel_shape, stride, padding):
    """One kernel of each pass for all widths, those among them that leave single pixels."""
    for columns in (3, 4, 9, 17, 20, 29, 41, 49, 64):
        size = [(n + 2 * padding[0] - kernel_shape[0]) // stride[0] + 1 for n in (5, columns)]
        case = Case((2, 5, columns), kernel_shape, tuple(size), stride, padding, (1, 1))
        geometry = (*stride, *padding, 1, 1, 1)
        x, kernel, dy = operands(case, "float32")
        y = run_forward(case, "float32", any_width=True)
        assert_close(y, naive.conv2d_forward(x, kernel, size, *geometry), 1e-5)
        dx = run_backward_data(case, "float32", any_width=True)
        assert_close(dx, naive.conv2d_backward_data(dy, kernel, x.shape, *geometry), 1e-5)
        dkernel = run_backward_filter(case, "float32", np.zeros(kernel_shape, np.float32), False, any_width=True)
        assert_close(dkernel, naive.conv2d_backward_filter(x, dy, kernel_shape, *geometry), 1e-5)
