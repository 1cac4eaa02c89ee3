"""What scripts written for Keras rely on beside names, against Keras itself."""

import subprocess
import sys

import keras_cases as cases
import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

KERAS = cases.load_keras()
pytestmark = [
    pytest.mark.skipif(KERAS is None, reason="needs Keras with its torch backend"),
    pytest.mark.filterwarnings("ignore:::keras"),  # its own
]
BOTH = pytest.mark.parametrize("keras", [jitnet, KERAS], ids=["jitnet", "keras"])
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(8, 3)).astype("float32")
Y = GENERATOR.normal(size=(8, 1)).astype("float32")


def array(x):
    """What either of them returns, as an array."""
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)


def with_weights_of(model, other):
    model.set_weights([array(w) for w in other.get_weights()])
    return model


# ---- variables


@BOTH
def test_variables(keras):
    variable = keras.Variable(np.float32([1, 2]))
    variable.assign_add([1.0, 1.0])
    variable.assign_sub(np.float32([0.5, 1]))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), [1.5, 2])
    assert str(keras.Variable(1.0).dtype) == "float32" and str(keras.Variable(1, trainable=False).dtype) == "int32"
    assert str(keras.Variable(np.zeros(2, "int64"), dtype="float32").dtype) == "float32"
    ones = keras.Variable(keras.initializers.Ones(), (2, 3), name="mine", trainable=False)
    assert tuple(ones.shape) == (2, 3) and ones.name == "mine" and not ones.trainable
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ones), np.ones((2, 3)))
    zeros = keras.Variable(initializer="zeros", shape=(2,), dtype="int", trainable=False)
    assert str(zeros.dtype) == "int32" and tuple(zeros.shape) == (2,)
    with pytest.raises(ValueError, match="shape"):
        keras.Variable(keras.initializers.Ones())


def test_variables_that_cannot_be():
    with pytest.raises(ValueError, match=r"begins with an array of shape \(2,\). Received: shape=\(3,\)"):
        jitnet.Variable(np.zeros(2), shape=(3,))
    with pytest.raises(ValueError, match="begins with an array, a number or what an initializer draws"):
        jitnet.Variable(jitnet.Input((2,)))
    with pytest.raises(ValueError, match="Unknown dtype of Variable"):
        jitnet.Variable(1.0, dtype="float128")
    for given, received in ((["a", "b"], "dtype=<U1"), (None, "None"), (1j, "1j")):
        with pytest.raises(TypeError, match=rf"Variable begins with numbers\. Received: {received}$"):
            jitnet.Variable(given)


def counting(keras):
    """A layer that counts its calls and the samples' sum, and a network with a kernel that is masked before use."""

    class Counting(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(3,), trainable=False)
            self.calls = self.add_weight(initializer="zeros", shape=(), trainable=False)

        def call(self, inputs):
            self.calls.assign_add(1)
            self.total.assign_add(keras.ops.sum(inputs, axis=0))
            return inputs + self.calls

    class Masked(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def build(self, input_shape):
            self.dense.build(input_shape)

        def call(self, inputs):
            self.dense.kernel.assign(self.dense.kernel * np.float32([[1], [0], [1]]))
            return self.dense(inputs)

    return Counting(), Masked()


def test_layers_that_assign():
    found = []
    for keras in (jitnet, KERAS):
        count, masked = counting(keras)
        returned = [array(count(X[:4]))]
        model = keras.Sequential([keras.Input((3,)), count, masked])
        weights = [np.float32([1, 2, 3]), np.float32(4), np.float32([[1], [2], [3]]), np.float32([0.5])]
        model.set_weights(weights)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
        history = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        returned += [model.predict(X, batch_size=4, verbose=0), history.history["loss"]]
        found.append([*returned, *(array(w) for w in model.get_weights())])
    for mine, expected in zip(*found, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=1e-6)


def test_a_returned_variable_is_what_was_assigned():
    class Total(layers.Layer):
        def __init__(self):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(3,), trainable=False)

        def call(self, inputs):
            self.total.assign_add(ops.sum(inputs, axis=0))
            return self.total

    total = Total()
    for times in (1, 2):
        np.testing.assert_allclose(total(X), times * X.sum(0), rtol=1e-5)
    np.testing.assert_allclose(total.total.numpy(), 2 * X.sum(0), rtol=1e-5)


