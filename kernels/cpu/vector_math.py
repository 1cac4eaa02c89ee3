"""exp, log, sigmoid and tanh that loops can vectorise: branch-free float32 arithmetic instead of calls of libm.

``exp(x)`` and the others are called like those of ``math`` inside kernels.  For float32 they are within 4 units in the
last place over the whole range, infinities, NaN and denormal numbers included; for float64 they are ``math``'s.
The polynomials are those of Cephes (S. L. Moshier, 1989), single precision.

A kernel's fast-math flags allow LLVM to reassociate sums, which would undo the exact reduction of the argument.
Multiply-adds are therefore written as calls of an intrinsic, and scaling by powers of two as integer arithmetic.
"""

import math
from types import FunctionType

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)


@intrinsic
def _multiply_add(typingctx, a, b, c):
    def codegen(context, builder, signature, arguments):
        function_type = ir.FunctionType(_FLOAT, [_FLOAT] * 3)
        function = builder.module.globals.get("llvm.fmuladd.f32")
        function = function or ir.Function(builder.module, function_type, "llvm.fmuladd.f32")
        return builder.call(function, arguments)

    return types.float32(types.float32, types.float32, types.float32), codegen


@intrinsic
def _nearest(typingctx, x):
    def codegen(context, builder, signature, arguments):
        function = builder.module.globals.get("llvm.rint.f32")
        function = function or ir.Function(builder.module, ir.FunctionType(_FLOAT, [_FLOAT]), "llvm.rint.f32")
        return builder.call(function, arguments)

    return types.float32(types.float32), codegen


@intrinsic
def _bits(typingctx, x):
    return types.int32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], _INT
    )


@intrinsic
def _from_bits(typingctx, x):
    return types.float32(types.int32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], _FLOAT
    )


def _horner(name, *coefficients):
    """Jitted polynomial by Horner's rule, written out; the highest power comes first."""
    body = f"np.float32({coefficients[0]!r})"
    for coefficient in coefficients[1:]:
        body = f"multiply_add({body}, x, np.float32({coefficient!r}))"
    scope = {"np": np, "multiply_add": _multiply_add}
    exec(f"def {name}(x):\n    return {body}\n", scope)
    return register_jitable(scope[name])


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


@register_jitable
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


@register_jitable
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


@register_jitable
def _sigmoid32(x):
    # exp of a negative number only: no overflow
    z = _exp32(-abs(x))
    numerator = z if x < np.float32(0) else np.float32(1)
    return numerator / (np.float32(1) + z)


@register_jitable
def _tanh32(x):
    magnitude = abs(x)
    square = x * x
    near = _multiply_add(_tanh_polynomial(square) * square, x, x)
    z = _exp32(np.float32(-2) * magnitude)
    far = (np.float32(1) - z) / (np.float32(1) + z)
    far = -far if x < np.float32(0) else far
    return near if magnitude < np.float32(0.625) else far


def exp(x):
    """e to the power of x."""
    return math.exp(x)


def log(x):
    """Natural logarithm: -inf at 0, NaN below."""
    return math.log(x)


def sigmoid(x):
    """1 / (1 + exp(-x))"""
    z = math.exp(-abs(x))
    return (z if x < 0 else 1.0) / (1.0 + z)


def tanh(x):
    """Hyperbolic tangent."""
    return math.tanh(x)


def _register(function, single):
    # a copy, because the name itself stands for the choice
    double = register_jitable(FunctionType(function.__code__, function.__globals__, f"{function.__name__}_double"))

    @overload(function, inline="always")
    def choose(x):
        if x == types.float32:
            return lambda x: single(x)
        return lambda x: double(x)


for _function, _single in ((exp, _exp32), (log, _log32), (sigmoid, _sigmoid32), (tanh, _tanh32)):
    _register(_function, _single)
