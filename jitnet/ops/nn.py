"""Activations, convolution and pooling."""

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display, normalize_axis
from ..core.operations.convolution import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from ..core.operations.dense import BiasAdd
from ..core.operations.elementwise import Unary
from ..core.operations.losses import CrossEntropy, SoftmaxCrossEntropy, SparseCrossEntropy, SparseSoftmaxCrossEntropy
from ..core.operations.shape import Reshape, Slice
from ..core.operations.softmax import LogSoftmax, Softmax, Sparsemax
from ..core.operations.transposed import Conv2DTranspose
from ..core.values import Value
from ._calls import apply, publisher, unary
from ._turned import Turned, along
from .elementwise import absolute, clip, exp, log, log1p, log10, maximum, negative, rsqrt, square
from .reductions import mean, moments_of, std
from .shapes import reshape, squeeze, transpose

__all__ = ["hard_swish", "swish"]
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
    return _applied(Sparsemax(axis), x)


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
    if isinstance(x, Turned):
        return along(softmax, x, axis)
    return _applied(Softmax(axis), x)


@public
def log_softmax(x, axis=-1):
    """log(softmax(x)) along ``axis``."""
    if isinstance(x, Turned):
        return along(log_softmax, x, axis)
    return _applied(LogSoftmax(axis), x)


def _applied(operation, x):
    """The operation along an axis that is not the batch's; of an array of one axis, along that."""
    if not isinstance(x, Value) and np.ndim(x) == 1 and operation.axis in (0, -1):
        return apply(type(operation)(-1), np.asarray(x)[None])[0]
    return apply(operation, x)


@public
def bias_add(x, bias):
    """x (..., C) + bias (C,)."""
    return apply(BiasAdd(), x, bias)


# ---- windows: of images (N, H, W, C), and of sequences (N, L, C), which are images of one row


class _Windows:
    """One function's inputs as the operations on images take them.

    name: of the function; length: whether the inputs are sequences.
    """

    def __init__(self, name: str, inputs, data_format):
        checks.channels_last(f"ops.{name}", data_format)
        self.name = name
        self.inputs = inputs if isinstance(inputs, Value) else np.asarray(inputs)
        if self.inputs.ndim not in (3, 4):
            raise ValueError(
                f"{name} expects inputs of rank 3, (batch, length, channels), or of rank 4 with axes (batch, height, "
                f"width, channels). Received: shape={display(self.inputs.shape)} (rank {self.inputs.ndim})"
            )
        self.axes = self.inputs.ndim - 2

    def pair(self, argument: str, value, least: int = 1, first: int = 1) -> tuple[int, int]:
        """A number for height and width; ``first``: for the one row of a sequence."""
        found = checks.axes(self.name, argument, value, self.axes, least)
        return found if self.axes == 2 else (first, *found)

    def padding(self, padding, window: int, dilation: int = 1):
        """``padding`` of height and width; window: of a sequence."""
        if self.axes == 2:
            return padding
        before, after = 0, 0
        if not isinstance(padding, str):
            before, after = checks.pair(self.name, "padding", padding, least=0)
        elif padding.lower() == "causal":
            before = (window - 1) * dilation
        elif checks.padding_name(self.name, padding) == "same":
            return padding
        size, dilated = self.inputs.shape[1] + before + after, (window - 1) * dilation + 1
        if dilated > size:
            raise ValueError(
                f"{self.name}: the window of size {dilated} (with dilation {dilation}) is larger than the padded input "
                f'of length {size}. Use a smaller kernel or padding="same". '
                f"Received: input shape={display(self.inputs.shape)}"
            )
        return padding if padding == "valid" else ((0, 0), (before, after))

    def apply(self, operation, *kernels):
        """The operation of the inputs and kernels (S, ...) or (R, S, ...)."""
        if self.axes == 2:
            return apply(operation, self.inputs, *kernels)
        kernels = [Reshape((1, *k.shape))(k) if isinstance(k, Value) else k[None] for k in kernels]
        if not isinstance(self.inputs, Value):
            y = apply(operation, self.inputs[:, None], *kernels)
            return Reshape(y.shape[2:])(y) if isinstance(y, Value) else y[:, 0]
        y = apply(operation, Reshape((1, *self.inputs.shape[1:]))(self.inputs), *kernels)
        return Reshape(y.shape[2:])(y)