def test_assignments_whose_gradient_would_be_wrong_are_refused():
    class Late(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight((3, 1))

        def call(self, inputs):
            y = inputs @ self.kernel
            self.kernel.assign(ops.tanh(self.kernel) if self.depends else np.ones((3, 1), "float32") * ops.mean(y))
            return y

    for depends in (True, False):
        layer = Late()
        layer.depends = depends
        with pytest.raises(ValueError, match="is trained, and was read before it is assigned"):
            layer(X)


# ---- losses that layers add


def endpoint(keras):
    class Endpoint(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.loss = keras.losses.MeanSquaredError()

        def call(self, predictions, targets=None):
            if targets is not None:
                self.add_loss(self.loss(targets, predictions))
            return 2 * predictions

    inputs, targets = keras.Input((3,), name="inputs"), keras.Input((1,), name="targets")
    outputs = Endpoint()(keras.layers.Dense(1)(inputs), targets)
    return keras.Model([inputs, targets], outputs)


def test_a_loss_that_layers_add_is_enough():
    mine, other = endpoint(jitnet), endpoint(KERAS)
    with_weights_of(mine, other)
    data, found = {"inputs": X, "targets": Y}, []
    for model, keras in ((mine, jitnet), (other, KERAS)):
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit(data, epochs=2, batch_size=4, shuffle=False, verbose=0)
        assert sorted(history.history) == ["loss"]
        evaluated = model.evaluate(data, batch_size=4, verbose=0)
        found.append([history.history["loss"], evaluated, *(array(w) for w in model.get_weights())])
    for value, expected in zip(*found, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    history = mine.fit(data, batch_size=4, validation_data=(data, None), verbose=0)
    assert sorted(history.history) == ["loss", "val_loss"]
    loss = mine.train_on_batch(data)
    assert isinstance(loss, float)


def test_models_without_any_loss_are_refused():
    class Plain(jitnet.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    model = Plain()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"has no loss: pass one to compile.*by add_loss"):
        model.fit(X, verbose=0)


@BOTH
def test_losses_of_layers_called_on_arrays(keras):
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.01))
            self.penalty = keras.layers.ActivityRegularization(l2=0.1)

        def call(self, inputs):
            return self.penalty(self.dense(inputs))

    layer = Outer()
    assert layer.losses == []
    for _ in range(2):
        returned = array(layer(X))
    kernel = array(layer.dense.get_weights()[0])
    expected = [0.1 * np.sum(returned**2) / len(X), 0.01 * np.sum(kernel**2)]
    np.testing.assert_allclose([array(x) for x in layer.losses], expected, rtol=1e-5)


# ---- metrics that a model has


@BOTH
def test_metrics_of_a_model(keras):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    assert model.metrics == []
    model.compile("sgd", "mse")
    assert [metric.name for metric in model.metrics] == ["loss"]
    model.compile("sgd", "mse", metrics=["mae"])
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics"]
    logs = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0).history
    found = model.get_metrics_result()
    assert list(found) == ["loss", "mae"]
    np.testing.assert_allclose(float(found["mae"]), logs["val_mae"][-1], rtol=1e-6)
    model.fit(X, Y, verbose=0)
    model.reset_metrics()
    assert float(model.metrics[0].result()) == 0


