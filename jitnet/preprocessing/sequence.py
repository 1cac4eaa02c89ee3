"""Sequences as arrays, and by the names of older Keras scripts: windows of a series, and pairs of words."""

import random

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid, module_getattr
from jitnet.utils import PyDataset, pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]

__getattr__ = module_getattr(__name__, "function")


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a series, with the target of the step after each: (batch, steps, ...), (batch, ...).

    ``utils.timeseries_dataset_from_array`` is the newer form.

    Arguments:
        data: (steps, ...); targets: (steps, ...).
        length: the steps that a window spans, of which every ``sampling_rate``-th one is taken.
        stride: between two windows.
        start_index, end_index: the first and the last step of the series that are used; by default all.
        shuffle: whether windows are drawn at random, by ``numpy.random``, some of them several times.
        reverse: whether the last step of a window comes first.
        batch_size: windows of a batch.
        kwargs: of ``PyDataset``.

    Raises ValueError for data and targets of different lengths, and where no window fits.

    Example:
        >>> series = np.arange(6)
        >>> for x, y in TimeseriesGenerator(series, series, length=3, batch_size=2):
        ...     print(x.tolist(), y.tolist())
        [[0, 1, 2], [1, 2, 3]] [3, 4]
        [[2, 3, 4]] [5]
    """

    def __init__(
        self, data, targets, length, sampling_rate=1, stride=1, start_index=0, end_index=None, shuffle=False,
        reverse=False, batch_size=128, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ValueError(f"Data and targets need one length. Received: {len(data)} steps, {len(targets)} targets")
        sizes = {"length": length, "sampling_rate": sampling_rate, "stride": stride, "batch_size": batch_size}
        for name, size in sizes.items():
            setattr(self, name, checks.integer("TimeseriesGenerator", name, size, least=1))
        self.data, self.targets = np.asarray(data), np.asarray(targets)
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse = shuffle, reverse
        if self.start_index > self.end_index:
            raise invalid(
                f"No window of {length} steps and a target after it lies in this part of the {len(data)} steps.",
                start_index=start_index, end_index=end_index,
            )  # fmt: skip

    def __len__(self):
        return -(-(self.end_index - self.start_index + 1) // (self.batch_size * self.stride))

    def __getitem__(self, index):
        if self.shuffle:
            ends = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + index * self.batch_size * self.stride
            ends = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        steps = np.arange(0, self.length, self.sampling_rate) - self.length
        samples = self.data[ends[:, None] + steps]
        return samples[:, ::-1] if self.reverse else samples, self.targets[ends]


def make_sampling_table(size, sampling_factor=1e-5) -> np.ndarray:
    """With which probability ``skipgrams`` takes the word of each rank: (size,).

    It is min(1, sqrt(sampling_factor / frequency)) (Mikolov et al. 2013), with the frequencies of Zipf's law:
    1 / (rank (log(rank) + 0.577) + 1/2 - 1 / (12 rank)).
    """
    rank = np.maximum(np.arange(size), 1)
    one_in = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * one_in))


def skipgrams(
    sequence, vocabulary_size, window_size=4, negative_samples=1.0, shuffle=True, categorical=False,
    sampling_table=None, seed=None,
):  # fmt: skip
    """Pairs of words for word2vec (Mikolov et al. 2013), and whether they stand near to each other: (pairs, labels).

    sequence: numbers of words, of which 0 is none.
    vocabulary_size: the largest number + 1.
    window_size: how far apart the words of a pair stand at most.
    negative_samples: so many times as many pairs with a word drawn at random, of label 0, follow those of label 1.
    shuffle: whether the order is drawn, by ``seed``; the words are drawn by Python's ``random``.
    categorical: whether labels are [0, 1] and [1, 0] instead of 1 and 0.
    sampling_table: None, or with which probability each word begins pairs, as of ``make_sampling_table``.

    Example:
        >>> skipgrams([3, 1, 2], vocabulary_size=4, window_size=1, negative_samples=0, shuffle=False)
        ([[3, 1], [1, 3], [1, 2], [2, 1]], [1, 1, 1, 1])
    """
    sequence = list(sequence)
    near, far = ([0, 1], [1, 0]) if categorical else (1, 0)
    pairs = []
    for place, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        before = sequence[max(0, place - window_size) : place]
        pairs += [[word, other] for other in before + sequence[place + 1 : place + window_size + 1] if other]
    labels = [near] * len(pairs)
    if negative_samples > 0:
        words = [word for word, _ in pairs]
        random.shuffle(words)
        count = int(len(pairs) * negative_samples)
        pairs += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)]
        labels += [far] * count
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else seed
        for part in (pairs, labels):
            random.Random(seed).shuffle(part)
    return pairs, labels
