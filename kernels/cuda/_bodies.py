"""What kernels are written with: decorators, and names that stand for what a compiler or an emulator puts there."""

import dis
import functools
import types
from collections.abc import Callable

from .. import scalar as _scalar_functions
from ._errors import CudaError


class _OutsideError(CudaError, AttributeError):
    """Python code reached for what exists in kernels alone."""


class _Standin:
    """What bodies of kernels call ``cuda``; whoever compiles or emulates a body puts the real thing in its place."""

    def __getattr__(self, name):
        raise _OutsideError(f"cuda.{name} exists in the bodies of kernels and device functions alone.")


cuda = _Standin()


class Kernel:
    """A function that runs on the device, once for each thread of a launch; it has no result."""

    def __init__(self, function):
        self.function = function
        self.name = function.__name__

    def __repr__(self):
        return f"{self.function.__module__}.{self.name}"

    def __call__(self, *arguments):
        raise CudaError(f"{self!r} is a kernel: launch({self.name}, grid, block, *arguments)")


class Function:
    """A function that kernels call.  real: the type of its literals, if that is another one than the kernel's."""

    def __init__(self, function, real=None):
        self.function, self.real = function, real

    def __repr__(self):
        return f"{self.function.__module__}.{self.function.__name__}"

    def __call__(self, *arguments):
        raise CudaError(f"{self!r} is called by kernels alone.")


class Intrinsic:
    """An instruction that Python has no name for: ``define()`` gives what numba.cuda compiles, see ``ptx.py``.

    Emulators know it by its name.
    """

    def __init__(self, name: str, define: Callable):
        self.name, self.define = name, functools.cache(define)

    def __call__(self, *arguments):
        raise CudaError(f"{self.name} is called by kernels alone.")


def kernel(function) -> Kernel:
    """Decorator of every kernel."""
    return Kernel(function)


def function(body, real=None) -> Function:
    """Decorator of a device function; also makes one of a plain function with literals of another type ``real``."""
    return Function(getattr(body, "function", body), real)


def rebuilt(function, substitute):
    """A copy of a Python function whose global names and closure hold ``substitute(name, value)`` of what they held."""
    scope = dict(function.__globals__)
    for name in names_of(function.__code__) & scope.keys():
        scope[name] = substitute(name, scope[name])
    cells = tuple(
        types.CellType(substitute(name, cell.cell_contents))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    )
    return types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells or None)


@functools.cache
def names_of(code) -> frozenset[str]:
    """The global names that some code reads; names of attributes, as in math.tanh, are none."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(read).union(*map(names_of, inner))


def is_scalar_function(value) -> bool:
    """Whether it is one of the plain functions of ``kernels.scalar``, which kernels call as they are."""
    module = getattr(value, "__module__", None) or ""
    return isinstance(value, types.FunctionType) and module.startswith(_scalar_functions.__name__)
