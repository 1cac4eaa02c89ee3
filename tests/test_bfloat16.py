"""Products of operands rounded to bfloat16, alone and in a model.

References round the same operands and compute in float64, so that errors are those of sums in float32.  AVX512-BF16
and AMX run where the machine has them; emulated targets pack and loop alike anywhere.
"""

import itertools
import struct

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir
from naive import draw as draw_in_float64
from small_networks import digest
from test_simd import guarded

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.fast.bfloat16 import (
    BFloat16Weights,
    conv2d_backward_filter_bfloat16_kernel,
    conv2d_bfloat16_kernel,
    matrix_multiply_bfloat16_kernel,
    rounding_pays,
)
from jitnet.kernels.cpu.fast.transpose import transpose_kernel
from jitnet.kernels.cpu.runtime import vectors
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target, bfloat16_target
from jitnet.kernels.cpu.tiles import bfloat16 as simd_bfloat16
from jitnet.kernels.cpu.tiles.simd import Emitter
from jitnet.layers.base import clear_names
from jitnet.targets.cpu import thresholds

AMX, AVX512 = BFloat16Target("amx", True, True), BFloat16Target("avx512_bf16", False, True)
EMULATED_AMX, EMULATED = BFloat16Target("emulated_amx", True, False), BFloat16Target("emulated", False, False)
HAS_AVX512 = vectors.host_has_avx512_bf16()
HAS_AMX = HAS_AVX512 and vectors.host_has_amx() and vectors.system_grants_amx()
TARGETS = [
    pytest.param(AMX, marks=pytest.mark.skipif(not HAS_AMX, reason="needs AMX"), id="amx"),
    pytest.param(AVX512, marks=pytest.mark.skipif(not HAS_AVX512, reason="needs AVX512-BF16"), id="avx512_bf16"),
    pytest.param(EMULATED_AMX, id="emulated_amx"),
    pytest.param(EMULATED, id="emulated"),
]
# instructions of vectors differ in nothing but the instructions: one of the two is enough for loops
LOOPS = TARGETS[:3] if HAS_AVX512 else TARGETS[:1] + TARGETS[2:]
BOUND = 1e-6  # of the largest element


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv("JITNET_BFLOAT16", raising=False)


@pytest.fixture
def bfloat16(monkeypatch):
    """A machine that has mixed precision: its own, or emulated."""
    if bfloat16_target() is None:
        monkeypatch.setenv("JITNET_BFLOAT16", "emulated")


def draw(*shape, seed=0):
    return draw_in_float64(*shape, dtype="float32", seed=seed)


def bits(x):
    return np.ascontiguousarray(x, np.float32).view(np.uint32)


def rounded(x):
    """``x`` rounded to the nearest bfloat16, ties to even, in float64."""
    low = bits(x) & 0xFFFF
    high = bits(x) - low
    up = (low > 0x8000) | ((low == 0x8000) & ((high >> 16) % 2 == 1))
    return (high + 0x10000 * up.astype(np.uint32)).view(np.float32).astype(np.float64)


def test_the_reference_rounds_to_the_nearest():
    x = draw(1000, seed=3)
    spacing = 2.0 ** (np.floor(np.log2(np.abs(x))) - 7)
    assert (np.abs(rounded(x) - x) <= spacing / 2).all()
    assert (rounded([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8]) == [1, 1 + 2**-6, -1]).all()  # ties


@pytest.mark.parametrize("target", TARGETS)
def test_rounding(target):
    """Packed as weights of depth 7, of which the last pair is half empty."""
    special = [1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-8 + 2**-20, 0.0, -0.0, np.inf, -np.inf, 3.4e38, 2**-126]
    x = np.concatenate([np.float32(special), draw(7 * 20 - len(special), seed=1) * 1e3]).reshape(1, 7, 20)
    weights = BFloat16Weights(target, 2)
    out, intact = guarded(np.full(weights.elements(1, 8, 20), 3, np.float32))
    for part in range(3):
        weights.kernel()(x, out, 8, part, 3)
    assert intact()
    halves = out.view(np.uint16).reshape(4, 32, 2)  # pairs, columns, of a pair
    packed = halves.transpose(0, 2, 1).reshape(8, 32)
    assert (packed[7:] == 0).all() and (packed[:, 20:] == 0).all()
    assert (packed[:7, :20].astype(np.uint32) << 16 == bits(rounded(x[0]))).all()
    x[0, 0, 0] = np.nan
    weights.kernel()(x, out, 8, 0, 1)
    assert np.isnan((out.view(np.uint16)[:1].astype(np.uint32) << 16).view(np.float32))


