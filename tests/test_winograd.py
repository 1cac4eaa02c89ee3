"""Winograd's convolution against its definition in float64, PyTorch and direct convolution, alone and in a step.

Errors are relative to the largest element of the exact result.  F(2x2, 3x3) is as exact as a direct convolution, whose
sums are longer; F(4x4, 3x3) multiplies by constants up to 8 and loses a digit.
"""

import itertools

import numpy as np
import pytest
from naive import assert_close, draw, numerical_gradient
from small_networks import digest
from test_simd import TARGETS, guarded

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.fast import winograd
from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
)
from jitnet.kernels.cpu.fast.transpose import transpose_kernel
from jitnet.kernels.cpu.fast.winograd import (
    winograd_backward_data_kernel,
    winograd_backward_filter_kernel,
    winograd_forward_kernel,
    winograd_outputs,
)
from jitnet.layers.base import clear_names
from jitnet.targets.cpu import thresholds

DIRECT = 0
BOUNDS = {("float32", DIRECT): 2e-6, ("float32", 2): 2e-6, ("float32", 4): 2e-5}
BOUNDS |= {("float64", 2): 4e-15, ("float64", 4): 4e-14}
# (images, height, width), padding; all with the same kernels
IMAGES = [
    ((batch, *size), padding)
    for batch, size, padding in itertools.product(
        (1, 3), ((1, 1), (1, 5), (5, 7), (7, 13), (13, 5)), ((0, 0), (1, 1), (2, 2), (1, 0), (2, 1), (5, 0))
    )
    if size[0] + 2 * padding[0] >= 3 and size[1] + 2 * padding[1] >= 3
]
CHANNELS = [(1, 3), (3, 17), (17, 64), (64, 1)]


@pytest.fixture(autouse=True)
def automatic():
    yield
    jitnet.set_conv_algorithm("auto")