def _kernel(name: str, kernel, windows: _Windows):
    """A kernel of as many axes as the inputs have."""
    kernel = kernel if isinstance(kernel, Value) else np.asarray(kernel)
    if kernel.ndim != windows.axes + 2:
        raise ValueError(
            f"{name} expects a kernel of as many axes as the inputs {display(windows.inputs.shape)}. "
            f"Received: kernel of shape {display(kernel.shape)}"
        )
    return kernel


@public
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution (as cross-correlation) of inputs (N, H, W, C) with kernel (R, S, C / groups, K).

    Of inputs (N, L, C) it is that with kernel (S, C / groups, K).  The shapes say how many groups there are.

    padding: "valid", "same" (TensorFlow's rule), what is added as ((top, bottom), (left, right)), or, with inputs
    (N, L, C), (left, right), or "causal", where no output depends on later inputs.
    """
    windows = _Windows("conv", inputs, data_format)
    kernel = _kernel("conv", kernel, windows)
    channels, depth = windows.inputs.shape[-1], kernel.shape[-2]
    groups = channels // depth if depth and channels % depth == 0 else 1
    dilation = windows.pair("dilation_rate", dilation_rate)
    padding = windows.padding(padding, kernel.shape[0], dilation[1])
    return windows.apply(Conv2D(windows.pair("strides", strides), padding, dilation, groups), kernel)


@public
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution of each channel of inputs (N, H, W, C) with M filters of its own: kernel (R, S, C, M).

    The result is (N, P, Q, C * M); of inputs (N, L, C) and kernel (S, C, M) it is (N, Q, C * M).  padding: as of
    ``conv``.
    """
    windows = _Windows("depthwise_conv", inputs, data_format)
    kernel = _kernel("depthwise_conv", kernel, windows)
    dilation = windows.pair("dilation_rate", dilation_rate)
    padding = windows.padding(padding, kernel.shape[0], dilation[1])
    return windows.apply(DepthwiseConv2D(windows.pair("strides", strides), padding, dilation), kernel)


@public
def separable_conv(
    inputs, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", data_format=None, dilation_rate=1
):
    """``depthwise_conv`` with depthwise_kernel (R, S, C, M), then ``conv`` with pointwise_kernel (1, 1, C * M, K)."""
    x = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, data_format=data_format)


@public
def conv_transpose(
    inputs, kernel, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1
):
    """The gradient of ``conv`` in its inputs, as a function: inputs (N, P, Q, C), kernel (R, S, K, C).

    The result is (N, H, W, K), with H = P * strides for padding "same", (P - 1) * strides + max(dilated kernel,
    strides) for "valid"; ``output_padding``, smaller than ``strides``, chooses among the sizes from which such a
    convolution gives P.  Of inputs (N, L, C) and kernel (S, K, C) it is (N, new length, K).
    """
    windows = _Windows("conv_transpose", inputs, data_format)
    kernel = _kernel("conv_transpose", kernel, windows)
    if output_padding is not None:
        output_padding = windows.pair("output_padding", output_padding, least=0, first=0)
    dilation = windows.pair("dilation_rate", dilation_rate)
    operation = Conv2DTranspose(windows.pair("strides", strides), padding, output_padding, dilation)
    return windows.apply(operation, kernel)


def _pool(name: str, operation, inputs, pool_size, strides, padding, data_format):
    windows = _Windows(name, inputs, data_format)
    size = windows.pair("pool_size", pool_size)
    steps = size if strides is None else windows.pair("strides", strides)
    return windows.apply(operation(size, steps, windows.padding(padding, size[1])))


@public
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The maximum of each window of inputs (N, H, W, C) or (N, L, C)."""
    return _pool("max_pool", MaxPool2D, inputs, pool_size, strides, padding, data_format)


@public
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The mean of each window of inputs (N, H, W, C) or (N, L, C), padding not counted."""
    return _pool("average_pool", AveragePool2D, inputs, pool_size, strides, padding, data_format)


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
