"""CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes.

Source: A. Krizhevsky (2009), "Learning multiple layers of features from tiny images", technical report, University of
Toronto; https://www.cs.toronto.edu/~kriz/cifar.html, the binary version. The authors state no licence and ask to be
cited.
"""

import io
import tarfile
from pathlib import Path

import numpy as np

from jitnet.datasets._files import fetch, find_user_files, read_unzipped
from jitnet.datasets._records import parse_records

MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
"""Folders the archive is fetched from, tried in order; assign another tuple to use a mirror of your own."""

SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
"""Of the published ``cifar-10-binary.tar.gz``; a download that differs is thrown away."""

_ARCHIVE = "cifar-10-binary.tar"
_FOLDER = "cifar-10-batches-bin"
_BATCHES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
_RECORDS = 10_000
_IMAGE_BYTES = 3 * 32 * 32


def load_data():
    """CIFAR-10 as ``(x_train, y_train), (x_test, y_test)``.

    x_train: (50000, 32, 32, 3) uint8, red, green, blue; y_train: (50000, 1) uint8, 0 to 9;
    x_test: (10000, 32, 32, 3); y_test: (10000, 1).
    Classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
    Looks in ``JITNET_DATA_DIR/cifar10/`` (your own files: parsed and validated, no checksum) for
    ``cifar-10-binary.tar.gz``, or for ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, there or in
    ``cifar-10-batches-bin/``; then in the user's cache, then on ``MIRRORS``. Raises ValueError for a file that is not
    what it should be, FileNotFoundError if your folder lacks some of them, OSError if no mirror delivers.
    """
    loose = find_user_files("cifar10", _BATCHES) or find_user_files("cifar10", _BATCHES, _FOLDER)
    if loose:
        batches = [_parse_batch(read_unzipped(loose[name], _batch_bytes()), loose[name]) for name in _BATCHES]
    else:
        archive = find_user_files("cifar10", [_ARCHIVE])
        path = archive[_ARCHIVE] if archive else fetch("cifar10", f"{_ARCHIVE}.gz", SHA256, MIRRORS)
        batches = _read_archive(path)
    images, labels = zip(*batches, strict=True)
    return (np.concatenate(images[:-1]), np.concatenate(labels[:-1])), (images[-1], labels[-1])


def _read_archive(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The six batches, by their names inside the archive; nothing is extracted and other members are ignored."""
    contents = {}
    wanted = {f"{_FOLDER}/{name}": name for name in _BATCHES}
    # the published archive has the six batches, three small files, and headers
    unpacked = read_unzipped(path, 2 * len(_BATCHES) * _batch_bytes() + (1 << 20))
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            end = -1
            for member in archive:
                if member.offset <= end:  # a negative size leads back
                    raise tarfile.ReadError(f"the member {member.name!r} lies before its predecessor")
                end = member.offset
                name = wanted.get(member.name)
                if name and member.isreg():
                    contents[name] = archive.extractfile(member).read(_batch_bytes() + 1)
    except Exception as error:
        # tarfile raises whatever its arithmetic on damaged headers does
        raise ValueError(f"{path}: expected a whole tar archive, gzipped or not. Received: {error!r}") from error
    found = {name: _parse_batch(data, f"{path}: {_FOLDER}/{name}") for name, data in contents.items()}
    missing = [name for name in _BATCHES if name not in found]
    if missing:
        raise ValueError(f"{path}: expected {_FOLDER}/ with {', '.join(_BATCHES)}. Received: no {', '.join(missing)}")
    return [found[name] for name in _BATCHES]


def _batch_bytes() -> int:
    return _RECORDS * (1 + _IMAGE_BYTES)


def _parse_batch(data: bytes, source: Path | str) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = parse_records(data, _RECORDS, _IMAGE_BYTES, source)
    # The file has a whole red plane, then green, then blue.
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, labels.reshape(-1, 1).copy()


def __dir__():
    return ["load_data"]
