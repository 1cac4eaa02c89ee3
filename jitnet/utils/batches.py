"""What a ``train_step`` is given, taken apart and put together; and which names and dtypes things have."""

import numpy as np

from jitnet.core.errors import invalid
from jitnet.core.values import SymbolicTensor, Value


def unpack_x_y_sample_weight(data) -> tuple:
    """``(x, y, sample_weight)`` of a batch, x or a tuple of up to three, with None for what is missing."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise invalid("A batch is x, (x, y) or (x, y, sample_weight).", parts=len(data))
    return (*data, None, None)[:3]


def pack_x_y_sample_weight(x, y=None, sample_weight=None):
    """A batch as ``fit`` takes it: x, if it is no tuple or list by itself, (x, y) or (x, y, sample_weight)."""
    if y is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def is_keras_tensor(x) -> bool:
    """Whether x is a symbolic tensor."""
    return isinstance(x, SymbolicTensor)


def standardize_dtype(dtype) -> str:
    """The name of a dtype, of NumPy's or any library's; floatx for None."""
    from jitnet.config import floatx

    if dtype is None:
        return floatx()
    if isinstance(dtype, Value):
        raise invalid("standardize_dtype expects a dtype, as x.dtype of a tensor.", dtype=dtype)
    name = str(dtype).rpartition(".")[2] if str(dtype).startswith("torch.") else dtype
    if name == "string":
        return name
    try:
        return np.dtype({"int": "int64", "float": "float32"}.get(name, name) if isinstance(name, str) else name).name
    except TypeError:
        raise invalid("standardize_dtype expects a dtype.", dtype=dtype) from None


def get_source_inputs(tensor) -> list:
    """The inputs of models that a symbolic tensor depends on, in the order of their use."""
    from jitnet.layers import InputLayer

    if not is_keras_tensor(tensor):
        raise invalid("get_source_inputs expects a symbolic tensor.", tensor=tensor)
    found, seen, waiting = [], set(), [tensor]
    while waiting:
        x = waiting.pop()
        if id(x) in seen or getattr(x, "history", None) is None:
            continue
        seen.add(id(x))
        if isinstance(x.history.layer, InputLayer):
            found.append(x)
        else:
            waiting += [part for part in reversed(x.history.inputs) if isinstance(part, SymbolicTensor)]
    return found
