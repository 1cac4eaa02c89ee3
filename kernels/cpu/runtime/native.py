"""Kernels and steps as machine code of jitnet's own compiler: which compiler runs, and what Python calls."""

import ctypes
import hashlib
import os
import threading

import numpy as np

from ... import compiler as ours
from ...compiler import machine, sections, sources
from ...compiler.objects import called, error_of, load, step_of
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
        return lambda *arguments: Bound(made, dict(zip(names, arguments, strict=True)))()
    except TranslationError as error:
        note_fallback(error)
        return None


class Entry:
    """A function of a step, called with a record of the address of its numbers and of its arguments."""

    def __init__(self, code: machine.Code, numbers: list[int], names: list[str], types_: list):
        self._code = code  # lives as long as this
        self.numbers = np.array(numbers, np.int64)
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(code.address)
        self.places, self.types, self.size = {}, dict(zip(names, types_, strict=True)), 1
        for name, type_ in self.types.items():
            self.places[name] = self.size
            self.size += 1 + type_.axes if isinstance(type_, ArrayType) else 1

    def run(self, address: int) -> None:
        """Run it on the record at this address.  Raises what a kernel raised."""
        if status := self._call(address):
            raise error_of(status)


class Bound:
    """A function of a step with a record of its arguments, which live as long as this.

    places: the record, of 8 bytes each, and ``entry.places`` says where an argument begins.
    """

    def __init__(self, entry: Entry, arguments: dict):
        self.entry, self._kept = entry, {}
        self._record = np.zeros(entry.size, np.int64)
        self.places, self.address = memoryview(self._record), self._record.ctypes.data
        self.places[0] = entry.numbers.ctypes.data
        for name, value in arguments.items():
            self.put(name, value)

    def put(self, name: str, value) -> None:
        """Enter one argument."""
        self._kept[name] = value
        place, type_ = self.entry.places[name], self.entry.types[name]
        if isinstance(type_, ArrayType):
            self.places[place] = value.__array_interface__["data"][0]
            self._record[place + 1 : place + 1 + type_.axes] = value.shape
        elif type_ == "float64":
            self._record[place : place + 1].view(np.float64)[0] = value
        else:
            self._record[place] = value

    def __call__(self) -> None:
        self.entry.run(self.address)


def entry(name: str, function, source: str, names: list[str], types_: list, objects=(), tell=None) -> Entry:
    """A function of a generated module of this ``source``, for arguments of these names and types.

    function: gives it, if it must be compiled; objects: names of arrays of which the record has the address of NumPy's
    object; tell: called with (how many kernels are made, how many there are to make).  Raises TranslationError if the
    compiler doesn't know how.
    """
    target = processor.machine()
    objects_at = tuple(map(names.index, objects))
    key = sections.step_key(source, name, types_, objects_at, sources.compiler_hash())
    calls, numbers, make = step_of(
        key, target, cache, lambda: sections.translate_step(function(), types_, target.triple, objects_at)
    )
    codes, (found, _) = called(calls, target, cache, function, get_num_threads(), tell, besides=(make, pool.load))
    return Entry(load(found, "step", target, codes), numbers, names, types_)
