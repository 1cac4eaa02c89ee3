"""Object files of kernels: made, kept in a store, and loaded into this process."""

import builtins
import hashlib
import importlib
import json
import threading
from typing import NamedTuple

import llvmlite
import llvmlite.binding as llvm

from . import machine, translation
from .machine import Machine
from .sources import python_function
from .types import ArrayType


class Object(NamedTuple):
    """A kernel's object file.

    errors: status -> (class, message).  calls: (symbol, module, function, types) of the kernels whose symbols it needs.
    """

    symbol: str
    code: bytes
    errors: dict[int, tuple[str, str]]
    calls: list[tuple]

    def encoded(self) -> bytes:
        """As bytes: the length of what is said in JSON, that, and the object file."""
        calls = [(symbol, module, name, _listed(types)) for symbol, module, name, types in self.calls]
        head = json.dumps({"symbol": self.symbol, "errors": list(self.errors.items()), "calls": calls}).encode()
        return len(head).to_bytes(4, "little") + head + self.code

    @classmethod
    def decoded(cls, content: bytes) -> "Object":
        end = 4 + int.from_bytes(content[:4], "little")
        head = json.loads(content[4:end])
        errors = {status: tuple(error) for status, error in head["errors"]}
        calls = [(symbol, module, name, _types(types)) for symbol, module, name, types in head["calls"]]
        return cls(head["symbol"], content[end:], errors, calls)


def _listed(type_):
    """A type in JSON: a number as its name, an array as an object, a tuple as a list."""
    if isinstance(type_, ArrayType):
        return {"dtype": type_.dtype, "axes": type_.axes}
    return [_listed(part) for part in type_] if isinstance(type_, tuple) else type_


def _types(listed):
    if isinstance(listed, dict):
        return ArrayType(listed["dtype"], listed["axes"])
    return tuple(_types(part) for part in listed) if isinstance(listed, list) else listed


def file_name(symbol: str, target: Machine) -> str:
    """Under which name a store has an object file: the symbol says what it is, the rest for which machine."""
    digest = hashlib.sha256(repr((target, llvmlite.__version__, llvm.llvm_version_info)).encode())
    return f"objects/{symbol}-{digest.hexdigest()[:16]}.o"


def make(function, types, target: Machine, symbol=None) -> Object:
    """Compile a kernel.

    Raises:
        TranslationError: the kernel does what the compiler doesn't know.
    """
    translated = translation.translate(function, types, symbol)
    calls = [
        (symbol, called.__module__, called.__name__, given) for symbol, (called, given) in translated.calls.items()
    ]
    return Object(translated.symbol, machine.object_code(translated, target), translated.errors, calls)


def obtain(function, types, target: Machine, store=None, symbol=None) -> Object:
    """A kernel's object file out of the store, which otherwise gets it.

    store: ``read(name)`` gives bytes that were written under that name, or None; ``write(name, bytes)`` keeps them.
    """
    symbol = symbol or translation.symbol_of(function, types)
    name = file_name(symbol, target)
    content = None if store is None else store.read(name)
    if content is not None:
        return Object.decoded(content)
    made = make(function, types, target, symbol)
    if store is not None:
        store.write(name, made.encoded())
    return made


# ---- in this process

_lock = threading.RLock()
_addresses: dict[str, int] = {}
_errors: dict[int, tuple[str, str, str]] = {}  # status -> (kernel, class, message)
_engine = None


def load(found: Object, kernel: str) -> int:
    """The address of an object file's symbol; the kernels that it calls must be loaded already."""
    global _engine
    with _lock:
        if found.symbol not in _addresses:
            if _engine is None:
                _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine.target_machine(machine.host(), 3))
            _engine.add_object_file(llvm.ObjectFileRef.from_data(found.code))
            _engine.finalize_object()
            for status, error in found.errors.items():
                _errors[status] = kernel, *error
            _addresses[found.symbol] = _engine.get_function_address(found.symbol)
        return _addresses[found.symbol]


def address_of(function, types, target: Machine | None = None, store=None) -> int:
    """The address of a kernel for arguments of these types; compiles it and what it calls unless they are there."""
    symbol = translation.symbol_of(function, types)
    if symbol in _addresses:
        return _addresses[symbol]
    found = obtain(function, types, target or machine.host(), store, symbol)
    for _, module, name, called_types in found.calls:
        called = python_function(getattr(importlib.import_module(module), name))
        address_of(called, called_types, target, store)
    return load(found, function.__name__)


def error_of(status: int) -> Exception:
    """The exception that a status stands for, with a note of the kernel that raised it."""
    kernel, kind, message = _errors[status]
    error = getattr(builtins, kind)(message)
    error.add_note(f"Raised by the kernel {kernel!r}.")
    return error
