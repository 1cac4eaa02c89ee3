"""What the instructions of ``kernels/cuda/ptx.py`` do, for the emulator."""

import functools

import numpy as np
from cuda_emulator import EmulationError, emulation, exchange
from greenlet import getcurrent


def _aligned(array, index, elements=4) -> int:
    """The number of an element, from which on so many elements are aligned."""
    position = array.position(index)
    size = elements * array.dtype.itemsize
    if (array.offset + position * array.dtype.itemsize) % size:
        raise EmulationError(f"{array.place(position)} is not aligned to {size} bytes")
    return position


def _load(count, array, at):
    _aligned(array, at, count)
    if isinstance(at, tuple):
        return tuple(array[*at[:-1], at[-1] + i] for i in range(count))
    return tuple(array[at + i] for i in range(count))


def _store(count, array, at, values):
    _aligned(array, at, count)
    for i, value in enumerate(values):
        array[at + i] = value


for _count, _name in ((2, "pair"), (4, "quad")):
    emulation(f"load_{_name}")(functools.partial(_load, _count))
    emulation(f"store_{_name}")(functools.partial(_store, _count))


@emulation("worked_out")
def worked_out(number):
    return number


# ---- copies that arrive later


@emulation("copy_async")
def copy_async(tile, index, source, at, inside):
    position = _aligned(tile, index)
    if inside:
        _aligned(source, at)
    values = [source[at + i] if inside else source.dtype.type(0) for i in range(4)]
    for i in range(4):  # from here on the copy may arrive
        tile._write(position + i)
        tile.flat[position + i] = np.nan
    getcurrent().__dict__.setdefault("copies", []).append((tile, position, values))


@emulation("end_step_of_copies")
def end_step_of_copies():
    state = getcurrent().__dict__
    state.setdefault("steps", []).append(state.pop("copies", []))


def _await_copies_but(count):
    steps = getcurrent().__dict__.get("steps", [])
    while len(steps) > count:
        for tile, position, values in steps.pop(0):
            for i, value in enumerate(values):
                tile._write(position + i)
                tile.flat[position + i] = value


emulation("await_copies_but_one_step")(functools.partial(_await_copies_but, 1))


# ---- matrices in shared memory


def _words(tile, position, count=4):
    """Words of 32 bits from an element on."""
    for i in range(count):
        tile._read(position + i)
    return tile.flat[position : position + count].view(np.uint32)


@emulation("load_matrices")
def load_matrices(tile, index):
    rows = exchange(_aligned(tile, index))
    row, t = getcurrent().lane // 4, getcurrent().lane % 4
    return tuple(_words(tile, rows[8 * j + row] + t, 1)[0] for j in range(4))


# ---- numbers of fewer digits, and products of fragments


def _bits(value) -> int:
    return int(value.view(np.uint32))


@emulation("to_tf32")
def to_tf32(value):
    """So that it is rounded when its last 13 bits are cut off."""
    number = np.uint32(_bits(value)).view(np.float32)
    return np.float32(np.float64(number) * (1 + 3 * 2.0**-13)).view(np.uint32)


def _bf16(value) -> int:
    """To nearest, ties to even."""
    bits = _bits(value)
    return 0x7FFF if np.isnan(value) else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


@emulation("pack_bf16")
def pack_bf16(low, high):
    return np.uint32(_bf16(high) << 16 | _bf16(low))


def _tf32_numbers(words):
    """Elements (t, t + 4) of the words of the four lanes of a row: in order of k."""
    return (np.array([w[0] for w in words] + [w[1] for w in words], np.uint32) & 0xFFFFE000).view(np.float32)


def _bf16_numbers(words):
    """Elements (2t, 2t + 1), (2t + 8, 2t + 9)."""
    words = [int(w[0]) for w in words] + [int(w[1]) for w in words]
    halves = [half for word in words for half in (word << 16 & 0xFFFF0000, word & 0xFFFF0000)]
    return np.array(halves, np.uint32).view(np.float32)


def _multiply(numbers):
    def multiply(c, a, b):
        lanes = exchange((a, b))
        if len(lanes) != 32:
            raise EmulationError("fragments are multiplied by whole warps")
        g, t = getcurrent().lane // 4, getcurrent().lane % 4
        rows = [
            numbers([(lanes[4 * g + i][0][half], lanes[4 * g + i][0][half + 2]) for i in range(4)]) for half in (0, 1)
        ]
        columns = [numbers([lanes[4 * (2 * t + e) + i][1] for i in range(4)]) for e in (0, 1)]
        products = [
            float(c[2 * i + j]) + rows[i].astype(float) @ columns[j].astype(float) for i in (0, 1) for j in (0, 1)
        ]
        return tuple(map(np.float32, products))

    return multiply


emulation("multiply_tf32")(_multiply(_tf32_numbers))
emulation("multiply_bf16")(_multiply(_bf16_numbers))
