"""What jitnet keeps in its cache directory, which ``kernels.cpu.runtime.cache`` writes: to look at, and to clear."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from jitnet.kernels.cpu.runtime.cache import UNFINISHED, cache_directory, read

_HASH = "[0-9a-f]{%d}"
# of what jitnet writes: kind -> patterns of files, as paths below the cache directory.  What has another name,
# downloaded datasets among it, is not in here and is never removed.
_LAYOUT = {
    "compiled kernels and steps": [rf"objects/\w+-{_HASH % 16}\.(o|numbers|cubin)"],
    "kernels by Numba": [rf"kernels/(?!step_|jitnet_step_|k_)\w+-{_HASH % 16}/[^/]+\.nbc"],
    "generated kernels by Numba": [rf"kernels/k_{_HASH % 24}-{_HASH % 16}/[^/]+\.nbc"],
    "steps by Numba": [rf"kernels/(jitnet_)?step_{_HASH % 20}-{_HASH % 16}/[^/]+\.nbc"],
    "reasons for Numba": [rf"fallbacks/{_HASH % 16}\.txt"],
    "files of killed processes": [rf"{UNFINISHED}/\w+\.tmp"],
    "files of earlier versions": [
        rf"kernels/\w+-{_HASH % 16}/[^/]+\.(nbi|\d+\.\d+)",
        rf"simd/(__pycache__/)?(k_{_HASH % 24}\.[^/]+|\w+\.tmp)",
        rf"steps/(__pycache__/)?(step_{_HASH % 20}\.[^/]+|\w+\.tmp)",
    ],
}


def cached_files() -> dict[str, list[Path]]:
    """The files of compiled code in the cache directory, by kind; every kind is there."""
    found = {kind: [] for kind in _LAYOUT}
    root = cache_directory()
    for top in ("objects", "kernels", "fallbacks", UNFINISHED, "simd", "steps"):
        for path in _files(root / top):
            name = path.relative_to(root).as_posix()
            for kind, patterns in _LAYOUT.items():
                if any(re.fullmatch(pattern, name) for pattern in patterns):
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


def fallbacks() -> list[str]:
    """Why Numba has compiled kernels of ours or their callers instead of jitnet's own compiler."""
    root = cache_directory()
    names = [path.relative_to(root).as_posix() for path in cached_files()["reasons for Numba"]]
    return [reason.decode() for reason in map(read, names) if reason is not None]


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
