"""Arithmetic and mathematical functions of single elements."""

import math

import numpy as np

from ..core.errors import invalid
from ..core.operations.elementwise import Binary
from ..core.policy import floatx
from ..core.values import Value, is_integer
from ._calls import apply, binary, kept, on_arrays, publisher, unary
from .comparisons import equal, greater, isnan, less, less_equal, logical_and, logical_not, where
from .tensors import cast, checked_dtype, dtype_of

__all__ = ["abs", "true_divide"]
public = publisher(__all__)

exp = public(unary("exp", "The exponential", array=np.exp))
log = public(unary("log", "The natural logarithm", array=np.log))
sqrt = public(unary("sqrt", "The square root", array=np.sqrt))
square = public(unary("square", "x * x", array=np.square))
absolute = public(unary("absolute", "|x|", array=np.absolute))
negative = public(unary("negative", "-x", array=np.negative))
sign = public(unary("sign", "-1, 0 or 1 by the sign of x", array=np.sign))
sin = public(unary("sin", "The sine", array=np.sin))
cos = public(unary("cos", "The cosine", array=np.cos))
log1p = public(unary("log1p", "log(1 + x), accurate near 0", array=np.log1p))
expm1 = public(unary("expm1", "exp(x) - 1, accurate near 0", array=np.expm1))
erf = public(unary("erf", "2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x"))
arctan = public(unary("arctan", "The arc tangent", array=np.arctan))
floor = public(unary("floor", "The largest whole number that is not above x", array=np.floor))
abs = absolute
add = public(binary("add", "x1 + x2", np.add))
subtract = public(binary("subtract", "x1 - x2", np.subtract))
multiply = public(binary("multiply", "x1 * x2", np.multiply))
divide = public(binary("divide", "x1 / x2", np.divide))
maximum = public(kept(binary("maximum", "The larger of x1 and x2", np.maximum)))
minimum = public(kept(binary("minimum", "The smaller of x1 and x2", np.minimum)))
true_divide = divide


@public
@on_arrays(lambda x: 1 / np.asarray(x))  # NumPy's own gives 0 for integers
def reciprocal(x):
    """1 / x."""
    return _reciprocal(x)


_reciprocal = unary("reciprocal", "1 / x")


@public
@on_arrays(np.power)
def power(x1, x2):
    """x1 to the power x2, element by element, with NumPy's broadcasting."""
    if isinstance(x2, int | float) and x2 == 2 and (isinstance(x2, int) or not is_integer(x1)):
        return square(x1)
    return apply(Binary("power"), x1, x2)


@public
@on_arrays(lambda x: 1 / np.sqrt(x))
def rsqrt(x):
    """1 / sqrt(x)."""
    return reciprocal(sqrt(x))


@public
@on_arrays(np.ceil)
def ceil(x):
    """The smallest whole number that is not below x."""
    return negative(floor(negative(x)))


@public
@on_arrays(np.trunc)
def trunc(x):
    """x without what is behind the point."""
    return sign(x) * floor(absolute(x))


_nearest_whole = unary("round", "The nearest whole number, of two the even one", "nearest_whole")


@public
@on_arrays(np.round)
def round(x, decimals=0):
    """x with ``decimals`` digits behind the point; what lies in the middle goes to the even one."""
    if decimals == 0:
        return _nearest_whole(x)
    return _nearest_whole(x * 10.0**decimals) / 10.0**decimals


@public
@on_arrays(np.clip)
def clip(x, x_min, x_max):
    """min(max(x, x_min), x_max)."""
    return minimum(maximum(x, x_min), x_max)


@public
def saturate_cast(x, dtype):
    """``cast``, after which numbers that the dtype can't hold are the nearest that it can."""
    kind = np.dtype(checked_dtype("saturate_cast", dtype))
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        # the largest integer of four bytes is no float32
        low, high = limits.min, limits.max if kind.itemsize < 4 else limits.max - 2 ** (8 * kind.itemsize - 25) + 1
        x = clip(x, low, high) if is_integer(x) else clip(x, float(low), float(high))
    return cast(x, dtype)


