"""Comparisons and logic with broadcasting, from the functions of ``scalar/comparisons.py``, and the choice by them.

Names and arguments are those of ``kernels/cpu/comparison.py``, where they are explained.
"""

from ..scalar import comparisons
from ._api import cuda, kernel, launch, over
from .elementwise import FORWARD, _over_rows, first_of_row  # noqa: F401 (the template names them)


def _define(name):
    exec(compile(FORWARD.format(name=name), __file__, "exec"), globals())


globals().update({name: getattr(comparisons, name) for name in comparisons.NAMES})
for _name in comparisons.NAMES:
    _define(_name)


@kernel
def _select_forward(condition, a, b, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i % a.size] if condition[i % condition.size] else b[i % b.size]


def select_forward(condition, a, b, y):
    """y = a where condition is true, else b.  y: (...); the others: as many elements, or fewer, which repeat"""
    launch(_select_forward, *over(y.size), condition.reshape(-1), a.reshape(-1), b.reshape(-1), y.reshape(-1))


@kernel
def _select_backward(condition, dy, dx, side, accumulate):
    zero = dx.dtype.type(0)
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        value = dy[i] if condition[i % condition.size] == side else zero
        dx[i] = dx[i] + value if accumulate else value


def select_backward(condition, dy, dx, side, accumulate):
    """dx = dy where condition is ``side``, else 0.  dy, dx: (...); condition: as many elements, or fewer that repeat"""
    flat = condition.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    launch(_select_backward, *over(dx.size), *flat, side, accumulate)
