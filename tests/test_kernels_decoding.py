"""The kernels of a decoder's cache against their definition, on the CPU and, emulated, on CUDA."""

import naive.decoding as naive
import numpy as np
import pytest
from cuda_cases import assert_twins

from jitnet.kernels.cpu import decoding

# samples, new steps, heads, heads of the cache, size, length
SHAPES = [(1, 1, 1, 1, 1, 1), (2, 3, 4, 2, 5, 7), (3, 1, 3, 3, 17, 5), (0, 2, 2, 1, 3, 4)]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def drawn(shape, dtype):
    samples, steps, heads, key_heads, size, length = shape
    generator = np.random.default_rng(1)
    cache = generator.standard_normal((samples, 2, length, key_heads, size)).astype(dtype)
    key, value = generator.standard_normal((2, samples, steps, key_heads, size)).astype(dtype)
    query = 3 * generator.standard_normal((samples, steps, heads, size)).astype(dtype)
    # the last sample's new steps do not all fit
    return cache, key, value, query, np.arange(samples) * (length // 2)


def drawn_mask(shape, rows):
    """A mask in which the first sample sees nothing of its first steps."""
    mask = np.random.default_rng(2).random((shape[0], rows, shape[5])) < 0.6
    mask[:1, :, :2] = False
    return mask


@dtypes
@shapes
def test_cache(shape, dtype):
    cache, key, value, query, position = drawn(shape, dtype)
    expected = naive.stored(key, value, position, cache)
    decoding.cache_store(key, value, position, cache)
    np.testing.assert_array_equal(cache, expected)
    for mask in (None, drawn_mask(shape, 1), drawn_mask(shape, shape[1])):
        probabilities, y = naive.attention(query, cache, position, 0.3, mask)
        found = np.full_like(probabilities, 7), np.full_like(y, 7)
        given = query if mask is None else mask
        decoding.cached_attention_forward(query, cache, position, given, *found, 0.3, mask is not None)
        for ours, theirs in zip(found, (probabilities, y), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@dtypes
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_cuda(shape, dtype):
    cache, key, value, query, position = drawn(shape, dtype)
    assert_twins("decoding", "cache_store", key, value, position, cache, rtol=0, atol=0)
    options = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype], "unwritten": ("probabilities", "y")}
    for mask in (None, drawn_mask(shape, shape[1])):
        found = naive.attention(query, cache, position, 0.3)
        given = query, cache, position, query if mask is None else mask, *found, 0.3, mask is not None
        assert_twins("decoding", "cached_attention_forward", *given, **options)
