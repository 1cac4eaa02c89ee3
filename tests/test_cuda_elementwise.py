"""Pointwise CUDA kernels, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import ON_DEVICE, assert_twins, emulator
from naive import draw
from test_kernels_elementwise import PARAMETERS

from jitnet.kernels.cuda._api import using
from jitnet.kernels.cuda.elementwise import relu_forward
from jitnet.kernels.scalar import activations, arithmetic
from jitnet.kernels.scalar.broadcasting import canonical

# not those that other tests add
NAMES = [name for name in activations.NAMES if activations.defined_by(name) is None]

DTYPE = np.float32
EXTREMES = np.array([0.0, -0.0, 300, -300, np.inf, -np.inf, np.nan, 1e-40, 2.5], DTYPE)


@pytest.mark.parametrize("name", NAMES)
def test_activations(name):
    parameters = [PARAMETERS[parameter] for parameter in activations.parameters(name)]
    x = np.concatenate([2 * draw(32, dtype=DTYPE), EXTREMES])
    if name in ("log", "sqrt", "log1p"):
        x = np.abs(x)
    y, dy, dx = np.full_like(x, np.nan), draw(x.size, dtype=DTYPE, seed=1), np.full_like(x, 7)
    tolerance = {"rtol": 2e-5, "atol": 1e-6}
    assert_twins("elementwise", f"{name}_forward", x, y, *parameters, unwritten=("y",), **tolerance)
    quads = x[-36:].copy()
    assert_twins("elementwise", f"{name}_forward", quads, y[-36:], *parameters, unwritten=("y",), **tolerance)
    assert_twins("elementwise", f"{name}_forward", quads, quads, *parameters, **tolerance)
    for finite in (x[:32], x[:31]):  # four at a time, and one by one
        y = np.array([getattr(activations, name)(value, *parameters) for value in finite], DTYPE)
        reads = [{"x": finite, "y": y}[array] for array in activations.derivative_arguments(name)]
        given = *reads, dy[: finite.size], dx[: finite.size], *parameters
        assert_twins("elementwise", f"{name}_backward", *given, False, unwritten=("dx",), **tolerance)
        assert_twins("elementwise", f"{name}_backward", *given, True, **tolerance)
        dy_too = dy[: finite.size].copy()
        assert_twins("elementwise", f"{name}_backward", *reads, dy_too, dy_too, *parameters, False, **tolerance)


# (a, a batched, b, b batched), shapes of one sample
BROADCASTS = [
    ((3, 5), True, (3, 5), True),
    ((3, 5), True, (5,), False),
    ((3, 5), True, (3, 1), False),
    ((2, 1, 5), True, (1, 3, 1), True),
    ((7,), True, (), False),
    ((1, 3), False, (2, 1, 3), True),
]


@pytest.mark.parametrize("name", arithmetic.NAMES)
def test_binary_operations(name):
    cases = BROADCASTS if name in ("divide", "maximum") else BROADCASTS[:2]
    for case in cases:
        a_shape, a_batched, b_shape, b_batched = case
        for n in (0, 3) if name == "divide" else (3,):
            shape, a_strides, b_strides = canonical(*case)
            a = np.asarray(np.abs(draw(*((n,) if a_batched else ()), *a_shape, dtype=DTYPE)) + DTYPE(0.5))
            b = np.asarray(np.abs(draw(*((n,) if b_batched else ()), *b_shape, dtype=DTYPE, seed=1)) + DTYPE(0.5))
            size = int(np.prod(shape)) * (n if a_batched or b_batched else 1)
            given = shape, a_strides, b_strides
            y, dy = np.full(size, np.nan, DTYPE), draw(size, dtype=DTYPE, seed=2)
            assert_twins("elementwise", f"{name}_forward", a, b, y, *given, unwritten=("y",), rtol=1e-5)
            for of, operand in (("a", a), ("b", b)):
                kernel, d = f"{name}_backward_{of}", np.full_like(operand, 7)
                assert_twins("elementwise", kernel, a, b, dy, d, *given, False, unwritten=(f"d{of}",), rtol=2e-5)
                assert_twins("elementwise", kernel, a, b, dy, d, *given, True, rtol=2e-5)


def test_sums_over_many_repeats_are_shared_between_blocks():
    case = (6,), True, (6,), False
    a, b = draw(700, 6, dtype=DTYPE), draw(6, dtype=DTYPE)
    dy = draw(700 * 6, dtype=DTYPE, seed=1)
    for accumulate in (False, True):
        arguments = a, b, dy, np.full_like(b, 7), *canonical(*case), accumulate
        assert_twins("elementwise", "multiply_backward_b", *arguments, rtol=1e-5, atol=1e-5)


def test_float64():
    x, one = draw(5), np.full(5, 3.0)
    assert_twins("elementwise", "gelu_forward", x, one, rtol=1e-14)
    assert_twins("elementwise", "sigmoid_backward", x, one, np.zeros(5), True, rtol=1e-14)


@pytest.mark.skipif(ON_DEVICE is not None, reason="a device keeps no list of launches")
def test_four_elements_at_a_time_where_all_arrays_allow_it():
    def launched(x, y):
        backend = emulator(0)
        backend.launched = {}
        with using(backend):
            relu_forward(backend.to_device(x), y(backend))
        return [kernel.name for kernel, _ in backend.launched]

    def aligned(backend):
        return backend.empty((8,), DTYPE)

    def shifted(backend):
        return backend.view(backend.empty((64,), np.uint8), 4, (8,), DTYPE)

    assert launched(draw(8, dtype=DTYPE), aligned) == ["_relu_forward_quads"]
    assert launched(draw(8, dtype=DTYPE), shifted) == ["_relu_forward"]
    assert launched(draw(7, dtype=DTYPE), lambda backend: backend.empty((7,), DTYPE)) == ["_relu_forward"]
    assert launched(draw(8), lambda backend: backend.empty((8,), np.float64)) == ["_relu_forward"]
