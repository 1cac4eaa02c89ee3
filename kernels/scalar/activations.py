"""Activations and pointwise mathematics, one scalar function and one derivative each.

``NAME(x, *parameters)`` is the function; ``NAME_derivative`` is its derivative and takes, in this order, what it needs
of ``x`` and ``y = NAME(x)``, then the parameters.  A derivative in ``y`` alone lets the forward pass overwrite its
input.  Writing these two functions is all that a new activation needs: every target builds its kernels from `NAMES`.

The type of ``x`` is the type of the arithmetic; literals are written ``real(0.5)``, constants are worked out once.
A comparison with NaN is false; the conditions are written so that NaN stays NaN.
"""

import inspect
import linecache
import math
import types

from . import real

# Klambauer et al. 2017, section 2; the floor is the scale times alpha
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_FLOOR = _SELU_SCALE * 1.6732632423543772848170429916717
_ROOT_OF_HALF = math.sqrt(0.5)
_NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)  # the normal density at 0
_ERF_SLOPE = 2 / math.sqrt(math.pi)
_ALL_WHOLE = 2.0**52  # from here on numbers have nothing behind the point
_CHEAP = {"copysign", "floor", "sqrt"}  # of what ``math`` has
# beside its derivative its value would be rounded otherwise than before, and trainings with it keep their bits
_ROUNDED_ALONE = {"silu"}
_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)


def relu(x):
    zero = real(0)
    return zero if x <= zero else x


def relu_derivative(y):
    return real(0) if y <= real(0) else real(1)


def rectifier(x, negative_slope, max_value, threshold):
    """Keras's general ReLU: ``max_value`` above it, ``x`` above ``threshold``, else a line of ``negative_slope``."""
    if x <= threshold:
        return negative_slope * (x - threshold) if negative_slope != real(0) else real(0)
    return max_value if x >= max_value else x


def rectifier_derivative(x, negative_slope, max_value, threshold):
    if x <= threshold:
        return negative_slope
    return real(0) if x >= max_value else real(1)


def sigmoid(x):
    # exp of a negative number only: no overflow
    z = math.exp(-abs(x))
    return z / (real(1) + z) if x < real(0) else real(1) / (real(1) + z)


def sigmoid_derivative(y):
    return y * (real(1) - y)


def tanh(x):
    return math.tanh(x)


def tanh_derivative(y):
    return real(1) - y * y


def softplus(x):
    """log(1 + exp(x))"""
    positive = real(0) if x <= real(0) else x
    return positive + math.log1p(math.exp(-abs(x)))


def softplus_derivative(y):
    return -math.expm1(-y)


def softsign(x):
    """x / (1 + |x|)"""
    magnitude = abs(x)
    # far out the quotient is 1 to the last bit, and inf / inf would be NaN
    return math.copysign(real(1), x) if magnitude > real(1e18) else x / (real(1) + magnitude)


def softsign_derivative(x):
    root = real(1) / (real(1) + abs(x))
    return root * root


def elu(x, alpha):
    """x where positive, else alpha (exp(x) - 1) (Clevert et al. 2016)"""
    return x if x > real(0) else alpha * math.expm1(x)


def elu_derivative(x, y, alpha):
    return real(1) if x > real(0) else y + alpha


def celu(x, alpha):
    """x where positive, else alpha (exp(x / alpha) - 1) (Barron 2017)"""
    return x if x > real(0) else alpha * math.expm1(x / alpha)


def celu_derivative(x, y, alpha):
    return real(1) if x > real(0) else y / alpha + real(1)


def selu(x):
    scale = real(_SELU_SCALE)
    return scale * x if x > real(0) else real(_SELU_FLOOR) * math.expm1(x)


def selu_derivative(y):
    return real(_SELU_SCALE) if y > real(0) else y + real(_SELU_FLOOR)


def clip_far(x):
    """``x`` in [-1000, 1000]: beyond, the factor that meets it is 0 or 1 to the last bit, and inf * 0 would be NaN."""
    limit = real(1000)
    return limit if x > limit else (-limit if x < -limit else x)


def normal(x):
    """Phi(x), the normal distribution function, and its density; erfc is accurate where 1 + erf cancels"""
    density = real(_NORMAL_PEAK) * math.exp(real(-0.5) * x * x)
    return real(0.5) * math.erfc(x * real(-_ROOT_OF_HALF)), density


def gelu(x):
    """x Phi(x) (Hendrycks and Gimpel 2016)"""
    bounded = clip_far(x)  # as in the derivative: what both compute is computed once where they meet
    below, _ = normal(bounded)
    return (x if x > real(0) else bounded) * below


def gelu_derivative(x):
    x = clip_far(x)
    below, density = normal(x)
    return below + x * density


