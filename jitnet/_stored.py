"""Data that stay in a file: of memory-mapped arrays, only what the next steps need is read."""

import contextlib

import numpy as np

from ._ahead import made_ahead
from .core.errors import invalid
from .targets.base import data_changes
from .targets.cuda.arrays import DeviceArray

PORTION = 1 << 24  # bytes of data that are read together (a guess); twice as much is held


class StoredArray:
    """Data of a step that lie in a file: samples are read, checked and converted when they are needed.

    array: memory-mapped.
    convert: a function of (rows, their numbers) that returns the rows as a step takes them; it is called with the first
        row for the shape and type.
    first: the number of the array's first row in what the user gave.
    """

    def __init__(self, array: np.memmap, convert, first: int = 0):
        self._array, self._convert, self._first = array, convert, first
        self._rows = array.view(np.ndarray)
        # NumPy's take would copy the whole of any other array first
        self._plain = array.flags.carray or (array.flags.c_contiguous and array.dtype.isnative and array.flags.aligned)
        sample = self.take(np.arange(min(1, len(array))))
        self.shape, self.dtype = (len(array), *sample.shape[1:]), sample.dtype
        self.ndim, self.nbytes = len(self.shape), self.dtype.itemsize * int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, samples: slice) -> "StoredArray":
        """Some neighbouring samples, which are not read yet."""
        begin, _, step = samples.indices(len(self))
        if step != 1:
            raise invalid("Of an array in a file, neighbouring samples can be taken.", step=step)
        return StoredArray(self._array[samples], self._convert, self._first + begin)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """The samples of these numbers, in memory."""
        rows = self._rows.take(numbers, 0) if self._plain else self._rows[numbers]
        return self._convert(rows, numbers + self._first)


def are_stored(arrays: dict) -> bool:
    """Whether some of a step's data lie in files."""
    return any(isinstance(array, StoredArray) for array in arrays.values())


def loaded(array):
    """An array in memory."""
    return array.take(np.arange(len(array))) if isinstance(array, StoredArray) else array


def parts(array):
    """The array, or what is read of it together, one after the other."""
    if not isinstance(array, StoredArray):
        yield array
        return
    size = max(1, PORTION * len(array) // array.nbytes)
    for begin in range(0, len(array), size):
        yield loaded(array[begin : begin + size])


def run(model, step, which, arrays, order, batch_size, results, on_progress=None, on_begin=None) -> int:
    """What ``model._run_batches`` does, with data of which some are in files.

    Those of the next steps are read in a thread meanwhile; the steps are the same as of arrays in memory.
    """
    for name, array in arrays.items():
        if isinstance(array, DeviceArray):
            raise ValueError(
                f"Data in a file go with data on the host: copy {name} there. Received: {name} on a GPU"
            )
    sample = sum(array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in arrays.values())
    size = max(1, PORTION // (sample * batch_size)) * batch_size
    portions = [order[begin : begin + size] for begin in range(0, len(order), size)]

    def load(numbers):
        take = lambda array: array.take(numbers) if isinstance(array, StoredArray) else array[numbers]  # noqa: E731
        return {name: take(array) for name, array in arrays.items()}

    read = map(load, portions) if len(portions) < 2 else made_ahead(load, portions)
    steps, begun, end, stopped = model._steps, 0, 0, False

    def progressed(done, seen):
        nonlocal stopped
        stopped = bool(on_progress(begun + done, end + seen))
        return stopped

    def begins(done):
        on_begin(begun + done)

    with contextlib.ExitStack() as stack:
        stack.enter_context(data_changes())
        if len(portions) > 1:
            stack.callback(read.close)
        for part in read:
            if steps is not model._steps:  # a callback has assigned what needs another step
                steps, other = model._steps, model._step(*which, arrays=part)
                step = other if other.results == step.results else step
            count = len(next(iter(part.values())))
            seen = model._run_batches(
                step, which, part, np.arange(count), batch_size, results,
                None if on_progress is None else progressed, None if on_begin is None else begins,
            )  # fmt: skip
            begun, end = begun + -(-seen // batch_size), end + seen
            if stopped:
                break
    return end
