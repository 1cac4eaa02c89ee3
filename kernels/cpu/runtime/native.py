"""Kernels and steps as machine code of jitnet's own compiler: which compiler runs, and what Python calls."""

import ctypes
import hashlib
import os
import threading

import numpy as np

from ... import compiler as ours
from ...compiler import machine, sections, sources
from ...compiler.objects import Object, called_by, error_of, file_name, load, made_of
from ...compiler.types import ArrayType, TranslationError, type_of
from ...locks import across_forks
from . import cache, pool, processor
from .threads import get_num_threads

COMPILERS = ("jitnet", "numba")


def compiler() -> str:
    """Which compiler runs kernels and steps: the environment variable ``JITNET_COMPILER``, or jitnet's own.

    Raises ValueError if the variable names none.
    """
    name = os.environ.get("JITNET_COMPILER") or "jitnet"
    if name not in COMPILERS:
        raise ValueError(f"JITNET_COMPILER is one of {', '.join(COMPILERS)}. Received: JITNET_COMPILER={name}")
    return name


_compiling = across_forks(threading.RLock())
FALLBACKS: dict[str, None] = {}  # why Numba compiles something of ours


def note_fallback(error: Exception) -> None:
    """What jitnet's own compiler doesn't take is compiled by Numba; the cache keeps why, for ``jitnet cache info``."""
    reason = str(error)
    if reason not in FALLBACKS:
        FALLBACKS[reason] = None
        cache.write(f"fallbacks/{hashlib.sha256(reason.encode()).hexdigest()[:16]}.txt", reason.encode())


def function_of(function, arguments):
    """What calls a kernel, or a function of a step, with arguments of these types; None where Numba does."""
    if compiler() == "numba":
        return None
    try:
        types_ = tuple(map(type_of, arguments))
    except TypeError:
        return None
    if function.kind == "function" and any(type(type_) is tuple for type_ in types_):
        return None
    made = function._ours
    if types_ not in made:
        with _compiling:
            if types_ not in made:
                made[types_] = _made(function, types_)
    return made[types_]


def _made(function, types_):
    python = function.py_func
    try:
        if hasattr(python, "compiled_with"):
            return ours.compile(python, types_, processor.machine(), cache)
        names = [f"a{i}" for i in range(len(types_))]
        source = sources.source_hash(python).hex()
        made = entry(python.__name__, lambda: python, source, names, list(types_))
        return lambda *arguments: made(made.record(dict(zip(names, arguments, strict=True))))
    except TranslationError as error:
        note_fallback(error)
        return None


class Entry:
    """A function of a step, called with a record of its arguments.

    places: {argument: its first place in the record}.
    """

    def __init__(self, code: machine.Code, names: list[str], types_: list):
        self._code = code  # lives as long as this
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(code.address)
        self.places, self._types, size = {}, dict(zip(names, types_, strict=True)), 0
        for name, type_ in self._types.items():
            self.places[name] = size
            size += 1 + type_.axes if isinstance(type_, ArrayType) else 1
        self._size = size

    def record(self, arguments: dict) -> np.ndarray:
        """A record of these arguments, by name."""
        record = np.zeros(self._size, np.int64)
        for name, value in arguments.items():
            self.put(record, name, value)
        return record

    def put(self, record: np.ndarray, name: str, value) -> None:
        """Enter one argument."""
        place, type_ = self.places[name], self._types[name]
        if isinstance(type_, ArrayType):
            record[place] = value.__array_interface__["data"][0]
            record[place + 1 : place + 1 + type_.axes] = value.shape
        elif type_ == "float64":
            record[place : place + 1].view(np.float64)[0] = value
        else:
            record[place] = value

    def __call__(self, record: np.ndarray) -> None:
        """Run it.  Raises what a kernel raised."""
        self.run(record.ctypes.data)

    def run(self, address: int) -> None:
        """Run it on the record at this address."""
        if status := self._call(address):
            raise error_of(status)


def entry(name: str, function, source: str, names: list[str], types_: list, objects=(), tell=None) -> Entry:
    """A function of a generated module of this ``source``, for arguments of these names and types.

    function: gives it, if it must be compiled; objects: names of arrays of which the record has the address of NumPy's
    object; tell: called with (how many kernels are made, how many there are to make).  Raises TranslationError if the
    compiler doesn't know how.
    """
    target = processor.machine()
    objects_at = tuple(map(names.index, objects))
    symbol = sections.step_symbol(source, name, types_, objects_at, sources.compiler_hash())
    content = cache.read(file_name(symbol, target))
    if content is None:
        found = made_of(sections.translate_step(function(), types_, symbol, target.triple, objects_at), target, 0)
        cache.write(file_name(symbol, target), found.encoded())
    else:
        found = Object.decoded(content)
    pool.load()
    called = called_by(found, target, cache, function, get_num_threads(), tell)
    return Entry(load(found, name, target, called), names, types_)
