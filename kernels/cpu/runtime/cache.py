"""The user's cache of compiled code: where it is, which files are trusted, how they are read and written.

What a file holds is executed as machine code.  So a file counts only if nobody but the user or root could have written
it, and if its content is what was once written under its name.  Everything else is compiled anew, as if the file were
not there.  No trouble with the cache ends a program: one warning per process, and what is compiled stays in memory.
"""

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

UNFINISHED = "unfinished"  # the folder of files that are being written
_WINDOWS = sys.platform == "win32"
_LEFT_BEHIND = 3600.0  # seconds after which a file that is still being written has lost its writer
_SEAL_SIZE = hashlib.sha256().digest_size

_warned = False


def cache_directory() -> Path:
    """The per-user cache directory: ``JITNET_CACHE_DIR`` if set, else the platform's usual place."""
    chosen = os.environ.get("JITNET_CACHE_DIR")
    try:
        if chosen:
            return Path(chosen).expanduser()
        if _WINDOWS:
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "jitnet"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"jitnet-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def read(name: str) -> bytes | None:
    """What was written as ``name``, a path below the cache directory; None if there is nothing that can be trusted."""
    root = _root()
    if not root.trusts(name):
        return None
    # a link, a pipe or a device is no file of ours, and must not be waited for
    flags = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
    try:
        descriptor = os.open(root.path / name, flags)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            if complaint := _complaint(root.path / name, status):
                _warn(complaint)
                return None
            data = file.read()
    except OSError:
        return None
    content = data[_SEAL_SIZE:]
    return content if data[:_SEAL_SIZE] == _seal(name, content) else None


def write(name: str, content: bytes) -> None:
    """Keep ``content`` as ``name``; a file that was there is replaced at once, whoever else reads or writes it."""
    root = _root()
    if not root.can_write() or not root.trusts(name):
        return
    temporary = root.path / UNFINISHED / f"{secrets.token_hex(8)}.tmp"
    try:
        _make_folders((root.path / name).parent)
        with open(temporary, "xb", opener=_open_privately) as file:
            file.write(_seal(name, content) + content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, root.path / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Windows lets nobody replace a file that another process has open: which has the same content, most likely
        if not (_WINDOWS and isinstance(error, PermissionError)):
            root.give_up(error)


def contains(name: str) -> bool:
    """Whether there is a file of that name in a cache that can be trusted."""
    root = _root()
    return root.trusts(name) and (root.path / name).is_file()


def can_write() -> bool:
    """Whether what is compiled can be kept; if not, the user is told why, once."""
    return _root().can_write()


def keep_quiet() -> None:
    """Warn no more: another process does."""
    global _warned
    _warned = True


def _seal(name: str, content: bytes) -> bytes:
    """The first bytes of a file; they belong to the name as well, so that no file can stand in for another."""
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


def _warn(complaint: str) -> None:
    """Tell the user, once per process."""
    global _warned
    if not _warned:
        _warned = True
        message = f"jitnet's cache of compiled code is not used, every process compiles anew: {complaint}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)


# ---- the cache directory, as far as this process knows it


def _root() -> "_Root":
    return _root_at(os.path.abspath(cache_directory()))


@functools.cache
def _root_at(path: str) -> "_Root":
    return _Root(Path(path))


class _Root:
    def __init__(self, path: Path):
        self.path = path
        self._complaint = _path_complaint(path)
        self._trusted: set[Path] = set()  # folders
        self._can_write: bool | None = None  # not known before the first attempt

    def trusts(self, name: str) -> bool:
        """Whether nobody but the user or root could have put a file there, as far as the folders tell."""
        complaint = self._complaint
        if complaint is None:
            folders = [self.path / folder for folder in Path(name).parents]
            complaint = next(filter(None, map(self._folder_complaint, reversed(folders))), None)
        if complaint is not None:
            _warn(complaint)
        return complaint is None

    def _folder_complaint(self, folder: Path) -> str | None:
        if folder in self._trusted:
            return None
        try:
            complaint = _complaint(folder, os.stat(folder) if folder == self.path else os.lstat(folder))
        except OSError:
            return None  # not there yet
        if complaint is None:
            self._trusted.add(folder)
        return complaint

    def can_write(self) -> bool:
        if self._can_write is None:
            self._can_write = self._complaint is None
            try:
                if self._can_write:
                    self._prepare()
            except OSError as error:
                self.give_up(error)
        if self._complaint is not None:
            _warn(self._complaint)
        return self._can_write

    def _prepare(self) -> None:
        """Make the folder for what is being written, and sweep away what killed processes left there."""
        folder = self.path / UNFINISHED
        _make_folders(folder)
        self._complaint = _path_complaint(self.path) or _complaint(folder, os.lstat(folder))
        self._can_write = self._complaint is None
        if self._can_write and not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        for entry in os.scandir(folder) if self._can_write else ():
            with contextlib.suppress(OSError):  # another process sweeps, too
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_BEHIND:
                    os.unlink(entry.path)

    def give_up(self, error: OSError) -> None:
        """Write no more in this process."""
        self._can_write = False
        _warn(f"nothing can be written to {self.path}: {error} (set JITNET_CACHE_DIR to a folder of your own)")


def _open_privately(path, flags) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)  # whatever the umask
    return descriptor


def _make_folders(folder: Path) -> None:
    """Make a folder, and those above it, for the user alone."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folders(folder.parent)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if not folder.is_dir():  # else another process made it
            raise
    else:
        os.chmod(folder, 0o700)  # whatever the umask


# ---- whom to trust


def _path_complaint(root: Path) -> str | None:
    """Who else can exchange the cache directory, or a folder or link on the way to it."""
    if _WINDOWS:
        return None
    resolved = Path(os.path.realpath(root))
    for path in (root,) if resolved == root else (root, resolved):
        for folder in (*reversed(path.parents), path):
            try:
                status = os.lstat(folder)
            except FileNotFoundError:
                break  # not there yet
            except OSError as error:
                return f"{folder}: {error.strerror} (set JITNET_CACHE_DIR to a folder of your own)"
            if complaint := _complaint(folder, status, above=folder != resolved):
                return complaint
    return None


def _complaint(path: Path, status: os.stat_result, above: bool = False) -> str | None:
    """Why a file or folder can't be trusted; above: whether it is above the cache directory."""
    if _WINDOWS:
        return None
    if status.st_uid not in {0, os.geteuid(), *(_unknown_owners() if above else ())}:
        return f"{path} belongs to user {status.st_uid} (set JITNET_CACHE_DIR to a folder of your own)"
    if stat.S_ISLNK(status.st_mode):  # whose mode says nothing
        return None if above else f"{path} is a link (remove it)"
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if above and status.st_mode & stat.S_ISVTX:
        return None  # as in /tmp, others can't exchange what isn't theirs
    if above and others == stat.S_IWGRP and _is_private_group(status.st_gid):
        return None
    if others:
        return f"{path} can be written by others (chmod go-w {path}, or set JITNET_CACHE_DIR to a folder of your own)"
    return None


@functools.cache
def _is_private_group(group: int) -> bool:
    """Whether a group is the user's own, as several Linux distributions give everybody one."""
    import grp
    import pwd

    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return group == user.pw_gid and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}


@functools.cache
def _unknown_owners() -> set[int]:
    """In a user namespace without a root (a sandbox), root is seen as the number of all users that are unknown."""
    try:
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if any(int(first) == 0 for first, *_ in ranges):
            return set()
        return {int(Path("/proc/sys/fs/overflowuid").read_text())}
    except (OSError, ValueError):
        return set()