def looping(keras):
    """A model whose test_step goes through its metrics, as Keras's guide does."""

    class Looping(keras.Model):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self.unused = keras.metrics.Mean(name="unused")

        def test_step(self, data):
            x, y = data
            y_pred = self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                elif metric.name != "unused":
                    metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    inputs = keras.Input((3,))
    model = Looping(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    return model


def test_a_step_that_goes_through_the_metrics():
    mine, other = looping(jitnet), looping(KERAS)
    with_weights_of(mine, other)
    found, expected = (model.evaluate(X, Y, batch_size=4, return_dict=True, verbose=0) for model in (mine, other))
    assert sorted(found) == sorted(expected) == ["loss", "mae", "root_mean_squared_error", "unused"]
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
    with pytest.raises(ValueError, match=r"are updated in a train_step or test_step\."):
        mine.metrics[1].update_state(Y, Y)


def counting_metrics(keras, where):
    """A model that updates metrics when it, or a layer in it, is called."""

    class Watched(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = keras.metrics.Mean(name="mean_of_inputs")

        def call(self, inputs):
            self.mean.update_state(keras.ops.mean(inputs))
            return inputs

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.Sequential([keras.layers.Dense(1)])
            self.size = keras.metrics.Mean(name="size")
            self.body.build((None, 3))

        def call(self, inputs):
            outputs = self.body(inputs)
            self.size.update_state(keras.ops.square(outputs))
            return outputs

    if where == "model":
        return Own()
    return keras.Sequential([keras.Input((3,)), Watched(), keras.layers.Dense(1)])


@pytest.mark.parametrize("where", ["layer", "model"])
@pytest.mark.parametrize("loss", ["mse", None])
def test_metrics_that_calls_update(where, loss):
    mine, other = counting_metrics(jitnet, where), counting_metrics(KERAS, where)
    with_weights_of(mine, other)
    found = []
    for model, keras in ((mine, jitnet), (other, KERAS)):
        model.compile("sgd", loss, metrics=["mae"])
        if loss is None:  # penalties are a loss, too
            dense = model.layers[-1] if where == "layer" else model.body.layers[0]
            dense.kernel.regularizer = keras.regularizers.L2(0.1)
        history = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, validation_data=(X, Y), verbose=0).history
        found.append({**history, "evaluated": model.evaluate(X, Y, batch_size=4, verbose=0)})
    mine, other = found
    assert sorted(mine) == sorted(other) and ("mean_of_inputs" if where == "layer" else "val_size") in mine
    for name, values in other.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-5, err_msg=name)


@BOTH
def test_a_metric_is_of_arrays_again_after_a_call(keras):
    model = counting_metrics(keras, "model")
    model(X)
    model.size.reset_state()
    model.size.update_state([3.0, 5.0])
    assert float(model.size.result()) == 4 and [metric.name for metric in model.metrics] == ["size"]


# ---- what a user's own parts are given

LABELS = np.arange(8) % 3


def own_losses(keras):
    class Own(keras.losses.Loss):
        def call(self, y_true, y_pred):
            labels = keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,))
            return keras.ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)

    def function(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    def of_rows(y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    return Own(), function, of_rows


@pytest.mark.parametrize(
    "which, targets, metrics",
    [
        (0, LABELS, ["accuracy", "sparse_categorical_accuracy"]),
        (0, LABELS[:, None], ["accuracy", "sparse_categorical_accuracy"]),
        (1, LABELS, ["accuracy", "sparse_categorical_accuracy"]),
        (1, LABELS[:, None], ["accuracy", "sparse_categorical_accuracy"]),
        (2, np.eye(3)[LABELS], ["accuracy", "categorical_accuracy"]),
    ],
)
def test_accuracies_beside_a_loss_of_ones_own(which, targets, metrics):
    """Such a loss doesn't say whether targets are labels: their shape does."""
    models = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)]) for keras in (jitnet, KERAS)]
    with_weights_of(*models)
    found = []
    for model, keras in zip(models, (jitnet, KERAS), strict=True):
        model.compile("sgd", own_losses(keras)[which], metrics=metrics)
        history = model.fit(X, targets, batch_size=4, shuffle=False, validation_data=(X, targets), verbose=0).history
        found.append(history)
    mine, other = found
    assert sorted(mine) == sorted(other)
    for name, values in other.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-5, err_msg=name)


