"""Where NaN and infinity begin: layer, kernel and arrays, forward or backward, at the step of a training."""

import re

import numpy as np
import pytest
from small_networks import FEATURES, convolutional, data, digest, images, perceptron

import jitnet
from jitnet import callbacks, layers, models, ops


class Function(layers.Layer):
    """A function of its input."""

    def __init__(self, function, **keywords):
        super().__init__(**keywords)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def network(function, kind=models.Model, optimizer="sgd"):
    """A function of four ReLUs, of which some are 0, in a model within a model."""
    x = jitnet.Input((FEATURES,), name="x")
    inner = models.Sequential([layers.Dense(4, "relu", name="hidden"), Function(function, name="own")], name="inner")
    model = kind(x, layers.Dense(1, name="last")(inner(x)), name="outer")
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(size=w.shape) * (w.ndim > 1) for w in model.get_weights()])
    model.compile(optimizer, "mse")
    return model


X = np.random.default_rng(1).normal(size=(9, FEATURES)).astype("float32")
Y = np.ones((9, 1), "float32")


def root(x):
    """Its slope at 0 is infinite, its value is not."""
    return ops.sqrt(x)


def test_nothing_is_found_where_all_is_finite():
    for model, (x, y) in ((perceptron("adam"), data()), (convolutional(), images())):
        before = digest(model)
        assert model.find_not_finite(x, y) is None and model.find_not_finite(x) is None
        assert digest(model) == before and model.optimizer.iterations == 0
    masked = network(lambda x: ops.softmax(ops.where(x > 0, x, -np.inf) * 1.0 + ops.zeros_like(x)))
    masked.layers[1].layers[0].bias.assign(np.full(4, 9.0))
    assert masked.find_not_finite(X, Y) is None  # what the softmax makes 0 goes no further


def test_forward():
    model = network(ops.log)
    hidden = models.Model(model.input, model.layers[1].layers[0](model.input)).predict(X, verbose=0)
    zeros = int((hidden == 0).sum())
    assert 0 < zeros < hidden.size
    for found in (model.find_not_finite(X, Y), model.find_not_finite(X)):
        assert (found.step, found.layer, found.phase) == (1, "inner/own", "forward")
        assert found.kernel == "elementwise.log_forward"
        (written,), (read,) = found.written, found.read
        assert (written.shape, written.nan, written.inf) == ((9, 4), 0, zeros)
        assert written.low < written.high == pytest.approx(np.log(hidden.max()), rel=1e-4)
        assert (read.nan, read.inf, read.low) == (0, 0, 0) and read.high == pytest.approx(hidden.max(), rel=1e-6)
        text = str(found)
        assert text.startswith(
            "In training step 1 it begins in the kernel elementwise.log_forward of the layer 'inner/"
        )
        assert f"{zeros} infinite of 36, the others from " in text and "reads hidden_relu (9, 4): from 0 to " in text


def test_backward_alone_in_a_step_of_the_users_too():
    class Own(models.Model):
        def train_step(self, data):
            return super().train_step(data)

    for kind in (models.Model, Own):
        model = network(root, kind, "adam")
        assert np.isfinite(model.predict(X, verbose=0)).all()
        before = digest(model)
        found = model.find_not_finite(X, Y)
        assert (found.layer, found.phase, found.kernel) == ("inner/own", "backward", "elementwise.sqrt_backward")
        assert found.written[0].nan + found.written[0].inf > 0
        assert all(array.nan == array.inf == 0 for array in found.read)
        assert digest(model) == before and not model.optimizer.state()


