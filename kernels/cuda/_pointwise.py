"""Chains of pointwise functions: one kernel, in which values in between stay in registers."""

import functools
import keyword

from ..scalar import activations, arithmetic, chains, real
from ._api import Kernel, cuda, launch, over

_SOURCE = """
def {name}({arguments}):
{prologue}
    for i in range(cuda.grid(1), {first}.size, cuda.gridsize(1)):
{body}
"""


@functools.cache
def pointwise(functions, arrays, singles, scalars, statements):
    """A function ``f(*arrays, *singles, *scalars)`` that does ``statements`` for every element i.

    functions: names of the scalar functions that the statements call, in order.
    arrays: names of arrays of one size that lie apart from each other, or are the same argument.
    singles: names of arrays of one element; scalars: names of numbers, which are arrays of one element, too.
    """
    arguments = (*arrays, *singles, *scalars)
    chains.check(functions, arguments, statements)
    unfit = [name for name in arguments if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii()]
    if unfit:
        raise ValueError(f"The arguments of a chain have names. Received: {unfit}")
    prologue = [f"{name} = real({name}[0])" for name in (*singles, *scalars)] or ["pass"]
    source = _SOURCE.format(
        name=chains.name_of(functions),
        arguments=", ".join(arguments),
        prologue="\n".join(f"    {line}" for line in prologue),
        first=arrays[0],
        body="\n".join(f"        {line}" for line in statements),
    )
    scope = {"cuda": cuda, "real": real, "__name__": __name__}
    scope |= {name: getattr(activations, name, None) or getattr(arithmetic, name) for name in functions}
    exec(compile(source, __file__, "exec"), scope)
    made = Kernel(scope[chains.name_of(functions)])

    def run(*given):
        launch(made, *over(given[0].size), *(array.reshape(-1) for array in given))

    run.__doc__ = f"{'; '.join(statements)}"
    return run
