"""Data in two parts."""

import numpy as np

from jitnet._structures import flatten, packed
from jitnet.core.errors import invalid

from .batches_in_turn import Batches
from .py_dataset import PyDataset

__all__ = ["split_dataset", "train_test_split"]


def split_dataset(dataset, left_size=None, right_size=None, shuffle=False, seed=None, preferred_backend=None) -> tuple:
    """``dataset`` in two parts: (left, right).

    dataset: an array, or lists, tuples and dicts of arrays with one number of samples: the parts are like it.  Of a
        ``PyDataset`` or another sequence of batches, the parts are ``PyDataset`` objects of its batches.
    left_size, right_size: a fraction of the samples between 0 and 1, or their number; one alone says the other.
    shuffle: whether the parts are drawn at random, by ``seed``.
    preferred_backend: accepted for Keras's sake.

    Raises ValueError without a size, for sizes that don't fit, and for arrays of different lengths.

    Example:
        >>> left, right = split_dataset(np.arange(5), left_size=0.6)
        >>> left, right
        (array([0, 1, 2]), array([3, 4]))
    """
    by_batches = isinstance(dataset, PyDataset) or not isinstance(dataset, list | tuple | dict | np.ndarray)
    if by_batches:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise invalid("split_dataset takes arrays, or a dataset with __len__ and __getitem__.", dataset=dataset)
        total = len(dataset)
    else:
        arrays = [np.asarray(leaf) for leaf in flatten(dataset)]
        total = _common_length(arrays)
    left, right = _sizes(total, left_size, right_size)
    order = np.random.default_rng(seed).permutation(total) if shuffle else np.arange(total)
    numbers = order[:left], order[left : left + right]
    if by_batches:
        return tuple(_Batches(dataset, part.tolist()) for part in numbers)
    return tuple(packed(dataset, [array[part] for array in arrays]) for part in numbers)


class _Batches(Batches):
    """Some batches of a dataset."""

    def __init__(self, dataset, numbers):
        super().__init__()
        self._dataset, self._numbers_of_batches = dataset, numbers

    def __len__(self):
        return len(self._numbers_of_batches)

    def __getitem__(self, index):
        return self._dataset[self._numbers_of_batches[index]]


def _common_length(arrays) -> int:
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(f"All arrays need the same number of samples. Received: lengths={sorted(lengths)}")
    return lengths.pop()


def _sizes(total: int, left, right, names=("left_size", "right_size")) -> tuple[int, int]:
    """The numbers of samples in both parts."""
    given = dict(zip(names, (left, right), strict=True))
    if left is None and right is None:
        raise invalid(f"At least one of {names[0]} and {names[1]} is needed.", **given)
    counts = []
    for name, size in given.items():
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if size is not None and not (whole and 0 <= size <= total) and not (isinstance(size, float) and 0 <= size <= 1):
            raise invalid(f"{name} is a fraction from 0 to 1 or a number of the {total} samples.", **{name: size})
        counts.append(None if size is None else int(size) if whole else round(size * total))
    if left is None:
        counts[0] = total - counts[1]
    if right is None:
        counts[1] = total - counts[0]
    if sum(counts) > total:
        raise invalid(f"Both parts together can't have more than all {total} samples.", **given)
    if 0 in counts:
        raise invalid(f"Each part needs at least one of the {total} samples.", **given)
    return tuple(counts)


def train_test_split(*arrays, test_size=None, train_size=None, shuffle=True, stratify=None, seed=None) -> list:
    """[training part, test part] of every array, one after the other, as scikit-learn's function of this name.

    test_size, train_size: a fraction of the samples or their number; by default a quarter is the test set.
    shuffle: whether the samples are drawn at random, by ``seed``, or the last ones are the test set.
    stratify: labels (samples,): each class has the same share of both parts, to within one sample.

    Raises ValueError for arrays of different lengths, for sizes that don't fit, and for stratify without shuffle.

    Example:
        >>> x_train, x_test, y_train, y_test = train_test_split(
        ...     np.arange(8), [0, 1] * 4, test_size=4, stratify=[0, 1] * 4, seed=1
        ... )
        >>> sorted(y_test.tolist())
        [0, 0, 1, 1]
    """
    arrays = [np.asarray(array) for array in arrays]
    if not arrays:
        raise ValueError("train_test_split needs at least one array. Received: none")
    total = _common_length(arrays)
    if test_size is None and train_size is None:
        test_size = 0.25
    kept, held = _sizes(total, train_size, test_size, ("train_size", "test_size"))
    generator = np.random.default_rng(seed)
    if stratify is not None:
        if not shuffle:
            raise invalid("Classes are drawn at random: stratify needs shuffle=True.", shuffle=shuffle)
        numbers = _stratified(np.asarray(stratify), total, kept, held, generator)
    else:
        order = generator.permutation(total) if shuffle else np.arange(total)
        numbers = (order[:kept], order[kept : kept + held])
    return [array[part] for array in arrays for part in numbers]


def _stratified(labels, total: int, kept: int, held: int, generator) -> tuple:
    """Numbers of samples for both parts, in which classes have their shares, rounded so that the sizes are kept."""
    if labels.shape != (total,):
        raise ValueError(f"stratify has one label for each of {total} samples. Received: shape={labels.shape}")
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"stratify needs two samples of each class. Received: a class with {counts.min()}")
    if min(kept, held) < len(counts):
        raise ValueError(
            f"Each part needs a sample of each of {len(counts)} classes. Received: {kept} and {held} samples"
        )
    of_held = _shares(counts, held, counts)
    of_kept = _shares(counts, kept, counts - of_held)
    parts = [], []
    for number, (first, second) in enumerate(zip(of_kept, of_held, strict=True)):
        members = generator.permutation(np.flatnonzero(classes == number))
        parts[0].append(members[:first])
        parts[1].append(members[first : first + second])
    return tuple(generator.permutation(np.concatenate(part)) for part in parts)


def _shares(counts, size: int, available):
    """``size`` shared out in proportion to ``counts``, by largest remainders, at most ``available`` each."""
    exact = counts * (size / counts.sum())
    shares = np.minimum(np.floor(exact).astype(int), available)
    while shares.sum() < size:
        lacking = np.where(shares < available, exact - shares, -np.inf)
        shares[np.argmax(lacking)] += 1
    return shares
