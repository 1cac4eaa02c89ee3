"""What the instructions of ``kernels/cuda/ptx.py`` do, for the emulator."""

import numpy as np
from cuda_emulator import EmulationError, emulation, exchange
from greenlet import getcurrent

_WARP = 32


def _aligned(array, index) -> int:
    """The number of an element, which starts 16 bytes that are aligned."""
    position = array.position(index)
    if (array.offset + position * array.dtype.itemsize) % 16:
        raise EmulationError(f"{array.place(position)} is not aligned to 16 bytes")
    return position


@emulation("load_quad")
def load_quad(array, at):
    _aligned(array, at)
    return tuple(array[at + i] for i in range(4))
