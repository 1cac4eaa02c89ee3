"""Copies of models and of their parts: by copy, by pickle in this process and another, and by clone_model."""

import copy
import multiprocessing
import operator
import pickle
import threading

import numpy as np
import pytest
from small_networks import CLASSES, FEATURES, convolutional, data, digest, images, perceptron

import jitnet
from jitnet import callbacks, initializers, layers, losses, metrics, models, ops, regularizers
from jitnet.core.values import Variable
from jitnet.layers.base import Layer, clear_names
from jitnet.optimizers import SGD, Adam, schedules

X, Y = data()


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


WAYS = {"deepcopy": copy.deepcopy, "pickle": pickled}
every_way = pytest.mark.parametrize("copied", WAYS.values(), ids=WAYS)


# ---- one owner of a weight


def test_a_value_is_written_to_where_steps_read_it():
    model = perceptron()
    model.predict(X, verbose=0)
    kernel, bias = model.layers[0].weights
    assert kernel.value.base is not None  # in the flat storage of the step
    new = np.arange(20.0).reshape(4, 5) / 20
    for write in (
        lambda: setattr(kernel, "value", new),
        lambda: kernel.assign(new),
    ):
        kernel.assign(np.zeros((4, 5)))
        model.predict_on_batch(X)
        write()
        hidden = np.tanh(X @ new + bias.value)
        scores = np.exp(hidden @ model.layers[1].kernel.value + model.layers[1].bias.value)
        expected = scores / scores.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_on_batch(X), expected, rtol=1e-5)
        np.testing.assert_array_equal(model.get_weights()[0], new.astype("float32"))
    with pytest.raises(ValueError, match="read-only"):  # what is made of weights would not learn of it
        kernel.value += 1
    kernel.value = kernel.value + 1
    np.testing.assert_allclose(model.get_weights()[0], new + 1, rtol=1e-6)
    assert kernel.dtype == str(kernel.value.dtype) == "float32"


def test_values_that_do_not_fit():
    layer = layers.Dense(3, name="mine")
    layer.build((None, 2))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"'mine/kernel' has shape \(2, 3\). Received: shape=\(3,\)"):
        layer.kernel.value = np.ones(3)
    with pytest.raises(TypeError, match=r"'mine/kernel' holds numbers\. Received: dtype=<U1"):
        layer.kernel.value = np.full((2, 3), "a")
    for value in (np.zeros((2, 3)), 0.0):
        with pytest.raises(TypeError, match=r"'mine' is a weight: .*kernel\.assign\(.*Received: kernel="):
            layer.kernel = value
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    layer.kernel = Variable(np.ones((2, 3), "float32"), name="mine/other")  # what isn't used any more isn't shown
    assert [v.name for v in layer.weights] == ["mine/other", "mine/bias"]


# ---- models


def assert_independent(model, other, x):
    """Both predict the same, and training one leaves the other alone."""
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(other.predict(x, verbose=0), expected)
    before = digest(model)
    for variable in other.weights:
        variable.assign(variable.value + 1)
    assert digest(model) == before != digest(other)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    assert not np.array_equal(other.predict(x, verbose=0), expected)


@every_way
def test_a_trained_model_goes_on_with_the_same_bits(copied):
    x, y = images()
    model = convolutional()
    model.fit(x, y, batch_size=8, verbose=0)
    other = copied(model)
    assert other.optimizer is not model.optimizer and other.optimizer.iterations == 3
    assert other.layers[5].name == "dropout" and other.layers[5] is not model.layers[5]
    histories = [m.fit(x, y, batch_size=8, epochs=2, verbose=0).history for m in (model, other)]
    assert histories[0] == histories[1]
    assert digest(model) == digest(other)
    assert_independent(model, other, x)


@every_way
def test_models_in_every_state(copied):
    not_built = models.Sequential([layers.Dense(3, activation="relu"), layers.Dense(2)])
    other = copied(not_built)
    assert not other.built and other.weights == []
    other.build((None, FEATURES))
    assert not not_built.built
    not_compiled = perceptron()
    not_compiled._compiled = not_compiled.optimizer = None
    assert_independent(not_compiled, copied(not_compiled), X)
    twice = copied(copied(not_compiled))
    assert digest(twice) == digest(not_compiled)
    twice.add(layers.Dense(2))
    assert len(twice.layers) == 3 and len(not_compiled.layers) == 2
    frozen = perceptron()
    frozen.layers[0].trainable = False
    assert [v.name for v in copied(frozen).trainable_weights] == ["probabilities/kernel", "probabilities/bias"]


