"""jitnet.random: on arrays, in layers, with seeds."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops, random


def test_arrays_outside_of_models():
    jitnet.utils.set_random_seed(3)
    x = random.normal((400, 50), 2.0, 0.5)
    assert isinstance(x, np.ndarray) and x.dtype == np.float32 and x.shape == (400, 50)
    assert abs(x.mean() - 2) < 0.02 and abs(x.std() - 0.5) < 0.02
    y = random.uniform((1000,), -1, 3, dtype="float64")
    assert y.dtype == np.float64 and -1 <= y.min() < -0.9 and 2.9 < y.max() < 3
    assert np.abs(random.truncated_normal((1000,))).max() <= 2
    assert (random.normal((5,)) != random.normal((5,))).all()
    np.testing.assert_array_equal(random.normal((5,), seed=7), random.normal((5,), seed=7))
    jitnet.utils.set_random_seed(3)
    np.testing.assert_array_equal(random.normal((400, 50), 2.0, 0.5), x)


def test_integers_classes_and_orders():
    jitnet.utils.set_random_seed(0)
    whole = random.randint((3000,), -2, 4)
    assert whole.dtype == np.int32
    counts = np.bincount(whole + 2, minlength=6)
    assert counts.size == 6 and (abs(counts - 500) < 110).all()
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-30]], "float32"))
    classes = random.categorical(logits, 4000)
    assert classes.shape == (2, 4000) and classes.dtype == np.int32
    found = np.stack([np.bincount(row, minlength=3) for row in classes]) / 4000
    np.testing.assert_allclose(found, [[0.1, 0.2, 0.7], [0.5, 0.5, 0]], atol=0.035)
    x = np.arange(40).reshape(20, 2)
    mixed = random.shuffle(x)
    assert (mixed != x).any() and (mixed[:, 1] == mixed[:, 0] + 1).all()
    np.testing.assert_array_equal(np.sort(mixed[:, 0]), x[:, 0])
    kept = random.dropout(np.ones((100, 30), "float32"), 0.25)
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)} and abs((kept == 0).mean() - 0.25) < 0.05


class Noisy(layers.Layer):
    def call(self, inputs):
        rows = ops.shape(inputs)[0]
        order = random.shuffle(inputs, 1, seed=2)
        chosen = random.categorical(inputs, 1)
        noisy = inputs + random.normal((rows, 3))
        return noisy, order, ops.cast(chosen, "float32"), random.randint((3,), 0, 9) * inputs


def test_symbolic_in_a_layer():
    jitnet.utils.set_random_seed(1)
    inputs = layers.Input((3,))
    model = jitnet.Model(inputs, list(Noisy()(inputs)))
    x = np.arange(12, dtype="float32").reshape(4, 3) / 4
    first, order, chosen, products = model.predict(x, verbose=0)
    second, again, _, _ = model.predict(x, verbose=0)
    assert (first != second).all() and len(np.unique(first - x)) == 12
    for parts in (order, again):  # one order for all samples of a step
        np.testing.assert_array_equal(np.sort(parts), x)
        np.testing.assert_array_equal(parts - parts[:1], np.repeat(x[:, :1], 3, 1))
    assert set(np.unique(chosen)) <= {0, 1, 2} and (products[0] == np.round(products[0] * 4) / 4).all()


def test_seed_generators():
    one, two = random.SeedGenerator(5), random.SeedGenerator(5)
    a, b = random.uniform((4,), seed=one), random.uniform((4,), seed=one)
    assert (a != b).all()
    np.testing.assert_array_equal(random.uniform((4,), seed=two), a)
    np.testing.assert_array_equal(random.uniform((4,), seed=two), b)
    assert random.SeedGenerator(**one.get_config()).seed == 5
    assert (random.uniform((4,), seed=random.SeedGenerator()) != a).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.randint((3,), 4, 4), "maxval to be above minval"),
        (lambda: random.categorical(np.ones(3), 2), r"logits \(batch, classes\)"),
        (lambda: random.shuffle(layers.Input((3,))), "leaves the batch axis alone"),
        (lambda: random.dropout(np.ones((2, 2)), 0.5, (2, 1)), "noise_shape is None"),
        (lambda: random.SeedGenerator(-1), "seed to be an integer from 0"),
        (lambda: random.SeedGenerator(colour=3), "seed and name"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
