"""Chains of pointwise operations as one kernel: the same results as one kernel each, forward and backward."""

import re

import numpy as np
import pytest
from graphs import Case, Graphs, normal, positive
from small_networks import digest

import jitnet
from jitnet import layers, ops
from jitnet.kernels.compiler import ArrayType
from jitnet.kernels.scalar import activations, arithmetic
from jitnet.targets.cpu import thresholds


def gelu(x):
    return 0.5 * x * (1.0 + ops.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def with_parameters(x, y):
    return ops.leaky_relu(ops.elu(x, 0.7) + y, 0.3) * ops.elu(y, 1.5)


def read_elsewhere(x, y):
    """The sum is read by a reduction, too, whose result is repeated."""
    total = ops.tanh(x) + y
    return ops.relu(total) * ops.sum(total, axis=-1, keepdims=True) - total


def reshaped(x):
    return ops.reshape(ops.reshape(ops.tanh(x), (-1, 15)) * 0.5, (-1, 5, 3)) + 1.0


def interrupted(x, w):
    """Values before a product that its gradient reads, and values that are computed again behind it."""
    a = x * x + x
    return ops.sigmoid(ops.matmul(a, w)) * 2.0 - ops.square(a)


CASES = [
    Case("swish", lambda x: x * ops.sigmoid(x), (normal(3, 5),)),
    Case("gelu", gelu, (normal(7),)),
    Case("parameters", with_parameters, (normal(2, 3, 4), normal(2, 3, 4))),
    Case("two operands", lambda x, y: ops.maximum(x / y, x - y) ** 2.0, (normal(11), positive(11))),
    Case("accumulated", lambda x: x * x * x - x / 3.0 + ops.exp(-x), (normal(1),)),
    Case("read elsewhere", read_elsewhere, (normal(3, 5), normal(3, 5))),
    Case("reshaped", reshaped, (normal(3, 5),)),
    Case("a variable", lambda x, w: ops.relu(x * w) + x, (normal(3, 5),), (normal(1),)),
    Case("interrupted", interrupted, (normal(5),), (normal(5, 5),)),
    # would be x and 0 if the additions were reassociated or the product contracted
    Case("rounding", lambda x, y: ops.abs((x + 3e7) - 3e7) + (x * y - 1.0), (normal(6), normal(6))),
]
DIFFERENTIATED = [case for case in CASES if case.name in ("gelu", "parameters", "two operands", "read elsewhere")]
named = pytest.mark.parametrize("case", CASES, ids=repr)


@pytest.fixture(scope="module")
def pair():
    """Unfused, fused."""
    return Graphs(CASES, "float32"), Graphs(CASES, "float32", fuse=True)


def check(results, expected, case, tolerance):
    for found, wanted in zip(results[case].gradients, expected[case].gradients, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * abs(wanted).max(initial=0))


@pytest.mark.parametrize("batch", [1, 37])
def test_fused_results_have_the_same_bits_and_gradients_all_but(pair, batch):
    unfused, fused = pair
    drawn = unfused.draw(batch)
    expected, results = unfused.run(*drawn), fused.run(*drawn)
    for case in CASES:
        np.testing.assert_array_equal(results[case].output, expected[case].output, err_msg=case.name)
        check(results, expected, case, 1e-6)


def test_central_differences():
    graphs = Graphs(DIFFERENTIATED, "float64", fuse=True)
    for case, found in graphs.central_differences(3).items():
        for _, numerical, analytic, scale in found:
            assert abs(numerical - analytic) <= 1e-6 * max(scale, 1e-3), case


def test_every_number_of_threads_and_no_batch_give_the_same_bits(pair, monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    fused = pair[1]
    drawn = fused.draw(53)
    results = []
    for threads in (1, 2, 3):
        jitnet.set_num_threads(threads)
        results.append(fused.run(*drawn))
    for other in results[1:]:
        for case in CASES:
            assert (other[case].output == results[0][case].output).all()
            for one, two in zip(other[case].gradients, results[0][case].gradients, strict=True):
                assert (one == two).all()
    assert fused.run(*fused.draw(0))[CASES[0]].output.shape == (0, 3, 5)


def steps_of(case, gradient=True):
    """The source of a step of one case, and its buffers in the arena."""
    step = Graphs([case], "float32", fuse=True).step
    body = step.source[step.source.index("def ") :]
    return body, re.findall(r"(\w+) = view\(arena", body)


@named
def test_no_call_is_left_that_could_be_fused(case):
    body, _ = steps_of(case)
    assert "pointwise_" in body
    left = set(re.findall(r"    (\w+_(?:forward|backward\w*))\(", body))
    allowed = {
        "read elsewhere": {"multiply_forward", "multiply_backward_a", "multiply_backward_b", "subtract_forward"},
        "a variable": {"multiply_backward_b"},
    }
    pointwise = {kernel for kernel in left if kernel.split("_")[0] in (*arithmetic.NAMES, *activations.NAMES)}
    assert pointwise <= allowed.get(case.name, set())


def test_only_what_is_expensive_is_kept_for_the_gradient():
    body, kept = steps_of(CASES[1])
    assert kept == ["tanh"]
    assert body.count(" pointwise_") == 2
    assert steps_of(CASES[0])[1] == ["sigmoid"]


def test_what_changes_later_is_not_computed_again():
    """An accumulated gradient that a chain starts from has other values further down."""
    case = Case("twice", lambda x, w: ops.matmul(x * x, w) + ops.matmul(ops.tanh(x * x), w), (normal(5),),
                (normal(5, 5),))  # fmt: skip
    unfused, fused = (Graphs([case], "float64", fuse=fuse) for fuse in (False, True))
    drawn = unfused.draw(7)
    expected, results = unfused.run(*drawn), fused.run(*drawn)
    np.testing.assert_allclose(results[case].output, expected[case].output, rtol=1e-13)
    check(results, expected, case, 1e-12)


def test_a_long_chain_over_many_arrays_is_vectorised():
    from jitnet.kernels.compiler import machine, translate
    from jitnet.kernels.cpu.runtime import processor

    def sums(*xs):
        total = xs[0]
        for x in xs[1:]:
            total = total * x + 1.0
        return total

    fused = Graphs([Case("many", sums, (normal(9),) * 8)], "float32", fuse=True)
    fused.run(*fused.draw(5))
    kernels = [v for name, v in vars(fused.step.runner.module).items() if name.startswith("pointwise_")]
    assert len(kernels) == 2
    for kernel in kernels:
        types = tuple(ArrayType("float32", 2) for _ in range(kernel.py_func.__code__.co_argcount))
        ir = str(machine.optimised(translate(kernel, types), processor.machine()))
        assert re.search(r"store <\d+ x float>", ir)
        assert "vector.memcheck" not in ir  # no comparison of addresses


class Gelu(layers.Layer):
    def call(self, x):
        return gelu(x)


def trained(compiled, threads):
    jitnet.set_num_threads(threads)
    jitnet.utils.set_random_seed(2)
    jitnet.layers.base.clear_names()
    model = jitnet.Sequential([jitnet.Input((6,)), layers.Dense(9), Gelu(), layers.Dense(3)])
    model.compile(
        "adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=compiled, metrics=[]
    )
    generator = np.random.default_rng(0)
    model.fit(generator.standard_normal((45, 6)), generator.integers(0, 3, 45), batch_size=20, epochs=2, verbose=0)
    assert model._step("train", ((),)).source.count("    pointwise_") == 2
    return digest(model)


def test_a_layer_of_ones_own_in_both_modes(monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    assert len({trained(compiled, threads) for compiled in (False, True) for threads in (1, 2, 3)}) == 1