def gelu_tanh(x):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), written as x sigmoid(2 ...)"""
    bounded = clip_far(x)
    u = real(_GELU_SLOPE) * bounded * (real(1) + real(0.044715) * bounded * bounded)
    return (x if x > real(0) else bounded) * sigmoid(u)


def gelu_tanh_derivative(x):
    x = clip_far(x)
    u = real(_GELU_SLOPE) * x * (real(1) + real(0.044715) * x * x)
    du = real(_GELU_SLOPE) * (real(1) + real(3 * 0.044715) * x * x)
    s = sigmoid(u)
    return s + x * s * (real(1) - s) * du


def silu(x):
    """x sigmoid(x), also called swish"""
    return (x if x > real(0) else clip_far(x)) * sigmoid(x)


def silu_derivative(x):
    x = clip_far(x)
    s = sigmoid(x)
    return s * (real(1) + x * (real(1) - s))


def hard_sigmoid(x):
    """relu6(x + 3) / 6"""
    y = (x + real(3)) * real(1 / 6)
    return real(0) if y < real(0) else (real(1) if y > real(1) else y)


def hard_sigmoid_derivative(y):
    return real(0) if y <= real(0) or y >= real(1) else real(1 / 6)


def hard_silu(x):
    """x relu6(x + 3) / 6, also called hard swish (Howard et al. 2019)"""
    return (x if x > real(0) else clip_far(x)) * hard_sigmoid(x)


def hard_silu_derivative(x):
    if x <= real(-3):
        return real(0)
    return real(1) if x >= real(3) else x * real(1 / 3) + real(0.5)


def hard_tanh(x):
    one = real(1)
    return -one if x < -one else (one if x > one else x)


def hard_tanh_derivative(y):
    return real(0) if y <= real(-1) or y >= real(1) else real(1)


def tanh_shrink(x):
    return x - math.tanh(x)


def tanh_shrink_derivative(x):
    y = math.tanh(x)
    return y * y


def hard_shrink(x, threshold):
    """0 within ``threshold`` of 0, else x"""
    return real(0) if abs(x) <= threshold else x


def hard_shrink_derivative(x, threshold):
    return real(0) if abs(x) <= threshold else real(1)


def soft_shrink(x, threshold):
    """0 within ``threshold`` of 0, else x moved towards 0 by it"""
    return real(0) if abs(x) <= threshold else x - math.copysign(threshold, x)


def soft_shrink_derivative(x, threshold):
    return real(0) if abs(x) <= threshold else real(1)


def thresholded(x, threshold, default_value):
    """x above ``threshold``, else ``default_value``"""
    return default_value if x <= threshold else x


def thresholded_derivative(x, threshold, default_value):
    return real(0) if x <= threshold else real(1)


def squareplus_root(x, b):
    """sqrt(x^2 + b); where b is lost in it, x^2 may not be a number any more"""
    magnitude = abs(x)
    return magnitude if magnitude > real(1e18) else math.sqrt(x * x + b)


def squareplus(x, b):
    """(x + sqrt(x^2 + b)) / 2 (Barron 2021), without cancellation where x is negative"""
    root = squareplus_root(x, b)
    return real(0.5) * b / (root - x) if x < real(0) else real(0.5) * (x + root)


def squareplus_derivative(x, y, b):
    # at inf the quotient would be NaN, and so it would at 0 for b = 0
    if x > real(1e18):
        return real(1)
    root = squareplus_root(x, b)
    return y / root if root > real(0) else real(0.5)


def sparse_plus(x):
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x (Blondel et al. 2019, the loss of sparsemax for two classes)"""
    shifted = x + real(1)
    if x <= real(-1):
        return real(0)
    return x if x >= real(1) else real(0.25) * shifted * shifted


def sparse_plus_derivative(x):
    if x <= real(-1):
        return real(0)
    return real(1) if x >= real(1) else real(0.5) * (x + real(1))


def sparse_sigmoid(x):
    """(x + 1) / 2 within 0 and 1"""
    y = real(0.5) * (x + real(1))
    return real(0) if y < real(0) else (real(1) if y > real(1) else y)


def sparse_sigmoid_derivative(y):
    return real(0) if y <= real(0) or y >= real(1) else real(0.5)


def tanh_softplus(x):
    """tanh(log(1 + exp(x))), from one exp of a negative number"""
    one = real(1)
    z = math.exp(-abs(x))
    if x < real(0):
        return z * (z + real(2)) / (z * (z + real(2)) + real(2))
    return (one + real(2) * z) / (one + real(2) * z * (one + z))


def mish(x):
    """x tanh(softplus(x)) (Misra 2019)"""
    bounded = clip_far(x)
    return (x if x > real(0) else bounded) * tanh_softplus(bounded)


def mish_derivative(x):
    x = clip_far(x)
    t = tanh_softplus(x)
    return t + x * sigmoid(x) * (real(1) - t * t)


