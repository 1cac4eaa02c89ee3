"""Optimizer updates, step by step, against Keras's formulas in float64 and against torch.optim."""

import re

import naive.optimizers as naive
import numpy as np
import pytest

from jitnet import optimizers
from jitnet.kernels.cpu import optimizers as kernels
from jitnet.kernels.cpu import training
from jitnet.kernels.cpu.runtime.jit import compile_uncached
from jitnet.kernels.scalar import optimizers as scalar

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
STEPS = 50
SIZE = 37


def start_and_gradients(dtype):
    random = np.random.default_rng(0)
    gradients = [random.standard_normal(SIZE).astype(dtype) for _ in range(STEPS)]
    return random.standard_normal(SIZE).astype(dtype), gradients


# name of the definition: [(class, arguments)]; hyperparameters that are left out have their defaults
CASES = [
    ("sgd", optimizers.SGD, {"learning_rate": 0.1}),
    ("sgd", optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9}),
    ("sgd", optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("adam", optimizers.Adam, {"learning_rate": 0.01}),
    ("adam", optimizers.Adam, {"learning_rate": 0.01, "beta_2": 0.9, "amsgrad": True}),
    ("adamax", optimizers.Adamax, {"learning_rate": 0.01, "beta_2": 0.9}),
    ("nadam", optimizers.Nadam, {"learning_rate": 0.01}),
    ("rmsprop", optimizers.RMSprop, {"learning_rate": 0.01}),
    ("rmsprop", optimizers.RMSprop, {"learning_rate": 0.01, "momentum": 0.8}),
    ("rmsprop", optimizers.RMSprop, {"learning_rate": 0.01, "centered": True, "epsilon": 1e-3}),
    ("rmsprop", optimizers.RMSprop, {"learning_rate": 0.01, "centered": True, "momentum": 0.8, "epsilon": 1e-3}),
    ("adagrad", optimizers.Adagrad, {"learning_rate": 0.1, "initial_accumulator_value": 0.3}),
    ("adadelta", optimizers.Adadelta, {"learning_rate": 1.0, "rho": 0.9}),
    ("ftrl", optimizers.Ftrl, {"learning_rate": 0.1}),
    ("ftrl", optimizers.Ftrl, {
        "learning_rate": 0.1, "learning_rate_power": -0.7, "l1_regularization_strength": 0.3, "beta": 0.2,
        "l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.05,
    }),
    ("lion", optimizers.Lion, {"learning_rate": 0.01}),
]  # fmt: skip


def described(case):
    return "-".join([case[0], *(name for name in case[2] if name != "learning_rate")])


def update_of(optimizer, step: int, arrays: dict) -> None:
    """Run the optimizer's kernel, with its hyperparameters as they are, on arrays by their names."""
    function = getattr(scalar, optimizer.function)
    numbers = {"t": step, "nesterov": float(getattr(optimizer, "nesterov", False))}
    numbers |= {name: optimizer._value(name) for name in optimizer.hyperparameter_names}
    given = [arrays[name] for name in scalar.arrays(function)]
    kernel = getattr(kernels, f"{optimizer.function}_update")
    kernel(*given, *(numbers[name] for name in scalar.hyperparameters(function)))


@DTYPES
@pytest.mark.parametrize(("name", "make", "arguments"), CASES, ids=[described(case) for case in CASES])
def test_updates(name, make, arguments, dtype):
    parameters, gradients = start_and_gradients(dtype)
    optimizer = make(**arguments)
    arrays = {"parameter": parameters}
    arrays |= {slot: np.full_like(parameters, optimizer.first_value(slot)) for slot in optimizer.own_slots}
    numbers = {key: optimizer._value(key) for key in optimizer.hyperparameter_names} | arguments
    if hasattr(optimizer, "initial_accumulator_value"):
        numbers["initial_accumulator_value"] = optimizer.initial_accumulator_value
    expected, slots = parameters.astype(float), {}
    for step, gradient in enumerate(gradients, 1):
        optimizer.learning_rate = numbers["learning_rate"] = arguments["learning_rate"] / (1 + step / 10)
        update_of(optimizer, step, {**arrays, "gradient": gradient})
        expected = getattr(naive, name)(expected, gradient.astype(float), slots, step, **numbers)
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(parameters, expected, rtol=tolerance, atol=tolerance)
        for slot in optimizer.own_slots:
            atol = tolerance * max(1, np.abs(slots[slot]).max())  # sums that cancel are as exact as their terms
            np.testing.assert_allclose(arrays[slot], slots[slot], rtol=tolerance, atol=atol, err_msg=slot)