class Case:
    """Operands, and in float64 what comes out."""

    def __init__(self, images, padding, channels, filters, dtype="float32"):
        self.padding, self.dtype = padding, dtype
        self.size = tuple(n + 2 * pad - 2 for n, pad in zip(images[1:], padding, strict=True))
        self.x = draw(*images, channels, dtype=dtype, seed=1)
        self.kernel = draw(3, 3, channels, filters, dtype=dtype, seed=2)
        self.dy = draw(images[0], *self.size, filters, dtype=dtype, seed=3)
        self.bias = draw(filters, dtype=dtype, seed=4)
        self.activation = draw(*images, channels, dtype=dtype, seed=5)
        height, width = self.size
        top, left = padding
        x = np.pad(np.float64(self.x), ((0, 0), (top, top), (left, left), (0, 0)))
        self.y, self.dkernel, dx = 0, np.zeros(self.kernel.shape), np.zeros(x.shape)
        for r, s in itertools.product(range(3), range(3)):
            part = np.s_[:, r : r + height, s : s + width]
            self.y = self.y + x[part] @ np.float64(self.kernel[r, s])
            self.dkernel[r, s] = np.tensordot(x[part], np.float64(self.dy), ((0, 1, 2), (0, 1, 2)))
            dx[part] += np.float64(self.dy) @ np.float64(self.kernel[r, s]).T
        self.dx = dx[:, top : top + images[1], left : left + images[2]]

    def buffered(self, array, top=1, left=2):
        return np.pad(array, ((0, 0), (top, 0), (left, 1), (0, 0)))

    def _run(self, plan, weights, source, extra, origin, target):
        scratch, scratch_intact = self._workspace(plan, source)
        whole, intact = guarded(np.pad(target, ((0, 0), (2, 0), (1, 0), (0, 0)), constant_values=3))
        places = (*self.padding, 1, 2, 2, 1, *origin, *target.shape[1:3])
        extra = [whole if array is target else array for array in extra]  # in place
        plan.kernel()(source, weights, *extra, whole, scratch, *places)
        assert intact() and scratch_intact()
        assert (whole[:, :2] == 3).all() and (whole[:, :, :1] == 3).all()
        return whole[:, 2:, 1:]

    def _workspace(self, plan, source, shares=1):
        elements = plan.workspace_elements
        if callable(elements):  # direct
            elements = elements(source.shape[1], source.shape[2], self.padding[1], 2)
        return guarded(np.full(shares * elements, np.nan, self.dtype))

    def _weights(self, plan, kernel):
        plan = plan.weights()
        out, intact = guarded(np.full(plan.elements, np.nan, self.dtype))
        for part in range(2):
            plan.kernel()(kernel, out, part, 2)
        assert intact()
        return out

    def forward(self, outputs, epilogue="store", target=None):
        extra = [self.bias] if "bias" in epilogue else []
        if outputs == DIRECT:
            plan = conv2d_forward_kernel(self.kernel.shape, self.size[1], dtype=self.dtype, epilogue=epilogue)
            weights = self.kernel
        else:
            plan = winograd_forward_kernel(self.kernel.shape, outputs, self.dtype, epilogue, target)
            weights = self._weights(plan, self.kernel)
        y = self.dy  # where a residual is added, it lies there
        extra += [y] if "add" in epilogue else []
        return self._run(plan, weights, self.buffered(self.x), extra, (), y)

    def backward_data(self, outputs, epilogue="store", before=0, target=None):
        transposed = np.zeros(self.kernel.size, self.dtype)
        transpose_kernel(self.dtype, target).kernel()(self.kernel, transposed, 1, 1)
        shape = self.kernel.shape
        if outputs == DIRECT:
            plan = conv2d_backward_data_kernel(shape, self.x.shape[2], dtype=self.dtype, epilogue=epilogue)
        else:
            plan = winograd_backward_data_kernel(shape, outputs, self.dtype, epilogue, target)
            transposed = self._weights(plan, transposed.reshape(3, 3, shape[3], shape[2]))
        extra, origin = [self.bias[: shape[2]]] if "bias" in epilogue else [], ()
        if epilogue == "relu_mask":
            extra, origin = [self.buffered(self.activation)], (1, 2)
        dx = np.full(self.x.shape, before, self.dtype)
        return self._run(plan, transposed, self.buffered(self.dy), extra, origin, dx)

    def backward_filter(self, outputs, start=None, target=None, shares=0):
        """shares: the gradient in so many calls, the last first."""
        if outputs == DIRECT:
            plan = conv2d_backward_filter_kernel(self.kernel.shape, self.size[1], dtype=self.dtype)
        else:
            plan = winograd_backward_filter_kernel(self.kernel.shape, outputs, self.dtype, target, shares > 0)
        x, dy = self.buffered(self.x), self.buffered(self.dy, 2, 1)
        scratch, scratch_intact = self._workspace(plan, x, shares or 1)
        dkernel, intact = guarded(np.full(self.kernel.shape, 5, self.dtype) if start is None else start)
        pieces = [(s, plan.pieces * s // shares, plan.pieces * (s + 1) // shares) for s in reversed(range(shares))]
        for piece in pieces or [()]:
            plan.kernel()(x, dy, dkernel, scratch, *self.padding, 1, 2, 2, 1, *self.size, start is not None, *piece)
        assert intact() and scratch_intact()
        return dkernel


def check(case, outputs, target=None, direct=False):
    bound = BOUNDS[case.dtype, outputs]
    assert_close(case.forward(outputs, "bias_relu", target), np.maximum(case.y + case.bias, 0), bound)
    masked = np.where(case.activation > 0, case.dx, 0)
    assert_close(case.backward_data(outputs, "relu_mask", target=target), masked, bound)
    assert_close(case.backward_filter(outputs, target=target), case.dkernel, bound)


@pytest.mark.parametrize("channels", CHANNELS, ids="{0[0]}_to_{0[1]}".format)
@pytest.mark.parametrize("outputs", [4, 2])
def test_float32(outputs, channels):
    for images, padding in IMAGES:
        check(Case(images, padding, *channels), outputs)


def test_float64():
    for images, padding in IMAGES:
        check(Case(images, padding, 3, 17, "float64"), 4)


def test_the_gradient_of_the_weights_in_pieces(monkeypatch):
    monkeypatch.setattr(winograd, "_PIECE", 32)
    for images, padding in IMAGES[::9]:
        case = Case(images, padding, 35, 64)
        whole = case.backward_filter(4, shares=1)
        assert_close(whole, case.dkernel, BOUNDS["float32", 4])
        assert (case.backward_filter(4, shares=3) == whole).all()
        start = draw(*case.kernel.shape, dtype="float32", seed=6)
        assert_close(case.backward_filter(4, start, shares=4), case.dkernel + start, 2e-5)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_other_vectors(target):
    for images, padding in IMAGES[::5]:
        check(Case(images, padding, 3, 17), 4, target)


def test_the_bound_of_direct_convolution():
    """The same operands, so that the bounds can be compared."""
    for channels in CHANNELS[1:3]:
        check(Case((3, 7, 13), (1, 1), *channels), DIRECT)


def test_epilogues():
    case = Case((3, 5, 7), (1, 1), 3, 17)
    assert_close(case.forward(4), case.y, 2e-5)
    assert_close(case.forward(4, "bias"), case.y + case.bias, 2e-5)
    total = case.y + case.bias + case.dy
    assert_close(case.forward(4, "bias_add"), total, 2e-5)
    assert_close(case.forward(4, "bias_add_relu"), np.maximum(total, 0), 2e-5)
    assert_close(case.backward_data(4), case.dx, 2e-5)
    assert_close(case.backward_data(4, "accumulate", before=2), case.dx + 2, 2e-5)
    shifted = case.dx + case.bias[:3]  # a transposed convolution
    assert_close(case.backward_data(4, "bias", before=2), shifted, 2e-5)
    assert_close(case.backward_data(4, "bias_relu", before=2), np.maximum(shifted, 0), 2e-5)
    start = draw(*case.kernel.shape, dtype="float32", seed=6)
    assert_close(case.backward_filter(4, start), case.dkernel + start, 2e-5)


def test_an_image_does_not_depend_on_the_others():
    case = Case((11, 13, 13), (1, 1), 3, 17)  # more tiles than a block has
    y, dx = case.forward(4, "bias_relu"), case.backward_data(4, "relu_mask")
    for images in (slice(0, 1), slice(5, 11)):
        part = Case((11, 13, 13), (1, 1), 3, 17)
        part.x, part.dy, part.activation = case.x[images], case.dy[images], case.activation[images]
        assert (part.forward(4, "bias_relu") == y[images]).all()
        assert (part.backward_data(4, "relu_mask") == dx[images]).all()


def test_more_tiles_than_a_block_has():
    check(Case((11, 13, 13), (1, 1), 3, 17), 4)
    check(Case((11, 5, 5), (1, 1), 17, 64), 4)


def test_no_images():
    check(Case((0, 5, 5), (1, 1), 3, 17), 4)


@pytest.mark.parametrize("outputs", [4, 2])
def test_torch(outputs):
    torch = pytest.importorskip("torch")
    case = Case((3, 7, 13), (2, 1), 17, 64)
    x, kernel, dy = (torch.from_numpy(array) for array in (case.x, case.kernel, case.dy))
    x, kernel, dy = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), dy.permute(0, 3, 1, 2)
    x.requires_grad_(), kernel.requires_grad_()
    y = torch.nn.functional.conv2d(x, kernel, torch.from_numpy(case.bias), padding=case.padding).relu()
    assert_close(case.forward(outputs, "bias_relu"), y.detach().permute(0, 2, 3, 1).numpy(), 2e-5)
    torch.nn.functional.conv2d(x, kernel, padding=case.padding).backward(dy)
    dx = np.where(case.activation > 0, x.grad.permute(0, 2, 3, 1).numpy(), 0)
    assert_close(case.backward_data(outputs, "relu_mask"), dx, 2e-5)
    assert_close(case.backward_filter(outputs), kernel.grad.permute(2, 3, 1, 0).numpy(), 2e-5)


# ---- the choice, and steps


def test_choice():
    here = ((1, 1), (1, 1))  # stride, dilation
    assert winograd_outputs("forward", (3, 3, 64, 64), 32, 32, *here) == 4
    assert winograd_outputs("forward", (3, 3, 64, 64), 6, 6, *here) == 2  # as many multiplications, and a smaller error
    assert winograd_outputs("forward", (3, 3, 64, 64), 32, 32, *here, algorithm="direct") == 0
    assert winograd_outputs("forward", (3, 3, 64, 64), 32, 32, *here, "float64") == 0
    assert winograd_outputs("forward", (3, 3, 64, 64), 32, 32, *here, "float64", "winograd") == 4
    assert winograd_outputs("forward", (3, 3, 3, 64), 32, 32, *here) == 0
    assert winograd_outputs("forward", (3, 3, 3, 64), 32, 32, *here, algorithm="winograd") == 4
    assert winograd_outputs("forward", (3, 3, 64, 64), 1, 1, *here) == 0
    # with few channels the more exact one, where that matters
    assert winograd_outputs("forward", (3, 3, 16, 64), 32, 32, *here) == 2
    assert winograd_outputs("backward_data", (3, 3, 16, 64), 32, 32, *here) == 4
    assert winograd_outputs("backward_filter", (3, 3, 16, 64), 32, 32, *here) == 4
    for shape, stride, dilation in (
        ((5, 5, 64, 64), (1, 1), (1, 1)),
        ((3, 3, 64, 64), (2, 1), (1, 1)),
        ((3, 3, 64, 64), (1, 1), (1, 2)),
    ):
        assert winograd_outputs("forward", shape, 32, 32, stride, dilation, algorithm="winograd") == 0


def network(dtype="float32"):
    """Two convolutions that Winograd's algorithm can compute and one that it cannot."""
    clear_names()
    jitnet.set_floatx(dtype)
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [
            jitnet.Input((7, 5, 2)),
            layers.Conv2D(3, 3, padding="same", activation="tanh"),
            layers.Conv2D(2, 3, activation="relu"),
            layers.Conv2D(2, 3, strides=2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def data(dtype="float32", samples=21):
    return draw(samples, 7, 5, 2, dtype=dtype), np.arange(samples) % 3


def test_the_algorithm_in_the_source():
    model = network()
    assert "winograd" not in model.step_source()  # too few channels
    jitnet.set_conv_algorithm("winograd")
    assert jitnet.conv_algorithm() == "winograd"
    source = model.step_source()
    for name in (
        "conv2d_forward_winograd2x2_3x3_2_3_bias(", "conv2d_forward_winograd2x2_3x3_3_2_bias_relu(",
        "conv2d_backward_data_winograd2x2_3x3_3_2(", "conv2d_backward_filter_winograd4x4_3x3_3_2(",
        "conv2d_forward_3x3_2_2_stride2x2_whole_rows_bias(",
    ):  # fmt: skip
        assert name in source
    jitnet.set_conv_algorithm("direct")
    assert "winograd" not in model.step_source()


@pytest.mark.parametrize("algorithm", ["fft", None, "Winograd"])
def test_unknown_algorithm(algorithm):
    with pytest.raises(ValueError) as error:
        jitnet.set_conv_algorithm(algorithm)
    expected = f'set_conv_algorithm expects "auto", "direct" or "winograd". Received: algorithm={algorithm!r}'
    assert str(error.value) == expected
    assert jitnet.conv_algorithm() == "auto"


def test_gradients_of_a_network():
    """In float64 against finite differences."""
    jitnet.set_conv_algorithm("winograd")
    model = network("float64")
    model.compile(jitnet.optimizers.SGD(0.0), model.loss)  # the weights stay as they are
    x, y = data("float64")
    arrays, samples, shapes = model._prepare(x, y)
    step = model._step("train", shapes)
    values = {"order": np.arange(samples), "seed": 1, "t": 0, "results": np.zeros(step.results)}
    step.run(samples, 1, {**arrays, **values}, compiled=False)
    assert "conv2d_backward_filter_winograd" in step.source

    def loss():
        variable.assign(changed)
        return model.evaluate(x, y, batch_size=samples, verbose=0)

    for variable, gradient in step.variable_gradients().items():
        changed = variable.numpy()
        numerical = numerical_gradient(loss, changed, 1e-5)
        variable.assign(changed)
        assert_close(gradient, numerical, 1e-7)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    jitnet.set_conv_algorithm("winograd")
    x, y = data(samples=150)
    digests = set()
    for threads, jit_compile in itertools.product((1, 2, 3), (False, True)):
        jitnet.set_num_threads(threads)
        model = network()
        model.compile("sgd", model.loss, jit_compile=jit_compile)
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        digests.add(digest(model))
    assert len(digests) == 1
