"""Folders of pictures as data sets."""

import os

import numpy as np

from jitnet.core.errors import invalid, unknown_name

from .images import load_img
from .numerical import one_hot
from .py_dataset import PyDataset

__all__ = ["image_dataset_from_directory"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


def image_dataset_from_directory(
    directory, labels="inferred", label_mode="int", class_names=None, color_mode="rgb", batch_size=32,
    image_size=(256, 256), shuffle=True, seed=None, validation_split=None, subset=None, interpolation="bilinear",
    follow_links=False, crop_to_aspect_ratio=False, pad_to_aspect_ratio=False, data_format=None, format="tf",
    verbose=True,
):  # fmt: skip
    """A ``PyDataset`` of the pictures in a folder, with an attribute ``class_names``; needs Pillow.

    Batches are (images, labels): images float32 (batch, height, width, channels) from 0 to 255, labels int32 (batch,).

    directory: has a folder of pictures for each class.
    labels: "inferred", from the folders; a list of integers, one for each picture in the order of their paths; or None:
        batches are images alone.
    label_mode: "int", "categorical" (float32 rows), "binary" (float32 (batch, 1)), or None as with labels=None.
    class_names: the folders that are classes, in the order of their labels; by default all, sorted.
    color_mode: "rgb", "rgba" or "grayscale".
    batch_size: None: one picture per batch, without a batch axis.
    image_size: (height, width) or one number, to which pictures are resized.
    shuffle: whether pictures are drawn in a new order in every epoch, by ``seed``; else by their paths.
    validation_split, subset: the last fraction of the pictures, in an order that ``seed`` gives, is the "validation"
        set, the others are the "training" set; "both" returns both.
    interpolation: "bilinear" (four neighbours, whatever the size) or "nearest"; others of Keras's are refused.
    follow_links: whether folders that are links are looked into.
    crop_to_aspect_ratio, pad_to_aspect_ratio: whether pictures are cut, or filled with zeros, instead of distorted.
    data_format: "channels_last", or "channels_first" for (batch, channels, height, width).
    format: accepted for Keras's sake; verbose: whether the number of files is printed.

    Raises ValueError for other values and for folders without pictures.
    """
    if labels is None or label_mode is None:
        labels = label_mode = None
    if label_mode not in ("int", "categorical", "binary", None):
        raise invalid('`label_mode` is "int", "categorical", "binary" or None.', label_mode=label_mode)
    if labels not in ("inferred", None) and not isinstance(labels, list | tuple):
        raise invalid('`labels` is "inferred", a list of integers or None.', labels=labels)
    if class_names and labels != "inferred":
        raise invalid('`class_names` goes with labels="inferred".', class_names=class_names)
    if color_mode not in _CHANNELS:
        raise unknown_name("color mode", color_mode, _CHANNELS)
    if interpolation not in ("bilinear", "nearest"):
        raise invalid('Pictures are resized by "bilinear" or "nearest".', interpolation=interpolation)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("Pictures are cut or filled, not both. Received: crop_to_aspect_ratio=True, pad_to_..=True")
    if data_format not in (None, "channels_last", "channels_first"):
        raise invalid('`data_format` is "channels_last" or "channels_first".', data_format=data_format)
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise invalid("`image_size` is (height, width), in pixels.", image_size=image_size)
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise invalid("`batch_size` is an integer from 1 up, or None.", batch_size=batch_size)
    _check_split(validation_split, subset, shuffle, seed)
    seed = int(np.random.randint(10**6)) if seed is None else seed

    paths, numbers, names = _index(directory, labels, class_names, follow_links)
    if label_mode == "binary" and len(names) != 2:
        raise invalid('label_mode="binary" needs two classes.', class_names=names)
    order = np.random.default_rng(seed).permutation(len(paths)) if shuffle else np.arange(len(paths))
    if verbose:
        of = "" if names is None else f" of {len(names)} classes"
        print(f"Found {len(paths)} pictures{of}.")
    options = {
        "label_mode": label_mode, "class_names": names, "color_mode": color_mode, "batch_size": batch_size,
        "size": size, "nearest": interpolation == "nearest", "crop": crop_to_aspect_ratio, "pad": pad_to_aspect_ratio,
        "channels_first": data_format == "channels_first",
    }  # fmt: skip

    def part(kind):
        held = int(validation_split * len(order)) if validation_split else 0
        chosen = order[len(order) - held :] if kind == "validation" else order[: len(order) - held]
        if not len(chosen):
            raise ValueError(f"No pictures are left for the {kind} set. Received: {len(paths)} in {str(directory)!r}")
        again = shuffle and kind != "validation"
        labels = None if numbers is None else numbers[chosen]
        return _Pictures([paths[i] for i in chosen], labels, seed if again else None, **options)

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


def _index(directory, labels, class_names, follow_links) -> tuple:
    """(paths, labels or None, names of classes or None)"""
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise invalid("`directory` is a folder.", directory=directory)
    if labels != "inferred":
        paths = _pictures(directory, follow_links)
        if not paths:
            raise ValueError(f"{directory!r} has no pictures ({', '.join(SUFFIXES)}).")
        if labels is None:
            return paths, None, None
        if len(labels) != len(paths):
            raise ValueError(f"{directory!r} has {len(paths)} pictures. Received: {len(labels)} labels")
        return paths, np.asarray(labels), sorted(set(labels))
    folders = sorted(e.name for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
    names = list(class_names) if class_names else folders
    if missing := sorted(set(names) - set(folders)):
        raise ValueError(f"{directory!r} lacks folders for the classes {', '.join(missing)}. There are: {folders}")
    found = [_pictures(os.path.join(directory, name), follow_links) for name in names]
    paths = [path for part in found for path in part]
    if not paths:
        raise ValueError(f"{directory!r} has no folders with pictures ({', '.join(SUFFIXES)}). Received: {folders}")
    return paths, np.repeat(np.arange(len(names)), [len(part) for part in found]), names


def _pictures(directory, follow_links) -> list:
    found = []
    for folder, inner, files in os.walk(directory, followlinks=follow_links):
        inner.sort()
        found += [os.path.join(folder, name) for name in files if name.lower().endswith(SUFFIXES)]
    return sorted(found)


class _Pictures(PyDataset):
    """Batches of pictures, read from files when they are needed."""

    def __init__(
        self, file_paths, labels, seed, *, label_mode, class_names, color_mode, batch_size, size, nearest, crop, pad,
        channels_first,
    ):  # fmt: skip
        super().__init__(workers=4)
        self.file_paths, self.class_names = file_paths, class_names
        self._labels, self._label_mode, self._color_mode = labels, label_mode, color_mode
        self._batch_size, self._size, self._nearest, self._crop, self._pad = batch_size, size, nearest, crop, pad
        self._channels_first = channels_first
        self._generator = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(file_paths))

    def __len__(self):
        return -(-len(self._order) // (self._batch_size or 1))

    def on_epoch_end(self):
        if self._generator is not None:
            self._order = self._generator.permutation(len(self._order))

    def __getitem__(self, index):
        count = self._batch_size or 1
        chosen = self._order[index * count : (index + 1) * count]
        images = np.empty((len(chosen), *self._size, _CHANNELS[self._color_mode]), "float32")
        for image, number in zip(images, chosen, strict=True):
            image[...] = self._read(self.file_paths[number])
        if self._channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        images = images if self._batch_size else images[0]
        if self._labels is None:
            return images
        labels = self._labels[chosen].astype("int32")
        if self._label_mode == "categorical":
            labels = one_hot(labels, len(self.class_names))
        elif self._label_mode == "binary":
            labels = labels.astype("float32")[:, None]
        return images, labels if self._batch_size else labels[0]

    def _read(self, path):
        picture = np.asarray(load_img(path, self._color_mode), "float32")
        picture = picture[..., None] if picture.ndim == 2 else picture
        height, width = picture.shape[:2]
        rows, columns = self._size
        if self._crop:
            used_h, used_w = min(height, width * rows // columns), min(width, height * columns // rows)
            top, left = (height - used_h) // 2, (width - used_w) // 2
            picture = picture[top : top + used_h, left : left + used_w]
        elif self._pad:
            full_h, full_w = max(height, width * rows // columns), max(width, height * columns // rows)
            top, left = (full_h - height) // 2, (full_w - width) // 2
            picture = np.pad(picture, ((top, full_h - height - top), (left, full_w - width - left), (0, 0)))
        return resized(picture, self._size, self._nearest)


def resized(picture, size, nearest: bool):
    """A picture (height, width, channels) at another size, pixels' centres half a pixel from the edges."""
    for axis, length in enumerate(size):
        at = (np.arange(length) + 0.5) * (picture.shape[axis] / length)
        if nearest:
            picture = picture.take(at.astype(int), axis)
            continue
        at = np.clip(at - 0.5, 0, picture.shape[axis] - 1)
        low = at.astype(int)
        share = (at - low).astype("float32").reshape([-1 if i == axis else 1 for i in range(3)])
        low, high = picture.take(low, axis), picture.take(np.minimum(low + 1, picture.shape[axis] - 1), axis)
        picture = low + (high - low) * share
    return picture
