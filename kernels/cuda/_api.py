"""How CUDA kernels are written, compiled, launched and given memory: the only file that imports numba.cuda.

A public function of this folder is plain Python on the host.  It launches kernels over arrays of the backend in force,
a ``Device`` or, in tests, an emulator::

    @kernel
    def _scale(values, factor):
        times = real(factor[0])
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            values[i] *= times

    def scale(values, factor):
        launch(_scale, *over(values.size), values.reshape(-1), factor)

In the bodies of kernels and device functions ``cuda`` stands for numba.cuda, and ``real`` (of ``kernels.scalar``) for
the type of the launch's first floating-point array.  They may call each other, functions of ``kernels.scalar``, and
``math``.  Nothing is compiled before its first launch, so importing this folder needs no numba-cuda.

What may change from one replay of a recorded step to the next is an array of one element in the device's memory: a
parameter that is a float (float64), or is named seed, step or t (int64 or uint64).  All other parameters, shapes and
strides and flags, are Python's ints, bools and tuples of ints, and are recorded with the launch.
"""

import contextlib
import functools
import logging
import threading
import types
from collections.abc import Callable

import numpy as np

from ._bodies import Function, Intrinsic, Kernel, cuda, is_scalar_function, rebuilt
from ._bodies import function as function
from ._bodies import kernel as kernel
from ._errors import CudaError
from ._machine_code import Code, Loaded, Unkeyed, file_name

WARP = 32
THREADS = 256  # of a block whose threads need nothing of each other
_MOST_BLOCKS = 2048  # then every thread does several elements: about what fills the largest devices

_force = threading.local()
_log = logging.getLogger(__name__)


# ---- launches, on the host


PRECISIONS = ("highest", "high", "medium")


@contextlib.contextmanager
def using(backend, stream=None, precision="highest"):
    """Within it, this thread's launches and workspaces are those of ``backend``, in order of ``stream``.

    A backend has the methods of ``Device``.  precision: of products of float32: "highest" multiplies float32, "high"
    TF32 and "medium" bfloat16 on tensor cores, where the backend has them.
    """
    if precision not in PRECISIONS:
        raise CudaError(f"precision must be one of {PRECISIONS}. Received: precision={precision!r}")
    before = getattr(_force, "backend", None), getattr(_force, "stream", None), getattr(_force, "precision", None)
    _force.backend, _force.stream = backend, stream
    _force.precision = precision if backend.tensor_cores else "highest"
    try:
        yield backend
    finally:
        _force.backend, _force.stream, _force.precision = before


def precision() -> str:
    """That of products in force; see ``using``."""
    return getattr(_force, "precision", None) or "highest"


def _in_force():
    backend = getattr(_force, "backend", None)
    if backend is None:
        raise CudaError("Kernels for CUDA run on a device: call them within using(Device(number)).")
    return backend


def launch(kernel: Kernel, grid, block, *arguments) -> None:
    """Run a kernel over a grid of blocks of threads; a grid without a block does nothing.

    grid, block: a number or up to three of them.
    """
    backend = _in_force()
    grid, block = _three(grid), _three(block)
    if 0 not in grid:
        backend.launch(kernel, grid, block, arguments, _force.stream)


def workspace(elements: int, dtype):
    """Uninitialised memory, (elements,), for the phases of a public function, which may ask once."""
    return _in_force().workspace(elements, np.dtype(dtype), _force.stream)


def is_aligned(array) -> bool:
    """Whether the memory of an array of float32 starts at a multiple of 16 bytes, so that quads of it are vectors."""
    return array.dtype == np.float32 and _in_force().address(array) % 16 == 0


def over(elements: int, threads: int = THREADS) -> tuple[int, int]:
    """Grid and block of a kernel whose threads step through ``elements`` by ``cuda.gridsize(1)``."""
    return min(ceil_div(elements, threads), _MOST_BLOCKS), min(threads, whole_warps(elements))


