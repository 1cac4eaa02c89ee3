"""Memory of the CPU: arrays that start on a cache line, and a workspace per thread that runs a step."""

import numpy as np

from ...core.storage import ALIGNMENT
from .schedule import Schedule


def aligned_zeros(count: int, dtype) -> np.ndarray:
    """A 1-D array of zeros that starts on a cache line."""
    dtype = np.dtype(dtype)
    raw = np.zeros(count * dtype.itemsize + ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % ALIGNMENT
    return raw[offset : offset + count * dtype.itemsize].view(dtype)


class Workspace:
    """The memory that a step computes in: between two runs nothing in it counts but the last run's gradients.

    A step has as many as threads have run it at once.  A run takes one and gives it back, so that threads share the
    step and never its memory; taking and giving back are single operations on a list, and need no lock.

    arena, gradients, chunk_gradients: what the step's arguments of these names are; enough for ``capacity`` samples.
    bound: arguments that don't change from run to run, by what they depend on.
    """

    def __init__(self):
        self.capacity = -1
        self.arena = self.gradients = self.chunk_gradients = None
        self.bound: dict = {}

    def reserve(self, schedule: Schedule, batch: int) -> None:
        """Have room for ``batch`` samples."""
        if batch > self.capacity:
            self.arena = aligned_zeros(schedule.arena_bytes(batch), np.uint8)
            self.capacity = batch
            self.bound = {}
            if schedule.layout.offsets:
                dtype = schedule.layout.dtype
                self.gradients = aligned_zeros(schedule.layout.size, dtype)
                chunks = schedule.chunks(batch)
                flat = aligned_zeros(chunks * schedule.flat.partial_size, dtype)
                self.chunk_gradients = flat.reshape(chunks, schedule.flat.partial_size)
