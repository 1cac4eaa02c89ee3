"""Losses and metrics on arrays and within models, against NumPy and PyTorch."""

import math

import numpy as np
import pytest

import jitnet
from jitnet import layers, losses, metrics, ops, optimizers

ROWS, CLASSES = 7, 3
EPSILON = 1e-7  # how near probabilities come to 0 and 1, as in Keras

GENERATOR = np.random.default_rng(2)
LOGITS = GENERATOR.normal(size=(ROWS, CLASSES)) * 2
LABELS = GENERATOR.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[LABELS]
SOFT = GENERATOR.dirichlet(np.ones(CLASSES), ROWS)
BINARY = GENERATOR.integers(0, 2, (ROWS, CLASSES)).astype("float64")
WEIGHTS = GENERATOR.uniform(0.5, 2, ROWS)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def cross_entropy(t, p):
    return -(t * np.log(np.clip(p, EPSILON, 1 - EPSILON))).sum(axis=-1)


def binary_cross_entropy(t, p):
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis=-1)


def smoothed(t, amount, classes):
    return t * (1 - amount) + amount / classes


SPARSE, CATEGORICAL = losses.SparseCategoricalCrossentropy, losses.CategoricalCrossentropy
BINARY_LOSS, SQUARED, ABSOLUTE = losses.BinaryCrossentropy, losses.MeanSquaredError, losses.MeanAbsoluteError

