"""Copies of weights in kernels' layouts are made when weights change, and then for every prediction and evaluation."""

import copy
import threading

import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.targets.cpu.run import StepRunner

SAMPLES = 5
X = np.random.default_rng(0).standard_normal((SAMPLES, 6, 5, 16)).astype("float32")
Y = np.array([0, 2, 1, 1, 0])


def network():
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 16)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),  # Winograd's: folded, then transformed
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.compile(jitnet.optimizers.SGD(0.1), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fresh(model):
    """What the weights mean, computed by a model that has never had others."""
    other = network()
    other.set_weights(model.get_weights())
    return other.predict(X, verbose=0)


@pytest.fixture
def prepared(monkeypatch):
    """A list that grows by each preparation."""
    found, original = [], StepRunner.prepare

    def prepare(self, *arguments):
        found.append(self)
        original(self, *arguments)

    monkeypatch.setattr(StepRunner, "prepare", prepare)
    return found


def assign(model, path):
    model.layers[0].kernel.assign(model.layers[0].kernel.value * 2)


def assign_value(model, path):
    model.layers[1].moving_mean.value = np.linspace(-1, 1, 16)


def add_to_value(model, path):
    model.layers[0].kernel.value = model.layers[0].kernel.value + 0.25


def set_weights(model, path):
    model.set_weights([w + 0.5 for w in model.get_weights()])


def set_weights_of_layer(model, path):
    model.layers[1].set_weights([w + 0.5 for w in model.layers[1].get_weights()])


def load_weights(model, path):
    other = network()
    other.set_weights([w * 1.5 for w in other.get_weights()])
    other.save_weights(path)
    model.load_weights(path)


def train(model, path):
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0)


def train_on_batch(model, path):
    model.train_on_batch(X, Y)


def train_another_model_of_its_layers(model, path):
    other = jitnet.Model(model.inputs, model.layers[2].output)
    other.compile(jitnet.optimizers.SGD(0.1), "mean_squared_error")
    other.fit(X, X, batch_size=SAMPLES, verbose=0)


CHANGES = [
    assign, assign_value, add_to_value, set_weights, set_weights_of_layer, load_weights, train, train_on_batch,
    train_another_model_of_its_layers,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_weights_is_seen(change, tmp_path):
    model = network()
    predict, state = model.jitted_predict(SAMPLES)
    jitted = np.empty((SAMPLES, 3), "float32")
    for _ in range(2):
        before = model.predict_on_batch(X)
        model.evaluate(X, Y, verbose=0)
    predict(state, X, jitted)
    assert (before == fresh(model)).all() and (jitted == before).all()
    change(model, tmp_path / "weights.safetensors")
    expected = fresh(model)
    assert not (expected == before).any()
    assert (model.predict_on_batch(X) == expected).all()
    predict(state, X, jitted)
    assert (jitted == expected).all()
    again = network()
    again.set_weights(model.get_weights())
    assert model.evaluate(X, Y, verbose=0) == again.evaluate(X, Y, verbose=0)
    assert (model.predict(X, batch_size=2, verbose=0) == expected).all()


def test_a_number_that_weights_are_prepared_with_is_seen():
    model = network()
    before = model.predict(X, verbose=0)
    model.compile(jitnet.optimizers.SGD(0.1), "mean_squared_error")
    model.layers[1].epsilon = 0.5
    after = model.predict(X, verbose=0)
    assert not (after == before).any()
    other = network()
    other.layers[1].epsilon = 0.5
    assert (other.predict(X, verbose=0) == after).all()


def test_weights_are_prepared_once(prepared):
    model = network()
    for _ in range(3):
        model.predict(X, batch_size=2, verbose=0)
        model.predict_on_batch(X)
        model.evaluate(X, Y, batch_size=1, verbose=0)
    assert len(prepared) == 1, "a prediction and an evaluation share what is prepared"
    model.train_on_batch(X, Y)
    assert len(prepared) == 1, "a training step computes what it needs itself"
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert len(prepared) == 2
    twin = copy.deepcopy(model)
    twin.layers[0].kernel.assign(twin.layers[0].kernel.value + 1)
    model.predict(X, verbose=0)
    assert len(prepared) == 2, "a copy's weights are others"
    assert (twin.predict(X, verbose=0) == fresh(twin)).all()


def test_the_source_prepares_before_the_step():
    source = network().step_source("infer")
    before, _, step = source.partition("\ndef step(")
    assert "\ndef prepare(" in before and "prepare_weights(" not in step
    assert "batch_norm_fold" in before[: before.index("def prepare(")]
    assert "prepare(" not in network().step_source("train")


def test_files_hold_no_prepared_weights(tmp_path):
    model = network()
    model.save(tmp_path / "before.safetensors")
    model.predict(X, verbose=0)
    model.save(tmp_path / "after.safetensors")
    before, after = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("before", "after"))
    assert before == after
    assert (jitnet.load_model(tmp_path / "after.safetensors").predict(X, verbose=0) == fresh(model)).all()