def branched():
    """Shared layers, also with a nested model; an operation and a constant between layers; two outputs."""
    a, b = jitnet.Input((FEATURES,), name="a"), jitnet.Input((FEATURES,), name="b")
    shared = layers.Dense(FEATURES, activation="gelu", name="shared")
    left = shared(a) * 2.0
    inner = models.Sequential([jitnet.Input((FEATURES,)), shared], name="inner")
    y = left + inner(b)
    return models.Model([a, b], [layers.Dense(2, name="last")(y), ops.relu(y)], name="branched")


@every_way
def test_graphs_keep_what_is_shared(copied):
    model = branched()
    other = copied(model)
    assert [v.name for v in other.weights] == [v.name for v in model.weights] and len(other.weights) == 4
    assert other.get_layer("shared") is other.get_layer("inner").layers[0]
    assert other.get_config() == model.get_config()
    for m, n in ((model, other), (other, model)):  # neither reads the other's
        n.get_layer("shared").kernel.assign(np.zeros((FEATURES, FEATURES)))
        m.get_layer("shared").kernel.assign(np.eye(FEATURES))
        zero = n.predict([X, X], verbose=0)[1]
        one = m.predict([X, X], verbose=0)[1]
        assert not zero.any() and one.any()
    # tensors of a copy know where they come from
    features = models.Model(other.inputs[0], other.get_layer("shared").output)
    assert [layer.name for layer in features.layers] == ["a", "shared"]
    extended = [models.Model(m.inputs, layers.Dense(3, name="new")(m.outputs[0]) * 2.0) for m in (model, other)]
    assert [layer.name for layer in extended[0].layers] == [layer.name for layer in extended[1].layers]
    assert len(extended[1].weights) == 6


def test_a_graph_deeper_than_the_stack():
    x = y = jitnet.Input((2,))
    for _ in range(1500):
        y = layers.Activation("linear")(y)
    for copied in WAYS.values():
        assert len(copied(models.Model(x, y)).layers) == 1501


class Scale(Layer):
    """A user's layer, without get_config, that holds another layer, a list and an array."""

    def __init__(self, start):
        super().__init__(name="scale")
        self.start = start
        self.inner = layers.Dense(FEATURES, name="inner")
        self.notes = ["a list", np.arange(3)]

    def build(self, input_shape):
        self.factor = self.add_weight((input_shape[-1],), self.start, name="factor")

    def call(self, inputs):
        return self.inner(inputs) * self.factor


class Own(models.Model):
    def __init__(self):
        super().__init__(name="own")
        self.scale = Scale(initializers.Constant(0.5))

    def call(self, inputs):
        return self.scale(inputs)


@every_way
def test_layers_alone_and_of_users(copied):
    dense = layers.Dense(3, kernel_regularizer="l2")
    assert not copied(dense).built
    dense(X)
    again = copied(dense)
    assert again.kernel is again.weights[0] is not dense.kernel
    assert again.kernel.regularizer is again.kernel_regularizer
    np.testing.assert_array_equal(again(X), dense(X))
    again.kernel.value = np.zeros((FEATURES, 3))
    assert not again(X).any() and dense(X).any()
    own = Own()
    own.compile("adam", "mse")
    own.fit(X, X, verbose=0)
    other = copied(own)
    assert other.scale.factor is other.weights[0] and other.scale.notes[0] == "a list"
    assert_independent(own, other, X)
    for m in (own, other := copied(own)):
        m.fit(X, X, verbose=0)
    assert digest(own) == digest(other)


def test_shallow_copies_share_layers():
    model = perceptron()
    other = copy.copy(model)
    assert other.layers == model.layers and other.weights[0] is model.weights[0]
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_what_cannot_be_pickled_says_so():
    layer = layers.Dense(3)
    layer.mine = threading.Lock()
    for copied in WAYS.values():
        with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
            copied(layer)


PARTS = {
    "optimizer": Adam(schedules.CosineDecay(0.1, 10), beta_1=0.8),
    "plain optimizer": SGD(0.1, momentum=0.5, nesterov=True),
    "loss": losses.CategoricalCrossentropy(label_smoothing=0.1),
    "metric": metrics.SparseTopKCategoricalAccuracy(k=3),
    "metric of a loss": metrics.MeanSquaredError("mse"),
    "schedule": schedules.PiecewiseConstantDecay([3, 5], [0.1, 0.2, 0.3]),
    "initializer": initializers.HeNormal(seed=3),
    "regularizer": regularizers.L1L2(0.1, 0.2),
}


@every_way
@pytest.mark.parametrize("part", PARTS)
def test_parts(copied, part):
    other = copied(PARTS[part])
    assert type(other) is type(PARTS[part]) and other is not PARTS[part]
    assert other.get_config() == PARTS[part].get_config()


