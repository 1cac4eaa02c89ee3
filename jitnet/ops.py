"""Keras's ``ops``: functions for the ``call`` of a layer, for losses and for metrics.

On symbolic tensors they add to the graph, and their gradients are automatic; on NumPy arrays (first axis: the batch)
they compute at once.
"""

import numpy as np

from .core.errors import invalid, module_getattr
from .core.operations.base import normalize_axis
from .core.operations.batch import BatchSum, SampleSum
from .core.operations.convolution import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from .core.operations.custom import CustomOperation
from .core.operations.dense import BiasAdd, Matmul
from .core.operations.effects import Assign
from .core.operations.elementwise import Binary, Cast, Unary
from .core.operations.reduction import Reduction
from .core.operations.shape import Concatenate, Pad2D, Reshape, Slice, Transpose
from .core.operations.softmax import LogSoftmax, Softmax
from .core.values import Value, Variable, is_integer, operators  # noqa: F401 - Variable, with its operators

__all__ = ["CustomOperation", "abs", "dot", "swish"]


def _public(function):
    __all__.append(function.__name__)
    return function


def _apply(operation, *inputs):
    if any(isinstance(x, Value) for x in inputs):
        return operation(*inputs)
    from .eager import evaluate

    return evaluate(operation, *inputs)


def _unary(name: str, text: str, function: str | None = None):
    def operation(x):
        return _apply(Unary(function or name), x)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element.\n\n    x: any shape; the result has the same.\n    "
    return _public(operation)


relu = _unary("relu", "max(x, 0)")
sigmoid = _unary("sigmoid", "1 / (1 + exp(-x))")
tanh = _unary("tanh", "The hyperbolic tangent")
softplus = _unary("softplus", "log(1 + exp(x))")
softsign = _unary("softsign", "x / (1 + |x|)")
silu = _unary("silu", "x * sigmoid(x)")
selu = _unary("selu", "The scaled exponential linear unit (Klambauer et al. 2017)")
mish = _unary("mish", "x * tanh(softplus(x)) (Misra 2019)")
hard_sigmoid = _unary("hard_sigmoid", "min(max(x + 3, 0), 6) / 6")
hard_tanh = _unary("hard_tanh", "min(max(x, -1), 1)")
log_sigmoid = _unary("log_sigmoid", "log(sigmoid(x))")
exp = _unary("exp", "The exponential")
log = _unary("log", "The natural logarithm")
sqrt = _unary("sqrt", "The square root")
square = _unary("square", "x * x")
absolute = _unary("absolute", "|x|")
negative = _unary("negative", "-x")
reciprocal = _unary("reciprocal", "1 / x")
sign = _unary("sign", "-1, 0 or 1 by the sign of x")
sin = _unary("sin", "The sine")
cos = _unary("cos", "The cosine")
abs = absolute
swish = silu


@_public
def elu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al. 2016)."""
    return _apply(Unary("elu", (alpha,)), x)


@_public
def leaky_relu(x, negative_slope=0.2):
    """x where x > 0, else negative_slope * x."""
    return _apply(Unary("rectifier", (negative_slope, np.inf, 0.0)), x)


@_public
def rectifier(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Keras's general ReLU: min(x, max_value) from threshold up, negative_slope * (x - threshold) below."""
    return _apply(Unary("rectifier", (negative_slope, np.inf if max_value is None else max_value, threshold)), x)


@_public
def relu6(x):
    """min(max(x, 0), 6)."""
    return rectifier(x, max_value=6.0)


@_public
def gelu(x, approximate=True):
    """x * Phi(x) (Hendrycks and Gimpel 2016); ``approximate`` uses the tanh form, as Keras does by default."""
    return _apply(Unary("gelu_tanh" if approximate else "gelu"), x)


def _binary(name: str, text: str):
    def operation(x1, x2):
        return _apply(Binary(name), x1, x2)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element, with NumPy's broadcasting.\n    "
    return _public(operation)


add = _binary("add", "x1 + x2")
subtract = _binary("subtract", "x1 - x2")
multiply = _binary("multiply", "x1 * x2")
divide = _binary("divide", "x1 / x2")
maximum = _binary("maximum", "The larger of x1 and x2")
minimum = _binary("minimum", "The smaller of x1 and x2")


@_public
def power(x1, x2):
    """x1 to the power x2, element by element, with NumPy's broadcasting."""
    if isinstance(x2, int | float) and x2 == 2 and (isinstance(x2, int) or not is_integer(x1)):
        return square(x1)
    return _apply(Binary("power"), x1, x2)


@_public
def matmul(x1, x2):
    """x1 (..., K) times a matrix x2 (K, N) without a batch axis."""
    return _apply(Matmul(), x1, x2)


dot = matmul


@_public
def bias_add(x, bias):
    """x (..., C) + bias (C,)."""
    return _apply(BiasAdd(), x, bias)


