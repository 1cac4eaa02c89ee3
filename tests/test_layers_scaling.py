"""Layers that bring inputs to a scale: what adapt takes, far from zero, in models, saved, and wrong data."""

import numpy as np
import pytest

import jitnet
from jitnet import layers


def test_normalization_takes_moments_in_one_pass():
    generator = np.random.default_rng(0)
    data = (generator.normal(size=(1200, 3, 2)) * [1, 5] + [1e6, -3]).astype(np.float32)
    exact = data.astype(np.float64)
    layer = layers.Normalization()
    layer.adapt(data)
    mean, variance, count = layer.get_weights()
    np.testing.assert_allclose(mean, exact.mean((0, 1)), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var((0, 1)), rtol=1e-6)
    assert count == 3600
    by_batches = layers.Normalization(axis=(1, 2))
    by_batches.adapt((part, None) for part in np.array_split(data, 7))
    np.testing.assert_allclose(by_batches.get_weights()[1], exact.var(0), rtol=1e-6)
    of_all = layers.Normalization(axis=None)
    of_all.adapt(list(np.array_split(data, 3)))
    np.testing.assert_allclose(of_all.get_weights()[0], exact.mean(), rtol=1e-7)
    layer.adapt(data[:5])  # forgets what was before
    np.testing.assert_allclose(layer.get_weights()[1], exact[:5].var((0, 1)), rtol=1e-6)


def test_given_numbers_and_back():
    x = np.array([[1.0, 4.0], [3.0, 8.0]], np.float32)
    layer = layers.Normalization(mean=[1.0, 6.0], variance=4.0)
    np.testing.assert_allclose(layer(x), [[0, -1], [1, 1]])
    back = layers.Normalization(mean=[1.0, 6.0], variance=4.0, invert=True)
    np.testing.assert_allclose(back(layer(x)), x)
    assert layer.weights == []
    scaled = layers.MinMaxScaling(minimum=0, maximum=[4, 8])
    np.testing.assert_allclose(scaled(x), [[0.25, 0.5], [0.75, 1]])
    np.testing.assert_allclose(layers.Rescaling(1 / 127.5, -1)(np.array([[0, 255]])), [[-1, 1]])


def test_min_max_scaling_of_data():
    data = np.array([[1, 5, 7], [3, 5, -1], [2, 5, 3]])
    layer = layers.MinMaxScaling((-1, 1))
    layer.adapt([data[:2], data[2:]])
    np.testing.assert_allclose(layer(data.astype(np.float32)), [[-1, -1, 1], [1, -1, -1], [0, -1, 0]])
    np.testing.assert_array_equal(layer.get_weights(), [[1, 5, -1], [3, 5, 7]])


def test_in_a_model_that_is_saved(tmp_path):
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(40, 3)) * 7 + 100).astype(np.float32)
    normalization, scaling = layers.Normalization(name="normalization"), layers.MinMaxScaling(name="scaling")
    model = jitnet.Sequential([jitnet.Input((3,)), normalization, scaling, layers.Rescaling(2.0, -1.0)])
    before = model.predict(x)
    normalization.adapt(x)
    scaling.adapt(normalization(x))
    found = model.predict(x)
    assert np.abs(before - found).max() > 1
    np.testing.assert_allclose([found.min(0), found.max(0)], [[-1] * 3, [1] * 3], atol=1e-5)
    model.save(tmp_path / "model.jitnet")
    np.testing.assert_array_equal(jitnet.models.load_model(tmp_path / "model.jitnet").predict(x), found)


@pytest.mark.parametrize("cls", [layers.Normalization, layers.MinMaxScaling])
def test_data_that_does_not_fit(cls):
    for data in (np.zeros((0, 3)), [], 3, np.float32(3), np.array(["a"]), None):
        with pytest.raises(ValueError, match=r"adapt takes .*Received: "):
            cls().adapt(data)
    layer = cls()
    layer.adapt(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"keeps \(3,\) along axis=-1. Received: shape=\(2, 4\)"):
        layer.adapt(np.zeros((2, 4)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Normalization(mean=1.0),
        lambda: layers.Normalization(mean=1.0, variance=-1.0),
        lambda: layers.Normalization(mean="a", variance=1.0),
        lambda: layers.Normalization(axis="a"),
        lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(np.ones((2, 2))),
        lambda: layers.MinMaxScaling((1, 0)),
        lambda: layers.MinMaxScaling(3),
        lambda: layers.MinMaxScaling(minimum=1),
        lambda: layers.MinMaxScaling(minimum=1, maximum=2).adapt(np.ones((2, 2))),
        lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=1.0)(np.ones((2, 2))),
        lambda: layers.Rescaling(None),
        lambda: layers.Rescaling(1.0, "a"),
    ],
)
def test_wrong_arguments(make):
    with pytest.raises(ValueError, match="Received: "):
        make()


def test_the_moments_in_use():
    data = np.array([[1.0, 10.0], [3.0, 30.0]], "float32")
    layer = layers.Normalization()
    with pytest.raises(AttributeError, match="has no mean yet: call adapt, or the layer"):
        _ = layer.mean
    layer.adapt(data)
    assert layer.mean.tolist() == [[2, 20]] and layer.variance.tolist() == [[1, 100]]
    of_all = layers.Normalization(axis=None, input_shape=(1,))
    of_all.adapt(np.array([1.0, 3.0, 8.0]))
    assert of_all.mean.item() == 4 and of_all.variance.item() == pytest.approx(26 / 3)
    given = layers.Normalization(mean=[2, 3], variance=4)
    given.build((None, 2))
    assert given.mean.tolist() == [[2, 3]] and given.variance.tolist() == [[4, 4]]
