"""Activations, convolution and pooling."""

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.convolution import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from ..core.operations.dense import BiasAdd
from ..core.operations.elementwise import Unary
from ..core.operations.shape import Slice
from ..core.operations.softmax import LogSoftmax, Softmax, Sparsemax
from ..core.values import Value
from ._calls import apply, publisher, unary

__all__ = ["hard_swish", "swish"]
public = publisher(__all__)

relu = public(unary("relu", "max(x, 0)"))
sigmoid = public(unary("sigmoid", "1 / (1 + exp(-x))"))
tanh = public(unary("tanh", "The hyperbolic tangent"))
softplus = public(unary("softplus", "log(1 + exp(x))"))
softsign = public(unary("softsign", "x / (1 + |x|)"))
silu = public(unary("silu", "x * sigmoid(x)"))
selu = public(unary("selu", "The scaled exponential linear unit (Klambauer et al. 2017)"))
mish = public(unary("mish", "x * tanh(softplus(x)) (Misra 2019)"))
hard_sigmoid = public(unary("hard_sigmoid", "min(max(x + 3, 0), 6) / 6"))
hard_tanh = public(unary("hard_tanh", "min(max(x, -1), 1)"))
log_sigmoid = public(unary("log_sigmoid", "log(sigmoid(x))"))
tanh_shrink = public(unary("tanh_shrink", "x - tanh(x)"))
hard_silu = public(unary("hard_silu", "x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)"))
sparse_plus = public(unary("sparse_plus", "0 up to -1, (x + 1)^2 / 4 up to 1, then x"))
sparse_sigmoid = public(unary("sparse_sigmoid", "min(max(x + 1, 0), 2) / 2"))
hard_swish = hard_silu
swish = silu


@public
def elu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al. 2016)."""
    return apply(Unary("elu", (alpha,)), x)


@public
def celu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x / alpha) - 1), alpha not 0 (Barron 2017)."""
    if alpha == 0:
        raise invalid("celu divides by alpha: it must not be 0.", alpha=alpha)
    return apply(Unary("celu", (alpha,)), x)


@public
def hard_shrink(x, threshold=0.5):
    """x where |x| > threshold, else 0."""
    return apply(Unary("hard_shrink", (checks.number("hard_shrink", "threshold", threshold, least=0),)), x)


@public
def soft_shrink(x, threshold=0.5):
    """x - threshold where x > threshold, x + threshold where x < -threshold, else 0."""
    return apply(Unary("soft_shrink", (checks.number("soft_shrink", "threshold", threshold, least=0),)), x)


@public
def threshold(x, threshold, default_value):
    """x where x > threshold, else default_value."""
    return apply(Unary("thresholded", (threshold, default_value)), x)


@public
def squareplus(x, b=4):
    """(x + sqrt(x^2 + b)) / 2, b not negative (Barron 2021)."""
    return apply(Unary("squareplus", (checks.number("squareplus", "b", b, least=0),)), x)


@public
def glu(x, axis=-1):
    """The gated linear unit a * sigmoid(b) of the halves a and b of x along ``axis`` (Dauphin et al. 2017).

    Raises ValueError where the axis has an odd length.
    """
    if not isinstance(x, Value):
        from ..eager import evaluate_function

        return evaluate_function(lambda tensor: glu(tensor, axis), x)
    size = x.shape[normalize_axis("glu", axis, x)]
    if size % 2:
        raise invalid("glu halves an axis: its length must be even.", axis=axis, shape=tuple(x.shape))
    return Slice(axis, 0, size // 2)(x) * sigmoid(Slice(axis, size // 2, size)(x))


@public
def sparsemax(x, axis=-1):
    """The point of the probability simplex nearest to x along ``axis``, mostly zeros (Martins and Astudillo 2016).

    It sums up to 1, as in the paper's algorithm; what Keras 3.15 returns doesn't where several elements are not zero.
    """
    return apply(Sparsemax(axis), x)


@public
def leaky_relu(x, negative_slope=0.2):
    """x where x > 0, else negative_slope * x."""
    return apply(Unary("rectifier", (negative_slope, np.inf, 0.0)), x)


@public
def rectifier(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Keras's general ReLU: min(x, max_value) from threshold up, negative_slope * (x - threshold) below."""
    return apply(Unary("rectifier", (negative_slope, np.inf if max_value is None else max_value, threshold)), x)


@public
def relu6(x):
    """min(max(x, 0), 6)."""
    return rectifier(x, max_value=6.0)


@public
def gelu(x, approximate=True):
    """x * Phi(x) (Hendrycks and Gimpel 2016); ``approximate`` uses the tanh form, as Keras does by default."""
    return apply(Unary("gelu_tanh" if approximate else "gelu"), x)


@public
def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along ``axis``."""
    return apply(Softmax(axis), x)


@public
def log_softmax(x, axis=-1):
    """log(softmax(x)) along ``axis``."""
    return apply(LogSoftmax(axis), x)


@public
def bias_add(x, bias):
    """x (..., C) + bias (C,)."""
    return apply(BiasAdd(), x, bias)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


@public
def conv(inputs, kernel, strides=1, padding="valid", dilation_rate=1, groups=1):
    """2-D convolution of inputs (N, H, W, C) with kernel (R, S, C / groups, K).

    padding: "valid", "same" (TensorFlow's rule) or ((top, bottom), (left, right)).
    """
    return apply(Conv2D(_pair(strides), padding, _pair(dilation_rate), groups), inputs, kernel)


@public
def depthwise_conv(inputs, kernel, strides=1, padding="valid", dilation_rate=1):
    """2-D convolution of each channel of inputs (N, H, W, C) with M filters of its own: kernel (R, S, C, M).

    The result is (N, P, Q, C * M).  padding: as of ``conv``.
    """
    return apply(DepthwiseConv2D(_pair(strides), padding, _pair(dilation_rate)), inputs, kernel)


@public
def max_pool(inputs, pool_size, strides=None, padding="valid"):
    """The maximum of each window of inputs (N, H, W, C)."""
    size = _pair(pool_size)
    return apply(MaxPool2D(size, size if strides is None else _pair(strides), padding), inputs)


@public
def average_pool(inputs, pool_size, strides=None, padding="valid"):
    """The mean of each window of inputs (N, H, W, C), padding not counted."""
    size = _pair(pool_size)
    return apply(AveragePool2D(size, size if strides is None else _pair(strides), padding), inputs)
