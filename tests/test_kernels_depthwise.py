"""Depthwise convolution kernels against their oracle, central differences, PyTorch and grouped convolution."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, check, draw, numerical_gradient

from jitnet.kernels.cpu import depthwise
from jitnet.kernels.cpu.fast import depthwise as fast


@dataclass(frozen=True)
class Case:
    x: tuple
    kernel: tuple  # (R, S, C, M)
    strides: tuple = (1, 1)
    padding: tuple = (0, 0, 0, 0)  # top, bottom, left, right
    dilation: tuple = (1, 1)

    @property
    def geometry(self):
        return *self.strides, self.padding[0], self.padding[2], *self.dilation

    @property
    def grouped(self):
        """The kernel's shape for a convolution of as many groups as channels."""
        return *self.kernel[:2], 1, self.kernel[2] * self.kernel[3]

    @property
    def y(self):
        sizes = []
        for axis in (0, 1):
            padded = self.x[1 + axis] + self.padding[2 * axis] + self.padding[2 * axis + 1]
            extent = (self.kernel[axis] - 1) * self.dilation[axis] + 1
            sizes.append((padded - extent) // self.strides[axis] + 1)
        return self.x[0], *sizes, self.kernel[2] * self.kernel[3]


CASES = {
    "one_pixel": Case((1, 1, 1, 1), (1, 1, 1, 1)),
    "3x3": Case((2, 6, 7, 5), (3, 3, 5, 1), padding=(1, 1, 1, 1)),
    "3x3_block": Case((2, 5, 6, 16), (3, 3, 16, 1), padding=(1, 1, 1, 1)),
    "3x3_blocks_and_rest": Case((1, 4, 5, 37), (3, 3, 37, 1), padding=(1, 0, 0, 1)),
    "5x5": Case((1, 7, 9, 17), (5, 5, 17, 1), padding=(2, 2, 2, 2)),
    "4x7": Case((1, 6, 9, 19), (4, 7, 19, 1), padding=(2, 1, 3, 3)),
    "1x1": Case((1, 3, 4, 18), (1, 1, 18, 1)),
    "stride": Case((2, 7, 8, 17), (3, 3, 17, 1), (2, 2), padding=(1, 1, 1, 1)),
    "stride_same": Case((1, 8, 6, 16), (3, 3, 16, 1), (2, 2), padding=(0, 1, 0, 1)),
    "stride_3_and_2": Case((1, 11, 9, 3), (3, 2, 3, 1), (3, 2), padding=(2, 1, 0, 1)),
    "stride_beyond_kernel": Case((2, 9, 10, 16), (2, 1, 16, 1), (3, 4)),
    "dilation": Case((1, 9, 8, 17), (3, 3, 17, 1), padding=(2, 2, 1, 3), dilation=(2, 3)),
    "dilation_and_stride": Case((1, 11, 13, 16), (3, 2, 16, 1), (2, 3), padding=(1, 2, 2, 1), dilation=(3, 2)),
    "dilation_times_stride": Case((1, 12, 13, 16), (3, 3, 16, 1), (4, 2), padding=(3, 2, 4, 4), dilation=(2, 4)),
    "window_beyond_image": Case((1, 2, 3, 16), (5, 7, 16, 1), padding=(3, 2, 3, 4)),
    "only_padding": Case((1, 1, 1, 2), (2, 2, 2, 1), (2, 2), padding=(4, 4, 4, 4)),
    "one_channel": Case((2, 5, 9, 1), (3, 3, 1, 1), padding=(1, 1, 1, 1)),
    "three_channels_stride": Case((1, 6, 11, 3), (3, 3, 3, 1), (2, 2), padding=(1, 1, 1, 1)),
    "64_channels": Case((1, 4, 5, 64), (3, 3, 64, 1), padding=(1, 1, 1, 1)),
    "one_column": Case((1, 5, 1, 16), (3, 3, 16, 1), padding=(1, 1, 1, 1)),
    # rows of several tiles: with missing columns on both sides, on neither, and with a tile that is not full
    "3x3_tiles": Case((1, 4, 27, 18), (3, 3, 18, 1), padding=(1, 1, 1, 1)),
    "3x3_tiles_inside": Case((1, 4, 26, 16), (3, 3, 16, 1)),
    "3x3_tiles_stride": Case((1, 6, 25, 16), (3, 3, 16, 1), (2, 2), padding=(1, 1, 1, 1)),
    "3x3_tiles_stride_even": Case((1, 6, 24, 16), (3, 3, 16, 1), (2, 2), padding=(0, 1, 0, 1)),
    "5x5_tiles": Case((1, 6, 21, 16), (5, 5, 16, 1), padding=(2, 2, 2, 2)),
    "5x5_tiles_stride": Case((1, 7, 23, 16), (5, 5, 16, 1), (2, 2), padding=(2, 2, 2, 2)),
    "5x5_tiles_stride_odd": Case((1, 8, 24, 19), (5, 5, 19, 1), (2, 2), padding=(1, 2, 1, 2)),
    "7x7_tiles": Case((1, 4, 18, 16), (7, 7, 16, 1), padding=(3, 3, 3, 3)),
    "3x5_stride_1x2": Case((1, 5, 12, 16), (3, 5, 16, 1), (1, 2), padding=(1, 1, 2, 2)),
    "padding_beyond_kernel": Case((1, 3, 4, 17), (3, 3, 17, 1), padding=(4, 4, 5, 4)),
    "padding_beyond_kernel_stride": Case((1, 3, 9, 16), (5, 5, 16, 1), (2, 2), padding=(6, 5, 7, 6)),
    "multiplier": Case((2, 5, 4, 3), (3, 2, 3, 2), padding=(1, 1, 0, 1)),
    "multiplier_stride_dilation": Case((1, 8, 7, 17), (2, 3, 17, 3), (2, 1), padding=(1, 0, 2, 2), dilation=(1, 2)),
    "empty_batch": Case((0, 4, 4, 16), (3, 3, 16, 1), padding=(1, 1, 1, 1)),
}
FAST = {name: case for name, case in CASES.items() if case.kernel[3] == 1}  # of one filter per channel
IMPLEMENTED = {f"reference-{name}": (depthwise, case) for name, case in CASES.items()}
IMPLEMENTED |= {f"fast-{name}": (fast, case) for name, case in FAST.items()}
cases = pytest.mark.parametrize("kernels,case", IMPLEMENTED.values(), ids=IMPLEMENTED.keys())
implementations = pytest.mark.parametrize("kernels", [depthwise, fast], ids=["reference", "fast"])


def operands(case, dtype):
    return (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate((case.x, case.kernel, case.y)))


@cases
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_oracle(kernels, case, dtype):
    x, kernel, dy = operands(case, dtype)
    geometry, groups = (*case.geometry, case.x[3]), kernel.reshape(case.grouped)
    expected = naive.conv2d_forward(x, groups, case.y[1:3], *geometry)
    check(kernels.depthwise_conv2d_forward, [x, kernel], case.geometry, [expected])
    expected = naive.conv2d_backward_data(dy, groups, case.x, *geometry)
    check(kernels.depthwise_conv2d_backward_data, [dy, kernel], case.geometry, [expected], accumulates=True)
    expected = naive.conv2d_backward_filter(x, dy, case.grouped, *geometry).reshape(case.kernel)
    check(kernels.depthwise_conv2d_backward_filter, [x, dy], case.geometry, [expected], accumulates=True)


@cases
def test_central_differences(kernels, case):
    x, kernel, dy = operands(case, np.float64)
    y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)

    def loss():
        kernels.depthwise_conv2d_forward(x, kernel, y, *case.geometry)
        return np.vdot(y, dy)

    kernels.depthwise_conv2d_backward_data(dy, kernel, dx, *case.geometry, False)
    assert_close(dx, numerical_gradient(loss, x), 1e-6)
    kernels.depthwise_conv2d_backward_filter(x, dy, dkernel, *case.geometry, False)
    assert_close(dkernel, numerical_gradient(loss, kernel), 1e-6)


