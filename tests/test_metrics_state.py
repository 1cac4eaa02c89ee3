"""Metrics that are no mean over samples: numbers that add up over batches, in variables of the metric."""

import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import layers, metrics, ops


class Precision(metrics.Metric):
    """How many of what is predicted to be 1, at least ``threshold`` that is, are 1."""

    def __init__(self, threshold=0.5, name="precision"):
        super().__init__(name=name)
        self.threshold = threshold
        self.right = self.add_variable((), name="right")
        self.predicted = self.add_variable((), name="predicted")

    def update_state(self, y_true, y_pred, sample_weight=None):
        positive = ops.relu(ops.sign(y_pred - self.threshold))
        self.right.assign_add(ops.sum(positive * y_true))
        self.predicted.assign_add(ops.sum(positive))

    def result(self):
        return self.right / self.predicted if float(self.predicted) else 0.0

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


class AUC(metrics.Metric):
    """The area under the ROC curve, by trapezia between thresholds."""

    def __init__(self, thresholds=7, name="auc"):
        super().__init__(name=name)
        self._thresholds = np.linspace(0, 1, thresholds)
        self.positives = self.add_variable((thresholds, 2), name="positives")  # true and false ones
        self.counts = self.add_variable((2,), name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        above = ops.relu(ops.sign(y_pred - self._thresholds + 1e-6))  # (batch, thresholds)
        true, false = ops.sum(above * y_true, axis=0), ops.sum(above * (1 - y_true), axis=0)
        pairs = ops.reshape(ops.concatenate([true, false]), (2, len(self._thresholds)))
        self.positives.assign_add(ops.transpose(pairs, (1, 0)))
        self.counts.assign_add(ops.concatenate([ops.sum(y_true, axis=0), ops.sum(1 - y_true, axis=0)]))

    def result(self):
        true, false = (self.positives / np.maximum(self.counts.numpy(), 1)).T
        return -np.trapezoid(true, false)


def precision(y, p, threshold=0.5):
    return y[p > threshold].mean() if (p > threshold).any() else 0.0


def area(y, p):
    thresholds = np.linspace(0, 1, 7)
    above = p >= thresholds - 1e-6
    return -np.trapezoid(above[y[:, 0] == 1].mean(axis=0), above[y[:, 0] == 0].mean(axis=0))


def data(samples=23):
    x, _ = small_networks.data(samples)
    return x, (x[:, :1] + 0.5 * x[:, 1:2] > 0.2).astype(np.float32)


def network(kind=jitnet.Model, **arguments):
    jitnet.utils.set_random_seed(1)
    x = jitnet.Input((small_networks.FEATURES,), name="features")
    model = kind(x, layers.Dense(1, "sigmoid", name="probability")(x), name="network")
    model.compile("sgd", "binary_crossentropy", **arguments)
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_fit_and_evaluate(jit_compile):
    x, y = data()
    watched = []
    model = network(metrics=[Precision(), "accuracy", AUC()], jit_compile=jit_compile)
    # a batch of which nothing is learnt: every epoch sees the same predictions
    model.optimizer.learning_rate = 0.0
    callback = jitnet.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: watched.append(logs["precision"]))
    history = model.fit(x, y, batch_size=5, epochs=3, shuffle=False, callbacks=[callback], verbose=0).history
    p = model.predict(x, verbose=0)
    assert list(history) == ["loss", "precision", "accuracy", "auc"]
    # every epoch begins anew
    np.testing.assert_allclose(history["precision"], [precision(y, p)] * 3, rtol=1e-6)
    np.testing.assert_allclose(history["auc"], [area(y, p)] * 3, rtol=1e-6)
    np.testing.assert_allclose(watched[:2], [precision(y[:5], p[:5]), precision(y[:10], p[:10])], rtol=1e-6)
    found = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["precision"], precision(y, p), rtol=1e-6)
    np.testing.assert_allclose(found["auc"], area(y, p), rtol=1e-6)
    jitnet.set_num_threads(1)
    assert model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True) == found


