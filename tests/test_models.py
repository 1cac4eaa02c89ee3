"""Models behave as users of Keras expect."""

import re

import numpy as np
import pytest
from small_networks import CLASSES, FEATURES, HIDDEN, data, digest, perceptron

import jitnet
from jitnet import layers, models, ops
from jitnet.layers.base import clear_names

GENERATOR = np.random.default_rng(11)
X = GENERATOR.normal(size=(7, 5)).astype("float32")
Y = GENERATOR.integers(0, 3, 7)
IMAGES = GENERATOR.normal(size=(3, 5, 4, 2)).astype("float32")


@pytest.fixture(autouse=True)
def start_anew():
    # the same names and random streams everywhere: the same generated source, compiled once
    clear_names()
    jitnet.utils.set_random_seed(7)


def dense_pair():
    return [layers.Dense(4, activation="relu"), layers.Dense(3)]


def dense_by_numpy(x, kernel, bias):
    return x @ kernel + bias


def two_layers_by_numpy(x, weights):
    return dense_by_numpy(np.maximum(dense_by_numpy(x, *weights[:2]), 0), *weights[2:])


def assert_round_trip(model, x):
    """A model made from the configuration and given the weights predicts the same."""
    copy = type(model).from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    copy.set_weights(model.get_weights())
    ours, theirs = model.predict(x), copy.predict(x)
    for a, b in zip(*([p] if isinstance(p, np.ndarray) else p for p in (ours, theirs)), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- Sequential


def test_sequential_by_list_add_and_pop():
    model = models.Sequential([layers.Input((5,)), *dense_pair()])
    expected = two_layers_by_numpy(X, model.get_weights())
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-6)
    assert model.input_shape == (None, 5)
    assert model.output_shape == (None, 3)

    added = models.Sequential(name="sequential")
    added.add(layers.Input(shape=(5,)))
    for layer in model.layers:
        added.add(layer)
    np.testing.assert_array_equal(added.predict(X), model.predict(X))

    assert added.pop() is model.layers[1]
    assert added.output_shape == (None, 4)
    assert len(added.get_weights()) == 2
    np.testing.assert_allclose(
        added.predict(X), np.maximum(dense_by_numpy(X, *model.get_weights()[:2]), 0), rtol=1e-5, atol=1e-6
    )
    assert model.output_shape == (None, 3)  # the other model keeps the layer
    added.pop()
    with pytest.raises(ValueError, match="no layers"):
        added.pop()


