"""What scripts do with the batches that ``*_dataset_from_*`` make: functions of them, the first ones, another order.

The methods have the names of TensorFlow's datasets, which Keras returns there.
"""

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid

from .py_dataset import PyDataset


class Batches(PyDataset):
    """A ``PyDataset`` whose batches methods take and change: each returns another one, which reads them when needed.

    Example:
        >>> from jitnet.utils import timeseries_dataset_from_array
        >>> series = timeseries_dataset_from_array(np.arange(6.0), None, sequence_length=2, batch_size=2)
        >>> for x, y in series.map(lambda x: (x, 2 * x[:, -1])).skip(1).take(1):
        ...     print(x.tolist(), y.tolist())
        [[2.0, 3.0], [3.0, 4.0]] [6.0, 8.0]
    """

    def map(self, map_func, num_parallel_calls=None, deterministic=None) -> "Batches":
        """``map_func`` of the parts of every batch, such as (x, y); it may be made of layers that work on arrays.

        num_parallel_calls, deterministic: accepted for Keras's sake; the order stays.
        """
        if not callable(map_func):
            raise invalid("map expects a function.", map_func=map_func)
        return _Mapped(self, map_func)

    def take(self, count: int) -> "Batches":
        """The first ``count`` batches; -1: all."""
        count = checks.integer("take", "count", count, least=-1)
        return _Chosen(self, range(len(self) if count == -1 else min(count, len(self))))

    def skip(self, count: int) -> "Batches":
        """All batches but the first ``count``."""
        return _Chosen(self, range(checks.integer("skip", "count", count, least=0), len(self)))

    def shuffle(self, buffer_size=None, seed=None, reshuffle_each_iteration=True) -> "Batches":
        """The batches in an order that is drawn from all of them, by ``seed``, anew for every pass through them.

        buffer_size: accepted for Keras's sake.  ``fit`` draws an order, too, unless ``shuffle=False`` is passed to it.
        """
        return _Shuffled(self, seed, reshuffle_each_iteration)

    def cache(self, filename="") -> "Batches":
        """The batches as they are first made, which are kept in memory; ``filename`` must be empty."""
        if filename:
            raise invalid("cache keeps batches in memory alone; DiskBatches reads what is on disk.", filename=filename)
        return _Cached(self)

    def prefetch(self, buffer_size=None) -> "Batches":
        """The same batches: ``fit`` reads them ahead where a dataset has ``workers``, as those of files have."""
        return self

    def as_numpy_iterator(self):
        """The batches, one after the other."""
        return iter(self)

    def cardinality(self) -> int:
        """The number of batches."""
        return len(self)


class _Of(Batches):
    """Batches of another dataset, in the threads that it would have."""

    def __init__(self, dataset):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset

    def __len__(self):
        return len(self._dataset)

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._dataset.on_epoch_end()


class _Mapped(_Of):
    def __init__(self, dataset, function):
        super().__init__(dataset)
        self._function = function

    def __getitem__(self, index):
        batch = self._dataset[index]
        return self._function(*batch) if isinstance(batch, tuple) else self._function(batch)


class _Chosen(_Of):
    def __init__(self, dataset, numbers):
        super().__init__(dataset)
        self._numbers_of_batches = numbers

    def __len__(self):
        return len(self._numbers_of_batches)

    def __getitem__(self, index):
        return self._dataset[self._numbers_of_batches[index]]


class _Shuffled(_Of):
    def __init__(self, dataset, seed, again):
        super().__init__(dataset)
        self._generator, self._again = np.random.default_rng(seed), again
        self._order = self._generator.permutation(len(dataset))

    def __getitem__(self, index):
        return self._dataset[int(self._order[index])]

    def __iter__(self):
        yield from super().__iter__()
        self._draw()

    def on_epoch_end(self):
        super().on_epoch_end()
        self._draw()

    def _draw(self):
        if self._again:
            self._order = self._generator.permutation(len(self._order))


class _Cached(_Of):
    def __init__(self, dataset):
        super().__init__(dataset)
        self._kept = {}

    def __getitem__(self, index):
        if index not in self._kept:
            self._kept[index] = self._dataset[index]
        return self._kept[index]

    def on_epoch_end(self):
        pass  # the batches stay those of the first epoch
