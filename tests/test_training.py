"""fit, evaluate, predict and the steps on single batches, against NumPy and PyTorch."""

import _thread
import math
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from small_networks import CLASSES, SAMPLES, WEIGHTS, Reference, convolutional, data, images, initial_weights
from small_networks import perceptron as network
from small_networks import two_outputs as outputs_network

import jitnet
from jitnet import callbacks, layers, optimizers
from jitnet.optimizers.schedules import ExponentialDecay

BOTH_MODES = pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
BATCH = 4  # of 9 samples: the last batch has one
X, Y = data()
VALIDATION_X, VALIDATION_Y = data(5)


def momentum():
    return optimizers.SGD(0.3, momentum=0.9)


def perceptron(optimizer=None, jit_compile=False, **arguments):
    return network(optimizer or momentum(), jit_compile, **arguments)


def assert_weights(model, expected, rtol=2e-5):
    for name, ours, theirs in zip(WEIGHTS, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max(), err_msg=name)


def batches(samples=SAMPLES, size=BATCH):
    return [slice(begin, min(begin + size, samples)) for begin in range(0, samples, size)]


class WeightsOfEveryStep(callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


# ---- what fit reports


@BOTH_MODES
def test_history_is_the_mean_over_the_samples_of_an_epoch(jit_compile):
    model = perceptron(jit_compile=jit_compile)
    validation = (VALIDATION_X, VALIDATION_Y)
    history = model.fit(X, Y, BATCH, epochs=2, verbose=0, shuffle=False, validation_data=validation).history

    reference = Reference()
    velocity = [np.zeros_like(w) for w in reference.weights]
    expected = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for _ in range(2):
        losses, hits = [], []
        for batch in batches():
            values, right = reference.losses(X[batch], Y[batch])
            losses.extend(values)
            hits.extend(right)
            for i, gradient in enumerate(reference.gradients(X[batch], Y[batch])):
                velocity[i] = 0.9 * velocity[i] - 0.3 * gradient
                reference.weights[i] = reference.weights[i] + velocity[i]
        values, right = reference.losses(*validation)
        for name, value in zip(expected, (losses, hits, values, right), strict=True):
            expected[name].append(np.mean(value))
    assert list(history) == list(expected)
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=2e-5, err_msg=name)
    assert_weights(model, reference.weights)
    assert model.optimizer.iterations == 6


@BOTH_MODES
def test_evaluation_of_the_same_data(jit_compile):
    model = perceptron(jit_compile=jit_compile)
    values, right = Reference().losses(X, Y)
    expected = [values.mean(), right.mean()]
    for batch_size in (1, BATCH, 32):
        np.testing.assert_allclose(model.evaluate(X, Y, batch_size, verbose=0), expected, rtol=2e-5)
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(found) == ["loss", "accuracy"] and all(type(v) is float for v in found.values())
    assert_weights(model, initial_weights())
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(values.mean())


def test_predictions():
    model = perceptron()
    expected = Reference().forward(X)[1]
    for batch_size in (1, BATCH, None):
        np.testing.assert_allclose(model.predict(X, batch_size, verbose=0), expected, rtol=2e-5)
    np.testing.assert_allclose(model.predict_on_batch(X[:2]), expected[:2], rtol=2e-5)


def test_steps_on_single_batches():
    model, reference = perceptron(), Reference()
    values, right = reference.losses(X, Y)
    expected = [values.mean(), right.mean()]
    np.testing.assert_allclose(model.test_on_batch(X, Y), expected, rtol=2e-5)
    # the loss and the accuracy before the step, as in Keras
    np.testing.assert_allclose(model.train_on_batch(X, Y), expected, rtol=2e-5)
    stepped = [w - 0.3 * g for w, g in zip(reference.weights, reference.gradients(X, Y), strict=True)]
    assert_weights(model, stepped)
    reference.weights = stepped
    values, right = reference.losses(X[:1], Y[:1])
    found = model.train_on_batch(X[:1], Y[:1], return_dict=True)
    assert found == pytest.approx({"loss": values.mean(), "accuracy": right.mean()}, rel=2e-5)
    assert model.optimizer.iterations == 2


