"""Arithmetic and mathematical functions of single elements."""

from ..core.operations.elementwise import Binary
from ..core.values import is_integer
from ._calls import apply, binary, publisher, unary

__all__ = ["abs"]
public = publisher(__all__)

exp = public(unary("exp", "The exponential"))
log = public(unary("log", "The natural logarithm"))
sqrt = public(unary("sqrt", "The square root"))
square = public(unary("square", "x * x"))
absolute = public(unary("absolute", "|x|"))
negative = public(unary("negative", "-x"))
reciprocal = public(unary("reciprocal", "1 / x"))
sign = public(unary("sign", "-1, 0 or 1 by the sign of x"))
sin = public(unary("sin", "The sine"))
cos = public(unary("cos", "The cosine"))
abs = absolute
add = public(binary("add", "x1 + x2"))
subtract = public(binary("subtract", "x1 - x2"))
multiply = public(binary("multiply", "x1 * x2"))
divide = public(binary("divide", "x1 / x2"))
maximum = public(binary("maximum", "The larger of x1 and x2"))
minimum = public(binary("minimum", "The smaller of x1 and x2"))


@public
def power(x1, x2):
    """x1 to the power x2, element by element, with NumPy's broadcasting."""
    if isinstance(x2, int | float) and x2 == 2 and (isinstance(x2, int) or not is_integer(x1)):
        return square(x1)
    return apply(Binary("power"), x1, x2)
