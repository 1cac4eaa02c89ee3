"""Sequences as arrays, and windows of a time series."""

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid

from .batches_in_turn import Batches

__all__ = ["pad_sequences", "timeseries_dataset_from_array"]


def pad_sequences(sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0) -> np.ndarray:
    """Sequences of several lengths as one array (len(sequences), maxlen, ...).

    maxlen: by default the longest one's length.
    padding, truncating: "pre" or "post": where ``value`` is added, and where the rest is cut off.

    Raises ValueError for other names, for what is no list of sequences, and for steps of different shapes.

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise invalid(f'`{name}` must be "pre" or "post".', **{name: given})
    if not hasattr(sequences, "__len__") or not all(hasattr(sequence, "__len__") for sequence in sequences):
        raise invalid("`sequences` must be a list of sequences.", sequences=sequences)
    arrays = [np.asarray(sequence) for sequence in sequences]
    shapes = {array.shape[1:] for array in arrays if len(array)}
    if len(shapes) > 1:
        raise ValueError(f"The steps of all sequences need one shape. Received: {sorted(shapes)}")
    shape = shapes.pop() if shapes else ()
    longest = max(map(len, arrays), default=0)
    maxlen = longest if maxlen is None else checks.integer("pad_sequences", "maxlen", maxlen, least=0)
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and dtype is not object and not is_text:
        raise invalid("A string as `value` needs `dtype` to be object or a type of strings.", dtype=dtype, value=value)
    found = np.full((len(arrays), maxlen, *shape), value, dtype)
    for row, array in zip(found, arrays, strict=True):
        kept = (array[-maxlen:] if truncating == "pre" else array[:maxlen]) if maxlen else array[:0]
        if len(kept):
            row[-len(kept) if padding == "pre" else 0 :][: len(kept)] = kept
    return found


class _Windows(Batches):
    """Batches of windows of a series."""

    def __init__(self, series, targets, starts, length, rate, batch_size):
        super().__init__()
        self._data, self._targets, self._starts = series, targets, starts
        self._steps, self._batch_size = np.arange(length) * rate, batch_size

    def __len__(self):
        return -(-len(self._starts) // self._batch_size)

    def __getitem__(self, index):
        starts = self._starts[index * self._batch_size : (index + 1) * self._batch_size]
        windows = self._data[starts[:, None] + self._steps]
        return windows if self._targets is None else (windows, self._targets[starts])


def timeseries_dataset_from_array(
    data, targets, sequence_length, sequence_stride=1, sampling_rate=1, batch_size=128, shuffle=False, seed=None,
    start_index=None, end_index=None, format="tf",
) -> Batches:  # fmt: skip
    """A ``PyDataset`` of windows of a series: batches (batch, sequence_length, ...), with the targets of their starts.

    data: (steps, ...); targets: (samples, ...), where target i belongs to the window that starts at step i of the data,
        or None.
    sequence_stride: between the starts of two windows; sampling_rate: between two steps of a window.
    batch_size: None: one sample per batch, without a batch axis.
    shuffle: whether the windows are in a random order, by ``seed``.
    start_index, end_index: the part of the series that is used.
    format: accepted for Keras's sake.

    Raises ValueError for sizes that are no positive integers, and for a part that lies outside of the series.
    """
    data = np.asarray(data)
    for name, given in (
        ("sequence_length", sequence_length), ("sequence_stride", sequence_stride), ("sampling_rate", sampling_rate),
        ("batch_size", 1 if batch_size is None else batch_size),
    ):  # fmt: skip
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 1:
            raise invalid(f"`{name}` must be an integer from 1 up.", **{name: given})
    first, end = 0 if start_index is None else start_index, len(data) if end_index is None else end_index
    if not 0 <= first < end <= len(data):
        raise invalid(
            f"`start_index` and `end_index` must lie within the {len(data)} steps of the data, in this order.",
            start_index=start_index, end_index=end_index,
        )  # fmt: skip
    targets = None if targets is None else np.asarray(targets)[first:end]
    starts = end - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        starts = min(starts, len(targets))
    if starts < 1:
        raise ValueError(
            f"A window takes {(sequence_length - 1) * sampling_rate + 1} steps of data, and a target. Received: "
            f"{end - first} steps" + ("" if targets is None else f", {len(targets)} targets")
        )
    positions = np.arange(0, starts, sequence_stride)
    if shuffle:
        np.random.RandomState(seed).shuffle(positions)  # Keras's order
    if batch_size is None:
        return _Unbatched(data[first:end], targets, positions, sequence_length, sampling_rate, 1)
    return _Windows(data[first:end], targets, positions, sequence_length, sampling_rate, batch_size)


class _Unbatched(_Windows):
    def __getitem__(self, index):
        batch = super().__getitem__(index)
        return batch[0] if self._targets is None else (batch[0][0], batch[1][0])