# ---- which samples


@BOTH_MODES
def test_sample_weight_and_class_weight(jit_compile):
    weights = np.random.default_rng(1).uniform(0, 2, SAMPLES)
    by_class = {0: 0.5, 2: 3}
    both = weights * np.array([0.5, 1.0, 3.0])[Y]
    for given, arguments in (
        (weights, {"sample_weight": weights}),
        (np.array([0.5, 1.0, 3.0])[Y], {"class_weight": by_class}),
        (both, {"sample_weight": weights, "class_weight": by_class}),
    ):
        model, reference = perceptron(jit_compile=jit_compile), Reference()
        values, right = reference.losses(X, Y)
        history = model.fit(X, Y, SAMPLES, verbose=0, **arguments).history
        # the mean divides by the number of samples, as in Keras; metrics take no weights
        np.testing.assert_allclose(history["loss"], [(values * given).mean()], rtol=2e-5)
        assert history["accuracy"] == pytest.approx([right.mean()])
        gradients = reference.gradients(X, Y, given)
        assert_weights(model, [w - 0.3 * g for w, g in zip(reference.weights, gradients, strict=True)])
    model = perceptron()
    assert model.evaluate(X, Y, verbose=0, sample_weight=weights)[0] == pytest.approx((values * weights).mean())
    held = model.fit(
        X, Y, verbose=0, validation_data=(X, Y, weights), callbacks=callbacks.LambdaCallback()
    ).history["val_loss"][0]
    assert held == pytest.approx(model.evaluate(X, Y, verbose=0, sample_weight=weights)[0])


def frozen():
    """A model whose weights do not move, so that its losses tell which samples it saw."""
    return perceptron(optimizers.SGD(0.0, momentum=0.9))


def test_validation_split_is_the_last_part_before_shuffling():
    values, _ = Reference().losses(X, Y)
    weights = np.arange(1.0, 10.0)
    for arguments, scale in (({}, 1), ({"sample_weight": weights}, weights)):
        history = frozen().fit(X, Y, BATCH, epochs=2, verbose=0, validation_split=0.3, **arguments).history
        # int(9 * 0.7) = 6 samples are trained on
        np.testing.assert_allclose(history["loss"], [(values * scale)[:6].mean()] * 2, rtol=2e-5)
        np.testing.assert_allclose(history["val_loss"], [(values * scale)[6:].mean()] * 2, rtol=2e-5)


def test_validation_data_win_over_validation_split():
    values, _ = Reference().losses(X, Y)
    history = frozen().fit(X, Y, verbose=0, validation_split=0.3, validation_data=(X[:2], Y[:2])).history
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], [values.mean(), values[:2].mean()], rtol=2e-5)


@pytest.mark.parametrize("batches", [False, True])
def test_validation_after_the_epochs_of_a_list(batches):
    given = (iter([(X, Y)] * 5),) if batches else (X, Y)
    seen = []
    logs = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("val_loss" in logs))
    options = {"steps_per_epoch": 1} if batches else {}
    frozen().fit(
        *given, epochs=5, verbose=0, validation_data=(X, Y), validation_freq=[1, 4], callbacks=[logs], **options
    )
    assert seen == [True, False, False, True, False]


def test_validation_freq_counts_epochs_from_one():
    history = frozen().fit(X, Y, epochs=5, verbose=0, validation_data=(X, Y), validation_freq=2).history
    assert [len(history[name]) for name in ("loss", "val_loss", "val_accuracy")] == [5, 2, 2]


