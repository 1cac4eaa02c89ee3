"""What IMDB and Reuters share: sequences of the numbers of words."""

import json
from pathlib import Path

import numpy as np

from jitnet.datasets._files import find_or_fetch, read_unzipped

_LARGEST_INDEX = 1 << 25  # bytes


def check_sequences(sequences: np.ndarray, labels: np.ndarray, source: Path | str) -> None:
    """Raise ValueError unless each of ``sequences`` is a list of numbers of words, and has a label."""
    if sequences.ndim != 1 or labels.shape != sequences.shape or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{source}: expected an integer label for each of {sequences.size} sequences. Received: "
            f"shape={labels.shape}, dtype={labels.dtype}"
        )
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, list) or not all(type(word) is int and word >= 0 for word in sequence):
            raise ValueError(f"{source}: expected lists of numbers of words. Received: another at position {number}")


def shuffled(seed: int, *arrays) -> list[np.ndarray]:
    """Arrays in an order of the samples that the seed gives, Keras's."""
    order = np.arange(len(arrays[0]))
    np.random.RandomState(seed).shuffle(order)
    return [array[order] for array in arrays]


def marked(sequences, start_char, index_from) -> list[list]:
    """Sequences whose words are counted from ``index_from`` on, after a mark of the start."""
    shift = index_from or 0
    start = [] if start_char is None else [start_char]
    return [start + [word + shift for word in sequence] for sequence in sequences]


def without_long(sequences, labels, maxlen) -> tuple[list, np.ndarray]:
    """The sequences that are shorter than ``maxlen``, with their labels."""
    if not maxlen:
        return sequences, labels
    kept = [number for number, sequence in enumerate(sequences) if len(sequence) < maxlen]
    if not kept:
        raise ValueError(f"No sequence is shorter than maxlen. Received: maxlen={maxlen}")
    return [sequences[number] for number in kept], labels[kept]


def of_known_words(sequences, num_words, skip_top, oov_char) -> np.ndarray:
    """Sequences as an array of lists, in which other words are ``oov_char``, or left out where that is None."""
    num_words = num_words or max(max(sequence, default=0) for sequence in sequences)
    found = np.empty(len(sequences), object)
    for number, sequence in enumerate(sequences):
        if oov_char is None:
            found[number] = [word for word in sequence if skip_top <= word < num_words]
        else:
            found[number] = [word if skip_top <= word < num_words else oov_char for word in sequence]
    return found


def word_index(dataset: str, path: str, name: str, file_hash: str, mirrors: tuple[str, ...]) -> dict[str, int]:
    """{word: its number} of a file."""
    found = find_or_fetch(dataset, path, name, file_hash, mirrors)
    try:
        index = json.loads(read_unzipped(found, _LARGEST_INDEX))
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{found}: expected words and their numbers in JSON. Received: {error}") from error
    if not isinstance(index, dict) or not all(type(number) is int for number in index.values()):
        raise ValueError(f"{found}: expected words and their numbers in JSON. Received: {type(index).__name__}")
    return index
