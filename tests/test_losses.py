"""Every loss against its formula in PyTorch: values, gradients, reductions, weights, extremes, and within models."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, losses, metrics, ops

torch = pytest.importorskip("torch")
ROWS, POSITIONS, CLASSES = 7, 3, 4
EPSILON = 1e-7

GENERATOR = np.random.default_rng(5)
SHAPE = (ROWS, POSITIONS, CLASSES)
LOGITS, NUMBERS = GENERATOR.normal(size=SHAPE) * 2, GENERATOR.normal(size=SHAPE)
LABELS = GENERATOR.integers(0, CLASSES, SHAPE[:-1])
ONE_HOT = np.eye(CLASSES)[LABELS]
BINARY = GENERATOR.integers(0, 2, SHAPE).astype(float)
SIGMOIDS = 1 / (1 + np.exp(-LOGITS))
SOFT = GENERATOR.dirichlet(np.ones(CLASSES), SHAPE[:-1])
RATES, COUNTS = np.abs(LOGITS) + 0.1, np.abs(NUMBERS) + 0.1
VECTORS = LOGITS[:, 0] / np.linalg.norm(LOGITS[:, 0], axis=1, keepdims=True)
OF_ROWS = np.array([0, 1, 0, 1, 2, 0, 3])
WORDS = np.array([[1, 2], [3, 3], [2, 0], [0, 0], [1, 3], [2, 2], [3, 1]])
SPOKEN = GENERATOR.normal(size=(ROWS, 5, CLASSES)) * 2
WEIGHTS = GENERATOR.uniform(0.5, 2, ROWS)

functional = torch.nn.functional


def clipped(p):
    return p.clamp(EPSILON, 1 - EPSILON)


def normalised(p, axis=-1):
    return clipped(p / p.sum(axis, keepdim=True))


def binary(t, p):
    return -(t * clipped(p).log() + (1 - t) * (1 - clipped(p)).log())


def focal(t, p, gamma=2.0):
    return (1 - (t * p + (1 - t) * (1 - p))) ** gamma * binary(t, p)


def huber(t, p, delta):
    error = (t - p).abs()
    return torch.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(-1)


def hinge(t, p):
    return (1 - (2 * t - 1) * p).clamp(min=0)


def dice(t, p, axis=()):
    return 1 - 2 * (t * p).sum(axis) / (t.sum(axis) + p.sum(axis) + EPSILON)


def tversky(t, p, alpha=0.5, beta=0.5, axis=()):
    o = (t * p).sum(axis)
    return 1 - o / (o + alpha * (t * (1 - p)).sum(axis) + beta * ((1 - t) * p).sum(axis) + EPSILON)


def cosine(t, p, axis=-1):
    return -(t * p).sum(axis) / (t.norm(dim=axis) * p.norm(dim=axis))


def of_label(t, x):
    return torch.gather(x, -1, t[..., None])[..., 0]


def circle(t, p, gamma=80.0, margin=0.4, diagonal=False):
    distance = (1 - p @ p.T).clamp(min=0)
    same = t[:, None] == t[None]
    near = same & (torch.eye(len(t)) == 0) if not diagonal else same
    positive = gamma * (distance + margin) * (distance - margin)
    negative = gamma * (1 + margin - distance).clamp(min=0) * (1 - margin - distance)
    sums = [torch.where(m, x, -torch.inf).logsumexp(1) for m, x in ((near, positive), (~same, negative))]
    return functional.softplus(sums[0] + sums[1])


def ctc(t, x):
    given = x.transpose(0, 1).log_softmax(-1), t, torch.full((len(x),), x.shape[1]), (t != 0).sum(1)
    return functional.ctc_loss(*given, blank=0, reduction="none")


def triplet(t, p):
    a, b, c = (p[:, i] for i in range(3))
    return ((a - b + 1e-6).norm(dim=-1) - (a - c + 1e-6).norm(dim=-1) + 0.7).clamp(min=0)


def percentage(t, p):
    return 100 * ((t - p).abs() / t.abs()).mean(-1)


# (class, arguments): targets, predictions, values
CASES = {
    "MeanSquaredError": ({}, NUMBERS, LOGITS, lambda t, p: ((t - p) ** 2).mean(-1)),
    "MeanAbsoluteError": ({}, NUMBERS, LOGITS, lambda t, p: (t - p).abs().mean(-1)),
    "MeanAbsolutePercentageError": ({}, NUMBERS, LOGITS, percentage),
    "MeanSquaredLogarithmicError": ({}, COUNTS, RATES, lambda t, p: ((1 + t).log() - (1 + p).log()).square().mean(-1)),
    "Huber": ({"delta": 0.6}, NUMBERS, LOGITS, lambda t, p: huber(t, p, 0.6)),
    "LogCosh": ({}, NUMBERS, LOGITS, lambda t, p: (t - p).cosh().log().mean(-1)),
    "CosineSimilarity": ({}, NUMBERS, LOGITS, cosine),
    "CosineSimilarity axis": ({"axis": 1}, NUMBERS, LOGITS, lambda t, p: cosine(t, p, 1)),
    "Poisson": ({}, COUNTS, RATES, lambda t, p: (p - t * (p + EPSILON).log()).mean(-1)),
    "KLDivergence": ({}, SOFT, SIGMOIDS, lambda t, p: (t * (t / p).log()).sum(-1)),
    "BinaryCrossentropy": ({}, BINARY, SIGMOIDS, lambda t, p: binary(t, p).mean(-1)),
    "BinaryCrossentropy axis": (
        {"axis": 1, "from_logits": True, "label_smoothing": 0.1}, BINARY, LOGITS,
        lambda t, x: binary(t * 0.9 + 0.05, x.sigmoid()).mean(1),
    ),
    "BinaryFocalCrossentropy": ({}, BINARY, SIGMOIDS, lambda t, p: focal(t, p).mean(-1)),
    "BinaryFocalCrossentropy logits": (
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 0.5, "from_logits": True, "axis": 1}, BINARY, LOGITS,
        lambda t, x: ((t * 0.3 + (1 - t) * 0.7) * focal(t, x.sigmoid(), 0.5)).mean(1),
    ),
    "CategoricalCrossentropy": ({}, ONE_HOT, SIGMOIDS, lambda t, p: -(t * normalised(p).log()).sum(-1)),
    "CategoricalCrossentropy axis": (
        {"axis": 1, "from_logits": True}, SOFT, LOGITS, lambda t, x: -(t * x.log_softmax(1)).sum(1)
    ),
    "CategoricalFocalCrossentropy": (
        {"alpha": [0.1, 0.2, 0.3, 0.4], "label_smoothing": 0.2}, ONE_HOT, SIGMOIDS,
        lambda t, p: -(
            torch.arange(1, 5).double() / 10 * (1 - normalised(p)) ** 2 * (t * 0.8 + 0.05) * normalised(p).log()
        ).sum(-1),
    ),
    "CategoricalFocalCrossentropy logits": (
        {"gamma": 0.5, "from_logits": True, "axis": 1}, ONE_HOT, LOGITS,
        lambda t, x: -(0.25 * (1 - x.softmax(1)) ** 0.5 * t * x.log_softmax(1)).sum(1),
    ),
    "SparseCategoricalCrossentropy": ({}, LABELS, SIGMOIDS, lambda t, p: -of_label(t, normalised(p).log())),
    "SparseCategoricalCrossentropy axis": (
        {"axis": 1, "from_logits": True}, LABELS[:, [0]] % POSITIONS * np.ones((1, CLASSES), int), LOGITS,
        lambda t, x: -of_label(t, x.log_softmax(1).movedim(1, -1)),
    ),
    "CategoricalGeneralizedCrossEntropy": ({"q": 0.7}, LABELS, SOFT, lambda t, p: (1 - of_label(t, p) ** 0.7) / 0.7),
    "Hinge": ({}, BINARY, LOGITS, lambda t, p: hinge(t, p).mean(-1)),
    "SquaredHinge": ({}, 2 * BINARY - 1, LOGITS, lambda t, p: hinge((t + 1) / 2, p).square().mean(-1)),
    "CategoricalHinge": (
        {}, ONE_HOT, LOGITS, lambda t, p: (1 + ((1 - t) * p).amax(-1) - (t * p).sum(-1)).clamp(min=0)
    ),
    "ContrastiveLoss": (
        {"margin": 1.5}, BINARY, RATES,
        lambda t, d: (t * d**2 + (1 - t) * (1.5 - d).clamp(min=0) ** 2).mean(-1),
    ),
    "TripletMarginLoss": ({"margin": 0.7}, np.zeros(ROWS), LOGITS, triplet),
    "Dice": ({}, BINARY, SIGMOIDS, dice),
    "Dice axis": ({"axis": (1, 2)}, BINARY, SIGMOIDS, lambda t, p: dice(t, p, (1, 2))),
    "Dice axes with the batch": ({"axis": (0, 1)}, BINARY, SIGMOIDS, lambda t, p: dice(t, p, (0, 1))),
    "Tversky": ({"alpha": 0.3, "beta": 0.6}, BINARY, SIGMOIDS, lambda t, p: tversky(t, p, 0.3, 0.6)),
    "Tversky axis": ({"axis": 2}, BINARY, SIGMOIDS, lambda t, p: tversky(t, p, axis=2)),
    "Circle": ({}, OF_ROWS, VECTORS, circle),
    "Circle with the diagonal": (
        {"gamma": 2.0, "margin": 0.2, "remove_diagonal": False}, OF_ROWS, VECTORS,
        lambda t, p: circle(t, p, 2.0, 0.2, True),
    ),
    "CTC": ({}, WORDS, SPOKEN, ctc),
}  # fmt: skip


def make(case, **arguments):
    return getattr(losses, case.split()[0])(**CASES[case][0], **arguments)


def theirs(name):
    """Targets, predictions, PyTorch's values and the prediction that has their gradient."""
    _, y_true, y_pred, formula = CASES[name]
    prediction = torch.tensor(y_pred, requires_grad=True)
    return y_true, y_pred, formula(torch.tensor(y_true), prediction), prediction