class OrderOfSamples(callbacks.Callback):
    """Which sample every step of batch size 1 saw, told by its loss."""

    def __init__(self):
        super().__init__()
        self.values = Reference().losses(X, Y)[0]
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append([])
        self.sum = 0.0

    def on_train_batch_end(self, batch, logs=None):
        value = logs["loss"] * (batch + 1) - self.sum
        self.sum += value
        self.epochs[-1].append(int(np.abs(self.values - value).argmin()))


def order_of_samples(**arguments):
    seen = OrderOfSamples()
    frozen().fit(X, Y, batch_size=1, epochs=3, verbose=0, callbacks=seen, **arguments)
    return seen.epochs


def test_shuffling():
    straight = list(range(SAMPLES))
    assert order_of_samples(shuffle=False) == [straight] * 3
    shuffled = order_of_samples()
    assert all(sorted(epoch) == straight for epoch in shuffled)
    assert len({tuple(epoch) for epoch in [*shuffled, straight]}) == 4
    jitnet.utils.set_random_seed(0)
    assert order_of_samples() == shuffled
    jitnet.utils.set_random_seed(1)
    assert order_of_samples() != shuffled


def test_steps_per_epoch_ends_every_epoch_early():
    values, _ = Reference().losses(X, Y)
    model = frozen()
    history = model.fit(X, Y, BATCH, epochs=2, verbose=0, shuffle=False, steps_per_epoch=2).history
    np.testing.assert_allclose(history["loss"], [values[:8].mean()] * 2, rtol=2e-5)
    assert model.optimizer.iterations == 4


@BOTH_MODES
def test_a_batch_larger_than_the_data_is_the_whole_data(jit_compile):
    model, reference = perceptron(jit_compile=jit_compile), Reference()
    model.fit(X, Y, batch_size=1000, verbose=0)
    gradients = reference.gradients(X, Y)
    assert_weights(model, [w - 0.3 * g for w, g in zip(reference.weights, gradients, strict=True)])
    assert model.optimizer.iterations == 1


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "convert",
    [
        read_only,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        np.asfortranarray,
        lambda a: a.astype("float64"),
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: a.tolist(),
        lambda a: (a,) if a.ndim == 2 else a,
    ],
    ids=["read-only", "strided", "Fortran order", "float64", "other byte order", "nested lists", "tuple of inputs"],
)
def test_any_kind_of_array_gives_the_same_bits(convert):
    x = np.round(X * 8)  # whole numbers, which every dtype holds
    expected = perceptron()
    expected.fit(x, Y, BATCH, verbose=0)
    model = perceptron()
    given = convert(x)
    model.fit(given, convert(Y), BATCH, verbose=0, sample_weight=convert(np.ones(SAMPLES)))
    np.testing.assert_array_equal(given[0] if isinstance(given, tuple) else given, x)
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(model.predict(given, verbose=0), expected.predict(x, verbose=0))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "bool"])
def test_integer_and_narrow_inputs(dtype):
    x = (np.abs(X) * 2).astype(dtype)
    expected, model = perceptron(), perceptron()
    expected.fit(x.astype("float32"), Y[:, None].astype("float64"), verbose=0)
    model.fit(x, Y.astype("uint8"), verbose=0)
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- epochs, callbacks, output


def test_initial_epoch_and_epochs():
    model = frozen()
    assert model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(X, Y, epochs=np.int64(1), verbose=0).epoch == [0]
    assert model.fit(X, Y, epochs=2, initial_epoch=2, verbose=0).epoch == []
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    history = model.fit(X, Y, verbose=0)
    assert model.history is history and isinstance(history, callbacks.History)


