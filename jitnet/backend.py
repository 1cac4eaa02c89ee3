"""Keras's older name for what scripts ask of it, and its functions of tensors: ``from keras import backend as K``.

The functions are those of ``jitnet.ops``, by the names, the order of arguments and the defaults that Keras 2 gave them.
"""

import math

import numpy as np

from . import ops
from .config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from .core.errors import invalid, module_dir, module_getattr
from .core.values import Value, Variable
from .ops import (
    all,
    any,
    arange,
    bias_add,
    binary_crossentropy,
    cast,
    categorical_crossentropy,
    clip,
    cos,
    dtype,
    elu,
    equal,
    exp,
    eye,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    max,
    maximum,
    mean,
    min,
    minimum,
    ndim,
    not_equal,
    one_hot,
    ones,
    ones_like,
    prod,
    reshape,
    round,
    shape,
    sigmoid,
    sign,
    sin,
    softmax,
    softplus,
    softsign,
    sparse_categorical_crossentropy,
    square,
    squeeze,
    stack,
    std,
    stop_gradient,
    sum,
    tanh,
    tile,
    transpose,
    var,
    zeros,
    zeros_like,
)
from .random import dropout
from .random import normal as _normal
from .random import uniform as _uniform
from .utils import clear_session, is_keras_tensor

__all__ = [
    "abs", "all", "any", "arange", "argmax", "argmin", "backend", "batch_dot", "batch_flatten", "bias_add",
    "binary_crossentropy", "cast", "cast_to_floatx", "categorical_crossentropy", "clear_session", "clip",
    "concatenate", "constant", "cos", "count_params", "cumprod", "cumsum", "dot", "dropout", "dtype", "elu",
    "epsilon", "equal", "eval", "exp", "expand_dims", "eye", "flatten", "floatx", "gather", "get_value", "greater",
    "greater_equal", "hard_sigmoid", "image_data_format", "int_shape", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "l2_normalize", "less", "less_equal", "log", "max", "maximum", "mean", "min", "minimum",
    "ndim", "not_equal", "one_hot", "ones", "ones_like", "permute_dimensions", "pow", "prod", "random_normal",
    "random_uniform", "relu", "repeat", "repeat_elements", "reshape", "reverse", "round", "set_epsilon", "set_floatx",
    "set_image_data_format", "set_value", "shape", "sigmoid", "sign", "sin", "softmax", "softplus", "softsign",
    "sparse_categorical_crossentropy", "sqrt", "square", "squeeze", "stack", "standardize_dtype", "std",
    "stop_gradient", "sum", "switch", "tanh", "tile", "transpose", "update", "update_add", "update_sub", "var",
    "variable", "zeros", "zeros_like",
]  # fmt: skip


def abs(x):
    """|x|, element by element."""
    return ops.absolute(x)


def pow(x, a):
    """x to the power of a."""
    return ops.power(x, a)


def sqrt(x):
    """The square root, of numbers below 0 that of 0."""
    return ops.sqrt(ops.maximum(x, 0.0))


def relu(x, alpha=0.0, max_value=None, threshold=0.0):
    """x from ``threshold`` up, at most ``max_value``; below, alpha * (x - threshold)."""
    return ops.rectifier(x, alpha, max_value, threshold)


def hard_sigmoid(x):
    """min(max(x / 5 + 1 / 2, 0), 1): Keras 2's, which is steeper at its ends than ``jitnet.ops.hard_sigmoid``."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def argmax(x, axis=-1):
    """The place of the largest element along ``axis``."""
    return ops.argmax(x, axis)


def argmin(x, axis=-1):
    """The place of the smallest element along ``axis``."""
    return ops.argmin(x, axis)


def cumsum(x, axis=0):
    """Sums up to each element along ``axis``."""
    return ops.cumsum(x, axis)


def cumprod(x, axis=0):
    """Products up to each element along ``axis``."""
    return ops.cumprod(x, axis)


def l2_normalize(x, axis=None):
    """x divided by the square root of the sum of squares along ``axis``, of 1e-12 at least."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-12))


def concatenate(tensors, axis=-1):
    """Tensors side by side along ``axis``."""
    return ops.concatenate(tensors, axis)


def expand_dims(x, axis=-1):
    """x with a new axis of one element."""
    return ops.expand_dims(x, axis)


def permute_dimensions(x, pattern):
    """The axes of x in the order ``pattern``; a batch's stays first."""
    return ops.transpose(x, pattern)


def reverse(x, axes):
    """x in reverse order along an axis or several."""
    return ops.flip(x, axes)