def counted(name, values):
    """1 for values of which the mean is taken."""
    return (values > 0).double() if name.startswith("Circle") else torch.ones_like(values)


def test_every_loss_has_a_formula():
    assert {getattr(losses, name.split()[0]) for name in CASES} == set(losses.KNOWN.values())
    for cls in losses.KNOWN.values():
        name = jitnet._registry.snake_case(cls.__name__)
        assert type(losses.get(getattr(losses, name))) is type(losses.get(name)) is cls


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_reductions(name):
    y_true, y_pred, values, prediction = theirs(name)
    function = getattr(losses, jitnet._registry.snake_case(name.split()[0]))
    np.testing.assert_allclose(function(y_true, y_pred, **CASES[name][0]), values.detach(), rtol=1e-9, atol=1e-12)
    mask = counted(name, values)
    batched = values.ndim > 0 and "batch" not in name
    weights = torch.tensor(WEIGHTS).reshape(-1, *[1] * (values.ndim - 1)) if batched else torch.tensor(1.0)
    weighted = values * weights * mask
    expected = {
        "sum_over_batch_size": weighted.sum() / mask.sum(),
        "sum": weighted.sum(),
        "mean_with_sample_weight": weighted.sum() / (weights * mask).sum(),
    }
    given = [np.asarray(weights).ravel()] if batched else []
    for reduction, loss in expected.items():
        mine = make(name, reduction=reduction)
        assert mine(y_true, y_pred, *given) == pytest.approx(loss.item(), rel=1e-9)
    assert make(name)(y_true, y_pred) == pytest.approx(((values * mask).sum() / mask.sum()).item(), rel=1e-9)
    assert make(name, reduction="none")(y_true, y_pred).shape == values.shape
    for reduction in ("sum", "mean_with_sample_weight") if batched else ("mean",):
        prediction.grad = None
        expected[reduction if batched else "sum_over_batch_size"].backward(retain_graph=True)
        mine = make(name, reduction=reduction)

        def loss_of(p, t, *weights, mine=mine):
            return mine(t, p, *weights)

        _, gradient = jitnet.value_and_grad(loss_of)(y_pred, y_true, *given)
        np.testing.assert_allclose(gradient, prediction.grad, rtol=1e-6, atol=1e-9)


