"""What users do with models, on CUDA, emulated: the weights and the history are the CPU's."""

import numpy as np
import pytest
from cuda_cases import emulator

import jitnet
from jitnet import callbacks, layers, losses, ops, optimizers
from jitnet.layers.base import clear_names
from jitnet.targets.cuda import devices
from jitnet.utils import prune

GENERATOR = np.random.default_rng(0)
X, R = (GENERATOR.standard_normal((6, n)).astype(np.float32) for n in (4, 2))
Y = np.arange(6) % 3


def several_outputs():
    inputs = jitnet.Input((4,))
    hidden = layers.Dense(5, "tanh", kernel_regularizer="l2")(inputs)
    model = jitnet.Model(inputs, [layers.Dense(3, name="a")(hidden), layers.Dense(2, name="b")(hidden)])
    kinds = [losses.SparseCategoricalCrossentropy(from_logits=True), "mse"]
    model.compile("sgd", kinds, loss_weights=[1.0, 0.3], metrics=[["accuracy"], ["mae"]])
    return model, model.fit(X, [Y, R], batch_size=4, epochs=2, verbose=0, validation_split=0.34).history


def weighted_samples():
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3)])
    model.compile(optimizers.Adam(0.1), losses.SparseCategoricalCrossentropy(from_logits=True))
    weights = {"class_weight": {0: 2.0, 1: 0.5}, "sample_weight": np.linspace(0.5, 1, 6)}
    return model, model.fit(X, Y, batch_size=4, epochs=2, verbose=0, **weights).history


def double_precision():
    jitnet.set_floatx("float64")
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(5, "gelu"), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model, model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history


def train_step_of_ones_own():
    class Own(jitnet.Model):
        def train_step(self, data):
            x, y = data

            def loss_of_batch():
                return ops.mean(ops.square(self(x, training=True) - y))

            loss, gradients = jitnet.value_and_grad(loss_of_batch, variables=self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    inputs = jitnet.Input((4,))
    model = Own(inputs, layers.Dense(2)(layers.Dense(5, "relu")(inputs)))
    model.compile("adam")
    return model, model.fit(X, R, batch_size=3, epochs=2, verbose=0).history


def images_of_any_size():
    images = [np.random.default_rng(1).standard_normal((4, size, size, 2)).astype(np.float32) for size in (5, 4)]
    convolution = layers.Conv2D(3, 3, padding="same", activation="relu")
    model = jitnet.Sequential(
        [jitnet.Input((None, None, 2)), convolution, layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    return model, {len(x[0]): model.fit(x, R[:4], batch_size=2, verbose=0).history["loss"] for x in images}


def rates_by_epoch():
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(5), layers.BatchNormalization(), layers.Dense(2)])
    model.compile(optimizers.SGD(0.1, momentum=0.9), "mse")
    rate = callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))
    history = model.fit(X, R, batch_size=3, epochs=3, verbose=0, callbacks=[rate], validation_data=(X, R)).history
    return model, history


def little_memory():
    images = np.random.default_rng(1).standard_normal((5, 6, 6, 2)).astype(np.float32)
    parts = layers.Conv2D(3, 3, activation="relu"), layers.AveragePooling2D(), layers.Flatten()
    model = jitnet.Sequential([jitnet.Input((6, 6, 2)), *parts, layers.Dense(2, "sigmoid")])
    model.compile("adam", "binary_crossentropy", memory="low", metrics=["binary_accuracy"])
    return model, model.fit(images, (R[:5] > 0).astype(np.float32), batch_size=2, verbose=0).history


def batches_of_many_sizes():
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3)])
    model.compile("adam", "mse")
    found = [model.train_on_batch(X[:count], np.ones((count, 3), np.float32)) for count in (3, 5, 3, 6)]
    return model, {"losses": [*found, model.test_on_batch(X, np.ones((6, 3), np.float32))]}


def options_of_optimizers():
    """Norms, decay, rates of layers, slots that begin with a value; constraints, and penalties in operations."""
    found = {}
    for name, optimizer in {
        "adagrad": optimizers.Adagrad(0.1, global_clipnorm=0.2, weight_decay=0.1, gradient_accumulation_steps=2),
        "rmsprop": optimizers.RMSprop(0.1, clipnorm=0.2, learning_rate_multipliers={"first": 0.5}),
    }.items():
        first = layers.Dense(5, "tanh", kernel_constraint="max_norm", activity_regularizer="l2", name="first")
        last = layers.Dense(2, kernel_regularizer="orthogonal_regularizer", name="last")
        model = jitnet.Sequential([jitnet.Input((4,)), first, last])
        model.compile(optimizer, "mse")
        found[name] = model.fit(X, R, batch_size=3, epochs=2, verbose=0).history["loss"]
    return model, found


def eve():
    """Slots that are numbers, and the loss in the update."""
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(2)])
    model.compile(optimizers.Eve(0.1), "mse")
    return model, model.fit(X, R, batch_size=3, epochs=3, verbose=0).history


class Gated(layers.Layer):
    """A cell of a user's own, whose biases are vectors for every row."""

    state_size = 32

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 32), name="kernel")
        self.recurrent = self.add_weight((32, 32), name="recurrent")
        self.bias = self.add_weight((32,), "ones", name="bias")

    def call(self, inputs, states):
        gate = ops.sigmoid(inputs @ self.kernel + states[0] @ self.recurrent + self.bias)
        h = gate * states[0] + (1 - gate) * ops.tanh(self.bias * states[0] + gate)
        return h, [h]


def a_cell_of_ones_own():
    """Loops, sums after them, and a prediction whose sequences are short."""
    model = jitnet.Sequential([jitnet.Input((3, 2)), layers.RNN(Gated(), name="gated"), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(1).standard_normal((5, 3, 2)).astype(np.float32)
    history = model.fit(x, R[:5], batch_size=3, epochs=2, verbose=0).history
    return model, history | {"predictions": model.predict(x, verbose=0)}


def pruned_and_quantised():
    """A mask that is made after steps have run, and a prediction by integers."""
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(2)])
    model.compile(optimizers.Adam(0.1), "mse")
    model.fit(X, R, batch_size=3, verbose=0)
    prune.l1_unstructured(model.layers[-2], "kernel", 0.5)
    history = model.fit(X, R, batch_size=3, epochs=2, verbose=0).history
    assert (model.layers[-2].kernel.value == 0).sum() == 10
    model.quantize("int8")
    return model, history | {"predictions": model.predict(X, verbose=0)}


@pytest.mark.parametrize(
    "train",
    [
        a_cell_of_ones_own, pruned_and_quantised,
        options_of_optimizers, eve,
        several_outputs, weighted_samples, double_precision, train_step_of_ones_own, images_of_any_size,
        rates_by_epoch, little_memory, batches_of_many_sizes,
    ],
)  # fmt: skip
def test_training(train):
    devices.install("cuda:0", emulator(0))
    found = {}
    try:
        for device in ("cpu", "cuda"):
            jitnet.set_device(device)
            clear_names()
            jitnet.utils.set_random_seed(5)
            model, history = train()
            found[device] = [weight.numpy() for weight in model.weights], history
    finally:
        jitnet.set_device("cpu")
        devices.install("cuda:0", None)
    for ours, theirs in zip(found["cuda"][0], found["cpu"][0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for name, values in found["cpu"][1].items():
        np.testing.assert_allclose(found["cuda"][1][name], values, rtol=1e-5, err_msg=str(name))
