"""CUDA in Python: a backend of ``kernels.cuda._api`` that runs kernels one thread after the other, and watches them.

Every thread of a block is a greenlet that runs until its next barrier; blocks and threads come in an order drawn from a
seed.  What is right on a device only by luck is an ``EmulationError`` here:

- two threads touch one element, and one of them writes, without a barrier between them (a race), in shared memory as
  well as in global memory, where nothing orders threads of different blocks;
- shared, local or global memory is read that nothing has written;
- an index is negative or too large;
- threads of a block wait at different barriers, or some have ended; a warp's exchange that not all its lanes reach;
- a kernel is given host memory, or the host touches the elements of device memory.

Types are those of NumPy: float32 stays float32 beside a Python number, which a compiler would make float64; so the
types of the arithmetic are the compiler's tests' business.
"""

import contextvars
import functools
import itertools
import math
import random
import sys
import types

import numpy as np
from greenlet import getcurrent, greenlet

from jitnet.kernels.cuda import _api

_FULL_MASK = 0xFFFFFFFF
_GARBAGE = 0xA5  # of memory that nothing has written
_SHARED_MEMORY = 48 << 10  # bytes of a block, of arrays whose sizes are known when they are compiled
_HERE = __file__


class EmulationError(AssertionError):
    """A kernel did what has no defined result on a device."""


# ---- memory


class Memory:
    """Bytes of a device, and which of them were written."""

    def __init__(self, size: int):
        self.bytes = np.full(size, _GARBAGE, np.uint8)
        self.written = np.zeros(size, np.bool_)