class Case:
    """Operands of a convolution, and in float64 what comes out of the rounded ones."""

    def __init__(self, images, channels, filters, taps, stride, padding):
        self.stride, self.padding = stride, padding
        size = [(n + 2 * p - t) // s + 1 for n, p, t, s in zip(images[1:], padding, taps, stride, strict=True)]
        self.x = draw(*images, channels, seed=1)
        self.kernel = draw(*taps, channels, filters, seed=2)
        self.dy = draw(images[0], *size, filters, seed=3)
        x, kernel, dy = rounded(self.x), rounded(self.kernel), rounded(self.dy)
        (top, left), (height, width) = padding, images[1:]
        padded = np.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
        self.y, self.dkernel, dx = np.zeros(dy.shape), np.zeros(kernel.shape), np.zeros(padded.shape)
        for r, s in itertools.product(*map(range, taps)):
            part = np.s_[
                :, r : r + (size[0] - 1) * stride[0] + 1 : stride[0], s : s + (size[1] - 1) * stride[1] + 1 : stride[1]
            ]
            self.y += padded[part] @ kernel[r, s]
            self.dkernel[r, s] = np.tensordot(padded[part], dy, ((0, 1, 2), (0, 1, 2)))
            dx[part] += dy @ kernel[r, s].T
        self.dx = dx[:, top : top + height, left : left + width]

    def _run(self, kernel_plan, source, matrices, expected, elements, extra=(), start=np.nan):
        packed, packed_intact = guarded(np.full(kernel_plan.weight_elements, np.nan, np.float32))
        for part in range(2):
            kernel_plan.weights().kernel()(matrices, packed, kernel_plan.padded, part, 2)
        result, intact = guarded(np.full(expected.shape, start, np.float32))
        workspace, workspace_intact = guarded(np.full(elements, np.nan, np.float32))
        kernel_plan.kernel()(source, packed, *extra, result, workspace, *self.padding)
        assert intact() and packed_intact() and workspace_intact()
        return result

    def forward(self, target, epilogue="store", extra=()):
        rows, columns, channels, filters = self.kernel.shape
        found = conv2d_bfloat16_kernel(
            "forward", self.kernel.shape, self.y.shape[2], self.stride, epilogue, target
        )  # fmt: skip
        elements = found.workspace_elements(*self.x.shape[1:3], self.padding[1])
        return self._run(found, self.x, self.kernel.reshape(rows * columns, channels, filters), self.y, elements, extra)

    def backward_data(self, target, epilogue="store", extra=(), start=np.nan):
        rows, columns, channels, filters = self.kernel.shape
        transposed = np.zeros(self.kernel.size, np.float32)
        transpose_kernel().kernel()(self.kernel, transposed, *self.stride)
        found = conv2d_bfloat16_kernel(
            "backward_data", self.kernel.shape, self.dx.shape[2], self.stride, epilogue, target
        )  # fmt: skip
        elements = found.workspace_elements(*self.dy.shape[1:3], self.padding[1])
        matrices = transposed.reshape(rows * columns, filters, channels)
        return self._run(found, self.dy, matrices, self.dx, elements, extra, start)

    def backward_filter(self, target, accumulate=False, start=np.nan):
        found = conv2d_backward_filter_bfloat16_kernel(self.kernel.shape, self.dy.shape[2], self.stride, target)
        elements = found.workspace_elements(self.x.shape[1], self.dy.shape[1])
        result, intact = guarded(np.full(self.kernel.shape, start, np.float32))
        workspace, workspace_intact = guarded(np.full(elements, np.nan, np.float32))
        found.kernel()(self.x, self.dy, result, workspace, *self.padding, accumulate)
        assert intact() and workspace_intact()
        return result


def assert_near(result, expected):
    """NaN is not near anything."""
    assert np.abs(result - expected).max() <= BOUND * np.abs(expected).max()


# images (N, H, W), channels, filters, taps, stride, padding
CASES = [
    ((2, 5, 7), 5, 3, (3, 3), (1, 1), (1, 1)),
    ((1, 7, 37), 33, 37, (2, 5), (1, 1), (0, 3)),
    ((2, 7, 10), 3, 17, (3, 3), (2, 2), (1, 0)),
    ((1, 5, 7), 16, 7, (2, 1), (3, 2), (0, 1)),
]


@pytest.mark.parametrize("target", LOOPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolution(case, target):
    case = Case(*case)
    assert_near(case.forward(target), case.y)
    assert_near(case.backward_data(target), case.dx)
    assert_near(case.backward_filter(target), case.dkernel)


@pytest.mark.parametrize("target", LOOPS)
def test_epilogues(target):
    case = Case(*CASES[0])
    bias = draw(3, seed=7)
    assert_near(case.forward(target, "bias", [bias]), case.y + bias)
    assert_near(case.forward(target, "bias_relu", [bias]), np.maximum(case.y + bias, 0))
    assert_near(case.backward_data(target, "accumulate", start=5), case.dx + 5)
    activation = draw(*case.dx.shape, seed=8)
    assert_near(case.backward_data(target, "relu_mask", [activation]), case.dx * (activation > 0))
    assert_near(case.backward_filter(target, True, start=5), case.dkernel + 5)


def test_one_column_and_no_image():
    target = EMULATED
    case = Case((1, 5, 1), 5, 3, (3, 3), (1, 1), (1, 1))
    assert_near(case.forward(target), case.y)
    assert_near(case.backward_data(target), case.dx)
    assert_near(case.backward_filter(target), case.dkernel)
    empty = Case((0, 5, 7), 5, 3, (3, 3), (1, 1), (1, 1))
    assert empty.forward(target).shape == empty.y.shape
    assert (empty.backward_filter(target) == 0).all()


@pytest.mark.parametrize("target", LOOPS)
@pytest.mark.parametrize("depth,columns", [(7, 3), (130, 70)])
@pytest.mark.parametrize("epilogue", ["bias_relu", "relu_mask"])
def test_product_of_matrices(target, depth, columns, epilogue):
    found = matrix_multiply_bfloat16_kernel(depth, columns, epilogue, target)
    b = draw(depth, columns, seed=2)
    packed, packed_intact = guarded(np.full(found.weight_elements, np.nan, np.float32))
    found.weights().kernel()(b[None], packed, found.padded, 0, 1)
    for rows in (1, 5, 67):
        a = draw(rows, depth, seed=1)
        extra = draw(columns, seed=3) if epilogue == "bias_relu" else draw(rows, columns, seed=3)
        expected = rounded(a) @ rounded(b)
        expected = np.maximum(expected + extra, 0) if epilogue == "bias_relu" else expected * (extra > 0)
        result, intact = guarded(np.full((rows, columns), np.nan, np.float32))
        workspace, workspace_intact = guarded(np.full(found.workspace_elements, np.nan, np.float32))
        found.kernel()(a, packed, extra, result, workspace)
        assert intact() and packed_intact() and workspace_intact()
        assert_near(result, expected)


def test_machine_code_of_amx():
    """For Sapphire Rapids, whatever this machine is: four products for two tiles of A and two of B."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    integer = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [integer] * 13), "product")
    emitter = Emitter(function, "float32", simd_bfloat16.LANES)
    simd_bfloat16._emit_configuration(emitter, 16, 32)
    simd_bfloat16._emit_tiles(emitter, AMX, 32, 2, 64, 32, "store", *function.args)
    simd_bfloat16._emit_release(emitter)
    emitter.builder.ret_void()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    machine = llvm.Target.from_triple(module.triple).create_target_machine(cpu="sapphirerapids", opt=2)
    lines = [line.split() for line in machine.emit_assembly(parsed).splitlines()]
    found = [line[0] for line in lines if line and line[0].startswith("t")]
    names = ("tilezero", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease")
    assert [found.count(name) for name in names] == [4, 4, 4, 4, 1]
    assert any("ldtilecfg" in line for line in lines)


def test_configuration_of_amx():
    content = bytes(simd_bfloat16.configuration_bytes(9, 18))
    palette, start, *rest = struct.unpack("<BB14x8H16x8B8x", content)
    assert (palette, start, len(content)) == (1, 0, 64)
    assert rest == [64, 64, 64, 64, 36, 36, 64, 64] + [9, 9, 9, 9, 9, 9, 9, 9]  # bytes of a row, rows


def test_target_of_the_host_and_its_override(monkeypatch):
    expected = "amx" if HAS_AMX else "avx512_bf16" if HAS_AVX512 else None
    assert getattr(bfloat16_target(), "name", None) == expected
    monkeypatch.setenv("JITNET_BFLOAT16", "emulated_amx")
    assert bfloat16_target() == EMULATED_AMX
    monkeypatch.setenv("JITNET_BFLOAT16", "fp8")
    with pytest.raises(ValueError, match="Received: JITNET_BFLOAT16=fp8"):
        bfloat16_target()


def test_choice(monkeypatch):
    monkeypatch.setenv("JITNET_BFLOAT16", "emulated")
    assert rounding_pays("forward", (3, 3, 16, 32))
    assert not rounding_pays("forward", (3, 3, 16, 32), winograd=4)  # faster in float32
    assert not rounding_pays("forward", (3, 3, 3, 32))
    assert not rounding_pays("forward", (3, 3, 16, 8))
    assert not rounding_pays("forward", (3, 3, 16, 32), dilation=(1, 2))
    assert rounding_pays("forward", (3, 3, 8, 32)) and not rounding_pays("backward_data", (3, 3, 8, 32))
    assert rounding_pays("dense", (1, 1, 64, 16)) and not rounding_pays("dense", (1, 1, 63, 16))
    monkeypatch.setenv("JITNET_BFLOAT16", "emulated_amx")
    assert rounding_pays("forward", (3, 3, 16, 32), winograd=4)
    monkeypatch.delenv("JITNET_BFLOAT16")
    monkeypatch.setattr(llvm, "get_host_cpu_features", dict)
    assert not rounding_pays("forward", (3, 3, 16, 32))


# ---- models


def network(policy="mixed_bfloat16", jit_compile="auto", activation="relu"):
    """Of every kind of product one that is rounded, and a first layer that is not."""
    clear_names()
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [
            jitnet.Input((9, 8, 2)),
            layers.Conv2D(16, 3, padding="same", activation=activation, dtype=policy),
            layers.Conv2D(17, 3, strides=2, activation=activation, dtype=policy),
            layers.Flatten(),
            layers.Dense(70, activation, dtype=policy),
            layers.Dense(16, dtype=policy),
        ]
    )
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(jitnet.optimizers.SGD(0.05, 0.9), loss, jit_compile=jit_compile)
    return model


def data(samples=150):
    y = np.arange(samples) % 3
    return draw(samples, 9, 8, 2) + y[:, None, None, None].astype(np.float32), y


def test_the_kernels_in_the_source(bfloat16):
    source = network().step_source()
    for name in (
        "conv2d_forward_bfloat16_3x3_16_17_stride2x2_bias_relu(", "matrix_multiply_bfloat16_204_by_32_bias_relu(",
        "conv2d_backward_data_bfloat16_3x3_16_17_stride2x2_relu_mask(", "matrix_multiply_bfloat16_70_by_16_bias(",
        "conv2d_backward_filter_bfloat16_3x3_16_17_stride2x2(", "conv2d_forward_3x3_2_16_whole_rows_bias_relu(",
    ):  # fmt: skip
        assert name in source, name
    assert "bfloat16" not in network("float32").step_source()


def test_training_learns_and_keeps_float32(bfloat16):
    x, y = data()
    model = network()
    losses = model.fit(x, y, batch_size=50, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert all(w.dtype == np.float32 for w in model.get_weights())
    assert model.predict(x, verbose=0).dtype == np.float32


def test_gradients_are_those_of_float32_but_for_rounding(bfloat16):
    x, y = data(64)
    changes = {}
    for policy in ("float32", "mixed_bfloat16"):
        model = network(policy, activation="tanh")  # rounding moves the edge of a ReLU
        before = model.get_weights()
        model.train_on_batch(x, y)
        changes[policy] = [new - old for new, old in zip(model.get_weights(), before, strict=True)]
    for mixed, exact in zip(changes["mixed_bfloat16"], changes["float32"], strict=True):
        error = np.linalg.norm(mixed - exact) / np.linalg.norm(exact)
        assert 0 < error < 0.01


@pytest.mark.parametrize("target", ["native", "emulated_amx"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, bfloat16, target):
    if target == "emulated_amx":
        monkeypatch.setenv("JITNET_BFLOAT16", target)
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    x, y = data()
    digests = set()
    for threads, jit_compile in itertools.product((1, 2, 3), (False, True)):
        jitnet.set_num_threads(threads)
        model = network(jit_compile=jit_compile)
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        digests.add(digest(model))
    assert len(digests) == 1


def test_policies_of_layers(bfloat16):
    jitnet.set_dtype_policy("mixed_bfloat16")
    assert jitnet.dtype_policy() == "mixed_bfloat16" and jitnet.floatx() == "float32"
    by_default, own = layers.Dense(3), layers.Dense(3, dtype="float32")
    x = jitnet.Input((4,))
    own(by_default(x))
    jitnet.set_dtype_policy("float32")
    assert (by_default.dtype_policy, by_default.dtype) == ("mixed_bfloat16", "float32")
    assert (own.dtype_policy, own.dtype) == ("float32", "float32")
    assert by_default.get_config()["dtype"] == "mixed_bfloat16"
    assert layers.Dense.from_config(by_default.get_config()).dtype_policy == "mixed_bfloat16"
    assert "dtype" not in layers.Dense(3).get_config()


def test_a_saved_model_keeps_its_policy(bfloat16, tmp_path):
    jitnet.set_dtype_policy("mixed_bfloat16")
    model = network(None)
    jitnet.set_dtype_policy("float32")
    model.save(tmp_path / "model.jitnet")
    jitnet.set_dtype_policy("mixed_bfloat16")
    loaded = jitnet.models.load_model(tmp_path / "model.jitnet")
    assert jitnet.dtype_policy() == "mixed_bfloat16"
    assert [layer.dtype_policy for layer in loaded.layers if layer.weights] == ["mixed_bfloat16"] * 4
    x, _ = data(5)
    assert (loaded.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    assert "bfloat16" in loaded.step_source()
