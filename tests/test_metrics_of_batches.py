"""Metric functions that return one number for a batch, as many of Keras's users write them."""

import keras_cases as cases
import numpy as np
import pytest

import jitnet
from jitnet import layers, metrics

GENERATOR = np.random.default_rng(8)
X = GENERATOR.standard_normal((23, 4)).astype("float32")
Y = GENERATOR.integers(0, 2, (23, 3)).astype("float32")
KERNEL = GENERATOR.standard_normal((4, 3)).astype("float32")
BATCH = 5  # the last one has three samples


def functions(ops) -> list:
    """Functions made of ``jitnet.ops`` or ``keras.ops``."""

    def rmse(y_true, y_pred):
        return ops.sqrt(ops.mean(ops.square(y_pred - y_true)))

    def r_squared(y_true, y_pred):
        residual = ops.sum(ops.square(y_true - y_pred))
        return 1 - residual / (ops.sum(ops.square(y_true - ops.mean(y_true))) + 1e-7)

    def f1(y_true, y_pred):
        right = ops.sum(ops.round(ops.clip(y_true * y_pred, 0, 1)))
        return 2 * right / (ops.sum(ops.round(ops.clip(y_pred, 0, 1))) + ops.sum(y_true) + 1e-7)

    def largest(y_true, y_pred):
        return ops.max(ops.absolute(y_true - y_pred))

    def of_samples(y_true, y_pred):
        return ops.mean(ops.absolute(y_true - y_pred), axis=-1)

    return [rmse, r_squared, f1, largest, of_samples]


def network(package, **options):
    model = package.Sequential([package.Input((4,)), package.layers.Dense(3, "sigmoid")])
    model.set_weights([KERNEL, np.zeros(3)])
    model.compile(package.optimizers.SGD(0.1), "mse", metrics=functions(package.ops), **options)
    return model


def of_batches(predictions) -> list:
    """The means that the functions have, in NumPy."""
    parts = [(Y[i : i + BATCH], predictions[i : i + BATCH]) for i in range(0, len(Y), BATCH)]
    return [np.mean([function(y, p) for y, p in parts]) for function in functions(np)[:-1]]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_batch_counts_once(jit_compile):
    model = network(jitnet, jit_compile=jit_compile)
    predictions = model.predict(X, verbose=0)
    found = model.evaluate(X, Y, batch_size=BATCH, verbose=0)
    samples = np.abs(Y - predictions).mean()  # of which each counts once
    np.testing.assert_allclose(found[1:], [*of_batches(predictions), samples], rtol=1e-5)
    # the last, smaller batch counts as much as others: that is no mean over samples
    assert abs(found[1] - np.sqrt(np.square(Y - predictions).mean())) > 1e-3
    weighed = model.evaluate(X, Y, batch_size=BATCH, sample_weight=np.arange(23), verbose=0)
    np.testing.assert_allclose(weighed[1:], found[1:], rtol=1e-6)
    on_batch = model.test_on_batch(X, Y, return_dict=True)
    assert on_batch["rmse"] == pytest.approx(np.sqrt(np.square(Y - predictions).mean()), rel=1e-5)


def test_as_in_keras():
    keras = cases.load_keras()
    if keras is None:
        pytest.skip("Keras is not installed")
    ours, theirs = network(jitnet), network(keras)
    options = {"batch_size": BATCH, "verbose": 0}
    np.testing.assert_allclose(ours.evaluate(X, Y, **options), theirs.evaluate(X, Y, **options), rtol=1e-5)
    histories = [
        model.fit(X, Y, epochs=3, shuffle=False, validation_data=(X[:12], Y[:12]), **options).history
        for model in (ours, theirs)
    ]
    assert set(histories[0]) == set(histories[1])
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-4, err_msg=name)
    for function, other in zip(functions(jitnet.ops), functions(keras.ops), strict=True):
        both = [metrics.MeanMetricWrapper(function), keras.metrics.MeanMetricWrapper(other)]
        for metric in both:
            for part in (slice(0, 5), slice(5, 8)):
                metric.update_state(*map(keras.ops.convert_to_tensor, (Y[part], X[part, :3])))
        assert float(both[0].result()) == pytest.approx(float(both[1].result()), rel=1e-5)


