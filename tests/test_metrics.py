"""Metrics streamed over batches, on arrays and in steps, against the whole set's by NumPy, and by scikit-learn."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, losses, metrics, ops

SAMPLES, CLASSES = 29, 4
GENERATOR = np.random.default_rng(11)
WEIGHTS = GENERATOR.uniform(0.2, 2, SAMPLES).astype("float32")
ONES = np.ones(SAMPLES)

BINARY = GENERATOR.integers(0, 2, (SAMPLES, 1)).astype("float32")
# a few scores, so that many are equal, none on a threshold of evenly spaced ones
SCORES = (GENERATOR.integers(0, 15, (SAMPLES, 1)) / 15.3 + 0.0371).astype("float32")
MANY = GENERATOR.integers(0, 2, (SAMPLES, CLASSES)).astype("float32")
OF_MANY = GENERATOR.random((SAMPLES, CLASSES)).astype("float32")
LABELS = GENERATOR.integers(0, CLASSES, SAMPLES)
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]
PREDICTED = GENERATOR.dirichlet(np.ones(CLASSES), SAMPLES).astype("float32")
NUMBERS = GENERATOR.normal(size=(SAMPLES, 3)).astype("float32")
GUESSES = (NUMBERS + 0.5 * GENERATOR.normal(size=NUMBERS.shape)).astype("float32")
MAP = GENERATOR.integers(0, 3, (SAMPLES, 5))
OF_MAP = GENERATOR.dirichlet(np.ones(3), (SAMPLES, 5)).astype("float32")


def counts(y, p, w, threshold):
    """tp, fp, tn, fn, of all elements"""
    w = np.broadcast_to(np.asarray(w, float)[:, None], y.shape)
    above, one = p > np.float32(threshold), y != 0
    return [w[mask].sum() for mask in (above & one, above & ~one, ~above & ~one, ~above & one)]


def rates(y, p, w, thresholds):
    tp, fp, tn, fn = np.array([counts(y, p, w, t) for t in thresholds]).T
    with np.errstate(invalid="ignore"):
        return {name: np.nan_to_num(x) for name, x in {
            "recall": tp / (tp + fn), "precision": tp / (tp + fp), "specificity": tn / (tn + fp), "fpr": fp / (fp + tn),
        }.items()}  # fmt: skip


def at(bounded, wanted, least, number=200):
    def best(y, p, w):
        found = rates(y, p, w, np.arange(number) / (number - 1))
        return max([0.0, *found[wanted][found[bounded] >= least]])

    return best


def rank_area(y, p, w):
    """The area under the ROC curve: how often a positive is above a negative, ties half."""
    y, p = y.ravel(), p.ravel()
    pairs = (y[:, None] > y[None]) * np.outer(w, w)
    wins = (p[:, None] > p[None]) + 0.5 * (p[:, None] == p[None])
    return (pairs * wins).sum() / pairs.sum()


def trapezia(y, p, w, thresholds, x, height):
    found = rates(y, p, w, thresholds)
    return ((found[x][:-1] - found[x][1:]) * (found[height][:-1] + found[height][1:]) / 2).sum()


def f_beta(average, beta=1.0, threshold=None):
    def score(y, p, w):
        found = p > threshold if threshold else p == p.max(axis=1, keepdims=True)
        tp, fp, _, fn = np.array([counts(y[:, [c]], found[:, [c]] + 0.0, w, 0.5) for c in range(y.shape[1])]).T
        if average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        scores = (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)
        if average == "weighted":
            return (scores * (tp + fn)).sum() / (tp + fn).sum()
        return scores if average is None else np.mean(scores)

    return score


def top(k, y, p):
    """p of which only the k largest of each row are left."""
    order = np.argsort(-p, axis=1, kind="stable").argsort(axis=1)
    return np.where(order < k, p, -1e10)


def r2(y, p, w, aggregate=np.mean):
    w = np.asarray(w, float)[:, None]
    y, p = y.astype(float), p.astype(float)
    mean = (w * y).sum(0) / w.sum(0)
    return aggregate(1 - (w * (y - p) ** 2).sum(0) / (w * (y - mean) ** 2).sum(0))


def mean_of(values):
    def mean(y, p, w):
        found = np.asarray(values(y.astype(float), p.astype(float)))
        found = found.reshape(len(found), -1).mean(axis=1)
        return (found * w).sum() / np.sum(w)

    return mean


def matrix(y, p, w):
    found = np.zeros((3, 3))
    np.add.at(found, (y, p.argmax(-1)), np.broadcast_to(np.asarray(w)[:, None], y.shape))
    return found


def iou(classes, without=None):
    def mean(y, p, w):
        found = matrix(y, p, w)
        if without is not None:
            found[without] = 0
        hits, unions = np.diag(found), found.sum(0) + found.sum(1) - np.diag(found)
        return np.mean([hits[c] / unions[c] for c in classes if unions[c]])

    return mean


def pearson(y, p):
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(y, p, strict=True)]


def concordance(y, p):
    norm = y.var(1) + p.var(1) + (y.mean(1) - p.mean(1)) ** 2
    return 2 * ((y - y.mean(1, keepdims=True)) * (p - p.mean(1, keepdims=True))).mean(1) / norm


def cosine(y, p):
    return (y * p).sum(1) / np.linalg.norm(y, axis=1) / np.linalg.norm(p, axis=1)


BETWEEN = (np.arange(14) + 0.5) / 15.3 + 0.0371  # all scores
GRID = [-1e-7, *(np.arange(1, 199) / 199), 1 + 1e-7]
M = metrics
# (targets, predictions, loss that takes them): [(metric, value of the whole set)]
GROUPS = {
    "binary": (BINARY, SCORES, "binary_crossentropy", [
        (lambda: M.TruePositives(), lambda *s: counts(*s, 0.5)[0]),
        (lambda: M.FalsePositives([0.7, 0.2]), lambda *s: [counts(*s, 0.7)[1], counts(*s, 0.2)[1]]),
        (lambda: M.TrueNegatives(0.3), lambda *s: counts(*s, 0.3)[2]),
        (lambda: M.FalseNegatives(), lambda *s: counts(*s, 0.5)[3]),
        (lambda: M.Precision(), lambda *s: rates(*s, [0.5])["precision"][0]),
        (lambda: M.Recall([0.6, 0.4]), lambda *s: rates(*s, [0.6, 0.4])["recall"]),
        (lambda: M.AUC(), lambda *s: trapezia(*s, GRID, "fpr", "recall")),
        (lambda: M.AUC(thresholds=BETWEEN.tolist()), rank_area),
        (lambda: M.SensitivityAtSpecificity(0.6), at("specificity", "recall", 0.6)),
        (lambda: M.SpecificityAtSensitivity(0.7, 50), at("recall", "specificity", 0.7, 50)),
        (lambda: M.PrecisionAtRecall(0.5), at("recall", "precision", 0.5)),
        (lambda: M.RecallAtPrecision(0.4), at("precision", "recall", 0.4)),
        (lambda: M.BinaryAccuracy(), mean_of(lambda y, p: (p > 0.5) == y)),
        (lambda: M.BinaryCrossentropy(), mean_of(lambda y, p: -np.log(np.where(y == 1, p, 1 - p)))),
    ]),
    "labels": (MANY, OF_MANY, "mse", [
        (lambda: M.Precision(top_k=2), lambda y, p, w: rates(y, top(2, y, p), w, [-1e10])["precision"][0]),
        (lambda: M.Recall(class_id=3), lambda y, p, w: rates(y[:, 3:], p[:, 3:], w, [0.5])["recall"][0]),
        (lambda: M.Precision(0.4, 3, 1), lambda y, p, w: rates(
            y[:, 1:2], top(3, y, p)[:, 1:2], w, [0.4])["precision"][0]),
        (lambda: M.AUC(multi_label=True), lambda y, p, w: np.mean([
            trapezia(y[:, [c]], p[:, [c]], w, GRID, "fpr", "recall") for c in range(CLASSES)])),
        (lambda: M.FBetaScore(None, 2.0, 0.4), f_beta(None, 2.0, 0.4)),
        (lambda: M.BinaryIoU([1], 0.3), lambda y, p, w: (
            (c := counts(y, p, w, 0.3)) and c[0] / (c[0] + c[1] + c[3]))),
        (lambda: M.Hinge(), mean_of(lambda y, p: np.maximum(1 - (2 * y - 1) * p, 0))),
        (lambda: M.SquaredHinge(), mean_of(lambda y, p: np.maximum(1 - (2 * y - 1) * p, 0) ** 2)),
    ]),
    "one hot": (ONE_HOT, PREDICTED, "categorical_crossentropy", [
        (lambda: M.F1Score(), f_beta(None)),
        (lambda: M.F1Score("macro"), f_beta("macro")),
        (lambda: M.F1Score("micro"), f_beta("micro")),
        (lambda: M.F1Score("weighted"), f_beta("weighted")),
        (lambda: M.CategoricalAccuracy(), mean_of(lambda y, p: y.argmax(1) == p.argmax(1))),
        (lambda: M.TopKCategoricalAccuracy(2), mean_of(lambda y, p: (top(2, y, p) * y).sum(1) > 0)),
        (lambda: M.CategoricalCrossentropy(), mean_of(lambda y, p: -(y * np.log(p)).sum(1))),
        (lambda: M.CategoricalHinge(), mean_of(
            lambda y, p: np.maximum(((1 - y) * p).max(1) - (y * p).sum(1) + 1, 0))),
        (lambda: M.KLDivergence(), mean_of(
            lambda y, p: (np.maximum(y, 1e-7) * np.log(np.maximum(y, 1e-7) / np.maximum(p, 1e-7))).sum(1))),
        (lambda: M.OneHotMeanIoU(CLASSES), lambda y, p, w: np.mean([
            (t := counts(y[:, [c]], (p == p.max(1, keepdims=True))[:, [c]] + 0.0, w, 0.5))[0] / (t[0] + t[1] + t[3])
            for c in range(CLASSES)])),
        (lambda: M.OneHotIoU(CLASSES, [2]), lambda y, p, w: (
            (t := counts(y[:, [2]], (p == p.max(1, keepdims=True))[:, [2]] + 0.0, w, 0.5))
            and t[0] / (t[0] + t[1] + t[3]))),
    ]),
    "sparse": (LABELS, PREDICTED, "sparse_categorical_crossentropy", [
        (lambda: M.SparseCategoricalAccuracy(), mean_of(lambda y, p: y == p.argmax(1))),
        (lambda: M.SparseTopKCategoricalAccuracy(2), mean_of(
            lambda y, p: np.take_along_axis(top(2, y, p), y[:, None].astype(int), 1)[:, 0] > 0)),
        (lambda: M.SparseCategoricalCrossentropy(), mean_of(
            lambda y, p: -np.log(np.take_along_axis(p, y[:, None].astype(int), 1)[:, 0]))),
    ]),
    "numbers": (NUMBERS, GUESSES, "mse", [
        (lambda: M.MeanSquaredError(), mean_of(lambda y, p: (y - p) ** 2)),
        (lambda: M.RootMeanSquaredError(), lambda y, p, w: mean_of(lambda y, p: (y - p) ** 2)(y, p, w) ** 0.5),
        (lambda: M.MeanAbsoluteError(), mean_of(lambda y, p: np.abs(y - p))),
        (lambda: M.MeanAbsolutePercentageError(), mean_of(lambda y, p: 100 * np.abs(y - p) / np.abs(y))),
        (lambda: M.MeanSquaredLogarithmicError(), mean_of(
            lambda y, p: (np.log1p(np.maximum(y, 1e-7)) - np.log1p(np.maximum(p, 1e-7))) ** 2)),
        (lambda: M.LogCoshError(), mean_of(lambda y, p: np.log(np.cosh(y - p)))),
        (lambda: M.CosineSimilarity(), mean_of(cosine)),
        (lambda: M.PearsonCorrelation(), mean_of(pearson)),
        (lambda: M.ConcordanceCorrelation(), mean_of(concordance)),
        (lambda: M.R2Score(), r2),
        (lambda: M.R2Score(None), lambda *s: r2(*s, list)),
        (lambda: M.Accuracy(), mean_of(lambda y, p: y == p)),
        (lambda: M.LossMetric(losses.Huber(0.3)), mean_of(
            lambda y, p: np.where(np.abs(y - p) < 0.3, (y - p) ** 2 / 2, 0.3 * (np.abs(y - p) - 0.15)))),
        (lambda: M.MeanMetricWrapper(losses.huber, "wrapped", delta=0.3), mean_of(
            lambda y, p: np.where(np.abs(y - p) < 0.3, (y - p) ** 2 / 2, 0.3 * (np.abs(y - p) - 0.15)))),
    ]),
    "counts": (np.abs(NUMBERS), np.abs(GUESSES) + 0.1, "mse", [
        (lambda: M.Poisson(), mean_of(lambda y, p: p - y * np.log(p))),
    ]),
    "maps": (MAP, OF_MAP, "sparse_categorical_crossentropy", [
        (lambda: M.ConfusionMatrix(3), matrix),
        (lambda: M.ConfusionMatrix(3, normalize="true"), lambda *s: matrix(*s) / matrix(*s).sum(1, keepdims=True)),
        (lambda: M.MeanIoU(3, sparse_y_pred=False), iou([0, 1, 2])),
        (lambda: M.IoU(3, [0, 2], ignore_class=1, sparse_y_pred=False), iou([0, 2], 1)),
    ]),
}  # fmt: skip


def test_every_metric_is_in_a_group():
    made = {type(make()) for *_, cases in GROUPS.values() for make, _ in cases}
    assert made == set(metrics.KNOWN.values()) - {metrics.Mean, metrics.Sum}


@pytest.mark.parametrize("group", GROUPS)
def test_on_arrays(group):
    y, p, _, cases = GROUPS[group]
    for make, whole in cases:
        for weights in (None, WEIGHTS):
            metric = make()
            assert not np.any(metric.result())  # nothing was seen
            for first in range(0, SAMPLES, 8):
                part = slice(first, first + 8)
                metric.update_state(y[part], p[part], None if weights is None else weights[part])
            expected = whole(y, p, ONES if weights is None else weights)
            np.testing.assert_allclose(metric.result(), expected, rtol=2e-5, atol=2e-6, err_msg=metric.name)
        metric.reset_state()
        assert not np.any(metric.result())
        np.testing.assert_allclose(metric(y, p), whole(y, p, ONES), rtol=2e-5, atol=2e-6)
        copy = metrics.get(metrics.serialize(metric))
        assert type(copy) is type(metric) and copy.get_config() == metric.get_config()


@pytest.mark.parametrize("group", GROUPS)
def test_in_steps(group):
    """As metrics and as weighted_metrics of one model, whose predictions are its inputs."""
    y, p, loss, cases = GROUPS[group]
    model = jitnet.Sequential([jitnet.Input(p.shape[1:]), layers.Activation("linear")])
    model.compile("sgd", loss, metrics=[make() for make, _ in cases], weighted_metrics=[make() for make, _ in cases])
    found = list(model.evaluate(p, y, batch_size=8, sample_weight=WEIGHTS, verbose=0, return_dict=True).values())[1:]
    expected = [whole(y, p, ONES) for _, whole in cases] + [whole(y, p, WEIGHTS) for _, whole in cases]
    for (make, _), value, right in zip(cases * 2, found, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=2e-5, atol=2e-6, err_msg=make().name)
    for name, value in zip(("one", "other"), found, strict=False):
        assert isinstance(value, float | np.ndarray), name
    # another epoch begins anew, and one that is not weighed has weights of 1
    again = list(model.evaluate(p, y, batch_size=5, verbose=0, return_dict=True).values())[1:]
    for value, right in zip(again, expected[: len(cases)] * 2, strict=True):
        np.testing.assert_allclose(value, right, rtol=2e-5, atol=2e-6)


def test_against_scikit_learn():
    sk = pytest.importorskip("sklearn.metrics")
    for w in (None, WEIGHTS):
        given = {"sample_weight": w}
        y, p = BINARY.ravel(), SCORES.ravel()
        pairs = [
            (M.AUC(thresholds=BETWEEN.tolist())(BINARY, SCORES, w), sk.roc_auc_score(y, p, **given)),
            (M.Precision()(BINARY, SCORES, w), sk.precision_score(y, p > 0.5, **given)),
            (M.Recall(0.3)(BINARY, SCORES, w), sk.recall_score(y, p > 0.3, **given)),
            (M.R2Score()(NUMBERS, GUESSES, w), sk.r2_score(NUMBERS, GUESSES, **given)),
            (M.R2Score(None)(NUMBERS, GUESSES, w), sk.r2_score(NUMBERS, GUESSES, multioutput="raw_values", **given)),
            (M.F1Score()(ONE_HOT, PREDICTED, w), sk.f1_score(LABELS, PREDICTED.argmax(1), average=None, **given)),
            (M.FBetaScore("weighted", 2.0)(ONE_HOT, PREDICTED, w), sk.fbeta_score(
                LABELS, PREDICTED.argmax(1), beta=2, average="weighted", **given)),
            (M.ConfusionMatrix(CLASSES)(LABELS, PREDICTED, w), sk.confusion_matrix(
                LABELS, PREDICTED.argmax(1), **given)),
            (M.OneHotMeanIoU(CLASSES)(ONE_HOT, PREDICTED, w), sk.jaccard_score(
                LABELS, PREDICTED.argmax(1), average="macro", **given)),
            (M.MeanSquaredLogarithmicError()(np.abs(NUMBERS), np.abs(GUESSES), w), sk.mean_squared_log_error(
                np.abs(NUMBERS), np.abs(GUESSES), **given)),
            (M.SparseTopKCategoricalAccuracy(2)(LABELS, PREDICTED, w), sk.top_k_accuracy_score(
                LABELS, PREDICTED, k=2, **given)),
        ]  # fmt: skip
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, rtol=1e-5)


AREAS = [(c, m) for c in ("ROC", "PR", "PRGAIN") for m in ("interpolation", "minoring", "majoring")]


def test_areas():
    """Bounds of each other, the area of Davis and Goadrich between, and all at 1 for what is perfectly ranked."""
    found = {pair: M.AUC(curve=pair[0], summation_method=pair[1])(BINARY, SCORES) for pair in AREAS}
    for curve in ("ROC", "PR"):
        low, middle, high = (found[curve, m] for m in ("minoring", "interpolation", "majoring"))
        assert low < middle < high
    np.testing.assert_allclose(found["ROC", "interpolation"], rank_area(BINARY, SCORES, ONES), rtol=1e-3)
    # (tp + fp) dx of precision with tp linear in it, summed in many small steps
    tp, fp, _, fn = np.array([counts(BINARY, SCORES, ONES, t) for t in GRID]).T
    area = 0.0
    for i in np.flatnonzero((np.diff(tp) != 0) & (tp[:-1] > 0)):
        steps = np.linspace(0, 1, 2001)
        t = tp[i + 1] + (steps[1:] + steps[:-1]) / 2 * (tp[i] - tp[i + 1])
        q = t + fp[i + 1] + (steps[1:] + steps[:-1]) / 2 * (fp[i] - fp[i + 1])
        area += (t / q).mean() * (tp[i] - tp[i + 1]) / (tp[0] + fn[0])
    np.testing.assert_allclose(found["PR", "interpolation"], area, rtol=1e-3)
    ranked = BINARY * 0.5 + 0.2
    assert M.AUC()(BINARY, ranked) == M.AUC(curve="PR")(BINARY, ranked) == pytest.approx(1.0, abs=1e-6)
    # gains by their definition, with the share of positives
    share, recall = (tp[0] + fn[0]) / len(BINARY), tp / (tp + fn)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = ((rate - share) / ((1 - share) * rate) for rate in (recall, tp / (tp + fp)))
    x, y = np.maximum(np.where(tp == 0, 0.0, x), 0.0), np.where(tp == 0, 1.0, y)
    area = ((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2).sum()
    assert found["PRGAIN", "interpolation"] == pytest.approx(area, rel=1e-4)
    assert M.AUC(from_logits=True)(BINARY, 8 * SCORES - 4) == pytest.approx(
        M.AUC()(BINARY, 1 / (1 + np.exp(4 - 8 * SCORES))), rel=1e-6
    )
    label_weights = [1.0, 2.0, 0.0, 1.0]
    areas = [trapezia(MANY[:, [c]], OF_MANY[:, [c]], ONES, GRID, "fpr", "recall") for c in range(CLASSES)]
    weighed = M.AUC(multi_label=True, num_labels=CLASSES, label_weights=label_weights)(MANY, OF_MANY)
    assert weighed == pytest.approx(np.average(areas, weights=label_weights), rel=1e-5)
    flat = np.repeat(np.arange(SAMPLES), CLASSES)
    elements = MANY.reshape(-1, 1), OF_MANY.reshape(-1, 1), np.tile(label_weights, SAMPLES) * WEIGHTS[flat]
    assert M.AUC(label_weights=label_weights)(MANY, OF_MANY, WEIGHTS) == pytest.approx(
        trapezia(*elements, GRID, "fpr", "recall"), rel=1e-5
    )


def test_means_and_sums():
    mean, total = metrics.Mean(), metrics.Sum()
    for metric in (mean, total):
        metric.update_state([1.0, 3.0])
        metric.update_state(8.0)
        metric.update_state([2.0, 4.0], sample_weight=[3, 1])
    assert mean.result() == pytest.approx((4 + 8 + 10) / 7) and (mean.total, mean.count) == (22.0, 7.0)
    assert total.result() == 22.0 and total([1.0]) == 23.0
    # rows of two: the mean over a row first, as in Keras
    assert metrics.Mean()([[1.0, 3.0], [5.0, 7.0]], [1, 3]) == pytest.approx((2 + 18) / 4)
    assert metrics.Mean()([[1.0, 3.0]], [[1, 3]]) == pytest.approx(10 / 4)


class LargeErrors(metrics.Metric):
    """Keras's way to write a metric: add_weight, assign, sample_weight."""

    def __init__(self, name="large_errors", **kwargs):
        super().__init__(name=name, **kwargs)
        self.found = self.add_weight(shape=(), initializer="zeros", name="found")
        self.start = self.add_variable((2,), "ones", name="start")

    def update_state(self, y_true, y_pred, sample_weight=None):
        large = ops.relu(ops.sign(ops.abs(y_true - y_pred) - 0.5))
        if sample_weight is not None:
            large = large * ops.reshape(sample_weight, (-1, 1))
        self.found.assign(self.found + ops.sum(large))
        self.start.assign_add(ops.sum(large, axis=0) * np.zeros(2))

    def result(self):
        return float(self.found) + self.start.numpy().sum()


