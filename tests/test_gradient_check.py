"""``jitnet.gradient_check``: it finds gradients that are wrong, and no others."""

import numpy as np
import pytest
from numba import njit
from small_networks import CLASSES, FEATURES, convolutional, data, digest, images, perceptron

import jitnet
from jitnet import layers, models, ops


def test_networks_of_our_own_layers_are_right_and_stay_as_they_are():
    for model, (x, y) in ((perceptron("adam"), data()), (convolutional(), images())):
        before = digest(model), model.optimizer.iterations, model.optimizer.state()
        result = jitnet.gradient_check(model, x, y, seed=3)
        assert result.ok and result.tolerance == 1e-5
        # dropout keeps its mask, batch statistics are those of the step
        assert [a.name for a in result.arrays] == [*(w.name for w in model.trainable_weights), "x"]
        assert all(0 <= a.largest_error <= 1e-6 and a.ok for a in result.arrays)
        assert [a.checked for a in result.arrays] == [min(8, w.size) for w in model.trainable_weights] + [8]
        assert (digest(model), model.optimizer.iterations, model.optimizer.state()) == before
        assert jitnet.floatx() == "float32" and model.weights[0].dtype == "float32"
        assert str(result).endswith("All gradients are right to 1e-05.")
        assert jitnet.gradient_check(model, x, y, seed=3).arrays == result.arrays


@njit
def cube(x, y):
    y[...] = x * x * x


@njit
def wrong_gradient(x, y, dy, dx):
    dx[...] = dy * 3 * x * x
    dx[0, 1] *= 1.001


class Cube(layers.Layer):
    """The cube, with a gradient that is wrong by a thousandth at one feature of the first sample."""

    def call(self, inputs):
        return ops.CustomOperation(cube, wrong_gradient, name="cube")(inputs)


def test_a_wrong_gradient_is_found_where_it_is():
    x = jitnet.Input((FEATURES,), name="x")
    inner = models.Sequential([layers.Dense(FEATURES, name="first"), Cube(name="cube")], name="inner")
    model = models.Model(x, layers.Dense(CLASSES, name="last")(inner(x)), name="outer")
    model.compile("sgd", "mse")
    x, y = np.random.default_rng(1).normal(size=(2, FEATURES)), np.zeros((2, CLASSES))
    result = jitnet.gradient_check(model, x, y, samples=100)
    assert not result.ok
    found = {a.name: a for a in result.arrays}
    assert list(found) == ["inner/first/kernel", "inner/first/bias", "last/kernel", "last/bias", "x"]
    assert [name for name, a in found.items() if a.ok] == ["last/kernel", "last/bias"]
    wrong = found["inner/first/bias"]
    assert wrong.worst == (1,) and 1e-5 < wrong.largest_error < 2e-3 and wrong.kinks == 0
    assert found["inner/first/kernel"].worst[1] == 1 and found["x"].worst[0] == 0
    assert abs(wrong.gradient - wrong.difference) > 1e-5 * abs(wrong.difference)
    assert "WRONG" in str(result) and str(result).endswith("Wrong: inner/first/kernel, inner/first/bias, x")
    assert jitnet.gradient_check(model, x, y, samples=100, tolerance=0.01).ok


def test_kinks_are_not_judged():
    """ReLUs exactly at 0 have no derivative; beside 0, within a step, the smaller steps see none."""
    x = jitnet.Input((FEATURES,), name="x")
    hidden = layers.Dense(5, "relu", name="hidden")
    model = models.Model(x, layers.Dense(CLASSES, name="last")(hidden(x)), name="kinks")
    model.compile("sgd", "mae")
    zeros, y = np.zeros((3, FEATURES)), np.full((3, CLASSES), 7.0)
    result = jitnet.gradient_check(model, zeros, y)
    found = {a.name: a for a in result.arrays}
    assert result.ok and found["hidden/bias"].kinks == 5 and found["x"].kinks > 0
    assert found["last/kernel"].kinks == found["last/bias"].kinks == 0
    assert "elements have no derivative: the loss has a kink there." in str(result)
    hidden.bias.assign(np.full(5, 3e-6))
    result = jitnet.gradient_check(model, zeros, y)
    found = {a.name: a for a in result.arrays}
    assert result.ok and found["hidden/bias"].kinks == 0 and found["hidden/bias"].gradient != 0


def test_numbers_that_are_not_finite_are_no_right_gradients():
    x = jitnet.Input((FEATURES,), name="x")
    model = models.Model(x, layers.Dense(2, name="last")(ops.log(x)), name="logarithm")
    model.compile("sgd", "mse")
    result = jitnet.gradient_check(model, np.zeros((1, FEATURES)), np.zeros((1, 2)))
    assert not result.ok and np.isnan(result.arrays[0].largest_error)


def test_what_it_refuses():
    model, (x, y) = perceptron(), data()
    with pytest.raises(TypeError, match=r"expects a model. Received: 3"):
        jitnet.gradient_check(3, x, y)
    with pytest.raises(ValueError, match=r"expects a tolerance between 0 and 1. Received: tolerance=0"):
        jitnet.gradient_check(model, x, y, tolerance=0)
    with pytest.raises(ValueError, match="samples"):
        jitnet.gradient_check(model, x, y, samples=0)
    with pytest.raises(ValueError, match="needs a loss before gradient_check"):
        jitnet.gradient_check(models.Sequential([jitnet.Input((2,)), layers.Dense(1)]), x, y)

    class Own(models.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    own = Own([jitnet.Input((FEATURES,)), layers.Dense(1)])
    own.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"with jitnet.value_and_grad"):
        jitnet.gradient_check(own, x, y)