def test_in_a_step_of_the_users_own_and_of_several_outputs():
    class Own(jitnet.Sequential):
        def test_step(self, data):
            x, y = data
            return self.compute_metrics(x, y, self(x))

    model = Own(network(jitnet).layers)
    model.compile("sgd", "mse", metrics=functions(jitnet.ops))
    found = model.evaluate(X, Y, batch_size=BATCH, verbose=0, return_dict=True)
    assert found["rmse"] == pytest.approx(of_batches(model.predict(X, verbose=0))[0], rel=1e-5)

    x = layers.Input((4,))
    several = jitnet.Model(x, {"a": layers.Dense(3, name="a")(x), "b": layers.Dense(3, name="b")(x)})
    several.compile("sgd", "mse", metrics={"a": functions(jitnet.ops)[0], "b": ["mae"]})
    found = several.evaluate(X, {"a": Y, "b": Y}, batch_size=BATCH, verbose=0, return_dict=True)
    assert found["a_rmse"] == pytest.approx(of_batches(several.predict(X, verbose=0)["a"])[0], rel=1e-5)


def test_what_cannot_be_weighed_is_refused():
    rmse = functions(jitnet.ops)[0]
    model = network(jitnet)
    model.compile("sgd", "mse", weighted_metrics=[rmse])
    with pytest.raises(ValueError, match="'rmse' is a single number for a batch, which weights of samples cannot"):
        model.fit(X, Y, verbose=0)
    metric = metrics.MeanMetricWrapper(rmse)
    for weights in (np.ones(23), 2.0):
        with pytest.raises(ValueError, match="which weights of samples cannot weigh"):
            metric.update_state(Y, X[:, :3], sample_weight=weights)
    masked = jitnet.Sequential([layers.Input((5, 2)), layers.Masking(), layers.LSTM(3, return_sequences=True)])
    masked.compile("sgd", "mse", metrics=[rmse])
    with pytest.raises(ValueError, match="which a mask of samples cannot weigh: return values"):
        masked.evaluate(np.ones((4, 5, 2)), np.ones((4, 5, 3)), verbose=0)
    model.compile("sgd", "mse", metrics=[lambda y_true, y_pred: jitnet.ops.mean(y_pred, axis=0)])
    with pytest.raises(ValueError, match=r"or a single number for the batch. Received: shape=\(3,\)"):
        model.fit(X, Y, verbose=0)


def counting(package, how):
    """A metric that counts samples by ``ops.shape``, as the metrics of many courses do."""
    ops = package.ops

    class RootMeanSquare(package.metrics.Metric):
        def __init__(self, **options):
            super().__init__(**options)
            self.squares = self.add_weight(name="squares", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.squares.assign_add(ops.sum(ops.square(ops.cast(y_true, "float32") - y_pred)))
            samples = ops.shape(y_pred)[0]
            if how == "add":
                self.count.assign_add(samples)
            elif how == "assign":
                self.count.assign(self.count + samples)
            elif how == "the other way":
                self.count.assign(samples + self.count)
            else:
                self.count.assign_add(ops.size(y_pred))

        def result(self):
            return ops.sqrt(self.squares / ops.cast(self.count, "float32"))

    return RootMeanSquare(name="rms")


@pytest.mark.filterwarnings("ignore:::keras", "ignore:__array_wrap__:DeprecationWarning")  # PyTorch's and Keras's
@pytest.mark.parametrize("how", ["add", "assign", "the other way", "elements"])
def test_a_metric_counts_samples(how):
    packages = [package for package in (jitnet, cases.load_keras()) if package is not None]
    found = []
    for package in packages:
        model = package.Sequential([package.Input((4,)), package.layers.Dense(3, "sigmoid")])
        model.set_weights([KERNEL, np.zeros(3)])
        model.compile("sgd", "mse", metrics=[counting(package, how)])
        found.append(model.evaluate(X, Y, batch_size=BATCH, verbose=0)[1])
        metric = counting(package, how)
        metric.update_state(Y, np.asarray(model.predict(X, verbose=0)))
        found.append(float(metric.result()))
    predictions = packages[0].ops.sigmoid(X @ KERNEL)
    squares = np.square(Y - predictions)
    mean = squares.mean() if how == "elements" else squares.sum(1).mean()
    np.testing.assert_allclose(found, np.sqrt(mean), rtol=1e-5)