@BOTH
def test_an_accuracy_without_a_loss(keras):
    class Judged(keras.Model):
        def test_step(self, data):
            x, y = data
            return self.compute_metrics(x, y, self(x, training=False), None)

    inputs = keras.Input((3,))
    model = Judged(inputs, keras.layers.Dense(3)(inputs))
    model.set_weights([np.eye(3), np.zeros(3)])
    model.compile("sgd", metrics=["accuracy"])
    expected = np.mean(X.argmax(1) == LABELS)
    assert float(model.evaluate(X, LABELS, verbose=0, return_dict=True)["accuracy"]) == pytest.approx(expected)


@BOTH
def test_stacked_cells_of_ones_own_get_lists_of_states(keras):
    class Sum(keras.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.state_size = units

        def call(self, inputs, states):
            new = states[0] + inputs
            return new, [new]

    sequences = np.arange(24, dtype="float32").reshape(2, 4, 3)
    outputs = array(keras.layers.RNN([Sum(3), Sum(3)])(sequences))
    np.testing.assert_allclose(outputs, sequences.cumsum(1).cumsum(1)[:, -1])


def test_a_mask_for_all_samples_of_arrays():
    """(1, queries, keys), as Keras's attention takes it."""
    x, mask = GENERATOR.normal(size=(2, 3, 4)).astype("float32"), np.tril(np.ones((1, 3, 3), bool))
    mine, other = (keras.layers.MultiHeadAttention(2, 2) for keras in (jitnet, KERAS))
    expected = array(other(x, x, attention_mask=mask))
    mine(x, x)
    found = with_weights_of(mine, other)(x, x, attention_mask=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="needs the same number of samples in each"):
        mine(x, x, attention_mask=np.ones((3, 3, 3), bool))


@BOTH
def test_steps_make_batches_of_arrays(keras):
    """Without a batch size, as many samples to a step as make that many steps."""
    x, y = np.ones((60, 3), "float32"), np.ones((60, 1), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, steps_per_epoch=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 8
    assert model.predict(x, steps=3, verbose=0).shape == (60, 1)
    assert model.predict(x, steps=3, batch_size=10, verbose=0).shape == (30, 1)
    weights = np.zeros(60)
    weights[59] = 60
    assert model.evaluate(x, y + 5, steps=2, sample_weight=weights, verbose=0) > 0
    logs = model.fit(x, y, validation_data=(x, y + 5, weights), validation_steps=2, verbose=0).history
    assert logs["val_loss"][0] > 0


# ---- small things of layers and models


@BOTH
def test_the_policy_by_its_older_names(keras):
    keras.mixed_precision.set_global_policy("float64")
    try:
        assert keras.layers.Dense(1).dtype == "float64"
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert getattr(keras.mixed_precision.global_policy(), "name", keras.mixed_precision.global_policy()) == "float32"


@BOTH
def test_names_of_dtypes(keras):
    backend = keras.backend
    for dtype, name in {"int": "int32", None: "float32", float: "float32", np.int64: "int64", "bool": "bool"}.items():
        assert backend.standardize_dtype(dtype) == name
    assert backend.standardize_dtype(np.dtype("float64")) == "float64"
    assert backend.is_float_dtype("bfloat16") and not backend.is_float_dtype("int32")
    assert backend.is_int_dtype("uint8") and not backend.is_int_dtype(np.zeros(1).dtype)


def test_what_is_computed_of_variables_has_no_value():
    total = ops.sum(ops.square(jitnet.Variable([1.0, 2.0])))
    with pytest.raises(
        TypeError, match=r"computed of variables, whenever a step runs: .* compute it of variable\.numpy"
    ):
        float(total)
    with pytest.raises(TypeError, match=r"symbolic and cannot become a NumPy array"):
        np.asarray(jitnet.Input((2,)) + 1)


def test_policies_are_names():
    with pytest.raises(AttributeError, match="A policy is its name, a string"):
        jitnet.mixed_precision.Policy("float32")


@BOTH
def test_small_attributes(keras):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="first")])
    assert model.layers[0].kernel.path.endswith("first/kernel")
    assert model.layers[0].compute_dtype == model.layers[0].variable_dtype == "float32"
    assert type(keras.metrics.get("accuracy")).__name__ == "Accuracy"
    assert not model.compiled
    model.compile("sgd", "mse")
    assert model.compiled and float(keras.Variable(2.5)) == 2.5
    with pytest.raises(ValueError, match="7"):
        model.get_layer(index=7)
    with pytest.raises(ValueError, match="name"):
        model.get_layer()


