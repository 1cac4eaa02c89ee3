"""What the functions of this package are made by."""

from ..core.operations.elementwise import Binary, Unary
from ..core.values import Value


def publisher(names: list):
    """A decorator that adds the names of functions to ``names``, a module's ``__all__``."""

    def public(function):
        names.append(function.__name__)
        return function

    return public


def apply(operation, *inputs):
    """An operation on symbolic values, added to the graph, or on arrays, computed at once."""
    if any(isinstance(x, Value) for x in inputs):
        return operation(*inputs)
    from ..eager import evaluate

    return evaluate(operation, *inputs)


def unary(name: str, text: str, function: str | None = None):
    """A function of single elements; ``function``: of kernels.scalar.activations, where it has another name."""

    def operation(x):
        return apply(Unary(function or name), x)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element.\n\n    x: any shape; the result has the same.\n    "
    return operation


def binary(name: str, text: str):
    """A function of two values with broadcasting."""

    def operation(x1, x2):
        return apply(Binary(name), x1, x2)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element, with NumPy's broadcasting.\n    "
    return operation