def _reduce(function, x, axis, keepdims):
    if not isinstance(x, Value):
        from .eager import evaluate_function

        return evaluate_function(lambda value: _reduce(function, value, axis, keepdims), x)
    if axis is None and x.batched and function in ("sum", "mean") and not keepdims:
        return BatchSum(function == "mean")(x)
    if axis is None and x.batched:
        raise invalid(f"ops.{function} needs an axis that is not the batch's.", axis=axis)
    if axis is None:
        axis = tuple(range(x.ndim))
    if axis in (0, (0,), -x.ndim) and x.batched and function in ("sum", "mean") and not keepdims:
        return SampleSum(function == "mean")(x)
    axes = [normalize_axis(function, a, x) for a in (axis if isinstance(axis, tuple | list) else (axis,))]
    for a in sorted(axes, reverse=True):
        x = Reduction(function, a, keepdims)(x)
    return x


@_public
def sum(x, axis=None, keepdims=False):
    """The sum along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("sum", x, axis, keepdims)


@_public
def mean(x, axis=None, keepdims=False):
    """The mean along ``axis`` (an int or a tuple, not the batch),
    or of all elements, the batch included: one number.
    """
    return _reduce("mean", x, axis, keepdims)


@_public
def max(x, axis=None, keepdims=False):
    """The maximum along ``axis`` (an int or a tuple, not the batch); the first one receives the gradient."""
    return _reduce("max", x, axis, keepdims)


@_public
def shape(x):
    """The sizes of x, as a tuple; None for the batch axis of a symbolic tensor."""
    return tuple(x.shape) if isinstance(x, Value) else np.shape(x)


@_public
def reshape(x, newshape):
    """The elements of x under ``newshape``; its first entry is the batch axis, -1 or None."""
    shape = tuple(newshape)
    batched = x.batched if isinstance(x, Value) else True
    if batched:
        if not shape or shape[0] not in (-1, None):
            raise invalid("ops.reshape keeps the batch axis: newshape starts with -1.", newshape=shape)
        shape = shape[1:]
    return _apply(Reshape(shape), x)


@_public
def transpose(x, axes):
    """The axes of x in the order ``axes``; axis 0, the batch, stays first."""
    return _apply(Transpose(axes), x)


@_public
def concatenate(xs, axis=0):
    """Tensors side by side along ``axis``; the batch axis, 0, is for arrays and weights only."""
    if not any(isinstance(x, Value) for x in xs):
        arrays = [np.asarray(x) for x in xs]
        if axis in (0, -arrays[0].ndim):
            return _apply(Concatenate(1), *(a[None] for a in arrays))[0]
    return _apply(Concatenate(axis), *xs)


@_public
def cast(x, dtype):
    """x as "float32", "float64", "int32" or "int64"; towards integers, what is after the point is cut off."""
    return _apply(Cast(dtype), x)


@_public
def slice_axis(x, axis, start, stop):
    """Elements start to stop - 1 of x along ``axis``."""
    return _apply(Slice(axis, start, stop), x)


@_public
def pad(x, pad_width):
    """Zeros around height and width of x (N, H, W, C); pad_width as NumPy's: ((0, 0), (t, b), (l, r), (0, 0))."""
    if len(pad_width) != 4 or tuple(pad_width[0]) != (0, 0) or tuple(pad_width[3]) != (0, 0):
        raise invalid("ops.pad pads height and width of a (N, H, W, C) tensor only.", pad_width=pad_width)
    return _apply(Pad2D(pad_width[1:3]), x)


@_public
def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along ``axis``."""
    return _apply(Softmax(axis), x)


@_public
def log_softmax(x, axis=-1):
    """log(softmax(x)) along ``axis``."""
    return _apply(LogSoftmax(axis), x)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


@_public
def conv(inputs, kernel, strides=1, padding="valid", dilation_rate=1, groups=1):
    """2-D convolution of inputs (N, H, W, C) with kernel (R, S, C / groups, K).

    padding: "valid", "same" (TensorFlow's rule) or ((top, bottom), (left, right)).
    """
    return _apply(Conv2D(_pair(strides), padding, _pair(dilation_rate), groups), inputs, kernel)


@_public
def depthwise_conv(inputs, kernel, strides=1, padding="valid", dilation_rate=1):
    """2-D convolution of each channel of inputs (N, H, W, C) with M filters of its own: kernel (R, S, C, M).

    The result is (N, P, Q, C * M).  padding: as of ``conv``.
    """
    return _apply(DepthwiseConv2D(_pair(strides), padding, _pair(dilation_rate)), inputs, kernel)


@_public
def max_pool(inputs, pool_size, strides=None, padding="valid"):
    """The maximum of each window of inputs (N, H, W, C)."""
    size = _pair(pool_size)
    return _apply(MaxPool2D(size, size if strides is None else _pair(strides), padding), inputs)


@_public
def average_pool(inputs, pool_size, strides=None, padding="valid"):
    """The mean of each window of inputs (N, H, W, C), padding not counted."""
    size = _pair(pool_size)
    return _apply(AveragePool2D(size, size if strides is None else _pair(strides), padding), inputs)


operators(
    add=add, subtract=subtract, multiply=multiply, divide=divide, power=power, matmul=matmul, negative=negative,
    absolute=absolute, assign=lambda variable, value: Assign()(variable, value),
)  # fmt: skip

__getattr__ = module_getattr(__name__, "function")
