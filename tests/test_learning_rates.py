"""The range test of learning rates leaves no trace, ends when the loss diverges, and suggests a rate that trains."""

import numpy as np
import pytest
import small_networks
from small_networks import convolutional, data, images, perceptron

import jitnet
from jitnet import layers, optimizers, schedules


def linear(optimizer="sgd"):
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(1, use_bias=False, name="linear")])
    model.compile(optimizer, "mse")
    return model


@pytest.fixture
def regression():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(512, 4)).astype(np.float32)
    return x, x @ np.array([[1.0], [-2.0], [0.5], [3.0]], np.float32)


@pytest.mark.parametrize("trained", [False, True])
def test_a_training_after_the_test_has_the_same_bits(trained):
    """Weights, moving statistics, Adam's moments, its steps, dropout and the order of samples."""
    x, y = images()
    found = []
    for tries in (False, True):
        jitnet.utils.set_random_seed(3)
        model = convolutional(optimizer=optimizers.Adam(schedules.ExponentialDecay(0.01, 5, 0.5)))
        if trained:
            model.fit(x, y, batch_size=8, epochs=1, verbose=0)
        if tries:
            before, state, schedule = model.get_weights(), model.optimizer.state(), model.optimizer.get_config()
            jitnet.lr_find(model, x, y, batch_size=8, steps=12, highest=1e3)
            for one, other in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(one, other)
            assert model.optimizer.get_config() == schedule and model.optimizer.iterations == 3 * trained
            after = model.optimizer.state()
            assert after.keys() == state.keys() and all((after[key] == state[key]).all() for key in state)
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        found.append(small_networks.digest(model))
    assert found[0] == found[1]


def test_rates_losses_and_suggestion(regression):
    x, y = regression
    jitnet.utils.set_random_seed(1)
    model = linear()
    first = model.evaluate(x, y, verbose=0)
    found = jitnet.lr_find(model, x, y, batch_size=64, lowest=1e-5, highest=100.0, steps=80)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 80
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 1e7 ** (1 / 79))
    assert found.rates[0] == 1e-5 and found.losses[0] == pytest.approx(first, rel=0.5)
    # the steps beyond 2 / curvature, about 1 here, make the loss grow
    assert found.smoothed[-1] > 4 * found.smoothed.min() and 0.5 < found.rates[-1] < 10
    assert 0.01 < found.suggestion < 0.5
    best = {}
    for rate in (found.suggestion / 30, found.suggestion, 30 * found.suggestion):
        model.set_weights([np.ones((4, 1))])
        model.optimizer.learning_rate = rate
        best[rate] = np.nan_to_num(model.fit(x, y, batch_size=64, epochs=2, verbose=0).history["loss"][-1], nan=np.inf)
    assert min(best, key=best.get) == found.suggestion
    model.set_weights([np.ones((4, 1))])
    flat = jitnet.lr_find(model, x, y, lowest=1e-9, highest=1e-8, steps=20)
    assert len(flat.rates) == 20
    falls = jitnet.running.learning_rates.LearningRateTest(np.logspace(-3, 0, 30), np.arange(30.0), np.arange(30.0))
    assert falls.suggestion is None and "30 rates from 0.001 to 1, suggestion None" in repr(falls)


def test_batches_and_a_model_that_is_not_built(regression):
    x, y = regression
    model = jitnet.Sequential([layers.Dense(1, use_bias=False, name="linear")])
    model.compile("sgd", "mse")

    class Batches:
        def __iter__(self):
            return ((x[i : i + 64], y[i : i + 64]) for i in range(0, 512, 64))

    batches = Batches()
    found = jitnet.lr_find(model, batches, steps=20, highest=0.1)
    assert model.built and len(found.rates) == 20 and model.optimizer.iterations == 0
    with pytest.raises(ValueError, match=r"at least 10 steps .*Received: steps=8"):
        jitnet.lr_find(model, iter(batches), steps=20)


def test_errors(regression):
    x, y = regression
    for arguments, message in (
        ({"steps": 9}, r"steps"),
        ({"lowest": 0}, r"lowest"),
        ({"lowest": 1.0, "highest": 0.5}, r"highest to be more than lowest\. Received: lowest=1\.0, highest=0\.5"),
        ({"smoothing": 1.0}, r"smoothing"),
        ({"divergence": 0.5}, r"divergence"),
        ({"lowest": 1e20, "highest": 1e30}, r"at least 10 steps with a finite loss"),
    ):
        with pytest.raises(ValueError, match=message):
            jitnet.lr_find(linear(), x, y, **arguments)
    with pytest.raises(ValueError, match="needs a loss before lr_find"):
        jitnet.lr_find(jitnet.Sequential([jitnet.Input((4,)), layers.Dense(1)]), x, y)


def test_plot(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    x, y = data(64)
    found = jitnet.lr_find(perceptron(), x, y, steps=30, batch_size=16, highest=100.0)
    figure = found.plot(tmp_path / "rates.png")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("learning rate", "loss", "log")
    assert len(axes.lines) == 2 + (found.suggestion is not None)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.smoothed)
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"png.*Received: path="):
        found.plot(tmp_path / "rates.doc")
    shown = found.plot()
    assert shown.number in matplotlib.pyplot.get_fignums()
    matplotlib.pyplot.close(shown)
