"""Losses and metrics against their definitions, central differences, PyTorch, and extremes."""

import naive.losses as naive
import numpy as np
import pytest
from naive.differences import gradient

from jitnet.kernels.cpu import losses, metrics

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = [(3, 5), (1, 1), (7, 2), (0, 3), (1, 101)]


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def probabilities(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape).astype(dtype)


def labels(shape):
    return np.random.default_rng(2).integers(0, shape[1], shape[0])


# name: (predictions, labels or targets, whether the forward pass also gives probabilities)
LOSSES = {
    "sparse_softmax_cross_entropy": (random, "labels", True),
    "softmax_cross_entropy": (random, "targets", True),
    "sparse_cross_entropy": (probabilities, "labels", False),
    "cross_entropy": (probabilities, "targets", False),
    "binary_cross_entropy": (probabilities, "targets", False),
    "binary_cross_entropy_with_logits": (random, "targets", False),
    "mean_squared_error": (random, "targets", False),
    "mean_absolute_error": (random, "targets", False),
}
NAMES = pytest.mark.parametrize("name", LOSSES)


def case(name, shape, dtype=np.float64):
    make, kind, _ = LOSSES[name]
    return make(shape, dtype), labels(shape) if kind == "labels" else probabilities(shape, dtype, seed=3)


def forward(name, predictions, truth):
    """values, and what the backward kernel reads in the predictions' place"""
    values = np.full(len(predictions), 7, predictions.dtype)
    saved = np.full_like(predictions, 7) if LOSSES[name][2] else predictions
    extra = (saved,) if LOSSES[name][2] else ()
    getattr(losses, f"{name}_forward")(predictions, truth, values, *extra)
    return values, saved


@NAMES
@DTYPES
def test_forward(name, dtype):
    for shape in SHAPES:
        predictions, truth = case(name, shape, dtype)
        values, saved = forward(name, predictions, truth)
        wide = truth if truth.dtype == np.int64 else truth.astype(float)
        if shape[0]:
            expected = getattr(naive, name)(predictions.astype(float), wide)
            np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        if LOSSES[name][2]:
            expected = np.exp(naive.log_softmax(predictions.astype(float)[:, :, None]))[:, :, 0]
            np.testing.assert_allclose(saved, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@NAMES
def test_backward(name):
    for shape in SHAPES:
        predictions, truth = case(name, shape)
        _, saved = forward(name, predictions, truth)
        dvalues = random(shape[0], seed=1)
        expected = gradient(lambda x: forward(name, x, truth)[0], predictions, dvalues)  # noqa: B023
        dx = np.full_like(predictions, 7)
        kernel = getattr(losses, f"{name}_backward")
        kernel(saved, truth, dvalues, dx, False)
        np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-8)
        kernel(saved, truth, dvalues, dx, True)
        np.testing.assert_allclose(dx, 2 * expected, rtol=1e-6, atol=1e-8)


def test_softmax_cross_entropy_with_targets_that_do_not_sum_to_one():
    logits, targets = random((3, 4)), np.array([[2.0, 1, 0, 0], [0, 0, 0, 0], [0.1, 0.2, 0.3, 0.1]])
    values, saved = forward("softmax_cross_entropy", logits, targets)
    np.testing.assert_allclose(values, naive.softmax_cross_entropy(logits, targets), rtol=1e-12, atol=1e-15)
    dx = np.empty_like(logits)
    losses.softmax_cross_entropy_backward(saved, targets, np.ones(3), dx, False)
    expected = gradient(lambda x: naive.softmax_cross_entropy(x, targets), logits, np.ones(3))
    np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-8)


