"""Comparisons and logic with broadcasting, from the functions of ``scalar/comparisons.py``, and the choice by them.

For each NAME, as for the binary operations of ``elementwise.py``, with y of bool:

    NAME_forward(a, b, y, shape, a_strides, b_strides)
"""

from ..scalar import comparisons
from .elementwise import BINARY
from .runtime.jit import kernel, kernel_attributes, written
from .runtime.vector_math import scalar_functions


def _define(name):
    source = BINARY.format(name=name)
    exec(compile(source, __file__, "exec"), globals())
    globals()[f"{name}_forward"] = written(kernel(globals()[f"{name}_forward"]), source.removeprefix("\n"))


globals().update(scalar_functions(comparisons))
for _name in comparisons.NAMES:
    _define(_name)


@kernel
def select_forward(condition, a, b, y):
    """y = a where condition is true, else b.  y: (...); the others: as many elements, or fewer, which repeat"""
    kernel_attributes()
    condition = condition.reshape(-1)
    a = a.reshape(-1)
    b = b.reshape(-1)
    y = y.reshape(-1)
    # stretches in which nothing repeats, but for single elements
    stretch = max(1, y.size)
    if 1 < condition.size < stretch:
        stretch = condition.size
    if 1 < a.size < stretch:
        stretch = a.size
    if 1 < b.size < stretch:
        stretch = b.size
    condition_step = 0 if condition.size == 1 else 1
    a_step = 0 if a.size == 1 else 1
    b_step = 0 if b.size == 1 else 1
    for first in range(0, y.size, stretch):
        condition_first = first % condition.size
        a_first = first % a.size
        b_first = first % b.size
        for i in range(stretch):
            chosen = condition[condition_first + i * condition_step]
            if chosen:
                y[first + i] = a[a_first + i * a_step]
            else:
                y[first + i] = b[b_first + i * b_step]


@kernel
def select_backward(condition, dy, dx, side, accumulate):
    """dx = dy where condition is ``side``, else 0.  dy, dx: (...); condition: as many elements, or fewer that repeat"""
    kernel_attributes()
    condition = condition.reshape(-1)
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    zero = dx.dtype.type(0)
    for first in range(0, dx.size, max(1, condition.size)):
        for i in range(condition.size):
            value = dy[first + i] if condition[i] == side else zero
            dx[first + i] = dx[first + i] + value if accumulate else value
