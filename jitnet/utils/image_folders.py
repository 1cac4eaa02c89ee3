"""Folders of pictures as data sets."""

import numpy as np

from jitnet.core.errors import invalid, unknown_name

from .folders import LabelledFiles, labelled
from .images import load_img

__all__ = ["image_dataset_from_directory"]

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


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
    if color_mode not in CHANNELS:
        raise unknown_name("color mode", color_mode, CHANNELS)
    if interpolation not in ("bilinear", "nearest"):
        raise invalid('Pictures are resized by "bilinear" or "nearest".', interpolation=interpolation)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("Pictures are cut or filled, not both. Received: crop_to_aspect_ratio=True, pad_to_..=True")
    if data_format not in (None, "channels_last", "channels_first"):
        raise invalid('`data_format` is "channels_last" or "channels_first".', data_format=data_format)
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise invalid("`image_size` is (height, width), in pixels.", image_size=image_size)
    options = {
        "color_mode": color_mode, "size": size, "nearest": interpolation == "nearest", "crop": crop_to_aspect_ratio,
        "pad": pad_to_aspect_ratio, "channels_first": data_format == "channels_first",
    }  # fmt: skip
    return labelled(
        Pictures, directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, verbose, **options,
    )  # fmt: skip


class Pictures(LabelledFiles):
    """Batches of pictures, read from files when they are needed."""

    suffixes = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
    kind = "pictures"

    def __init__(self, *arguments, color_mode, size, nearest, crop, pad, channels_first, **options):
        super().__init__(*arguments, **options)
        self._color_mode, self._size = color_mode, size
        self._nearest, self._crop, self._pad = nearest, crop, pad
        self._channels_first = channels_first

    def read(self, paths):
        images = np.empty((len(paths), *self._size, CHANNELS[self._color_mode]), "float32")
        for image, path in zip(images, paths, strict=True):
            image[...] = self._read(path)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self._channels_first else images

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
