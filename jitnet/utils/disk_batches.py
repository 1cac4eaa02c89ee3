"""``DiskBatches``: batches of samples that lie in files, read ahead in blocks that are shuffled."""

import math
import os

import numpy as np

from jitnet._structures import flatten, packed
from jitnet.core import checks
from jitnet.core.errors import invalid
from jitnet.running.ahead import made_ahead

from .py_dataset import ORDER_STREAM, PyDataset

__all__ = ["DiskBatches"]

BLOCK = 1 << 20  # bytes that are read together: below it, disks and systems take longer per byte (a guess)
PORTION = 1 << 22  # bytes of samples that are given together, before they are converted (a guess)
POOLS = 3  # held at most: whose batches are given, the next one, and what is begun of the one after it


def _unchanged(count: int, stream: int = 0) -> np.ndarray:
    return np.arange(count)


class BlockBatches(PyDataset):
    """Batches of samples that are read by blocks.

    In ``fit`` the blocks come in a new order in every epoch, so many of them as ``memory`` holds make a pool, and the
    samples of a pool are shuffled.  Both orders are functions of the seed, of the steps that were taken before the
    epoch and of the sizes: not of the number of threads, nor of the time that reading takes.

    A subclass says what a sample is, and reads blocks (``read_block``).
    """

    def _set_blocks(self, bounds, shapes, structure, batch_size: int, memory: int, workers: int) -> None:
        """bounds: the number of the first sample of each block, and of all; shapes: (shape, dtype) of samples' arrays.

        structure: of a batch, with a leaf for each of these arrays.
        """
        kind = type(self).__name__
        self._bounds, self._shapes, self._structure = np.asarray(bounds), shapes, structure
        self.batch_size = checks.integer(kind, "batch_size", batch_size, least=1)
        super().__init__(workers=checks.integer(kind, "workers", workers, least=1))
        sample = sum(np.dtype(dtype).itemsize * math.prod(shape) for shape, dtype in shapes)
        block = int(np.diff(self._bounds).max()) * sample
        self._pool = memory // (POOLS * block)
        if self._pool < 1:
            expected = f"{kind} holds {POOLS} blocks, each of {block} bytes, and needs memory for them."
            raise invalid(expected, memory=memory)

        portion = min(PORTION, memory // 24)  # eight times as many bytes, if they are converted from uint8 to float64
        self._portion = max(1, portion // (sample * self.batch_size)) * self.batch_size

    def read_block(self, number: int) -> list:
        """The samples of a block: an array each of the leaves of a batch, checked."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """The number of samples."""
        return int(self._bounds[-1])

    def __len__(self):
        return -(-self.samples // self.batch_size)

    def __getitem__(self, index):
        """The batch of a number, in the order of the files."""
        begin = index * self.batch_size
        if not 0 <= begin < self.samples:
            raise IndexError(f"There are {len(self)} batches. Received: index={index}")
        end = min(begin + self.batch_size, self.samples)
        first, last = np.searchsorted(self._bounds, (begin, end - 1), "right") - 1
        blocks = [self.read_block(number) for number in range(first, last + 1)]
        rows = slice(begin - self._bounds[first], end - self._bounds[first])
        return self.as_batch([np.concatenate(parts)[rows] for parts in zip(*blocks, strict=True)])

    def one_pass(self):
        return self.ordered_batches(None)

    def ordered_batches(self, order, start=0):
        size = self.batch_size
        for arrays in self.portions(order, start):
            for at in range(0, len(arrays[0]), size):
                yield self.as_batch([array[at : at + size] for array in arrays])

    def portions(self, order=None, start=0):
        """What ``ordered_batches`` gives, several batches together: the arrays of their samples.

        order: None: that of the files.
        """
        order = order or _unchanged
        size, first = self.batch_size, start * self.batch_size
        blocks = order(len(self._bounds) - 1)
        sizes = np.diff(self._bounds)[blocks]
        ends = np.cumsum(sizes)
        pools = [slice(begin, begin + self._pool) for begin in range(0, len(blocks), self._pool)]

        def wanted():
            for number, pool in enumerate(pools):
                if ends[pool][-1] <= first:
                    continue
                total = int(sizes[pool].sum())
                arrays = [np.empty((total, *shape), dtype) for shape, dtype in self._shapes]
                places = np.split(order(total, ORDER_STREAM - 1 - number), np.cumsum(sizes[pool])[:-1])
                for block, where in zip(blocks[pool], places, strict=True):
                    yield int(block), arrays, where, where is places[-1]

        def fill(part):
            block, arrays, places, complete = part
            for array, rows in zip(arrays, self.read_block(block), strict=True):
                array[places] = rows
            return arrays if complete else None

        filled = made_ahead(fill, wanted(), self.workers, self._pool)
        begin = first - int(max((end for end in (ends[pool][-1] for pool in pools) if end <= first), default=0))
        kept = None  # the last samples of a pool, too few for a batch
        try:
            for arrays in filled:
                if arrays is None:
                    continue
                if kept is not None:
                    begin = size - len(kept[0])
                    kept = [np.concatenate((old, new[:begin])) for old, new in zip(kept, arrays, strict=True)]
                    if len(kept[0]) < size:
                        continue
                    yield kept
                total = len(arrays[0])
                end = total - (total - begin) % size
                for at in range(begin, end, self._portion):
                    yield [array[at : min(at + self._portion, end)] for array in arrays]
                kept = [array[end:].copy() for array in arrays] if end < total else None
                begin = 0
            if kept is not None:
                yield kept
        finally:
            filled.close()

    def as_batch(self, arrays: list):
        """Samples as (x, y, sample_weight), or what there is of that."""
        return packed(self._structure, arrays)


class DiskBatches(BlockBatches):
    """Batches of arrays in ``.npy`` files that need not fit in memory, for ``fit``, ``evaluate`` and ``predict``.

    The files are read in blocks of neighbouring samples, ahead of the training, in threads.  In ``fit`` the blocks come
    in a new order in every epoch; as many of them as a third of ``memory`` holds are shuffled together.  Where no
    neighbours are alike in the files, that is as good as shuffling all samples; else shuffle once before writing them.
    The order is a function of the seed (``set_random_seed``), of the steps taken before the epoch, and of batch_size,
    block_size and memory; ``shuffle=False`` of ``fit`` keeps that of the files, as ``evaluate`` and ``predict`` do.

    Arguments:
        x: the path of a ``.npy`` file (samples, ...), a memory-mapped or other array, or a list of them one after the
            other (shards); for several inputs a tuple or dict of such.  Paths are read without mapping, so that they
            need no addresses for more than is held.
        y, sample_weight: likewise; or None.
        batch_size: samples in a batch; the last one may be smaller.
        memory: bytes of samples that are held at most, beside one block for each worker.
        block_size: samples that are read together; by default those of 1 MiB, or less where memory holds few of them.
        workers: how many threads read.

    Raises ValueError for other values, for files that are no arrays of numbers, of different lengths or incomplete, and
    while reading for NaN and infinite values, with the number of the sample.

    Example:
        >>> batches = DiskBatches(np.arange(10.0).reshape(5, 2), np.arange(5), batch_size=2)
        >>> [len(x) for x, y in batches]
        [2, 2, 1]
    """

    def __init__(
        self, x, y=None, sample_weight=None, batch_size=32, *, memory=1 << 28, block_size=None, workers=1,
    ):  # fmt: skip
        if y is None and sample_weight is not None:
            raise ValueError("DiskBatches takes sample_weight with y alone. Received: y=None")
        given = [part for part in (x, y, sample_weight) if part is not None]
        named = [_opened(part, name) for part, name in zip(given, ("x", "y", "sample_weight"), strict=False)]
        structure = tuple(named)
        self._rows = flatten(structure)
        counts = {rows.what: len(rows) for rows in self._rows}
        if len(set(counts.values())) != 1:
            raise invalid("DiskBatches takes arrays of one number of samples.", **{"samples": counts})
        total = len(self._rows[0])
        sample = sum(rows.dtype.itemsize * math.prod(rows.shape) for rows in self._rows)
        memory = checks.integer("DiskBatches", "memory", memory, least=1)
        if block_size is None:  # 16 blocks of a pool, at least, are shuffled
            block_size = max(1, min(BLOCK, memory // (16 * POOLS)) // sample)
        block_size = checks.integer("DiskBatches", "block_size", block_size, least=1)
        shapes = [(rows.shape, rows.dtype) for rows in self._rows]
        if len(structure) == 1:  # an array, or parts of x alone, which must not be taken for targets
            structure = structure if isinstance(structure[0], tuple) else structure[0]
        self._set_blocks([*range(0, total, block_size), total], shapes, structure, batch_size, memory, workers)

    def read_block(self, number):
        from jitnet.data import check_finite

        begin, end = int(self._bounds[number]), int(self._bounds[number + 1])
        found = [rows.read(begin, end) for rows in self._rows]
        for rows, array in zip(self._rows, found, strict=True):
            check_finite(array, rows.what, range(begin, end))
        return found


def _opened(given, what: str):
    """Structures of what can be read."""
    if isinstance(given, tuple):
        return tuple(_opened(part, f"{what}[{number}]") for number, part in enumerate(given))
    if isinstance(given, dict):
        return {key: _opened(part, f"{what}[{key!r}]") for key, part in given.items()}
    return _Rows(given if isinstance(given, list) else [given], what)


class _Rows:
    """The samples of some arrays, one after the other, by their numbers."""

    def __init__(self, parts: list, what: str):
        self.what = what
        self._parts = [_NpyFile(part) if isinstance(part, str | os.PathLike) else part for part in parts]
        for part in self._parts:
            if not isinstance(part, _NpyFile | np.ndarray):
                raise invalid(f"DiskBatches takes paths of .npy files and arrays as {what}.", **{"given": type(part)})
            if part.ndim == 0 or part.dtype.kind not in "fiub":
                name = getattr(part, "path", what)
                raise invalid(f"{name} must be an array of numbers (samples, ...).", shape=part.shape, dtype=part.dtype)
        if not self._parts or not sum(len(part) for part in self._parts):
            raise invalid(f"DiskBatches needs samples in {what}.", **{"arrays": len(self._parts)})
        first = self._parts[0]
        self.shape, self.dtype = first.shape[1:], first.dtype
        for number, part in enumerate(self._parts):
            if (part.shape[1:], part.dtype) != (self.shape, self.dtype):
                raise invalid(
                    f"All arrays of {what} need samples of one shape and type: the first has {self.shape}, "
                    f"{self.dtype}, not so number {number}.", shape=part.shape[1:], dtype=part.dtype,
                )  # fmt: skip
        self._ends = np.cumsum([len(part) for part in self._parts])

    def __len__(self):
        return int(self._ends[-1])

    def read(self, begin: int, end: int) -> np.ndarray:
        """The samples from begin to end."""
        first, last = np.searchsorted(self._ends, (begin, end - 1), "right")
        found = []
        for part, its_end in zip(self._parts[first : last + 1], self._ends[first : last + 1], strict=True):
            offset = int(its_end) - len(part)
            found.append(part[max(0, begin - offset) : end - offset])
        return found[0] if len(found) == 1 else np.concatenate(found)


class _NpyFile:
    """An array in a file, of which neighbouring rows are read."""

    def __init__(self, path):
        self.path = os.fspath(path)
        try:
            with open(self.path, "rb") as file:
                version = np.lib.format.read_magic(file)
                read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                self.shape, turned, self.dtype = read[version](file)
                self._offset = file.tell()
        except (ValueError, KeyError) as error:
            message = f"{self.path} is no .npy file, which numpy.save writes: {error}"
            raise ValueError(message) from None
        self.ndim = len(self.shape)
        if turned and self.ndim > 1:
            raise ValueError(
                f"{self.path} has the order of Fortran, in which samples are no neighbours: save it anew with "
                "numpy.save(path, numpy.ascontiguousarray(array)). Received: fortran_order=True"
            )
        if self.dtype.hasobject:
            raise ValueError(f"{self.path} must hold numbers. Received: dtype={self.dtype}")
        expected = self._offset + math.prod(self.shape) * self.dtype.itemsize
        found = os.path.getsize(self.path)
        if found < expected:
            raise ValueError(f"{self.path} is incomplete: it needs {expected} bytes. Received: {found} bytes")

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        begin, end, _ = rows.indices(len(self))
        array = np.empty((max(0, end - begin), *self.shape[1:]), self.dtype)
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self._offset + begin * row)
            memory, done = memoryview(array.reshape(-1).view(np.uint8)), 0
            while done < len(memory):
                count = file.readinto(memory[done:])
                if not count:
                    raise ValueError(f"{self.path} has been cut off. Received: {done} of {len(memory)} bytes")
                done += count
        return array
