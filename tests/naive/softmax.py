"""Softmax, its logarithm and sparsemax over the middle axis of (outer, axis, inner), in NumPy."""

import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def log_softmax(x):
    shifted = x - np.max(x, axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def sparsemax(x):
    """Martins and Astudillo 2016, algorithm 1"""
    z = -np.sort(-x, axis=1)
    k = np.arange(1, x.shape[1] + 1)[:, None]
    sums = np.cumsum(z, axis=1)
    largest = np.sum(1 + k * z > sums, axis=1, keepdims=True)
    tau = (np.take_along_axis(sums, largest - 1, axis=1) - 1) / largest
    return np.maximum(x - tau, 0)
