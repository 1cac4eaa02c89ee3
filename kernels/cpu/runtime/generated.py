"""Modules of generated source: kernels written for one purpose, and steps.

Imports neither Numba nor the generator of tiles, so that a kernel can be chosen without them.
"""

import dataclasses
import functools
import hashlib
import linecache
import sys
import threading
import types
from pathlib import Path

import llvmlite

from ... import literals
from ...locks import across_forks
from . import processor


@functools.cache
def _generator_hash() -> bytes:
    """Hash of what turns a specialised module into machine code: Numba does not notice that an import changed."""
    from importlib.metadata import version

    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent.parent / "tiles").glob("*.py")):
        digest.update(path.read_bytes())
    digest.update(f"numba {version('numba')} llvmlite {llvmlite.__version__}".encode())
    digest.update(processor.name().encode())
    digest.update(processor.feature_text().encode())
    return digest.digest()


def module_name(source: str) -> str:
    """The name of the module with this ``source``: a hash of all that its compiled code depends on."""
    return "k_" + hashlib.sha256(_generator_hash() + source.encode()).hexdigest()[:24]


_loading = across_forks(threading.RLock())


def generated_module(name: str, source: str) -> types.ModuleType:
    """A new module of this ``source`` in ``sys.modules``, made in memory: no file, which could hold something else.

    Tracebacks and debuggers show its lines; its file is called ``<name>``.  The name is a hash of all that the
    compiled code depends on, so that the code is found in the cache.
    """
    file = f"<{name}>"
    module = types.ModuleType(name)
    module.__file__ = file
    code = compile(source, file, "exec", dont_inherit=True)
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[name], linecache.cache[file]
        raise
    return module


def _check_part(value) -> None:
    """Raise unless ``value`` can be part of a source as it is."""
    if type(value) is tuple:
        for part in value:
            _check_part(part)
    elif isinstance(value, str):
        literals.name(value)
    elif value is not None and not dataclasses.is_dataclass(value):
        literals.literal(value)


def source_of(name: str) -> str | None:
    """The source of a generated module by its name; None for any other module."""
    entry = linecache.cache.get(f"<{name}>")
    return "".join(entry[2]) if entry else None


def specialised_module(source: str) -> types.ModuleType:
    """The module of kernels with this ``source``: the same one for the same source."""
    name = module_name(source)
    with _loading:  # not by two threads
        return sys.modules.get(name) or generated_module(name, source)


class GeneratedKernel:
    """A kernel that is written for one purpose: its ``name``, and the ``source`` of the module that holds it.

    The fields of subclasses are written into the source: numbers, names, and tuples of them.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_part(getattr(self, field.name))

    def kernel(self):
        """The compiled kernel (compiled or loaded from the cache on its first call)."""
        return getattr(specialised_module(self.source), self.name)
