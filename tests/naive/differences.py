"""Central differences, the reference of every gradient."""

import numpy as np


def gradient(function, x, dy, step=1e-6):
    """d(sum(dy * function(x)))/dx by central differences.  x, dy: float64"""
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        shifted = x.copy()
        shifted[index] = x[index] + step
        above = function(shifted)
        shifted[index] = x[index] - step
        result[index] = np.sum(dy * (above - function(shifted))) / (2 * step)
    return result