def test_on_arrays():
    _, y = data()
    p = np.random.default_rng(0).random((len(y), 1)).astype(np.float32)
    for metric, expected in ((Precision(0.3), precision(y, p, 0.3)), (AUC(), area(y, p))):
        np.testing.assert_allclose(metric(y, p), expected, rtol=1e-6)
        metric.reset_state()
        for start in range(0, len(y), 6):
            metric.update_state(y[start : start + 6], p[start : start + 6])
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
        metric.reset_state()
        metric(y[:6], p[:6])
        np.testing.assert_allclose(metric(y[6:], p[6:]), expected, rtol=1e-6)
        metric.reset_state()
        assert not any(variable.numpy().any() for variable in metric._variables)
    assert Precision.from_config(Precision(0.3).get_config()).threshold == 0.3
    mean = metrics.Mean()
    assert mean([1, 2, 3]) == 2 and mean(6.0) == 3
    mean.reset_state()
    assert mean([1.0, 3.0], sample_weight=[3, 1]) == 1.5


class Tracked(jitnet.Model):
    """Keeps its losses in metrics, as Keras's guides do."""

    def __init__(self, x, y, name):
        super().__init__(x, y, name=name)
        self._tracker, self._both = metrics.Mean(name="tracked"), metrics.Mean(name="both")
        self._precision = Precision()

    def train_step(self, data):
        x, y = data

        def loss_of_batch():
            p = self(x, training=True)
            return self.loss(y, p), p

        variables = self.trainable_variables
        (loss, p), gradients = jitnet.value_and_grad(loss_of_batch, has_aux=True, variables=variables)()
        self.optimizer.apply(gradients, variables)
        self._tracker.update_state(loss)
        self._both.update_state(p)
        self._both.update_state(1 - p)
        self._precision.update_state(y, p)
        return {m.name: m.result() for m in (self._tracker, self._both, self._precision)}


def test_in_a_step_of_the_users_own():
    x, y = data()
    found = network(Tracked).fit(x, y, batch_size=5, epochs=2, verbose=0).history
    so_far = []

    class SoFar(jitnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            so_far.append(logs["loss"])

    model = network(metrics=[Precision()])
    expected = model.fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=[SoFar()]).history
    assert list(found) == ["tracked", "both", "precision"]
    # a number counts once, that of the last, smaller batch as well
    seen = np.minimum(5 * np.arange(1, len(so_far) // 2 + 1), len(x))
    assert len(x) % 5
    of_batches = np.diff(np.reshape(so_far, (2, -1)) * seen, prepend=0) / np.diff(seen, prepend=0)
    np.testing.assert_allclose(found["tracked"], of_batches.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found["both"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(found["precision"], expected["precision"], rtol=1e-12)


def test_errors():
    x, y = data()

    class PerSample(Precision):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.right.assign_add(y_pred)

    class Nothing(Precision):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

    with pytest.raises(ValueError, match=r"adds to right what has its shape, \(\).*Received: shape=\(None, 1\)"):
        network(metrics=[PerSample()]).fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"'precision' has nothing to report: its update_state adds to no variable"):
        network(metrics=[Nothing()]).fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"compile takes no Mean, which has no targets"):
        network(metrics=[metrics.Mean()])
    with pytest.raises(ValueError, match=r"Unknown initializer 'onse'"):
        Precision().add_variable((), "onse")


def test_a_metric_that_resets_its_state_itself():
    class Positives(metrics.Metric):
        def __init__(self, name="positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.found = self.add_variable(name="found", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            # == is elementwise where a user writes it
            right = ops.cast(y_true, "int32") == ops.cast(y_pred > 0.5, "int32")
            self.found.assign_add(ops.sum(ops.cast(right, "float32")))

        def result(self):
            return self.found

        def reset_state(self):
            self.found.assign(0)

    metric = Positives()
    predictions = np.float32([[0.2], [0.8], [0.9]])
    assert float(metric(np.ones((3, 1)), predictions)) == float(metric.result()) == 2
    metric.reset_state()
    assert float(metric.result()) == 0
