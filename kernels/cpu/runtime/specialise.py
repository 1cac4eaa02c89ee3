"""Which vectors this machine has, and modules of kernels written for one purpose.

Imports neither Numba nor the generator, so that a plan can be made without them.
"""

import ctypes
import dataclasses
import functools
import hashlib
import linecache
import os
import platform
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path

import llvmlite
import llvmlite.binding

from jitnet.kernels import literals
from jitnet.kernels.cpu.runtime import processor
from jitnet.kernels.locks import across_forks


@dataclass(frozen=True)
class VectorTarget:
    """Vectors that kernels are generated for: their size in bytes and how many registers hold them."""

    name: str
    bytes: int
    registers: int

    @property
    def hardware_masks(self) -> bool:
        """Whether there are instructions that read or write some of a vector's lanes."""
        return self.bytes > 16

    def lanes(self, dtype: str, count: int | None = None) -> int:
        """Elements in a vector of ``dtype``; no more than ``count`` elements need (a power of two, at least 4)."""
        widest = self.bytes // _ITEMSIZE[dtype]
        if count is None:
            return widest
        return min(widest, max(4, 1 << (count - 1).bit_length()))


_ITEMSIZE = {"float32": 4, "float64": 8}
_TARGETS = {
    target.name: target
    for target in (
        VectorTarget("avx512", 64, 32),
        VectorTarget("avx2", 32, 16),
        VectorTarget("neon", 16, 32),
        VectorTarget("plain", 16, 16),
    )
}


@functools.cache
def _target_of(*settings) -> str:
    if processor.is_arm64():
        return "neon"
    if processor.has("avx512f", "avx512vl"):
        return "avx512"
    if processor.has("avx2", "fma"):
        return "avx2"
    return "neon" if processor.has("neon") else "plain"


def host_has_amx() -> bool:
    """Whether the processor multiplies tiles of bfloat16; the operating system must let a process use them as well."""
    return processor.has("amx-tile", "amx-bf16")


def host_has_avx512_bf16() -> bool:
    """Whether the processor multiplies vectors of bfloat16."""
    return processor.has("avx512bf16", "avx512vl", "avx512bw")


@functools.cache
def system_grants_amx() -> bool:
    """Ask Linux, once for all threads of the process, to let it use tiles: arch_prctl(ARCH_REQ_XCOMP_PERM, 18)."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0


@dataclass(frozen=True)
class BFloat16Target:
    """How products of bfloat16 operands are computed.

    tiles: as AMX's tiles, else as vectors; native: by such instructions, else by ordinary ones, which is slow.
    """

    name: str
    tiles: bool
    native: bool


_BFLOAT16_TARGETS = {
    target.name: target
    for target in (
        BFloat16Target("amx", True, True),
        BFloat16Target("avx512_bf16", False, True),
        BFloat16Target("emulated_amx", True, False),
        BFloat16Target("emulated", False, False),
    )
}


def bfloat16_target() -> BFloat16Target | None:
    """The host's best, or what the environment variable ``JITNET_BFLOAT16`` names; None where there is no hardware.

    amx, avx512_bf16, or for tests emulated_amx and emulated.  Raises ValueError if the variable names no target.
    """
    name = os.environ.get("JITNET_BFLOAT16")
    if name:
        if name not in _BFLOAT16_TARGETS:
            names = ", ".join(_BFLOAT16_TARGETS)
            raise ValueError(f"JITNET_BFLOAT16 must be one of {names}. Received: JITNET_BFLOAT16={name}")
    elif host_has_amx() and host_has_avx512_bf16() and system_grants_amx():
        name = "amx"
    elif host_has_avx512_bf16():
        name = "avx512_bf16"
    target = _BFLOAT16_TARGETS.get(name)
    if target is not None and target.name == "amx":
        system_grants_amx()
    return target


def vector_target() -> VectorTarget:
    """Vectors of the processor that Numba compiles for, or those that the environment variable ``JITNET_SIMD`` names
    (avx512, avx2, neon, plain).

    Raises ValueError if the variable names no target.
    """
    name = os.environ.get("JITNET_SIMD") or _target_of(*processor.settings())
    if name not in _TARGETS:
        raise ValueError(f"JITNET_SIMD must be one of {', '.join(_TARGETS)}. Received: JITNET_SIMD={name}")
    return _TARGETS[name]


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
    """What plans share, which have the ``name`` of a kernel and the ``source`` of the module that holds it.

    Their fields are written into the source: numbers, names, and tuples of them.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_part(getattr(self, field.name))

    def kernel(self):
        """The compiled kernel (compiled or loaded from the cache on its first call)."""
        return getattr(specialised_module(self.source), self.name)
