"""Reductions over the middle axis of (outer, axis, inner) from their definitions, in NumPy."""

import numpy as np


def sum(x):
    return np.sum(x, axis=1)


def mean(x):
    return np.mean(x, axis=1)


def max(x):
    return np.max(x, axis=1)