class Tracked(jitnet.Model):
    def __init__(self, x, y, name):
        super().__init__(x, y, name=name)
        self._errors, self._mse, self._auc = LargeErrors(), metrics.MeanSquaredError(), metrics.AUC()
        self._sum = metrics.Sum()

    def test_step(self, data):
        x, y, weights = data
        p = self(x)
        for metric in (self._errors, self._mse, self._auc):
            metric.update_state(y, p, weights)
        self._sum.update_state(p)
        return {m.name: m.result() for m in (self._errors, self._mse, self._auc, self._sum)}


def test_weights_in_a_step_of_the_users_own():
    x = jitnet.Input((1,), name="x")
    model = Tracked(x, layers.Activation("linear")(x), name="tracked")
    model.compile("sgd", "mse")
    found = model.evaluate(SCORES, BINARY, batch_size=8, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    large = (np.abs(BINARY - SCORES) > 0.5).ravel()
    expected = {
        "large_errors": WEIGHTS[large].sum() + 2, "mean_squared_error": mean_of(lambda y, p: (y - p) ** 2)(
            BINARY, SCORES, WEIGHTS),
        "auc": trapezia(BINARY, SCORES, WEIGHTS, GRID, "fpr", "recall"), "sum": SCORES.sum(),
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)


def test_by_name_and_in_history(capsys):
    jitnet.utils.set_random_seed(1)
    model = jitnet.Sequential([jitnet.Input((CLASSES,)), layers.Dense(CLASSES, "softmax")])
    names = ["accuracy", "F1Score", "auc", "precision", "Recall", "kld", "MAPE", "cosine_similarity", "r2_score"]
    model.compile("sgd", "categorical_crossentropy", metrics=names, weighted_metrics=["accuracy", "mse"])
    history = model.fit(PREDICTED, ONE_HOT, epochs=2, batch_size=8, verbose=2, validation_split=0.3).history
    assert list(history)[:12] == ["loss", *names, "weighted_accuracy", "mse"]
    assert history["F1Score"][0].shape == (CLASSES,) and "val_F1Score" in history
    assert "F1Score: [" in capsys.readouterr().out
    assert history["accuracy"] == pytest.approx(history["weighted_accuracy"])
    values = metrics.binary_accuracy([[1, 0]], [[0.9, 0.8]]), metrics.pearson_correlation([[1, 2, 4]], [[2, 4, 8]])
    np.testing.assert_allclose(np.ravel(values), [0.5, 1.0], rtol=1e-6)
    assert isinstance(metrics.get(metrics.categorical_accuracy), metrics.CategoricalAccuracy)


def test_errors():
    for call, message in (
        (lambda: M.Precision(1.5), "thresholds to be a finite number from 0 to 1. Received: thresholds=1.5"),
        (lambda: M.AUC(1), "Received: num_thresholds=1"),
        (lambda: M.AUC(curve="ROK"), "Did you mean 'ROC'"),
        (lambda: M.AUC(num_labels=3), "only with multi_label=True. Received: num_labels=3"),
        (lambda: M.AUC(multi_label=True, num_labels=3)(MANY, OF_MANY), "predictions of 3 labels"),
        (lambda: M.AUC(label_weights=[1, 2])(MANY, OF_MANY), "a label weight for each label"),
        (lambda: M.F1Score("mean"), "average"),
        (lambda: M.F1Score()(LABELS, PREDICTED), "F1Score expects targets and predictions"),
        (lambda: M.FBetaScore(beta=0), "beta to be above 0"),
        (lambda: M.IoU(3, [3]), "Received: target_class_ids=3"),
        (lambda: M.MeanIoU(0), "Received: num_classes=0"),
        (lambda: M.Recall(class_id=7)(MANY, OF_MANY), "predictions of 4 classes. Received: class_id=7"),
        (lambda: M.Precision()(MANY[:, :2], OF_MANY), r"targets of the predictions' shape, \(None, 4\)"),
        (lambda: M.SensitivityAtSpecificity(1.5), "Received: specificity=1.5"),
        (lambda: M.R2Score("mean"), "class_aggregation"),
        (lambda: M.MeanMetricWrapper("mse"), "takes a function"),
        (lambda: M.Precision().add_variable((), "ones", "int32"), "Received: dtype='int32'"),
        (lambda: M.Precision().add_variable((), aggregation="mean"), "Received: aggregation='mean'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    model = jitnet.Sequential([jitnet.Input((CLASSES,)), layers.Activation("linear")])
    for metric in (M.Mean(), M.Sum()):
        with pytest.raises(ValueError, match=f"compile takes no {type(metric).__name__}, which has no targets"):
            model.compile("sgd", "mse", metrics=[metric])


def test_what_is_assigned_between_batches_counts():
    """Steps for arrays are kept: what they were traced from may be assigned."""

    class Above(metrics.Metric):
        def __init__(self, threshold):
            super().__init__()
            self.threshold = threshold
            self.found = self.add_weight()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.found.assign_add(ops.sum(ops.relu(ops.sign(y_pred - self.threshold))))

        def result(self):
            return float(self.found)

    above, accuracy = Above(0.2), M.BinaryAccuracy(threshold=0.2)
    for threshold in (0.2, 0.7):
        above.threshold = accuracy.threshold = threshold
        above.reset_state()
        accuracy.reset_state()
        assert above(BINARY, SCORES) == (threshold < SCORES).sum()
        assert accuracy(BINARY, SCORES) == pytest.approx(((threshold < SCORES) == BINARY).mean())
