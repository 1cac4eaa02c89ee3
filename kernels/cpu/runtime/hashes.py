"""Hashes of the sources that compiled code is made of.

So that they are complete, a module of kernels imports only from ``jitnet.kernels.scalar`` and its neighbours listed in
``_SHARED``; those in ``fast`` also from the generator of tiles.
"""

import functools
import hashlib
import sys
from importlib.metadata import version
from pathlib import Path

from .generated import module_name
from .vectors import vector_target

_FOLDER = Path(__file__).parent.parent  # of the kernels
_SHARED = (
    "runtime/arrays.py", "runtime/dispatchers.py", "runtime/exceptions.py", "runtime/jit.py", "runtime/lazily.py",
    "runtime/machine_code.py", "runtime/parallel.py", "runtime/pool.py", "runtime/rows.py", "runtime/vector_math.py",
    "runtime/windows.py", "elementwise.py", "../compiler/calls.py", "../compiler/emitter.py",
    "../compiler/intrinsics.py", "../compiler/sections.py",
)  # fmt: skip


@functools.cache
def _shared_hash():
    """Hash of what every module of kernels may import, and of Numba's version."""
    digest = hashlib.sha256(version("numba").encode())
    for path in [*(_FOLDER / name for name in _SHARED), *sorted((_FOLDER.parent / "scalar").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest


@functools.cache
def versions_hash() -> bytes:
    """Hash of what compiles a function that isn't jitnet's."""
    digest = _shared_hash().copy()
    digest.update(f"python {sys.version} numpy {version('numpy')}".encode())
    return digest.digest()


@functools.cache
def source_hash(module_file: str) -> str:
    """Hash of a module of kernels and of all that its compiled code depends on."""
    digest = _shared_hash().copy()
    # a generated module has no file: its name is a hash of its source
    digest.update(module_file.encode() if module_file.startswith("<") else Path(module_file).read_bytes())
    if Path(module_file).parent.name == "fast":  # what calls the generator's tiles
        digest.update(module_name(vector_target().name).encode())
    return digest.hexdigest()[:16]


def module_hash(module: str) -> str:
    """``source_hash`` of a module of ``jitnet.kernels.cpu``, by its name below it."""
    return source_hash(str(_FOLDER / f"{module.replace('.', '/')}.py"))
