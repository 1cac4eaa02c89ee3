"""The memory that steps use: weights packed into flat storage, constants, and a workspace per thread."""

import numpy as np

from .parameters import aligned, padded_elements


def aligned_zeros(count: int, dtype) -> np.ndarray:
    """A 1-D array of zeros that starts on a cache line."""
    dtype = np.dtype(dtype)
    raw = np.zeros(count * dtype.itemsize + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + count * dtype.itemsize].view(dtype)


def pack(variables) -> None:
    """Move variables that have no flat storage yet into one: trainable ones together, the others together.

    Variables that another model packed stay where they are, so that models can share layers, and that steps which
    other threads are running keep their memory.  No other thread may pack meanwhile.
    """
    for trainable in (True, False):
        group = [v for v in variables if v.storage is None and v.trainable == trainable]
        for dtype in sorted({v.dtype for v in group}):
            members = [v for v in group if v.dtype == dtype]
            storage = aligned_zeros(sum(map(padded_elements, members)), dtype)
            offset = 0
            for variable in members:
                variable.move(storage, offset)
                offset += padded_elements(variable)


class Workspace:
    """The memory that a step computes in: between two runs nothing in it counts but the last run's gradients.

    A step has as many as threads have run it at once.  A run takes one and gives it back, so that threads share the
    step and never its memory; taking and giving back are single operations on a list, and need no lock.

    arena, gradients, chunk_gradients: what the step's arguments of these names are; enough for ``capacity`` samples.
    bound: arguments that don't change from run to run, by what they depend on.
    """

    def __init__(self):
        self.capacity = 0
        self.arena = self.gradients = self.chunk_gradients = None
        self.bound: dict = {}

    def reserve(self, step, batch: int) -> None:
        """Have room for ``batch`` samples."""
        if batch > self.capacity:
            self.arena = aligned_zeros(step.schedule.arena_bytes(batch), np.uint8)
            self.capacity = batch
            self.bound = {}
            if step.trainable:
                dtype = step.layout.dtype
                self.gradients = aligned_zeros(step.layout.size, dtype)
                chunks = step.schedule.chunks(batch)
                flat = aligned_zeros(chunks * step.schedule.flat.partial_size, dtype)
                self.chunk_gradients = flat.reshape(chunks, step.schedule.flat.partial_size)


def pack_constants(constants):
    """All constants in one byte array, and where each lies."""
    offsets, size = {}, 0
    for constant in constants:
        offsets[constant] = size
        size += aligned(constant.array.nbytes)
    packed = aligned_zeros(max(size, 64), np.uint8)
    for constant, offset in offsets.items():
        raw = constant.array.reshape(-1).view(np.uint8)
        packed[offset : offset + raw.size] = raw
    return packed, offsets
