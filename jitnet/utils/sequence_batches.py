"""Batches of sequences of several lengths: like lengths together, each batch padded to its longest."""

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid

from .py_dataset import PyDataset
from .sequences import pad_sequences

__all__ = ["SequenceBatches"]


class SequenceBatches(PyDataset):
    """Batches of sequences of several lengths, for ``fit``, ``evaluate`` and ``predict`` (bucketing).

    Sequences of like lengths come into a batch, which is padded to the longest of them: a model whose input has the
    length None computes little for nothing, and compiles nothing for a new length.  ``predict`` returns what belongs
    to the sequences in the order in which they were given, padded with zeros where it has steps.

    Arguments:
        x: a list of sequences (steps, ...), or for several inputs a tuple or dict of such lists.
        y: None; an array or a list of a target for each sequence; or a list of sequences of targets, one for each step:
            then batches are (x, y, sample_weight), with weights of the steps: 0 of padding, and of others such that
            losses and weighted metrics of an epoch are means over all steps of all sequences, however much padding
            there is.  Without targets batches are x, or ([x, ...],) for a tuple of inputs.
        sample_weight: None, or a weight for each sequence.
        batch_size: sequences in a batch; the last one may be smaller.
        shuffle: whether each epoch has other batches in another order, by ``seed``: of ``pool`` times batch_size
            sequences that are drawn at random, those of like lengths come together.  Else the shortest come first.
        seed: None: one from NumPy's global generator, which ``set_random_seed`` seeds.
        padding, truncating, maxlen, value: as of ``pad_sequences``, of x; targets are padded with 0.
        pool: how many batches are made together.

    Raises ValueError for other values, and for lists of different lengths.

    Example:
        >>> batches = SequenceBatches([[1], [2, 3, 4, 5], [6, 7]], y=[0, 1, 0], batch_size=2, shuffle=False)
        >>> [x.tolist() for x, y in batches]
        [[[1, 0], [6, 7]], [[2, 3, 4, 5]]]
    """

    def __init__(
        self, x, y=None, sample_weight=None, batch_size=32, shuffle=True, seed=None, padding="post", truncating="post",
        maxlen=None, value=0, pool=100, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = "SequenceBatches"
        self._single = not isinstance(x, tuple | dict)
        inputs = [x] if self._single else list(x.values() if isinstance(x, dict) else x)
        counts = {len(part) for part in [*inputs, *(part for part in (y, sample_weight) if part is not None)]}
        if len(counts) != 1 or 0 in counts:
            raise invalid(f"{kind} takes as many sequences as targets and weights, at least one.", lengths=counts)
        (self._count,) = counts
        for sequences in inputs:
            if not all(hasattr(sequence, "__len__") for sequence in sequences):
                raise invalid(f"{kind} takes lists of sequences: for several inputs, a tuple or dict of lists.", x=x)
        inputs = [[np.asarray(sequence) for sequence in sequences] for sequences in inputs]
        self._inputs = dict(zip(x, inputs, strict=True)) if isinstance(x, dict) else inputs
        self._y, self._weights = y, None if sample_weight is None else np.asarray(sample_weight, "float32")
        self._of_steps = y is not None and all(np.ndim(target) > 0 for target in y) and not hasattr(y, "shape")
        if self._of_steps and not any(
            all(len(target) == len(sequence) for target, sequence in zip(y, sequences, strict=True))
            for sequences in inputs
        ):
            expected = f"{kind} takes an array of a target for each sequence, or lists of one for each of its steps."
            raise invalid(expected, y=f"lists of {', '.join(str(len(target)) for target in y[:3])}, ... targets")
        self._batch_size = checks.integer(kind, "batch_size", batch_size, least=1)
        self._shuffle = checks.boolean(kind, "shuffle", shuffle)
        self._pool = checks.integer(kind, "pool", pool, least=1)
        self._options = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": value}
        pad_sequences([], **self._options)  # refuses what they must not be
        if maxlen is not None and self._of_steps:
            raise invalid(f"{kind} cuts off no targets: maxlen is None where y has one for each step.", maxlen=maxlen)
        self._mean_length = np.mean([len(target) for target in y]) if self._of_steps else None
        self._lengths = np.array([[len(sequence) for sequence in sequences] for sequences in inputs])
        self._generator = np.random.default_rng(np.random.randint(10**6) if seed is None else seed)
        self._order = self._drawn()
        self._begun = False

    def _drawn(self) -> np.ndarray:
        """The order of the sequences in an epoch."""
        size = self._batch_size
        if not self._shuffle:
            return np.lexsort(self._lengths[::-1])
        order = self._generator.permutation(self._count)
        for begin in range(0, self._count, self._pool * size):
            part = order[begin : begin + self._pool * size]
            part[:] = part[np.lexsort(self._lengths[::-1, part])]
        full = self._count // size
        batches = order[: full * size].reshape(full, size)[self._generator.permutation(full)]
        return np.concatenate([batches.reshape(-1), order[full * size :]])

    def __len__(self):
        return -(-self._count // self._batch_size)

    def on_epoch_begin(self):
        if self._shuffle and self._begun:
            self._order = self._drawn()
        self._begun = True

    def _chosen(self, index: int) -> np.ndarray:
        return self._order[index * self._batch_size : (index + 1) * self._batch_size]

    def __getitem__(self, index):
        chosen = self._chosen(index)
        if isinstance(self._inputs, dict):
            x = {name: self._padded(part, chosen, **self._options) for name, part in self._inputs.items()}
        else:
            parts = [self._padded(part, chosen, **self._options) for part in self._inputs]
            x = parts[0] if self._single else parts
        weights = None if self._weights is None else self._weights[chosen]
        if self._y is None:
            return (x,) if isinstance(x, list) else x
        if not self._of_steps:
            y = np.asarray([self._y[i] for i in chosen])
            return (x, y) if weights is None else (x, y, weights)
        padding = self._options["padding"]
        y = self._padded(self._y, chosen, padding=padding)
        # what is averaged over the padded steps, too, comes to be averaged over the mean length
        weight = y.shape[1] / self._mean_length
        there = [np.full(len(self._y[i]), weight) for i in chosen]
        there = pad_sequences(there, dtype="float32", padding=padding)
        return x, y, there if weights is None else there * weights[:, None]

    @staticmethod
    def _padded(sequences, chosen, **options):
        arrays = [np.asarray(sequences[i]) for i in chosen]
        integers = all(array.dtype.kind in "iub" for array in arrays if array.size)
        return pad_sequences(arrays, dtype="int64" if integers else "float32", **options)

    def joined(self, parts: list) -> np.ndarray:
        """The outputs of the first batches of the epoch, in the order of the sequences."""
        if len({part.shape[1:] for part in parts}) > 1:
            padding = self._options["padding"]
            longest = max(part.shape[1] for part in parts)
            parts = [pad_sequences(part, longest, part.dtype, padding) for part in parts]
        chosen = np.concatenate([self._chosen(index) for index in range(len(parts))])
        return np.concatenate(parts)[np.argsort(chosen, kind="stable")]