def over_rows(rows: int, columns: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block of a kernel whose threads step through columns by x and through rows by y."""
    width = min(THREADS, power_of_two(columns))
    height = min(THREADS // width, power_of_two(rows))
    blocks = min(ceil_div(columns, width), _MOST_BLOCKS)
    return (blocks, min(ceil_div(rows, height), ceil_div(_MOST_BLOCKS, max(1, blocks)))), (width, height)


def row_block(elements: int, threads: int = THREADS) -> int:
    """Threads of a block that works along a row of so many elements: whole warps, at most ``threads``."""
    return min(threads, whole_warps(elements))


def whole_warps(threads: int) -> int:
    """``threads`` rounded up to whole warps, at least one."""
    return WARP * max(1, ceil_div(threads, WARP))


def power_of_two(number: int) -> int:
    """The smallest power of two that is no less than ``number``."""
    return 1 << max(0, number - 1).bit_length()


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def _three(sizes) -> tuple[int, int, int]:
    sizes = tuple(sizes) if isinstance(sizes, tuple | list) else (sizes,)
    return sizes + (1,) * (3 - len(sizes))


# ---- types of arguments


def types_of(arguments) -> tuple:
    """For each argument (dtype, dimensions) of an array, "bool", "int64", or as many of them as a tuple has."""
    return tuple(map(_type_of, arguments))


def _type_of(argument):
    if isinstance(argument, tuple):
        return tuple(map(_type_of, argument))
    if isinstance(argument, bool | np.bool_):
        return "bool"
    if isinstance(argument, int | np.integer):
        return "int64"
    if hasattr(argument, "dtype") and hasattr(argument, "shape") and not isinstance(argument, np.generic):
        return np.dtype(argument.dtype).name, len(argument.shape)
    raise CudaError(
        "A launch takes arrays of the device, ints, bools and tuples of them; floats are arrays of one element. "
        f"Received: {argument!r}"
    )


def real_of(kinds: tuple):
    """What ``real`` is in a kernel launched with arguments of these types: that of the first floating-point array."""
    floats = (kind[0] for kind in kinds if isinstance(kind, tuple) and kind and str(kind[0]).startswith("float"))
    return np.dtype(next(floats, "float32")).type


# ---- numba-cuda


@functools.cache
def numba_cuda():
    """The module numba.cuda.

    Raises:
        CudaError: numba-cuda is not installed, or does not know the NumPy that is.
    """
    install = "pip install 'jitnet[cuda13]'"
    try:
        import numba.cuda as module
    except ImportError as error:
        raise CudaError(f"CUDA needs the package numba-cuda: {install}. Received: {error}") from error
    found = getattr(module, "implementation", "Numba's own")
    if found != "NVIDIA":
        raise CudaError(
            f"CUDA needs the package numba-cuda, and Numba's own module doesn't do: {install}. "
            f"Received: implementation={found!r}"
        )
    try:
        import numba.cuda.np.arrayobj  # noqa: F401 (what kernels are compiled with)
    except AttributeError as error:
        raise CudaError(
            f"This numba-cuda does not know this NumPy: {install} brings those that fit. "
            f"Received: NumPy {np.__version__}, {error}"
        ) from error
    return module


# no fast-math flag: NVVM takes any of them for leave to flush denormal numbers and to divide approximately
_OPTIONS = {"fastmath": False}


@contextlib.contextmanager
def _plain_indices():
    """Meanwhile numba.cuda compiles indices as they are.

    A negative one would count from the end, as in Python.  No kernel has any, of which the emulator makes sure, and
    looking for them costs more than the access: three instructions of 64 bits each, and loops that are not unrolled.
    """
    module = numba_cuda()
    from numba.cuda.np import arrayobj

    def as_it_is(context, builder, kind, index, size):
        return context.cast(builder, index, kind, module.types.intp if kind.signed else module.types.uintp)

    with _replaced(arrayobj, "fix_integer_index", as_it_is):
        yield


def _without_text():
    """Meanwhile numba.cuda has no PTX to look at.

    It compiles a kernel to PTX besides machine code, a fifth of the time, to see whether it reshapes arrays: no kernel
    does, and one that did would not link.
    """
    from numba.cuda.codegen import CUDACodeLibrary

    return _replaced(CUDACodeLibrary, "get_asm_str", lambda library, cc=None: "")


@contextlib.contextmanager
def _replaced(owner, name: str, value):
    """Meanwhile a name of numba.cuda's means something else, to this thread's compilations alone."""
    from numba.cuda.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        before = getattr(owner, name)
        setattr(owner, name, value)
        try:
            yield
        finally:
            setattr(owner, name, before)


@functools.cache
def _compiled(thing, real):
    """The dispatcher of a Kernel, a Function or a function of ``kernels.scalar``; real: the type of its literals."""
    module = numba_cuda()
    body = getattr(thing, "function", thing)
    real = getattr(thing, "real", None) or real
    return module.jit(device=not isinstance(thing, Kernel), **_OPTIONS)(_numba_body(body, real))


def _numba_body(body, real):
    module = numba_cuda()

    def substitute(name, value):
        if value is cuda:
            return module
        if name == "real":
            return getattr(module.types, np.dtype(real).name)
        if isinstance(value, Function) or is_scalar_function(value):
            return _compiled(value, real)
        return value.define() if isinstance(value, Intrinsic) else value

    return rebuilt(body, substitute)


def _compiled_code(kernel: Kernel, kinds: tuple) -> Code:
    """The machine code of a kernel for the current device, by numba-cuda."""
    dispatcher = _compiled(kernel, real_of(kinds))
    from numba.cuda.dispatcher import _Kernel  # what the dispatcher itself makes, and loads at once

    with _plain_indices(), _without_text():
        made = _Kernel(dispatcher.py_func, tuple(map(_numba_type, kinds)), **dispatcher.targetoptions)
    return Code(made.entry_name, bytes(made.library.get_cubin().code))


def _numba_type(kind):
    module = numba_cuda()
    if isinstance(kind, str):
        return module.types.boolean if kind == "bool" else module.types.int64
    if kind and isinstance(kind[-1], int):
        return module.types.Array(getattr(module.types, "boolean" if kind[0] == "bool" else kind[0]), kind[1], "C")
    return module.types.Tuple([_numba_type(part) for part in kind])


def compile_ptx(kernel: Kernel, kinds: tuple, compute_capability: tuple[int, int]) -> str:
    """The PTX of a kernel for arguments of the types ``kinds`` (see ``types_of``), without a device or a driver."""
    module = numba_cuda()
    import numba.cuda.dispatcher as dispatcher

    body = _numba_body(kernel.function, real_of(kinds))
    signature = module.types.void(*map(_numba_type, kinds))
    # device functions ask the current device for what they are compiled
    before = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=compute_capability)
    try:
        with _plain_indices():
            return module.compile_ptx(body, signature, cc=compute_capability, device=False, **_OPTIONS)[0]
    finally:
        dispatcher.get_current_device = before


class Device:
    """A CUDA device: memory and launches.  Arrays are numba.cuda's, C-contiguous.

    store: where compiled kernels are kept: ``read(name)`` gives bytes that were written under that name, or None;
    ``write(name, bytes)`` keeps them.
    """

    def __init__(self, number: int = 0, store=None):
        self._cuda = module = numba_cuda()
        if not module.is_available():
            problem = " ".join(str(module.cuda_error() or "no device was found").split())
            raise CudaError(
                "CUDA needs an NVIDIA GPU and its driver (`nvidia-smi` shows both), no older than numba-cuda's CUDA: "
                f"jitnet[cuda12] takes older drivers than jitnet[cuda13]. Received: {problem}"
            )
        if number >= len(module.gpus):
            raise CudaError(f"There are {len(module.gpus)} CUDA devices, counted from 0. Received: cuda:{number}")
        self.number = number
        self.tensor_cores = self._current().compute_capability >= (8, 0)  # that know TF32 and bfloat16
        self._spaces = {}  # {stream: bytes for workspaces}
        self._store = store
        self._loaded: dict[tuple, Loaded] = {}  # {(kernel, types of arguments): its machine code}
        self._loading = threading.RLock()

    def _current(self):
        return self._cuda.gpus[self.number]

    @property
    def description(self) -> str:
        """The device in words."""
        device = self._current()
        with device:
            name = device.name.decode() if isinstance(device.name, bytes) else device.name
            free, total = self._cuda.current_context().get_memory_info()
        major, minor = device.compute_capability
        memory = f"{free >> 20:,} of {total >> 20:,} MiB free"
        return f"cuda:{self.number}, {name}, compute capability {major}.{minor}, {memory}"

    def empty(self, shape, dtype):
        """An uninitialised array.

        Raises:
            CudaError: there is too little memory.
        """
        with self._current():
            try:
                return self._cuda.device_array(shape, dtype)
            except self._cuda.cudadrv.driver.CudaAPIError as error:
                free, total = self._cuda.current_context().get_memory_info()
                wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
                raise CudaError(
                    f"The device has too little memory: {wanted >> 20:,} MiB more are needed, and {free >> 20:,} of "
                    f"{total >> 20:,} MiB are free. Take smaller batches, or a smaller model. Received: {error}"
                ) from error

    def view(self, array, offset: int, shape, dtype):
        """An array of ``shape`` over the memory of a flat uint8 ``array``, from byte ``offset``."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return array[offset : offset + size].view(dtype).reshape(shape)

    def address(self, array) -> int:
        """Where the memory of an array starts, in bytes."""
        return array.__cuda_array_interface__["data"][0]

    def free_memory(self) -> int:
        """Bytes that nothing has taken."""
        with self._current():
            return self._cuda.current_context().get_memory_info()[0]

    def pinned(self, shape, dtype):
        """An uninitialised array of the host that copies read while the host goes on."""
        with self._current():
            return self._cuda.pinned_array(shape, dtype)

    def event(self):
        """A place in a stream: ``record(stream)``, ``wait(stream)`` for it in another, or ``synchronize()``."""
        with self._current():
            return self._cuda.event(timing=False)

    def adopt(self, array):
        """The same memory: ``array`` has a ``__cuda_array_interface__``, and is kept alive."""
        with self._current():
            return self._cuda.as_cuda_array(array, sync=False)

    def to_device(self, array, stream=None):
        """A copy of a NumPy array."""
        array = np.asarray(array, order="C")
        with self._current():  # flat, for numba.cuda looks at strides of axes of one element, too
            return self._cuda.to_device(array.reshape(-1), stream=stream or 0).reshape(array.shape)

    def to_host(self, array, stream=None):
        """A copy as a NumPy array, when all work of the stream before is done."""
        with self._current():
            host = array.copy_to_host(stream=stream or 0)
            self.synchronize(stream)
            return host

    def copy(self, target, source, stream=None) -> None:
        """target = source; both on the device, or the source a NumPy array."""
        with self._current():
            target.copy_to_device(source, stream=stream or 0)

    def memset(self, array, byte: int, stream=None) -> None:
        """Set every byte of an array."""
        with self._current():
            if array.size:
                self._cuda.cudadrv.driver.device_memset(array, byte, array.nbytes, stream or 0)

    def synchronize(self, stream=None) -> None:
        """Wait until all work of the stream is done."""
        with self._current():
            stream.synchronize() if stream else self._cuda.synchronize()

    def workspace(self, elements: int, dtype, stream=None):
        """The same memory for all who ask in the order of a stream; it grows, but never while a graph is recorded."""
        size = elements * dtype.itemsize
        if stream not in self._spaces or self._spaces[stream].size < size:
            self._spaces[stream] = self.empty(max(size, 1 << 20), np.uint8)
        return self.view(self._spaces[stream], 0, (elements,), dtype)

    def launch(self, kernel: Kernel, grid, block, arguments, stream=None) -> None:
        """Run a kernel; while ``record`` prepares, only load it."""
        kinds = types_of(arguments)
        with self._current():
            loaded = self._loaded.get((kernel, kinds)) or self._load(kernel, kinds)
            if not getattr(_force, "loads", False):
                loaded.launch(grid, block, stream, arguments)

    def _load(self, kernel: Kernel, kinds: tuple) -> Loaded:
        with self._loading:
            if (kernel, kinds) not in self._loaded:
                self._loaded[kernel, kinds] = Loaded(self._code(kernel, kinds), self._cuda.current_context())
            return self._loaded[kernel, kinds]

    def _code(self, kernel: Kernel, kinds: tuple) -> Code:
        """The machine code of a kernel out of the store, which otherwise gets it."""
        if self._store is None:
            return _compiled_code(kernel, kinds)
        try:
            name = file_name(kernel, kinds, real_of(kinds), self._current().compute_capability, _OPTIONS)
        except Unkeyed as why:
            _log.debug("the machine code of %r is not kept: %s", kernel, why)
            return _compiled_code(kernel, kinds)
        content = self._store.read(name)
        if content is not None:
            return Code.decoded(content)
        made = _compiled_code(kernel, kinds)
        self._store.write(name, made.encoded())
        return made

    def new_stream(self):
        """A stream of its own."""
        with self._current():
            return self._cuda.stream()

    def record(self, launches: Callable, stream) -> Callable:
        """A function that enqueues on the stream what ``launches()`` does, by one call of the driver.

        It keeps the workspace of the stream; arrays that ``launches`` is given are kept by who has it.
        """
        from ._graphs import Graph

        _force.loads = True  # nothing may be loaded or allocated while a graph is recorded
        try:
            launches()
        finally:
            _force.loads = False
        with self._current(), self._cuda.defer_cleanup():  # nor freed, as garbage may be at any time
            # its workspace is replaced when others ask for more
            return Graph(stream, launches, self._spaces.get(stream)).replay
