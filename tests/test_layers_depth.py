"""Layers that drop together, make noise, go around blocks and repeat others: what is particular to them."""

import numpy as np
import pytest

import jitnet
from jitnet import layers


def called(layer, x):
    """A layer on an array as in training, in a step of its own."""
    return layer(x, training=True)


def test_what_is_dropped_together():
    x = np.ones((60, 8, 5), np.float32)
    image = np.ones((60, 3, 4, 5), np.float32)
    cases = [
        (layers.SpatialDropout1D(0.3, seed=1), x, (1,)),
        (layers.SpatialDropout2D(0.3, seed=1), image, (1, 2)),
        (layers.Dropout(0.3, noise_shape=(None, None, 1), seed=1), x, (2,)),
        (layers.Dropout(0.3, noise_shape=(1, None, 5), seed=1), x, (0,)),
    ]
    for layer, given, together in cases:
        y = called(layer, given)
        assert np.ptp(y, axis=together).max() == 0
        kept = y != 0
        np.testing.assert_allclose(y[kept], 1 / 0.7, rtol=1e-6)
        if together != (0,):
            assert abs(kept.mean() - 0.7) < 0.1
        assert 0 < kept.mean() < 1
        others = tuple(axis for axis in range(given.ndim) if axis not in together)
        assert all(np.ptp(y, axis=axis).max() > 0 for axis in others)
        np.testing.assert_array_equal(layer(given), given)
    assert "noise_shape" not in cases[0][0].get_config()
    assert cases[2][0].get_config()["noise_shape"] == (None, None, 1)


@pytest.mark.parametrize("shape", [3, (), (5, None), (None, 0), (None, 1.5), "ab", (None, True)])
def test_noise_shape(shape):
    with pytest.raises(ValueError, match="Received: noise_shape="):
        layers.Dropout(0.5, noise_shape=shape)


def test_noise_shape_that_does_not_fit():
    for shape in ((None, 2), (None, 1, 1)):
        with pytest.raises(ValueError, match=r"noise_shape .* Received: noise_shape="):
            layers.Dropout(0.5, noise_shape=shape)(np.ones((2, 3), np.float32), training=True)


def test_ranks():
    for layer in (layers.SpatialDropout1D(0.5), layers.SpatialDropout2D(0.5)):
        with pytest.raises(ValueError, match=r"expects an input of rank . with axes \(batch, .*Received: shape="):
            layer(np.ones((2, 3), np.float32))


def test_moments_of_noise():
    x = np.full((400, 50), 3, np.float32)
    y = called(layers.GaussianNoise(0.5, seed=2), x)
    assert abs(y.mean() - 3) < 0.02
    assert abs(y.std() - 0.5) < 0.02
    y = called(layers.GaussianDropout(0.2, seed=2), x)
    assert abs(y.mean() - 3) < 0.05
    assert abs(y.std() - 3 * np.sqrt(0.25)) < 0.05
    x = np.random.default_rng(0).standard_normal((400, 50)).astype(np.float32)
    y = called(layers.AlphaDropout(0.3, seed=2), x)
    assert abs(y.mean()) < 0.03
    assert abs(y.std() - 1) < 0.03
    floor = -1.7580993408473766
    scale = (0.7 * (1 + 0.3 * floor**2)) ** -0.5
    dropped = np.isclose(y, scale * (floor - 0.3 * floor), rtol=1e-5)
    assert abs(dropped.mean() - 0.3) < 0.02
    np.testing.assert_allclose(y[~dropped], scale * (x[~dropped] - 0.3 * floor), rtol=1e-4, atol=1e-5)


def test_rates_of_one_are_refused_and_zero_changes_nothing():
    x = np.ones((2, 3), np.float32)
    for cls in (layers.GaussianDropout, layers.AlphaDropout, layers.SpatialDropout1D):
        with pytest.raises(ValueError, match="Received: rate=1"):
            cls(1)
    for layer in (layers.GaussianDropout(0), layers.AlphaDropout(0), layers.GaussianNoise(0)):
        np.testing.assert_array_equal(called(layer, x), x)