@public
@on_arrays(np.exp2)
def exp2(x):
    """2 to the power x."""
    return exp(x * math.log(2))


@public
@on_arrays(np.log2)
def log2(x):
    """The logarithm to base 2."""
    return log(x) * (1 / math.log(2))


@public
@on_arrays(np.log10)
def log10(x):
    """The logarithm to base 10."""
    return log(x) * (1 / math.log(10))


@public
@on_arrays(np.logaddexp)
def logaddexp(x1, x2):
    """log(exp(x1) + exp(x2)), without overflow."""
    return maximum(x1, x2) + log1p(exp(negative(absolute(x1 - x2))))


@public
@on_arrays(np.tan)
def tan(x):
    """The tangent."""
    return sin(x) / cos(x)


@public
@on_arrays(np.arcsin)
def arcsin(x):
    """The arc sine, of x in [-1, 1]."""
    return arctan(x / sqrt((1.0 - x) * (1.0 + x)))


@public
@on_arrays(np.arccos)
def arccos(x):
    """The arc cosine, of x in [-1, 1]."""
    return math.pi / 2 - arcsin(x)


@public
@on_arrays(np.arctan2)
def arctan2(x1, x2):
    """The angle of the point (x2, x1) of the plane, from -pi to pi."""
    steep = greater(absolute(x1), absolute(x2))
    upper, lower = where(steep, x2, x1), where(steep, x1, x2)
    nothing = equal(lower, 0)  # both are 0
    angle = arctan(upper / where(nothing, 1.0, lower))
    quarter = (0.5 - cast(less(x1, 0), angle.dtype)) * math.pi
    behind = cast(less(x2, 0), angle.dtype) * 2.0 * quarter
    return where(steep, quarter - angle, behind + angle)


@public
@on_arrays(np.sinh)
def sinh(x):
    """The hyperbolic sine."""
    above = expm1(absolute(x))
    return sign(x) * 0.5 * (above + above / (above + 1.0))


@public
@on_arrays(np.cosh)
def cosh(x):
    """The hyperbolic cosine."""
    return 0.5 * (exp(x) + exp(negative(x)))


@public
@on_arrays(np.arcsinh)
def arcsinh(x):
    """The inverse of sinh."""
    size = absolute(x)
    return sign(x) * log1p(size + size * size / (1.0 + sqrt(size * size + 1.0)))


@public
@on_arrays(np.arccosh)
def arccosh(x):
    """The inverse of cosh, of x from 1 on."""
    return log(x + sqrt((x - 1.0) * (x + 1.0)))


@public
@on_arrays(np.arctanh)
def arctanh(x):
    """The inverse of tanh, of x between -1 and 1."""
    return 0.5 * (log1p(x) - log1p(negative(x)))


@public
@on_arrays(np.hypot)
def hypot(x1, x2):
    """sqrt(x1^2 + x2^2)."""
    return sqrt(square(x1) + square(x2))


@public
@on_arrays(np.deg2rad)
def deg2rad(x):
    """Degrees as radians."""
    return x * (math.pi / 180)


@public
@on_arrays(np.rad2deg)
def rad2deg(x):
    """Radians as degrees."""
    return x * (180 / math.pi)


@public
@on_arrays(np.floor_divide)
def floor_divide(x1, x2):
    """The largest whole number that is not above x1 / x2; of integers an integer."""
    if is_integer(x1) and is_integer(x2):
        whole = next(x.dtype for x in (x1, x2) if isinstance(x, Value))
        whole = "int32" if whole == "bool" else whole
        quotient = floor(divide(_as_double(x1), _as_double(x2)))
        return cast(quotient, whole)
    return floor(divide(x1, x2))


def _as_double(x):
    return cast(x, "float64") if isinstance(x, Value) else np.float64(x)


@public
@on_arrays(np.mod)
def mod(x1, x2):
    """What is left of x1 when multiples of x2 are taken off; it has the sign of x2."""
    return x1 - floor_divide(x1, x2) * x2


