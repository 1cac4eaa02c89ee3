"""Vectorised mathematics: accuracy over the whole range of float32, extremes, and vectors at all."""

import math
import re

import numba
import numpy as np
import pytest

from jitnet.kernels.cpu.runtime import dispatchers, processor, vector_math  # noqa: F401 (Numba's side of them)
from jitnet.kernels.cpu.runtime.jit import FASTMATH, kernel_attributes
from jitnet.kernels.scalar import activations

REFERENCE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x))),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
    "erfc": np.vectorize(math.erfc),
}


def looped(name):
    """The function over an array, under the flags of every kernel."""
    function = getattr(vector_math, name, None) or vector_math.scalar_functions(activations)[name]

    @numba.njit(error_model="numpy", fastmath=FASTMATH)
    def loop(x, y):
        kernel_attributes()
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


@pytest.fixture(scope="module", params=REFERENCE)
def case(request):
    return request.param, looped(request.param), REFERENCE[request.param]


def units_in_the_last_place(actual, expected):
    with np.errstate(over="ignore"):
        rounded = np.abs(expected).astype(np.float32)
    unit = np.spacing(np.minimum(rounded, np.finfo(np.float32).max)).astype(np.float64)
    return np.abs(actual - expected) / unit


def test_accuracy_over_all_floats(case):
    name, loop, reference = case
    # the references of erf and erfc are slow
    x = np.arange(0, 2**32, 9973 if name.startswith("erf") else 509, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = np.linspace(-20, 20, 500_003).astype(np.float32)
    edge = np.linspace(-105, 89, 200_009).astype(np.float32)
    x = np.concatenate([x[np.isfinite(x)], dense, edge])
    y = np.empty_like(x)
    loop(x, y)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64))
    overflow = expected > np.finfo(np.float32).max
    assert (np.isnan(y) == np.isnan(expected)).all()
    assert np.isposinf(y[overflow]).all()
    finite = np.isfinite(expected) & ~overflow
    assert units_in_the_last_place(y[finite].astype(np.float64), expected[finite]).max() <= 4


def test_extremes(case):
    name, loop, _ = case
    x = np.float32([np.nan, np.inf, -np.inf, 0.0, 300.0, -300.0, 1e-45, -1e-45])
    y = np.empty_like(x)
    loop(x, y)
    nan, inf = np.nan, np.inf
    expected = {
        "exp": [nan, inf, 0, 1, inf, 0, 1, 1],
        "expm1": [nan, inf, -1, 0, inf, -1, 1e-45, -1e-45],
        "log": [nan, inf, nan, -inf, math.log(300), nan, math.log(2.0**-149), nan],
        "log1p": [nan, inf, nan, 0, math.log(301), nan, 1e-45, -1e-45],
        "sigmoid": [nan, 1, 0, 0.5, 1, 0, 0.5, 0.5],
        "tanh": [nan, 1, -1, 0, 1, -1, 1e-45, -1e-45],
        "erf": [nan, 1, -1, 0, 1, -1, 1e-45, -1e-45],
        "erfc": [nan, 0, 2, 1, 0, 2, 1, 1],
    }
    np.testing.assert_allclose(y, np.float32(expected[name]), rtol=3e-7)


def test_double_precision(case):
    _, loop, reference = case
    x = np.linspace(0.01, 30, 1001)
    x = x if case[0].startswith("log") else np.concatenate([x, -x])
    y = np.empty_like(x)
    loop(x, y)
    np.testing.assert_allclose(y, reference(x), rtol=4e-16)


def test_loops_are_vectorised(case):
    _, loop, _ = case
    if not processor.has("fma"):
        pytest.skip("looks for packed multiply-adds")
    x = np.zeros(3, np.float32)
    loop(x, x)
    (assembly,) = (text for signature, text in loop.inspect_asm().items() if signature[0].dtype == numba.float32)
    assert re.search(r"vfn?m(add|sub)\d+ps\s.*%[yz]mm", assembly)


def test_the_normal_distribution():
    """Phi and its density, relatively accurate in the tail, too, as far as they are normal numbers."""
    normal = vector_math.normal

    @numba.njit(error_model="numpy", fastmath=FASTMATH)
    def loop(x, below, density):
        kernel_attributes()
        for i in range(x.size):
            below[i], density[i] = normal(x[i])

    x = np.concatenate([np.linspace(-13, 13, 400_009), [-1e30, -np.inf, 1e30, np.inf]]).astype(np.float32)
    exact = x.astype(np.float64)
    expected = 0.5 * REFERENCE["erfc"](-exact / math.sqrt(2)), np.exp(-0.5 * exact**2) / math.sqrt(2 * math.pi)
    for dtype, relative in ((np.float32, 4e-7), (np.float64, 1e-13)):
        found = np.empty_like(x, dtype), np.empty_like(x, dtype)
        loop(x.astype(dtype), *found)
        np.testing.assert_allclose(found, expected, rtol=relative)
