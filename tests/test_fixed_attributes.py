"""What steps are written from can be assigned before they run, and raises afterwards: it would do nothing."""

import copy

import numpy as np
import pytest
from small_networks import FEATURES, Reference, data, perceptron

import jitnet
from jitnet import layers, losses, metrics, optimizers, regularizers

X, Y = data()
ONE_HOT = np.eye(3)[Y]


def everything():
    """A model with every kind of part that a step is written from, and these parts."""
    parts = {
        "dense": layers.Dense(5, kernel_regularizer=regularizers.L1L2(0.1, 0.2), name="hidden"),
        "normalisation": layers.BatchNormalization(name="normalisation"),
        "relu": layers.ReLU(negative_slope=0.5, name="relu"),
        "dropout": layers.Dropout(0.25, name="dropout"),
        "loss": losses.CategoricalCrossentropy(label_smoothing=0.1),
        "metric": metrics.BinaryAccuracy(threshold=0.25),
        "other": losses.CategoricalCrossentropy(label_smoothing=0.2),
        "optimizer": optimizers.SGD(0.1, momentum=0.9),
    }
    chain = [parts[name] for name in ("dense", "normalisation", "relu", "dropout")]
    model = jitnet.Sequential(
        [jitnet.Input((FEATURES,)), *chain, layers.Dense(3, "softmax", name="probabilities")], name="everything"
    )
    given = [parts["metric"], parts["other"]]
    model.compile(parts["optimizer"], parts["loss"], metrics=given)
    return model, {**parts, "model": model, "regularizer": parts["dense"].kernel_regularizer}


FIXED = {
    "dense": {"activation": "tanh", "use_bias": False, "units": 7, "kernel_regularizer": None, "kernel": None},
    "normalisation": {"momentum": 0.5, "epsilon": 0.1, "center": False},
    "relu": {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.5},
    "dropout": {"rate": 0.5, "seed": 3},
    "loss": {"label_smoothing": 0.3, "from_logits": True, "reduction": "sum"},
    "metric": {"threshold": 0.75},
    "other": {"label_smoothing": 0.3},
    "optimizer": {"nesterov": True},
    "regularizer": {"l1": 0.5, "l2": 0.5},
    "model": {"optimizer": optimizers.SGD(0.5)},
}


def test_every_attribute_that_a_step_is_written_from_is_fixed_once_it_has_run():
    model, parts = everything()
    # looking at a step fixes nothing
    model.summary(print_fn=lambda line: None)
    assert "0.1" in model.step_source()
    parts["regularizer"].l1 = 0.3
    assert "0.3" in model.step_source() and parts["regularizer"].get_config()["l1"] == 0.3
    parts["regularizer"].l1 = 0.1
    model.fit(X, ONE_HOT, verbose=0)
    before = model.get_config(), model.optimizer.get_config(), model.loss.get_config()
    for name, attributes in FIXED.items():
        for attribute, value in attributes.items():
            with pytest.raises(ValueError, match="have run: assigned now, it would change nothing") as caught:
                setattr(parts[name], attribute, value)
            text = str(caught.value)
            assert text.startswith(f"{type(parts[name]).__name__}.{attribute} ") and "'everything'" in text
            assert "Call the model's compile again first" in text and f"Received: {attribute}=" in text
    assert (model.get_config(), model.optimizer.get_config(), model.loss.get_config()) == before
    # what is the same, and what every run reads
    parts["dropout"].rate = 0.25
    parts["optimizer"].learning_rate = 0.2
    parts["optimizer"].momentum = 0.8
    parts["optimizer"].iterations = 7
    parts["dense"].name = "other"
    parts["dense"].trainable = False
    parts["dense"]._note = parts["dense"].note = "mine"
    model.stop_training = True
    # a copy is nobody's yet
    copied = copy.copy(parts["loss"])
    copied.label_smoothing = 0.7
    # after compile, all of them may be assigned, and count
    model.compile(parts["optimizer"], parts["loss"])
    parts["dropout"].rate = 0.75
    parts["loss"].label_smoothing = 0.3
    parts["optimizer"].nesterov = True
    source = model.step_source()
    assert "0.75" in source and model.loss.get_config()["label_smoothing"] == 0.3


def test_nesterov_and_l2_count_when_they_are_assigned_before_the_first_step():
    given = regularizers.L2(0.01), None
    model = perceptron(optimizers.SGD(0.3, momentum=0.9), regularizers=given, metrics=None)
    model.optimizer.nesterov = True
    given[0].l2 = 0.05
    reference = Reference(l2=0.05)
    expected = reference.losses(X, Y)[0].mean() + reference.penalty()
    assert model.train_on_batch(X, Y) == pytest.approx(expected, rel=2e-5)
    gradients = reference.gradients(X, Y)
    for weight, gradient, ours in zip(reference.weights, gradients, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, weight - 0.3 * 1.9 * gradient, rtol=2e-5, atol=1e-6)
    # a weight's own regularizer may be replaced at any time
    model.get_layer("hidden").kernel.regularizer = None
    reference.weights = model.get_weights()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(reference.losses(X, Y)[0].mean(), rel=2e-5)
    with pytest.raises(ValueError, match=r"`l2` must be a finite number, at least 0\. Received: l2=-1"):
        regularizers.L2().l2 = -1


def test_a_layer_of_the_users_own():
    class Scaled(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor
            self.uses = 0

        def call(self, inputs):
            self.uses += 1  # what a layer remembers of a call
            return inputs * self.factor

    layer = Scaled(2.0, name="scaled")
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), layer], name="scaling")
    layer.factor = 3.0
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 3)
    traced = layer.uses
    layer(X), layer(jitnet.Input((FEATURES,)))
    model.compile("sgd", "mse")
    model.predict(X, verbose=0), model.evaluate(X, X, verbose=0)
    assert layer.uses == traced + 4
    with pytest.raises(ValueError, match=r"Scaled.factor of the layer 'scaled' is written into the steps of the model"):
        layer.factor = 4.0
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 3)
    model.compile()
    layer.factor = 4.0
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 4)
    # alone, it is computed anew every time; a model that is gone holds nothing
    del model
    layer.factor = 5.0
    np.testing.assert_allclose(layer(X), X * 5)


def test_a_model_within_a_model_is_compiled_on_its_own():
    inner = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(3, name="dense")], name="inner")
    inner.compile("sgd", "mse")
    outer = jitnet.Sequential([jitnet.Input((FEATURES,)), inner], name="outer")
    outer.compile("sgd", "mse")
    outer.train_on_batch(X, ONE_HOT)
    inner.compile("adam", "mae")
    assert inner.train_on_batch(X, ONE_HOT) > 0
