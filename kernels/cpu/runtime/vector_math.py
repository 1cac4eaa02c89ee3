"""``math`` for kernels: exp, log and their kin as branch-free float32 arithmetic that loops can vectorise.

``exp(x)`` and the others are called like those of ``math``, whose remaining functions are here as they are.  For
float32 they are within 4 units in the last place over the whole range, infinities, NaN and denormal numbers included;
for float64 they are ``math``'s.  The polynomials of exp, log and (near 0) tanh are those of Cephes (S. L. Moshier,
1989), single precision; those of erf, erfc and tanh elsewhere were fitted for the smallest relative error.

A kernel's fast-math flags allow LLVM to reassociate sums, which would undo the exact reduction of the argument.
Multiply-adds are therefore written as calls of an intrinsic, and scaling by powers of two as integer arithmetic.
"""

import math
import sys
from inspect import getmembers, isfunction
from math import atan, copysign, cos, pi, sin, sqrt  # noqa: F401 (part of what takes the place of math)
from types import FunctionType

import numpy as np
from llvmlite import ir

from ...compiler import intrinsic
from .jit import inlined, scalar, written
from .lazily import numba, with_numba

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)


@intrinsic
def _multiply_add(typingctx, a, b, c):
    def codegen(context, builder, signature, arguments):
        function_type = ir.FunctionType(_FLOAT, [_FLOAT] * 3)
        function = builder.module.globals.get("llvm.fmuladd.f32")
        function = function or ir.Function(builder.module, function_type, "llvm.fmuladd.f32")
        return builder.call(function, arguments)

    return numba.types.float32(numba.types.float32, numba.types.float32, numba.types.float32), codegen


@intrinsic
def _nearest(typingctx, x):
    def codegen(context, builder, signature, arguments):
        function = builder.module.globals.get("llvm.rint.f32")
        function = function or ir.Function(builder.module, ir.FunctionType(_FLOAT, [_FLOAT]), "llvm.rint.f32")
        return builder.call(function, arguments)

    return numba.types.float32(numba.types.float32), codegen


@intrinsic
def _bits(typingctx, x):
    return numba.types.int32(numba.types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], _INT
    )


@intrinsic
def _from_bits(typingctx, x):
    return numba.types.float32(numba.types.int32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], _FLOAT
    )


def _horner(name, *coefficients):
    """Jitted polynomial by Horner's rule, written out; the highest power comes first."""
    body = f"np.float32({coefficients[0]!r})"
    for coefficient in coefficients[1:]:
        body = f"multiply_add({body}, x, np.float32({coefficient!r}))"
    scope = {"np": np, "multiply_add": _multiply_add}
    source = f"def {name}(x):\n    return {body}\n"
    exec(source, scope)
    return scalar(written(scope[name], source), inline=True)


