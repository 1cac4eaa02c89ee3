"""Convolution kernels against their oracle, central differences and PyTorch."""

from dataclasses import dataclass

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, check, draw, numerical_gradient

from jitnet.kernels.cpu import conv


@dataclass(frozen=True)
class Case:
    x: tuple
    kernel: tuple
    strides: tuple = (1, 1)
    padding: tuple = (0, 0, 0, 0)  # top, bottom, left, right
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def geometry(self):
        return *self.strides, self.padding[0], self.padding[2], *self.dilation, self.groups

    @property
    def out_size(self):
        before_after = (self.padding[0] + self.padding[1], self.padding[2] + self.padding[3])
        return tuple(
            (self.x[1 + axis] + before_after[axis] - (self.kernel[axis] - 1) * self.dilation[axis] - 1)
            // self.strides[axis]
            + 1
            for axis in (0, 1)
        )

    @property
    def y(self):
        return self.x[0], *self.out_size, self.kernel[3]


CASES = {
    "one": Case((1, 1, 1, 1), (1, 1, 1, 1)),
    "pointwise": Case((2, 3, 5, 7), (1, 1, 7, 3)),
    "empty_batch": Case((0, 5, 5, 2), (3, 3, 2, 4)),
    "primes": Case((3, 7, 11, 3), (3, 5, 3, 5)),
    "same": Case((2, 7, 9, 2), (3, 3, 2, 5), padding=(1, 1, 1, 1)),
    "asymmetric": Case((1, 5, 6, 3), (4, 2, 3, 2), (2, 2), padding=(1, 2, 0, 1)),
    "padding_beyond_kernel": Case((1, 2, 3, 2), (2, 2, 2, 3), padding=(3, 2, 3, 4)),
    "kernel_beyond_image": Case((2, 2, 2, 2), (5, 5, 2, 3), padding=(2, 2, 2, 2)),
    "stride_beyond_kernel": Case((2, 11, 13, 2), (2, 1, 2, 3), (3, 5)),
    "stride_padding": Case((2, 8, 17, 3), (3, 3, 3, 4), (2, 2), padding=(0, 1, 1, 1)),
    "dilation": Case((2, 9, 11, 2), (3, 2, 2, 3), padding=(2, 2, 3, 1), dilation=(2, 3)),
    "dilation_rows": Case((1, 9, 6, 2), (3, 3, 2, 3), (1, 2), padding=(1, 1, 1, 1), dilation=(3, 1)),
    "groups": Case((2, 5, 6, 6), (3, 2, 2, 9), (1, 2), padding=(1, 1, 1, 0), groups=3),
    "groups_dilation": Case((1, 7, 7, 4), (2, 3, 2, 6), padding=(0, 1, 2, 2), dilation=(1, 2), groups=2),
    "depthwise": Case((2, 6, 5, 5), (3, 3, 1, 5), padding=(1, 1, 1, 1), groups=5),
    "depthwise_double": Case((1, 6, 5, 3), (3, 2, 1, 6), (2, 1), padding=(1, 1, 0, 1), groups=3),
    # beyond one block of lanes or rows in stack memory
    "many_filters": Case((1, 3, 4, 2), (2, 2, 2, 35), padding=(1, 0, 0, 1)),
    "deep_filters": Case((1, 2, 2, 1), (1, 2, 1, 261)),
    "deep_run": Case((1, 2, 5, 90), (2, 3, 90, 2), padding=(1, 0, 1, 1)),
    "deep_window": Case((1, 4, 3, 61), (3, 2, 61, 3), padding=(1, 0, 0, 1)),
    "wide": Case((1, 1, 301, 1), (1, 3, 1, 2), padding=(0, 0, 1, 1)),
}
DTYPES = [np.float32, np.float64]
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])


def operands(case, dtype):
    return (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate((case.x, case.kernel, case.y)))


@cases
@dtypes
def test_oracle(case, dtype):
    x, kernel, dy = operands(case, dtype)
    expected = naive.conv2d_forward(x, kernel, case.out_size, *case.geometry)
    check(conv.conv2d_forward, [x, kernel], case.geometry, [expected])
    expected = naive.conv2d_backward_data(dy, kernel, case.x, *case.geometry)
    check(conv.conv2d_backward_data, [dy, kernel], case.geometry, [expected], accumulates=True)
    expected = naive.conv2d_backward_filter(x, dy, case.kernel, *case.geometry)
    check(conv.conv2d_backward_filter, [x, dy], case.geometry, [expected], accumulates=True)


@cases
def test_central_differences(case):
    x, kernel, dy = operands(case, np.float64)
    y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)

    def loss():
        conv.conv2d_forward(x, kernel, y, *case.geometry)
        return np.vdot(y, dy)

    conv.conv2d_backward_data(dy, kernel, dx, *case.geometry, False)
    assert_close(dx, numerical_gradient(loss, x), 1e-6)
    conv.conv2d_backward_filter(x, dy, dkernel, *case.geometry, False)
    assert_close(dkernel, numerical_gradient(loss, kernel), 1e-6)


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.x[0]], ids=[n for n, c in CASES.items() if c.x[0]])
def test_torch(case):
    torch = pytest.importorskip("torch")
    x, kernel, dy = operands(case, np.float32)
    y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)
    conv.conv2d_forward(x, kernel, y, *case.geometry)
    conv.conv2d_backward_data(dy, kernel, dx, *case.geometry, False)
    conv.conv2d_backward_filter(x, dy, dkernel, *case.geometry, False)

    image = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    weight = torch.tensor(kernel.transpose(3, 2, 0, 1), requires_grad=True)
    top, bottom, left, right = case.padding
    padded = torch.nn.functional.pad(image, (left, right, top, bottom))
    out = torch.nn.functional.conv2d(
        padded, weight, stride=case.strides, dilation=case.dilation, groups=case.groups
    )
    out.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    assert_close(y, out.detach().numpy().transpose(0, 2, 3, 1), 1e-4)
    assert_close(dx, image.grad.numpy().transpose(0, 2, 3, 1), 1e-4)
    assert_close(dkernel, weight.grad.numpy().transpose(2, 3, 1, 0), 1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_pixel_reaches_its_windows_only(value):
    case = CASES["same"]
    x, kernel, dy = operands(case, np.float32)
    x[1, 2, 3, 1] = value
    check(conv.conv2d_forward, [x, kernel], case.geometry, [naive.conv2d_forward(x, kernel, (7, 9), *case.geometry)])
    dy[0, 6, 8, 4] = value
    expected = naive.conv2d_backward_data(dy, kernel, case.x, *case.geometry)
    check(conv.conv2d_backward_data, [dy, kernel], case.geometry, [expected], accumulates=True)


def test_chunks_of_the_batch_give_the_same_bits():
    case = CASES["primes"]
    x, kernel, dy = operands(case, np.float32)
    y, parts = np.empty_like(dy), np.empty_like(dy)
    conv.conv2d_forward(x, kernel, y, *case.geometry)
    for n in range(case.x[0]):
        conv.conv2d_forward(x[n : n + 1], kernel, parts[n : n + 1], *case.geometry)
    np.testing.assert_array_equal(y, parts)
