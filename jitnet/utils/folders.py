"""Folders of files as data sets: a folder for each class."""

import os

import numpy as np

from jitnet.core.errors import invalid

from .batches_in_turn import Batches
from .numerical import one_hot


class LabelledFiles(Batches):
    """Batches of files, read when they are needed, and their labels.

    A subclass says which files (``suffixes``), what they are (``kind``), and reads some (``read``).
    """

    suffixes: tuple[str, ...]
    kind: str

    def __init__(self, file_paths, labels, seed, *, label_mode, class_names, batch_size):
        super().__init__(workers=4)
        self.file_paths, self.class_names = file_paths, class_names
        self._labels, self._label_mode, self._batch_size = labels, label_mode, batch_size
        self._generator = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(file_paths))

    def read(self, paths):
        """What the files hold, an array (len(paths), ...)."""
        raise NotImplementedError

    def __len__(self):
        return -(-len(self._order) // (self._batch_size or 1))

    def on_epoch_end(self):
        if self._generator is not None:
            self._order = self._generator.permutation(len(self._order))

    def __getitem__(self, index):
        count = self._batch_size or 1
        chosen = self._order[index * count : (index + 1) * count]
        found = self.read([self.file_paths[number] for number in chosen])
        found = found if self._batch_size else found[0]
        if self._labels is None:
            return found
        labels = self._labels[chosen].astype("int32")
        if self._label_mode == "categorical":
            labels = one_hot(labels, len(self.class_names))
        elif self._label_mode == "binary":
            labels = labels.astype("float32")[:, None]
        return found, labels if self._batch_size else labels[0]


def labelled(
    kind, directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
    verbose, **options,
):  # fmt: skip
    """The ``kind`` of LabelledFiles in a folder, or those of a subset, or of both; arguments as of Keras."""
    if labels is None or label_mode is None:
        labels = label_mode = None
    if label_mode not in ("int", "categorical", "binary", None):
        raise invalid('`label_mode` is "int", "categorical", "binary" or None.', label_mode=label_mode)
    if labels not in ("inferred", None) and not isinstance(labels, list | tuple):
        raise invalid('`labels` is "inferred", a list of integers or None.', labels=labels)
    if class_names and labels != "inferred":
        raise invalid('`class_names` goes with labels="inferred".', class_names=class_names)
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise invalid("`batch_size` is an integer from 1 up, or None.", batch_size=batch_size)
    _check_split(validation_split, subset, shuffle, seed)
    seed = int(np.random.randint(10**6)) if seed is None else seed

    paths, numbers, names = indexed(kind, directory, labels, class_names, follow_links)
    if label_mode == "binary" and len(names) != 2:
        raise invalid('label_mode="binary" needs two classes.', class_names=names)
    order = np.random.default_rng(seed).permutation(len(paths)) if shuffle else np.arange(len(paths))
    if verbose:
        of = "" if names is None else f" of {len(names)} classes"
        print(f"Found {len(paths)} {kind.kind}{of}.")
    options |= {"label_mode": label_mode, "class_names": names, "batch_size": batch_size}

    def part(which):
        held = int(validation_split * len(order)) if validation_split else 0
        chosen = order[len(order) - held :] if which == "validation" else order[: len(order) - held]
        if not len(chosen):
            raise ValueError(
                f"No {kind.kind} are left for the {which} set. Received: {len(paths)} in {str(directory)!r}"
            )
        again = shuffle and which != "validation"
        labels = None if numbers is None else numbers[chosen]
        return kind([paths[i] for i in chosen], labels, seed if again else None, **options)

    return (part("training"), part("validation")) if subset == "both" else part(subset or "training")


def _check_split(validation_split, subset, shuffle, seed) -> None:
    if (validation_split is None) != (subset is None):
        raise invalid("`validation_split` and `subset` go together.", validation_split=validation_split, subset=subset)
    if validation_split is None:
        return
    if not 0 < validation_split < 1:
        raise invalid("`validation_split` is between 0 and 1.", validation_split=validation_split)
    if subset not in ("training", "validation", "both"):
        raise invalid('`subset` is "training", "validation" or "both".', subset=subset)
    if shuffle and seed is None:
        raise invalid("Shuffled parts share nothing only if both are made with one `seed`.", seed=seed)


def indexed(kind, directory, labels, class_names, follow_links) -> tuple:
    """(paths, labels or None, names of classes or None)"""
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise invalid("`directory` is a folder.", directory=directory)
    if labels != "inferred":
        paths = _files(directory, kind.suffixes, follow_links)
        if not paths:
            raise ValueError(f"{directory!r} has no {kind.kind} ({', '.join(kind.suffixes)}).")
        if labels is None:
            return paths, None, None
        if len(labels) != len(paths):
            raise ValueError(f"{directory!r} has {len(paths)} {kind.kind}. Received: {len(labels)} labels")
        return paths, np.asarray(labels), sorted(set(labels))
    folders = sorted(e.name for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
    names = list(class_names) if class_names else folders
    if missing := sorted(set(names) - set(folders)):
        raise ValueError(f"{directory!r} lacks folders for the classes {', '.join(missing)}. There are: {folders}")
    found = [_files(os.path.join(directory, name), kind.suffixes, follow_links) for name in names]
    paths = [path for part in found for path in part]
    if not paths:
        suffixes = ", ".join(kind.suffixes)
        raise ValueError(f"{directory!r} has no folders with {kind.kind} ({suffixes}). Received: {folders}")
    return paths, np.repeat(np.arange(len(names)), [len(part) for part in found]), names


def _files(directory, suffixes, follow_links) -> list:
    found = []
    for folder, inner, files in os.walk(directory, followlinks=follow_links):
        inner.sort()
        found += [os.path.join(folder, name) for name in files if name.lower().endswith(suffixes)]
    return sorted(found)