def repeat(x, n):
    """x (batch, size) as n steps: (batch, n, size)."""
    if len(x.shape) != 2:
        raise invalid("backend.repeat takes x (batch, size).", shape=tuple(x.shape))
    return ops.repeat(ops.expand_dims(x, 1), n, 1)


def repeat_elements(x, rep, axis):
    """Each element so many times along ``axis``."""
    return ops.repeat(x, rep, axis)


def flatten(x):
    """The elements of x, which has no batch axis, one after the other."""
    return ops.reshape(x, (-1,))


def batch_flatten(x):
    """The elements of each sample, one after the other: (batch, size)."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:])))


def gather(reference, indices):
    """The rows of ``reference`` at ``indices``."""
    return ops.take(reference, indices, 0)


def dot(x, y):
    """The sum of products along x's last axis and y's last but one (or only) one."""
    return ops.dot(x, y)


def batch_dot(x, y, axes=None):
    """The sums of products along an axis of each sample of x and one of y: as of ``layers.Dot``.

    x, y: (batch, ...).  axes: of both or a pair; by default the last one of x and the last but one of y, or its only
    one.  Where nothing else is left, the result is (batch, 1).
    """
    x_ndim, y_ndim = len(x.shape), len(y.shape)
    if axes is None:
        axes = (x_ndim - 1, y_ndim - 2 if y_ndim > 2 else y_ndim - 1)
    first, second = (axes, axes) if isinstance(axes, int) else axes
    letters = "bcdefghij"
    of_x = ["a", *letters[: x_ndim - 1]]
    of_y = ["a", *letters[x_ndim - 1 : x_ndim + y_ndim - 2]]
    of_y[second] = of_x[first]
    kept = [letter for letter in [*of_x, *of_y[1:]] if letter != of_x[first]]
    found = ops.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(kept)}", x, y)
    return ops.expand_dims(found, 1) if kept == ["a"] else found


def switch(condition, then_expression, else_expression):
    """One of two values, or of what two functions return, element by element; a condition may lack their last axes."""
    chosen, other = (e() if callable(e) else e for e in (then_expression, else_expression))
    missing = np.ndim(chosen) if not isinstance(chosen, Value) else len(chosen.shape)
    for _ in range(missing - len(condition.shape)):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, chosen, other)


def constant(value, dtype=None, shape=None, name=None):
    """An array of ``value``, by default of floatx; shape: to which it is spread.  ``name`` means nothing."""
    found = np.asarray(value, dtype or floatx())
    return found if shape is None else np.broadcast_to(found, shape).copy()


def variable(value, dtype=None, name=None, constraint=None):
    """A variable that begins with ``value``, by default of floatx."""
    return Variable(np.asarray(value, dtype or floatx()), name=name or "variable", constraint=constraint)


def get_value(x):
    """The numbers of a variable or an array, as an array."""
    return ops.convert_to_numpy(x)


eval = get_value


def set_value(x, value) -> None:
    """Give a variable other numbers, or an optimizer's hyperparameter another one: ``optimizer.learning_rate``."""
    x.assign(np.asarray(value, x.dtype) if isinstance(x, Variable) else float(value))


def update(x, new_x):
    """Give a variable other numbers; the variable."""
    x.assign(new_x)
    return x


def update_add(x, increment):
    """Add to a variable; the variable."""
    return update(x, (x if isinstance(increment, Value) else get_value(x)) + increment)


def update_sub(x, decrement):
    """Subtract from a variable; the variable."""
    return update(x, (x if isinstance(decrement, Value) else get_value(x)) - decrement)


def int_shape(x) -> tuple:
    """The sizes of x, None for the batch's."""
    return tuple(x.shape)


def standardize_dtype(dtype) -> str:
    """The name of a dtype: of NumPy's, PyTorch's or a name; floatx for None, float32 and int32 for Python's types."""
    given = {None: floatx(), float: "float32", int: "int32", bool: "bool", "float": "float32", "int": "int32"}
    name = given.get(dtype, dtype)
    return str(name).removeprefix("torch.") if not isinstance(name, type) else np.dtype(name).name


def is_float_dtype(dtype) -> bool:
    """Whether numbers of a dtype are of floating point."""
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


def is_int_dtype(dtype) -> bool:
    """Whether numbers of a dtype are integers, with or without a sign."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def count_params(x) -> int:
    """The number of elements of a variable."""
    return math.prod(x.shape)


def cast_to_floatx(x) -> np.ndarray:
    """x as an array of floatx, a symbolic tensor as one of that."""
    return ops.cast(x, floatx())


def random_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normally distributed numbers."""
    return _normal(shape, mean, stddev, dtype, seed)


def random_uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Numbers from ``minval`` up to ``maxval``, each as likely."""
    return _uniform(shape, minval, maxval, dtype, seed)


__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
