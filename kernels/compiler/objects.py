"""Object files of kernels: made, kept in a store, and loaded into this process."""

import builtins
import hashlib
import importlib
import json
import sys
import threading
import weakref
from typing import NamedTuple

import llvmlite
import llvmlite.binding as llvm

from ..locks import across_forks
from . import machine, translation
from .machine import Machine
from .sources import python_function
from .types import ArrayType


class Object(NamedTuple):
    """An object file: of a kernel, or of a step.

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
    return made_of(translation.translate(function, types, symbol), target, 3)


def made_of(translated, target, level) -> Object:
    code = machine.object_code(translated, target, level)
    return Object(translated.symbol, code, translated.errors, _calls_of(translated))


def _calls_of(translated) -> list[tuple]:
    return [(symbol, called.__module__, called.__name__, given) for symbol, (called, given) in translated.calls.items()]


def obtain(function, types, target: Machine, store=None, symbol=None) -> Object:
    """A kernel's object file out of the store, which otherwise gets it.

    store: ``read(name)`` gives bytes that were written under that name, or None; ``write(name, bytes)`` keeps them.
    """
    symbol = symbol or translation.symbol_of(function, types)
    return stored(symbol, target, store, lambda: make(function, types, target, symbol))


def stored(symbol: str, target: Machine, store, make_it) -> Object:
    """What the store has under this symbol; otherwise it gets what ``make_it()`` gives."""
    name = file_name(symbol, target)
    content = None if store is None else store.read(name)
    if content is not None:
        return Object.decoded(content)
    made = make_it()
    if store is not None:
        store.write(name, made.encoded())
    return made


class StoredStep(NamedTuple):
    """What a step's own source has become: the machine code that it shares with others, and its numbers."""

    symbol: str
    numbers: list[int]


def step_of(key: str, target: Machine, store, translate):
    """What a step calls, its numbers, and a function that gives its object file, in any thread.

    key: of its source; steps that differ in numbers alone have one object file.  ``translate()`` gives its translation
    where the store lacks either.
    """
    name = file_name(key, target).removesuffix(".o") + ".numbers"
    content = store.read(name)
    if content is not None:
        known = StoredStep(*json.loads(content))
        content = store.read(file_name(known.symbol, target))
        if content is not None:
            found = Object.decoded(content)
            return found.calls, known.numbers, lambda: found
    translated = translate()

    def make():
        found = stored(translated.symbol, target, store, lambda: made_of(translated, target, 0))
        store.write(name, json.dumps(StoredStep(translated.symbol, translated.numbers)).encode())
        return found

    return _calls_of(translated), translated.numbers, make


# ---- in this process

_lock = across_forks(threading.RLock())
_loaded = weakref.WeakValueDictionary()  # symbol -> machine.Code, as long as anything can call it
_errors: dict[int, tuple[str, str, str]] = {}  # status -> (kernel, class, message)


def load(found: Object, kernel: str, target: Machine, called=()) -> machine.Code:
    """An object file in memory, whose symbol other code finds from now on.

    called: what its symbols are in, which lives as long as this.
    """
    with _lock:
        code = _loaded.get(found.symbol)
        if code is None:
            code = _loaded[found.symbol] = machine.Code(found.code, found.symbol, target, called)
            for status, error in found.errors.items():
                _errors[status] = kernel, *error
        return code


def code_of(function, types, target: Machine | None = None, store=None) -> machine.Code:
    """A kernel for arguments of these types in memory; compiles it and what it calls unless they are there."""
    target = target or machine.host()
    symbol = translation.symbol_of(function, types)
    code = _loaded.get(symbol)
    if code is None:
        found = obtain(function, types, target, store, symbol)
        code = load(found, function.__name__, target, called(found.calls, target, store)[0])
    return code


def called(
    calls, target: Machine, store=None, prepare=lambda: None, threads: int = 1, tell=None, besides=()
) -> tuple[list[machine.Code], list]:  # fmt: skip
    """The kernels that something calls, as ``machine.Code``, and the results of the functions ``besides``.

    What is not in the store is translated here and made by so many threads, which run these functions, too.

    calls: as of an ``Object``; prepare: loads the modules of generated kernels, of which one must be compiled; tell:
    called with (how many are made, how many there are to make).
    """
    alive: dict[str, machine.Code] = {}
    wanted: dict[str, Object | None] = {}  # None: being made
    names: dict[str, str] = {}
    making: list = []  # what gives each in the end

    def want(calls) -> None:
        for symbol, module, name, types in calls:
            if symbol in wanted or symbol in alive:
                continue
            code = _loaded.get(symbol)
            if code is not None:
                alive[symbol] = code
                continue
            names[symbol] = name
            content = None if store is None else store.read(file_name(symbol, target))
            if content is not None:
                wanted[symbol] = Object.decoded(content)
                want(wanted[symbol].calls)
                continue
            if module not in sys.modules:
                prepare()
            function = python_function(getattr(importlib.import_module(module), name))
            translated = translation.translate(function, types, symbol)
            wanted[symbol] = None
            making.append(pool.submit(made_of, translated, target, 3))
            want(_calls_of(translated))

    with _Threads(threads) as pool:
        want(calls)
        submit = pool.submit if making else _at_once
        results = [submit(function) for function in besides]
        for number, result in enumerate(making):
            if tell is not None:
                tell(number, len(making))
            made = result()
            if store is not None:
                store.write(file_name(made.symbol, target), made.encoded())
            wanted[made.symbol] = made
        results = [result() for result in results]
        if tell is not None and making:
            tell(len(making), len(making))

    def loaded(calls) -> list[machine.Code]:
        codes = []
        for symbol, *_ in calls:
            if symbol not in alive:
                alive[symbol] = load(wanted[symbol], names[symbol], target, loaded(wanted[symbol].calls))
            codes.append(alive[symbol])
        return codes

    return loaded(calls), results


def _at_once(function, *arguments):
    done = function(*arguments)
    return lambda: done


class _Threads:
    """Threads that are started when there is something to do; with one, the calling thread does it itself."""

    def __init__(self, count: int):
        self._count, self._pool = count, None

    def submit(self, function, *arguments):
        """What gives the result of ``function`` in the end."""
        if self._count > 1:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self._count)
            return self._pool.submit(function, *arguments).result
        return _at_once(function, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def error_of(status: int) -> Exception:
    """The exception that a status stands for, with a note of the kernel that raised it."""
    kernel, kind, message = _errors[status]
    error = getattr(builtins, kind)(message)
    error.add_note(f"Raised by the kernel {kernel!r}.")
    return error
