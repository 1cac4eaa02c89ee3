"""Recurrent layers that keep their states from batch to batch."""

import copy

import keras_cases as cases
import numpy as np
import pytest

import jitnet
from jitnet import layers

KINDS = {"SimpleRNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}
every_kind = pytest.mark.parametrize("name", KINDS)
keras = cases.load_keras()


def sequences(count=3, steps=6):
    return np.random.default_rng(0).standard_normal((count, steps, 2)).astype("float32")


def model_of(layer, steps=3, batch=3, **options):
    jitnet.utils.set_random_seed(2)
    parts = [jitnet.Input((steps, 2), batch_size=batch), layer, layers.Dense(1, name="last")]
    model = jitnet.Sequential(parts)
    model.compile("sgd", "mse", **options)
    return model


@every_kind
def test_a_sequence_in_one_piece_and_in_two(name):
    x = sequences()
    whole = model_of(KINDS[name](4, return_sequences=True, name="steps"), 6).predict(x, verbose=0)
    model = model_of(KINDS[name](4, return_sequences=True, stateful=True, name="steps"))
    parts = [model.predict(x[:, :3], verbose=0), model.predict(x[:, 3:], verbose=0)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    kept = [state.numpy() for state in model.layers[0].states]
    model.reset_states()
    assert all((state.value == 0).all() for state in model.layers[0].states) and any(k.any() for k in kept)
    for part, begin in zip(parts, (0, 3), strict=True):  # one by one, the short way
        np.testing.assert_array_equal(model.predict_on_batch(x[:, begin : begin + 3]), part)
    for state, value in zip(model.layers[0].states, kept, strict=True):
        np.testing.assert_array_equal(state.numpy(), value)
        assert value.shape == (3, 4) and not state.trainable
    assert all("state" not in weight.name for weight in model.weights)


def test_layers_on_arrays_and_states_in_and_out():
    x = sequences()
    layer = layers.GRU(4, return_sequences=True, stateful=True, return_state=True)
    found = [layer(x[:, :2]), layer(x[:, 2:])]
    plain = layers.GRU(4, return_sequences=True, return_state=True)
    plain(x)
    plain.set_weights(layer.get_weights())
    outputs, last = plain(x)
    np.testing.assert_array_equal(np.concatenate([found[0][0], found[1][0]], axis=1), outputs)
    np.testing.assert_array_equal(found[1][1], last)
    # what is given is used, and what comes of it is kept
    given = np.full((3, 4), 0.25, "float32")
    for state in (given, [given]):
        np.testing.assert_array_equal(layer(x, initial_state=state)[0], plain(x, initial_state=given)[0])
    np.testing.assert_array_equal(layer.states[0].value, plain(x, initial_state=given)[1])
    twin = copy.deepcopy(layer)
    layer.reset_state()
    assert twin.states[0].value.any() and not layer.states[0].value.any()


def test_wrapped_and_stacked_layers_keep_their_states():
    x = sequences()
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True, stateful=True))
    first, second = both(x), both(x)
    assert len(both.states) == 4 and np.abs(first - second).max() > 1e-3
    both.reset_states()
    np.testing.assert_array_equal(both(x), first)
    stacked = layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], stateful=True, return_sequences=True)
    whole = layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], return_sequences=True)
    whole(x)
    stacked(x)
    stacked.reset_state()
    whole.set_weights(stacked.get_weights())
    parts = [stacked(x[:, :1]), stacked(x[:, 1:])]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole(x))
    with pytest.raises(AttributeError, match="keeps no states: stateful is False"):
        layers.Bidirectional(layers.LSTM(2)).reset_state()


def test_threads_and_modes_give_the_same_bits():
    found, before = set(), jitnet.get_num_threads()
    x = sequences(160, 3)
    for threads, mode in ((1, False), (2, False), (2, True)):
        jitnet.set_num_threads(threads)
        model = model_of(layers.GRU(4, stateful=True, name="steps"), batch=80, jit_compile=mode)
        model.fit(x, x[:, 0, :1], batch_size=80, epochs=2, shuffle=False, verbose=0)
        arrays = [*model.get_weights(), *(s.numpy() for s in model.layers[0].states)]
        found.add(b"".join(array.tobytes() for array in arrays))
    jitnet.set_num_threads(before)
    assert len(found) == 1


