"""CUDA kernels of losses and metrics, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive import draw
from test_kernels_losses import LOSSES, case

from jitnet.kernels.cpu import losses

DTYPE = np.float32


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (0, 3), (2, 301)])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, shape):
    predictions, truth = case(name, shape, DTYPE)
    if shape[0] > 1 and truth.dtype == np.int64:
        truth[0] = shape[1]  # no class
    values, saved = np.full(shape[0], 7, DTYPE), np.full(shape, 7, DTYPE)
    tolerance = {"rtol": 1e-5, "atol": 2e-6}
    unwritten = ("values", "probabilities") if LOSSES[name][2] else ("values",)
    extra = (saved,) if LOSSES[name][2] else ()
    assert_twins("losses", f"{name}_forward", predictions, truth, values, *extra, unwritten=unwritten, **tolerance)
    dvalues, d = draw(shape[0], dtype=DTYPE), draw(*shape, dtype=DTYPE, seed=1)
    given = np.abs(predictions), truth, dvalues, d
    written = {"dlogits", "dprobabilities", "dpredictions"}
    assert_twins("losses", f"{name}_backward", *given, False, unwritten=written, **tolerance)
    assert_twins("losses", f"{name}_backward", *given, True, **tolerance)


def test_extreme_predictions():
    logits = np.array([[-300, 300, 300], [300, -300, 0], [1e30, 1e30, -np.inf], [np.nan, 0, 0]], DTYPE)
    labels, targets = np.array([1, 1, 0, 1]), np.eye(3, dtype=DTYPE)[[1, 1, 0, 1]]
    values, saved = np.full(4, 7, DTYPE), np.full((4, 3), 7, DTYPE)
    assert_twins("losses", "sparse_softmax_cross_entropy_forward", logits, labels, values, saved)
    assert_twins("losses", "softmax_cross_entropy_forward", logits, targets, values, saved)
    probabilities = np.array([[0, 1, 0.5], [1, 0, 1e-9]], DTYPE)
    targets = np.array([[0, 1, 1], [0, 1, 0]], DTYPE)
    for name in ("cross_entropy", "binary_cross_entropy"):
        arguments = probabilities, targets, values[:2].copy()
        assert_twins("losses", f"{name}_forward", *arguments, rtol=1e-5)
        d = np.full_like(targets, 7)
        assert_twins("losses", f"{name}_backward", probabilities, targets, np.ones(2, DTYPE), d, False, rtol=1e-5)


@pytest.mark.parametrize("classes", [1, 5, 301])
def test_metrics(classes):
    same = {"rtol": 0, "atol": 0, "unwritten": ("values",)}
    predictions = np.round(3 * draw(7, classes, dtype=DTYPE)) / 3  # several are the largest
    predictions[2, -1] = predictions[3, 0] = np.nan
    targets, values = np.round(draw(7, classes, dtype=DTYPE, seed=1)), np.full(7, 7, DTYPE)
    labels = predictions.argmax(axis=1)
    labels[:3] = 0, classes, -1
    assert_twins("metrics", "sparse_categorical_accuracy", predictions, labels, values, **same)
    assert_twins("metrics", "categorical_accuracy", predictions, targets, values, **same)
    assert_twins("metrics", "binary_accuracy", predictions, (targets > 0).astype(DTYPE), values, 0.3, **same)
    for k in (1, 3):
        assert_twins("metrics", "sparse_top_k_categorical_accuracy", predictions, labels, values, k, **same)
        assert_twins("metrics", "top_k_categorical_accuracy", predictions, targets, values, k, **same)


@pytest.mark.parametrize("rows, columns", [(0, 2), (1, 1), (5, 3), (70, 2)])
def test_counts(rows, columns):
    p = np.round(3 * draw(rows, columns, dtype=DTYPE)) / 3
    y = (draw(rows, columns, dtype=DTYPE, seed=1) > 0).astype(DTYPE)
    thresholds, last = np.array([-0.3, 0, 0.6], DTYPE), columns - 1
    same = {"rtol": 1e-6, "atol": 0, "unwritten": ("counts",)}
    for weights, of_rows in ((draw(rows, dtype=DTYPE), 1), (draw(rows * columns, dtype=DTYPE), columns)):
        given, counts = (p, y, thresholds, weights), np.full((2, 4), 7, DTYPE)
        assert_twins("metrics", "threshold_counts", *given, counts, True, of_rows, 0, 0, columns, False, **same)
    counts = np.full((2, 4, columns), 7, DTYPE)
    assert_twins("metrics", "threshold_counts", *given, counts, False, 1, 2, 0, columns, True, **same)
    counts = np.full((2, 4), 7, DTYPE)
    assert_twins("metrics", "threshold_counts", *given, counts, True, columns, 1, last, columns, False, **same)
    labels = np.round(2 * draw(rows, 1, dtype=DTYPE, seed=2))  # some are no class
    counts = np.full((4, 4), 7, DTYPE)
    assert_twins("metrics", "confusion_counts", p, labels, weights[:rows], counts, True, 4, 1, **same)
    assert_twins("metrics", "confusion_counts", labels, y, weights[:rows], counts, False, 4, -1, **same)


@pytest.mark.parametrize("steps, classes, length", [(1, 2, 1), (4, 3, 2), (3, 37, 40)])
def test_ctc(steps, classes, length):
    rows, states = 4, 2 * length + 1
    labels = np.random.default_rng(0).integers(0, classes, (rows, length))
    labels = np.where(np.arange(length) < np.array([[1], [0], [2], [steps]]), labels, 0)
    labels[3, 0] = classes  # no class
    logits = draw(rows, steps, classes, dtype=DTYPE)
    values, logs = np.zeros(rows, DTYPE), np.zeros_like(logits)
    alphas, betas = np.zeros((rows, steps, states), DTYPE), np.zeros((rows, states, 3), DTYPE)
    close = {"rtol": 1e-4, "atol": 1e-5}
    assert_twins("losses", "ctc_forward", logits, labels, values, logs, alphas, **close)
    losses.ctc_forward(logits, labels, values, logs, alphas)
    dvalues, d = draw(rows, dtype=DTYPE), draw(rows, steps, classes, dtype=DTYPE, seed=1)
    for accumulate in (False, True):
        given = logs, labels, values, alphas, dvalues, d
        assert_twins("losses", "ctc_backward", *given, betas, accumulate, **close)


@pytest.mark.parametrize("rows, features", [(1, 2), (5, 3), (37, 2)])
def test_circle(rows, features):
    embeddings = draw(rows, features, dtype=DTYPE)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = np.arange(rows) % 3
    values, sums = np.zeros(rows, DTYPE), np.zeros((rows, 2), DTYPE)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for numbers in ((5.0, 0.3, True), (1.0, 0.0, False)):
        assert_twins("losses", "circle_forward", embeddings, labels, values, sums, *numbers, **close)
        losses.circle_forward(embeddings, labels, values, sums, *numbers)
        given = embeddings, labels, sums, draw(rows, dtype=DTYPE, seed=2), draw(rows, features, dtype=DTYPE, seed=3)
        for accumulate in (False, True):
            assert_twins("losses", "circle_backward", *given, *numbers, accumulate, **close)