def log_sigmoid(x):
    return -softplus(-x)


def log_sigmoid_derivative(y):
    return -math.expm1(y)


def exp(x):
    return math.exp(x)


def exp_derivative(y):
    return y


# Keras's name of the activation
exponential = exp
exponential_derivative = exp_derivative


def log(x):
    return math.log(x)


def log_derivative(x):
    return real(1) / x


def sqrt(x):
    return math.sqrt(x)


def sqrt_derivative(y):
    return real(0.5) / y


def square(x):
    return x * x


def square_derivative(x):
    return x + x


def absolute(x):
    return abs(x)


def absolute_derivative(x):
    return sign(x)


def negative(x):
    return -x


def negative_derivative(y):
    return real(-1)


def reciprocal(x):
    return real(1) / x


def reciprocal_derivative(y):
    return -y * y


def sign(x):
    """-1, 0 or 1"""
    return real(1) if x > real(0) else (real(-1) if x < real(0) else x)


def sign_derivative(y):
    return real(0)


def sin(x):
    return math.sin(x)


def sin_derivative(x):
    return math.cos(x)


def cos(x):
    return math.cos(x)


def cos_derivative(x):
    return -math.sin(x)


# ---- functions of jitnet.ops


def log1p(x):
    """log(1 + x), accurate near 0"""
    return math.log1p(x)


def log1p_derivative(x):
    return real(1) / (real(1) + x)


def expm1(x):
    """exp(x) - 1, accurate near 0"""
    return math.expm1(x)


def expm1_derivative(y):
    return y + real(1)


def erf(x):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x"""
    return math.erf(x)


def erf_derivative(x):
    return real(_ERF_SLOPE) * math.exp(-x * x)


def arctan(x):
    return math.atan(x)


def arctan_derivative(x):
    return real(1) / (real(1) + x * x)


def floor(x):
    """The largest whole number that is not above x"""
    if not abs(x) < real(_ALL_WHOLE):  # NaN, too
        return x
    whole = real(int(x))
    return whole - real(1) if whole > x else whole


def floor_derivative(y):
    return real(0)


def nearest_whole(x):
    """The nearest whole number, of two the even one"""
    low = floor(x)
    above = x - low
    odd = floor(real(0.5) * low) != real(0.5) * low
    return low + real(1) if above > real(0.5) or (above == real(0.5) and odd) else low


def nearest_whole_derivative(y):
    return real(0)


# every activation of this module, in the order of the text
NAMES = tuple(name for name in list(globals()) if f"{name}_derivative" in globals())


_defined: dict[str, dict] = {}  # {name: the names of the text that it is from}, of activations that are not of this one


def define(name: str, source: str) -> None:
    """Add an activation that is not of this text.

    source: functions ``name`` and ``name_derivative``, and what they call, written as those of this text.  Compiled
        code is kept by names: another source has another name.
    """
    global NAMES
    if name in NAMES:
        return
    file = f"<activation {name}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    scope = {"__name__": __name__, "math": math, "real": real}
    exec(compile(source, file, "exec"), scope)
    _defined[name] = scope
    globals().update({key: value for key, value in scope.items() if key.startswith(name)})
    NAMES = (*NAMES, name)


def defined_by(word: str) -> str | None:
    """The activation of ``define`` that a function or a kernel belongs to, by the name of that."""
    return next((name for name in _defined if word == name or word.startswith(f"{name}_")), None)


def functions_of(name: str) -> types.SimpleNamespace:
    """The functions of an activation of ``define``, and what they read, as a module has them."""
    return types.SimpleNamespace(**_defined[name])


def parameters(name: str) -> tuple[str, ...]:
    """Names of the parameters of activation ``name``: of ``elu``, ``("alpha",)``."""
    return tuple(inspect.signature(globals()[name]).parameters)[1:]


def derivative_arguments(name: str) -> tuple[str, ...]:
    """Which of ``x`` and ``y`` the derivative of activation ``name`` reads, in order."""
    arguments = inspect.signature(globals()[f"{name}_derivative"]).parameters
    return tuple(argument for argument in arguments if argument in ("x", "y"))


def share_work(name: str) -> bool:
    """Whether activation ``name`` and its derivative had better be computed together: both call exp, say."""
    return name not in _ROUNDED_ALONE and bool(_called(globals()[name]) & _called(globals()[f"{name}_derivative"]))


def _called(function) -> set[str]:
    """The functions of ``math`` that a function calls, and those that it calls call."""
    found = set()
    for word in function.__code__.co_names:
        other = function.__globals__.get(word)
        if hasattr(math, word):
            found |= {word} - _CHEAP
        elif isinstance(other, types.FunctionType):
            found |= _called(other)
    return found
