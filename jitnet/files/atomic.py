"""Files that are replaced at once, and what killed processes leave of them."""

import contextlib
import errno
import os
import re
import secrets
import time

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk says that takes no more
_TEMPORARY = r"\.jitnet-[0-9a-f]{16}\.tmp"
_OLD_SECONDS = 24 * 60 * 60  # no saving takes a day: its process was killed
_WAITS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # seconds between attempts


def write(path: str, content: bytes) -> None:
    """Write a file that is there as a whole or, whatever fails, not at all; an earlier one is replaced at once.

    Raises OSError of the system: without room, rights or a directory, and PermissionError if an earlier file could not
    be replaced for more than a second (on Windows: while another process has it open).
    """
    directory = os.path.dirname(path)
    # in the same directory, because only within a file system one file can replace another at once
    temporary = os.path.join(directory, f".jitnet-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)
    _sync_directory(directory)
    sweep(directory, _TEMPORARY)


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