# constructor and arguments, targets, predictions, values by NumPy
CASES = {
    "sparse": (SPARSE, {}, LABELS, softmax(LOGITS), cross_entropy(ONE_HOT, softmax(LOGITS))),
    "sparse logits": (SPARSE, {"from_logits": True}, LABELS, LOGITS, -log_softmax(LOGITS)[np.arange(ROWS), LABELS]),
    "sparse column": (SPARSE, {}, LABELS[:, None], SOFT, cross_entropy(ONE_HOT, SOFT)),
    "categorical": (CATEGORICAL, {}, SOFT, softmax(LOGITS), cross_entropy(SOFT, softmax(LOGITS))),
    "categorical logits": (CATEGORICAL, {"from_logits": True}, SOFT, LOGITS, -(SOFT * log_softmax(LOGITS)).sum(axis=1)),
    "categorical smoothed": (
        CATEGORICAL,
        {"label_smoothing": 0.2},
        ONE_HOT,
        SOFT,
        cross_entropy(smoothed(ONE_HOT, 0.2, CLASSES), SOFT),
    ),
    "categorical smoothed logits": (
        CATEGORICAL,
        {"label_smoothing": 0.2, "from_logits": True},
        ONE_HOT,
        LOGITS,
        -(smoothed(ONE_HOT, 0.2, CLASSES) * log_softmax(LOGITS)).sum(axis=1),
    ),
    "binary": (BINARY_LOSS, {}, BINARY, sigmoid(LOGITS), binary_cross_entropy(BINARY, sigmoid(LOGITS))),
    "binary logits": (
        BINARY_LOSS,
        {"from_logits": True},
        BINARY,
        LOGITS,
        binary_cross_entropy(BINARY, sigmoid(LOGITS)),
    ),
    "binary smoothed": (
        BINARY_LOSS,
        {"label_smoothing": 0.1},
        BINARY,
        sigmoid(LOGITS),
        binary_cross_entropy(smoothed(BINARY, 0.1, 2), sigmoid(LOGITS)),
    ),
    "squared": (SQUARED, {}, SOFT, LOGITS, ((SOFT - LOGITS) ** 2).mean(axis=1)),
    "absolute": (ABSOLUTE, {}, SOFT, LOGITS, np.abs(SOFT - LOGITS).mean(axis=1)),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_on_arrays(name):
    make, arguments, y_true, y_pred, values = CASES[name]
    y_pred = y_pred.astype("float32")
    assert make(**arguments)(y_true, y_pred) == pytest.approx(values.mean(), rel=2e-5)
    assert make(**arguments, reduction="sum")(y_true, y_pred) == pytest.approx(values.sum(), rel=2e-5)
    weighted = make(**arguments)(y_true, y_pred, sample_weight=WEIGHTS)
    assert weighted == pytest.approx((values * WEIGHTS).mean(), rel=2e-5)
    copy = losses.deserialize(losses.serialize(make(**arguments, name="mine")))
    assert type(copy) is make and copy.get_config() == make(**arguments, name="mine").get_config()


def torch_values(torch, name, y_true, y_pred):
    f = torch.nn.functional
    kind, logits = name.split()[0], "logits" in name
    t, p = torch.tensor(y_true), y_pred
    if kind == "sparse":
        return f.cross_entropy(p, t.reshape(-1)) if logits else f.nll_loss(p.log(), t.reshape(-1))
    if kind == "categorical":
        smoothing = 0.2 if "smoothed" in name else 0.0
        return f.cross_entropy(p if logits else p.log(), t, label_smoothing=smoothing)
    if kind == "binary":
        t = t * 0.9 + 0.05 if "smoothed" in name else t
        return f.binary_cross_entropy_with_logits(p, t) if logits else f.binary_cross_entropy(p, t)
    return f.mse_loss(p, t) if kind == "squared" else f.l1_loss(p, t)


def identity_model(loss, columns=CLASSES, activation=None, **arguments):
    """A model whose predictions are its inputs; after a step of SGD(1) the bias is minus the loss's gradient."""
    model = jitnet.Sequential(
        [jitnet.Input((columns,), name="z"), layers.Dense(columns, activation, name="dense")], name="identity"
    )
    model.set_weights([np.eye(columns), np.zeros(columns)])
    model.compile(optimizers.SGD(1.0), loss, **arguments)
    return model


@pytest.mark.parametrize("name", CASES)
def test_losses_within_a_model(name):
    """The value, and the gradient of the predictions summed over the samples."""
    torch = pytest.importorskip("torch")
    jitnet.set_floatx("float64")
    make, arguments, y_true, y_pred, values = CASES[name]
    prediction = torch.tensor(y_pred, requires_grad=True)
    theirs = torch_values(torch, name, y_true, prediction)
    theirs.backward()
    gradient = prediction.grad.numpy()
    if name.split()[0] in ("sparse", "categorical") and "logits" not in name:
        # jitnet, as Keras, divides probabilities by their sum, PyTorch does not
        gradient = gradient - (gradient * y_pred).sum(axis=1, keepdims=True)
    model = identity_model(make(**arguments))
    assert model.train_on_batch(y_pred, y_true) == pytest.approx(values.mean(), rel=1e-11)
    assert theirs.item() == pytest.approx(values.mean(), rel=1e-6)  # 1e-6: PyTorch does not clip
    np.testing.assert_allclose(model.get_weights()[1], -gradient.sum(axis=0), rtol=1e-5, atol=1e-12)


def test_the_sum_over_the_batch_in_fit():
    # 7 samples in batches of 4 and 3: what is reported is the mean over the samples of the batches' sums, as in Keras
    values = CASES["squared"][4]
    model = identity_model(losses.MeanSquaredError(reduction="sum"))
    expected = (4 * values[:4].sum() + 3 * values[4:].sum()) / ROWS
    assert model.evaluate(LOGITS, SOFT, batch_size=4, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.train_on_batch(LOGITS, SOFT)
    np.testing.assert_allclose(model.get_weights()[1], -(2 / CLASSES * (LOGITS - SOFT)).sum(axis=0), rtol=1e-5)


def test_one_value_per_position():
    """Predictions (batch, 2, classes): the loss is the mean over the positions too."""
    x = np.stack([LOGITS, LOGITS[::-1]], axis=1).astype("float32")
    y = np.stack([LABELS, LABELS[::-1]], axis=1)
    values = -log_softmax(LOGITS)[np.arange(ROWS), LABELS]
    model = jitnet.Sequential([jitnet.Input((2, CLASSES)), layers.Dense(CLASSES)])
    model.set_weights([np.eye(CLASSES), np.zeros(CLASSES)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert loss == pytest.approx(values.mean(), rel=1e-5)
    assert accuracy == pytest.approx((LOGITS.argmax(axis=1) == LABELS).mean(), rel=1e-6)


# ---- extremes


def test_extreme_logits():
    logits = np.array([[1e4, -1e4, 0.0]], "float32")
    for loss, right, wrong in (
        (losses.SparseCategoricalCrossentropy(from_logits=True), [0], [1]),
        (losses.CategoricalCrossentropy(from_logits=True), [[1.0, 0, 0]], [[0, 1.0, 0]]),
    ):
        assert loss(np.array(right), logits) == 0.0
        assert loss(np.array(wrong), logits) == 2e4
    binary = losses.BinaryCrossentropy(from_logits=True)
    assert binary(np.array([[1.0, 0.0]]), logits[:, :2]) == 0.0
    assert binary(np.array([[0.0, 1.0]]), logits[:, :2]) == 1e4


def test_extreme_logits_in_a_model():
    """A confident, wrong softmax has the full gradient, where probabilities alone would be clipped to none."""
    x = np.array([[1e4, -1e4, 0.0]], "float32")
    model = identity_model("sparse_categorical_crossentropy", activation="softmax")
    assert model.train_on_batch(x, np.array([1])) == 2e4
    np.testing.assert_array_equal(model.get_weights()[1], [-1, 1, 0])
    model = identity_model("binary_crossentropy", activation="sigmoid")
    assert model.train_on_batch(x, np.array([[0.0, 1.0, 1.0]])) == pytest.approx((2e4 + math.log(2)) / 3, rel=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], [-1 / 3, 1 / 3, 1 / 6], rtol=1e-6)


def test_probabilities_of_0_and_1():
    p = np.array([[1.0, 0.0]], "float32")
    smallest, largest = -math.log1p(-EPSILON), -math.log(EPSILON)
    for loss, right, wrong in (
        (losses.SparseCategoricalCrossentropy(), [0], [1]),
        (losses.CategoricalCrossentropy(), [[1.0, 0]], [[0, 1.0]]),
        (losses.BinaryCrossentropy(), [[1.0, 0]], [[0, 1.0]]),
    ):
        assert loss(np.array(right), p) == pytest.approx(smallest, abs=3e-8)
        # the nearest float32 below 1 is 6e-8 away from it, so 1 - p is not exactly 1e-7
        assert loss(np.array(wrong), p) == pytest.approx(largest, rel=0.02)


# ---- softmax and cross-entropy together


@pytest.mark.parametrize(
    "loss, activation, kernel",
    [
        ("sparse_categorical_crossentropy", "softmax", "sparse_softmax_cross_entropy"),
        ("categorical_crossentropy", "softmax", "softmax_cross_entropy"),
        ("binary_crossentropy", "sigmoid", "binary_cross_entropy_with_logits"),
    ],
)
def test_an_activation_before_its_loss_is_computed_from_logits(loss, activation, kernel):
    jitnet.set_floatx("float64")
    y = LABELS if loss.startswith("sparse") else BINARY if activation == "sigmoid" else ONE_HOT
    fused = identity_model(loss, activation=activation)
    source = fused.step_source()
    for direction in ("forward", "backward"):
        assert f"{kernel}_{direction}(" in source
    derivative = {"softmax": "softmax_backward(", "sigmoid": "_sigmoid_derivative("}[activation]
    assert derivative not in source
    # the composition: softmax, then a loss of probabilities that cannot see where they come from
    parted = identity_model(lambda t, p: losses.get(loss).call(t, p * 1.0), activation=activation)
    parted.loss.sparse = loss.startswith("sparse")
    assert derivative in parted.step_source() and kernel not in parted.step_source()
    assert fused.train_on_batch(LOGITS, y) == pytest.approx(parted.train_on_batch(LOGITS, y), rel=1e-9)
    for ours, theirs in zip(fused.get_weights(), parted.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_softmax_over_another_axis_stays_as_it_is():
    model = jitnet.Sequential([jitnet.Input((2, CLASSES)), layers.Softmax(axis=1)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert "sparse_cross_entropy_forward(" in model.step_source("evaluate")


# ---- the users' own


def test_a_function_as_loss_and_as_metric():
    def huber(y_true, y_pred):
        error = ops.absolute(y_true - y_pred)
        small = ops.minimum(error, 1.0)
        return 0.5 * ops.square(small) + (error - small)

    def largest_error(y_true, y_pred):
        return ops.max(ops.absolute(y_true - y_pred), axis=-1)

    error = np.abs(SOFT - LOGITS)
    values = np.where(error < 1, 0.5 * error**2, error - 0.5)
    model = identity_model(huber, metrics=[largest_error, "mse"])
    found = model.train_on_batch(LOGITS, SOFT, return_dict=True)
    expected = [values.mean(), error.max(axis=1).mean(), (error**2).mean()]
    assert list(found) == ["loss", "largest_error", "mse"]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-5)
    gradient = np.clip(LOGITS - SOFT, -1, 1).sum(axis=0) / CLASSES / ROWS
    np.testing.assert_allclose(model.get_weights()[1], -gradient, rtol=1e-4, atol=1e-7)


def test_subclasses():
    class Shifted(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(ops.square(y_true - y_pred - 1.0), axis=-1)

    class Largest(metrics.Metric):
        def values(self, y_true, y_pred):
            return ops.max(y_pred, axis=-1)

    values = ((SOFT - LOGITS - 1) ** 2).mean(axis=1)
    assert Shifted().name == "shifted"
    assert Shifted()(SOFT, LOGITS) == pytest.approx(values.mean(), rel=1e-6)
    model = identity_model(Shifted(), metrics=[Largest(name="top")])
    found = model.evaluate(LOGITS, SOFT, verbose=0, return_dict=True)
    assert found == pytest.approx({"loss": values.mean(), "top": LOGITS.max(axis=1).mean()}, rel=1e-5)
    with pytest.raises(TypeError, match="Loss lacks a call method"):
        losses.Loss()(SOFT, LOGITS)


# ---- metrics

SCORES = softmax(LOGITS)
TOP2 = [LABELS[i] in np.argsort(-LOGITS[i])[:2] for i in range(ROWS)]
METRICS = {
    "sparse_categorical_accuracy": ({}, LABELS, SCORES, SCORES.argmax(axis=1) == LABELS),
    "sparse_top_k_categorical_accuracy": ({"k": 2}, LABELS, SCORES, TOP2),
    "categorical_accuracy": ({}, SOFT, SCORES, SCORES.argmax(axis=1) == SOFT.argmax(axis=1)),
    "binary_accuracy": ({"threshold": 0.3}, BINARY, SCORES, ((SCORES > 0.3) == BINARY).mean(axis=1)),
    "mean_squared_error": ({}, SOFT, LOGITS, ((SOFT - LOGITS) ** 2).mean(axis=1)),
    "mean_absolute_error": ({}, SOFT, LOGITS, np.abs(SOFT - LOGITS).mean(axis=1)),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_on_arrays(name):
    arguments, y_true, y_pred, values = METRICS[name]
    values, y_pred = np.asarray(values, "float64"), y_pred.astype("float32")
    metric = metrics.KNOWN[name](**arguments)
    assert metric.name == name and metric.result() == 0.0
    metric.update_state(y_true[:4], y_pred[:4])
    assert metric.result() == pytest.approx(values[:4].mean(), rel=1e-6)
    metric.update_state(y_true[4:], y_pred[4:])
    assert metric.result() == pytest.approx(values.mean(), rel=1e-6)
    metric.reset_state()
    assert metric.result() == 0.0
    expected = (values * WEIGHTS).sum() / WEIGHTS.sum()
    assert metric(y_true, y_pred, sample_weight=WEIGHTS) == pytest.approx(expected, rel=1e-5)
    copy = metrics.get(metrics.serialize(metric))
    assert type(copy) is type(metric) and copy.get_config() == metric.get_config()


@pytest.mark.parametrize("name", METRICS)
def test_metrics_within_a_model(name):
    arguments, y_true, y_pred, values = METRICS[name]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True) if y_true is LABELS else "mse"
    model = identity_model(loss, metrics=[metrics.KNOWN[name](**arguments, name="m")])
    found = model.evaluate(y_pred, y_true, batch_size=3, verbose=0, return_dict=True)
    assert found["m"] == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize(
    "loss, columns, expected",
    [
        ("sparse_categorical_crossentropy", 3, metrics.SparseCategoricalAccuracy),
        ("categorical_crossentropy", 3, metrics.CategoricalAccuracy),
        ("mse", 3, metrics.CategoricalAccuracy),
        ("binary_crossentropy", 3, metrics.BinaryAccuracy),
        ("binary_crossentropy", 1, metrics.BinaryAccuracy),
        ("mse", 1, metrics.BinaryAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_the_one_that_fits_the_loss(loss, columns, expected, name):
    metric = metrics.get(name, losses.get(loss), (None, columns))
    assert type(metric) is expected and metric.name == name


def test_names_and_aliases():
    for aliases in (("mse", "MSE", "mean_squared_error", "MeanSquaredError"), ("mae", "MAE", "mean_absolute_error")):
        assert len({type(losses.get(name)) for name in aliases}) == 1
    assert losses.get(losses.MeanSquaredError).name == "mean_squared_error"
    assert losses.get(None) is None
    as_metric = metrics.get("categorical_crossentropy")
    assert as_metric.name == "categorical_crossentropy"
    assert as_metric(SOFT, SCORES) == pytest.approx(cross_entropy(SOFT, SCORES).mean(), rel=1e-6)
    assert metrics.get(losses.MeanSquaredError(name="mine")).name == "mine"


def test_an_empty_batch():
    """Adds nothing to a metric, and is no error, as in Keras."""
    nothing = np.zeros((0, CLASSES), "float32")
    for loss in ("mse", "mae", "categorical_crossentropy", "binary_crossentropy", "huber", "kld"):
        assert losses.get(loss)(nothing, nothing) == 0
    for metric in (
        metrics.MeanSquaredError(), metrics.CategoricalAccuracy(), metrics.AUC(), metrics.Precision(),
        metrics.TopKCategoricalAccuracy(2), metrics.R2Score(), metrics.F1Score(),
    ):  # fmt: skip
        metric.update_state(ONE_HOT, SOFT)
        before = np.array(metric.result())
        metric.update_state(nothing, nothing)
        np.testing.assert_array_equal(metric.result(), before)
    mean = metrics.Mean()
    mean.update_state([1.0, 2.0])
    mean.update_state([])
    assert mean.result() == 1.5
