"""Files that are replaced at once, and what killed processes leave of them."""

import contextlib
import errno
import os
import re
import secrets
import stat
import time

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk says that takes no more
_TEMPORARY = r"\.jitnet-[0-9a-f]{16}\.tmp"
_OLD_SECONDS = 24 * 60 * 60  # no saving takes a day: its process was killed
_WAITS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # seconds between attempts


def write(path: str, content: bytes) -> None:
    """Write a file that is there as a whole or, whatever fails, not at all; an earlier one is replaced at once.

    It keeps the earlier one's permissions, and a link to it.  A device or a pipe (/dev/stdout) gets the content itself:
    a file in its place would take it from every other program.

    Raises OSError of the system: without room, rights or a directory, and PermissionError if an earlier file could not
    be replaced for more than a second (on Windows: while another process has it open).
    """
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        with open(path, "wb") as file:
            file.write(content)
        return
    path = os.path.realpath(path)
    directory = os.path.dirname(path)
    # in the same directory, because only within a file system one file can replace another at once
    temporary = os.path.join(directory, f".jitnet-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                with contextlib.suppress(OSError):  # some file systems have no permissions
                    os.fchmod(file.fileno(), mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)
    _sync_directory(directory)
    sweep(directory, _TEMPORARY)


def begins(path, content: bytes) -> bool:
    """Whether a file that may be replaced lies there: it begins like this, is empty, or there is none."""
    if not os.path.isfile(path):
        return True
    with open(path, "rb") as file:
        return file.read(len(content)) in (content, b"")


def _mode(path: str) -> int | None:
    """What kind of file lies there, and its permissions; None: nothing does."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):  # or no path can be like this, which writing says
        return None


def replace(source, target) -> None:
    """``os.replace``, tried again for about a second while it is denied.

    Windows refuses to replace a file that another process (a reader, a virus scanner, an indexer) has open.
    """
    for seconds in _WAITS:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(seconds)
    os.replace(source, target)


def _sync_directory(directory: str) -> None:
    """Let the new name outlive a loss of power, where the system can be asked for that."""
    if hasattr(os, "O_DIRECTORY"):
        with contextlib.suppress(OSError):  # some file systems have nothing to sync
            descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def clear(directory) -> None:
    """Remove what ``write`` has left there; nobody else writes into the directory now."""
    sweep(directory, _TEMPORARY, 0)


def sweep(directory, pattern: str, seconds: float = _OLD_SECONDS) -> None:
    """Remove the temporary files of processes that were killed while they wrote.

    pattern: a regular expression for the whole of their names; seconds: how old they are.
    """
    with contextlib.suppress(OSError), os.scandir(directory or ".") as entries:
        for entry in entries:
            if re.fullmatch(pattern, entry.name):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_file(follow_symlinks=False) and status.st_mtime <= time.time() - seconds:
                        os.remove(entry.path)
