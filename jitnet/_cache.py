"""Where jitnet keeps files of its own for a user: compiled kernels, generated steps, downloaded data."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path


def cache_directory() -> Path:
    """The per-user cache directory: ``JITNET_CACHE_DIR`` if set, else the platform's usual place."""
    chosen = os.environ.get("JITNET_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jitnet"


_HASH = "[0-9a-f]{%d}"
# of what jitnet writes: kind -> (pattern of the folder below the cache directory, pattern of the file).  What has
# another name, downloaded datasets among it, is not in here and is never removed.
_TEMPORARY = r"\w+\.tmp"
_OVERLOAD = r"\.(nbc|\d+\.\d+)"  # the latter while it is written
_LAYOUT = {
    "compiled kernels": (rf"kernels/(?!step_|k_)\w+-{_HASH % 16}", rf".+{_OVERLOAD}"),
    "compiled generated kernels": (rf"kernels/k_{_HASH % 24}-{_HASH % 16}", rf".+{_OVERLOAD}"),
    "compiled steps": (rf"kernels/step_{_HASH % 20}-{_HASH % 16}", rf".+{_OVERLOAD}"),
    "Numba indexes": (rf"kernels/\w+-{_HASH % 16}", r".+\.nbi"),
    "sources of generated kernels": ("simd(/__pycache__)?", rf"k_{_HASH % 24}\..+|{_TEMPORARY}"),
    "sources of steps": ("steps(/__pycache__)?", rf"step_{_HASH % 20}\..+|{_TEMPORARY}"),
}


def cached_files() -> dict[str, list[Path]]:
    """The compiled code and generated sources in the cache directory, by kind; every kind is there."""
    found = {kind: [] for kind in _LAYOUT}
    root = cache_directory()
    for top in ("kernels", "simd", "steps"):
        for path in _files(root / top):
            folder, name = path.parent.relative_to(root).as_posix(), path.name
            for kind, (folder_pattern, name_pattern) in _LAYOUT.items():
                if re.fullmatch(folder_pattern, folder) and re.fullmatch(name_pattern, name):
                    found[kind].append(path)
                    break
    return found


def _files(folder: Path) -> Iterator[Path]:
    """The regular files below ``folder``; a symbolic link, be it ``folder`` itself, is not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path)
        elif path.is_file() and not path.is_symlink():
            yield path


def clear_cache() -> dict[str, tuple[int, int]]:
    """Remove what ``cached_files`` finds, and the folders that this leaves empty.

    Returns {kind: (files removed, their bytes)}.  A process that is running goes on: it has loaded what it needs, and
    what it compiles later is written anew.
    """
    removed, folders = {}, set()
    for kind, paths in cached_files().items():
        size = total_bytes(paths)
        for path in paths:
            path.unlink(missing_ok=True)
            folders |= {path.parent, path.parent.parent} - {cache_directory()}
        removed[kind] = (len(paths), size)
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
    return removed


def total_bytes(paths: list[Path]) -> int:
    """The sizes of files together; one that another process has just removed has none."""
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
