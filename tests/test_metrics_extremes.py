"""Metrics that keep the largest and the smallest of what all batches have, against NumPy on the whole set."""

import itertools

import numpy as np
import pytest

import jitnet
from jitnet import ops
from jitnet.targets.cpu import thresholds


class Range(jitnet.metrics.Metric):
    """The largest and the smallest error, of each column and of all, and how many samples there are."""

    def __init__(self, name="range", columns=3, **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_variable(shape=(columns,), name="largest")
        self.top = self.add_variable(shape=(), initializer=jitnet.initializers.Constant(-np.inf), name="top")
        self.low = self.add_variable(shape=(), initializer=jitnet.initializers.Constant(np.inf), name="low")
        self.count = self.add_variable(shape=(), name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = y_pred - y_true
        self.largest.assign(ops.maximum(self.largest, ops.max(error, axis=0)))
        self.top.assign(ops.maximum(ops.max(error), self.top))
        self.low.assign(ops.minimum(self.low, ops.min(error)))
        self.count.assign_add(ops.sum(ops.ones_like(error[:, 0])))

    def result(self):
        return np.array([*self.largest.numpy(), self.top, self.low, self.count], np.float64)


def model(**arguments):
    jitnet.utils.set_random_seed(1)
    network = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(3)])
    network.compile(jitnet.optimizers.SGD(0.0), "mse", metrics=[Range()], **arguments)
    return network


def data(samples):
    generator = np.random.default_rng(samples)
    return generator.normal(size=(samples, 4)).astype("float32"), generator.normal(size=(samples, 3)).astype("float32")


def expected(network, x, y):
    error = network.predict(x, verbose=0) - y
    return [*np.maximum(error.max(axis=0), 0), error.max(), error.min(), len(x)]


def small_chunks(monkeypatch):
    for threshold in ("PARALLEL_WORK", "SINGLE_CHUNK_WORK"):
        monkeypatch.setattr(thresholds, threshold, 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    for threshold in ("ROWS_PER_CHUNK", "ROWS_PER_HEAVY_CHUNK"):
        monkeypatch.setattr(thresholds, threshold, 2)


@pytest.mark.parametrize("shift", [0, -5, 5])  # all below the first value of the largest, all above
def test_uneven_batches_in_chunks_and_both_modes(monkeypatch, shift):
    small_chunks(monkeypatch)
    x, y = data(29)
    y = y - np.float32(shift)
    found = []
    for mode, threads in itertools.product((False, True), (1, 3)):
        jitnet.set_num_threads(threads)
        network = model(jit_compile=mode)
        history = network.fit(x, y, batch_size=8, epochs=3, verbose=0, validation_data=(x[:11], y[:11])).history
        found += [*history["range"], network.evaluate(x, y, batch_size=7, verbose=0, return_dict=True)["range"]]
        np.testing.assert_allclose(history["val_range"][-1], expected(network, x[:11], y[:11]), rtol=1e-6)
    for numbers in found:
        np.testing.assert_array_equal(numbers, found[0])  # no sum, so no order
    np.testing.assert_allclose(found[0], expected(network, x, y), rtol=1e-6)


def test_generators_single_batches_and_arrays():
    x, y = data(13)
    network = model()
    whole = expected(network, x, y)
    parts = [(x[:5], y[:5]), (x[5:6], y[5:6]), (x[6:], y[6:])]
    np.testing.assert_allclose(network.evaluate(iter(parts), verbose=0, return_dict=True)["range"], whole, rtol=1e-6)
    np.testing.assert_allclose(network.train_on_batch(x, y, return_dict=True)["range"], whole, rtol=1e-6)
    metric = Range()
    for part_x, part_y in parts:
        metric.update_state(part_y, network.predict(part_x, verbose=0))
    np.testing.assert_allclose(metric.result(), whole, rtol=1e-6)
    metric.reset_state()
    np.testing.assert_array_equal(metric.result(), [0, 0, 0, -np.inf, np.inf, 0])


def test_in_a_train_step_and_with_nan():
    class Own(jitnet.Sequential):
        def train_step(self, batch):
            x, y = batch
            metric.update_state(y, self(x, training=True))
            return {"range": metric.result()}

    metric = Range()
    network = Own([jitnet.Input((4,)), jitnet.layers.Dense(3)])
    network.compile("sgd")
    x, y = data(13)
    found = network.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["range"][-1]
    np.testing.assert_allclose(found, expected(network, x, y), rtol=1e-6)
    y = y.copy()
    metric.reset_state()
    y[2] = np.nan
    metric.update_state(y[:8], y[:8])
    metric.update_state(y[8:], y[8:])
    np.testing.assert_array_equal(metric.result(), [np.nan] * 5 + [13])


def test_what_a_variable_is_not_updated_by():
    class Both(Range):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top.assign(ops.maximum(self.top, ops.max(y_pred)))
            self.top.assign_add(ops.sum(y_true))

    class Whole(Range):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top.assign(ops.maximum(self.top, y_pred))

    class Product(Range):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top.assign(ops.max(y_pred))

    x, y = data(5)
    for metric, message in (
        (Both, r"(?m)updates top in one way.*Received: first='maximum', then='sum'$"),
        (Whole, r"compares with top what has its shape, \(\): reduce the batch with jitnet\.ops\.max"),
        (Product, r"can add to top, .* or keep an extreme"),
    ):
        network = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(3)])
        network.compile("sgd", "mse", metrics=[metric()])
        with pytest.raises(ValueError, match=message):
            network.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="maximum over a batch has no gradient"):
        jitnet.value_and_grad(lambda x: ops.max(ops.square(x)))(x)