_exp_polynomial = _horner(
    "_exp_polynomial",
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
)  # fmt: skip
_log_polynomial = _horner(
    "_log_polynomial",
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_tanh_polynomial = _horner(
    "_tanh_polynomial", -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1
)
# tanh(x / 2) / x as a quotient in x^2, 0.625 <= |x| <= 9.3, where it is 1
_tanh_numerator = _horner("_tanh_numerator", 5.218157821218483e-5, 1.4659494161605835e-2, 0.5)
_tanh_denominator = _horner(
    "_tanh_denominator", 1.0196470157097792e-6, 1.1588349007070065e-3, 0.11265219748020172, 1.0
)  # fmt: skip
# (1 + 2 a) erfcx(a) - 1 in q = (a - 2) / (a + 2), 0 <= a <= 10.1
_erfc_polynomial = _horner(
    "_erfc_polynomial",
    -4.00576595e-4, -1.22992706e-3, 1.31352269e-3, 8.63168016e-3, -8.05987511e-3, -5.42043000e-2, 1.64055347e-1,
    -1.66031420e-1, -9.27639827e-2, 2.76978403e-1,
)  # fmt: skip
# exp(x^2 / 2) (1 - Phi(x)) / t in t = 1 / (1 + 0.35 x), 0 <= x <= 13.3
_normal_polynomial = _horner(
    "_normal_polynomial",
    -0.0291150175, 0.143818423, -0.255391032, 0.158796579, -0.0228434354,
    0.105392151, 0.119863085, 0.13985756, 0.13962166,
)  # fmt: skip
# erf(x) / x in x^2, |x| <= 0.9
_erf_polynomial = _horner(
    "_erf_polynomial",
    -6.09037699e-4, 5.01196692e-3, -2.67789122e-2, 1.12821406e-1, -3.76125246e-1, 1.12837911,
)  # fmt: skip


@inlined
def _exp32(x):
    # NaN becomes a number here, too, because NaN has no integer
    clipped = x if x > np.float32(-104) else np.float32(-104)
    clipped = clipped if clipped < np.float32(89) else np.float32(89)
    power = _nearest(clipped * np.float32(1.44269504088896341))
    rest = _multiply_add(power, np.float32(-0.693359375), clipped)
    rest = _multiply_add(power, np.float32(2.12194440e-4), rest)
    value = _multiply_add(_exp_polynomial(rest), rest * rest, rest) + np.float32(1)
    # a power of two goes into the exponent; results below the normal numbers take a detour of 2^32
    exponent = np.int32(power)
    small = exponent < np.int32(-125)
    exponent = exponent + np.int32(32) if small else exponent
    scale = np.float32(2.0**-32) if small else np.float32(1)
    value = _from_bits(_bits(value) + (exponent << np.int32(23))) * scale
    value = np.float32(np.inf) if x > np.float32(88.722839) else value
    value = np.float32(0) if x < np.float32(-103.98) else value
    return value if x == x else x


@inlined
def _log32(x):
    small = x < np.float32(1.17549435e-38)
    scaled = x * np.float32(2.0**32) if small else x
    bits = _bits(scaled)
    # mantissa in [sqrt(1/2), sqrt(2)): subtracting sqrt(1/2) carries into the exponent at the right place
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    mantissa = _from_bits(bits - (exponent << np.int32(23))) - np.float32(1)
    power = np.float32(exponent - np.int32(32) if small else exponent)
    square = mantissa * mantissa
    value = _log_polynomial(mantissa) * (mantissa * square)
    value = _multiply_add(power, np.float32(-2.12194440e-4), value)
    value = _multiply_add(np.float32(-0.5), square, value) + mantissa
    value = _multiply_add(power, np.float32(0.693359375), value)
    value = x if x == np.float32(np.inf) else value
    value = np.float32(-np.inf) if x == np.float32(0) else value
    return value if x >= np.float32(0) else np.float32(np.nan)


@inlined
def _expm1_32(x):
    clipped = x if x > np.float32(-18) else np.float32(-18)
    clipped = clipped if clipped < np.float32(89) else np.float32(89)
    power = _nearest(clipped * np.float32(1.44269504088896341))
    rest = _multiply_add(power, np.float32(-0.693359375), clipped)
    rest = _multiply_add(power, np.float32(2.12194440e-4), rest)
    value = _multiply_add(_exp_polynomial(rest), rest * rest, rest)
    # half the power of two: the largest one is no float32
    half = _from_bits((np.int32(power) + np.int32(126)) << np.int32(23))
    value = _multiply_add(half, value, half - np.float32(0.5)) * np.float32(2)
    value = np.float32(np.inf) if x > np.float32(88.722839) else value
    return value if abs(x) > np.float32(1e-30) else x


@inlined
def _log1p32(x):
    bits = _bits(_multiply_add(x, np.float32(1), np.float32(1)))
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    # (1 + x) / 2^exponent - 1, rounded once; four times the power of two, because its inverse may be no normal number
    scale = _from_bits((np.int32(129) - exponent) << np.int32(23))
    mantissa = _multiply_add(x * np.float32(0.25), scale, scale * np.float32(0.25) - np.float32(1))
    power = np.float32(exponent)
    square = mantissa * mantissa
    value = _log_polynomial(mantissa) * (mantissa * square)
    value = _multiply_add(power, np.float32(-2.12194440e-4), value)
    value = _multiply_add(np.float32(-0.5), square, value) + mantissa
    value = _multiply_add(power, np.float32(0.693359375), value)
    value = x if x == np.float32(np.inf) or abs(x) < np.float32(1e-30) else value
    value = np.float32(-np.inf) if x == np.float32(-1) else value
    return value if x >= np.float32(-1) else np.float32(np.nan)


@inlined
def _erfc_of_magnitude(x):
    """erfc(|x|) = (1 + polynomial) exp(-x^2) / (1 + 2 |x|)"""
    a = abs(x)
    a = a if a < np.float32(10.1) else np.float32(10.1)
    # each quotient is corrected by its remainder
    inverse = np.float32(1) / (a + np.float32(2))
    q = _multiply_add(np.float32(-4), inverse, np.float32(1))
    remainder = _multiply_add(-a, q, _multiply_add(q + np.float32(1), np.float32(-2), a))
    q = _multiply_add(inverse, remainder, q)
    p = _erfc_polynomial(q)
    inverse = np.float32(1) / _multiply_add(np.float32(2), a, np.float32(1))
    q = _multiply_add(p, inverse, inverse)
    remainder = _multiply_add(_multiply_add(q, -a, np.float32(0.5)), np.float32(2), p - q)
    q = _multiply_add(remainder, inverse, q)
    square = a * a
    lost = _multiply_add(-a, a, square)
    factor = _exp32(-square)
    return _multiply_add(q, factor, q * factor * lost)


@inlined
def _erfc32(x):
    value = _erfc_of_magnitude(x)
    value = np.float32(2) - value if x < np.float32(0) else value
    return value if x == x else x


@inlined
def _erf32(x):
    far = np.float32(1) - _erfc_of_magnitude(x)
    far = -far if x < np.float32(0) else far
    near = x * _erf_polynomial(x * x)
    far = near if abs(x) < np.float32(0.9) else far
    return far if x == x else x


@inlined
def _normal32(x):
    """1 - Phi(a) = t polynomial(t) exp(-a^2 / 2), a = |x|; both are 0 where they would be no normal numbers."""
    a = abs(x)
    a = a if a < np.float32(13.2) else np.float32(13.2)
    square = a * a
    lost = _multiply_add(-a, a, square)
    half = np.float32(-0.5) * square
    power = _nearest(half * np.float32(1.44269504088896341))
    rest = _multiply_add(power, np.float32(-0.693359375), half)
    rest = _multiply_add(power, np.float32(2.12194440e-4), rest)
    factor = _multiply_add(_exp_polynomial(rest), rest * rest, rest) + np.float32(1)
    factor = _from_bits(_bits(factor) + (np.int32(power) << np.int32(23)))
    factor = _multiply_add(factor, np.float32(0.5) * lost, factor)
    factor = factor if a < np.float32(13.2) else np.float32(0)
    t = np.float32(1) / _multiply_add(a, np.float32(0.35), np.float32(1))
    tail = _normal_polynomial(t) * t * factor
    return np.float32(1) - tail if x > np.float32(0) else tail, factor * np.float32(0.3989422804014327)


@inlined
def _tanh32(x):
    magnitude = abs(x)
    magnitude = np.float32(9.3) if magnitude > np.float32(9.3) else magnitude
    square = magnitude * magnitude
    near = _multiply_add(_tanh_polynomial(square) * square, magnitude, magnitude)
    # with t = tanh(x / 2) = a / b it is 2 t / (1 + t^2) = 1 - (1 - t)^2 / (1 + t^2): what is small is subtracted
    a = magnitude * _tanh_numerator(square)
    b = _tanh_denominator(square)
    rest = b - a
    far = np.float32(1) - rest * rest / _multiply_add(b, b, a * a)
    value = near if magnitude < np.float32(0.625) else far
    return _from_bits(_bits(value) | (_bits(x) & np.int32(-(2**31))))


def exp(x):
    """e to the power of x."""
    return math.exp(x)


def expm1(x):
    """exp(x) - 1, accurate near 0."""
    return math.expm1(x)


def log(x):
    """Natural logarithm: -inf at 0, NaN below."""
    return math.log(x)


def log1p(x):
    """log(1 + x), accurate near 0: -inf at -1, NaN below."""
    return math.log1p(x)


def tanh(x):
    """Hyperbolic tangent."""
    return math.tanh(x)


def erf(x):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return math.erf(x)


def erfc(x):
    """1 - erf(x), accurate where erf(x) is near 1."""
    return math.erfc(x)


def normal(x):
    """The standard normal distribution function and its density at x, for NaN any numbers."""
    return 0.5 * math.erfc(x * -0.7071067811865476), 0.3989422804014327 * math.exp(-0.5 * x * x)


_SINGLE = {
    normal: _normal32,
    exp: _exp32,
    expm1: _expm1_32,
    log: _log32,
    log1p: _log1p32,
    tanh: _tanh32,
    erf: _erf32,
    erfc: _erfc32,
}


def _register(function, single):
    # a copy, because the name itself stands for the choice
    double = scalar(FunctionType(function.__code__, function.__globals__, f"{function.__name__}_double"))
    function.compiled_with, function.single = {}, single

    def choose(x):
        if x == numba.types.float32:
            return lambda x: single(x)
        return lambda x: double(x)

    with_numba(lambda: numba.extending.overload(function, inline="always")(choose))


for _function, _single in _SINGLE.items():
    _register(_function, _single)


def scalar_functions(module, **options) -> dict:
    """The functions of a module of ``scalar`` for kernels, with this module in the place of ``math``.

    A function ``normal`` of the module is this one's, too.

    options: see ``scalar``.
    """
    scope = dict(vars(module))
    if "math" in scope:
        scope["math"] = sys.modules[__name__]
    copies = {}
    for name, function in getmembers(module, isfunction):
        own = normal if name == "normal" else scalar(FunctionType(function.__code__, scope, name), True, **options)
        copies[name] = scope[name] = own
    return copies
