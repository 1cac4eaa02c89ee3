"""Errors in layers, losses and steps of users' own: they say where, and leave class and traceback as they were."""

import traceback

import numpy as np
import pytest
from numba import njit
from small_networks import CLASSES, FEATURES, data

import jitnet
from jitnet import layers, models, ops


class Scale(layers.Layer):
    """Takes three features, whatever comes."""

    def build(self, input_shape):
        self.factor = self.add_weight((3, 4), name="factor")

    def call(self, inputs):
        return ops.matmul(inputs, self.factor)


class Broken(layers.Layer):
    """Raises ``error``."""

    error: Exception | None = None

    def call(self, inputs):
        raise self.error


class Block(layers.Layer):
    """Layers in a list and in an attribute."""

    def __init__(self, broken, **kwargs):
        super().__init__(**kwargs)
        self.parts = [layers.Dense(2, name="first"), broken]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def broken(error):
    layer = Broken(name="broken")
    layer.error = error
    return layer


def raised(kind, function, *arguments, **keywords):
    """The error that a call raises, and its notes."""
    with pytest.raises(kind) as caught:
        function(*arguments, **keywords)
    assert type(caught.value) is kind
    return caught.value, getattr(caught.value, "__notes__", [])


def test_a_shape_that_does_not_fit_in_nested_models():
    inner = models.Sequential([layers.Dense(6, name="six"), Scale(name="scale")], name="inner")
    x = jitnet.Input((FEATURES,), name="x")
    middle = models.Model(x, layers.Dense(5, name="five")(x), name="middle")
    error, notes = raised(ValueError, models.Sequential, [jitnet.Input((FEATURES,)), middle, inner], name="outer")
    assert str(error).startswith("Layer 'scale' (Scale): matmul expects the last axis of its input to have 3 elements")
    assert notes == [
        "In the layer 'scale' (Scale), called on (None, 6) float32 from 'six'; its weights: factor (3, 4).",
        "That is layers[1] of the model 'inner' (Sequential).",
        "That is layers[1] of the model 'outer' (Sequential).",
    ]
    assert any("ops.matmul(inputs, self.factor)" in line for line in traceback.format_exception(error))


def test_what_a_layer_of_the_users_raises_keeps_its_class():
    class Own(ValueError):
        pass

    for error in (TypeError("unsupported"), KeyError("gamma"), Own("of my own"), ValueError("at", "two")):
        arguments = error.args
        model = models.Sequential([Block(broken(error), name="block")], name="outer")
        model.compile("sgd", "mse")
        found, notes = raised(type(error), model.fit, *data(), verbose=0)
        assert found is error and error.args == arguments
        assert notes == [
            "In the layer 'broken' (Broken), called on (None, 2) float32 from 'first'.",
            f"That is parts[1] of the layer 'block' (Block), called on (None, {FEATURES}) float32.",
            "That is layers[0] of the model 'outer' (Sequential).",
        ]


def test_a_layer_that_works_when_it_is_called_and_not_when_it_is_trained():
    class Trained(layers.Layer):
        def call(self, inputs, training=None):
            return ops.reshape(inputs, (3, -1)) if training else inputs * 2.0

    x = jitnet.Input((FEATURES,), name="x")
    model = models.Model(x, Trained(name="own")(layers.Dense(4, name="dense")(x)), name="graph")
    model.compile("sgd", "mse")
    _, notes = raised(ValueError, model.fit, np.ones((2, FEATURES)), np.ones((2, 4)), verbose=0)
    assert notes == [
        "In the layer 'own' (Trained), called on (None, 4) float32 from 'dense'.",
        f"That is layers[2] of the model 'graph' (Model), called on (None, {FEATURES}) float32.",
    ]


def test_arguments_that_a_call_does_not_take():
    class Wrong(models.Model):
        def __init__(self):
            super().__init__(name="wrong")
            self.dense = layers.Dense(2, name="dense")

        def call(self, inputs):
            return self.dense(inputs, temperature=2.0)

    _, notes = raised(TypeError, Wrong(), np.ones((2, FEATURES), "float32"))
    assert notes == [
        f"In the layer 'dense' (Dense), called on (None, {FEATURES}) float32.",
        f"That is dense of the model 'wrong' (Wrong), called on (None, {FEATURES}) float32.",
    ]


def test_losses_metrics_and_steps():
    def of_my_own(y_true, y_pred):
        return ops.mean(y_true - y_pred, axis=7)

    x, y = np.ones((2, FEATURES), "float32"), np.ones((2, CLASSES), "float32")
    start = jitnet.Input((FEATURES,), name="x")
    model = models.Model(start, layers.Dense(CLASSES, name="last")(start), name="graph")
    shapes = f"y_true (None, {CLASSES}) float32, y_pred (None, {CLASSES}) float32 from 'last'"
    model.compile("sgd", of_my_own)
    assert raised(ValueError, model.fit, x, y, verbose=0)[1] == [
        f"In the loss 'of_my_own' of the model 'graph' (Model): {shapes}."
    ]
    model.compile("sgd", "mse", metrics=[of_my_own])
    assert raised(ValueError, model.evaluate, x, y, verbose=0)[1] == [
        f"In the metric 'of_my_own' of the model 'graph' (Model): {shapes}."
    ]

    class Step(models.Model):
        def train_step(self, data):
            x, _ = data
            return {"loss": self(x).missing}

    model = Step(start, Scale(name="scale")(layers.Dense(3)(start)), name="own")
    model.compile("sgd")
    assert raised(AttributeError, model.fit, x, y, verbose=0)[1] == [
        f"In Step.train_step, traced on x (None, {FEATURES}) float32, y (None, {CLASSES}) float32."
    ]


def test_functions_of_the_users():
    def square(x, y):
        if x[0, 0] == x[0, 0]:
            raise ValueError("too small")
        y[...] = x * x

    def wrong(x, y, dy, dx):
        dx[...] = undefined  # noqa: F821

    for backward in (square, wrong):
        operation = ops.CustomOperation(njit(square), njit(wrong) if backward is wrong else None, name="square")

        class Own(layers.Layer):
            def call(self, inputs, operation=operation):
                return operation(inputs)

        start = jitnet.Input((FEATURES,), name="x")
        model = models.Model(start, Own(name="own")(layers.Dense(FEATURES)(start)), name="graph")
        model.compile("sgd", "mse")
        x = np.ones((2, FEATURES), "float32")
        if backward is wrong:
            error, _ = raised(TypeError, model.fit, x, x, verbose=0)
            assert "the backward function of CustomOperation 'square'" in str(error)
            assert "in the layer 'own' of the step" in str(error)
        else:
            (note,) = raised(ValueError, model.predict, x, verbose=0)[1]
            assert note.startswith("Raised by 'square', the forward function of CustomOperation 'square' (")
            assert note.endswith("), in the layer 'own' of the step.")