def test_losses_and_weights_that_were_so_before():
    def wrong(y_true, y_pred):
        return ops.mean(ops.log(y_true - 1.0) + y_pred, axis=-1)

    model = network(lambda x: x * 2.0)
    model.compile("sgd", wrong)
    found = model.find_not_finite(X, Y)
    assert (found.layer, found.phase, found.kernel) == ("", "forward", "elementwise.log_forward")
    assert "outside of the layers" in str(found)
    model.layers[-1].kernel.assign([[1], [np.nan], [1], [np.inf]])
    found = model.find_not_finite(X)
    assert (found.phase, found.kernel, found.written) == ("given", "", [])
    assert found.read == [("last_kernel", (4, 1), 1, 1, 1.0, 1.0)]
    assert str(found) == (
        "In training step 1 it was there before: last_kernel (4, 1): 1 NaN and 1 infinite of 4, the others from 1 to 1"
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_training_that_explodes(jit_compile, capsys):
    def made():
        model = network(lambda x: x * 2.0)
        model.compile(jitnet.optimizers.SGD(1e6), "mse", jit_compile=jit_compile)
        return model

    model, stopping = made(), callbacks.TerminateOnNaN(debug=True)
    model.fit(X, Y, 1, epochs=3, verbose=0, callbacks=stopping)
    found, steps = stopping.found, model.optimizer.iterations
    assert 1 < steps < 9 and found.step == steps and found.written[0].inf
    assert (found.layer, found.phase, found.kernel) == ("last", "backward", "dense.dense_backward_data")
    said = capsys.readouterr().out
    assert said.startswith(f"Batch {steps - 1} of epoch 1, training step {steps}: a weight is no longer finite, ")
    assert str(found) in said and model._kept_batch is None
    plain = made()
    with pytest.warns(RuntimeWarning, match=rf"in epoch 1, step {steps + 1}\. .*TerminateOnNaN\(debug=True\)"):
        plain.fit(X, Y, 1, epochs=3, verbose=0, callbacks=callbacks.TerminateOnNaN())
    said = capsys.readouterr().out
    assert said.startswith(f"Batch {steps} of epoch 1, training step {steps + 1}: the loss is nan, training stops")
    # the same batch by itself, from the same weights
    again = made()
    order = again._order(9, 0)
    for sample in order[: steps - 1]:
        again.train_on_batch(X[[sample]], Y[[sample]])
    sample = order[steps - 1]
    assert str(again.find_not_finite(X[[sample]], Y[[sample]])) == str(found)


def test_the_step_whose_gradient_it_is_and_not_the_next_one():
    """The loss is NaN a step later: the weights are looked at, too."""
    x = np.concatenate([np.full((8, FEATURES), 1.0), np.zeros((2, FEATURES)), np.full((4, FEATURES), 1.0)])
    for given in ((x, np.ones((14, 1))), (((x[i : i + 2], np.ones((2, 1))) for i in range(0, 14, 2)),)):
        model = network(root, optimizer="adam")
        model.layers[1].layers[0].kernel.assign(np.eye(4))
        stopping = callbacks.TerminateOnNaN(raise_error=True, debug=True)
        with pytest.raises(RuntimeError, match="Batch 4 of epoch 1, training step 5: a weight is no longer finite\n"):
            model.fit(*given, batch_size=2, shuffle=False, verbose=0, callbacks=stopping)
        found = stopping.found
        assert (found.step, found.layer, found.phase) == (5, "inner/own", "backward")
        assert found.read[0].shape == (2, 4) and found.read[0].low == 0.0
        assert not np.isfinite(model.layers[1].layers[0].kernel.value).all() and model._kept_batch is None


def test_the_command(tmp_path, monkeypatch, capsys):
    from jitnet.cli import main

    monkeypatch.chdir(tmp_path)
    arguments = ["train", "digits", "--model", "mlp", "--epochs", "1", "--optimizer", "sgd", "--learning-rate", "1e30"]
    with pytest.warns(RuntimeWarning, match="The loss became"):
        assert main([*arguments, "--debug-nan"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"Batch \d of epoch 1, training step \d: the loss is (nan|inf), training stops", said)
    assert re.search(r"In training step \d it begins in the kernel \w+\.\w+ of the layer '\w+' \(forward\):", said)