def test_nobody_writes_to_weights_unseen():
    kernel = network().layers[0].kernel
    with pytest.raises(ValueError, match="read-only"):
        kernel.value[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        np.copyto(kernel.value, 1)
    network_of_kernel = copy.deepcopy(kernel)
    with pytest.raises(ValueError, match="read-only"):
        network_of_kernel.value[0] = 1
    kernel.numpy()[0] = 1  # a copy
    kernel.value = kernel.value * 2


def test_threads_that_predict_at_once_see_new_weights(prepared):
    model = network()
    model.predict_on_batch(X)
    rounds, threads = 30, 3
    barrier, wrong = threading.Barrier(threads + 1), []

    def predict(number):
        for turn in range(rounds):
            barrier.wait()
            found = model.predict_on_batch(X) if number else model.predict(X, verbose=0)
            if not (found == expected[turn]).all():
                wrong.append((number, turn))
            barrier.wait()

    weights = [[w + 0.01 * turn for w in model.get_weights()] for turn in range(rounds)]
    other = network()
    expected = []
    for given in weights:
        other.set_weights(given)
        expected.append(other.predict(X, verbose=0))
    del prepared[:]
    workers = [threading.Thread(target=predict, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for given in weights:
        model.set_weights(given)
        barrier.wait()  # all predict
        barrier.wait()
    for worker in workers:
        worker.join()
    assert not wrong and len(prepared) == rounds, "one of the threads prepares"


def test_weights_that_change_while_others_predict():
    model = network()
    first = model.get_weights()
    second = [w + 0.5 for w in first]
    stop, errors = threading.Event(), []

    def predict():
        while not stop.is_set():
            if not np.isfinite(model.predict_on_batch(X)).all():
                errors.append("not finite")

    model.predict_on_batch(X)
    workers = [threading.Thread(target=predict) for _ in range(2)]
    for worker in workers:
        worker.start()
    for turn in range(200):
        model.set_weights(second if turn % 2 else first)
    stop.set()
    for worker in workers:
        worker.join()
    assert not errors
    assert (model.predict_on_batch(X) == fresh(model)).all()
    made = model._step("predict").runner.weights._made
    assert not made.users


def test_recurrent_weights_stay_prepared_while_states_are_kept(prepared):
    """States are variables that every prediction writes: not what the recurrent weights are made of."""
    jitnet.utils.set_random_seed(3)
    parts = [jitnet.Input((1, 3), batch_size=2), layers.LSTM(5, stateful=True, name="kept")]
    model = jitnet.Sequential(parts)
    whole = jitnet.Sequential([jitnet.Input((3, 3)), layers.LSTM(5, return_sequences=True)])
    x = np.random.default_rng(0).standard_normal((2, 3, 3)).astype("float32")
    for factor in (1, -2):
        weights = [w.numpy() * factor for w in model.trainable_weights]
        for variable, value in zip(model.trainable_weights, weights, strict=True):
            variable.assign(value)
        whole.set_weights(weights)
        expected = whole.predict(x, verbose=0)
        model.layers[-1].reset_states()
        prepared.clear()
        for step in range(3):
            found = model.predict_on_batch(np.ascontiguousarray(x[:, step : step + 1]))
            np.testing.assert_allclose(found, expected[:, step], rtol=0, atol=1e-6)
        assert len(prepared) == 1
