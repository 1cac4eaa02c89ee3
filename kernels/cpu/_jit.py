"""How a CPU kernel is compiled and cached: the one place that sets Numba's options.

Compiled kernels live in the user's cache directory, in folders named by a hash of the sources that they are made of:
Numba's own cache does not notice that an imported function changed, a new folder does.  So that the hash is complete,
a module of kernels imports only from ``jitnet.kernels.scalar``, this module and its neighbours listed in ``_SHARED``.
"""

import functools
import hashlib
import os
from pathlib import Path

from jitnet.threads import configure_numba

configure_numba()

import numba
from llvmlite import ir
from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.extending import intrinsic, register_jitable

from jitnet._cache import cache_directory

# reassociation and contraction let loops vectorise; NaN and inf keep their meaning (no nnan, no ninf)
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


_SHARED = ("_jit.py", "memory.py", "parallel.py")


@functools.cache
def source_hash(module_file: str) -> str:
    """Hash of a module of kernels, of all that it may import, and of Numba's version."""
    cpu = Path(__file__).parent
    digest = hashlib.sha256(numba.__version__.encode())
    shared = [cpu / name for name in _SHARED] + sorted((cpu.parent / "scalar").glob("*.py"))
    for path in [*shared, Path(module_file)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def module_hash(module: str) -> str:
    """``source_hash`` of a module of this package, by its name."""
    return source_hash(str(Path(__file__).parent / f"{module}.py"))


class _KernelLocator(_CacheLocator):
    """Puts the compiled code of a kernel into ``<user cache>/kernels/<module>-<source hash>/``."""

    def __init__(self, py_func, py_file):
        self._py_file = py_file
        self._line = py_func.__code__.co_firstlineno

    def ensure_cache_path(self):
        os.makedirs(self.get_cache_path(), exist_ok=True)

    def get_cache_path(self):
        return str(cache_directory() / "kernels" / f"{Path(self._py_file).stem}-{source_hash(self._py_file)}")

    def get_source_stamp(self):
        return source_hash(self._py_file)

    def get_disambiguator(self):
        return str(self._line)

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _KernelCacheImpl(CompileResultCacheImpl):
    _locator_classes = (_KernelLocator,)


class _KernelCache(FunctionCache):
    _impl_class = _KernelCacheImpl


def compile_function(function):
    """``function`` under ``@njit`` with jitnet's options and jitnet's disk cache."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def compile_uncached(function):
    """The same without the disk cache, for generated code that calls a user's own functions."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH)(function)


@intrinsic
def kernel_attributes(typingctx):
    """Full-width vectors, and no inlining: a kernel gives the same bits from every caller."""

    def codegen(context, builder, signature, arguments):
        attributes = builder.function.attributes
        attributes.add("noinline")
        set.add(attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


def kernel(function):
    """Decorator of every CPU kernel.  The kernel's first line is ``kernel_attributes()``."""
    return compile_function(function)


def scalar(function):
    """A plain scalar function made callable from kernels."""
    return register_jitable(function)
