"""One-hot labels and the global seed."""

import random

import numpy as np
import pytest

from jitnet import _seed, utils


def test_to_categorical_is_one_hot():
    out = utils.to_categorical([0, 2, 1, 2])
    assert out.dtype == np.float64
    assert out.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "shape, expected",
    [((), (4,)), ((1,), (1, 4)), ((3,), (3, 4)), ((3, 1), (3, 4)), ((3, 5), (3, 5, 4)), ((3, 5, 1), (3, 5, 4))],
)
def test_to_categorical_shapes(shape, expected):
    labels = np.random.default_rng(0).integers(0, 4, shape)
    out = utils.to_categorical(labels, num_classes=4)
    assert out.shape == expected
    assert (out.sum(axis=-1) == 1).all()
    assert (out.argmax(axis=-1) == labels.reshape(expected[:-1])).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, bool])
def test_to_categorical_dtypes(dtype):
    assert utils.to_categorical(np.array([1, 0], dtype)).tolist() == [[0, 1], [1, 0]]


def test_to_categorical_empty():
    assert utils.to_categorical([], num_classes=3).shape == (0, 3)
    with pytest.raises(ValueError, match=r"`num_classes` is needed .* Received: num_classes=None$"):
        utils.to_categorical([])


def test_to_categorical_errors():
    with pytest.raises(ValueError, match=r"from 0 to num_classes - 1 = 2\. Received: smallest=0, largest=3$"):
        utils.to_categorical([0, 3], num_classes=3)
    with pytest.raises(ValueError, match=r"Received: smallest=-1, largest=1$"):
        utils.to_categorical([-1, 1])
    for bad in ([0.5], [np.nan], [np.inf]):
        with pytest.raises(ValueError, match=r"must hold whole numbers\. Received: x="):
            utils.to_categorical(bad)
    with pytest.raises(ValueError, match=r"must hold whole numbers\. Received: dtype="):
        utils.to_categorical(["a"])


def test_set_random_seed_seeds_everything():
    def draw():
        return _seed.global_seed(), _seed.next_stream(), _seed.next_stream(), random.random(), np.random.random()

    utils.set_random_seed(7)
    first = draw()
    assert first[:3] == (7, 1, 2)
    utils.set_random_seed(8)
    assert draw()[3:] != first[3:]
    utils.set_random_seed(np.int64(7))
    assert draw() == first


def test_without_a_seed_one_is_drawn_once(monkeypatch):
    monkeypatch.setattr(_seed, "_seed", None)
    drawn = _seed.global_seed()
    assert 0 <= drawn < 2**32
    assert _seed.global_seed() == drawn
    monkeypatch.setattr(_seed, "_seed", None)
    monkeypatch.setattr(_seed.os, "urandom", lambda n: b"\x01\x00\x00\x00")
    assert _seed.global_seed() == 1


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, "7", None, True])
def test_bad_seeds(bad):
    with pytest.raises(ValueError, match=r"`seed` must be an integer from 0 to 4294967295\. Received: seed="):
        utils.set_random_seed(bad)
