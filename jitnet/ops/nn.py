"""Activations, convolution and pooling."""

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.convolution import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from ..core.operations.dense import BiasAdd
from ..core.operations.elementwise import Unary
from ..core.operations.losses import CrossEntropy, SoftmaxCrossEntropy, SparseCrossEntropy, SparseSoftmaxCrossEntropy
from ..core.operations.softmax import LogSoftmax, Softmax
from ..core.values import Value
from ._calls import apply, publisher, unary
from .elementwise import absolute, clip, exp, log, log1p, log10, maximum, negative, rsqrt, square
from .reductions import mean, moments_of, norm, std
from .shapes import reshape, squeeze, transpose

__all__ = ["swish"]
public = publisher(__all__)

relu = public(unary("relu", "max(x, 0)"))
sigmoid = public(unary("sigmoid", "1 / (1 + exp(-x))"))
tanh = public(unary("tanh", "The hyperbolic tangent", array=np.tanh))
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


# ---- statistics and normalisation


@public
def moments(x, axes, keepdims=False, synchronized=False):
    """``(mean, variance)`` along ``axes``, an int or a tuple, as of ``mean``."""
    if synchronized:
        raise invalid("ops.moments knows one device: synchronized=False.", synchronized=synchronized)
    if not isinstance(x, Value):
        return mean(x, axes, keepdims), square(std(x, axes, keepdims))
    return moments_of(x, axes, keepdims)


@public
def normalize(x, axis=-1, order=2, epsilon=None):
    """x divided by its norm of ``order`` along ``axis``, or by epsilon, 1e-7 by default, where that is larger."""
    return x / maximum(norm(x, order, axis, keepdims=True), 1e-7 if epsilon is None else epsilon)


@public
def batch_normalization(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, of which each has the size of ``axis``."""
    shape = tuple(size if place == axis % len(x.shape) else 1 for place, size in enumerate(x.shape))[1:]

    def placed(value):
        return reshape(value, shape) if isinstance(value, Value) else np.reshape(value, shape)

    y = (x - placed(mean)) * placed(rsqrt(variance + epsilon))
    y = y if scale is None else y * placed(scale)
    return y if offset is None else y + placed(offset)


@public
def psnr(x1, x2, max_val):
    """The ratio of signal to noise, 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)), in decibels."""
    return 20.0 * np.log10(max_val) - 10.0 * log10(mean(square(x1 - x2)))


# ---- losses, one value for each row


def _last(axis, x) -> None:
    if axis not in (-1, len(x.shape) - 1):
        raise invalid("Cross-entropies have their classes on the last axis.", axis=axis)


@public
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-sum(target log(output)) over the classes, the last axis, of probabilities or of ``from_logits``."""
    _last(axis, output)
    return apply(SoftmaxCrossEntropy() if from_logits else CrossEntropy(), output, target)


@public
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-log(output[target]) for integer labels (batch, ...) or (batch, ..., 1) and outputs (batch, ..., classes)."""
    _last(axis, output)
    if len(target.shape) == len(output.shape):
        target = squeeze(target, -1)
    return apply(SparseSoftmaxCrossEntropy() if from_logits else SparseCrossEntropy(), output, target)


@public
def binary_crossentropy(target, output, from_logits=False):
    """-(t log(p) + (1 - t) log(1 - p)), element by element, of probabilities or of ``from_logits``."""
    if from_logits:
        return maximum(output, 0.0) - output * target + log1p(exp(negative(absolute(output))))
    p = clip(output, 1e-7, 1 - 1e-7)
    return negative(target * log(p) + (1.0 - target) * log(1.0 - p))


# ---- blocks of pixels


@public
def depth_to_space(x, block_size, data_format="channels_last"):
    """Channels of x (N, H, W, s * s * C) as blocks of s x s pixels: (N, H * s, W * s, C) (Shi et al. 2016)."""
    rows, columns, channels = _pixels("depth_to_space", x, data_format)
    size = checks.integer("ops.depth_to_space", "block_size", block_size, least=2)
    if channels % size**2:
        raise invalid(f"ops.depth_to_space expects channels that {size**2} divides.", channels=channels)
    x = reshape(x, (-1, rows, columns, size, size, channels // size**2))
    return reshape(transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * size, columns * size, channels // size**2))


@public
def space_to_depth(x, block_size, data_format="channels_last"):
    """Blocks of s x s pixels of x (N, H * s, W * s, C) as channels: (N, H, W, s * s * C)."""
    rows, columns, channels = _pixels("space_to_depth", x, data_format)
    size = checks.integer("ops.space_to_depth", "block_size", block_size, least=2)
    if rows % size or columns % size:
        raise invalid(f"ops.space_to_depth expects height and width that {size} divides.", shape=tuple(x.shape))
    x = reshape(x, (-1, rows // size, size, columns // size, size, channels))
    return reshape(transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows // size, columns // size, channels * size**2))


def _pixels(owner: str, x, data_format):
    if data_format not in (None, "channels_last") or len(x.shape) != 4:
        raise invalid(f"ops.{owner} takes tensors (batch, height, width, channels).", data_format=data_format,
                      shape=tuple(x.shape))  # fmt: skip
    return x.shape[1:]
