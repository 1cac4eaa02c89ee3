"""Generated direct convolutions of several groups: kernels against their oracle, models against PyTorch."""

import naive.conv as naive
import numpy as np
import pytest
from naive import assert_close, draw
from test_convolution_direct import Case, check, operands, run_backward_data, run_backward_filter, run_forward
from test_fusion import gradients
from test_simd import TARGETS
from torch_reference import torch_convolution

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
)

CASES = {  # with the number of groups that a vector of AVX-512 holds
    "prime_channels": Case((2, 6, 9), (3, 3, 5, 21), (6, 9), (1, 1), (1, 1), (1, 1), 3),  # 1
    "two_blocks_with_tail": Case((1, 4, 5), (2, 3, 19, 166), (3, 3), (1, 1), (0, 0), (1, 1), 2),  # 1
    "four_channels": Case((1, 5, 7), (3, 3, 4, 32), (5, 7), (1, 1), (1, 1), (1, 1), 8),  # 4, which fill it
    "strides": Case((2, 9, 8), (3, 3, 3, 12), (5, 4), (2, 2), (1, 0), (1, 1), 6),  # 3
    "stride_over_kernel": Case((1, 8, 7), (1, 2, 5, 34), (3, 3), (3, 3), (0, 1), (1, 1), 2),  # 1
    "dilation": Case((1, 9, 8), (2, 3, 1, 8), (8, 6), (1, 1), (1, 2), (3, 2), 4),  # 4; a multiplier of channels
    "fewer_filters": Case((1, 4, 4), (2, 2, 6, 2), (4, 4), (1, 1), (0, 0), (1, 1), 2),  # 2
    "one_pixel": Case((3, 1, 1), (1, 1, 2, 2), (1, 1), (1, 1), (0, 0), (1, 1), 2),  # 2
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_float32(case):
    check(case, "float32", 2e-5)


@pytest.mark.parametrize("name", ["prime_channels", "strides"])
def test_float64(name):
    check(CASES[name], "float64", 1e-12)


@pytest.mark.parametrize("name", ["two_blocks_with_tail", "strides"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_other_vectors(name, target):
    check(CASES[name], "float32", 2e-5, target)


def test_groups_that_share_a_vector():
    def groups_per_vector(channels, filters, groups, target=TARGETS[0], dtype="float32", plan=conv2d_forward_kernel):
        chosen = plan((3, 3, channels, filters * groups), 8, dtype=dtype, target=target, groups=groups)
        return chosen.constants["GROUPS_PER_VECTOR"]

    assert [groups_per_vector(4, 4, groups) for groups in (2, 6, 7, 8, 32)] == [2, 3, 1, 4, 4]
    assert [groups_per_vector(size, size, 8) for size in (1, 2, 3, 5, 8, 9, 16, 40)] == [8, 8, 4, 2, 2, 1, 1, 1]
    assert groups_per_vector(1, 2, 8) == groups_per_vector(2, 1, 8) == 8
    assert groups_per_vector(1, 2, 8, plan=conv2d_backward_data_kernel) == 8
    assert groups_per_vector(4, 4, 8, dtype="float64") == groups_per_vector(4, 4, 8, target=TARGETS[1]) == 2
    assert groups_per_vector(4, 4, 8, plan=conv2d_backward_filter_kernel) == 4
    constants = conv2d_forward_kernel((2, 3, 19, 166), 3, target=TARGETS[0], groups=2).constants
    assert constants["GROUPS_PER_VECTOR"] * 166 // 2 > constants["VECTORS"] * constants["LANES"], "several blocks"


def test_epilogues():
    case = CASES["four_channels"]
    x, kernel, dy = operands(case, "float32")
    geometry = (1, 1, 1, 1, 1, 1, 8)
    y = naive.conv2d_forward(x, kernel, case.size, *geometry)
    bias, residual = draw(32, dtype="float32", seed=7), draw(1, 7, 8, 32, dtype="float32", seed=9)
    total = y + bias + residual[:, 2:, 1:]
    assert_close(run_forward(case, "float32"), y, 2e-5)
    assert_close(run_forward(case, "float32", "bias", [bias]), y + bias, 2e-5)
    assert_close(run_forward(case, "float32", "bias_add", [bias, residual]), total, 2e-5)
    assert_close(run_forward(case, "float32", "bias_add_relu", [bias, residual]), np.maximum(total, 0), 2e-5)
    dx = naive.conv2d_backward_data(dy, kernel, x.shape, *geometry)
    assert_close(run_backward_data(case, "float32"), dx, 2e-5)
    assert_close(run_backward_data(case, "float32", "accumulate", before=2), dx + 2, 2e-5)
    dkernel = naive.conv2d_backward_filter(x, dy, kernel.shape, *geometry)
    assert_close(run_backward_filter(case, "float32", np.full_like(kernel, 5), False), dkernel, 2e-4)


@pytest.mark.parametrize("name", ["prime_channels", "four_channels"])
def test_known_edges_give_the_same_bits(name):
    case = CASES[name]
    edges = case.padding[1], case.images[2]
    plan = conv2d_forward_kernel(case.kernel_shape, case.size[1], edges=edges, target=TARGETS[0], groups=case.groups)
    assert "_whole_rows" in plan.name
    assert (run_forward(case, "float32", edges=edges) == run_forward(case, "float32")).all()
    expected = run_backward_data(case, "float32")
    assert (run_backward_data(case, "float32", edges=(case.padding[1], case.size[1])) == expected).all()


def test_an_image_does_not_depend_on_the_others():
    case = CASES["prime_channels"]
    whole = run_forward(case, "float32")
    for image in (slice(0, 1), slice(1, 2)):
        assert (run_forward(case, "float32", images=image) == whole[image]).all()


def test_names_say_how_many_groups():
    assert conv2d_forward_kernel((3, 3, 4, 16), 28, groups=4).name == "conv2d_forward_3x3_16_16_groups4"
    plan = conv2d_backward_data_kernel((3, 3, 4, 128), 32, (2, 2), groups=32, epilogue="relu_mask")
    assert plan.name == "conv2d_backward_data_3x3_128_128_groups32_stride2x2_relu_mask"


def network():
    """Groups with every kind of geometry and epilogue that a model has."""
    x = jitnet.Input((9, 10, 6))
    first = layers.Conv2D(8, 3, padding="same", groups=2, activation="relu")(x)
    strided = layers.Conv2D(16, 3, strides=2, padding="same", groups=4, activation="relu")(first)
    residual = layers.ReLU()(layers.Add()([layers.Conv2D(16, 3, padding="same", groups=4)(strided), strided]))
    dilated = layers.Conv2D(6, (2, 3), dilation_rate=(1, 2), groups=2, use_bias=False)(residual)
    return jitnet.Model(x, layers.Dense(5)(layers.Flatten()(dilated)))


def torch_network(t, x, weights):
    def convolution(x, strides, padding, dilation, groups, bias=True):
        y = torch_convolution(t, x, next(weights), strides, padding, dilation, groups)
        return y + next(weights) if bias else y

    first = t.relu(convolution(x, (1, 1), "same", (1, 1), 2))
    strided = t.relu(convolution(first, (2, 2), "same", (1, 1), 4))
    residual = t.relu(convolution(strided, (1, 1), "same", (1, 1), 4) + strided)
    dilated = convolution(residual, (1, 1), "valid", (1, 2), 2, bias=False)
    return dilated.flatten(1) @ next(weights) + next(weights)


@pytest.mark.parametrize("batch", [1, 7])
def test_torch_gradients(batch):
    torch = pytest.importorskip("torch")
    models = []

    def build():
        models.append(network())
        return models[0]

    _, found, step = gradients(build, (9, 10, 6), fuse=True, batch=batch)
    for kernel in (
        "conv2d_forward_3x3_6_8_groups2_",
        "conv2d_backward_data_3x3_8_16_groups4_stride2x2_relu_mask(",
        "conv2d_backward_filter_3x3_8_16_groups4_stride2x2(",
        "_bias_add_relu(",
    ):
        assert kernel in step.source
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((batch, 9, 10, 6)), rng.integers(0, 5, batch)
    variables = models[0].trainable_weights
    weights = [torch.tensor(np.array(v), requires_grad=True) for v in variables]
    logits = torch_network(torch, torch.tensor(x), iter(weights))
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    for variable, weight in zip(variables, weights, strict=True):
        assert_close(found[variable.name], weight.grad.numpy(), 1e-12)


def test_groups_are_neither_rounded_nor_transformed(monkeypatch):
    """Winograd's algorithm and products of bfloat16 know no groups."""
    monkeypatch.setenv("JITNET_BFLOAT16", "emulated")
    convolution = layers.Conv2D(128, 3, padding="same", groups=2, dtype="mixed_bfloat16")
    model = jitnet.Sequential([jitnet.Input((16, 16, 128)), layers.ReLU(), convolution, layers.Flatten()])
    model.compile("sgd", "mse")
    source = model.step_source()
    for kind in ("forward", "backward_filter"):
        assert f"conv2d_{kind}_3x3_128_128_groups2" in source
    assert "winograd" not in source and "bfloat16(" not in source