@pytest.mark.parametrize("how", ["build", "predict", "fit", "call", "input_shape", "input_dim"])
def test_when_the_input_shape_becomes_known(how):
    first, last = dense_pair()
    first_layers = {"input_shape": {"input_shape": (5,)}, "input_dim": {"input_dim": 5}}
    if how in first_layers:
        first = layers.Dense(4, activation="relu", **first_layers[how])
    model = models.Sequential([first, last])
    if how not in first_layers:
        assert model.weights == []
        assert not model.built
        with pytest.raises(ValueError, match=r"not built.*Input\(shape"):
            _ = model.input_shape
    if how == "build":
        model.build((None, 5))
    elif how == "predict":
        model.predict(X)
    elif how == "call":
        model(X)
    elif how == "fit":
        model.compile("sgd", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(X, Y, batch_size=4, verbose=0)
    assert model.built
    assert [w.shape for w in model.get_weights()] == [(5, 4), (4,), (4, 3), (3,)]
    np.testing.assert_allclose(model(X), two_layers_by_numpy(X, model.get_weights()), rtol=1e-5, atol=1e-6)


def test_sizes_of_inputs_that_a_layer_does_not_take():
    with pytest.raises(ValueError, match=r"Dense takes one of both. Received: input_shape=\(5,\), input_dim=5"):
        layers.Dense(4, input_dim=5, input_shape=(5,))
    with pytest.raises(ValueError, match=r"input_dim to be a positive integer. Received: input_dim=0"):
        layers.Dense(4, input_dim=0)
    with pytest.raises(TypeError, match=r"Begin the Sequential with Input\(batch_shape=\(1, 2, 3\)\)"):
        layers.LSTM(4, batch_input_shape=(1, 2, 3))


def test_sequential_refuses():
    with pytest.raises(ValueError, match="two named 'a'"):
        models.Sequential([layers.Dense(1, name="a"), layers.Dense(2, name="a")])
    with pytest.raises(TypeError, match=r"expects layers.*Received: 3"):
        models.Sequential([3])
    with pytest.raises(ValueError, match="Input only at its start"):
        models.Sequential([layers.Dense(1), layers.Input((2,))])
    with pytest.raises(ValueError, match="has no layers"):
        models.Sequential().predict(X)


def test_names_and_get_layer():
    model = models.Sequential([layers.Input((5,)), *dense_pair()])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    assert model.get_layer("dense_1") is model.layers[1] is model.get_layer(index=1)
    with pytest.raises(ValueError, match=r"Unknown layer 'dense_2'. Did you mean"):
        model.get_layer("dense_2")


# ---- graphs of layers


def test_several_inputs_and_outputs_with_a_shared_layer():
    a, b = layers.Input((5,)), layers.Input((5,))
    shared = layers.Dense(3, use_bias=False)
    left, right = shared(a), shared(b)
    model = models.Model(inputs=[a, b], outputs=[left * 2.0 + right, layers.Concatenate()([left, right])])
    assert model.input_shape == [(None, 5), (None, 5)]
    assert model.output_shape == [(None, 3), (None, 6)]
    assert len(model.weights) == 1
    kernel = model.get_weights()[0]
    total, both = model.predict([X, X + 1])
    for found, expected in zip(model([X, X + 1]), (total, both), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(total, 2 * (X @ kernel) + (X + 1) @ kernel, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both, np.concatenate([X @ kernel, (X + 1) @ kernel], 1), rtol=1e-5, atol=1e-5)
    assert_round_trip(model, [X, X + 1])

    # plain gradient descent on 0.5 * mse(first) + 2 * mse(second): the shared kernel gets the sum of all gradients
    model.compile(jitnet.optimizers.SGD(0.25), ["mse", "mse"], loss_weights=[0.5, 2.0])
    targets = [np.ones((7, 3), "float32"), np.zeros((7, 6), "float32")]
    d_total = 0.5 * 2 * (total - targets[0]) / total.size
    d_both = 2.0 * 2 * (both - targets[1]) / both.size
    d_left, d_right = 2 * d_total + d_both[:, :3], d_total + d_both[:, 3:]
    history = model.fit([X, X + 1], targets, batch_size=7, verbose=0, shuffle=False)
    np.testing.assert_allclose(
        model.get_weights()[0], kernel - 0.25 * (X.T @ d_left + (X + 1).T @ d_right), rtol=1e-4, atol=1e-5
    )
    expected = 0.5 * np.mean((total - 1) ** 2) + 2 * np.mean(both**2)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_nested_models():
    inner = models.Sequential([layers.Input((4,)), layers.Dense(4, activation="tanh", name="hidden")], name="inner")
    x = layers.Input((5,))
    y = inner(layers.Dense(4)(x))
    model = models.Model(x, layers.Dense(2)(inner(y)) + 1.0)
    assert [layer.name for layer in model.layers] == ["input_1", "dense", "inner", "dense_1"]
    assert [w.shape for w in model.get_weights()] == [(5, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    first, first_bias, hidden, hidden_bias, last, last_bias = model.get_weights()
    z = dense_by_numpy(X, first, first_bias)
    for _ in range(2):
        z = np.tanh(dense_by_numpy(z, hidden, hidden_bias))
    np.testing.assert_allclose(model.predict(X), dense_by_numpy(z, last, last_bias) + 1, rtol=1e-5, atol=1e-6)
    assert_round_trip(model, X)
    np.testing.assert_array_equal(inner.layers[0].get_weights()[0], hidden)


def test_a_model_of_another_ones_first_layers():
    x = layers.Input((5,))
    hidden = layers.Dense(4, activation="relu")(x)
    model = models.Model(x, layers.Dense(3)(hidden))
    features = models.Model(model.inputs, hidden)
    assert features.outputs == [hidden]
    trained(model)
    expected = np.maximum(dense_by_numpy(X, *model.get_weights()[:2]), 0)
    np.testing.assert_allclose(features.predict(X), expected, rtol=1e-5, atol=1e-6)


def test_order_of_layers_is_that_of_keras():
    # from the deepest to the output; at the same distance from it, as it asks for them
    a, b = layers.Input((5,), name="a"), layers.Input((5,), name="b")
    short = layers.Dense(2, name="short")(b)
    long = layers.Dense(2, name="second")(layers.Dense(2, name="first")(a))
    left, right = layers.Dense(2, name="left")(long), layers.Dense(2, name="right")(long)
    y = layers.Concatenate(name="join")([short, right, left])
    model = models.Model([a, b], layers.Dense(1, name="last")(y * 2.0))
    names = ["a", "first", "b", "second", "short", "right", "left", "join", "last"]
    assert [layer.name for layer in model.layers] == names
    assert [v.name for v in model.weights if v.name.endswith("kernel")] == [
        f"{name}/kernel" for name in ("first", "second", "short", "right", "left", "last")
    ]


def test_graphs_that_are_wrong():
    a, b = layers.Input((5,), name="first"), layers.Input((5,), name="second")
    y = layers.Add()([a, b])
    with pytest.raises(ValueError, match=r"'second' of shape .*not among the model's inputs"):
        models.Model(a, y)
    with pytest.raises(ValueError, match="both inputs and outputs"):
        models.Model(a)
    with pytest.raises(TypeError, match="made by Input"):
        models.Model(a, 3.0)
    model = models.Model([a, b], y)
    with pytest.raises(ValueError, match=r"2 inputs.*Received: 1"):
        model.predict(X)
    with pytest.raises(ValueError, match=r"expects shape \(None, 5\).*shape=\(7, 4\)"):
        model.predict([X, X[:, :4]])
    with pytest.raises(ValueError, match=r"(None, 5).*Received: shape=\(None, 4\)"):
        model([a, layers.Input((4,))])


def test_a_graph_deeper_than_the_recursion_limit():
    x = y = layers.Input((2,))
    for _ in range(1500):
        y = layers.Activation("linear")(y)
    model = models.Model(x, y)
    assert len(model.layers) == 1501


# ---- parts of users


class OwnDense(layers.Layer):
    """relu(x @ w + b), in operations of jitnet.ops."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs):
        return ops.relu(ops.matmul(inputs, self.w) + self.b)


class OwnModel(models.Model):
    """Its own call, which knows whether it trains."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(4, activation="relu")
        self.dropout = layers.Dropout(0.5, seed=3)
        self.last = layers.Dense(3)

    def call(self, inputs, training=False):
        x = self.hidden(inputs)
        if training:
            x = self.dropout(x, training=training)
        return self.last(x)


def trained(model, **arguments):
    model.compile(
        jitnet.optimizers.SGD(0.2, momentum=0.5), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, **arguments)
    return model.get_weights()


def test_a_layer_of_ones_own_trains_like_the_built_in_one():
    built_in = models.Sequential([layers.Input((5,)), *dense_pair()])
    own = models.Sequential([layers.Input((5,)), OwnDense(4), layers.Dense(3)])
    own.set_weights(built_in.get_weights())
    before = built_in.get_weights()
    for a, b, old in zip(trained(built_in), trained(own), before, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert not np.array_equal(a, old)


def test_a_model_with_its_own_call():
    model = OwnModel()
    assert model.weights == []
    model.build_shape = None  # an attribute of the user's
    predictions = model(X)
    assert [w.shape for w in model.get_weights()] == [(5, 4), (4,), (4, 3), (3,)]
    assert [layer.name for layer in model.layers] == ["dense", "dropout", "dense_1"]
    np.testing.assert_allclose(predictions, two_layers_by_numpy(X, model.get_weights()), rtol=1e-5, atol=1e-6)

    # the equivalent model by Sequential, dropout included
    other = models.Sequential(
        [layers.Input((5,)), layers.Dense(4, activation="relu"), layers.Dropout(0.5, seed=3), layers.Dense(3)]
    )
    other.set_weights(model.get_weights())
    for a, b in zip(trained(model), trained(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X), two_layers_by_numpy(X, model.get_weights()), rtol=1e-5, atol=1e-6)
    model.summary(print_fn=lambda line: None)


def test_an_operation_of_two_compiled_functions():
    from numba import njit

    @njit
    def cube(x, y):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                y[i, j] = x[i, j] * x[i, j] * x[i, j]

    @njit
    def cube_gradient(x, y, dy, dx):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                dx[i, j] = 3 * x[i, j] * x[i, j] * dy[i, j]

    operation = ops.CustomOperation(cube, cube_gradient, name="cube")
    models_of_both = []
    for function in (operation, lambda x: x * x * x):
        x = layers.Input((5,))
        models_of_both.append(models.Model(x, layers.Dense(3)(function(layers.Dense(4)(x)))))
    custom, composed = models_of_both
    composed.set_weights(custom.get_weights())
    for a, b in zip(trained(custom), trained(composed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    with pytest.raises(TypeError, match="'cube' cannot be saved"):
        custom.get_config()


# ---- weights


def test_order_and_shapes_of_weights():
    model = models.Sequential(
        [
            layers.Input((5, 4, 2)),
            layers.BatchNormalization(),
            layers.Conv2D(6, (3, 2), groups=2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    # layer by layer, and in each what can be trained first, as in Keras
    names = [
        "batch_normalization/gamma", "batch_normalization/beta", "batch_normalization/moving_mean",
        "batch_normalization/moving_variance", "conv2d/kernel", "conv2d/bias", "dense/kernel", "dense/bias",
    ]  # fmt: skip
    assert [v.name for v in model.weights] == names
    outer = models.Sequential([layers.Input((5, 4, 2)), model, layers.Dense(1, name="outer")])
    assert [v.name for v in outer.weights] == [*names, "outer/kernel", "outer/bias"]
    for value, variable in zip(outer.get_weights(), outer.weights, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    shapes = {v.name: v.shape for v in model.weights}
    assert shapes["conv2d/kernel"] == (3, 2, 1, 6)
    assert shapes["dense/kernel"] == (54, 3)
    values = [GENERATOR.normal(size=v.shape) for v in model.layers[0].weights]
    model.layers[0].set_weights(values)
    normalization = model.layers[0]
    for attribute, value in zip(("gamma", "beta", "moving_mean", "moving_variance"), values, strict=True):
        np.testing.assert_array_equal(getattr(normalization, attribute).numpy(), value.astype("float32"))
    assert model.count_params() == 2 * 4 + 3 * 2 * 6 + 6 + 54 * 3 + 3

    with pytest.raises(ValueError, match=r"has 8 weights. Received: 2 arrays"):
        model.set_weights(values[:2])
    with pytest.raises(ValueError, match=r"gamma expects an array of shape \(2,\).*\(3,\)"):
        normalization.set_weights([np.zeros(3), *values[1:]])
    np.testing.assert_array_equal(normalization.gamma.numpy(), values[0].astype("float32"))


def frozen_model():
    return models.Sequential(
        [layers.Input((5,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)], name="frozen_model"
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_freezing(jit_compile):
    model = frozen_model()
    order = [v.shape for v in model.get_weights()]
    for layer in model.layers[:2]:
        layer.trainable = False
    assert [v.name for v in model.trainable_weights] == ["dense_1/kernel", "dense_1/bias"]
    assert [v.shape for v in model.get_weights()] == order
    before = model.get_weights()
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=jit_compile)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    # the moving statistics of a frozen BatchNormalization stand still too
    assert changed == [False] * 6 + [True, True]

    for layer in model.layers[:2]:
        layer.trainable = True
    model.compile("adam", loss, jit_compile=jit_compile)
    before = model.get_weights()
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    # the bias before a BatchNormalization has no gradient but rounding errors
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert [c for i, c in enumerate(changed) if i != 1] == [True] * 7


def test_freezing_a_whole_model():
    model = frozen_model()
    model.trainable = False
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == len(model.weights) == 8
    assert type(model).from_config(model.get_config()).trainable_weights == []
    model.trainable = True
    assert [v.name.split("/")[1] for v in model.non_trainable_weights] == ["moving_mean", "moving_variance"]


# ---- configuration and description


def test_configuration_of_a_sequential():
    model = models.Sequential(
        [
            layers.Input((5, 4, 2)),
            layers.ZeroPadding2D(((1, 0), (0, 2))),
            layers.Conv2D(3, (3, 2), strides=(2, 1), activation="relu", kernel_regularizer="l2"),
            layers.MaxPooling2D((1, 2), padding="same"),
            layers.BatchNormalization(momentum=0.5),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax", kernel_initializer=jitnet.initializers.HeNormal(seed=1)),
        ],
        name="many",
    )
    assert_round_trip(model, IMAGES)
    assert model.to_json() == type(model).from_config(model.get_config()).to_json()


def test_operations_in_a_configuration():
    x = layers.Input((5,))
    y = ops.concatenate([x * 2.0, ops.relu(x), 1.0 - x], axis=-1)
    y = ops.softmax(ops.reshape(ops.maximum(y, 0.1), (-1, 3, 5)), axis=1)
    model = models.Model(x, ops.leaky_relu(ops.transpose(y, (0, 2, 1)) - 0.2, 0.3) / 3.0)
    parts = np.concatenate([X * 2, np.maximum(X, 0), 1 - X], axis=1)
    e = np.exp(np.maximum(parts, 0.1).reshape(7, 3, 5))
    z = (e / e.sum(axis=1, keepdims=True)).transpose(0, 2, 1) - 0.2
    np.testing.assert_allclose(model.predict(X), np.where(z > 0, z, 0.3 * z) / 3, rtol=1e-5, atol=1e-6)
    assert_round_trip(model, X)


def lines_of(model, **arguments):
    lines = []
    model.summary(print_fn=lines.append, **arguments)
    return lines


def test_summary():
    model = frozen_model()
    model.layers[0].trainable = False
    assert lines_of(model) == [
        'Model: "frozen_model"',
        "Layer (type)                              Output shape  Parameters  Multiply-adds  Memory",
        "-----------------------------------------------------------------------------------------",
        "dense (Dense)                             (None, 4)             24             20    16 B",
        "batch_normalization (BatchNormalization)  (None, 4)             16              0    16 B",
        "dense_1 (Dense)                           (None, 3)             15             12    12 B",
        "-----------------------------------------------------------------------------------------",
        "Parameters: 55 (23 trainable, 32 not), 220 B",
        "A sample: 32 multiply-adds, 44 B of activations",
    ]
    for length in (96, 80, 60):
        lines = lines_of(model, line_length=length)
        assert {len(line) for line in lines[1:-2]} == {length}
    assert lines_of(model, line_length=80)[4].startswith("batch_…ion (BatchNormalization)  (None, 4)")
    assert lines_of(model, line_length=60)[4].startswith("batch_norm…  (None, 4)")


def test_positions_in_a_summary():
    model = models.Sequential([layers.Input((4,)), layers.Dense(3, name="a_long_name_of_a_layer")])
    fractions = [0.3, 0.5, 0.7, 0.9, 1.0]
    for positions, length in ((fractions, None), (fractions, 100), ([24, 40, 56, 72, 80], None)):
        lines = lines_of(model, positions=positions, line_length=length)
        assert {len(line) for line in lines[1:5]} == {length or 80}
        ends = [end if end > 1 else round(end * (length or 80)) for end in positions]
        assert lines[3][ends[1] - 2 : ends[2]].split() == ["15"] and lines[3][ends[3] :].split() == ["12", "B"]
    for bad in ([0.3, 0.6, 1.0], [0.5, 0.4, 0.6, 0.8, 1.0], 3):
        with pytest.raises(ValueError, match=r"5 columns end \(Layer \(type\), .* Received: positions="):
            model.summary(positions=bad)


def test_multiply_adds_and_memory_in_a_summary():
    x = layers.Input((6, 8))
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    shared = layers.Dense(5, name="shared")
    inner = models.Sequential([layers.Input((6, 5)), layers.LSTM(4, name="recurrent")], name="inner")
    twice = layers.Concatenate(axis=1, name="twice")([shared(x), shared(attended)])
    model = models.Model(x, inner(shared(attended)) + layers.GlobalAveragePooling1D(name="mean")(twice)[:, :4])
    lines = lines_of(model, expand_nested=True)[3:-3]
    found = {line.split()[0]: tuple(re.split(r"\s{2,}", line)[-2:]) for line in lines}
    assert found["attention"] == ("2,112", "192 B")  # 4 * 6 * 8 * 8 + 2 * 2 * 6 * 6 * 4
    assert found["shared"] == (str(3 * 6 * 8 * 5), "360 B")  # of three uses
    assert found["recurrent"] == found["inner"] == (str(6 * 16 * (5 + 4)), "16 B")
    image = layers.Input((8, 8, 4), name="image")
    y = layers.Conv2D(6, 3, groups=2, name="grouped")(image)
    y = layers.DepthwiseConv2D(3, name="depthwise")(y)
    y = layers.Conv2DTranspose(3, 2, strides=2, name="transposed")(y)
    rows = {line.split()[0]: int(line.split()[-3].replace(",", "")) for line in lines_of(models.Model(image, y))[3:-3]}
    assert rows == {"image": 0, "grouped": 36 * 6 * 9 * 2, "depthwise": 16 * 6 * 9, "transposed": 16 * 6 * 3 * 4}
    x = layers.Input((None, None, 3))
    lines = lines_of(models.Model(x, layers.Conv2D(2, 3)(x)))
    assert lines[-1].startswith("Parameters: ") and "?" in lines[4]

    class Own(models.Model):
        def __init__(self):
            super().__init__()
            self.last = layers.Dense(3)

        def call(self, inputs):
            return self.last(inputs)

    own = Own()
    own.predict(np.zeros((2, 4)), verbose=0)
    assert lines_of(own)[-1] == "A sample: 12 multiply-adds"


def test_summary_of_parts():
    parts = [layers.Input((4,)), layers.Dense(3, name="deep"), layers.ReLU(name="bend")]
    inner = models.Sequential(parts, name="inner")
    inner.trainable = False
    outer = models.Sequential([layers.Input((4,)), inner, layers.Dense(2, name="last")])
    rows = [line.split() for line in lines_of(outer, expand_nested=True, show_trainable=True)]
    assert rows[1] == ["Layer", "(type)", "Output", "shape", "Parameters", "Multiply-adds", "Memory", "Trainable"]
    assert [(row[0], row[-1]) for row in rows[3:7]] == [("inner", "no"), ("deep", "no"), ("bend", "-"), ("last", "yes")]
    assert [line.split()[0] for line in lines_of(outer, layer_range=["la.*", "last"])[3:-3]] == ["last"]
    with pytest.raises(ValueError, match="Unknown layer 'lats'"):
        outer.summary(layer_range=["inner", "lats"])
    with pytest.raises(ValueError, match=r"pair of names.*Received: layer_range='last'"):
        outer.summary(layer_range="last")


def test_inputs_and_outputs_of_models():
    pair = models.Sequential(dense_pair())
    with pytest.raises(ValueError, match="is not built"):
        pair.output  # noqa: B018
    pair.build((None, 4))
    part = models.Model(pair.inputs, [pair.layers[0].output, pair.output])
    np.testing.assert_array_equal(part.predict(X[:, :4])[1], pair.predict(X[:, :4]))
    two = models.Model({"a": layers.Input((3,), name="a"), "b": pair.input}, pair.output)
    assert set(two.input) == {"a", "b"} and two.output is pair.output


def test_an_activation_that_is_taken_away():
    model = models.Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.layers[-1].activation = None  # before the first step, as for maps of what a classifier looks at
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(X[:, :4]), X[:, :4] @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_a_last_axis_of_one_element_may_be_left_out_or_added():
    images = models.Sequential([layers.Input((4, 3, 1)), layers.Flatten(), layers.Dense(1)])
    rows = models.Sequential([layers.Input((12,)), layers.Dense(1)])
    rows.set_weights(images.get_weights())
    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(5, 4, 3)
    expected = images.predict(x[..., None])
    for found in (images.predict(x), images.predict_on_batch(x), rows.predict(x.reshape(5, 12, 1))):
        np.testing.assert_array_equal(found, expected)
    images.compile("sgd", "mse")
    assert images.evaluate(x, expected, verbose=0) == 0


def test_summary_of_a_graph():
    a, b = layers.Input((5,), name="a"), layers.Input((2, 5), name="b")
    shared = layers.Dense(3)
    model = models.Model([a, b], [shared(a) * 2.0, shared(b)], name="graph")
    assert [line.split() for line in lines_of(model)[3:-3]] == [
        ["a", "(InputLayer)", "(None,", "5)", "0", "0", "20", "B"],
        ["b", "(InputLayer)", "(None,", "2,", "5)", "0", "0", "40", "B"],
        ["dense", "(Dense)", "(None,", "3)", "(None,", "2,", "3)", "18", "45", "36", "B"],
        ["multiply", "(Binary)", "(None,", "3)", "0", "0", "12", "B"],
    ]


def test_summary_before_the_input_shape_is_known():
    lines = lines_of(models.Sequential(dense_pair()))
    assert lines[3].split() == ["dense", "(Dense)", "?", "0", "?", "?"]
    assert "Not built" in lines[-1]


@pytest.mark.parametrize(
    ("jit_compile", "expected"),
    [(True, "compiled, many to a call (jit_compile=True)"), (False, "plain, a call per region (jit_compile=False)")],
)
def test_summary_says_how_training_runs(jit_compile, expected):
    model = frozen_model()
    model.compile("sgd", "mse", jit_compile=jit_compile)
    assert lines_of(model)[-1] == f"Training step: {expected}"


def test_summary_says_how_training_runs_and_why():
    model = models.Sequential([layers.Dense(1000, use_bias=False)])
    assert not any("Training step" in line for line in lines_of(model))
    model.compile("sgd", "mse")
    assert lines_of(model)[-1] == 'Training step: chosen when the input shape is known (jit_compile="auto")'
    model.build((None, 500))
    # two products, forward and to the weights: 2 * 2 * 500 * 1000 operations a sample; 20 a weight for its update
    both = "compiled, many to a call, in batches of up to 44, else plain, a call per region"
    assert lines_of(model)[-1] == f'Training step: {both} (jit_compile="auto")'
    x, y = np.zeros((70, 500)), np.zeros((70, 1000))
    model.fit(x, y, batch_size=256, verbose=0)
    reason = 'plain, a call per region (jit_compile="auto": 150 MFLOP in a batch of 70, at least 100)'
    assert lines_of(model)[-1] == f"Training step: {reason}"
    assert model._runs_compiled(model._step("train"), 44)
    assert not model._runs_compiled(model._step("train"), 45)
    model = models.Sequential([layers.Input((4000,)), layers.Dense(10_000, use_bias=False)])
    model.compile("sgd", "mse")
    reason = 'plain, a call per region (jit_compile="auto": at least 100 MFLOP in any batch)'
    assert lines_of(model)[-1] == f"Training step: {reason}"


def test_summary_of_a_model_that_cannot_be_trained():
    model = models.Sequential([layers.Dense(1)])
    model.compile("sgd", ["mse", "mse"])
    model.build((None, 2))
    assert lines_of(model)[-1].startswith("Training step: not possible: The model has 1 outputs.")


def test_step_source():
    model = frozen_model()
    with pytest.raises(ValueError, match="needs a loss"):
        model.step_source("train")
    model.compile(jitnet.optimizers.Adam(), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    sources = {mode: model.step_source(mode) for mode in ("train", "evaluate", "infer")}
    for source in sources.values():
        compile(source, "<step>", "exec")
        assert "frozen_model" in source.splitlines()[0]
        assert "matrix_multiply" in source or "dense" in source
    assert model.step_source() == sources["train"]
    for mode, source in sources.items():
        assert ("adam_update" in source) == (mode == "train")
        assert ("_backward" in source) == (mode == "train")
        assert ("cross_entropy" in source) == (mode != "infer")
        assert ("predictions" in source) == (mode == "infer")
    assert model.step_source(fuse=False) != sources["train"]
    with pytest.raises(ValueError, match=r'"train", "evaluate" or "infer"\..* mode='):
        model.step_source("test")


def test_profile():
    model = perceptron("adam")
    x, y = data()
    lines = []
    before, bits = model.optimizer.state(), digest(model)
    rows = model.profile(x, y, batch_size=8, repeat=3, print_fn=lines.append)
    assert (model.optimizer.iterations, model.optimizer.state(), digest(model)) == (0, before, bits)
    found = {row.function: row for row in rows}
    assert "update" in found and found["update"].layer == "" and found["update"].phase == "update"
    assert found["tanh_forward"].layer == "hidden" and found["tanh_forward"].phase == "forward"
    products = [row for row in rows if "matrix_multiply" in row.function and row.phase == "forward"]
    assert [row.layer for row in sorted(products, key=lambda row: row.layer)] == ["hidden", "probabilities"]
    assert sorted(row.operations for row in products) == [8 * 2 * HIDDEN * n for n in (CLASSES, FEATURES)]
    assert found["tanh_forward"].moved == 2 * 8 * HIDDEN * 4
    assert found["gather"].moved == 2 * 8 * FEATURES * 4 + 8 * 8
    for row in rows:
        assert row.seconds > 0 and row.share >= 0 and row.limit in ("arithmetic", "memory")
        assert row.gflops == pytest.approx(row.operations / row.seconds / 1e9)
        assert row.gigabytes == pytest.approx(row.moved / row.seconds / 1e9)
    assert len(lines) == len(rows) + 3 and lines[-1].endswith("in all, batch 8")
    assert lines[-2].startswith("Peak, measured: ")
    model.fit(x, y, verbose=0)
    again = perceptron("adam")
    again.fit(x, y, verbose=0)
    assert digest(again) == digest(model)


def test_profile_of_a_prediction_and_of_nested_models():
    inner = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(HIDDEN, "tanh", name="hidden")], name="inner")
    model = jitnet.Sequential([inner, layers.BatchNormalization(name="normal"), layers.Dense(CLASSES)], name="outer")
    x, y = data()
    rows = model.profile(x, repeat=1, print_fn=lambda line: None)  # not compiled
    assert {row.phase for row in rows} == {"forward"} and "inner/hidden" in {row.layer for row in rows}
    model.compile(jitnet.optimizers.SGD(0.1, 0.9), "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    before = digest(model), model.optimizer.iterations, model.optimizer.state()
    rows = model.profile(x, y, repeat=1, print_fn=lambda line: None)
    assert digest(model) == before[0] and model.optimizer.iterations == before[1]
    for key, value in model.optimizer.state().items():
        np.testing.assert_array_equal(value, before[2][key])
    assert {"inner/hidden", "normal", "dense", ""} == {row.layer for row in rows}
    with pytest.raises(ValueError, match="repeat"):
        model.profile(x, y, repeat=0)


def test_cloning_refuses_what_it_does_not_do():
    model = jitnet.Sequential([jitnet.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"call_function must be None, .*recursive=True$"):
        models.clone_model(model, recursive=True)
