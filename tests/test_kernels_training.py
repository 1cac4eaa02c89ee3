"""What a training step needs around its layers, folded batch normalisation and a chain of pointwise functions: kernels
that otherwise only whole steps call."""

import numpy as np
import pytest
from naive import assert_close, draw

from jitnet.kernels.cpu import normalization, training
from jitnet.kernels.cpu.fast.pointwise import PointwiseKernel

DTYPE = np.float32


def test_counts_of_chunks():
    counts = np.zeros(3, np.int64)
    training.chunk_counts(counts, 7, 10)
    assert counts.tolist() == [20, 20, 30]


@pytest.mark.parametrize("chunks,size", [(1, 1), (4, 5), (3, 37)])
def test_sums_over_chunks_in_their_order(chunks, size):
    partials, out = draw(chunks, size, 2, dtype=DTYPE), np.full((size, 2), np.nan, DTYPE)
    training.sum_partials(partials, out)
    expected = partials[0].copy()
    for part in partials[1:]:
        expected += part
    np.testing.assert_array_equal(out, expected)
    gradients = partials.reshape(chunks, -1)
    for begin, end in ((0, 2 * size), (size // 2, size)):
        part = np.full(end - begin, np.nan, DTYPE)
        training.sum_gradients(gradients, begin, part)
        np.testing.assert_array_equal(part, expected.reshape(-1)[begin:end])


@pytest.mark.parametrize("size", [0, 1, 37])
def test_totals_and_the_gradient_of_a_mean(size):
    values, weights, out = draw(size, dtype=DTYPE), draw(size, dtype=DTYPE, seed=1), np.full(1, np.nan)
    training.total(values, out)
    assert out[0] == pytest.approx(values.astype(float).sum(), rel=1e-12, abs=1e-12)
    training.weighted_total(values, weights, out)
    assert out[0] == pytest.approx((values * weights).astype(float).sum(), rel=1e-6, abs=1e-6)
    results = np.array([1.0, 2.0, 3.0])
    training.add_result(np.array([[1.0], [2.0], [4.0]]), results, 1, 0.5)
    assert results.tolist() == [1.0, 5.5, 3.0]
    for accumulate in (False, True):
        gradient = draw(size, dtype=DTYPE, seed=2)
        expected = weights * DTYPE(0.25) + accumulate * gradient
        training.loss_gradient(weights, gradient, 0.25, accumulate)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_penalties():
    parameter = np.array([[1.5, -2.0, 0.0], [0.25, -0.5, 3.0]], DTYPE)
    results = np.array([7.0, 1.0])
    training.l1_l2_penalty(parameter, 0.1, 0.01, results, 1, 2.0)
    absolute, squares = np.abs(parameter).sum(), (parameter.astype(float) ** 2).sum()
    assert results == pytest.approx([7.0, 1.0 + 2 * (0.1 * absolute + 0.01 * squares)])
    gradient = np.ones_like(parameter)
    training.l1_l2_gradient(parameter, gradient, 0.1, 0.01)
    np.testing.assert_allclose(gradient, 1 + 0.1 * np.sign(parameter) + 0.02 * parameter, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 3, 2, 37)])
def test_folded_batch_normalisation(shape):
    kernel = draw(*shape, dtype=DTYPE)
    bias, mean, gamma, beta = (draw(shape[-1], dtype=DTYPE, seed=seed) for seed in range(1, 5))
    variance = np.abs(draw(shape[-1], dtype=DTYPE, seed=6))
    factor = gamma / np.sqrt(variance.astype(float) + 1e-3)
    for given in ((), (bias,)):
        folded, folded_bias = np.full_like(kernel, np.nan), np.full_like(mean, np.nan)
        fold = normalization.batch_norm_fold_bias if given else normalization.batch_norm_fold
        fold(kernel, *given, mean, variance, gamma, beta, 1e-3, folded, folded_bias)
        assert_close(folded, kernel * factor, 1e-5)
        assert_close(folded_bias, beta + (sum(given) - mean) * factor, 1e-5)