class Recorder(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []


def recorded(hook):
    def method(self, *arguments):
        *index, logs = arguments
        self.calls.append((hook.removeprefix("on_"), *index, *sorted(logs or {})))

    return method


for _name in [name for name in vars(callbacks.Callback) if name.startswith("on_")]:
    setattr(Recorder, _name, recorded(_name))

RESULTS = ("accuracy", "loss")
VALIDATED = ("accuracy", "loss", "val_accuracy", "val_loss")


@BOTH_MODES
def test_order_of_the_hooks(jit_compile):
    recorder, again = Recorder(), Recorder()
    model = perceptron(jit_compile=jit_compile)
    model.fit(X[:5], Y[:5], BATCH, verbose=0, callbacks=[recorder, again], validation_data=(X[:1], Y[:1]))
    validation = [("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0, *RESULTS), ("test_end", *RESULTS)]
    assert recorder.calls == again.calls == [
        ("train_begin",),
        ("epoch_begin", 0),
        ("train_batch_begin", 0),
        ("train_batch_end", 0, *RESULTS),
        ("train_batch_begin", 1),
        ("train_batch_end", 1, *RESULTS),
        *validation,
        ("epoch_end", 0, *VALIDATED),
        ("train_end", *VALIDATED),
    ]
    assert recorder.model is model
    assert recorder.params == {"epochs": 1, "steps": 2, "verbose": 0}
    recorder.calls.clear()
    model.evaluate(X[:1], Y[:1], callbacks=recorder, verbose=0)
    assert recorder.calls == validation
    recorder.calls.clear()
    model.predict(X[:5], BATCH, callbacks=[recorder], verbose=0)
    keys = {"begin": (), "end": ("outputs",)}
    batch_hooks = [(f"predict_batch_{when}", i, *logs) for i in range(2) for when, logs in keys.items()]
    assert recorder.calls == [("predict_begin",), *batch_hooks, ("predict_end",)]


def test_logs_at_a_batch_are_the_means_so_far():
    found = []
    note = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: found.append(logs["loss"]))
    frozen().fit(X, Y, BATCH, verbose=0, shuffle=False, callbacks=note)
    values, _ = Reference().losses(X, Y)
    np.testing.assert_allclose(found, [values[:4].mean(), values[:8].mean(), values.mean()], rtol=2e-5)


@BOTH_MODES
def test_batch_hooks_do_not_change_the_bits(jit_compile):
    model, watched = perceptron(jit_compile=jit_compile), perceptron(jit_compile=jit_compile)
    model.fit(X, Y, BATCH, epochs=2, verbose=0)
    watched.fit(X, Y, BATCH, epochs=2, verbose=0, callbacks=Recorder())
    for ours, theirs in zip(model.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_stop_training():
    model = perceptron()

    def stop(when, at):
        def hook(index, logs):
            model.stop_training = index == at

        return callbacks.LambdaCallback(**{when: hook})

    history = model.fit(X, Y, BATCH, epochs=5, verbose=0, callbacks=stop("on_epoch_end", 1))
    assert history.epoch == [0, 1] and model.stop_training
    # from a batch-level hook, the rest of the epoch is left out, and its means are over the samples seen
    values, _ = Reference().losses(X, Y)
    model = frozen()
    recorder = Recorder()
    stopping = [stop("on_train_batch_end", 1), recorder]
    history = model.fit(X, Y, BATCH, epochs=5, verbose=0, shuffle=False, callbacks=stopping, validation_data=(X, Y))
    assert history.epoch == [0] and model.optimizer.iterations == 2
    np.testing.assert_allclose(history.history["loss"], values[:8].mean(), rtol=2e-5)
    np.testing.assert_allclose(history.history["val_loss"], values.mean(), rtol=2e-5)
    assert recorder.calls[-1] == ("train_end", *VALIDATED)
    # the next run starts anew
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_early_stopping_and_checkpoint(tmp_path):
    path = tmp_path / "weights-{epoch}.safetensors"
    stopping = callbacks.EarlyStopping(monitor="loss", min_delta=100, restore_best_weights=True)
    saving = callbacks.ModelCheckpoint(path, save_weights_only=True)
    model = perceptron()
    history = model.fit(X, Y, BATCH, epochs=7, verbose=0, callbacks=[stopping, saving])
    assert history.epoch == [0, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights-1.safetensors", "weights-2.safetensors"]
    after_one = perceptron()
    after_one.load_weights(tmp_path / "weights-1.safetensors")
    for ours, theirs in zip(model.get_weights(), after_one.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)))
    assert model.optimizer.learning_rate == 0.25


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_output(verbose, capsys):
    model = frozen()
    model.fit(X, Y, epochs=2, verbose=verbose, validation_data=(X, Y))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2 - ") and second.startswith("Epoch 2/2 - ")
    loss, accuracy = model.evaluate(X, Y, verbose=verbose)
    assert f" - loss: {loss:.4f} - accuracy: {accuracy:.4f} - val_loss: {loss:.4f} - val_accuracy: " in first
    line = capsys.readouterr().out
    assert line.startswith("Evaluation - ") and line.endswith(f"loss: {loss:.4f} - accuracy: {accuracy:.4f}\n")
    model.predict(X, verbose=verbose)
    assert capsys.readouterr().out.startswith("Prediction - ")


def test_no_output(capsys):
    model = perceptron()
    model.fit(X, Y, verbose=0, validation_data=(X, Y))
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict_on_batch(X)
    assert capsys.readouterr() == ("", "")


# ---- several outputs, penalties, hyperparameters


def test_several_outputs_and_loss_weights():
    sizes = np.random.default_rng(3).normal(size=(SAMPLES, 1))
    model = outputs_network(optimizers.SGD(0.1), metrics=[["mae"], ["accuracy"]], loss_weights=[0.5, 2.0])
    kernel, bias, size, size_bias, kind, kind_bias = (w.astype("float64") for w in model.get_weights())

    def forward(kernel):
        hidden = X @ kernel + bias
        scores = np.exp(hidden @ kind + kind_bias)
        return hidden @ size + size_bias, scores / scores.sum(axis=1, keepdims=True)

    def losses(kernel):
        ours, probabilities = forward(kernel)
        return np.mean((ours - sizes) ** 2), -np.log(probabilities[np.arange(SAMPLES), Y]).mean()

    first, second = losses(kernel)
    ours, probabilities = forward(kernel)
    expected = {
        "loss": 0.5 * first + 2 * second,
        "size_loss": first,
        "kind_loss": second,
        "size_mae": np.abs(ours - sizes).mean(),
        "kind_accuracy": (probabilities.argmax(axis=1) == Y).mean(),
    }
    found = model.evaluate(X, [sizes, Y], verbose=0, return_dict=True)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=2e-5)
    # the gradient of the weighted sum, by central differences
    model.fit(X, [sizes[:, 0], Y], batch_size=SAMPLES, verbose=0)
    gradient = np.zeros_like(kernel)
    for place in np.ndindex(*kernel.shape):
        step = np.zeros_like(kernel)
        step[place] = 1e-5
        high, low = losses(kernel + step), losses(kernel - step)
        gradient[place] = (0.5 * (high[0] - low[0]) + 2 * (high[1] - low[1])) / 2e-5
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * gradient, rtol=2e-5, atol=1e-6)
    predictions = model.predict(X, verbose=0)
    assert [p.shape for p in predictions] == [(SAMPLES, 1), (SAMPLES, CLASSES)]