@NAMES
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    predictions, truth = case(name, (7, 5), np.float32)
    x = torch.tensor(predictions, requires_grad=True)
    target = torch.tensor(truth)

    def normalised():
        return torch.log(x / x.sum(dim=1, keepdim=True))

    values_torch = {
        "sparse_softmax_cross_entropy": lambda: functional.cross_entropy(x, target, reduction="none"),
        "softmax_cross_entropy": lambda: functional.cross_entropy(x, target, reduction="none"),
        "sparse_cross_entropy": lambda: functional.nll_loss(normalised(), target, reduction="none"),
        "cross_entropy": lambda: -(target * normalised()).sum(dim=1),
        "binary_cross_entropy": lambda: functional.binary_cross_entropy(x, target, reduction="none").mean(dim=1),
        "binary_cross_entropy_with_logits": lambda: functional.binary_cross_entropy_with_logits(
            x, target, reduction="none"
        ).mean(dim=1),
        "mean_squared_error": lambda: functional.mse_loss(x, target, reduction="none").mean(dim=1),
        "mean_absolute_error": lambda: functional.l1_loss(x, target, reduction="none").mean(dim=1),
    }[name]()
    dvalues = random(7, np.float32, seed=1)
    values_torch.backward(torch.tensor(dvalues))
    values, saved = forward(name, predictions, truth)
    dx = np.empty_like(predictions)
    getattr(losses, f"{name}_backward")(saved, truth, dvalues, dx, False)
    np.testing.assert_allclose(values, values_torch.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=1e-4, atol=1e-6)


@DTYPES
def test_softmax_cross_entropy_of_extreme_logits(dtype):
    logits = np.array([[-300, 300, 300], [300, -300, 0], [1e30, 1e30, -np.inf], [np.nan, 0, 0]], dtype)
    truth = np.array([1, 1, 0, 1])
    expected = [np.log(2), 600, np.log(2), np.nan]
    values, saved = forward("sparse_softmax_cross_entropy", logits, truth)
    np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(saved[0], [0, 0.5, 0.5], atol=1e-30)
    values, _ = forward("softmax_cross_entropy", logits, naive.one_hot(truth, 3).astype(dtype))
    np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype])
    dx = np.empty_like(logits)
    losses.sparse_softmax_cross_entropy_backward(saved, truth, np.ones(4, dtype), dx, False)
    np.testing.assert_allclose(dx[:2], [[0, -0.5, 0.5], [1, -1, 0]], atol=1e-30)


@DTYPES
def test_binary_cross_entropy_of_extreme_logits(dtype):
    logits, targets = np.array([[300], [-300], [300], [-300]], dtype), np.array([[1], [1], [0], [0]], dtype)
    values, _ = forward("binary_cross_entropy_with_logits", logits, targets)
    np.testing.assert_allclose(values, [0, 300, 300, 0], atol=1e-30)
    # small losses keep their relative accuracy
    values, _ = forward("binary_cross_entropy_with_logits", logits / 15, targets)
    np.testing.assert_allclose(values[[0, 3]], np.log1p(np.exp(-20.0)), rtol=TOLERANCE[dtype])


@DTYPES
def test_cross_entropy_clips_as_keras(dtype):
    rows = np.array([[1, 0], [2, 6], [0.5, 0.5]], dtype)
    truth = np.array([1, 0, 0])
    expected = -np.log([1e-7, 0.25, 0.5])
    values, _ = forward("sparse_cross_entropy", rows, truth)
    np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype])
    values, _ = forward("cross_entropy", rows, naive.one_hot(truth, 2).astype(dtype))
    np.testing.assert_allclose(values, expected, rtol=TOLERANCE[dtype])
    # a clipped probability has no slope
    dx = np.full_like(rows, 7)
    losses.sparse_cross_entropy_backward(rows, truth, np.ones(3, dtype), dx, False)
    assert np.all(dx[0] == 0)
    assert np.all(np.isfinite(dx))
    # certain and wrong, certain and right
    certain, targets = np.array([[0], [1], [0], [1]], dtype), np.array([[1], [0], [0], [1]], dtype)
    values, _ = forward("binary_cross_entropy", certain, targets)
    expected = -np.log([1e-7, 1e-7, 1 - 1e-7, 1 - 1e-7])
    # float32 has no nearer neighbour of 1 - 1e-7 than 1 - 1.19e-7
    np.testing.assert_allclose(values, expected, rtol=0.2 if dtype == np.float32 else 1e-8)
    dx = np.empty_like(certain)
    losses.binary_cross_entropy_backward(certain, targets, np.ones(4, dtype), dx, False)
    assert np.all(dx == 0)


