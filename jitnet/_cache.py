"""Where jitnet keeps files of its own for a user: compiled kernels, generated steps, downloaded data."""

import os
import sys
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
