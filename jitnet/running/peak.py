"""What this machine can do at most, measured with jitnet's own kernels: products of matrices, and copies."""

import functools
import math
import time

import numpy as np

from .. import ops
from ..builder import Computation
from ..core.values import Variable, placeholder
from ..kernels.cpu.runtime.threads import get_num_threads
from ..step import Step

ROWS, DEPTH, COLUMNS = 2048, 128, 64  # of a product whose operands stay in the second cache
LEAST_BYTES, FACTOR = 2**16, 4  # of copies: 64 KiB, four times as many, ...
WIDTH = 512  # elements of a row that is copied
SECONDS, RUNS = 0.1, 5  # that a measurement lasts at least


def operations_per_second(dtype: str = "float32") -> float:
    """Floating-point operations a second that a product of matrices reaches; measured once per process."""
    return _operations(dtype, get_num_threads())


def bytes_per_second(nbytes: float) -> float:
    """Bytes a second that are read and written when about so many are copied: those of a cache, or of the memory.

    Measured once per process for each power of 4 from 64 KiB on.
    """
    steps = max(0, round(math.log(max(nbytes, 1) / LEAST_BYTES, FACTOR)))
    return _bytes(LEAST_BYTES * FACTOR**steps, get_num_threads())


@functools.cache
def _operations(dtype: str, threads: int) -> float:
    x, kernel = placeholder("x", (DEPTH,), dtype), Variable(np.full((DEPTH, COLUMNS), 0.01, dtype), "peak/kernel")
    step = Step("The peak of arithmetic.", Computation({"x": x}, [ops.matmul(x, kernel)]))
    given = {"x": np.ones((ROWS, DEPTH), dtype), "predictions": np.zeros((ROWS, COLUMNS), dtype)}
    return 2.0 * ROWS * DEPTH * COLUMNS / _shortest(step, given)


@functools.cache
def _bytes(nbytes: int, threads: int) -> float:
    step = _copies()
    rows = nbytes // (2 * 4 * WIDTH)
    given = {"x": np.ones((rows, WIDTH), "float32"), "predictions": np.zeros((rows, WIDTH), "float32")}
    return 2.0 * given["x"].nbytes / _shortest(step, given)


@functools.cache
def _copies() -> Step:
    x = placeholder("x", (WIDTH,), "float32")
    return Step("The peak of memory.", Computation({"x": x}, [ops.negative(x)]))


def _shortest(step: Step, given: dict) -> float:
    """Seconds of the quickest run."""
    batch, times = len(given["x"]), []
    with step.repeated(batch, given) as run:
        run()  # compiles
        end = time.perf_counter() + SECONDS
        while len(times) < RUNS or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return min(times)