# ---- building before there are data


def own_call(builds=False):
    class Own(jitnet.Model):
        def __init__(self):
            super().__init__()
            self.body = jitnet.Sequential([layers.Dense(4), layers.Dense(2)])

        def call(self, inputs, training=None):
            return self.body(inputs)

    class Builds(Own):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
            super().build(input_shape)

        def call(self, inputs, training=None):
            return super().call(inputs * self.factor)

    return Builds() if builds else Own()


@pytest.mark.parametrize("builds", [False, True])
def test_a_model_of_an_own_class_is_built_from_a_shape(builds):
    model = own_call(builds)
    model.build((None, 3))
    assert model.built and model.count_params() == 26 + 3 * builds
    weights = [np.full(w.shape, 0.5, "float32") for w in map(array, model.get_weights())]
    model.set_weights(weights)
    expected = (X.sum(1) * (0.5 if builds else 1) * 0.5 + 0.5) * 4 * 0.5 + 0.5
    np.testing.assert_allclose(model.predict(X, verbose=0)[:, 0], expected, rtol=1e-5)


def test_a_model_that_cannot_be_built():
    with pytest.raises(ValueError, match=r"needs an input shape, with None for the batch. Received: input_shape=None"):
        own_call().build()
    with pytest.raises(ValueError, match=r"expects shape to be an integer from 0 up\. Received: shape=3.5"):
        own_call().build((None, 3.5))
    with pytest.raises(ValueError, match=r"is a tuple of integers, with None for the batch\. Received: shape=3"):
        own_call().build(3)


@BOTH
def test_layers_around_layers_are_built_from_a_shape(keras):
    layer = keras.layers.Bidirectional(keras.layers.LSTM(4))
    layer.build((None, 5, 3))
    assert [tuple(w.shape) for w in layer.weights] == 2 * [(3, 16), (4, 16), (16,)]
    layer = keras.layers.TimeDistributed(keras.layers.Dense(4))
    layer.build((None, 5, 3))
    before = [array(w) for w in layer.get_weights()]
    outputs = array(layer(np.ones((2, 5, 3), "float32")))
    np.testing.assert_allclose(outputs[0, 0], before[0].sum(0), rtol=1e-5)


@BOTH
def test_a_shape_that_was_asked_for_is_no_use(keras):
    layer = keras.layers.Dense(4)
    assert layer.compute_output_shape((None, 3)) == (None, 4)
    inputs = keras.Input((3,))
    layer(inputs)
    assert keras.Model(inputs, layer.output).output_shape == (None, 4)


