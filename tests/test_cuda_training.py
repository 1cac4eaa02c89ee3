"""CUDA kernels of reductions, optimizers and training steps, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins, emulator
from naive import draw

from jitnet.kernels.cuda import _api, _steps
from jitnet.kernels.scalar import optimizers

DTYPE = np.float32
SAME = {"rtol": 0, "atol": 0}


def empty(*shape, dtype=DTYPE):
    return np.full(shape, 7, dtype)


# (outer, axis, inner); the last is shared by several blocks
SHAPES = [(3, 5, 1), (2, 1, 7), (1, 13, 35), (0, 4, 2), (2, 301, 1), (1, 900, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_reductions(shape):
    x, (outer, *sizes) = draw(*shape, dtype=DTYPE), shape
    y, dy = empty(outer, sizes[1]), draw(outer, sizes[1], dtype=DTYPE, seed=1)
    if x.size:
        assert_twins("reduction", "batch_max", x, empty(*sizes), unwritten=("y",), **SAME)
    for name in ("sum", "mean"):
        assert_twins("reduction", f"{name}_forward", x, y, *sizes, unwritten=("y",), rtol=1e-5, atol=1e-5)
        assert_twins("reduction", f"{name}_backward", dy, empty(*shape), *sizes, False, unwritten=("dx",))
        assert_twins("reduction", f"{name}_backward", dy, x, *sizes, True)
    x = np.round(x)  # several are the largest
    if x.size:
        x.reshape(-1)[-1] = np.nan
    assert_twins("reduction", "max_forward", x, y, *sizes, unwritten=("y",), **SAME)
    largest = x.max(axis=1)
    assert_twins("reduction", "max_backward", x, largest, dy, empty(*shape), *sizes, False, unwritten=("dx",), **SAME)
    assert_twins("reduction", "max_backward", x, largest, dy, draw(*shape, dtype=DTYPE), *sizes, True, **SAME)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", optimizers.UPDATES)
def test_updates(name, dtype):
    update = getattr(optimizers, name)
    size = {1: 37, 6: 40}  # one by one, and four at a time
    values = {"learning_rate": 0.01, "momentum": 0.9, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "factor": 0.5}
    values |= {"rho": 0.9, "weight_decay": 0.1, "clipvalue": 0.3, "beta": 0.2}
    if name == "ftrl":
        values |= {"learning_rate": 1.0, "learning_rate_power": -0.5 if dtype == np.float32 else -0.7}
    values |= dict.fromkeys(("l1_regularization_strength", "l2_regularization_strength"), 0.1)
    values |= {"l2_shrinkage_regularization_strength": 0.05}
    for step in (1, 6):
        arrays = [np.abs(draw(size[step], dtype=dtype, seed=seed)) for seed, _ in enumerate(optimizers.arrays(update))]
        if name == "prune":
            arrays[1] = arrays[1] < 0.5
        values |= {"t": step, "nesterov": float(step == 6)}
        given = [values[number] for number in optimizers.hyperparameters(update)]
        tolerance = 2e-6 if dtype == np.float32 else 1e-13
        assert_twins("optimizers", f"{name}_update", *arrays, *given, rtol=tolerance, atol=tolerance / 10)


def test_sums_over_chunks():
    counts = np.full(3, -1)
    assert_twins("training", "chunk_counts", counts, 7, 10, unwritten=("counts",))
    partials = draw(4, 5, 2, dtype=DTYPE)
    assert_twins("training", "sum_partials", partials, empty(5, 2), unwritten=("out",), **SAME)
    for begin, end in ((0, 10), (3, 7)):
        gradients = partials.reshape(4, -1)
        assert_twins("training", "sum_gradients", gradients, begin, empty(end - begin), unwritten=("out",), **SAME)


@pytest.mark.parametrize("size", [0, 1, 37, 4500])
def test_totals(size):
    values, weights = draw(size, dtype=DTYPE), draw(size, dtype=DTYPE, seed=1)
    out, results = np.full(1, np.nan), np.arange(3.0)
    tolerance = {"rtol": 1e-6, "atol": 1e-6}
    assert_twins("training", "total", values, out, unwritten=("out",), **tolerance)
    assert_twins("training", "weighted_total", values, weights, out, unwritten=("out",), **tolerance)
    assert_twins("training", "l1_l2_penalty", values, 0.1, 0.01, results, 1, 2.0, **tolerance)
    assert_twins("training", "sum_of_squares", values, out, False, unwritten=("out",), **tolerance)
    assert_twins("training", "sum_of_squares", values, np.ones(1), True, **tolerance)


def test_results():
    totals, results = draw(3, 1), np.arange(9.0)
    assert_twins("training", "add_result", totals, results, 1, 0.5, rtol=1e-14)
    assert_twins("training", "add_up", totals, empty(1), 0.25, unwritten=("out",))
    assert_twins("training", "add_numbers", draw(2, 3, dtype=DTYPE), results, 2, 4.0, rtol=1e-14)
    numbers = np.array([3.5, -1, np.nan, 9, np.inf], DTYPE)
    assert_twins("training", "keep_largest", numbers, np.array([9.0, 1, 0, 0, np.nan, -np.inf, 7]), 1, **SAME)
    assert_twins("training", "count_step", np.array([6]))


@pytest.mark.parametrize("accumulate", [False, True])
def test_gradients_of_sums(accumulate):
    weights, before, row = draw(37, dtype=DTYPE), draw(37, dtype=DTYPE, seed=1), draw(7, dtype=DTYPE)
    rows, total = draw(3, 7, dtype=DTYPE), np.array([3], DTYPE)

    def unwritten(*names):
        return () if accumulate else names

    assert_twins("training", "loss_gradient", weights, before, 0.3, accumulate, unwritten=unwritten("d_values"))
    assert_twins("training", "spread", total, before, 0.3, accumulate, unwritten=unwritten("dvalues"))
    assert_twins("training", "repeat", row, rows, 0.3, accumulate, unwritten=unwritten("rows"))


def test_scaling_and_penalties():
    parameter = np.array([1.5, -2.0, 0.0, 0.25, np.nan], DTYPE)
    assert_twins("training", "scale", draw(13, dtype=DTYPE), 0.3, **SAME)
    assert_twins("training", "scale_by", draw(13, dtype=DTYPE), np.array([0.3], DTYPE), **SAME)
    for squares in (0.0, 4.0):
        assert_twins("training", "limit_norm", np.array([squares]), empty(1), 0.5, unwritten=("factor",), **SAME)
    assert_twins("training", "l1_l2_gradient", parameter, np.ones_like(parameter), 0.1, 0.01)


@pytest.mark.parametrize("samples", [_steps._MOST_SAMPLES, 3], ids=["one_block", "many"])
def test_a_step_begins_with_its_numbers_and_samples(samples, monkeypatch):
    """Three replays: each has the next row of both tables, whoever counts."""
    monkeypatch.setattr(_steps, "_MOST_SAMPLES", samples)
    backend, (table, orders) = emulator(1), (np.arange(6).reshape(3, 2), np.arange(210).reshape(3, 70))
    given = backend.to_device(table.reshape(-1)), backend.to_device(orders.reshape(-1))
    counter, numbers, order = (backend.to_device(np.zeros(size, np.int64)) for size in (1, 2, 70))
    for step in range(3):
        with _api.using(backend):
            _steps.begin_step(*given, counter, numbers, order)
        np.testing.assert_array_equal(backend.to_host(numbers), table[step])
        np.testing.assert_array_equal(backend.to_host(order), orders[step])
    assert backend.to_host(counter) == [3]
