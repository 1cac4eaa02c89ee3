"""Kernels compiled by ``jitnet.kernels.compiler``, for the processor that Numba would compile for, in the user's cache.

Imports no Numba.
"""

import llvmlite.binding as llvm

from ... import compiler
from ...compiler.machine import Machine
from . import cache, processor


def target() -> Machine:
    """The machine that kernels are compiled for."""
    return Machine(processor.name(), processor.feature_text(), llvm.get_process_triple())


def compile(kernel, types) -> compiler.Callable:
    """A kernel for arguments of these types, loaded from the cache or compiled into it."""
    return compiler.compile(kernel, types, target(), cache)