@pytest.mark.parametrize("name", ["sparse_softmax_cross_entropy", "sparse_cross_entropy"])
def test_labels_outside_the_classes_give_nan(name):
    values, _ = forward(name, probabilities((3, 4)), np.array([-1, 4, 3]))
    assert np.isnan(values).tolist() == [True, True, False]


@DTYPES
def test_metrics(dtype):
    for shape in ((1, 1), (7, 5), (13, 3)):
        predictions, truth = probabilities(shape, dtype), labels(shape)
        targets = naive.one_hot(truth, shape[1]).astype(dtype)
        values = np.full(shape[0], 7, dtype)
        metrics.sparse_categorical_accuracy(predictions, truth, values)
        np.testing.assert_array_equal(values, naive.sparse_categorical_accuracy(predictions, truth))
        metrics.categorical_accuracy(predictions, targets, values)
        np.testing.assert_array_equal(values, naive.categorical_accuracy(predictions, targets))
        metrics.binary_accuracy(predictions, targets, values, 0.4)
        np.testing.assert_allclose(values, naive.binary_accuracy(predictions, targets, 0.4), rtol=1e-6)
        for k in (1, 2, shape[1]):
            metrics.sparse_top_k_categorical_accuracy(predictions, truth, values, k)
            np.testing.assert_array_equal(values, naive.sparse_top_k_categorical_accuracy(predictions, truth, k))


def test_metrics_of_ties_and_nan():
    predictions = np.array([[1.0, 1, 0], [np.nan, 1, 2], [0, 1, np.nan]])
    values = np.empty(3)
    # as np.argmax: the first of a tie, the first NaN
    metrics.sparse_categorical_accuracy(predictions, np.array([0, 0, 2]), values)
    assert values.tolist() == [1, 1, 1]
    metrics.sparse_top_k_categorical_accuracy(predictions, np.array([1, 0, 9]), values, 1)
    assert values.tolist() == [1, 0, 0]


