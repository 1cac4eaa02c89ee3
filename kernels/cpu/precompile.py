"""Compiles what a step needs by several processes at once: Numba itself compiles one function after the other.

The processes are copies of this one (``fork``) that leave their results in the disk cache.  Where there is no fork, or
little to compile, nothing happens here: every function is compiled when it is first called.
"""

import contextlib
import os
import struct
import sys
import warnings

import numba
import numpy as np
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError

from jitnet.threads import get_num_threads

LEAST = 2  # functions for which a process pays
MOST = 1024  # functions whose numbers a pipe holds


def compile_kernels(module, calls, scope: dict) -> None:
    """Kernels that the functions of ``module`` call.

    calls: [(name, argument, ...)] with (dtype, axes) for an array, or the source of an expression over ``scope``.
    """

    def type_of(argument):
        if isinstance(argument, tuple):
            dtype, axes = argument
            return types.Array(numba.from_dtype(np.dtype(dtype)), axes, "C")
        return numba.typeof(eval(argument, {}, scope))

    _compile((getattr(module, name), tuple(map(type_of, arguments))) for name, *arguments in calls)


def compile_functions(module, calls, scope: dict) -> None:
    """Functions of ``module``: [(name, argument names)], the longest first, so that none is waited for in the end."""

    def length(call):
        return -len(getattr(module, f"{call[0]}_chunk", getattr(module, call[0])).py_func.__code__.co_code)

    calls = sorted(calls, key=length)
    _compile((getattr(module, name), tuple(numba.typeof(scope[a]) for a in arguments)) for name, arguments in calls)


def _compile(tasks) -> None:
    if not hasattr(os, "fork") or sys.platform == "darwin":  # whose system libraries don't survive a fork
        return
    missing = [(dispatcher, arguments) for dispatcher, arguments in tasks if not _is_there(dispatcher, arguments)]
    missing = missing[:MOST]
    processes = min(get_num_threads(), len(missing) // LEAST)
    if processes < 2:
        return
    # numbers of tasks wait in a pipe, and who is free takes the next; all fit into the smallest pipe of Linux
    reader, writer = os.pipe()
    os.write(writer, struct.pack(f"{len(missing)}I", *range(len(missing))))
    os.close(writer)
    # nobody else may be compiling while the process is copied
    with global_compiler_lock:
        children = [_start(missing, reader) for _ in range(1, processes)]
        try:
            _work(missing, reader)
        finally:
            os.close(reader)
            for child in children:
                os.waitpid(child, 0)


def _is_there(dispatcher, arguments) -> bool:
    """Whether a function is compiled or in the disk cache."""
    return arguments in dispatcher.overloads or dispatcher._cache.contains(arguments, dispatcher.targetctx.codegen())


def _start(tasks, reader: int) -> int:
    """The process number of a copy that takes part in ``tasks``."""
    with warnings.catch_warnings():
        # Python warns of threads that are not there in the copy: it needs none
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            _work(tasks, reader)
        finally:
            os._exit(0)
    return child


def _work(tasks, reader: int) -> None:
    while number := os.read(reader, 4):
        dispatcher, arguments = tasks[struct.unpack("I", number)[0]]
        # what can't be compiled says so when it is called
        with contextlib.suppress(NumbaError):
            dispatcher.compile(arguments)