@pytest.mark.parametrize("size", [1, 7, 131])
def test_a_chain_of_pointwise_functions(size):
    statements = "out[i] = multiply(tanh(x[i]), add(y[i], one)) * factor", "second[i] = x[i] * out[i]"
    plan = PointwiseKernel(("add", "multiply", "tanh"), ("x", "y", "out", "second"), ("one",), ("factor",), statements)
    x, y, one = draw(size, dtype=DTYPE), draw(size, dtype=DTYPE, seed=1), np.full(1, 3, DTYPE)
    out, second = np.full((2, size), np.nan, DTYPE)
    plan.kernel()(x, y, out, second, one, 0.5)
    expected = np.tanh(x.astype(float)) * (y + 3) * 0.5
    assert_close(out, expected, 1e-6)
    assert_close(second, x * expected, 1e-6)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_chain_with_vectors_for_every_row(rows):
    statements = ("v1 = add(multiply(x[i], scale[j]), shift[j])", "out[i] = v1 * one")
    plan = PointwiseKernel(("add", "multiply"), ("x", "out"), ("one",), (), statements, ("scale", "shift"))
    x, (scale, shift), one = draw(rows, 33, dtype=DTYPE), draw(2, 33, dtype=DTYPE, seed=1), np.full(1, 3, DTYPE)
    out = np.full_like(x, np.nan)
    plan.kernel()(x, out, one, scale, shift)
    assert_close(out, 3.0 * (x.astype(float) * scale + shift), 1e-6)


@pytest.mark.parametrize("chunks", [1, 5])
def test_sums_over_the_batch_as_one_number(chunks):
    totals, out = draw(chunks, 1, dtype=np.float64), np.full(1, np.nan, DTYPE)
    training.add_up(totals, out, 0.25)
    assert out[0] == DTYPE(0.25 * sum(totals[:, 0].tolist()))


@pytest.mark.parametrize("size", [0, 1, 37])
@pytest.mark.parametrize("accumulate", [False, True])
def test_the_gradient_of_a_sum_of_everything(size, accumulate):
    before = draw(size, dtype=DTYPE)
    values = before.copy() if accumulate else np.full(size, np.nan, DTYPE)
    training.spread(np.array([3], DTYPE), values, 0.5, accumulate)
    np.testing.assert_array_equal(values, before + DTYPE(1.5) if accumulate else np.full(size, 1.5, DTYPE))


@pytest.mark.parametrize("rows,columns", [(1, 1), (3, 7), (16, 33)])
@pytest.mark.parametrize("accumulate", [False, True])
def test_the_gradient_of_a_sum_of_rows(rows, columns, accumulate):
    row, before = draw(columns, dtype=DTYPE), draw(rows, columns, dtype=DTYPE, seed=1)
    out = before.copy() if accumulate else np.full((rows, columns), np.nan, DTYPE)
    training.repeat(row, out, 0.5, accumulate)
    expected = np.broadcast_to(row * DTYPE(0.5), (rows, columns)) + (before if accumulate else 0)
    assert_close(out, expected, 1e-6)


def test_scaled_values():
    values = draw(13, dtype=DTYPE)
    expected = values * DTYPE(0.3)
    training.scale(values, 0.3)
    np.testing.assert_array_equal(values, expected)


def test_numbers_are_added_to_results():
    numbers, results = draw(2, 3, dtype=DTYPE), np.arange(9.0)
    training.add_numbers(numbers, results, 2, 4.0)
    expected = np.arange(9.0)
    expected[2:8] += 4.0 * numbers.reshape(-1).astype(float)
    np.testing.assert_allclose(results, expected, rtol=1e-12)


def test_the_largest_results_are_kept():
    results = np.array([9.0, 1, 0, 0, np.nan, -np.inf, 7])
    training.keep_largest(np.array([[3.5, -1], [np.nan, 9], [-5, 7]], DTYPE), results[:], 1)
    np.testing.assert_array_equal(results, [9, 3.5, 0, np.nan, np.nan, -5, 7])


def test_steps_are_counted():
    iterations = np.array([6])
    training.count_step(iterations)
    assert iterations.tolist() == [7]