def test_residual_and_repeat(tmp_path):
    x = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    block = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(4)], name="block")
    residual = layers.Residual(block, name="residual")
    way = layers.Dense(2, use_bias=False, name="way")
    shorter = layers.Residual(layers.Dense(2, name="narrow"), way, name="shorter")
    repeated = layers.Repeat(layers.Dense(4, "tanh", name="again"), 3, return_intermediates=True, name="repeated")
    inputs = jitnet.Input((4,))
    y = residual(inputs)
    model = jitnet.Model(inputs, [y, shorter(y), *repeated(y)])
    found = model.predict(x)
    a, b, c, d = block.get_weights()
    first = x + np.tanh(x @ a + b) @ c + d
    narrow, bias, way = shorter.get_weights()
    np.testing.assert_allclose(found[0], first, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], first @ (narrow + way) + bias, rtol=1e-4, atol=1e-5)
    kernel, bias = repeated.get_weights()
    expected = first
    for result in found[2:]:
        expected = np.tanh(expected @ kernel + bias)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    assert len(found) == 5
    assert len(repeated.trainable_weights) == 2
    model.save(tmp_path / "model.jitnet")
    again = jitnet.models.load_model(tmp_path / "model.jitnet")
    for ours, theirs in zip(again.predict(x), found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match=r"return the shape .*Received: shape="):
        layers.Residual(layers.Dense(3))(inputs)
    with pytest.raises(ValueError, match=r"return the shape of its input.*Received: shape="):
        layers.Repeat(layers.Dense(3), 2)(inputs)
    with pytest.raises(ValueError, match="Received: n=0"):
        layers.Repeat(layers.Dense(3), 0)


def test_spectral_normalization():
    """Kernel and vector as Keras has them: the kernel is overwritten before it is used, and then updated."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((7, 3)).astype(np.float32), generator.standard_normal((7, 4)).astype(np.float32)
    dense = layers.Dense(4, name="dense")
    layer = layers.SpectralNormalization(dense, power_iterations=2, name="spectral")
    model = jitnet.Sequential([jitnet.Input((3,)), layer])
    model.compile(jitnet.optimizers.SGD(0.1), "mse")
    assert [tuple(w.shape) for w in layer.weights] == [(1, 4), (3, 4), (4,)]
    u, kernel, bias = (w.astype(np.float64) for w in layer.get_weights())
    before = model.predict(x)
    np.testing.assert_allclose(before, x @ kernel + bias, rtol=1e-4, atol=1e-5)
    for _ in range(3):
        for _ in range(2):
            v = u @ kernel.T
            v /= np.linalg.norm(v)
            u = v @ kernel
            u /= np.linalg.norm(u)
        kernel = kernel / (v @ kernel @ u.T)
        difference = x @ kernel + bias - y
        assert model.train_on_batch(x, y) == pytest.approx((difference**2).mean(), rel=1e-5)
        kernel = kernel - 0.1 * (2 / difference.size) * x.T @ difference
        bias = bias - 0.1 * (2 / difference.size) * difference.sum(0)
        for found, expected in zip(layer.get_weights(), (u, kernel, bias), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    layer.set_weights([np.ones((1, 4)), np.zeros((3, 4)), np.zeros(4)])
    assert np.isfinite(model.train_on_batch(x, y))
    np.testing.assert_array_equal(layer.get_weights()[0], np.ones((1, 4)))
    image = np.zeros((2, 5, 5, 3), np.float32)
    convolution = layers.SpectralNormalization(layers.Conv2D(2, 3))
    assert convolution(image, training=True).shape == (2, 3, 3, 2)
    with pytest.raises(ValueError, match="expects a layer with a kernel"):
        layers.SpectralNormalization(layers.ReLU())(x)
