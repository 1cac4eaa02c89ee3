"""Activations and pointwise mathematics, one scalar function and one derivative each.

``NAME(x, *parameters)`` is the function; ``NAME_derivative`` is its derivative and takes, in this order, what it needs
of ``x`` and ``y = NAME(x)``, then the parameters.  A derivative in ``y`` alone lets the forward pass overwrite its
input.  Writing these two functions is all that a new activation needs: every target builds its kernels from `NAMES`.

The type of ``x`` is the type of the arithmetic: a literal is written ``type(x)(0.5)`` so that float32 stays float32.
A comparison with NaN is false; the conditions are written so that NaN stays NaN.
"""

import inspect
import math


def relu(x):
    zero = type(x)(0)
    return zero if x <= zero else x


def relu_derivative(y):
    return type(y)(0) if y <= type(y)(0) else type(y)(1)


def rectifier(x, negative_slope, max_value, threshold):
    """Keras's general ReLU: ``max_value`` above it, ``x`` above ``threshold``, else a line of ``negative_slope``."""
    if x <= threshold:
        return negative_slope * (x - threshold) if negative_slope != type(x)(0) else type(x)(0)
    return max_value if x >= max_value else x


def rectifier_derivative(x, negative_slope, max_value, threshold):
    if x <= threshold:
        return negative_slope
    return type(x)(0) if x >= max_value else type(x)(1)


def sigmoid(x):
    # exp of a negative number only: no overflow
    z = math.exp(-abs(x))
    return z / (type(x)(1) + z) if x < type(x)(0) else type(x)(1) / (type(x)(1) + z)


def sigmoid_derivative(y):
    return y * (type(y)(1) - y)


def tanh(x):
    return math.tanh(x)


def tanh_derivative(y):
    return type(y)(1) - y * y


def softplus(x):
    """log(1 + exp(x))"""
    positive = type(x)(0) if x <= type(x)(0) else x
    return positive + math.log1p(math.exp(-abs(x)))


def softplus_derivative(y):
    return -math.expm1(-y)


def softsign(x):
    """x / (1 + |x|)"""
    magnitude = abs(x)
    # far out the quotient is 1 to the last bit, and inf / inf would be NaN
    return math.copysign(type(x)(1), x) if magnitude > type(x)(1e18) else x / (type(x)(1) + magnitude)


def softsign_derivative(x):
    root = type(x)(1) / (type(x)(1) + abs(x))
    return root * root


def elu(x, alpha):
    """x where positive, else alpha (exp(x) - 1) (Clevert et al. 2016)"""
    return x if x > type(x)(0) else alpha * math.expm1(x)


def elu_derivative(x, y, alpha):
    return type(x)(1) if x > type(x)(0) else y + alpha


# Klambauer et al. 2017, section 2
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu(x):
    scale = type(x)(_SELU_SCALE)
    return scale * x if x > type(x)(0) else type(x)(_SELU_SCALE * _SELU_ALPHA) * math.expm1(x)


def selu_derivative(y):
    return type(y)(_SELU_SCALE) if y > type(y)(0) else y + type(y)(_SELU_SCALE * _SELU_ALPHA)


def clip_far(x):
    """``x`` in [-1000, 1000]: beyond, the factor that meets it is 0 or 1 to the last bit, and inf * 0 would be NaN."""
    limit = type(x)(1000)
    return limit if x > limit else (-limit if x < -limit else x)


def gelu(x):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016)"""
    bounded = x if x > type(x)(0) else clip_far(x)
    # erfc keeps its relative accuracy where 1 + erf cancels
    return type(x)(0.5) * bounded * math.erfc(x * type(x)(-math.sqrt(0.5)))


def gelu_derivative(x):
    x = clip_far(x)
    density = type(x)(1 / math.sqrt(2 * math.pi)) * math.exp(type(x)(-0.5) * x * x)
    return type(x)(0.5) * math.erfc(x * type(x)(-math.sqrt(0.5))) + x * density


def gelu_tanh(x):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), written as x sigmoid(2 ...)"""
    bounded = clip_far(x)
    u = type(x)(2 * math.sqrt(2 / math.pi)) * bounded * (type(x)(1) + type(x)(0.044715) * bounded * bounded)
    return (x if x > type(x)(0) else bounded) * sigmoid(u)


