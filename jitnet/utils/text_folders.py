"""Folders of texts as data sets."""

import numpy as np

from jitnet.core.errors import invalid

from .folders import LabelledFiles, labelled

__all__ = ["text_dataset_from_directory"]


def text_dataset_from_directory(
    directory, labels="inferred", label_mode="int", class_names=None, batch_size=32, max_length=None, shuffle=True,
    seed=None, validation_split=None, subset=None, follow_links=False, format="tf", verbose=True,
):  # fmt: skip
    """A ``PyDataset`` of the texts (.txt, in UTF-8) in a folder, with an attribute ``class_names``.

    Batches are (texts, labels): strings (batch,), as objects, and labels int32 (batch,); a model that begins with
    ``layers.TextVectorization`` takes them, and that layer's ``adapt`` takes ``(texts for texts, _ in dataset)``.

    max_length: the most characters of a text that are kept; None: all.
    other arguments: as of ``image_dataset_from_directory``.

    Raises ValueError for other values, for folders without texts, and for a file that is not UTF-8.
    """
    if max_length is not None and (not isinstance(max_length, int) or max_length < 1):
        raise invalid("`max_length` is an integer from 1 up, or None.", max_length=max_length)
    return labelled(
        _Texts, directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, verbose, max_length=max_length,
    )  # fmt: skip


class _Texts(LabelledFiles):
    """Batches of texts, read from files when they are needed."""

    suffixes = (".txt",)
    kind = "texts"

    def __init__(self, *arguments, max_length, **options):
        super().__init__(*arguments, **options)
        self._max_length = max_length

    def read(self, paths):
        return np.array([self._read(path) for path in paths], dtype=object)

    def _read(self, path) -> str:
        with open(path, encoding="utf-8", newline="") as file:
            try:
                return file.read(-1 if self._max_length is None else self._max_length)
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not UTF-8: {error}") from None