@BOTH_MODES
def test_penalties_are_in_the_loss_and_in_the_gradient(jit_compile):
    given = (jitnet.regularizers.L2(0.05), jitnet.regularizers.L1(0.03))
    model, reference = perceptron(jit_compile=jit_compile, regularizers=given), Reference(l1=0.03, l2=0.05)
    values, _ = reference.losses(X, Y)
    expected = values.mean() + reference.penalty()
    assert model.evaluate(X, Y, BATCH, verbose=0)[0] == pytest.approx(expected, rel=2e-5)
    history = model.fit(X, Y, SAMPLES, verbose=0).history
    np.testing.assert_allclose(history["loss"], [expected], rtol=2e-5)
    gradients = reference.gradients(X, Y)
    assert_weights(model, [w - 0.3 * g for w, g in zip(reference.weights, gradients, strict=True)])


def sgd_by_numpy(learning_rate, momentum, nesterov=False):
    """The steps of SGD as generator: send gradients and weights, receive weights."""

    def step(weights, gradients, state, t):
        for i, gradient in enumerate(gradients):
            state[i] = momentum(t) * state.get(i, 0.0) - learning_rate(t) * gradient
            move = momentum(t) * state[i] - learning_rate(t) * gradient if nesterov else state[i]
            weights[i] = weights[i] + move

    return step