@pytest.mark.parametrize(
    ("theirs", "their_arguments", "make", "arguments"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.9}, optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, optimizers.SGD,
         {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"lr": 0.01, "eps": 1e-12}, optimizers.Adam, {"learning_rate": 0.01, "epsilon": 0.0}),
        ("Adamax", {"lr": 0.01, "eps": 1e-12}, optimizers.Adamax, {"learning_rate": 0.01, "epsilon": 1e-12}),
        ("RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-12}, optimizers.RMSprop,
         {"learning_rate": 0.01, "epsilon": 1e-24}),
        ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.8, "eps": 1e-12}, optimizers.RMSprop,
         {"learning_rate": 0.01, "momentum": 0.8, "epsilon": 1e-24}),
        ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1, "eps": 0.0}, optimizers.Adagrad,
         {"learning_rate": 0.1, "epsilon": 0.0}),
        ("Adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}, optimizers.Adadelta,
         {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}),
    ],
)  # fmt: skip
def test_against_pytorch(theirs, their_arguments, make, arguments):
    """Where PyTorch's definition is Keras's, but for where epsilon stands."""
    torch = pytest.importorskip("torch")
    parameters, gradients = start_and_gradients(np.float64)
    optimizer = make(**arguments)
    arrays = {"parameter": parameters}
    arrays |= {slot: np.full_like(parameters, optimizer.first_value(slot)) for slot in optimizer.own_slots}
    tensor = torch.tensor(parameters, requires_grad=True)
    reference = getattr(torch.optim, theirs)([tensor], **their_arguments)
    for step, gradient in enumerate(gradients, 1):
        tensor.grad = torch.tensor(gradient)
        reference.step()
        update_of(optimizer, step, {**arrays, "gradient": gradient})
        np.testing.assert_allclose(parameters, tensor.detach().numpy(), rtol=1e-8, atol=1e-9)


@DTYPES
@pytest.mark.parametrize("size", [1, 8, SIZE])
def test_norms(size, dtype):
    values = np.random.default_rng(2).standard_normal(size).astype(dtype)
    squares, factor = np.full(1, 3.0), np.empty(1, dtype)
    training.sum_of_squares(values, squares, True)
    wanted = (values.astype(float) ** 2).sum()
    np.testing.assert_allclose(squares, 3 + wanted, rtol=TOLERANCE[dtype])
    training.sum_of_squares(values, squares, False)
    np.testing.assert_allclose(squares, wanted, rtol=TOLERANCE[dtype])
    for limit in (0.5, 100.0):
        training.limit_norm(squares, factor, limit)
        np.testing.assert_allclose(factor, min(1, limit / np.sqrt(wanted)), rtol=TOLERANCE[dtype])
        clipped = values.copy()
        training.scale_by(clipped, factor)
        np.testing.assert_array_equal(clipped, values * factor)
    kernels.decay_update(values, 0.1, 0.5)
    np.testing.assert_allclose((values.astype(float) ** 2).sum(), wanted * 0.95**2, rtol=10 * TOLERANCE[dtype])
    values[-1] = np.nan
    kernels.clip_update(values, 0.5)
    assert np.isnan(values[-1]) and (np.abs(values[:-1]) <= 0.5).all()


def test_no_parameters():
    empty = np.empty(0, np.float32)
    kernels.sgd_update(empty, empty, 0.1)
    kernels.sgd_momentum_update(empty, empty, empty, 0.1, 0.9, False)
    kernels.adam_update(empty, empty, empty, empty, 0.1, 0.9, 0.999, 1e-7, 1)


@pytest.mark.parametrize(
    ("kernel", "arrays", "scalars"),
    [
        (kernels.sgd_momentum_update, 3, (0.1, 0.9, True)),
        (kernels.adam_update, 4, (0.1, 0.9, 0.999, 1e-7, 1)),
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
    kernels.accumulate_update(gradient, accumulator, 0.25)
    np.testing.assert_allclose(accumulator, slot + 0.25 * gradient, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    kernels.moving_average_update(parameter, average, 0.9)
    np.testing.assert_allclose(average, 0.9 * slot + 0.1 * parameter, rtol=1e-5, atol=TOLERANCE[dtype])
    kernels.overwrite_update(parameter, average)
    np.testing.assert_array_equal(parameter, average)


@DTYPES
@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_pruned_elements(size, dtype):
    random = np.random.default_rng(3)
    parameter, mask = random.standard_normal(size).astype(dtype), random.random(size) < 0.5
    parameter[~mask] = np.nan  # whatever was computed
    kept = parameter[mask]
    kernels.prune_update(parameter, mask)
    np.testing.assert_array_equal(parameter[mask], kept)
    np.testing.assert_array_equal(parameter[~mask], 0)
