"""Types of numbers and arrays, and what Numba's arithmetic makes of them.

The type of a number is its name, of an array an ``ArrayType``, of a tuple a tuple of types.
"""

import struct
from typing import NamedTuple

import numpy as np

LLVM = {
    "bool": "i1", "int8": "i8", "uint8": "i8", "int16": "i16", "uint16": "i16", "int32": "i32", "uint32": "i32",
    "int64": "i64", "uint64": "i64", "float32": "float", "float64": "double",
}  # fmt: skip
ITEMSIZE = {name: max(1, np.dtype(name).itemsize) for name in LLVM}
_NAMES = {np.dtype(name): name for name in LLVM}  # NumPy works a name out anew whenever it is asked for
# floats that hold the values of these integers exactly enough for Numba to stay with them
_NARROW = {"bool", "int8", "uint8", "int16"}


class ArrayType(NamedTuple):
    """A C-contiguous array."""

    dtype: str
    axes: int


class TranslationError(Exception):
    """What the compiler doesn't take; says in which file and line (``placed``: it already does)."""

    def __init__(self, message, placed=False):
        super().__init__(message)
        self.placed = placed


def in_memory(name: str) -> str:
    """LLVM's type of a number in an array or as an argument."""
    return "i8" if name == "bool" else LLVM[name]


def is_float(name: str) -> bool:
    return name.startswith("float")


def is_signed(name: str) -> bool:
    """Whether an integer has a sign; a bool counts as one that has."""
    return not name.startswith("u")


def unify(a: str, b: str) -> str:
    """The type of a variable that is an ``a`` or a ``b``."""
    if a == b or a == "bool" or b == "bool":
        return b if a == "bool" else a
    if {a, b} == {"uint16", "float32"}:
        return "float32"
    if is_float(a) or is_float(b):
        return arithmetic(a, b)
    if is_signed(a) == is_signed(b):
        return max(a, b, key=ITEMSIZE.get)
    signed, unsigned = (a, b) if is_signed(a) else (b, a)
    size = max(ITEMSIZE[signed], 2 * ITEMSIZE[unsigned])
    return "float64" if size > 8 else f"int{8 * size}"


def compared(a: str, b: str) -> str:
    """The type in which numbers are compared."""
    return "float64" if {a, b} == {"uint16", "float32"} else unify(a, b)


def arithmetic(a: str, b: str) -> str:
    """The type of a sum, difference or product, and in which it is computed."""
    if is_float(a) or is_float(b):
        return "float64" if any(name not in (*_NARROW, "float32") for name in (a, b)) else "float32"
    return "int64" if is_signed(a) or is_signed(b) else "uint64"


def shifted(a: str) -> str:
    """The type of a shifted number, or of a negative one."""
    return "int64" if is_signed(a) else "uint64"


def type_of(value):
    """The type of an argument."""
    if isinstance(value, np.ndarray):
        name = _NAMES.get(value.dtype)
        if name is None or not value.flags.c_contiguous:
            raise TypeError(f"Kernels take C-contiguous arrays of numbers. Received: {value.dtype}, {value.strides}")
        return ArrayType(name, value.ndim)
    if isinstance(value, tuple):
        return tuple(type_of(part) for part in value)
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, np.generic) and value.dtype.name in LLVM:
        return value.dtype.name
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    raise TypeError(f"Kernels take arrays, numbers and tuples of them. Received: {value!r}")


def literal(name: str, value) -> str:
    """LLVM's text of a constant."""
    if name == "bool":
        return "true" if value else "false"
    if not is_float(name):
        return str(wrapped(name, int(value)))
    value = np.float32(value) if name == "float32" else float(value)
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


def wrapped(name: str, value: int) -> int:
    """An integer as this type keeps it."""
    bits = 8 * ITEMSIZE[name]
    value &= (1 << bits) - 1
    return value - (1 << bits) if is_signed(name) and value >> (bits - 1) else value
