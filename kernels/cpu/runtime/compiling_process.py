"""What a process is told that compiles for another one, and how it ends with that one.

Imports nothing that takes time: a process first sees to it that it can't be left behind.
"""

import contextlib
import ctypes
import importlib
import os
import pickle
import signal
import struct
import sys
import threading

# what a fresh interpreter runs; the rest of its standard input is for ``main``
COMMAND = """\
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from jitnet.kernels.cpu.runtime.compiling_process import main
main()
"""
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the system kill this process when its parent ends (on Linux); Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _end_when_closed(life: int) -> None:
    """Wait until the parent's end of a pipe is closed."""
    os.read(life, 1)
    os._exit(1)


def next_task(reader: int) -> int | None:
    """The number of a task that nobody else has, from the pipe of all who compile."""
    number = os.read(reader, 4)
    return struct.unpack("I", number)[0] if number else None


def main() -> None:
    """Compile what standard input says."""
    parent, life, reader, sources = pickle.load(sys.stdin.buffer)
    end_with(parent)
    threading.Thread(target=_end_when_closed, args=(life,), daemon=True).start()

    from . import cache
    from .generated import generated_module

    cache.keep_quiet()
    for name, source in sources:
        generated_module(name, source)
    tasks = pickle.load(sys.stdin.buffer)  # its types are Numba's

    from numba.core.errors import NumbaError

    while (number := next_task(reader)) is not None:
        module, function, arguments = tasks[number]
        with contextlib.suppress(NumbaError):
            getattr(importlib.import_module(module), function).compile(arguments)