def gelu_tanh_derivative(x):
    x = clip_far(x)
    square_ = type(x)(0.044715) * x * x
    u = type(x)(2 * math.sqrt(2 / math.pi)) * x * (type(x)(1) + square_)
    du = type(x)(2 * math.sqrt(2 / math.pi)) * (type(x)(1) + type(x)(3) * square_)
    s = sigmoid(u)
    return s + x * s * (type(x)(1) - s) * du


def silu(x):
    """x sigmoid(x), also called swish"""
    return (x if x > type(x)(0) else clip_far(x)) * sigmoid(x)


def silu_derivative(x):
    x = clip_far(x)
    s = sigmoid(x)
    return s * (type(x)(1) + x * (type(x)(1) - s))


def hard_sigmoid(x):
    """relu6(x + 3) / 6"""
    y = (x + type(x)(3)) * type(x)(1 / 6)
    return type(x)(0) if y < type(x)(0) else (type(x)(1) if y > type(x)(1) else y)


def hard_sigmoid_derivative(y):
    return type(y)(0) if y <= type(y)(0) or y >= type(y)(1) else type(y)(1 / 6)


def hard_tanh(x):
    one = type(x)(1)
    return -one if x < -one else (one if x > one else x)


def hard_tanh_derivative(y):
    return type(y)(0) if y <= type(y)(-1) or y >= type(y)(1) else type(y)(1)


def tanh_softplus(x):
    """tanh(log(1 + exp(x))), from one exp of a negative number"""
    one = type(x)(1)
    z = math.exp(-abs(x))
    if x < type(x)(0):
        return z * (z + type(x)(2)) / (z * (z + type(x)(2)) + type(x)(2))
    return (one + type(x)(2) * z) / (one + type(x)(2) * z * (one + z))


def mish(x):
    """x tanh(softplus(x)) (Misra 2019)"""
    return (x if x > type(x)(0) else clip_far(x)) * tanh_softplus(x)


def mish_derivative(x):
    x = clip_far(x)
    t = tanh_softplus(x)
    return t + x * sigmoid(x) * (type(x)(1) - t * t)


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
    return type(x)(1) / x


def sqrt(x):
    return math.sqrt(x)


def sqrt_derivative(y):
    return type(y)(0.5) / y


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
    return type(y)(-1)


def reciprocal(x):
    return type(x)(1) / x


def reciprocal_derivative(y):
    return -y * y


def sign(x):
    """-1, 0 or 1"""
    return type(x)(1) if x > type(x)(0) else (type(x)(-1) if x < type(x)(0) else x)


def sign_derivative(y):
    return type(y)(0)


def sin(x):
    return math.sin(x)


def sin_derivative(x):
    return math.cos(x)


def cos(x):
    return math.cos(x)


def cos_derivative(x):
    return -math.sin(x)


# every activation of this module, in the order of the text
NAMES = tuple(name for name in list(globals()) if f"{name}_derivative" in globals())


def parameters(name: str) -> tuple[str, ...]:
    """Names of the parameters of activation ``name``: of ``elu``, ``("alpha",)``."""
    return tuple(inspect.signature(globals()[name]).parameters)[1:]


def derivative_arguments(name: str) -> tuple[str, ...]:
    """Which of ``x`` and ``y`` the derivative of activation ``name`` reads, in order."""
    arguments = inspect.signature(globals()[f"{name}_derivative"]).parameters
    return tuple(argument for argument in arguments if argument in ("x", "y"))