@cases
def test_torch(kernels, case):
    torch = pytest.importorskip("torch")
    if case.x[0] == 0:
        pytest.skip("PyTorch takes no empty batch")
    x, kernel, dy = operands(case, np.float32)
    y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)
    kernels.depthwise_conv2d_forward(x, kernel, y, *case.geometry)
    kernels.depthwise_conv2d_backward_data(dy, kernel, dx, *case.geometry, False)
    kernels.depthwise_conv2d_backward_filter(x, dy, dkernel, *case.geometry, False)

    image = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    weight = torch.tensor(kernel.reshape(case.grouped).transpose(3, 2, 0, 1), requires_grad=True)
    top, bottom, left, right = case.padding
    padded = torch.nn.functional.pad(image, (left, right, top, bottom))
    out = torch.nn.functional.conv2d(padded, weight, stride=case.strides, dilation=case.dilation, groups=case.x[3])
    out.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    assert_close(y, out.detach().numpy().transpose(0, 2, 3, 1), 1e-5)
    assert_close(dx, image.grad.numpy().transpose(0, 2, 3, 1), 1e-5)
    assert_close(dkernel.reshape(case.grouped), weight.grad.numpy().transpose(2, 3, 1, 0), 1e-5)


@implementations
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_pixel_reaches_its_windows_only(value, kernels):
    case = CASES["3x3_blocks_and_rest"]
    x, kernel, dy = operands(case, np.float32)
    x[0, 2, 3, 1] = x[0, 3, 0, 36] = x[0, 3, 4, 2] = value
    geometry, groups = (*case.geometry, case.x[3]), kernel.reshape(case.grouped)
    expected = naive.conv2d_forward(x, groups, case.y[1:3], *geometry)
    check(kernels.depthwise_conv2d_forward, [x, kernel], case.geometry, [expected])
    expected = naive.conv2d_backward_filter(x, dy, case.grouped, *geometry).reshape(case.kernel)
    check(kernels.depthwise_conv2d_backward_filter, [x, dy], case.geometry, [expected], accumulates=True)
    dy[0, 1, 2, 4] = value
    expected = naive.conv2d_backward_data(dy, groups, case.x, *geometry)
    check(kernels.depthwise_conv2d_backward_data, [dy, kernel], case.geometry, [expected], accumulates=True)