def adam_by_numpy(learning_rate, beta_1, beta_2, epsilon):
    def step(weights, gradients, state, t):
        alpha = learning_rate * math.sqrt(1 - beta_2 ** (t + 1)) / (1 - beta_1 ** (t + 1))
        for i, gradient in enumerate(gradients):
            m, v = state.get(i, (0.0, 0.0))
            state[i] = m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
            weights[i] = weights[i] - alpha * m / (np.sqrt(v) + epsilon)

    return step


def always(value):
    return lambda t: value


OPTIMIZERS = {
    "plain": (lambda: optimizers.SGD(0.2), sgd_by_numpy(always(0.2), always(0.0))),
    "momentum": (lambda: optimizers.SGD(0.2, 0.9), sgd_by_numpy(always(0.2), always(0.9))),
    "nesterov": (lambda: optimizers.SGD(0.2, 0.9, nesterov=True), sgd_by_numpy(always(0.2), always(0.9), True)),
    "adam": (lambda: optimizers.Adam(0.02, 0.8, 0.95, 1e-3), adam_by_numpy(0.02, 0.8, 0.95, 1e-3)),
    "schedules": (
        lambda: optimizers.SGD(ExponentialDecay(0.2, 2, 0.5), ExponentialDecay(0.9, 3, 0.8, staircase=True)),
        sgd_by_numpy(lambda t: 0.2 * 0.5 ** (t / 2), lambda t: 0.9 * 0.8 ** (t // 3)),
    ),
}


@BOTH_MODES
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_steps_in_double_precision(name, jit_compile):
    jitnet.set_floatx("float64")
    make, step = OPTIMIZERS[name]
    x, y = data(17, "float64")
    # the compiled mode without batch-level hooks: five steps in one call
    seen = None if jit_compile else WeightsOfEveryStep()
    model = perceptron(make(), jit_compile, metrics=None)
    model.fit(x, y, BATCH, verbose=0, shuffle=False, callbacks=seen)
    reference, state = Reference(), {}
    for t, batch in enumerate(batches(17)):
        step(reference.weights, reference.gradients(x[batch], y[batch]), state, t)
        if seen:
            for ours, theirs in zip(seen.weights[t], reference.weights, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)
    assert_weights(model, reference.weights, rtol=1e-11)
    assert model.optimizer.iterations == 5


def test_hyperparameters_may_change_between_runs():
    model, reference = perceptron(optimizers.SGD(0.2)), Reference()
    state = {}
    sgd_by_numpy(always(0.2), always(0.0))(reference.weights, reference.gradients(X, Y), state, 0)
    model.fit(X, Y, SAMPLES, verbose=0)
    model.optimizer.learning_rate = 0.1
    model.optimizer.momentum = 0.5  # from now on there is a velocity, which starts at zero
    state = {}
    for t in range(2):
        sgd_by_numpy(always(0.1), always(0.5))(reference.weights, reference.gradients(X, Y), state, t)
    model.fit(X, Y, SAMPLES, epochs=2, verbose=0)
    assert_weights(model, reference.weights)


def test_three_steps_of_a_convolutional_network_against_torch():
    torch = pytest.importorskip("torch")
    x, y = images(12)
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 2), name="images"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="convolution"),
            layers.MaxPooling2D(2, name="pooling"),
            layers.Flatten(name="flatten"),
            layers.Dense(CLASSES, name="logits"),
        ],
        name="torch_twin",
    )
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.SGD(0.1, momentum=0.9), loss)
    # (h, w, in, out) to (out, in, h, w); jitnet flattens (height, width, channels)
    kernel, bias, dense, dense_bias = (torch.tensor(w, requires_grad=True) for w in model.get_weights())
    theirs = torch.optim.SGD([kernel, bias, dense, dense_bias], 0.1, momentum=0.9)
    expected = []
    for batch in batches(12):
        z = torch.nn.functional.conv2d(
            torch.tensor(x[batch]).permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias, padding=1
        )
        z = torch.nn.functional.max_pool2d(z.relu(), 2).permute(0, 2, 3, 1).flatten(1) @ dense + dense_bias
        value = torch.nn.functional.cross_entropy(z, torch.tensor(y[batch]))
        theirs.zero_grad()
        value.backward()
        theirs.step()
        expected.append(value.item())
    found = [model.train_on_batch(x[batch], y[batch]) for batch in batches(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for ours, other in zip(model.get_weights(), (kernel, bias, dense, dense_bias), strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_the_modes_give_the_same_bits():
    results = []
    for mode in (False, True, "auto"):
        model = perceptron(jit_compile=mode)
        history = model.fit(X, Y, BATCH, epochs=3, verbose=0, validation_split=0.2).history
        results.append((history, [w.tobytes() for w in model.get_weights()]))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("arguments", [{}, {"shuffle": False}, {"steps_per_epoch": 3}], ids=str)
def test_epochs_with_nothing_between_them_give_the_same_as_single_ones(arguments):
    """In compiled mode, they may run in one call."""
    x, y = data(16)
    results = []
    for mode, callback in ((False, None), (True, None), (True, Recorder())):
        optimizer = optimizers.SGD(ExponentialDecay(0.3, 5, 0.7), 0.9)
        model = perceptron(optimizer, mode)
        history = model.fit(x, y, BATCH, epochs=9, initial_epoch=2, verbose=0, callbacks=callback, **arguments)
        weights = [w.tobytes() for w in model.get_weights()]
        results.append((history.history, history.epoch, weights, optimizer.iterations))
    assert results[0] == results[1] == results[2]
    assert results[0][1] == list(range(2, 9)) and results[0][3] == 7 * arguments.get("steps_per_epoch", 4)


def test_a_model_with_nothing_to_train():
    x, y = data(16)
    for mode in (False, True):
        model = perceptron(jit_compile=mode)
        model.trainable = False
        model.compile(momentum(), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=mode)
        losses = model.fit(x, y, BATCH, epochs=3, verbose=0).history["loss"]
        np.testing.assert_allclose(losses, [Reference().losses(x, y)[0].mean()] * 3, rtol=2e-5)
        assert_weights(model, initial_weights(), rtol=1e-7)
        assert model.optimizer.iterations == 0


# ---- what goes wrong while it runs


@BOTH_MODES
def test_a_loss_that_is_not_finite_is_noticed_once(jit_compile):
    model = perceptron(jit_compile=jit_compile)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.warns(RuntimeWarning, match=r"The loss became nan in epoch 3, between the steps 1 and \d\.") as noticed:
        history = model.fit(X, Y, BATCH, epochs=4, initial_epoch=2, verbose=0).history
    assert len(noticed) == 1 and noticed[0].filename == __file__
    assert np.isnan(history["loss"]).all()
    x, y = data(16)
    with pytest.warns(RuntimeWarning, match="The loss became nan in epoch 1") as noticed:
        model.fit(x, y, BATCH, epochs=3, verbose=0)
    assert len(noticed) == 1 and noticed[0].filename == __file__
    stopping = callbacks.TerminateOnNaN()
    with pytest.warns(RuntimeWarning, match=r"in epoch 1, step 1\."):
        assert model.fit(X, Y, BATCH, epochs=4, verbose=0, callbacks=stopping).epoch == [0]


@BOTH_MODES
def test_an_interrupt_leaves_a_usable_model(jit_compile):
    model = perceptron(jit_compile=jit_compile)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    recorder = []
    hooks = [
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: timer.start() if epoch == 2 else None),
        callbacks.LambdaCallback(on_train_end=lambda logs: recorder.append(sorted(logs))),
    ]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, BATCH, epochs=1_000_000, verbose=0, callbacks=hooks)
    assert recorder == [list(RESULTS)]
    assert len(model.history.epoch) > 2
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()
    assert model.fit(X, Y, BATCH, verbose=0).epoch == [0]


def test_an_interrupt_between_epochs_that_run_in_one_call():
    x, y = data(16)
    model = perceptron(jit_compile=True)
    model.fit(x, y, BATCH, epochs=2, verbose=0)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, BATCH, epochs=100_000_000, verbose=0)
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    assert model.fit(x, y, BATCH, epochs=2, verbose=0).epoch == [0, 1]


