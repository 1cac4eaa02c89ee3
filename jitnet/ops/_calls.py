"""What the functions of this package are made by."""

import functools
import inspect

import numpy as np

from ..core.lengths import Samples
from ..core.operations.base import samples_of
from ..core.operations.elementwise import Binary, Unary
from ..core.policy import floatx
from ..core.values import Value
from ._turned import Turned


def publisher(names: list):
    """A decorator that adds the names of functions to ``names``, a module's ``__all__``."""

    def public(function):
        names.append(function.__name__)
        return function

    return public


def is_symbolic(*arguments) -> bool:
    """Whether there is a symbolic value among the arguments, or a batch's size, or in lists and tuples of them."""
    return any(
        is_symbolic(*argument) if isinstance(argument, list | tuple) else isinstance(argument, Value | Samples | Turned)
        for argument in arguments
    )


def on_arrays(function):
    """A decorator: without a symbolic value among its arguments, a function is ``function``, NumPy's.

    That is given the arguments by their places.  Floats are of floatx where no argument is an array of float64.
    """

    def decorate(symbolic):
        signature = functools.cache(lambda: inspect.signature(symbolic))  # not while jitnet is imported

        @functools.wraps(symbolic)
        def either(*arguments, **keywords):
            if is_symbolic(*arguments, *keywords.values()):
                return symbolic(*arguments, **keywords)
            bound = signature().bind(*arguments, **keywords)
            bound.apply_defaults()
            if isinstance(bound.arguments.get("axis"), list):
                bound.arguments["axis"] = tuple(bound.arguments["axis"])  # NumPy knows no lists of axes
            with np.errstate(all="ignore"):  # as in a step, log(0) is -inf without a word
                return in_floatx(function(*bound.args, **bound.kwargs), bound.args)

        either.array_function = function
        return either

    return decorate


def in_floatx(result, arguments):
    """Results of NumPy as arrays: float64 becomes floatx, unless an array of float64 was given."""
    if isinstance(result, list | tuple):
        return type(result)(in_floatx(part, arguments) for part in result)
    result = np.asarray(result)
    if result.dtype == np.float64 and not _holds_float64(arguments):
        return result.astype(floatx())
    return result


def _holds_float64(arguments) -> bool:
    return any(
        _holds_float64(x) if isinstance(x, list | tuple) else getattr(x, "dtype", None) == np.float64 for x in arguments
    )


def sizes_of(given) -> tuple:
    """Sizes of axes, or one, as a tuple; a batch's may have been cast to a number."""
    sizes = given if isinstance(given, list | tuple | np.ndarray) else (given,)
    return tuple(samples_of(size) or size if isinstance(size, Value) else size for size in sizes)


def apply(operation, *inputs):
    """An operation on symbolic values, added to the graph, or on arrays, computed at once."""
    if any(isinstance(x, Value | Samples) for x in inputs):
        return operation(*inputs)
    from ..eager import evaluate

    return evaluate(operation, *inputs)


def unary(name: str, text: str, function: str | None = None, array=None):
    """A function of single elements; ``function``: of kernels.scalar.activations, where it has another name.

    array: the function of NumPy that computes it on arrays; None: the engine does.
    """

    def operation(x):
        return apply(Unary(function or name), x)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element.\n\n    x: any shape; the result has the same.\n    "
    return operation if array is None else on_arrays(array)(operation)


def kept(function):
    """``function`` of two values, of which one may be what a metric keeps over batches: that then says what it is."""

    @functools.wraps(function)
    def operation(x1, x2):
        for x, other in ((x1, x2), (x2, x1)):
            if hasattr(x, "kept_as") and isinstance(other, Value):
                return x.kept_as(function.__name__, other)
        return function(x1, x2)

    return operation


def binary(name: str, text: str, array):
    """A function of two values with broadcasting; ``array``: NumPy's."""

    def operation(x1, x2):
        return apply(Binary(name), x1, x2)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element, with NumPy's broadcasting.\n    "
    return on_arrays(array)(operation)
