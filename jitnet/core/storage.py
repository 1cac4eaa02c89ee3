"""Variables in flat memory: so an update passes over all of them at once, whatever the machine."""

from dataclasses import dataclass, field

import numpy as np

from .values import ITEMSIZE, Changes

ALIGNMENT = 64  # bytes: where a variable may start; a cache line, and the widest vector of a CPU


def aligned(size: int) -> int:
    """``size`` in bytes as whole units of ``ALIGNMENT``."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def padded_elements(variable) -> int:
    """Elements that a variable takes in flat storage."""
    return aligned(variable.size * ITEMSIZE[variable.dtype]) // ITEMSIZE[variable.dtype]


def pack(variables, zeros) -> None:
    """Move variables that have no flat storage yet into one: trainable ones together, the others together.

    Variables that another model packed stay where they are, so that models can share layers, and that steps which
    other threads are running keep their memory.  No other thread may pack meanwhile.

    zeros: the target's memory, as ``zeros(count, dtype)``.
    """
    for trainable in (True, False):
        group = [v for v in variables if v.storage is None and v.trainable == trainable]
        for dtype in sorted({v.dtype for v in group}):
            members = [v for v in group if v.dtype == dtype]
            storage, changes = zeros(sum(map(padded_elements, members)), dtype), Changes()
            offset = 0
            for variable in members:
                variable.move(storage, offset, changes)
                offset += padded_elements(variable)


def pack_constants(constants, zeros):
    """All constants in one byte array, and where each lies."""
    offsets, size = {}, 0
    for constant in constants:
        offsets[constant] = size
        size += aligned(constant.array.nbytes)
    packed = zeros(max(size, ALIGNMENT), np.uint8)
    for constant, offset in offsets.items():
        raw = constant.array.reshape(-1).view(np.uint8)
        packed[offset : offset + raw.size] = raw
    return packed, offsets


@dataclass
class Layout:
    """Where the trainable variables lie: runs of neighbours in one storage, and their place in the flat gradient."""

    runs: list[tuple]  # (storage name, first element in the storage, first element in the gradient, length)
    offsets: dict  # variable -> first element in the gradient
    size: int
    dtype: str = "float32"
    storage_names: dict = field(default_factory=dict)  # {id of any variable's storage: its name}

    def part(self, flat: np.ndarray, variable) -> np.ndarray:
        """What belongs to ``variable`` in an array of this layout."""
        start = self.offsets[variable]
        return flat[start : start + variable.size].reshape(variable.shape)


def gradient_layout(variables, storage_names: dict) -> Layout:
    """Runs of ``variables`` (trainable, all packed) that are neighbours in their storage."""
    ordered = sorted(variables, key=lambda v: (list(storage_names).index(id(v.storage)), v.storage_offset))
    runs, offsets, size = [], {}, 0
    for variable in ordered:
        length = padded_elements(variable)
        name = storage_names[id(variable.storage)]
        if runs and runs[-1][0] == name and runs[-1][1] + runs[-1][3] == variable.storage_offset:
            runs[-1] = (*runs[-1][:3], runs[-1][3] + length)
        else:
            runs.append((name, variable.storage_offset, size, length))
        offsets[variable] = size
        size += length
    return Layout(runs, offsets, size, ordered[0].dtype if ordered else "float32", storage_names)