def test_an_error_in_a_callback_ends_the_training():
    ended = []

    def fail(batch, logs):
        raise RuntimeError("mine")

    hooks = [callbacks.LambdaCallback(on_train_batch_begin=fail, on_train_end=lambda logs: ended.append(logs))]
    model = perceptron()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=hooks)
    assert ended == [{}]
    assert_weights(model, initial_weights(), rtol=1e-7)


# ---- memory


STEPS = 1000


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def arguments_of_a_run(model, batch):
    """The step of a fitted model, and what ``fit`` gives it for STEPS steps of the same batch."""
    x, y = images(batch)
    arrays, samples, shapes = model._prepare(x, y)
    step = model._step("train", shapes)
    values = {**arrays, "order": np.tile(np.arange(samples), STEPS), "seed": 1, "t": 0, "results": np.zeros(1)}
    values["hyperparameters"] = step.hyperparameter_table(0, STEPS)
    return step, values


@BOTH_MODES
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_a_step_allocates_nothing_after_the_first(jit_compile, monkeypatch):
    batch = 61
    step, values = arguments_of_a_run(convolutional(jit_compile), batch)
    # a run begins with a table of the numbers that change from step to step
    monkeypatch.setattr(step, "hyperparameter_table", lambda *steps: values["hyperparameters"])
    arena = step.schedule.arena_bytes(batch)
    assert arena > 50_000
    # the first step allocates the arena; Python 3.11 keeps up to 2,000 freed tuples of 20 items, which is how many
    # arguments this step happens to have
    for _ in range(3):
        step.run(batch, STEPS, values, compiled=jit_compile)
    resident = resident_bytes()
    tracemalloc.start()
    try:
        step.run(batch, STEPS, values, compiled=jit_compile)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # what Python itself needs at any one time: a list of arguments, some integers, and the views of `order`.  A single
    # activation would be 61 * 6 * 5 * 4 * 4 = 29,280 bytes, and one lost per step would be 29 MB
    assert peak < 8_000
    assert kept < 4_000
    assert resident_bytes() - resident < 2_000_000


@pytest.mark.parametrize("steps", [1, STEPS])
def test_compiled_code_allocates_nothing_itself(steps):
    from numba.core.runtime import rtsys
    from numba.core.runtime._nrt_python import memsys_disable_stats, memsys_enable_stats

    step, values = arguments_of_a_run(convolutional(True), 61)
    step.run(61, 1, values, compiled=True)
    memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        step.run(61, steps, values, compiled=True)
        after = rtsys.get_allocation_stats()
    finally:
        memsys_disable_stats()
    # one small record for every array argument of the one call, however many steps it takes
    values |= step._states_of_optimizers()[0]
    with step.runner.workspace() as workspace:
        arguments = step.runner.bind(workspace, 61, step.runner.threads(61, True), values)
        arrays = sum(isinstance(a, np.ndarray) for a in arguments)
    assert after.alloc - before.alloc <= arrays
    assert after.free - before.free == after.alloc - before.alloc