class Array:
    """A C-contiguous array of the device, as the host sees it: its elements are out of reach."""

    def __init__(self, memory: Memory, offset: int, shape, dtype):
        self.memory, self.offset = memory, offset
        self.shape, self.dtype = tuple(map(int, np.atleast_1d(shape))) if shape != () else (), np.dtype(dtype)
        self.size, self.ndim = math.prod(self.shape), len(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    @property
    def array(self):
        return self

    @property
    def __cuda_array_interface__(self) -> dict:
        """Of addresses that no one can read, but for ``Emulator.adopt``."""
        data = self.offset + (1 << 20), False
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "strides": None, "version": 3}

    def reshape(self, *shape):
        shape = shape[0] if isinstance(shape[0], tuple | list) else shape
        if -1 in shape:
            rest = -math.prod(shape)
            shape = tuple(self.size // max(rest, 1) if length == -1 else length for length in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"{self.shape} can't be reshaped to {shape}")
        return Array(self.memory, self.offset, shape, self.dtype)

    @property
    def values(self) -> np.ndarray:
        """The elements, for whoever plays the device."""
        return self.memory.bytes[self._bytes].view(self.dtype).reshape(self.shape)

    @property
    def _bytes(self):
        return slice(self.offset, self.offset + self.nbytes)

    def fill(self, values) -> None:
        self.values[...] = values
        self.memory.written[self._bytes] = True

    def __getitem__(self, *_, **__):
        raise EmulationError("the host reads an element of the device's memory")

    __setitem__ = __array__ = __iter__ = __len__ = __bool__ = __getitem__


class _Accesses:
    """Who read and wrote each element of some memory, as far as it may race with who comes next."""

    def __init__(self):
        self.writes = {}  # {element: (stamp, line)} of the last write
        self.reads = {}  # {element: stamp} of the last read, or what stands for several

    def read(self, key, array, position):
        stamp = getcurrent().stamp
        write = self.writes.get(key)
        if write is not None and write[0] is not stamp and not _ordered(write[0], stamp):
            raise _race(array, position, f"is read, and was written in line {write[1]}")
        last = self.reads.get(key)
        if last is not stamp:
            self.reads[key] = stamp if last is None or _ordered(last, stamp) else _several(last, stamp)

    def write(self, key, array, position):
        stamp = getcurrent().stamp
        write = self.writes.get(key)
        if write is not None and write[0] is not stamp and not _ordered(write[0], stamp):
            raise _race(array, position, f"is written, and was written in line {write[1]}")
        read = self.reads.pop(key, None)
        if read is not None and read is not stamp and not _ordered(read, stamp):
            raise _race(array, position, "is written, and was read by another thread")
        self.writes[key] = stamp, _line()


def _race(array, position, what):
    return EmulationError(f"race: {array.place(position)} {what} without a barrier between")


# a stamp is (thread, warp, block, barriers of the block so far, barriers of the warp so far); None: several of them


def _ordered(earlier, later) -> bool:
    """Whether what had the stamp ``earlier`` is over when a thread with the stamp ``later`` comes."""
    if earlier[0] == later[0] or earlier[2] != later[2]:
        return earlier[0] == later[0]
    return earlier[3] != later[3] or (earlier[1] == later[1] and earlier[4] != later[4])


def _several(one, other):
    """The stamp of reads by two threads."""
    return (None, *(a if a == b else None for a, b in zip(one[1:], other[1:], strict=True)))


def _line() -> int:
    """The line of the kernel that is running."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename == _HERE:
        frame = frame.f_back
    return frame.f_lineno


def _position(index, shape, what):
    """The number of an element; bounds are checked."""
    if type(index) is int and len(shape) == 1 and 0 <= index < shape[0]:
        return index
    if type(index) is not tuple:
        index = (index,)
    if len(index) != len(shape):
        raise EmulationError(f"{what} of {len(shape)} dimensions has an index of {len(index)}")
    position = 0
    for number, length in zip(index, shape, strict=True):
        if not 0 <= number < length:
            raise EmulationError(f"index {tuple(map(int, index))} is outside of {what} of shape {shape}")
        position = position * length + int(number)
    return position


class _Elements:
    """An array as kernels see it; offset: of its first byte, from where memory is aligned."""

    what, offset = "an array", 0

    def __init__(self, values, shape):
        self.flat, self.shape, self.dtype = values.reshape(-1), shape, values.dtype
        self.size, self.ndim = values.size, len(shape)
        self.positions = {}  # {index: number of the element}, as far as asked

    def place(self, position) -> str:
        index = tuple(map(int, np.unravel_index(position, self.shape)))
        return f"element {index} of {self.what} of shape {self.shape}"

    def __iter__(self):
        raise EmulationError("arrays of a device are read by index")

    def __getitem__(self, index):
        position = self.positions.get(index)
        if position is None:
            position = self.position(index)
        self._read(position)
        return self.flat[position]

    def __setitem__(self, index, value):
        position = self.positions.get(index)
        if position is None:
            position = self.position(index)
        self._write(position)
        self.flat[position] = value

    def position(self, index) -> int:
        """The number of an element; bounds are checked."""
        position = self.positions[index] = _position(index, self.shape, self.what)
        return position


class _Global(_Elements):
    what = "a global array"

    def __init__(self, array: Array, accesses: dict):
        super().__init__(array.values, array.shape)
        self.written, self.offset, self.itemsize = array.memory.written, array.offset, array.dtype.itemsize
        self.accesses = accesses.setdefault(id(array.memory), _Accesses())

    def is_written(self, position):
        return self.written[self.offset + position * self.itemsize]

    def _read(self, position):
        byte = self.offset + position * self.itemsize
        if not self.written[byte]:
            raise EmulationError(f"{self.place(position)} is read, and was never written")
        self.accesses.read(byte, self, position)

    def _write(self, position):
        byte = self.offset + position * self.itemsize
        self.accesses.write(byte, self, position)
        if not self.written[byte]:
            self.written[byte : byte + self.itemsize] = True


class _Shared(_Elements):
    what = "a shared array"

    def __init__(self, shape, dtype):
        super().__init__(np.zeros(shape, dtype), np.empty(shape, np.bool_).shape)
        self.accesses = _Accesses()

    def is_written(self, position):
        return position in self.accesses.writes

    def _read(self, position):
        if not self.is_written(position):
            raise EmulationError(f"{self.place(position)} is read, and was never written")
        self.accesses.read(position, self, position)

    def _write(self, position):
        self.accesses.write(position, self, position)


class _Local(dict):
    """Registers: {index: value} of what was written; a dict, since sums of products read little else."""

    what = "a local array"

    def __init__(self, shape, dtype):
        super().__init__()
        self.shape = np.empty(shape, np.bool_).shape
        self.dtype, self.ndim, self.size = dtype, len(self.shape), math.prod(self.shape)
        self.number, self.inside = dtype.type, _indices(self.shape)

    def __setitem__(self, index, value):
        if index not in self.inside:
            raise EmulationError(f"index {index} is outside of {self.what} of shape {self.shape}")
        super().__setitem__(index, value if type(value) is self.number else self.number(value))

    def __missing__(self, index):
        if index not in self.inside:
            raise EmulationError(f"index {index} is outside of {self.what} of shape {self.shape}")
        raise EmulationError(f"element {index} of {self.what} of shape {self.shape} is read, and was never written")

    def __iter__(self):
        raise EmulationError("arrays of a device are read by index")


@functools.cache
def _indices(shape) -> frozenset:
    """All indices of an array: numbers, or tuples of them."""
    return frozenset(range(shape[0]) if len(shape) == 1 else itertools.product(*map(range, shape)))


# ---- what kernels call


class _Dim3:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x, self.y, self.z = x, y, z


class _Thread(greenlet):
    """A thread of a block."""

    def __init__(self, run, number: int, block: "_Block"):
        super().__init__(run)
        self.gr_context = contextvars.copy_context()  # NumPy's errstate
        width, height, _ = block.shape
        self.index = _Dim3(number % width, number // width % height, number // (width * height))
        self.number, self.lane, self.warp, self.block = number, number % _api.WARP, number // _api.WARP, block
        self.barriers = [0, 0]
        self.synchronized()

    def synchronized(self, block=0, warp=0):
        self.barriers[0] += block
        self.barriers[1] += warp
        self.stamp = (self.block.number, self.number), self.warp, self.block.number, *self.barriers


def _wait(kind, payload=None):
    """Stop until the others are there as well; what all of them brought."""
    thread = getcurrent()
    return thread.parent.switch((kind, _line(), payload))


class _Cuda:
    """Stands for numba.cuda in a kernel of one block."""

    warpsize = _api.WARP

    def __init__(self, block: "_Block"):
        self._block = block
        self.gridDim, self.blockDim, self.blockIdx = _Dim3(*block.grid), _Dim3(*block.shape), _Dim3(*block.index)
        self.shared = types.SimpleNamespace(array=block.shared_array)
        self.local = types.SimpleNamespace(array=lambda shape, dtype: _Local(shape, np.dtype(dtype)))
        self.atomic = _Atomic()

    @property
    def threadIdx(self):
        return getcurrent().index

    @property
    def laneid(self):
        return getcurrent().lane

    def grid(self, dimensions):
        thread, block, size = getcurrent().index, self.blockIdx, self.blockDim
        found = block.x * size.x + thread.x, block.y * size.y + thread.y, block.z * size.z + thread.z
        return found[0] if dimensions == 1 else found[:dimensions]

    def gridsize(self, dimensions):
        grid, size = self.gridDim, self.blockDim
        found = grid.x * size.x, grid.y * size.y, grid.z * size.z
        return found[0] if dimensions == 1 else found[:dimensions]

    def syncthreads(self):
        _wait("block")

    def syncthreads_count(self, predicate):
        return sum(map(bool, _wait("block", predicate).values()))

    def syncthreads_or(self, predicate):
        return int(any(_wait("block", predicate).values()))

    def syncthreads_and(self, predicate):
        return int(all(_wait("block", predicate).values()))

    def syncwarp(self, mask=_FULL_MASK):
        _wait("warp", (mask, None))

    def threadfence(self):
        """All is written at once here."""

    threadfence_block = threadfence

    def shfl_sync(self, mask, value, lane):
        return exchange(value, mask)[lane % _api.WARP]

    def shfl_down_sync(self, mask, value, delta):
        lane = getcurrent().lane
        return exchange(value, mask)[lane + delta if lane + delta < _api.WARP else lane]

    def shfl_up_sync(self, mask, value, delta):
        lane = getcurrent().lane
        return exchange(value, mask)[lane - delta if lane >= delta else lane]

    def shfl_xor_sync(self, mask, value, bits):
        return exchange(value, mask)[getcurrent().lane ^ bits]

    def ballot_sync(self, mask, predicate):
        return sum(1 << lane for lane, value in exchange(predicate, mask).items() if value)

    def any_sync(self, mask, predicate):
        return any(exchange(predicate, mask).values())

    def all_sync(self, mask, predicate):
        return all(exchange(predicate, mask).values())

    def fma(self, a, b, c):
        return type(a)(np.longdouble(a) * np.longdouble(b) + np.longdouble(c))

    def popc(self, value):
        return int(value).bit_count()

    def ffs(self, value):
        return (int(value) & -int(value)).bit_length()

    def clz(self, value):
        return 8 * np.dtype(type(value)).itemsize - int(value).bit_length()


def exchange(value, mask=_FULL_MASK) -> dict:
    """What all lanes of a warp bring: {lane: value}.  Emulations of a warp's instructions are written with it."""
    return {lane: brought for lane, (_, brought) in _wait("warp", (mask, value)).items()}


class _Atomic:
    """Of integers: floats would be summed in no fixed order."""

    def add(self, array, index, value):
        return self._change(array, index, lambda before: before + value)

    def exch(self, array, index, value):
        return self._change(array, index, lambda before: value)

    def _change(self, array, index, change):
        position = _position(index, array.shape, array.what)
        if array.dtype.kind == "f":
            raise EmulationError("atomic operations on floats have no fixed order")
        if not array.is_written(position):
            raise EmulationError(f"{array.place(position)} is changed, and was never written")
        before = array.flat[position]
        array.flat[position] = change(before)
        return before


def _float_function(function):
    """A function of floats that gives its first argument's type, and infinities and NaN where C does."""

    def evaluate(*arguments):
        kind = type(arguments[0]) if isinstance(arguments[0], np.floating) else float
        return kind(function(*map(np.float64, arguments)))

    return evaluate


_NUMPY = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")
_NUMPY += ("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh", "hypot", "pow", "copysign", "fabs", "fmod")
_MATH = types.SimpleNamespace(
    **{name: _float_function(getattr(np, name)) for name in _NUMPY},
    **{name: _float_function(getattr(math, name)) for name in ("erf", "erfc")},
    **{name: getattr(math, name) for name in ("pi", "e", "inf", "nan")},
    floor=math.floor,
    ceil=math.ceil,
    isnan=np.isnan,
    isinf=np.isinf,
    isfinite=np.isfinite,
)

_EMULATIONS = {}


def emulation(name: str):
    """Decorator of the Python function that does what the ``_api.Intrinsic`` of this name does."""
    return lambda function: _EMULATIONS.setdefault(name, function)


# ---- the backend


class _Event:
    """Everything is done at once."""

    def record(self, stream):
        pass

    wait = record

    def synchronize(self):
        pass


class Emulator:
    """A device in Python; seed: of the order of blocks and threads.

    launched: {(kernel, types of its arguments): threads of its largest block}
    """

    tensor_cores = True
    number = 0
    free = 1 << 40  # bytes

    def __init__(self, seed: int = 0):
        self.random = random.Random(seed)
        self.launched = {}

    def empty(self, shape, dtype) -> Array:
        array = Array(Memory(0), 0, shape, dtype)
        array.memory = Memory(array.nbytes)
        return array

    def view(self, array: Array, offset: int, shape, dtype) -> Array:
        return Array(array.memory, array.offset + offset, shape, dtype)

    def address(self, array: Array) -> int:
        return array.offset

    def free_memory(self) -> int:
        return self.free

    def pinned(self, shape, dtype) -> np.ndarray:
        return np.zeros(shape, dtype)

    def event(self):
        return _Event()

    def adopt(self, array) -> Array:
        """``array.owner.array`` from where the pointer of ``array`` says on: of the emulated memory."""
        whole = array.owner.array
        offset = whole.offset + array.pointer - array.owner.__cuda_array_interface__["data"][0]
        return Array(whole.memory, offset, array.shape, array.dtype)

    def to_device(self, array, stream=None) -> Array:
        array = np.asarray(array)
        found = self.empty(array.shape, array.dtype)
        found.fill(array)
        return found

    def to_host(self, array: Array, stream=None) -> np.ndarray:
        return array.values.copy()

    def copy(self, target: Array, source, stream=None) -> None:
        if not isinstance(source, Array):
            target.fill(source)
            return
        target.values[...] = source.values
        target.memory.written[target._bytes] = source.memory.written[source._bytes]

    def memset(self, array: Array, byte: int, stream=None) -> None:
        array.reshape(-1).values.view(np.uint8)[:] = byte
        array.memory.written[array._bytes] = True

    def synchronize(self, stream=None) -> None:
        """Everything is done at once."""

    def new_stream(self):
        """Work is done when it is asked for."""

    def record(self, launches, stream):
        return launches

    def workspace(self, elements: int, dtype, stream=None) -> Array:
        return self.empty((elements,), dtype)

    def launch(self, kernel, grid, block, arguments, stream=None) -> None:
        kinds = _api.types_of(arguments)
        self.launched[kernel, kinds] = max(self.launched.get((kernel, kinds), 0), math.prod(block))
        if math.prod(block) > 1024 or 0 in block:
            raise EmulationError(f"{kernel!r}: a block has 1 to 1024 threads. Received: {block}")
        accesses = {}
        given = [self._given(kernel, argument, accesses) for argument in arguments]
        order = [(x, y, z) for x in range(grid[0]) for y in range(grid[1]) for z in range(grid[2])]
        self.random.shuffle(order)
        for number, index in enumerate(order):
            try:
                with np.errstate(all="ignore"):
                    _Block(number, index, grid, block).run(kernel, _api.real_of(kinds), given, self.random)
            except EmulationError as error:
                raise EmulationError(f"{kernel!r}, block {index}: {error}") from None

    def _given(self, kernel, argument, accesses):
        if isinstance(argument, Array):
            return _Global(argument, accesses)
        if hasattr(argument, "__array_interface__") and not np.isscalar(argument):
            raise EmulationError(f"{kernel!r} was given an array of the host")
        return argument


class _Block:
    def __init__(self, number: int, index, grid, shape):
        self.number, self.index, self.grid, self.shape = number, index, grid, shape
        self._shared = {}

    def shared_array(self, shape, dtype, alignment=None):
        frame = sys._getframe(1)
        # the place in the code: one line may make several; a device function may be compiled for several types
        place = frame.f_code, frame.f_lasti, shape, np.dtype(dtype)
        if place not in self._shared:
            self._shared[place] = _Shared(shape, np.dtype(dtype))
            size = sum(array.flat.nbytes for array in self._shared.values())
            if size > _SHARED_MEMORY:
                raise EmulationError(f"a block has {_SHARED_MEMORY} bytes of shared memory. Received: {size}")
        return self._shared[place]

    def run(self, kernel, real, arguments, random) -> None:
        body = _emulated(kernel.function, _Cuda(self), real, {})
        threads = [_Thread(body, number, self) for number in range(math.prod(self.shape))]
        waiting, results = {}, {thread: arguments for thread in threads}
        while results:
            order = list(results)
            random.shuffle(order)
            for thread in order:
                given = results[thread]
                try:
                    wait = thread.switch(*given)
                except EmulationError as error:
                    place = thread.index.x, thread.index.y, thread.index.z
                    raise EmulationError(f"thread {place}, line {_kernel_line(error)}: {error}") from None
                waiting.pop(thread, None)
                if not thread.dead:
                    waiting[thread] = wait
            results = self._met_in_warps(threads, waiting) or self._met_in_block(threads, waiting)

    def _met_in_warps(self, threads, waiting) -> dict:
        """The threads of warps whose exchange is complete, with what they get."""
        warps = {}
        for thread, (kind, line, payload) in waiting.items():
            if kind == "warp":
                warps.setdefault((thread.warp, line, payload[0]), {})[thread.lane] = thread
        results = {}
        for (_, _, mask), lanes in warps.items():
            if sum(1 << lane for lane in lanes) == mask:
                brought = {lane: waiting[thread][2] for lane, thread in lanes.items()}
                for thread in lanes.values():
                    thread.synchronized(warp=1)
                    results[thread] = (brought,)
        return results

    def _met_in_block(self, threads, waiting) -> dict:
        """All threads, if all wait for each other; nothing if all have ended."""
        if not waiting:
            return {}
        places = sorted({(kind, line) for kind, line, _ in waiting.values()})
        if len(places) > 1 or places[0][0] == "warp":
            raise EmulationError(f"threads wait for each other at different barriers, (kind, line): {places}")
        if len(waiting) < len(threads):
            ended = len(threads) - len(waiting)
            raise EmulationError(f"{ended} of {len(threads)} threads never come to the barrier in line {places[0][1]}")
        brought = {thread.number: wait[2] for thread, wait in waiting.items()}
        for thread in waiting:
            thread.synchronized(block=1)
        return {thread: (brought,) for thread in threads}


def _kernel_line(error) -> int:
    """The line of the kernel in which an error was raised."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != _HERE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _emulated(function, fake, real, made: dict):
    """A copy of a kernel or a device function that runs in Python."""

    def substitute(name, value):
        if value is _api.cuda:
            return fake
        if name == "real":
            return real
        if value is math:
            return _MATH
        if isinstance(value, _api.Intrinsic):
            return _EMULATIONS[value.name]
        if isinstance(value, _api.Function):
            return _emulated(value.function, fake, value.real or real, made)
        return _emulated(value, fake, real, made) if _api.is_scalar_function(value) else value

    key = function, real
    if key not in made:
        made[key] = _api.rebuilt(function, substitute)
    return made[key]
