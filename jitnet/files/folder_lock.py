"""One process at a time writes a folder: a lock that the system takes back from a process that dies, in any way."""

import contextlib
import errno
import os
import warnings

NAME = ".lock"
_open: set = set()  # descriptors of the locks that this process holds


@contextlib.contextmanager
def held(folder: str):
    """This process alone writes ``folder`` meanwhile; there is a file ``.lock`` in it as long.

    Raises:
        BlockingIOError: another process, or another training of this one, holds it.
        OSError: no file can be made there.
    """
    path = os.path.join(folder, NAME)
    descriptor = _locked(path, folder)
    _open.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _open:
            _open.discard(descriptor)
            if os.name != "nt":  # where nothing that is open can be removed
                with contextlib.suppress(OSError):
                    os.remove(path)
            os.close(descriptor)
            if os.name == "nt":
                with contextlib.suppress(OSError):
                    os.remove(path)


def _locked(path: str, folder: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, folder)
            # whoever held it before has removed the file meanwhile: that lock is nobody's any more
            if os.name == "nt" or (os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path))):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, folder: str) -> None:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK):
            warnings.warn(
                f"The file system of {folder} has no locks ({error.strerror}): see to it yourself that no other "
                "process trains there.",
                stacklevel=6,
            )
            return
        raise BlockingIOError(
            error.errno, "Another process is training there. Wait until it has ended, or choose another folder", folder
        ) from None


def _forget() -> None:
    """A copy of the process does not hold the locks of its parent, so that they end with it."""
    for descriptor in _open:
        os.close(descriptor)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
