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
    """An object file: of a kernel, or of the sections of a step.

    symbol: the kernel's, or the hash of the sections, whose symbols begin with their names and end with it.  errors:
    status -> (class, message).  calls: (symbol, module, function, types) of the kernels whose symbols it needs.
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
    return _made(translation.translate(function, types, symbol, target.triple), target, 3)


def make_sections(sections, target: Machine, symbol: str) -> Object:
    """Compile functions of a step as one object file, without optimisation: the work is in the kernels.

    sections: [(function, types)].
    """
    named = [(f"{function.__name__}_{symbol}", function, types) for function, types in sections]
    return _made(translation.translate_sections(named, symbol, target.triple), target, 0)


def _made(translated, target, level) -> Object:
    calls = [
        (symbol, called.__module__, called.__name__, given) for symbol, (called, given) in translated.calls.items()
    ]
    return Object(translated.symbol, machine.object_code(translated, target, level), translated.errors, calls)


def obtain(function, types, target: Machine, store=None, symbol=None) -> Object:
    """A kernel's object file out of the store, which otherwise gets it.

    store: ``read(name)`` gives bytes that were written under that name, or None; ``write(name, bytes)`` keeps them.
    """
    symbol = symbol or translation.symbol_of(function, types)
    return _stored(symbol, target, store, lambda: make(function, types, target, symbol))


def obtain_sections(sections, target: Machine, store=None) -> Object:
    """The object file of functions of a step, see ``make_sections``, out of the store, which otherwise gets it."""
    symbol = translation.symbol_of_sections(sections)
    return _stored(symbol, target, store, lambda: make_sections(sections, target, symbol))


def _stored(symbol, target, store, make_it) -> Object:
    name = file_name(symbol, target)
    content = None if store is None else store.read(name)
    if content is not None:
        return Object.decoded(content)
    made = make_it()
    if store is not None:
        store.write(name, made.encoded())
    return made


# ---- in this process

_lock = threading.RLock()
_addresses: dict[str, int] = {}
_errors: dict[int, tuple[str, str, str]] = {}  # status -> (kernel, class, message)
_engine = None


def load(found: Object, symbols, kernel: str) -> list[int]:
    """The addresses of symbols of an object file; the kernels that it calls must be loaded already."""
    global _engine
    with _lock:
        if not all(symbol in _addresses for symbol in symbols):
            if _engine is None:
                _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine.target_machine(machine.host(), 3))
            _engine.add_object_file(llvm.ObjectFileRef.from_data(found.code))
            _engine.finalize_object()
            for status, error in found.errors.items():
                _errors[status] = kernel, *error
            for symbol in symbols:
                _addresses[symbol] = _engine.get_function_address(symbol)
        return [_addresses[symbol] for symbol in symbols]


def address_of(function, types, target: Machine | None = None, store=None) -> int:
    """The address of a kernel for arguments of these types; compiles it and what it calls unless they are there."""
    symbol = translation.symbol_of(function, types)
    if symbol in _addresses:
        return _addresses[symbol]
    found = obtain(function, types, target or machine.host(), store, symbol)
    _load_called(found, target, store)
    return load(found, [symbol], function.__name__)[0]


def addresses_of_sections(sections, target: Machine | None = None, store=None) -> list[int]:
    """The addresses of functions of a step: [(function, types)]."""
    found = obtain_sections(sections, target or machine.host(), store)
    _load_called(found, target, store)
    return load(found, [f"{function.__name__}_{found.symbol}" for function, _ in sections], "step")


def _load_called(found: Object, target, store) -> None:
    for symbol, module, name, types in found.calls:
        if symbol not in _addresses:
            address_of(python_function(getattr(importlib.import_module(module), name)), types, target, store)


def error_of(status: int) -> Exception:
    """The exception that a status stands for, with a note of the kernel that raised it."""
    kernel, kind, message = _errors[status]
    error = getattr(builtins, kind)(message)
    error.add_note(f"Raised by the kernel {kernel!r}.")
    return error