def test_a_model_of_several_inputs_is_built_from_their_shapes():
    class Pair(jitnet.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.lstm = layers.Dense(3), layers.LSTM(2)

        def call(self, inputs):
            return {"a": self.dense(inputs["a"]), "b": self.lstm(inputs["b"])}

    model = Pair()
    model.build({"a": (None, 4), "b": (None, None, 5)})
    assert model.input_shape == {"a": (None, 4), "b": (None, None, 5)} and model.input_names == ["a", "b"]
    assert model.output_shape == {"a": (None, 3), "b": (None, 2)}
    found = model.predict({"a": np.ones((2, 4)), "b": np.ones((2, 7, 5))}, verbose=0)
    assert found["b"].shape == (2, 2)


# ---- models, shapes and targets


@BOTH
def test_custom_objects_of_a_configuration(keras):
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Twice()(inputs))
    copy = keras.Model.from_config(model.get_config(), custom_objects={"Twice": Twice})
    np.testing.assert_allclose(copy.predict(X, verbose=0), 2 * X)
    line = keras.Sequential([keras.Input((3,)), Twice()])
    copy = keras.Sequential.from_config(line.get_config(), custom_objects={"Twice": Twice})
    np.testing.assert_allclose(copy.predict(X, verbose=0), 2 * X)


@BOTH
def test_a_last_axis_of_one_element_within_models(keras):
    flat, image = keras.Input((4,)), keras.Input((4, 1))
    inner = keras.Model(image, keras.layers.Flatten()(image))
    assert tuple(keras.Model(flat, inner(flat)).output_shape) == (None, 4)
    pictures, one = keras.Input((2, 2)), keras.Input((2, 2, 1))
    inner = keras.Model(pictures, keras.layers.Flatten()(pictures))
    assert tuple(keras.Model(one, inner(one)).output_shape) == (None, 4)


def latents(keras):
    class Latents(keras.Model):
        """The same learned rows beside every sample."""

        def __init__(self):
            super().__init__()
            rows, x = keras.Input((2, 3), name="rows"), keras.Input((3,), name="x")
            product = keras.layers.Dot(axes=(2, 1))([rows, x])
            self.inner = keras.Model({"rows": rows, "x": x}, product)

        def build(self, input_shape):
            self.rows = self.add_weight(shape=(2, 3), initializer="ones")
            self.built = True

        def call(self, inputs):
            return self.inner({"rows": keras.ops.expand_dims(self.rows, 0), "x": inputs})

    return Latents()


def test_an_input_that_is_the_same_for_all_samples():
    model = latents(jitnet)
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((8, 2)), epochs=2, verbose=0)
    rows = model.rows.numpy()
    assert np.abs(rows - 1).max() > 1e-3
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ rows.T, rtol=1e-5, atol=1e-6)


@BOTH
@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_targets_with_a_last_axis_of_one_element_more_or_less(keras, loss):
    image = np.abs(X[:4, :2, None, None])  # (4, 2, 1, 1)
    inputs = keras.Input((2, 1, 1))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(inputs))
    model.compile("sgd", loss)
    targets = (Y[:4] > 0).astype("float32") * np.ones((4, 2), "float32")
    found = [model.evaluate(image, y, verbose=0) for y in (targets[..., None], targets[..., None, None])]
    assert found[0] == pytest.approx(found[1])


def test_automatic_names_begin_anew_in_every_process():
    code = "from jitnet import layers; print(layers.Dense(1).name, layers.LSTM(2).name, layers.Dense(1).name)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["dense", "lstm", "dense_1"]


@BOTH
def test_the_default_optimizer(keras):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    assert type(model.optimizer).__name__ == "RMSprop"


