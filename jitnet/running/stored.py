"""Data that stay in a file: of memory-mapped arrays, only what the next steps need is read."""

import numpy as np

from ..core.errors import invalid
from ..targets.base import forget_data
from ..targets.cuda.arrays import DeviceArray
from .ahead import made_ahead

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


class Portions(dict):
    """Data of a step, of which what some steps need is read in a thread while the steps before them run.

    A dict of the whole data by their names.
    """

    def __init__(self, arrays: dict, order, batch_size: int):
        super().__init__(arrays)
        for name, array in arrays.items():
            if isinstance(array, DeviceArray):
                message = f"Data in a file go with data on the host: copy {name} there."
                raise ValueError(f"{message} Received: {name} on a GPU")
        sample = sum(array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in arrays.values())
        self._order, self._size = order, max(1, PORTION // (sample * batch_size)) * batch_size
        self._begin = self._end = 0
        self._read = self._arrays = None

    def until(self, begin: int) -> int:
        """The sample up to which those from ``begin`` on can be had together."""
        if self._read is None or begin >= self._end:
            return min(begin + self._size, len(self._order))
        return self._end

    def part(self, begin: int, end: int) -> dict:
        """What a run over these samples of the order takes: they follow on those of the call before."""
        if self._read is None:
            portions = [slice(at, at + self._size) for at in range(begin, len(self._order), self._size)]
            self._end = begin
            self._read = map(self._load, portions) if len(portions) == 1 else made_ahead(self._load, portions)
        if begin >= self._end:
            forget_data((self._arrays or {}).values())
            self._arrays = next(self._read)
            self._begin, self._end = begin, min(begin + self._size, len(self._order))
        return {**self._arrays, "order": np.arange(begin - self._begin, end - self._begin)}

    def _load(self, portion: slice) -> dict:
        numbers = self._order[portion]
        return {name: a.take(numbers) if isinstance(a, StoredArray) else a[numbers] for name, a in self.items()}

    def close(self) -> None:
        """End the thread."""
        forget_data((self._arrays or {}).values())
        if hasattr(self._read, "close"):
            self._read.close()
