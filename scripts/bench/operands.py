"""Operands of the kernels that are timed alone."""

import numpy as np


def convolution_operands(shape):
    """x (N, H, W, C), kernel (R, R, C, K), dy (N, P, Q, K) for (N, C, H, W, K, R, stride, padding)."""
    images, channels, height, width, filters, size, stride, padding = shape
    rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
    generator = np.random.default_rng(3)
    shapes = (images, height, width, channels), (size, size, channels, filters), (images, rows, columns, filters)
    return tuple(generator.standard_normal(s, np.float32) for s in shapes)


def pointwise_operands(shape):
    """x and dy."""
    generator = np.random.default_rng(3)
    return generator.standard_normal(shape, np.float32), generator.standard_normal(shape, np.float32)


def gelu(x, tanh):
    """Written out as a user would, by whatever library ``x`` and ``tanh`` are of."""
    return 0.5 * x * (1.0 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def matrix_operands(shape):
    """a (M, K) and b (K, N) for (M, K, N)."""
    generator = np.random.default_rng(3)
    return generator.standard_normal(shape[:2], np.float32), generator.standard_normal(shape[1:], np.float32)


def decoder_weights(shape) -> list[np.ndarray]:
    """The weights of a decoder, in jitnet's order: embeddings, blocks, normalisation, dense layer.

    shape: (vocabulary, features, heads, hidden, blocks, positions)
    """
    vocabulary, features, _, hidden, blocks, positions = shape
    square, vector = (features, features), (features,)
    block = [*[square, vector] * 4, *[vector] * 4, (features, hidden), (hidden,), (hidden, features), vector]
    shapes = [(vocabulary, features), (positions, features), *block * blocks, vector, vector]
    shapes += [(features, vocabulary), (vocabulary,)]
    generator = np.random.default_rng(6)
    return [generator.standard_normal(s, np.float32) * np.float32(s[0] ** -0.5 if len(s) > 1 else 0.3) for s in shapes]