@public
@on_arrays(lambda x1, x2: tuple(np.divmod(x1, x2)))
def divmod(x1, x2):
    """``(floor_divide(x1, x2), mod(x1, x2))``."""
    quotient = floor_divide(x1, x2)
    return quotient, x1 - quotient * x2


@public
@on_arrays(lambda x, nan, posinf, neginf: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf))
def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    """x with a number for NaN and for the infinities, by default the largest and smallest of the dtype."""
    kind = dtype_of(x)
    if not kind.startswith("float"):
        return x
    largest = float(np.finfo(kind).max)
    found = where(equal(x, math.inf), largest if posinf is None else posinf, x)
    found = where(equal(x, -math.inf), -largest if neginf is None else neginf, found)
    return where(isnan(x), nan, found)


@public
@on_arrays(np.isclose)
def isclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether |x1 - x2| <= atol + rtol |x2|, element by element: bool."""
    if equal_nan:
        raise invalid("ops.isclose of symbolic tensors takes NaN for equal to nothing.", equal_nan=equal_nan)
    near = less_equal(absolute(subtract(x1, x2)), atol + rtol * absolute(x2))
    # infinite numbers are close to themselves alone
    unlike = logical_not(less(absolute(x2), math.inf))
    return where(unlike, equal(x1, x2), logical_and(near, True))


@public
@on_arrays(np.heaviside)
def heaviside(x1, x2):
    """0 where x1 is negative, x2 where it is 0, 1 where it is positive."""
    return where(equal(x1, 0), x2, cast(greater(x1, 0), dtype_of(x1)))


@public
@on_arrays(np.cbrt)
def cbrt(x):
    """The cube root."""
    return sign(x) * power(absolute(x), 1 / 3)


@public
@on_arrays(lambda x1, x2: np.divide(x1, x2) * np.not_equal(x2, 0) if np.all(x2) else _divided(x1, x2))
def divide_no_nan(x1, x2):
    """x1 / x2, and 0 where x2 is 0."""
    nothing = equal(x2, 0)
    return where(nothing, 0.0, divide(x1, where(nothing, 1.0, x2)))


def _divided(x1, x2):
    x2 = np.asarray(x2)
    return np.where(x2 == 0, 0, np.divide(x1, np.where(x2 == 0, 1, x2)))


@public
def erfc(x):
    """1 - erf(x)."""
    return subtract(1.0, erf(x))


@public
@on_arrays(np.fabs)
def fabs(x):
    """|x|, of integers as floats."""
    return absolute(cast(x, floatx()) if is_integer(x) else x)


@public
@on_arrays(np.fmax)
def fmax(x1, x2):
    """The larger of x1 and x2, and of a number and NaN the number."""
    return where(isnan(x1), x2, where(isnan(x2), x1, maximum(x1, x2)))


@public
@on_arrays(np.fmin)
def fmin(x1, x2):
    """The smaller of x1 and x2, and of a number and NaN the number."""
    return where(isnan(x1), x2, where(isnan(x2), x1, minimum(x1, x2)))


@public
@on_arrays(np.fmod)
def fmod(x1, x2):
    """What is left of x1 when multiples of x2 are taken off; it has the sign of x1."""
    size = absolute(x2)
    rest = absolute(x1) - floor_divide(absolute(x1), size) * size
    return where(less(x1, 0), negative(rest), rest)


@public
@on_arrays(np.ldexp)
def ldexp(x1, x2):
    """x1 times 2 to the power x2, a whole number."""
    return multiply(x1, power(2.0, cast(x2, dtype_of(x1)) if is_integer(x2) else x2))


@public
@on_arrays(np.logaddexp2)
def logaddexp2(x1, x2):
    """log2(2^x1 + 2^x2), without overflow."""
    return maximum(x1, x2) + log1p(exp2(negative(absolute(x1 - x2)))) * (1 / math.log(2))


@public
@on_arrays(np.sinc)
def sinc(x):
    """sin(pi x) / (pi x), and 1 at 0."""
    zero = equal(x, 0)
    angle = where(zero, 1.0, x) * math.pi
    return where(zero, 1.0, sin(angle) / angle)
