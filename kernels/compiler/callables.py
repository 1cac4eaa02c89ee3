"""Object files in this process, and kernels as Python's functions."""

import builtins
import ctypes
import threading

import llvmlite.binding as llvm
import numpy as np

from . import machine, translation
from .sources import python_function
from .types import ArrayType

_C = {
    "bool": ctypes.c_uint8, "int8": ctypes.c_int8, "uint8": ctypes.c_uint8, "int16": ctypes.c_int16,
    "uint16": ctypes.c_uint16, "int32": ctypes.c_int32, "uint32": ctypes.c_uint32, "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64, "float32": ctypes.c_float, "float64": ctypes.c_double,
}  # fmt: skip
_lock = threading.RLock()
_addresses: dict[str, int] = {}
_errors: dict[int, tuple] = {}  # status -> (kernel, class, message)
_engine = None


def load(symbol: str, code: bytes) -> int:
    """The address of a symbol in an object file, whose other symbols must be there already."""
    global _engine
    with _lock:
        if symbol not in _addresses:
            if _engine is None:
                host = machine.host()
                _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine.target_machine(host, 3))
            _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            _engine.finalize_object()
            _addresses[symbol] = _engine.get_function_address(symbol)
        return _addresses[symbol]


def address_of(function, types_, store=None) -> int:
    """The address of a kernel for arguments of these types, which is compiled unless ``store`` has its object file.

    store: has ``read(name)``, which gives bytes or None, and ``write(name, bytes)``.
    """
    symbol = translation.symbol_of(function, types_)
    with _lock:
        if symbol in _addresses:
            return _addresses[symbol]
        compiled = translation.translate(function, types_, symbol)
        for called, called_types in compiled.calls.values():
            address_of(called, called_types, store)
        for status, (kind, message) in compiled.errors.items():
            _errors[status] = function.__name__, kind, message
        return load(symbol, machine.object_code(compiled))


class Callable:
    """A kernel for arguments of certain types, called with NumPy's arrays and numbers."""

    def __init__(self, function, types_, store=None):
        self.function, self.types = function, tuple(types_)
        address = address_of(function, self.types, store)
        flat = [part for type_ in self.types for part in translation.flat(type_)]
        arrays = [part for part in flat if isinstance(part, ArrayType)]
        c_types = [ctypes.c_void_p] * len(arrays) + [ctypes.c_int64] * sum(array.axes for array in arrays)
        c_types += [_C[part] for part in flat if not isinstance(part, ArrayType)]
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, *c_types)(address)

    def __call__(self, *arguments):
        if len(arguments) != len(self.types):
            raise TypeError(f"{self.function.__name__} takes {len(self.types)} arguments. Received: {len(arguments)}")
        pointers, dimensions, numbers = [], [], []
        for argument, type_ in zip(arguments, self.types, strict=True):
            self._add(argument, type_, pointers, dimensions, numbers)
        if status := self._call(*pointers, *dimensions, *numbers):
            raise_error(status)

    def _add(self, argument, type_, pointers, dimensions, numbers):
        if isinstance(type_, ArrayType):
            good = isinstance(argument, np.ndarray) and argument.dtype == type_.dtype
            if not good or argument.ndim != type_.axes or not argument.flags.c_contiguous:
                given = argument if not isinstance(argument, np.ndarray) else (str(argument.dtype), argument.shape)
                raise TypeError(
                    f"{self.function.__name__} takes a C-contiguous array of {type_.dtype} with {type_.axes} axes. "
                    f"Received: {given}"
                )
            pointers.append(argument.ctypes.data)
            dimensions.extend(argument.shape)
        elif isinstance(type_, tuple):
            if not isinstance(argument, tuple) or len(argument) != len(type_):
                raise TypeError(f"{self.function.__name__} takes a tuple of {len(type_)}. Received: {argument!r}")
            for part, part_type in zip(argument, type_, strict=True):
                self._add(part, part_type, pointers, dimensions, numbers)
        elif isinstance(argument, (bool, int, float, np.generic)):
            numbers.append(argument.item() if isinstance(argument, np.generic) else argument)
        else:
            raise TypeError(f"{self.function.__name__} takes a {type_}. Received: {argument!r}")


def raise_error(status: int):
    """Raise the exception that a status stands for."""
    _kernel, kind, message = _errors[status]
    raise getattr(builtins, kind)(message)


def compile(kernel, types_, store=None) -> Callable:
    """A kernel (or its Python function) compiled for arguments of these types.

    Raises:
        TranslationError: the kernel does what the compiler doesn't know.
    """
    return Callable(python_function(kernel), types_, store)