def between(array, margin):
    """A copy of ``array`` in the middle of memory that is full of ``margin``, and all of that memory."""
    memory = np.full(array.size + 4096, margin, array.dtype)
    inside = memory[2048 : 2048 + array.size].reshape(array.shape)
    inside[...] = array
    return inside, memory


@cases
def test_nothing_around_the_arrays_is_used_or_changed(kernels, case):
    x, kernel, dy = (between(array, np.nan)[0] for array in operands(case, np.float32))
    for function, inputs, shape, rest in (
        (kernels.depthwise_conv2d_forward, (x, kernel), case.y, ()),
        (kernels.depthwise_conv2d_backward_data, (dy, kernel), case.x, (False,)),
        (kernels.depthwise_conv2d_backward_filter, (x, dy), case.kernel, (False,)),
    ):
        expected = np.empty(shape, np.float32)
        function(*(np.array(array) for array in inputs), expected, *case.geometry, *rest)
        output, memory = between(np.full(shape, np.nan, np.float32), 7)
        function(*inputs, output, *case.geometry, *rest)
        np.testing.assert_array_equal(output, expected)
        assert (memory[:2048] == 7).all()
        assert (memory[2048 + output.size :] == 7).all()


OTHER_TARGET = """
import sys
import guard_pages
import numpy as np
from jitnet.kernels.cpu.fast import depthwise
guard_pages.install()
arrays = np.load(sys.argv[1])
for i in range(int(arrays["cases"])):
    x, kernel, dy, geometry = (arrays[f"{name}{i}"] for name in ("x", "kernel", "dy", "geometry"))
    y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)
    depthwise.depthwise_conv2d_forward(x, kernel, y, *geometry)
    depthwise.depthwise_conv2d_backward_data(dy, kernel, dx, *geometry, False)
    depthwise.depthwise_conv2d_backward_filter(x, dy, dkernel, *geometry, False)
    for name, result in (("y", y), ("dx", dx), ("dkernel", dkernel)):
        np.testing.assert_allclose(result, arrays[f"{name}{i}"], rtol=0, atol=1e-4)
assert depthwise._TARGET.name == sys.argv[2]
"""


@pytest.mark.parametrize("target", ["avx2", "plain"])
def test_vectors_of_other_machines_give_the_same(target, tmp_path):
    arrays = {"cases": len(FAST)}
    for i, case in enumerate(FAST.values()):
        x, kernel, dy = operands(case, np.float32)
        y, dx, dkernel = np.empty_like(dy), np.empty_like(x), np.empty_like(kernel)
        fast.depthwise_conv2d_forward(x, kernel, y, *case.geometry)
        fast.depthwise_conv2d_backward_data(dy, kernel, dx, *case.geometry, False)
        fast.depthwise_conv2d_backward_filter(x, dy, dkernel, *case.geometry, False)
        case_arrays = dict(x=x, kernel=kernel, dy=dy, y=y, dx=dx, dkernel=dkernel, geometry=case.geometry)
        arrays |= {f"{name}{i}": array for name, array in case_arrays.items()}
    np.savez(tmp_path / "arrays.npz", **arrays)
    arguments = [sys.executable, "-c", OTHER_TARGET, str(tmp_path / "arrays.npz"), target]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "JITNET_SIMD": target, "PYTHONPATH": path}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@implementations
def test_chunks_of_the_batch_give_the_same_bits(kernels):
    case = CASES["stride"]
    x, kernel, dy = operands(case, np.float32)
    y, parts = np.empty_like(dy), np.empty_like(dy)
    kernels.depthwise_conv2d_forward(x, kernel, y, *case.geometry)
    for n in range(case.x[0]):
        kernels.depthwise_conv2d_forward(x[n : n + 1], kernel, parts[n : n + 1], *case.geometry)
    np.testing.assert_array_equal(y, parts)
