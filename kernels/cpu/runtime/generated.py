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
import weakref
from collections import OrderedDict
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


KEPT = 200  # modules of specialised kernels that stay when no step uses them any more: some 20 MiB
_loading = across_forks(threading.RLock())
_used = weakref.WeakValueDictionary()  # modules of specialised kernels by name, as long as anything holds them
_kept: OrderedDict[str, types.ModuleType] = OrderedDict()  # those that were asked for last
_called: dict[str, types.ModuleType] = {}  # those whose kernels were given out: they can be called for ever


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


class _Weak(types.ModuleType):
    """Stands for a module in ``sys.modules`` without keeping it alive (a proxy of weakref's has no hash)."""

    def __init__(self, module: types.ModuleType):
        super().__init__(module.__name__)
        del self.__doc__, self.__loader__, self.__package__, self.__spec__  # the module's own count
        self.__dict__["__getattr__"] = functools.partial(_attribute, weakref.ref(module))


def _attribute(module: weakref.ref, name: str):
    return getattr(module(), name)


def end_with_last_use(module) -> None:
    """Let ``sys.modules``, where Numba looks, not keep a generated module alive; its machine code ends with it."""
    name, file, contents, weak = module.__name__, module.__file__, module.__dict__, _Weak(module)

    def forget():
        if sys.modules.get(name) is weak:
            del sys.modules[name]
            linecache.cache.pop(file, None)
        compiler = sys.modules.get(f"{__package__}.jit")
        if compiler is not None:
            compiler.forget_functions(contents)

    sys.modules[name] = weak
    weakref.finalize(module, forget).atexit = False


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
    """The module of kernels with this ``source``: the same one for the same source, while it lives.

    It lives as long as anything holds it, and as it is one of the ``KEPT`` that were asked for last.
    """
    name = module_name(source)
    with _loading:  # not by two threads
        module = _used.get(name)
        if module is None:
            module = _used[name] = generated_module(name, source)
            end_with_last_use(module)
        _kept[name] = module
        _kept.move_to_end(name)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return module


def living_module(name: str) -> types.ModuleType | None:
    """The module of specialised kernels of this name, to be held; None for any other module."""
    return _used.get(name)


class GeneratedKernel:
    """A kernel that is written for one purpose: its ``name``, and the ``source`` of the module that holds it.

    The fields of subclasses are written into the source: numbers, names, and tuples of them.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_part(getattr(self, field.name))

    def kernel(self):
        """The compiled kernel (compiled or loaded from the cache on its first call)."""
        module = specialised_module(self.source)
        _called[module.__name__] = module
        return getattr(module, self.name)
