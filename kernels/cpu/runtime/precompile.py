"""Compiles what a step needs by several processes at once: Numba itself compiles one function after the other.

The processes leave their results in the disk cache.  They are copies of this one (``fork``) where that is safe: a copy
has this thread alone, so that a lock which another thread holds is never released in it.  Elsewhere they are fresh
interpreters, which take a second to start.  What they don't do, for whatever reason, is compiled when it is first
called; that goes for everything where there is little to compile or no cache.
"""

import contextlib
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError

from . import cache
from .compiling_process import COMMAND, end_with, next_task
from .dispatchers import array_type
from .generated import source_of
from .threads import get_num_threads

LEAST = 2  # functions for which a copy of the process pays
LEAST_AFRESH = 12  # functions for which a fresh interpreter pays
MOST = 1024  # functions whose numbers a pipe holds
PATIENCE = 10.0  # seconds that a process may take for its last function, and twice what all took so far
# libraries with threads of their own, which may hold locks
_FOREIGN = ("grpc", "jax", "jaxlib", "mxnet", "ray", "tensorflow", "torch")


def compile_kernels(module, calls, scope: dict) -> None:
    """Kernels that the functions of ``module`` call.

    calls: [(name, argument, ...)] with (dtype, axes) for an array, or the source of an expression over ``scope``.
    """

    def type_of(argument):
        if isinstance(argument, tuple):
            return array_type(*argument)
        return numba.typeof(eval(argument, {"__builtins__": {}}, scope))

    _compile((getattr(module, name), tuple(map(type_of, arguments))) for name, *arguments in calls)


def compile_functions(module, calls, scope: dict) -> None:
    """Functions of ``module``: [(name, argument names)], the longest first, so that none is waited for in the end."""

    def length(call):
        return -len(getattr(module, f"{call[0]}_chunk", getattr(module, call[0])).py_func.__code__.co_code)

    calls = sorted(calls, key=length)
    _compile((getattr(module, name), tuple(numba.typeof(scope[a]) for a in arguments)) for name, arguments in calls)


def _compile(tasks) -> None:
    missing = [(dispatcher, arguments) for dispatcher, arguments in tasks if not _is_there(dispatcher, arguments)]
    missing = missing[:MOST]
    copied = _can_copy()
    processes = min(get_num_threads(), len(missing) // LEAST)
    if processes < 2 or not (copied or _can_start_afresh(len(missing))) or not cache.can_write():
        return
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        # numbers of tasks wait in a pipe, and who is free takes the next; all fit into the smallest pipe of Linux
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        os.write(writer, struct.pack(f"{len(missing)}I", *range(len(missing))))
        os.close(writer)
        others = []
        try:
            for _ in range(1, processes):
                others.append(_Copy(missing, reader) if copied else _Afresh(missing, reader, stack))
            done = _work(missing, reader)
            theirs = [task for number, task in enumerate(missing) if number not in done]
            _wait(theirs, others, PATIENCE + 2 * (time.monotonic() - start))
        finally:
            for process in others:
                process.end()


def _is_there(dispatcher, arguments) -> bool:
    """Whether a function is compiled or in the disk cache."""
    return arguments in dispatcher.overloads or dispatcher._cache.contains(arguments, dispatcher.targetctx.codegen())


def _can_copy() -> bool:
    """Whether no thread can hold a lock that a copy needs."""
    if sys.platform != "linux" or any(name in sys.modules for name in _FOREIGN):
        return False
    from . import workers

    # the pool's threads hold none, and progress bars' thread none but those of tqdm
    bars = sum(type(thread).__module__ == "tqdm._monitor" for thread in threading.enumerate())
    return len(sys._current_frames()) == 1 + workers.count() + bars


def _can_start_afresh(tasks: int) -> bool:
    """Whether fresh interpreters can take part, and pay."""
    return os.name == "posix" and tasks >= LEAST_AFRESH and bool(sys.executable) and not hasattr(sys, "frozen")


def _work(tasks, reader: int) -> set[int]:
    """Compile what nobody else has begun; returns the numbers of these tasks."""
    done = set()
    while (number := next_task(reader)) is not None:
        dispatcher, arguments = tasks[number]
        # what can't be compiled says so when it is called
        with contextlib.suppress(NumbaError):
            dispatcher.compile(arguments)
        done.add(number)
    return done


def _wait(tasks, processes, seconds: float) -> None:
    """Until the tasks that other processes have taken are done, or too much time has passed."""
    end = time.monotonic() + seconds
    while any(process.is_running() for process in processes) and time.monotonic() < end:
        if all(_is_there(*task) for task in tasks):
            return
        time.sleep(0.002)


class _Copy:
    """A copy of this process that takes part in ``tasks``."""

    def __init__(self, tasks, reader: int):
        parent = os.getpid()
        # nobody else may be compiling while the process is copied
        with global_compiler_lock, warnings.catch_warnings():
            # Python warns of threads that are not there in the copy: it needs none
            warnings.simplefilter("ignore", DeprecationWarning)
            self._number = os.fork()
        if self._number == 0:
            try:
                end_with(parent)
                cache.keep_quiet()
                _work(tasks, reader)
            finally:
                os._exit(0)

    def is_running(self) -> bool:
        if self._number:
            try:
                ended, _ = os.waitpid(self._number, os.WNOHANG)
            except ChildProcessError:  # somebody else in this program has waited for it
                ended = self._number
            if ended:
                self._number = 0
        return self._number != 0

    def end(self) -> None:
        if self.is_running():
            os.kill(self._number, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._number, 0)


class _Afresh:
    """A fresh interpreter that takes part in ``tasks``; it ends when this process or ``stack`` does."""

    def __init__(self, tasks, reader: int, stack):
        calls = [(d.py_func.__module__, d.py_func.__name__, arguments) for d, arguments in tasks]
        life, ours = os.pipe()
        stack.callback(os.close, ours)
        # a file, not a pipe: this process must not wait for one that doesn't read
        with tempfile.TemporaryFile() as told:
            for part in sys.path, (os.getpid(), life, reader, _sources(module for module, *_ in calls)), calls:
                pickle.dump(part, told)
            told.seek(0)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", COMMAND],
                    stdin=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(life, reader),
                )  # fmt: skip
            finally:
                os.close(life)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def _sources(names) -> list[tuple[str, str]]:
    """The generated modules of these names, and those that they import, which come first: [(name, source)]."""
    found = {}
    for name in dict.fromkeys(names):
        source = source_of(name)
        if source is not None:
            for imported in re.findall(r"^from (k_\w+) import ", source, re.MULTILINE):
                found.setdefault(imported, source_of(imported))
            found.setdefault(name, source)
    return list(found.items())
