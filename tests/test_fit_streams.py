"""``fit``, ``evaluate`` and ``predict`` on batches that come one after the other."""

import os

import numpy as np
import pytest
from small_networks import data, perceptron, two_outputs

import jitnet
from jitnet import callbacks, utils

X, Y = data(21)
WEIGHTS = np.linspace(0.5, 2.0, 21).astype("float32")


def batches(size=4, weighted=False):
    for begin in range(0, len(X), size):
        end = begin + size
        yield (X[begin:end], Y[begin:end], *([WEIGHTS[begin:end]] if weighted else []))


def endless(size=4):
    while True:
        yield from batches(size)


class Batches(utils.PyDataset):
    def __init__(self, size=4, **options):
        super().__init__(**options)
        self.parts, self.calls = list(batches(size)), []

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        self.calls.append(index)
        return self.parts[index]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Again:
    """An iterable that begins anew, without a length."""

    def __iter__(self):
        return batches()


def assert_same(first, second):
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_batches_train_as_arrays_do(jit_compile):
    """The same weights and logs, to the last bit, the last batch of one sample included."""
    arrays, streams = perceptron("adam", jit_compile=jit_compile), perceptron("adam", jit_compile=jit_compile)
    options = {"class_weight": {0: 2.0}, "epochs": 2, "verbose": 0}
    expected = arrays.fit(X, Y, 4, shuffle=False, sample_weight=WEIGHTS, validation_data=(X, Y, WEIGHTS), **options)
    given = [list(part) for part in batches(weighted=True)]  # as a DataLoader's
    found = streams.fit(iter([*given, *given]), steps_per_epoch=6, validation_data=Source(given), **options)
    assert found.history == expected.history
    assert found.epoch == [0, 1]
    assert_same(arrays, streams)
    values = arrays.evaluate(X, Y, 4, sample_weight=WEIGHTS, verbose=0)
    assert streams.evaluate(batches(weighted=True), verbose=0) == pytest.approx(values, rel=1e-6)
    np.testing.assert_array_equal(streams.predict(batches(), verbose=0), arrays.predict(X, 4, verbose=0))
    only_x = (x for x, _ in batches())
    np.testing.assert_array_equal(streams.predict(only_x, steps=2, verbose=0), arrays.predict(X[:8], 4, verbose=0))


class Source:
    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        return iter(self.parts)


def test_steps_per_epoch_goes_on_where_it_stopped():
    seen = []

    def noted():
        for number, batch in enumerate(endless()):
            seen.append(number)
            yield batch

    class Losses(callbacks.Callback):
        batches = []

        def on_train_batch_end(self, batch, logs=None):
            self.batches.append(batch)

    model = perceptron()
    model.fit(noted(), epochs=3, steps_per_epoch=2, verbose=0, callbacks=[Losses()])
    assert seen == list(range(6)) and model.optimizer.iterations == 6
    assert Losses.batches == [0, 1] * 3
    again = perceptron()
    again.fit(Again(), epochs=4, steps_per_epoch=4, verbose=0)  # 6 batches, then from the first one on
    assert again.optimizer.iterations == 16
    whole = perceptron()
    assert len(whole.fit(Again(), epochs=2, verbose=0).epoch) == 2 and whole.optimizer.iterations == 12


def test_a_generator_that_ends_is_said():
    model = perceptron()
    with pytest.warns(UserWarning, match=r"x has no more data: the training ends in epoch 2.*Received: 2 b") as noticed:
        history = model.fit(batches(), epochs=3, steps_per_epoch=4, verbose=0)
    assert noticed[0].filename == __file__
    assert model.optimizer.iterations == 6 and history.epoch == [0, 1]
    with pytest.warns(UserWarning, match=r"the training ends in epoch 2.*Expected: more\. Received: 0 batches"):
        history = model.fit(batches(), epochs=2, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match=r"the evaluation ends.*Expected: 9 batches.*Received: 6 batches"):
        model.evaluate(batches(), steps=9, verbose=0)
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=r"x gives no batches\. Received: x="):
            method((batch for batch in ()), verbose=0)


