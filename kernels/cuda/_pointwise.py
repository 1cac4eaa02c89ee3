"""Chains of pointwise functions: one kernel, in which values in between stay in registers."""

import functools
import keyword

from ..scalar import activations, arithmetic, chains
from ._loops import Loop


@functools.cache
def pointwise(functions, arrays, singles, scalars, statements, rows=()):
    """A function ``f(*arrays, *singles, *rows, *scalars)`` that does ``statements`` for every element i.

    functions: names of the scalar functions that the statements call, in order.
    arrays: names of arrays of one size that lie apart from each other, or are the same argument.
    singles: names of arrays of one element; scalars: names of numbers, which are arrays of one element, too.
    rows: names of vectors of one size, whose element j is for element j of every row of the arrays.
    """
    arguments = (*arrays, *singles, *rows, *scalars)
    chains.check(functions, arguments, statements)
    unfit = [name for name in arguments if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii()]
    if unfit:
        raise ValueError(f"The arguments of a chain have names. Received: {unfit}")
    prologue = [f"{name} = real({name}[0])" for name in (*singles, *scalars)]
    called = {name: getattr(activations, name, None) or getattr(arithmetic, name) for name in functions}
    parameters = (*singles, *rows, *scalars)
    loop = Loop(__name__, chains.name_of(functions), arrays, parameters, prologue, statements, called, rows=rows)

    def run(*given):
        loop(given[: len(arrays)], *(array.reshape(-1) for array in given[len(arrays) :]))

    run.__doc__ = "; ".join(statements)
    return run