def test_low_memory_gives_the_same_bits():
    x = sequences(3, 3)
    for stateful in (False, True):
        found = set()
        for memory in ("normal", "low"):
            model = model_of(layers.SimpleRNN(4, stateful=stateful, name="steps"), memory=memory)
            model.fit(x, x[:, 0, :1], batch_size=3, epochs=3, verbose=0)
            found.add(b"".join(w.tobytes() for w in model.get_weights()))
        assert len(found) == 1


def test_files_say_it_and_hold_no_states(tmp_path):
    x = sequences()
    model = model_of(layers.LSTM(4, stateful=True, name="steps"), 6)
    first = model.predict(x, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = jitnet.load_model(tmp_path / "model.safetensors")
    assert loaded.layers[0].stateful
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), first)
    assert np.abs(loaded.predict(x, verbose=0) - first).max() > 1e-4


@pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")
@pytest.mark.filterwarnings("ignore")  # Flatten ends masks; and Keras's own
@pytest.mark.parametrize("index", range(6))
def test_keras_keeps_the_same_states(index):
    random = cases.generator("stateful", index)
    kind = cases.pick(random, *KINDS)
    options = {"go_backwards": cases.flag(random), "return_sequences": cases.flag(random)}
    wrapped, found = cases.flag(random), []
    x, y = random.standard_normal((4, 3, 5, 2)).astype("float32"), random.standard_normal((4, 3, 1)).astype("float32")
    x[:, 1, 3:] = 0
    weights = None
    for library in (jitnet, keras):
        layer = getattr(library.layers, kind)(4, stateful=True, **options)
        if wrapped and not options["go_backwards"]:
            layer = library.layers.Bidirectional(layer)
        parts = [library.layers.Input(batch_shape=(3, 5, 2)), library.layers.Masking(), layer]
        parts += [library.layers.Flatten()] * options["return_sequences"] + [library.layers.Dense(1)]
        model = library.Sequential(parts)
        weights = weights or [0.4 * random.standard_normal(w.shape) for w in model.get_weights()]
        model.set_weights(weights)
        model.compile(library.optimizers.SGD(0.05), "mse")
        results = [model.predict_on_batch(x[0])]
        results += [model.train_on_batch(*batch) for batch in zip(x, y, strict=True)]
        results += [model.test_on_batch(x[0], y[0]), model.predict_on_batch(x[1])]
        layer.reset_states()
        results.append(model.predict_on_batch(x[1]))
        found.append([np.asarray(r, np.float64).ravel() for r in results] + model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        assert cases.difference(ours, theirs) < 1e-5


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"stateful=True needs a known batch size: Input\(shape, batch_size="):
        jitnet.Sequential([jitnet.Input((3, 2)), layers.LSTM(2, stateful=True)])
    layer, x = layers.LSTM(2, stateful=True), sequences()
    layer(x)
    with pytest.raises(ValueError, match=r"(?m)keeps the states of 3 samples: .*Received: batch_size=2$"):
        layer(x[:2])
    # a model that learns its batch size from the first data, and one of a layer that has its states already
    built, inputs = jitnet.Sequential([layers.LSTM(2, stateful=True)]), jitnet.Input((6, 2))
    built(x)
    for model in (built, jitnet.Model(inputs, layer(inputs))):
        with pytest.raises(ValueError, match=r"batches of 3 samples"):
            model.predict(sequences(6), batch_size=6, verbose=0)
        with pytest.raises(ValueError, match=r"batches of 3 samples"):
            model.jitted_predict(6)
        assert model.predict(sequences(6), batch_size=3, verbose=0).shape == (6, 2)
    model = model_of(layers.LSTM(4, stateful=True))
    with pytest.raises(ValueError, match=r"batches of 3 samples: .*samples=4"):
        model.predict(sequences(4, 3), verbose=0)
    with pytest.raises(ValueError, match=r"Bidirectional expects layers of the same stateful"):
        layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2, go_backwards=True, stateful=True))
    with pytest.raises(ValueError, match=r"(?m)LSTM has 2 states\. Received: initial_state=1$"):
        layers.LSTM(2)(x, initial_state=[x[:, 0]])
    with pytest.raises(ValueError, match=r"expects an initial state 2 of shape \(None, 2\)\..*'\(None, 3\)'"):
        layers.LSTM(2)(x, initial_state=[x[:, 0], np.zeros((3, 3), "float32")])
    with pytest.raises(ValueError, match=r"(?m)Bidirectional has 4 states, those of both .*Received: initial_state=3$"):
        layers.Bidirectional(layers.LSTM(2))(x, initial_state=[x[:, 0]] * 3)
    with pytest.raises(TypeError, match="time_major"):
        layers.LSTM(2, time_major=True)
