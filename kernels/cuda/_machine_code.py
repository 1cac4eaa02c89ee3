"""Machine code of kernels: what decides it, the file that keeps it from one process to the next, and its launch."""

import functools
import hashlib
import importlib.metadata
import json
import os
import sys
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ._bodies import Function, Intrinsic, cuda, is_scalar_function, names_of
from ._errors import CudaError

_LONGEST_NAME = 80  # of a kernel in the name of a file
_PLAIN = bool, int, float, str, bytes, type(None), type(...)


class Code(NamedTuple):
    """What is loaded: a cubin, and the name by which it has the kernel."""

    entry: str
    cubin: bytes

    def encoded(self) -> bytes:
        """As bytes: the length of what is said in JSON, that, and the cubin."""
        head = json.dumps({"entry": self.entry}).encode()
        return len(head).to_bytes(4, "little") + head + self.cubin

    @classmethod
    def decoded(cls, content: bytes) -> "Code":
        end = 4 + int.from_bytes(content[:4], "little")
        return cls(json.loads(content[4:end])["entry"], content[end:])


# ---- what decides the machine code


class Unkeyed(Exception):
    """A body reads what can't be told from one process to the next: its machine code is not kept."""


def file_name(kernel, kinds: tuple, real, capability: tuple[int, int], options: dict) -> str:
    """Under which name a store has the machine code of a kernel.

    As in those of the CPU's kernels, one hash is of what is compiled, the other of what it is compiled for and by.

    kinds: the types of its arguments; real: that of its literals; capability: the device's, (major, minor); options:
    those of the compiler.

    Raises:
        Unkeyed: the kernel reads something of which no name can be made.
    """
    what = _hash((_function_told(kernel.function, real, {}), kinds), 24)
    by = _hash((capability, sorted(options.items()), _compilers(), _settings()), 16)
    return f"objects/{kernel.name[:_LONGEST_NAME]}_{what}-{by}.cubin"


def _hash(told, digits: int) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()[:digits]


def _function_told(function, real, seen: dict):
    """The code of a function and all that it reads, as tuples of texts.  seen: {(function, real): which it was}."""
    if (function, real) in seen:
        return "again", seen[function, real]
    seen[function, real] = len(seen)
    code, scope = function.__code__, function.__globals__
    read = [(name, scope[name]) for name in sorted(names_of(code) & scope.keys())]
    read += zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True)
    values = [(name, "the type" if name == "real" else _value_told(value, real, seen)) for name, value in read]
    return "function", real.__name__, _code_told(code), _constant_told(function.__defaults__), values


def _value_told(value, real, seen):
    if value is cuda:
        return "cuda"
    if isinstance(value, Function):
        return _function_told(value.function, value.real or real, seen)
    if is_scalar_function(value):
        return _function_told(value, real, seen)
    if isinstance(value, Intrinsic):
        define = value.define.__wrapped__
        cells = [_constant_told(cell.cell_contents) for cell in define.__closure__ or ()]
        return "instruction", value.name, cells, _file_hash(define.__code__.co_filename)
    return _constant_told(value)


def _constant_told(value):
    if type(value) in _PLAIN:
        return type(value).__name__, repr(value)
    if type(value) is tuple:
        return "tuple", [_constant_told(part) for part in value]
    if isinstance(value, np.generic | np.ndarray) and not value.dtype.hasobject:
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, types.CodeType):
        return _code_told(value)
    if isinstance(value, types.ModuleType) and value.__name__ in ("math", "numpy"):
        return "module", value.__name__
    if isinstance(value, type | types.BuiltinFunctionType) and value.__module__ in ("builtins", "math", "numpy"):
        return "builtin", value.__module__, value.__qualname__
    raise Unkeyed(f"it reads {value!r}")


def _code_told(code):
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount, code.co_flags
    constants = [_constant_told(constant) for constant in code.co_consts]
    return "code", code.co_name, code.co_code, names, constants, getattr(code, "co_exceptiontable", b"")


@functools.cache
def _file_hash(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise Unkeyed(f"the source of an instruction is not there: {error}") from None


@functools.cache
def _compilers():
    """All that makes machine code of bytecode: this folder's share, Python, and the versions of others."""
    own = [_file_hash(str(Path(__file__).with_name(name))) for name in ("_api.py", "_bodies.py", "_machine_code.py")]
    packages = "numba-cuda", "numba", "llvmlite", "numpy", "cuda-core", "cuda-bindings"
    try:
        versions = [importlib.metadata.version(name) for name in packages]
    except importlib.metadata.PackageNotFoundError as error:
        raise Unkeyed(f"there is no version: {error}") from None
    return own, sys.implementation.cache_tag, sys.version_info[:3], versions, list(map(_library_told, _LIBRARIES))


_LIBRARIES = "nvvm", "nvJitLink"  # of the CUDA toolkit: to PTX, and from there to a cubin


def _library_told(name: str):
    """Which file numba-cuda compiles with; its version would not tell one patch from another."""
    from cuda import pathfinder

    try:
        path = pathfinder.load_nvidia_dynamic_lib(name).abs_path
        status = os.stat(path)
    except (RuntimeError, OSError, TypeError) as error:  # not found, or nobody says where
        raise Unkeyed(f"the toolkit's {name} is not found: {error}") from None
    return os.path.basename(path), status.st_size, status.st_mtime_ns


def _settings():
    """Numba's environment variables, of which some change what it makes."""
    others = "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"
    return sorted((name, value) for name, value in os.environ.items() if name[:6] == "NUMBA_" and name not in others)


# ---- launches


class Loaded:
    """The machine code of a kernel on a device, whose context is the current one of numba.cuda."""

    def __init__(self, code: Code, context):
        from cuda.core import ObjectCode

        module = context.create_module_image(ObjectCode.from_cubin(code.cubin))  # which the context keeps
        self._kernel = module.get_function(code.entry).kernel

    def launch(self, grid, block, stream, arguments) -> None:
        """Enqueue it.  stream: numba.cuda's, or None for the default one."""
        from cuda.core import LaunchConfig, Stream, launch

        # shared memory of a size that only the host knows would be LaunchConfig's shmem_size, in bytes
        configuration = LaunchConfig(grid=grid, block=block)
        stream = Stream.from_handle(int(stream.handle) if stream else 0)
        launch(stream, configuration, self._kernel, *_flat(arguments))


def _flat(arguments) -> list:
    """The parameters as numba-cuda's kernels have them; ints are of 64 bits, bools of one byte."""
    flat = []
    for argument in arguments:
        if isinstance(argument, tuple):
            flat += _flat(argument)
        elif isinstance(argument, bool | np.bool_):
            flat.append(bool(argument))
        elif isinstance(argument, int | np.integer):
            flat.append(int(argument))
        else:
            flat += _array(argument)
    return flat


def _array(array) -> tuple:
    """An array: nobody counts its uses or owns it, its size, its elements' size, where it is, its shape and strides."""
    shape, itemsize = array.shape, array.dtype.itemsize
    strides, step = [], itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= length
    strides.reverse()
    if any(a != b and n > 1 for a, b, n in zip(array.strides, strides, shape, strict=True)) and array.size:
        raise CudaError(
            f"Kernels take C-contiguous arrays. Received: shape={shape}, strides={array.strides}, dtype={array.dtype}"
        )
    pointer = array.__cuda_array_interface__["data"][0]
    return 0, 0, array.size, itemsize, pointer, *shape, *strides
