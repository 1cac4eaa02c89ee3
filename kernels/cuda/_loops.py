"""Kernels that do something with every element of arrays of one size, written out from statements about element i.

There are two of each: one goes element by element; the other, for float32, takes four neighbours at a time, which it
loads and stores at once.
"""

import re

import numpy as np

from ..scalar import real
from ._api import Kernel, cuda, is_aligned, launch, over
from .ptx import load_quad, store_quad

# what written kernels find besides the functions that their statements call
_SCOPE = {"cuda": cuda, "real": real, "load_quad": load_quad, "store_quad": store_quad}

_ONE_BY_ONE = """
def {name}({arguments}):
    {prologue}
    for i in range(cuda.grid(1), {size}, cuda.gridsize(1)):
        {statements}
"""
_BY_QUADS = """
def {name}_quads({arguments}):
    {prologue}
    for quad in range(cuda.grid(1), {size} // 4, cuda.gridsize(1)):
        i = 4 * quad
        {statements}
"""
_ELEMENT = re.compile(r"\b(\w+)\[i\]")


class Loop:
    """The two kernels of some statements, named as of a ``module``, and their launch.

    arrays: names of the first parameters, arrays of one size; parameters: names of the others.
    prologue: lines before the loop; statements: of element i of arrays, each ``name = expression``.
    conditions: {array: parameter} of those that are only read where the parameter is true.
    functions: {name: function} of those that are called.
    rows: parameters of which statements read element j, that of a row as long as the first of them.
    """

    def __init__(
        self, module: str, name: str, arrays, parameters, prologue, statements, functions, conditions=(), rows=()
    ):  # fmt: skip
        conditions = dict(conditions)
        words = {
            "name": name,
            "arguments": ", ".join([*arrays, *parameters]),
            "prologue": "\n    ".join(prologue) or "pass",
            "size": f"{arrays[0]}.size",
        }
        inner = "\n        "
        scope = _SCOPE | functions | {"__name__": module}
        column = [f"j = i % {rows[0]}.size"] if rows else []
        one_by_one = inner.join([*column, *statements])
        self._one_by_one = _made(_ONE_BY_ONE.format(statements=one_by_one, **words), name, scope)
        statements = inner.join(_by_quads(statements, conditions, rows))
        self._by_quads = _made(_BY_QUADS.format(statements=statements, **words), f"{name}_quads", scope)

    def __call__(self, arrays, *others) -> None:
        """Launch the kernel that fits the arrays."""
        flat = [array.reshape(-1) for array in arrays]
        size = flat[0].size
        if size % 4 == 0 and all(array.dtype == np.float32 and is_aligned(array) for array in flat):
            launch(self._by_quads, *over(size // 4), *flat, *others)
        else:
            launch(self._one_by_one, *over(size), *flat, *others)


def _made(source: str, name: str, scope: dict) -> Kernel:
    scope = dict(scope)
    exec(compile(source, __file__, "exec"), scope)
    return Kernel(scope[name])


def _by_quads(statements, conditions: dict, rows=()) -> list[str]:
    """The statements for elements i to i + 3: what is read is loaded before, what is written is stored after."""
    read, written = [], []
    for statement in statements:
        target, _, expression = statement.partition(" = ")
        read += [name for name in dict.fromkeys(_ELEMENT.findall(expression)) if name not in (*read, *written)]
        written += [name for name in dict.fromkeys(_ELEMENT.findall(target)) if name not in written]
    lines = []
    for name in read:
        load = f"load_quad({name}, i)"
        if name in conditions:
            load += f" if {conditions[name]} else (real(0), real(0), real(0), real(0))"
        lines.append(f"{name}_0, {name}_1, {name}_2, {name}_3 = {load}")
    for k in range(4):
        lines += [f"j = (i + {k}) % {rows[0]}.size"] if rows else []
        lines += [_ELEMENT.sub(rf"\1_{k}", statement) for statement in statements]
    return lines + [f"store_quad({name}, i, ({name}_0, {name}_1, {name}_2, {name}_3))" for name in written]