def test_configurations():
    for name in CASES:
        loss = make(name, name="mine", reduction="sum")
        copy = losses.deserialize(losses.serialize(loss))
        assert type(copy) is type(loss) and copy.get_config() == loss.get_config()
        assert set(loss.get_config()) >= set(CASES[name][0])
    with pytest.raises(ValueError, match="Did you mean 'huber'"):
        losses.get("hubber")


FAR = np.array([[-1e4, 1e4, 0.0], [1e4, -1e4, 1e4]], np.float32)
SPREAD = {
    **{name: (np.float32([[1, 0, 0], [0, 0, 1]]), {"from_logits": True}) for name in (
        "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    )},
    "SparseCategoricalCrossentropy": (np.array([0, 1]), {"from_logits": True}),
    **{name: (np.float32([[1, 0, 2], [-3, 0, 1]]), {}) for name in (
        "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Huber",
        "LogCosh", "CosineSimilarity", "KLDivergence",
    )},
    **{name: (np.float32([[1, 0, 1], [0, 0, 1]]), {}) for name in (
        "Hinge", "SquaredHinge", "CategoricalHinge", "ContrastiveLoss", "Dice", "Tversky",
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", SPREAD)
def test_extremes(name):
    y, arguments = SPREAD[name]
    loss = getattr(losses, name)(**arguments)
    value, gradient = jitnet.value_and_grad(lambda p, t: loss(t, p))(FAR, y)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    zero = getattr(losses, name)(**arguments)
    value, gradient = jitnet.value_and_grad(lambda p, t: zero(t, p))(0 * FAR, y)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_focal_losses_stay_exact_where_probabilities_are_0_or_1():
    """Of logits, and of what comes from a softmax or sigmoid, which Keras clips at 16.1."""
    x, t = np.float32([[80.0, -80.0]]), np.float32([[0, 1]])
    assert losses.BinaryFocalCrossentropy(from_logits=True)(t, x) == pytest.approx(80.0)
    assert losses.CategoricalFocalCrossentropy(from_logits=True)(t, x) == pytest.approx(0.25 * 160)
    model = jitnet.Sequential([jitnet.Input((2,)), layers.Activation("sigmoid")])
    model.compile("sgd", losses.BinaryFocalCrossentropy())
    assert model.evaluate(x, t, verbose=0) == pytest.approx(80.0)


def test_ignored_classes():
    y, x = LABELS.copy(), LOGITS.astype("float32")
    y[:, 1], y[2] = 255, -1
    for label, truth in ((255, np.where(y < 0, 0, y)), (LABELS[0, 0], LABELS)):
        counts = truth != label
        loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=label)
        safe = np.where(counts, truth, 0)
        values = losses.sparse_categorical_crossentropy(safe, x, from_logits=True) * counts
        np.testing.assert_allclose(losses.SparseCategoricalCrossentropy(True, label, "none")(truth, x), values)
        assert loss(truth, x) == pytest.approx(values.sum() / counts.sum(), rel=1e-6)
        model = jitnet.Sequential([jitnet.Input((POSITIONS, CLASSES)), layers.Dense(CLASSES, name="dense")])
        model.set_weights([np.eye(CLASSES), np.zeros(CLASSES)])
        model.compile(jitnet.optimizers.SGD(1.0), loss)
        assert model.train_on_batch(x, truth) == pytest.approx(values.sum() / counts.sum(), rel=1e-5)
        p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        gradient = ((p - np.eye(CLASSES)[safe]) * counts[..., None]).sum((0, 1)) / counts.sum()
        np.testing.assert_allclose(model.get_weights()[1], -gradient, rtol=1e-4, atol=1e-6)
    nothing = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3)
    every = np.full((ROWS, POSITIONS), 3)
    assert nothing(every, x) == 0.0
    value, gradient = jitnet.value_and_grad(lambda p, t: nothing(t, p))(x, every)
    assert value == 0.0 and not gradient.any()


def network(loss, outputs=CLASSES, **arguments):
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential([jitnet.Input((POSITIONS, CLASSES)), layers.Dense(outputs, name="dense")], name="network")
    model.compile(jitnet.optimizers.SGD(0.1), loss, **arguments)
    return model


def test_weights_of_positions():
    x, y = LOGITS.astype("float32"), NUMBERS.astype("float32")
    weights = GENERATOR.uniform(0, 2, (ROWS, POSITIONS)).astype("float32")
    for reduction in ("mean", "mean_with_sample_weight", "sum"):
        model = network(losses.MeanSquaredError(reduction), weighted_metrics=["mae"], metrics=["mae"])
        p = model.predict(x, verbose=0)
        squares, errors = ((p - y) ** 2).mean(-1) * weights, np.abs(p - y).mean(-1)
        divisor = {"mean": squares.size, "sum": 1, "mean_with_sample_weight": weights.sum()}[reduction]
        found = model.test_on_batch(x, y, weights, return_dict=True)
        weighted = (errors * weights).sum() / weights.sum()
        assert list(found) == ["loss", "mae", "weighted_mae"]
        np.testing.assert_allclose(list(found.values()), [squares.sum() / divisor, errors.mean(), weighted], rtol=1e-5)
        before = model.get_weights()
        model.train_on_batch(x, y, weights)
        slope = 2 / CLASSES * ((p - y) * weights[..., None]).sum((0, 1))
        np.testing.assert_allclose(model.get_weights()[1], before[1] - 0.1 * slope / divisor, rtol=1e-3, atol=1e-6)
    # the columns of zeros might as well be absent
    model = network("mse")
    weights[:, 1] = 0
    model.fit(x, y, sample_weight=weights, epochs=2, batch_size=3, verbose=0, validation_data=(x, y, weights))
    with pytest.raises(ValueError, match=r"sample_weight expects shape \(None, 3\), or the first axes"):
        model.fit(x, y, sample_weight=np.ones((ROWS, 2)), verbose=0)
    with pytest.raises(ValueError, match=r"sample_weight expects shape \(7,\)"):
        model.fit(x, y, sample_weight=np.ones((6, 3)), verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("loss", ["circle", "dice", "ctc", "mean_with_sample_weight"])
def test_the_same_bits_from_any_number_of_threads(loss, jit_compile, monkeypatch):
    from jitnet.targets.cpu import thresholds

    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "ROWS_PER_CHUNK", 2)
    x = np.random.default_rng(0).normal(size=(23, POSITIONS, CLASSES)).astype("float32")
    y = {
        "circle": np.arange(23) % 3, "ctc": np.arange(23)[:, None] % 3 + 1,
        "dice": (x > 0).astype("float32"), "mean_with_sample_weight": x[:, ::-1],
    }[loss]  # fmt: skip
    found = []
    for threads in (1, 2):
        jitnet.set_num_threads(threads)
        jitnet.utils.set_random_seed(1)
        if loss == "circle":
            layer = [layers.Flatten(), layers.Dense(5, name="dense")]
        else:
            layer = [layers.Dense(CLASSES, "sigmoid" if loss == "dice" else None, name="dense")]
        model = jitnet.Sequential([jitnet.Input((POSITIONS, CLASSES)), *layer], name="network")
        chosen = losses.Circle(gamma=2.0) if loss == "circle" else loss
        if loss == "mean_with_sample_weight":
            chosen = losses.LogCosh(reduction=loss)
        model.compile(jitnet.optimizers.SGD(0.1), chosen, jit_compile=jit_compile)
        history = model.fit(x, y, batch_size=11, epochs=3, verbose=0, sample_weight=np.linspace(0.5, 1, 23)).history
        found.append((history["loss"], *model.get_weights()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][0][-1] < found[0][0][0]


def test_a_circle_of_a_whole_batch_in_a_model():
    """Every pair of the batch counts, however it is cut into chunks."""
    x = np.random.default_rng(1).normal(size=(40, CLASSES))
    model = jitnet.Sequential([jitnet.Input((CLASSES,)), layers.Dense(CLASSES, use_bias=False, name="dense")])
    model.compile(jitnet.optimizers.SGD(1.0), losses.Circle(gamma=3.0))
    start = model.get_weights()[0]
    y = np.arange(40) % 4
    loss = model.train_on_batch(x, y)
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    values = circle(torch.tensor(y), torch.tensor(x) @ w, 3.0)
    expected = (values * (values > 0)).sum() / (values > 0).sum()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    np.testing.assert_allclose(start - model.get_weights()[0], w.grad, rtol=1e-3, atol=1e-5)


def test_sequences_that_cannot_be_emitted():
    x = np.zeros((4, 3, CLASSES), np.float32)
    y = np.array([[1, 1, 1], [1, 2, 3], [0, 0, 0], [2, 2, 0]])
    values = losses.ctc(y, x)
    assert np.isinf(values[0]) and np.isfinite(values[1:]).all()
    np.testing.assert_allclose(values[1:], 3 * np.log(4), rtol=1e-6)  # one way of 4^3 each
    gradient = jitnet.value_and_grad(lambda p, t: losses.CTC()(t, p))(x, y)[1]
    assert np.isfinite(gradient).all() and not gradient[0].any() and gradient[1].any()
    far = jitnet.value_and_grad(lambda p, t: losses.CTC()(t, p))(1e4 * np.eye(4, dtype="float32")[y][:, :, :], y)
    assert np.isfinite(far[1]).all()


def test_lists_vectors_and_functions_of_the_users_own():
    assert losses.mean_squared_error([1.0, 2, 3], [1, 2, 5]) == pytest.approx(4 / 3)
    assert losses.MeanSquaredError()([1, 2, 3], [1, 2, 5]) == pytest.approx(4 / 3)
    np.testing.assert_allclose(losses.mean_absolute_error([[1, 2], [3, 4]], [[1, 4], [3, 4]]), [1, 0])
    assert losses.hinge([[0.0, 1]], [[0.5, 0.5]]) == pytest.approx([1.0])
    assert metrics.mean_absolute_percentage_error([[1.0]], [[3.0]]) == pytest.approx([200.0])
    x, y = LOGITS[:, 0].astype("float32"), NUMBERS[:, 0].astype("float32")
    model = jitnet.Sequential([jitnet.Input((CLASSES,)), layers.Dense(CLASSES)])
    model.compile("sgd", lambda t, p: ops.mean(ops.square(t - p)))  # a single number
    expected = ((model.predict(x, verbose=0) - y) ** 2).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)
    model.compile("sgd", losses.log_cosh, metrics=[losses.huber, "mape", "KLD"])
    assert isinstance(model.loss, losses.LogCosh)
    assert list(model.evaluate(x, y, verbose=0, return_dict=True)) == ["loss", "huber", "mape", "KLD"]


def test_bad_arguments():
    for call, message in (
        (lambda: losses.Huber(0), "delta to be above 0. Received: delta=0"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(1), "Received: q=1"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(0), "Received: q=0"),
        (lambda: losses.Dice(axis="x"), "Received: axis='x'"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "Received: gamma=-1"),
        (lambda: losses.Circle(margin=2), "Received: margin=2"),
        (lambda: losses.Hinge("average"), "Received: reduction='average'"),
        (lambda: losses.circle(OF_ROWS, VECTORS, OF_ROWS), "ref_labels and ref_embeddings must be None"),
        (lambda: losses.categorical_crossentropy(ONE_HOT, SOFT, axis=3), "Received: axis=3"),
        (lambda: losses.cosine_similarity(SOFT, SOFT, axis=0), "Received: axis=0"),
        (lambda: losses.dice(SOFT, SOFT, axis=(1, 5)), r"Received: axis=\[1, 5\]"),
        (lambda: losses.triplet_margin_loss(OF_ROWS, SPOKEN), r"Received: shape='\(None, 5, 4\)'"),
        (lambda: losses.ctc(WORDS, VECTORS), "ctc expects logits"),
        (lambda: losses.ctc(WORDS + 9, SPOKEN), "labels from 0 to 3"),
        (lambda: losses.categorical_focal_crossentropy(ONE_HOT, SOFT, alpha=[1, 2]), "one for each of 4 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
