"""``PyDataset``: batches by their numbers."""

import itertools

import numpy as np

from .._ahead import made_ahead
from ..core.errors import NamesArguments, invalid

__all__ = ["PyDataset"]

ORDER_STREAM = 2**32 - 2  # the random stream of the order of batches; those below it are of the orders within blocks


class PyDataset(NamesArguments):
    """Batches that are made when they are needed: a subclass says how many there are, and makes each.

    ``__len__`` returns the number of batches of an epoch, ``__getitem__(index)`` the batch of a number: ``(x, y)`` or
    ``(x, y, sample_weight)``, or x alone for predictions.  ``fit`` calls ``on_epoch_begin`` and ``on_epoch_end``.

    Arguments:
        workers: how many threads make batches ahead of the training; 0 and 1: none, they are made when needed.
        use_multiprocessing: accepted for Keras's sake; the workers are threads either way.
        max_queue_size: how many batches may be ready.

    Raises ValueError for other values.

    Example:
        >>> import numpy as np
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = np.arange(4 * index, 4 * index + 4, dtype="float32")[:, None]
        ...         return x, x**2
        >>> [len(x) for x, y in Squares()]
        [4, 4, 4]
    """

    # for subclasses that don't call this constructor
    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10):
        for name, value, least in (("workers", workers, 0), ("max_queue_size", max_queue_size, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise invalid(f"PyDataset expects {name} to be an integer from {least} up.", **{name: value})
        if not isinstance(use_multiprocessing, bool):
            expected = "PyDataset expects use_multiprocessing to be True or False."
            raise invalid(expected, use_multiprocessing=use_multiprocessing)
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} lacks a method __len__ that returns the number of batches.")

    def __getitem__(self, index: int):
        raise TypeError(f"{type(self).__name__} lacks a method __getitem__(index) that returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """The number of batches of an epoch; a subclass returns None for one without an end."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch, to choose other samples or another order for the next one, say."""

    def joined(self, parts: list):
        """One array of a model's outputs for the batches of an epoch: what ``predict`` returns."""
        return np.concatenate(parts)

    def __iter__(self):
        return self.batches(self._numbers())

    def _numbers(self):
        count, number = self.num_batches, 0
        while count is None or number < count:
            yield number
            number += 1

    def ordered_batches(self, order, start=0):
        """The batches of an epoch of ``fit``, from number ``start`` of its order on, for a training that goes on there.

        order: ``order(count)`` is an array of the numbers below ``count``, in the order of this epoch;
            ``order(count, stream)`` has others for every ``stream``.
        """
        count = self.num_batches
        numbers = self._numbers() if count is None else order(count).tolist()
        return self.batches(itertools.islice(numbers, start, None))

    def batches(self, numbers):
        """The batches of these numbers, in this order."""
        if self.workers < 2:
            yield from map(self.__getitem__, numbers)
            return
        yield from made_ahead(self.__getitem__, numbers, self.workers, self.max_queue_size)
