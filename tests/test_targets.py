"""Targets have the shapes in a user's own losses and metrics that they have in Keras's."""

import keras_cases as cases
import numpy as np
import pytest

import jitnet

keras = cases.load_keras()
needs_keras = pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")
SAMPLES = 6
X = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype("float32")
VALUES = np.random.default_rng(1).normal(size=SAMPLES).astype("float32")
LABELS = np.arange(SAMPLES) % 3


def written(library, shapes):
    """A metric, a loss and a function that note the shapes of targets, and take them as they are in Keras."""
    ops = library.ops

    def error(y, p):
        p = ops.reshape(p, (-1, 1))
        return ops.square(ops.reshape(ops.cast(y, p.dtype), (-1, 1)) - p)

    def noted(owner, y):
        shapes.setdefault(owner, set()).add(tuple(y.shape)[1:])

    class Error(library.metrics.Metric):
        def __init__(self, name="error", **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_variable(shape=(), initializer="zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            noted("metric", y_true)
            self.total.assign_add(ops.sum(error(y_true, y_pred[:, :1])))

        def result(self):
            return 1.0 * self.total

    class OwnLoss(library.losses.Loss):
        def call(self, y_true, y_pred):
            noted("loss", y_true)
            return ops.mean(error(y_true, y_pred[:, :1]), axis=-1)

    def function(y_true, y_pred):
        noted("function", y_true)
        return ops.mean(error(y_true, y_pred[:, :1]), axis=-1)

    def metric_function(y_true, y_pred):
        noted("metric function", y_true)
        return ops.mean(error(y_true, y_pred[:, :1]), axis=-1)

    return Error, OwnLoss, function, metric_function


def fitted(library, y, loss, units):
    """The shapes without the batch axis by whom they were given to, and what the metrics came to."""
    shapes = {}
    Error, OwnLoss, function, metric_function = written(library, shapes)
    output = library.layers.Dense(units, activation="softmax" if units > 1 else None)
    model = library.Sequential([library.layers.Input((4,)), output])
    output.set_weights([np.full((4, units), 0.25, "float32"), np.zeros(units, "float32")])
    loss = {"function": function, "loss": OwnLoss()}.get(loss, loss)
    model.compile("sgd", loss, metrics=[Error(), metric_function])
    found = model.evaluate(X, y, batch_size=SAMPLES, verbose=0, return_dict=True)
    return shapes, {name: float(value) for name, value in found.items()}


@needs_keras
@pytest.mark.filterwarnings("ignore:::keras", "ignore:::torch")
@pytest.mark.parametrize("loss", ["function", "loss", "mse", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("form", ["vector", "column", "series"])
def test_shapes_and_results_are_those_of_keras(loss, form):
    labels = loss == "sparse_categorical_crossentropy"
    y = LABELS if labels else VALUES
    if form == "column":
        y = y[:, None]
    elif form == "series":
        y = pytest.importorskip("pandas").Series(y)
    ours, numbers = fitted(jitnet, y, loss, 3 if labels else 1)
    theirs, expected = fitted(keras, y, loss, 3 if labels else 1)
    assert ours == theirs
    assert numbers.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(numbers[name], value, rtol=1e-5, err_msg=name)


def test_where_samples_would_be_paired_targets_get_the_axis_of_predictions():
    """As in Keras's guide, whose targets are a column there; with others Keras compares all samples with all."""
    ops = jitnet.ops

    class TruePositives(jitnet.metrics.Metric):
        def __init__(self, name="true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_variable(shape=(), name="tp", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
            values = ops.cast(y_true, "int32") == ops.cast(y_pred, "int32")
            self.true_positives.assign_add(ops.sum(ops.cast(values, "float32")))

        def result(self):
            return 1.0 * self.true_positives

    class Squares(jitnet.losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(ops.square(y_true - y_pred), axis=-1)

    def distance(y_true, y_pred):
        return ops.mean(ops.absolute(y_true - y_pred), axis=-1)

    model = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[TruePositives()])
    predicted = model.predict(X, verbose=0).argmax(-1)
    for y in (LABELS, LABELS[:, None]):
        found = model.evaluate(X, y, verbose=0, return_dict=True)
        assert found["true_positives"] == (predicted == LABELS).sum()

    model = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(1)])
    model.compile("sgd", Squares(), metrics=[distance])
    difference = model.predict(X, verbose=0)[:, 0] - VALUES
    for y in (VALUES, VALUES[:, None]):
        found = model.evaluate(X, y, verbose=0, return_dict=True)
        np.testing.assert_allclose(found["loss"], np.square(difference).mean(), rtol=1e-5)
        np.testing.assert_allclose(found["distance"], abs(difference).mean(), rtol=1e-5)
    assert Squares()(VALUES, VALUES[:, None] + 1) == pytest.approx(1)
