"""CUDA kernels of losses and metrics, emulated, beside their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive import draw
from test_kernels_losses import LOSSES, case

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
