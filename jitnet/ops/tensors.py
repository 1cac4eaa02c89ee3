"""What a tensor is: conversions, dtypes, sizes."""

import math

import numpy as np

from ..core.errors import invalid
from ..core.lengths import Samples
from ..core.operations.base import number_of
from ..core.operations.comparison import Compare
from ..core.operations.elementwise import CAST_DTYPES, Cast
from ..core.operations.shape import Concatenate, ExpandDims, StopGradient
from ..core.policy import floatx
from ..core.values import Constant, SymbolicTensor, Value, Variable
from ._calls import publisher

__all__ = []
public = publisher(__all__)


def dtype_of(x) -> str:
    """The dtype of a value, an array or a number; Python's floats are of floatx."""
    if isinstance(x, Value):
        return x.dtype
    kind = str(np.asarray(x).dtype)
    return floatx() if kind == "float64" and not isinstance(x, np.ndarray | np.generic) else kind


def checked_dtype(owner: str, dtype) -> str:
    """The name of a dtype that arrays may have."""
    try:
        return np.dtype(dtype).name
    except TypeError:
        raise invalid(f"ops.{owner} expects a dtype, such as {', '.join(CAST_DTYPES)}.", dtype=dtype) from None


@public
def shape(x):
    """The sizes of x, as a tuple; that of a symbolic tensor's batch axis counts as None where a size is expected.

    It tells parts of the batch axis, ``joined[: ops.shape(x)[0]]``, and is a number for operations, ``total / size``.
    """
    if not isinstance(x, Value):
        return np.shape(x)
    return (Samples(x, x.batches), *x.shape[1:]) if x.batched else tuple(x.shape)


@public
def ndim(x):
    """The number of axes of x, the batch's included."""
    return len(shape(x))


@public
def size(x):
    """The number of elements of x; where the batch is one of its axes, that of a sample times ``ops.shape(x)[0]``."""
    samples, *others = shape(x) or (1,)
    each = math.prod(others)
    return samples * int(each) if isinstance(samples, Samples) else samples * each


@public
def dtype(x):
    """The dtype of x by its name, such as "float32"."""
    return dtype_of(x)


@public
def is_tensor(x):
    """Whether x is a symbolic tensor, a variable or an array, and no Python number or list."""
    return isinstance(x, Value | np.ndarray | np.generic)


@public
def cast(x, dtype):
    """x as another dtype, of symbolic tensors "float32", "float64", "int32", "int64", "uint8" or "bool".

    Towards integers, what is after the point is cut off; towards bool, all but 0 is true.
    """
    if isinstance(x, Samples):
        return number_of(x, checked_dtype("cast", dtype))
    if not isinstance(x, Value):
        return np.asarray(x).astype(checked_dtype("cast", dtype))
    dtype = dtype if isinstance(dtype, str) else checked_dtype("cast", dtype)
    operation = Cast(dtype)  # which checks it
    if x.dtype == dtype and isinstance(x, SymbolicTensor):
        return x
    return Compare("not_equal")(x, 0) if dtype == "bool" and x.dtype != "bool" else operation(x)


@public
def convert_to_tensor(x, dtype=None, sparse=None, ragged=None):
    """Arrays, numbers and lists as an array, Python's floats of floatx; a symbolic value as it is; ``dtype``: cast."""
    if sparse or ragged:
        raise invalid("ops.convert_to_tensor makes dense tensors only.", sparse=sparse, ragged=ragged)
    if isinstance(x, Samples):
        return number_of(x, checked_dtype("convert_to_tensor", dtype or "int32"))
    if isinstance(x, list | tuple) and any(isinstance(part, Value) for part in x):
        x = Concatenate(0)(*(ExpandDims((0,))(part) for part in x))
    if isinstance(x, Value):
        return x if dtype is None else cast(x, dtype)
    return np.asarray(x).astype(dtype_of(x) if dtype is None else checked_dtype("convert_to_tensor", dtype))


@public
def convert_to_numpy(x):
    """x as a NumPy array: of a variable a copy of its value.  A symbolic tensor has no values: TypeError."""
    if isinstance(x, Constant):
        return x.array.copy()
    return x.numpy() if isinstance(x, Variable) else np.asarray(x)


@public
def stop_gradient(variable):
    """The value as it is; gradients take it for a constant."""
    return StopGradient()(variable) if isinstance(variable, Value) else np.asarray(variable)
