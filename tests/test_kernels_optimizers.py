"""Optimizer updates, step by step, against Keras's formulas in float64 and against torch.optim."""

import re

import naive.optimizers as naive
import numpy as np
import pytest

from jitnet.kernels.cpu import optimizers
from jitnet.kernels.cpu.runtime.jit import compile_uncached

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
STEPS = 6
SIZE = 37


def start_and_gradients(dtype):
    random = np.random.default_rng(0)
    gradients = [random.standard_normal(SIZE).astype(dtype) for _ in range(STEPS)]
    return random.standard_normal(SIZE).astype(dtype), gradients


@DTYPES
def test_plain_sgd(dtype):
    parameters, gradients = start_and_gradients(dtype)
    expected = parameters.astype(float)
    for step, gradient in enumerate(gradients):
        rate = 0.1 / (1 + step)
        optimizers.sgd_update(parameters, gradient, rate)
        expected = naive.sgd(expected, gradient.astype(float), rate)
        np.testing.assert_allclose(parameters, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_with_momentum(nesterov, dtype):
    parameters, gradients = start_and_gradients(dtype)
    velocity = np.zeros_like(parameters)
    expected, expected_velocity = parameters.astype(float), np.zeros(SIZE)
    for step, gradient in enumerate(gradients):
        rate, momentum = 0.1 / (1 + step), 0.9 - 0.05 * step
        optimizers.sgd_momentum_update(parameters, gradient, velocity, rate, momentum, nesterov)
        expected, expected_velocity = naive.sgd_momentum(
            expected, gradient.astype(float), expected_velocity, rate, momentum, nesterov
        )
        np.testing.assert_allclose(parameters, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        np.testing.assert_allclose(velocity, expected_velocity, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@DTYPES
def test_adam(dtype):
    parameters, gradients = start_and_gradients(dtype)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    expected, expected_m, expected_v = parameters.astype(float), np.zeros(SIZE), np.zeros(SIZE)
    for step, gradient in enumerate(gradients):
        hyperparameters = (0.01 / (1 + step), 0.9, 0.999, 1e-7, step + 1)
        optimizers.adam_update(parameters, gradient, m, v, *hyperparameters)
        expected, expected_m, expected_v = naive.adam(
            expected, gradient.astype(float), expected_m, expected_v, *hyperparameters
        )
        for actual, wanted in ((parameters, expected), (m, expected_m), (v, expected_v)):
            np.testing.assert_allclose(actual, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_against_pytorch(nesterov):
    torch = pytest.importorskip("torch")
    parameters, gradients = start_and_gradients(np.float32)
    velocity = np.zeros_like(parameters)
    tensor = torch.tensor(parameters, requires_grad=True)
    reference = torch.optim.SGD([tensor], lr=0.1, momentum=0.9, nesterov=nesterov)
    for gradient in gradients:
        tensor.grad = torch.tensor(gradient)
        reference.step()
        optimizers.sgd_momentum_update(parameters, gradient, velocity, 0.1, 0.9, nesterov)
        np.testing.assert_allclose(parameters, tensor.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_adam_against_pytorch():
    torch = pytest.importorskip("torch")
    parameters, gradients = start_and_gradients(np.float32)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    tensor = torch.tensor(parameters, requires_grad=True)
    reference = torch.optim.Adam([tensor], lr=0.01, eps=1e-3)
    for t, gradient in enumerate(gradients, start=1):
        tensor.grad = torch.tensor(gradient)
        reference.step()
        # PyTorch adds epsilon to the corrected root of v, Keras to the uncorrected one
        epsilon = 1e-3 * (1 - 0.999**t) ** 0.5
        optimizers.adam_update(parameters, gradient, m, v, 0.01, 0.9, 0.999, epsilon, t)
        np.testing.assert_allclose(parameters, tensor.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_no_parameters():
    empty = np.empty(0, np.float32)
    optimizers.sgd_update(empty, empty, 0.1)
    optimizers.sgd_momentum_update(empty, empty, empty, 0.1, 0.9, False)
    optimizers.adam_update(empty, empty, empty, empty, 0.1, 0.9, 0.999, 1e-7, 1)


@pytest.mark.parametrize(
    ("kernel", "arrays", "scalars"),
    [
        (optimizers.sgd_momentum_update, 3, (0.1, 0.9, True)),
        (optimizers.adam_update, 4, (0.1, 0.9, 0.999, 1e-7, 1)),
    ],
)
def test_updates_are_vectorised(kernel, arrays, scalars):
    import numba

    dispatcher = compile_uncached(kernel.py_func)
    dispatcher.compile((*[numba.float32[::1]] * arrays, *(numba.typeof(scalar) for scalar in scalars)))
    ir = next(iter(dispatcher.inspect_llvm().values()))
    # one vector store for each array that changes
    assert len(re.findall(r"store <\d+ x float>", ir)) >= arrays - 1
    assert "fpext float" not in ir


@DTYPES
@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_accumulated_gradients_and_moving_averages(size, dtype):
    random = np.random.default_rng(1)
    parameter, gradient, slot = (random.standard_normal(size).astype(dtype) for _ in range(3))
    accumulator, average = slot.copy(), slot.copy()
    optimizers.accumulate_update(gradient, accumulator, 0.25)
    np.testing.assert_allclose(accumulator, slot + 0.25 * gradient, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    optimizers.moving_average_update(parameter, average, 0.9)
    np.testing.assert_allclose(average, 0.9 * slot + 0.1 * parameter, rtol=1e-5, atol=TOLERANCE[dtype])
    optimizers.overwrite_update(parameter, average)
    np.testing.assert_array_equal(parameter, average)
