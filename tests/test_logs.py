"""Names in logs are Keras 3's, wherever they appear, and no result hides another."""

import csv

import numpy as np
import pytest
from small_networks import CLASSES, FEATURES, SAMPLES, data, perceptron, two_outputs

import jitnet
from jitnet import callbacks, layers, losses, metrics, ops

X, Y = data()
SIZES = np.random.default_rng(3).normal(size=(SAMPLES, 1)).astype("float32")


def regression(given, name="regression"):
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(1, name="size")], name=name)
    model.compile("sgd", "mse", metrics=given)
    return model


def absolute_error(y_true, y_pred):
    return ops.absolute(y_true - y_pred)


def test_a_metric_is_logged_as_it_was_asked_for():
    given = {
        "mae": "mae",
        "mse": "mse",
        "mean_absolute_error": "mean_absolute_error",
        "MeanSquaredError": "MeanSquaredError",
        "mine": metrics.MeanAbsoluteError(name="mine"),
        "mean_squared_error": metrics.MeanSquaredError,
        "absolute_error": absolute_error,
        "a loss": losses.MeanAbsoluteError(name="a loss"),
    }
    model = regression(list(given.values()))
    found = model.evaluate(X, SIZES, verbose=0, return_dict=True)
    assert list(found) == ["loss", *given] == model.metrics_names
    difference = SIZES - model.predict(X, verbose=0)
    squared, absolute = np.mean(difference**2), np.mean(np.abs(difference))
    for name, value in found.items():
        assert value == pytest.approx(squared if name in ("loss", "mse") or "quared" in name else absolute, rel=2e-5)
    # what is added to the list afterwards does not count
    asked = ["mae"]
    model = regression(asked)
    asked.append("mse")
    assert list(model.evaluate(X, SIZES, verbose=0, return_dict=True)) == model.metrics_names == ["loss", "mae"]
    model = regression(list(given.values()))
    found = model.evaluate(X, SIZES, verbose=0, return_dict=True)
    # a list in the order in which they were given
    assert model.evaluate(X, SIZES, verbose=0) == list(found.values())
    history = model.fit(X, SIZES, verbose=0, validation_split=0.3).history
    assert list(history) == [*found, *(f"val_{name}" for name in found)]


def test_metrics_of_one_name_are_told_apart():
    accuracy = metrics.SparseCategoricalAccuracy
    given = ["accuracy", accuracy(), accuracy(), accuracy(), "accuracy", "acc", accuracy(name="loss")]
    model = perceptron(metrics=given)
    expected = [
        "loss", "accuracy", "sparse_categorical_accuracy", "sparse_categorical_accuracy_1",
        "sparse_categorical_accuracy_2", "accuracy_1", "acc", "loss_1",
    ]  # fmt: skip
    found = model.train_on_batch(X, Y, return_dict=True)
    assert list(found) == expected
    assert len({found[name] for name in expected[1:]}) == 1 and found["loss"] != found["loss_1"]
    assert len(model.train_on_batch(X, Y)) == len(model.test_on_batch(X, Y)) == len(expected)
    # a name that a number was added to may be taken, too
    assert perceptron(metrics=["acc", accuracy(name="acc_1"), "acc"]).metrics_names == ["loss", "acc", "acc_1", "acc_2"]


def test_several_outputs_are_logged_by_the_names_of_their_layers(tmp_path, capsys):
    model = two_outputs(metrics=[["mae"], ["accuracy", "accuracy"]])
    names = ["loss", "size_loss", "kind_loss", "size_mae", "kind_accuracy", "kind_accuracy_1"]
    assert model.output_names == ["size", "kind"] and model.metrics_names == names
    stopping = callbacks.EarlyStopping("val_kind_accuracy", min_delta=2)
    watched = [callbacks.CSVLogger(tmp_path / "history.csv"), stopping]
    validation = (X, [SIZES, Y])
    history = model.fit(X, [SIZES, Y], epochs=3, validation_data=validation, verbose=2, callbacks=watched)
    logged = [*names, *(f"val_{name}" for name in names)]
    assert list(history.history) == logged and history.epoch == [0, 1]
    with open(tmp_path / "history.csv") as file:
        assert next(csv.reader(file)) == ["epoch", *logged]
    line = capsys.readouterr().out.splitlines()[0]
    assert [part.split(":")[0] for part in line.split(" - ")[3:]] == [*logged, "learning_rate"]
    assert list(model.evaluate(*validation, verbose=0, return_dict=True)) == names


def test_sums_of_several_outputs():
    """A loss that is a sum is logged as the mean over the batches of their sums, weighted by their sizes."""
    model = two_outputs(loss=[losses.MeanSquaredError("sum"), losses.SparseCategoricalCrossentropy(reduction="sum")])
    size, kind = model.predict(X, verbose=0)
    expected = {"size_loss": 0.0, "kind_loss": 0.0}
    for batch in (slice(0, 4), slice(4, 8), slice(8, 9)):
        samples = batch.stop - batch.start
        expected["size_loss"] += samples * ((size - SIZES)[batch] ** 2).sum() / SAMPLES
        expected["kind_loss"] -= samples * np.log(kind[np.arange(SAMPLES), Y])[batch].sum() / SAMPLES
    found = model.evaluate(X, [SIZES, Y], 4, verbose=0, return_dict=True)
    assert found == pytest.approx({"loss": sum(expected.values()), **expected}, rel=2e-5)


def test_names_of_outputs():
    x, other = jitnet.Input((FEATURES,)), jitnet.Input((FEATURES,))
    shared = layers.Dense(2, name="shared")
    inner = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(1, name="last")], name="inner")
    model = jitnet.Model([x, other], [shared(x), shared(other), ops.tanh(shared(x)), inner(x)])
    assert model.output_names == ["shared", "shared_1", "tanh", "inner"]
    model.compile("sgd", "mse")
    assert model.metrics_names == ["loss", "shared_loss", "shared_1_loss", "tanh_loss", "inner_loss"]

    class Own(jitnet.Model):
        def __init__(self):
            super().__init__()
            self.size, self.kind = layers.Dense(1), layers.Dense(CLASSES)

        def call(self, inputs):
            return self.size(inputs), self.kind(inputs)

    model = Own()
    model.compile("sgd", "mse")
    assert model.metrics_names == []  # not known before the first call
    model.predict(X, verbose=0)
    assert model.metrics_names == ["loss", "output_1_loss", "output_2_loss"]
    alone = regression(["mae"])
    assert alone.output_names == ["size"] and alone.metrics_names == ["loss", "mae"]
