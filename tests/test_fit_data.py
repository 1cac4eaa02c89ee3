"""How ``fit`` divides data, and which weights count for which part."""

import numpy as np
import pytest
from small_networks import FEATURES, Reference, data, perceptron, two_outputs

import jitnet
from jitnet import layers, optimizers, regularizers

X, Y = data()
KEPT = 6  # int(9 * 0.7) samples are trained on with validation_split=0.3
VALUES, RIGHT = Reference().losses(X, Y)


def frozen(**arguments):
    """A perceptron whose weights do not move."""
    return perceptron(optimizers.SGD(0.0), **arguments)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_class_weight_is_for_training_alone(jit_compile):
    by_class = {0: 5.0, 1: 0.5, 2: 7.0}
    factors = np.array([5.0, 0.5, 7.0])[Y]
    weights = np.arange(1.0, 10.0)
    for arguments, kept, held in (
        ({}, factors, 1.0),
        ({"sample_weight": weights}, factors * weights, weights[KEPT:]),
    ):
        model = frozen(jit_compile=jit_compile)
        history = model.fit(X, Y, 4, verbose=0, validation_split=0.3, class_weight=by_class, **arguments).history
        np.testing.assert_allclose(history["loss"], [(VALUES * kept)[:KEPT].mean()], rtol=2e-5)
        np.testing.assert_allclose(history["val_loss"], [(VALUES[KEPT:] * held).mean()], rtol=2e-5)
        assert history["val_accuracy"] == pytest.approx([RIGHT[KEPT:].mean()])
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y), class_weight=by_class).history
    np.testing.assert_allclose(history["val_loss"], [VALUES.mean()], rtol=2e-5)
    column = frozen().fit(X, Y, verbose=0, sample_weight=weights[:, None]).history
    np.testing.assert_allclose(column["loss"], [(VALUES * weights).mean()], rtol=2e-5)
    # the same as giving the two parts
    split, given = perceptron(), perceptron()
    first = split.fit(X, Y, 4, epochs=2, verbose=0, validation_split=0.3, class_weight=by_class)
    rest = (X[KEPT:], Y[KEPT:])
    second = given.fit(X[:KEPT], Y[:KEPT], 4, epochs=2, verbose=0, validation_data=rest, class_weight=by_class)
    assert first.history == second.history
    for ours, theirs in zip(split.get_weights(), given.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_users_weights_are_not_changed():
    weights = np.arange(1.0, 10.0, dtype="float32")
    weights.flags.writeable = False
    model = frozen()
    model.fit(X, Y, verbose=0, sample_weight=weights, class_weight={0: 3.0}, validation_split=0.3)
    np.testing.assert_array_equal(weights, np.arange(1.0, 10.0))


def test_validation_split_of_several_inputs_and_outputs():
    inputs = [jitnet.Input((FEATURES,), name="first"), jitnet.Input((2,), name="second")]
    joined = layers.Concatenate(name="joined")(inputs)
    outputs = [layers.Dense(1, name="size")(joined), layers.Dense(2, name="place")(joined)]
    model = jitnet.Model(inputs, outputs, name="split")
    model.compile(optimizers.SGD(0.0), "mse")
    other = np.random.default_rng(4).normal(size=(9, 2)).astype("float32")
    weights = np.arange(9.0)
    y = {"place": other * 2, "size": X[:, 0]}
    history = model.fit([X, other], y, verbose=0, validation_split=0.3, sample_weight=weights).history
    size, place = model.predict([X, other], verbose=0)
    expected = [(size[:, 0] - X[:, 0]) ** 2 * weights, ((place - other * 2) ** 2).mean(axis=1) * weights]
    for prefix, part in (("", slice(KEPT)), ("val_", slice(KEPT, None))):
        for name, values in zip(("size", "place"), expected, strict=True):
            np.testing.assert_allclose(history[f"{prefix}{name}_loss"], [values[part].mean()], rtol=2e-5)


def test_class_weight_of_several_outputs():
    with pytest.raises(ValueError, match=r"class_weight needs a model with one output\. Received: 2 outputs"):
        two_outputs().fit(X, [X[:, :1], Y], class_weight={0: 2.0})


def test_more_steps_than_there_are():
    model = frozen()
    with pytest.warns(UserWarning, match="9 samples make 3 steps of 4.*Received: steps_per_epoch=4") as noticed:
        history = model.fit(X, Y, 4, epochs=2, steps_per_epoch=4, verbose=0).history
    assert len(noticed) == 1 and noticed[0].filename == __file__
    np.testing.assert_allclose(history["loss"], [VALUES.mean()] * 2, rtol=2e-5)
    model.fit(X, Y, 4, steps_per_epoch=3, verbose=0)


def test_validation_steps():
    arguments = {"validation_data": (X, Y), "verbose": 0, "validation_batch_size": 2}
    for steps, samples in ((1, 2), (3, 6), (100, 9)):
        history = frozen().fit(X, Y, validation_steps=steps, **arguments).history
        np.testing.assert_allclose(history["val_loss"], [VALUES[:samples].mean()], rtol=2e-5)
    with pytest.raises(ValueError, match=r"Received: validation_steps=0"):
        frozen().fit(X, Y, validation_steps=0, **arguments)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_penalties_of_frozen_weights_do_not_count(jit_compile):
    given = (regularizers.L2(0.05), regularizers.L1(0.03))
    model = perceptron(optimizers.SGD(0.3), jit_compile, regularizers=given, metrics=None)
    reference = Reference(l1=0.03, l2=0.05)
    penalised = pytest.approx(VALUES.mean() + reference.penalty(), rel=2e-5)
    plain = pytest.approx(VALUES.mean(), rel=2e-5)
    assert model.evaluate(X, Y, verbose=0) == penalised
    hidden = model.get_layer("hidden")
    hidden.trainable = False
    model.compile(model.optimizer, model.loss, jit_compile=jit_compile)
    before = [w.copy() for w in hidden.get_weights()]
    assert model.evaluate(X, Y, verbose=0) == model.test_on_batch(X, Y) == plain
    assert model.fit(X, Y, verbose=0).history["loss"] == [plain]
    for ours, theirs in zip(hidden.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # a weight that is never trained is never penalised
    class Fixed(layers.Layer):
        def build(self, input_shape):
            self.shift = self.add_weight((FEATURES,), "ones", trainable=False, regularizer="l2", name="shift")

        def call(self, inputs):
            return inputs + self.shift

    model = jitnet.Sequential([jitnet.Input((FEATURES,)), Fixed()])
    model.compile("sgd", "mse")
    assert model.evaluate(X, X, verbose=0) == pytest.approx(1.0, rel=1e-6)