@DTYPES
def test_counts(dtype):
    for rows, columns in ((0, 2), (1, 1), (13, 3)):
        p, y = probabilities((rows, columns), dtype), np.round(probabilities((rows, columns), dtype, seed=1))
        thresholds, weights = np.array([0.3, 0.5, 0.8], dtype), probabilities(rows, dtype, seed=2)
        above = (p[..., None] > thresholds).sum(-1) + 4 * (y != 0).astype(int)
        expected = np.zeros((8, columns))
        for c in range(columns):
            np.add.at(expected[:, c], above[:, c], weights)
        counts, by_column = np.full((2, 4), 7, dtype), np.full((2, 4, columns), 7, dtype)
        metrics.threshold_counts(p, y, thresholds, weights, counts, True, 1, 0, 0, columns, False)
        np.testing.assert_allclose(counts.ravel(), expected.sum(1), rtol=1e-6)
        metrics.threshold_counts(p, y, thresholds, weights, by_column, True, 1, 0, 0, columns, True)
        np.testing.assert_allclose(by_column.reshape(8, columns), expected, rtol=1e-6)
        # the largest of each row alone, the last column alone, without weights
        largest = p == p.max(axis=1, keepdims=True)
        metrics.threshold_counts(p, y, thresholds, weights, counts, False, 1, 1, columns - 1, columns, False)
        found = np.where(largest, above, above // 4 * 4)[:, -1]
        np.testing.assert_array_equal(counts.ravel(), np.bincount(found, minlength=8))
        scores, classes = probabilities((rows, 4), dtype, seed=4), np.arange(rows).astype(dtype)[:, None] % 5 - 1
        matrix, wanted, predicted = np.full((3, 3), 7, dtype), classes.ravel().astype(int), scores.argmax(1)
        expected = np.zeros((3, 3))
        known = (wanted >= 0) & (wanted < 3) & (predicted < 3) & (wanted != 1)
        np.add.at(expected, (wanted[known], predicted[known]), weights[known])
        metrics.confusion_counts(scores, classes, weights, matrix, True, 3, 1)
        np.testing.assert_allclose(matrix, expected, rtol=1e-6)
        values, targets = np.full(rows, 7, dtype), probabilities((rows, 4), dtype, seed=5)
        metrics.top_k_categorical_accuracy(scores, targets, values, 2)
        np.testing.assert_array_equal(values, (np.argsort(-scores)[:, :2] == targets.argmax(1)[:, None]).any(1))


def emitted(path):
    """The labels that a path of classes means: repetitions once, blanks not."""
    return [int(c) for i, c in enumerate(path) if c and (i == 0 or c != path[i - 1])]


def ctc(logits, wanted):
    """-log of the probability of all paths that mean ``wanted``, one by one."""
    steps, classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    paths = np.array(np.meshgrid(*[range(classes)] * steps, indexing="ij")).reshape(steps, -1).T
    return -np.log(sum(p[range(steps), path].prod() for path in paths if emitted(path) == wanted))


def test_ctc():
    logits = random((5, 4, 3))
    words = np.array([[1, 2], [1, 1], [2, 0], [0, 0], [2, 1]])

    def forward(x):
        values, logs, alphas = np.full(5, 7.0), np.empty_like(x), np.empty((5, 4, 5))
        losses.ctc_forward(x, words, values, logs, alphas)
        return values, logs, alphas

    values, logs, alphas = forward(logits)
    expected = [ctc(x, [int(c) for c in word if c]) for x, word in zip(logits, words, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    dvalues, dx, betas = random(5, seed=1), np.full_like(logits, 7), np.empty((5, 5, 3))
    slopes = gradient(lambda x: forward(x)[0], logits, dvalues)
    losses.ctc_backward(logs, words, values, alphas, dvalues, dx, betas, False)
    np.testing.assert_allclose(dx, slopes, rtol=1e-6, atol=1e-8)
    losses.ctc_backward(logs, words, values, alphas, dvalues, dx, betas, True)
    np.testing.assert_allclose(dx, 2 * slopes, rtol=1e-6, atol=1e-8)


def test_circle():
    vectors = random((7, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds = np.array([0, 1, 0, 2, 1, 0, 3])

    def forward(x, diagonal):
        values, sums = np.full(7, 7.0), np.empty((7, 2))
        losses.circle_forward(x, kinds, values, sums, 4.0, 0.3, diagonal)
        return values, sums

    for diagonal in (True, False):
        values, sums = forward(vectors, diagonal)
        far = 1 - vectors @ vectors.T
        same = (kinds[:, None] == kinds) & ~(np.eye(7, dtype=bool) & diagonal)
        with np.errstate(divide="ignore"):
            near = np.log((np.exp(4 * (far + 0.3) * (far - 0.3)) * same).sum(1))
        apart = np.log((np.exp(4 * np.maximum(1.3 - far, 0) * (0.7 - far)) * (kinds[:, None] != kinds)).sum(1))
        np.testing.assert_allclose(values, np.log1p(np.exp(near + apart)), rtol=1e-11)
        dvalues, dx = random(7, seed=1), np.full_like(vectors, 7)
        losses.circle_backward(vectors, kinds, sums, dvalues, dx, 4.0, 0.3, diagonal, False)
        if diagonal:  # a vector's distance to itself is at a kink
            slopes = gradient(lambda x: forward(x, True)[0], vectors, dvalues)
            np.testing.assert_allclose(dx, slopes, rtol=1e-6, atol=1e-7)
        twice = dx.copy()
        losses.circle_backward(vectors, kinds, sums, dvalues, twice, 4.0, 0.3, diagonal, True)
        np.testing.assert_allclose(twice, 2 * dx, rtol=1e-12, atol=1e-12)
