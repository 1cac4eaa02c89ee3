"""Files of a C library: header, object file, and a shared library where there is a C compiler to link it."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..core.errors import invalid
from . import atomic

_SHARED = {"darwin": "lib{}.dylib", "win32": "{}.dll"}
_NOT_LINKED = "Header and object file are written, but no shared library: the C compiler"
_COMPILERS = ("cc", "gcc", "clang")
_BEGINNING = b"/* Written by jitnet "  # of a header


def check_target(path) -> tuple[Path, str]:
    """The folder of the files, and what their names and the functions' begin with; neither is made yet.

    Raises:
        ValueError: that is no name in C, or ``path`` has a suffix.  OSError: a header of another origin lies there.
    """
    folder, name = Path(path).parent, Path(path).name
    if not (name.isascii() and name.isidentifier()):
        raise invalid(
            "export expects a path without a suffix, whose last part can begin names in C (ASCII letters, digits and "
            'underscores), such as "build/digits", which gives digits.h, digits.o and digits_predict.',
            filepath=os.fspath(path),
        )  # fmt: skip
    if not atomic.begins(folder / f"{name}.h", _BEGINNING):
        header = folder / f"{name}.h"
        raise FileExistsError(f"export would replace {header}, which jitnet has not written: take another name.")
    return folder, name


def write(folder: Path, name: str, header: str, code: bytes) -> list[str]:
    """Write the files; their paths.

    Raises:
        OSError: without room or rights, or if the compiler fails to link; header and object file are there then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.h", folder / f"{name}.o"]
    for file, content in zip(files, (header.encode("ascii"), code), strict=True):
        atomic.write(os.fspath(file), content)
    compiler = _compiler()
    if compiler is not None:
        file = folder / _SHARED.get(sys.platform, "lib{}.so").format(name)
        atomic.write(os.fspath(file), _linked(compiler, files[1], file.name))
        files.append(file)
    return [os.fspath(file) for file in files]


def _compiler() -> list[str] | None:
    """The command of the C compiler: what the environment variable ``CC`` says, or the first that there is."""
    given = shlex.split(os.environ.get("CC", ""))
    if given:
        return given
    found = next(filter(None, map(shutil.which, _COMPILERS)), None)
    return found and [found]


def _linked(compiler: list[str], code: Path, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        command = [*compiler, "-shared", "-o", os.fspath(file), os.fspath(code.absolute()), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        except OSError as error:
            reason = error.strerror or error
            raise OSError(f"{_NOT_LINKED} {command[0]!r} can't be run: {reason}. Set CC to another.") from None
        if done.returncode:
            raise OSError(f"{_NOT_LINKED} {shlex.join(command)} failed:\n{done.stderr.strip()}")
        return file.read_bytes()
