"""Data sets that are larger than the device's memory: their batches are brought there while others are computed."""

import numpy as np

BYTES = 1 << 26  # of a part, of which the device has two
SHARE = 0.6  # of the free memory that a data set may take


class Staging:
    """Two parts, each with the batches of some steps: one is filled while the steps of the other run.

    steps: whose batches a part holds.
    """

    def __init__(self, backend, arrays: dict[str, np.ndarray], batch: int):
        self._backend = backend
        nbytes = batch * sum(array[:1].nbytes for array in arrays.values())
        self.steps = max(1, BYTES // max(1, nbytes))
        self._stream = backend.new_stream()
        samples = self.steps * batch
        self._parts = [_Part(backend, arrays, samples) for _ in range(2)]

    def pieces(self, count: int, batch: int, arrays: dict, orders: np.ndarray, stream):
        """For each part of ``count`` steps (first, last, {name: array of the device}, places of the samples there).

        Who asks for the next one has enqueued the steps of the last one on ``stream``.
        """
        for number, first in enumerate(range(0, count, self.steps)):
            last = min(first + self.steps, count)
            samples = orders[first * batch : last * batch]
            part = self._parts[number % 2]
            part.is_free.synchronize()
            for name, array in arrays.items():
                np.take(array, samples, axis=0, out=part.host[name][: len(samples)])
                self._backend.copy(part.device[name], part.host[name], self._stream)
            part.is_full.record(self._stream)
            part.is_full.wait(stream)
            yield first, last, part.device, np.arange(len(samples))
            part.is_free.record(stream)


class _Part:
    """host, device: memory of both for the samples, by the names of the data."""

    def __init__(self, backend, arrays: dict, samples: int):
        shapes = {name: (samples, *array.shape[1:]) for name, array in arrays.items()}
        self.host = {name: backend.pinned(shape, arrays[name].dtype) for name, shape in shapes.items()}
        self.device = {name: backend.empty(shape, arrays[name].dtype) for name, shape in shapes.items()}
        self.is_free, self.is_full = backend.event(), backend.event()


def needs_staging(backend, arrays: dict[str, np.ndarray]) -> bool:
    """Whether data are too large to be copied as a whole."""
    return sum(array.nbytes for array in arrays.values()) > SHARE * backend.free_memory()
