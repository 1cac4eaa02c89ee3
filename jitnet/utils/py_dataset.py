"""``PyDataset``: batches by their numbers."""

import itertools

import numpy as np

from ..core.errors import NamesArguments, invalid
from ..running.ahead import made_ahead

__all__ = ["PyDataset"]

ORDER_STREAM = 2**32 - 2  # the random stream of the order of batches; those below it are of the orders within blocks


class PyDataset(NamesArguments):
    """Batches that are made when they are needed: a subclass says how many there are, and makes each.

    ``__len__`` returns the number of batches of an epoch, ``__getitem__(index)`` the batch of a number: ``(x, y)`` or
    ``(x, y, sample_weight)``, or x alone for predictions.  ``fit`` calls ``on_epoch_begin`` and ``on_epoch_end``.

    Arguments:
        workers: how many threads make batches ahead of the training; 0 and 1: none, they are made when needed.
        use_multiprocessing: whether the workers are processes, for Python code that would keep threads from running at
            the same time. Each pass begins new ones, with a copy of the dataset that pickle must be able to make: what
            ``__getitem__`` changes in it is lost, and a script needs ``if __name__ == "__main__":`` around what trains.
        max_queue_size: how many batches may be ready.

    The batches come in the same order however many workers there are; an error in a worker reaches ``fit``.

    Raises ValueError for other values, and in ``fit`` for a dataset that can't be copied to processes.

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
        return self.one_pass()

    def one_pass(self):
        """The batches of an epoch by their numbers, also where a subclass goes on without an end."""
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
        processes = self.use_multiprocessing and self.workers > 0
        if self.workers < 2 and not processes:
            yield from map(self.__getitem__, numbers)
            return
        make, pool = (_in_process, _processes(self)) if processes else (self.__getitem__, None)
        try:
            yield from made_ahead(make, numbers, self.workers, self.max_queue_size, pool)
        except RuntimeError as error:
            if type(error).__name__ != "BrokenProcessPool":
                raise
            raise RuntimeError(
                f"The processes of {type(self).__name__} have ended: what they wrote says why. A script needs "
                'if __name__ == "__main__": around what trains. Received: use_multiprocessing=True'
            ) from None


def _processes(dataset):
    """An executor whose processes have a copy of the dataset."""
    import multiprocessing
    import pickle
    from concurrent.futures import ProcessPoolExecutor

    try:
        copy = pickle.dumps(dataset)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{type(dataset).__name__} can't be copied to processes: {error}. Use threads, or define its class in a "
            "module, without open files or functions in it. Received: use_multiprocessing=True"
        ) from None
    # a fork would copy locks that threads of this process hold
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(dataset.workers, context, _keep, (copy,))


_kept = None  # the dataset of a worker process


def _keep(copy: bytes) -> None:
    import pickle

    global _kept
    _kept = pickle.loads(copy)


def _in_process(number: int):
    return _kept[number]
