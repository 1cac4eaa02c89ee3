"""CIFAR-100: 60,000 colour photographs of 32x32 pixels in a hundred classes, of twenty kinds.

Source: A. Krizhevsky (2009), "Learning multiple layers of features from tiny images", technical report, University of
Toronto; https://www.cs.toronto.edu/~kriz/cifar.html, the version for Python. The authors state no licence and ask to be
cited.
"""

import io
import tarfile
from pathlib import Path

import numpy as np

from jitnet.core.errors import invalid
from jitnet.datasets._arrays import unpickled
from jitnet.datasets._files import fetch, find_user_files, read_unzipped

MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
"""Folders the archive is fetched from, tried in order; assign another tuple to use a mirror of your own.

Neither the addresses nor the hash could be tried where this was written: the hash is the one that Keras 3.15 has."""

SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
"""Of the published ``cifar-100-python.tar.gz``; a download that differs is thrown away."""

_ARCHIVE = "cifar-100-python.tar"
_FOLDER = "cifar-100-python"
_PARTS = {"train": 50_000, "test": 10_000}
_PIXELS = 3 * 32 * 32
_CLASSES = {"fine": 100, "coarse": 20}
_LARGEST = 4 * sum(_PARTS.values()) * _PIXELS


def load_data(label_mode="fine"):
    """CIFAR-100 as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (50000, 32, 32, 3) uint8, red, green, blue; y_train: (50000, 1), 0 to 99; x_test: (10000, 32, 32, 3);
    y_test: (10000, 1).

    label_mode: "fine", or "coarse" for the twenty kinds, 0 to 19.

    Looks for ``cifar-100-python.tar.gz`` in ``JITNET_DATA_DIR/cifar100/`` (your own file: validated, no checksum), then
    in the user's cache, then on ``MIRRORS``. Raises ValueError for another label_mode and for a file that is not what
    it should be, OSError if no mirror delivers.
    """
    if label_mode not in _CLASSES:
        raise invalid('label_mode is "fine" or "coarse".', label_mode=label_mode)
    archive = find_user_files("cifar100", [_ARCHIVE])
    path = archive[_ARCHIVE] if archive else fetch("cifar100", f"{_ARCHIVE}.gz", SHA256, MIRRORS)
    contents = _members(path)
    return tuple(_parsed(contents[part], count, label_mode, f"{path}: {part}") for part, count in _PARTS.items())


def _members(path: Path) -> dict[str, bytes]:
    """Both files by their names; nothing is extracted and other members are ignored."""
    contents, wanted = {}, {f"{_FOLDER}/{part}": part for part in _PARTS}
    try:
        with tarfile.open(fileobj=io.BytesIO(read_unzipped(path, _LARGEST)), mode="r:") as archive:
            end = -1
            for member in archive:
                if member.offset <= end:  # a negative size leads back
                    raise tarfile.ReadError(f"the member {member.name!r} lies before its predecessor")
                end = member.offset
                if member.name in wanted and member.isreg():
                    contents[wanted[member.name]] = archive.extractfile(member).read(_LARGEST)
    except Exception as error:
        # tarfile raises whatever its arithmetic on damaged headers does
        raise ValueError(f"{path}: expected a whole tar archive, gzipped or not. Received: {error!r}") from error
    missing = [part for part in _PARTS if part not in contents]
    if missing:
        raise ValueError(f"{path}: expected {_FOLDER}/ with {', '.join(_PARTS)}. Received: no {', '.join(missing)}")
    return contents


def _shape(pixels):
    return pixels.shape if isinstance(pixels, np.ndarray) else type(pixels).__name__


def _parsed(data: bytes, count: int, label_mode: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    found = unpickled(data, source)
    key = f"{label_mode}_labels".encode()
    if not isinstance(found, dict) or b"data" not in found or key not in found:
        raise ValueError(f"{source}: expected a dict with data and {key.decode()}. Received: {type(found).__name__}")
    pixels, labels = found[b"data"], found[key]
    if not isinstance(pixels, np.ndarray) or pixels.shape != (count, _PIXELS) or pixels.dtype != np.uint8:
        raise ValueError(f"{source}: expected bytes ({count}, {_PIXELS}). Received: {_shape(pixels)}")
    classes = _CLASSES[label_mode]
    right = isinstance(labels, list) and len(labels) == count
    if not right or not all(type(label) is int and 0 <= label < classes for label in labels):
        raise ValueError(f"{source}: expected {count} labels from 0 to {classes - 1}. Received: others")
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.array(labels, np.int64).reshape(-1, 1)
