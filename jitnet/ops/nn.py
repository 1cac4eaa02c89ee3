"""Activations, convolution and pooling."""

import numpy as np

from ..core.operations.convolution import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from ..core.operations.dense import BiasAdd
from ..core.operations.elementwise import Unary
from ..core.operations.softmax import LogSoftmax, Softmax
from ._calls import apply, publisher, unary

__all__ = ["swish"]
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
swish = silu


@public
def elu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al. 2016)."""
    return apply(Unary("elu", (alpha,)), x)


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
