"""Chains of pointwise functions: one kernel, in which values in between stay in registers."""

import functools
import keyword

from ..scalar import activations, arithmetic, chains
from ._loops import Loop


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
    prologue = [f"{name} = real({name}[0])" for name in (*singles, *scalars)]
    called = {name: getattr(activations, name, None) or getattr(arithmetic, name) for name in functions}
    loop = Loop(__name__, chains.name_of(functions), arrays, (*singles, *scalars), prologue, statements, called)

    def run(*given):
        loop(given[: len(arrays)], *(array.reshape(-1) for array in given[len(arrays) :]))

    run.__doc__ = "; ".join(statements)
    return run
