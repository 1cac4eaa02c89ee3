"""Compiled kernels as Python's functions."""

import ctypes

import numpy as np

from . import objects, translation
from .sources import python_function
from .types import ArrayType, is_float

_C = {
    "bool": ctypes.c_uint8, "int8": ctypes.c_int8, "uint8": ctypes.c_uint8, "int16": ctypes.c_int16,
    "uint16": ctypes.c_uint16, "int32": ctypes.c_int32, "uint32": ctypes.c_uint32, "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64, "float32": ctypes.c_float, "float64": ctypes.c_double,
}  # fmt: skip


class Callable:
    """A kernel for arguments of certain types, called with NumPy's arrays and numbers.

    code: the compiled function, ``int32 f(pointers..., dimensions..., numbers...)``, which returns a status.
    """

    def __init__(self, function, types, code):
        self.py_func, self.types, self.code = function, tuple(types), code
        flat = [part for type_ in self.types for part in translation.flat(type_)]
        arrays = [part for part in flat if isinstance(part, ArrayType)]
        c_types = [ctypes.c_void_p] * len(arrays) + [ctypes.c_int64] * sum(array.axes for array in arrays)
        c_types += [_C[part] for part in flat if not isinstance(part, ArrayType)]
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, *c_types)(code.address)

    def __call__(self, *arguments) -> None:
        if len(arguments) != len(self.types):
            raise self._wrong(f"{len(self.types)} arguments", len(arguments))
        pointers, dimensions, numbers = [], [], []
        for argument, type_ in zip(arguments, self.types, strict=True):
            self._add(argument, type_, pointers, dimensions, numbers)
        if status := self._call(*pointers, *dimensions, *numbers):
            raise objects.error_of(status)

    def _wrong(self, expected, received) -> TypeError:
        return TypeError(f"{self.py_func.__name__} takes {expected}. Received: {received}")

    def _add(self, argument, type_, pointers, dimensions, numbers) -> None:
        if isinstance(type_, ArrayType):
            good = isinstance(argument, np.ndarray) and argument.dtype == type_.dtype
            if not good or argument.ndim != type_.axes or not argument.flags.c_contiguous:
                expected = f"a C-contiguous array of {type_.dtype} with {type_.axes} axes"
                given = repr(argument)
                if isinstance(argument, np.ndarray):
                    given = f"{argument.dtype} of shape {argument.shape}, strides {argument.strides}"
                raise self._wrong(expected, given)
            pointers.append(argument.ctypes.data)
            dimensions.extend(argument.shape)
        elif isinstance(type_, tuple):
            if not isinstance(argument, tuple) or len(argument) != len(type_):
                raise self._wrong(f"a tuple of {len(type_)}", repr(argument))
            for part, part_type in zip(argument, type_, strict=True):
                self._add(part, part_type, pointers, dimensions, numbers)
        else:
            value = argument.item() if isinstance(argument, np.generic) else argument
            if not isinstance(value, (int, float) if is_float(type_) else int):
                raise self._wrong(f"a number of {type_}", repr(argument))
            numbers.append(value)


def compile(kernel, types, target=None, store=None) -> Callable:
    """A kernel (or its Python function) compiled for arguments of these types, see ``type_of``.

    target: the ``machine.Machine``, default the host; store: where object files are kept, see ``objects.obtain``.

    Raises:
        TranslationError: the kernel does what the compiler doesn't know.
    """
    function = python_function(kernel)
    return Callable(function, types, objects.code_of(function, tuple(types), target, store))