def test_py_dataset():
    dataset = Batches()
    model = perceptron("adam")
    model.fit(dataset, epochs=2, verbose=0, shuffle=False, validation_data=Batches(), validation_steps=2)
    assert dataset.calls == ["begin", *range(6), "end"] * 2
    ahead = Batches(workers=3, max_queue_size=2)
    other = perceptron("adam")
    other.fit(ahead, epochs=2, verbose=0, shuffle=False)
    assert_same(model, other)
    utils.set_random_seed(3)
    shuffled = Batches()
    perceptron().fit(shuffled, epochs=2, verbose=0)
    first, second = shuffled.calls[1:7], shuffled.calls[9:15]
    assert sorted(first) == sorted(second) == list(range(6)) and first != second
    assert model.predict(Batches(), verbose=0).shape == (21, 3)
    assert len(list(Batches(workers=2))) == 6 and utils.Sequence is utils.PyDataset


class InProcesses(Batches):
    """Says in which process a batch was made; without the batch of a number."""

    without = None

    def __getitem__(self, index):
        if index == self.without:
            raise KeyError("no such batch")
        x, y = self.parts[index]
        return x, y, np.full(len(y), os.getpid())


def test_workers_that_are_processes():
    given = InProcesses(workers=1, use_multiprocessing=True, max_queue_size=3)
    given.without = 4
    found = []
    with pytest.raises(KeyError, match="no such batch"):
        found.extend(batch for batch in given)
    np.testing.assert_array_equal(np.concatenate([x for x, _, _ in found]), X[:16])
    assert os.getpid() not in {int(process[0]) for _, _, process in found}
    given.function = lambda: None
    with pytest.raises(ValueError, match=r"InProcesses can't be copied to processes.*use_multiprocessing=True"):
        list(given)


def test_several_inputs_and_outputs():
    def dicts():
        for x, y in batches():
            yield {"features": x}, {"size": x[:, :1], "kind": y}

    model, arrays = two_outputs("sgd"), two_outputs("sgd")
    arrays.set_weights(model.get_weights())
    arrays.fit({"features": X}, [X[:, :1], Y], 4, verbose=0, shuffle=False)
    model.fit(dicts(), verbose=0)
    assert_same(model, arrays)
    assert [part.shape for part in model.predict(dicts(), verbose=0)] == [(21, 1), (21, 3)]


def test_a_step_of_ones_own():
    class Own(jitnet.Sequential):
        def train_step(self, data):
            _, y = data
            assert y.dtype == "int64"
            return super().train_step(data)

    model = Own([jitnet.Input((4,)), jitnet.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(batches(), verbose=0)
    assert model.optimizer.iterations == 6 and history.history["loss"][0] > 0


def test_what_a_stream_cannot_have():
    model = perceptron()
    with pytest.raises(ValueError, match=r"everything that belongs to them: y must be left out.*Received: x=generator"):
        model.fit(batches(), Y)
    with pytest.raises(ValueError, match="validation_split must be left out"):
        model.fit(batches(), validation_split=0.2)
    with pytest.raises(ValueError, match=r"Received: 4 parts"):
        model.fit((x, x, x, x) for x, _ in batches())
    with pytest.raises(ValueError, match=r"A batch lacks targets.*Received: y=None"):
        model.evaluate((x for x, _ in batches()), verbose=0)
    with pytest.raises(ValueError, match="steps is an integer"):
        model.predict(batches(), steps=0)
    with pytest.raises(ValueError, match=r"workers to be an integer from 0 up\. Received: workers=-1"):
        utils.PyDataset(workers=-1)
    with pytest.raises(TypeError, match="lacks a method __len__"):
        len(utils.PyDataset())
