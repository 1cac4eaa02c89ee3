"""What the expressions of a kernel are while it is translated."""

from dataclasses import dataclass

from .types import ITEMSIZE, literal


class Number:
    """A number: LLVM's name of it, or a constant."""

    __slots__ = ("constant", "text", "type")

    def __init__(self, type_, text=None, constant=None):
        self.type, self.constant = type_, constant
        self.text = literal(type_, constant) if text is None else text

    @property
    def known(self) -> bool:
        return self.constant is not None


def integer(value: int) -> Number:
    """A constant int64."""
    return Number("int64", None, value)


@dataclass(frozen=True)
class Array:
    """An array: its first element's address, its shape; strides in elements where it is not C-contiguous."""

    dtype: str
    pointer: str
    shape: tuple[Number, ...]
    strides: tuple[Number, ...] | None = None

    @property
    def itemsize(self) -> int:
        return ITEMSIZE[self.dtype]


@dataclass(frozen=True)
class Tuple:
    """A tuple of values."""

    items: tuple


@dataclass(frozen=True)
class Static:
    """An object of Python's that is known now: a function, a module, a type, None, a text."""

    value: object


@dataclass(frozen=True)
class Method:
    """A method of an array."""

    array: Array
    name: str


@dataclass(frozen=True)
class Undefined:
    """A variable that has no value here, or on different ways here values that don't go together."""

    reason: str
