"""Binary arithmetic: ``NAME(a, b)`` and its partial derivatives ``NAME_derivative_a`` and ``NAME_derivative_b``."""

import math

from . import real


def add(a, b):
    return a + b


def add_derivative_a(a, b):
    return real(1)


def add_derivative_b(a, b):
    return real(1)


def subtract(a, b):
    return a - b


def subtract_derivative_a(a, b):
    return real(1)


def subtract_derivative_b(a, b):
    return real(-1)


def multiply(a, b):
    return a * b


def multiply_derivative_a(a, b):
    return b


def multiply_derivative_b(a, b):
    return a


def divide(a, b):
    return a / b


def divide_derivative_a(a, b):
    return real(1) / b


def divide_derivative_b(a, b):
    return -a / (b * b)


def maximum(a, b):
    # NaN on either side gives NaN
    return b if a < b or b != b else a


def maximum_derivative_a(a, b):
    """1 where ``a`` is taken; the gradient of a tie is shared."""
    return real(1) if a > b else (real(0.5) if a == b else real(0))


def maximum_derivative_b(a, b):
    return real(1) if b > a else (real(0.5) if a == b else real(0))


def minimum(a, b):
    return b if b < a or b != b else a


def minimum_derivative_a(a, b):
    return real(1) if a < b else (real(0.5) if a == b else real(0))


def minimum_derivative_b(a, b):
    return real(1) if b < a else (real(0.5) if a == b else real(0))


def power(a, b):
    return a**b


def power_derivative_a(a, b):
    # 0 * 0^-1 would be NaN
    return real(0) if b == real(0) else b * a ** (b - real(1))


def power_derivative_b(a, b):
    # 0^b is 0 for every positive b: flat, though log(0) is not finite
    return real(0) if a == real(0) and b >= real(0) else a**b * math.log(a)


# every operation of this module, in the order of the text
NAMES = tuple(name for name in list(globals()) if f"{name}_derivative_a" in globals())
