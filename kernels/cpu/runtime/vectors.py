"""Which vectors this machine has, and how it multiplies bfloat16.

Imports no Numba, so that a kernel can be chosen without it.
"""

import ctypes
import functools
import os
import platform
import sys
from dataclasses import dataclass

from . import processor


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