@every_way
def test_callbacks(copied, tmp_path):
    given = [
        callbacks.EarlyStopping("loss", patience=3), callbacks.ReduceLROnPlateau("loss"),
        callbacks.ModelCheckpoint(str(tmp_path / "model")), callbacks.TerminateOnNaN(),
        callbacks.BackupAndRestore(tmp_path / "backup"),
    ]  # fmt: skip
    model = perceptron()
    history = model.fit(X, Y, verbose=0, callbacks=given)
    for callback in given:
        other = copied(callback)
        assert type(other) is type(callback) and digest(other.model) == digest(model)
    assert copied(given[0]).patience == 3
    assert copied(history).history == history.history


@pytest.mark.parametrize("name", sorted(jitnet.activations.KNOWN))
def test_activations(name):
    function = jitnet.activations.KNOWN[name]
    assert pickled(function) is copy.deepcopy(function) is function


def test_another_process():
    model = perceptron()
    model.fit(X, Y, verbose=0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(operator.methodcaller("predict", X, verbose=0), (model,))
        np.testing.assert_array_equal(found, model.predict(X, verbose=0))


# ---- clone_model


def test_clones_start_anew():
    model = perceptron("adam")
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = False
    clone = models.clone_model(model)
    assert type(clone) is models.Sequential and clone.name == "perceptron" and clone.optimizer is None
    assert clone.get_config() == model.get_config()
    assert clone.layers[0] is not model.layers[0] and clone.layers[0].trainable is False
    assert not set(clone.weights) & set(model.weights)
    for new, old in zip(clone.get_weights()[::2], model.get_weights()[::2], strict=True):
        assert new.shape == old.shape and not (new == old).any()
    # the same seed, the same numbers as those of a model that is made
    jitnet.utils.set_random_seed(4)
    first = models.clone_model(model).get_weights()
    jitnet.utils.set_random_seed(4)
    for a, b in zip(models.clone_model(model).get_weights(), first, strict=True):
        np.testing.assert_array_equal(a, b)


def test_clones_of_graphs():
    model = branched()
    clone = models.clone_model(model)
    assert type(clone) is models.Model and clone.inputs[0] is not model.inputs[0]
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert clone.output_shape == model.output_shape
    simple = models.Model(x := jitnet.Input((FEATURES,)), layers.Dense(3, name="twice")(x) + layers.Dense(3)(x))
    assert models.clone_model(simple).get_config()["nodes"] == simple.get_config()["nodes"]
    given = jitnet.Input((FEATURES,), name="given")
    assert models.clone_model(simple, given).inputs == [given]
    assert models.clone_model(perceptron(), [given]).inputs == [given]


def test_clone_functions():
    def wider(layer):
        if layer.name == "hidden":
            return layers.Dense(7, "relu", name="wider")
        return type(layer).from_config(layer.get_config())

    model = perceptron()
    clone = models.clone_model(model, clone_function=wider)
    assert [v.shape for v in clone.weights] == [(FEATURES, 7), (7,), (7, CLASSES), (CLASSES,)]
    same = models.clone_model(model, clone_function=lambda layer: layer)
    assert same.layers == model.layers
    x = jitnet.Input((FEATURES,))
    shared = layers.Dense(FEATURES)
    twice = models.Model(x, shared(shared(x)))
    seen = []
    clone = models.clone_model(twice, clone_function=lambda layer: seen.append(layer) or layers.Dense(FEATURES))
    assert seen == [shared] and len(clone.weights) == 2


def test_clones_of_models_with_their_own_call():
    clear_names()
    model = Configured(3)
    model(X)
    clone = models.clone_model(model)
    assert type(clone) is Configured and clone.units == 3 and clone.weights == []
    assert clone(X).shape == (len(X), 3)
    with pytest.raises(ValueError, match=r"has a call of its own.*Received: input_tensors=None, clone_function=<"):
        models.clone_model(model, clone_function=lambda layer: layer)


class Configured(models.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_what_clone_model_refuses():
    with pytest.raises(TypeError, match=r"clone_model expects a model\. Received: <Dense"):
        models.clone_model(layers.Dense(3))
    with pytest.raises(TypeError, match=r"must return a layer\. Received: 3 for 'hidden'"):
        models.clone_model(perceptron(), clone_function=lambda layer: 3)
    with pytest.raises(ValueError, match=r"branched has 2 inputs\. Received: 1 tensors"):
        models.clone_model(branched(), jitnet.Input((FEATURES,)))
    dense = layers.Dense(FEATURES)
    x = jitnet.Input((FEATURES,))
    assert len(models.clone_model(models.Model(x, dense(x) * dense.bias)).weights) == 2
    with pytest.raises(ValueError, match="cannot be cloned: it uses 'free' outside of its layer"):
        models.clone_model(models.Model(x, x * Variable(np.ones(FEATURES, "float32"), name="free")))
