"""The file layer of checkpoints with faults: a process that dies at the n-th operation, a disk that takes no more."""

import builtins
import os
import signal

from jitnet.files import atomic, checkpoints

OPERATIONS = ("fsync", "open", "remove", "replace")  # of ``os``; beside them "create" and "write" of files


class FaultyFiles:
    """Counts the operations on files of checkpoints, and has ``fault(name)`` called before the n-th of them.

    A write is cut in two where its fault comes: half of the bytes are in the file by then.

    at: which operation, from 1; None: every one of ``names``.  Install it with pytest's ``monkeypatch``, or in a copy
    of the process without one.
    """

    def __init__(self, fault, at=None, names=("create", "write", *OPERATIONS)):
        self.fault, self.at, self.names, self.count = fault, at, names, 0

    def install(self, monkeypatch=None):
        replace = setattr if monkeypatch is None else monkeypatch.setattr
        proxy = _System(self)
        replace(atomic, "os", proxy)
        replace(checkpoints, "os", proxy)
        if monkeypatch is None:
            atomic.open = self._open
        else:
            monkeypatch.setattr(atomic, "open", self._open, raising=False)
        return self

    def passes(self, name: str) -> bool:
        """Count an operation; whether it is the one with the fault."""
        if name not in self.names:
            return False
        self.count += 1
        return self.at is None or self.count == self.at

    def before(self, name: str) -> None:
        if self.passes(name):
            self.fault(name)

    def _open(self, *arguments, **keywords):
        self.before("create")
        return _File(self, builtins.open(*arguments, **keywords))


class _System:
    """The module ``os``."""

    def __init__(self, faults):
        self._faults = faults

    def __getattr__(self, name):
        found = getattr(os, name)
        if name not in OPERATIONS:
            return found

        def operation(*arguments, **keywords):
            self._faults.before(name)
            return found(*arguments, **keywords)

        return operation


class _File:
    def __init__(self, faults, file):
        self._faults, self._file = faults, file

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def write(self, content):
        if self._faults.passes("write"):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            self._faults.fault("write")
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)


def die(name: str) -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def failing(number: int):
    """A fault: the error of the system with this number."""

    def fail(name: str) -> None:
        raise OSError(number, os.strerror(number))

    return fail
