"""What a user's own ``@njit`` function is made of, as a hash: another hash whenever its machine code could differ.

The function's bytecode and constants, its defaults, the options of ``njit``, and whatever of its module and closure it
names, function by function.  Where anything among it can't be told from something else by its contents, there is no
hash, and the function is compiled in every process.
"""

import dis
import hashlib
import sys
import types

import numba
import numpy

from .hashes import source_hash, versions_hash

_LIBRARIES = {"builtins", "cmath", "llvmlite", "math", "numba", "numpy", "operator"}  # a name in them says what it is
_PLAIN = (bool, bytes, complex, float, int, str, type(None), type(Ellipsis))


class _Unknown(Exception):
    """A value that has no identity but its own."""


def identity_of(dispatcher) -> str | None:
    """The hash of a function decorated with ``numba.njit``, the same in every process; None if there is none."""
    digest = _Digest()
    try:
        digest.add(dispatcher)
    except _Unknown:
        return None
    return digest.value.hexdigest()


def _library(name) -> bool:
    return isinstance(name, str) and name.split(".")[0] in _LIBRARIES


class _Digest:
    def __init__(self):
        self.value = hashlib.sha256(versions_hash())
        self._seen = {}  # {id of a function or module: its number}, in the order of their first use

    def _text(self, *parts) -> None:
        self.value.update(repr(parts).encode("utf-8", "surrogatepass"))

    def _is_new(self, thing) -> bool:
        number = self._seen.setdefault(id(thing), len(self._seen))
        self._text("thing", number)
        return number == len(self._seen) - 1

    def add(self, value, names=()) -> None:
        """names: attributes that are read of it, if it is a module."""
        if type(value) in _PLAIN:
            self._text(type(value).__name__, value)
        elif isinstance(value, numpy.generic) and not value.dtype.hasobject:
            self._text("number", value.dtype.descr, value.tobytes())
        elif isinstance(value, numpy.ndarray) and type(value) is numpy.ndarray and not value.dtype.hasobject:
            order = value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable
            self._text("array", value.dtype.descr, value.shape, order)
            self.value.update(value.tobytes())
        elif type(value) is tuple:
            self._text("tuple", len(value))
            for part in value:
                self.add(part)
        elif type(value) is dict:
            self._text("dict", len(value))
            for key in sorted(value, key=repr):
                self.add(key)
                self.add(value[key])
        elif isinstance(value, types.CodeType):
            self._add_code(value, None)
        elif isinstance(value, types.ModuleType):
            self._add_module(value, names)
        elif _library(getattr(value, "__module__", None)) and isinstance(
            value, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
        ):
            self._text("library", value.__module__, value.__qualname__)
        elif isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType):
            self._text("library", value.__self__.__name__, value.__qualname__)
        elif isinstance(value, (numpy.ufunc, numba.types.Type, numpy.dtype)):
            self._text(type(value).__name__, repr(value))
        elif type(value).__module__.startswith("numpy") and _library(getattr(value, "__module__", None)):
            self._text("library", value.__module__, value.__qualname__)  # NumPy's functions that are no Python ones
        else:
            self._add_compiled(value)

    def _add_compiled(self, value) -> None:
        function = getattr(value, "py_func", None)
        if not isinstance(function, types.FunctionType):
            raise _Unknown
        if (function.__module__ or "").startswith("jitnet.kernels."):
            self._text("kernel", function.__qualname__, source_hash(function.__code__.co_filename))
        elif isinstance(value, numba.core.dispatcher.Dispatcher) and function.__module__ in sys.modules:
            self.add(dict(value.targetoptions))
            if self._is_new(function):
                self.add(function.__defaults__)
                self.add(function.__kwdefaults__)
                self._add_code(function.__code__, function.__globals__)
                for cell in function.__closure__ or ():
                    try:
                        contents = cell.cell_contents
                    except ValueError:  # not assigned yet
                        raise _Unknown from None
                    self.add(contents, function.__code__.co_names)
        else:
            raise _Unknown

    def _add_code(self, code, scope) -> None:
        """A function's own bytecode, with what it names in ``scope``."""
        self._text(code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._text(code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
        constants = [constant for constant in code.co_consts if not isinstance(constant, str)]
        self._text([constant for constant in code.co_consts if isinstance(constant, str)])
        for constant in constants:
            if isinstance(constant, types.CodeType):
                self._add_code(constant, scope)
            else:
                self.add(constant)
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval in (scope or ()):
                self._text(instruction.argval)
                self.add(scope[instruction.argval], code.co_names)

    def _add_module(self, module, names) -> None:
        self._text("module", module.__name__)
        if _library(module.__name__) or not self._is_new(module):
            return
        for name in names:
            if hasattr(module, name):
                self._text(name)
                self.add(getattr(module, name), names)
