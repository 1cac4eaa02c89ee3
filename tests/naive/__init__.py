"""Oracles: one plain NumPy or Python float64 function per kernel, of the same name, written from the definition.

They take a kernel's inputs and scalars and return new arrays; a kernel's outputs and ``accumulate`` are not arguments.
"""

import numpy as np

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def assert_close(actual, expected, relative):
    """Equal to ``relative`` times the largest finite magnitude in ``expected``; NaN and inf in the same places."""
    finite = np.abs(expected[np.isfinite(expected)])
    np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * finite.max(initial=0))


def check(kernel, inputs, scalars, expected, accumulates=False):
    """Runs ``kernel`` over outputs full of NaN (or of -7) and compares them with ``expected``, a list of arrays.

    If it ``accumulates`` it also runs over outputs that must be added to.  The inputs must not change.
    """
    dtype = inputs[0].dtype
    before = [array.copy() for array in inputs]
    outputs = [np.full(e.shape, np.nan, dtype) if e.dtype.kind == "f" else np.full(e.shape, -7, "i4") for e in expected]
    kernel(*inputs, *outputs, *scalars, *([False] if accumulates else []))
    for output, wanted in zip(outputs, expected, strict=True):
        assert_close(output, wanted, TOLERANCE[dtype.type])
    if accumulates:
        starts = [draw(*wanted.shape, dtype=dtype, seed=99) for wanted in expected]
        outputs = [start.copy() for start in starts]
        kernel(*inputs, *outputs, *scalars, True)
        for output, start, wanted in zip(outputs, starts, expected, strict=True):
            assert_close(output, start + wanted, TOLERANCE[dtype.type])
    for array, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def numerical_gradient(function, x, step=1e-3):
    """Central differences of the scalar ``function`` of the float64 array ``x``, which it reads in place."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        value = x[i]
        x[i] = value + step
        above = function()
        x[i] = value - step
        gradient[i] = (above - function()) / (2 * step)
        x[i] = value
    return gradient
