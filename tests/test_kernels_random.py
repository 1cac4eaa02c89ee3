"""Philox against the published known answers, and the draws made from it against Python integers."""

import naive.random as naive
import numpy as np
import pytest

from jitnet.kernels.cpu import random
from jitnet.kernels.cpu.runtime.jit import compile_uncached
from jitnet.kernels.scalar import philox

SEED, STREAM, STEP = 0x0123456789ABCDEF, 5, 0x300000007

# counter, key, result: kat_vectors of the Random123 distribution
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def test_philox_known_answers():
    @compile_uncached
    def compiled(words):
        return random._philox4x32(words[0], words[1], words[2], words[3], words[4], words[5])

    for counter, key, expected in KNOWN_ANSWERS:
        words = np.array([*counter, *key], np.uint64)
        assert tuple(int(word) for word in philox.philox4x32(*words)) == expected
        assert tuple(int(word) for word in compiled(words)) == expected
        assert tuple(naive.philox4x32(counter, key)) == expected


def test_counter_layout():
    for element in (0, 5, 2**34 + 3):
        for half in (0, 1):
            block = philox.random_block(*(np.uint64(v) for v in (SEED, STREAM, STEP, element // 4, half)))
            assert int(block[element % 4]) == naive.word(SEED, STREAM, STEP, element, half)


def test_uniform():
    expected = naive.uniform(23, SEED, STREAM, STEP)
    out = np.empty(23)
    random.uniform(out, 0.0, 1.0, SEED, STREAM, STEP, 0)
    np.testing.assert_array_equal(out, expected)
    single = np.empty(23, np.float32)
    random.uniform(single, 0.0, 1.0, SEED, STREAM, STEP, 0)
    # the same draw, cut to 24 bits
    np.testing.assert_array_equal(single, np.floor(expected * 2**24) / 2**24)
    random.uniform(out, -2.0, 3.0, SEED, STREAM, STEP, 0)
    np.testing.assert_allclose(out, 5 * expected - 2, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["normal", "truncated_normal"])
def test_normal(name, dtype):
    expected = getattr(naive, name)(24, SEED, STREAM, STEP)
    out = np.empty(23, dtype)
    getattr(random, name)(out, 0.5, 2.0, SEED, STREAM, STEP, 0)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(out, 0.5 + 2 * expected[:23], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_moments(name, dtype):
    """100,000 draws: mean and deviation to 5 standard errors, and the range"""
    out = np.empty(100_000, dtype)
    getattr(random, name)(out, 0.0, 1.0, 1, 2, 3, 0)
    mean, deviation, low, high = {
        "uniform": (0.5, 12**-0.5, 0, 1),
        "normal": (0, 1, -7, 7),
        "truncated_normal": (0, 0.8796256610342398, -2, 2),
    }[name]
    out = out.astype(float)
    assert abs(out.mean() - mean) < 5 * deviation / 100_000**0.5
    assert abs(out.std() - deviation) < 5 * deviation / 100_000**0.5
    assert out.min() >= low and out.max() <= high
    neighbours = np.corrcoef(out[:-1], out[1:])[0, 1]
    assert abs(neighbours) < 5 / 100_000**0.5


@pytest.mark.parametrize("row", [1, 3, 4, 7])
def test_chunks_draw_what_the_whole_draws(row):
    whole = np.empty((11, row))
    x, y, mask = np.ones((11, row)), np.empty((11, row)), np.empty((11, row), np.uint8)
    random.dropout_forward(x, y, mask, 0.4, SEED, STREAM, STEP, 0)
    for kernel in (random.uniform, random.normal, random.truncated_normal):
        kernel(whole, 0.0, 1.0, SEED, STREAM, STEP, 0)
        for begin, end in ((0, 2), (2, 3), (3, 11), (4, 4)):
            part = np.empty((end - begin, row))
            kernel(part, 0.0, 1.0, SEED, STREAM, STEP, begin)
            np.testing.assert_array_equal(part, whole[begin:end])
    for begin, end in ((0, 2), (2, 3), (3, 11), (4, 4)):
        part, part_mask = np.empty((end - begin, row)), np.full((end - begin, row), 7, np.uint8)
        random.dropout_forward(x[begin:end].copy(), part, part_mask, 0.4, SEED, STREAM, STEP, begin)
        np.testing.assert_array_equal(part_mask, mask[begin:end])
        np.testing.assert_array_equal(part, y[begin:end])


def test_seed_stream_and_step_give_other_draws():
    def draw(*key):
        out = np.empty(50)
        random.uniform(out, 0.0, 1.0, *key, 0)
        return out

    draws = [draw(*key) for key in ((1, 0, 0), (2**32, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**32))]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert not np.any(one == other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_dropout(rate, dtype):
    x = np.random.default_rng(0).standard_normal((3, 7)).astype(dtype)
    y, mask = np.empty_like(x), np.full(x.shape, 7, np.uint8)
    random.dropout_forward(x, y, mask, rate, SEED, STREAM, STEP, 2)
    expected = naive.dropout_mask(21, rate, SEED, STREAM, STEP, first=14).reshape(3, 7)
    np.testing.assert_array_equal(mask, expected)
    scale = 1 / (1 - rate) if rate < 1 else 0
    np.testing.assert_allclose(y, x * expected * scale, rtol=1e-6)
    dy = np.random.default_rng(1).standard_normal(x.shape).astype(dtype)
    dx = np.full_like(x, 7)
    random.dropout_backward(dy, mask, dx, rate, False)
    np.testing.assert_allclose(dx, dy * expected * scale, rtol=1e-6)
    random.dropout_backward(dy, mask, dx, rate, True)
    np.testing.assert_allclose(dx, 2 * dy * expected * scale, rtol=1e-6)
    # in place
    random.dropout_forward(x, x, mask, rate, SEED, STREAM, STEP, 2)
    np.testing.assert_array_equal(x, y)


def test_dropout_keeps_its_share():
    x, mask = np.ones((1, 100_000), np.float32), np.empty((1, 100_000), np.uint8)
    y = np.empty_like(x)
    random.dropout_forward(x, y, mask, 0.25, 0, 0, 0, 0)
    assert abs(mask.mean() - 0.75) < 5 * (0.75 * 0.25 / 100_000) ** 0.5


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_random_permutation_is_a_shuffle_inside_out(size):
    order = np.empty(size, np.int64)
    random.random_permutation(order, SEED, STREAM, STEP)
    expected = []
    for i in range(size):
        place = naive.word(SEED, STREAM, STEP, i) * (i + 1) >> 32
        expected.append(i)
        expected[i], expected[place] = expected[place], i
    np.testing.assert_array_equal(order, np.array(expected, np.int64))
    assert sorted(order.tolist()) == list(range(size))


def test_every_permutation_is_as_likely_as_the_others():
    counts, draws = {}, 24_000
    order = np.empty(4, np.int64)
    for step in range(draws):
        random.random_permutation(order, SEED, STREAM, step)
        counts[tuple(order)] = counts.get(tuple(order), 0) + 1
    statistic = sum((count - draws / 24) ** 2 / (draws / 24) for count in counts.values())
    assert len(counts) == 24 and statistic < 49.7  # chi-squared of 23 degrees of freedom, one in a thousand