@BOTH
@pytest.mark.parametrize("batches", [False, True])
def test_callbacks_see_the_outputs_of_a_prediction(keras, batches):
    class Outputs(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(array(logs["outputs"]))

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return (X[5 * index : 5 * index + 5],)

    seen = []
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    data = {"x": Batches()} if batches else {"x": X, "batch_size": 5}
    found = model.predict(**data, callbacks=[Outputs()], verbose=0)
    assert [len(part) for part in seen] == [5, 3]
    np.testing.assert_array_equal(np.concatenate(seen), found)


def test_loading_a_model_with_a_compile_of_its_own(tmp_path):
    @jitnet.saving.register_keras_serializable("habits")
    class Own(jitnet.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

        def compile(self, optimizer, criterion):
            super().compile(optimizer, criterion)

    model = Own()
    model.compile("sgd", criterion="mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "own.safetensors")
    with pytest.warns(UserWarning, match="has a compile of its own"):
        loaded = jitnet.load_model(tmp_path / "own.safetensors")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(ValueError, match="needs a loss before fit"):
        loaded.fit(X, Y)


# ---- functions


@BOTH
def test_axes_as_lists(keras):
    x = GENERATOR.normal(size=(2, 3, 4)).astype("float32")
    for name in ("sum", "mean", "max", "min"):
        found = array(getattr(keras.ops, name)(x, axis=[-1, 0]))
        np.testing.assert_allclose(found, getattr(np, name)(x, axis=(-1, 0)), rtol=1e-6)


def test_taking_of_all_elements():
    table = np.arange(6, dtype="float32").reshape(2, 3)
    variable = jitnet.Variable(table)
    model = jitnet.Sequential([jitnet.Input((2,), dtype="int64"), layers.Lambda(lambda x: ops.take(variable, x))])
    indices = np.array([[0, 5], [3, 1]])
    np.testing.assert_array_equal(model.predict(indices, verbose=0), np.take(table, indices))
    with pytest.raises(ValueError, match="with a batch axis needs an axis"):
        ops.take(jitnet.Input((2,)), [0])


def test_ctc_loss_of_outputs_of_unequal_length():
    logits = GENERATOR.normal(size=(3, 7, 5)).astype("float32")
    labels, lengths = np.array([[1, 2, 2], [4, 3, 1], [2, 0, 0]]), np.array([3, 2, 1], "int32")
    steps = np.array([7, 5, 2], "int32")
    expected = array(KERAS.ops.ctc_loss(labels, logits, lengths, steps))
    np.testing.assert_allclose(ops.ctc_loss(labels, logits, lengths, steps), expected, rtol=1e-5)

    def mean(x, labels, steps):
        return ops.mean(ops.ctc_loss(labels, x, None, steps))

    _, gradient = jitnet.value_and_grad(mean)(logits, labels, steps)
    assert np.all(gradient[1, 5:] == 0) and np.all(gradient[2, 2:] == 0) and np.all(np.abs(gradient[0]) > 0)


@pytest.mark.parametrize("strategy", ["greedy", "beam_search"])
@pytest.mark.parametrize("mask_index", [0, 3])
def test_ctc_decode(strategy, mask_index):
    x = np.random.default_rng(3).normal(size=(3, 6, 4)).astype("float32") * 2
    x[0, 2] = x[0, 1]  # a repeated label
    lengths = np.array([6, 4, 1])
    options = {"strategy": strategy, "mask_index": mask_index}
    options |= {"top_paths": 2, "beam_width": 40} if strategy == "beam_search" else {}
    labels, scores = ops.ctc_decode(x, lengths, **options)
    expected, expected_scores = (array(part) for part in KERAS.ops.ctc_decode(x, lengths, **options))
    assert labels.dtype == np.int32 and labels.shape == expected.shape
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4)
    unmerged, _ = ops.ctc_decode(x, lengths, merge_repeated=False, mask_index=mask_index)
    greedy, _ = ops.ctc_decode(x, lengths, mask_index=mask_index)
    assert np.sum(unmerged >= 0) > np.sum(greedy >= 0)


def test_ctc_decode_refuses():
    with pytest.raises(ValueError, match='expects the strategy "greedy" or "beam_search"'):
        ops.ctc_decode(np.zeros((1, 2, 3)), [2], strategy="best")
    with pytest.raises(ValueError, match="decode what predict returns"):
        ops.ctc_decode(jitnet.Input((2, 3)), [2])
