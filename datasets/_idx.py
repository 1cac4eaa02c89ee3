"""The IDX format of MNIST and Fashion-MNIST (LeCun, Cortes, Burges: "The MNIST database of handwritten digits").

Bytes 0-1 are zero, byte 2 is the data type, byte 3 the number of dimensions; then each dimension as a big-endian
32-bit number, then the data, last dimension fastest.
"""

import math
from pathlib import Path

import numpy as np

from jitnet.datasets._files import fetch, find_user_files, read_unzipped
from jitnet.datasets._labels import check_labels

_UNSIGNED_BYTE = 0x08
_IMAGE_SHAPE = (28, 28)
_PARTS = ("train", "t10k")


def parse_idx(data: bytes, rank: int, source: Path | str) -> np.ndarray:
    """The uint8 array of ``rank`` dimensions in the bytes of an IDX file; ``source`` names the file in errors.

    Raises ValueError on a bad magic number, another data type or rank, a truncated file, or bytes after the data.
    """
    header_bytes = 4 + 4 * rank
    if len(data) < 4:
        raise ValueError(f"{source}: truncated, expected an IDX header of {header_bytes} bytes. Received: {len(data)}")
    if data[:2] != b"\0\0":
        raise ValueError(
            f"{source}: bad magic number, an IDX file of {rank} dimensions of unsigned bytes starts with "
            f"0x{_UNSIGNED_BYTE << 8 | rank:08x}. Received: 0x{data[:4].hex()}"
        )
    if data[2] != _UNSIGNED_BYTE:
        raise ValueError(
            f"{source}: wrong data type, expected code 0x{_UNSIGNED_BYTE:02x} (unsigned byte). "
            f"Received: 0x{data[2]:02x}"
        )
    if data[3] != rank:
        raise ValueError(f"{source}: expected {rank} dimensions. Received: {data[3]}")
    if len(data) < header_bytes:
        raise ValueError(f"{source}: truncated, expected an IDX header of {header_bytes} bytes. Received: {len(data)}")
    shape = tuple(int.from_bytes(data[start : start + 4], "big") for start in range(4, header_bytes, 4))
    expected = math.prod(shape)
    found = len(data) - header_bytes
    if found != expected:
        problem, more = ("truncated", "") if found < expected else ("bytes after the data", " or more")
        raise ValueError(
            f"{source}: {problem}, the header's shape {shape} needs {expected} bytes of data. Received: {found}{more}"
        )
    # A copy: an array over the file's bytes would be read-only.
    return np.frombuffer(data, np.uint8, offset=header_bytes).reshape(shape).copy()


def load_idx_dataset(dataset: str, checksums: dict[str, str], mirrors: tuple[str, ...]):
    """((x_train, y_train), (x_test, y_test)) from the four IDX files of ``dataset``, found or fetched.

    ``checksums`` maps the four gzipped files' names to their SHA-256; the user's own files are not held to it.
    """
    paths = find_user_files(dataset, [name.removesuffix(".gz") for name in checksums])
    if paths is None:
        paths = {
            name.removesuffix(".gz"): fetch(dataset, name, sha256, mirrors) for name, sha256 in checksums.items()
        }
    return tuple(
        _read_pair(paths[f"{part}-images-idx3-ubyte"], paths[f"{part}-labels-idx1-ubyte"]) for part in _PARTS
    )


def _read_pair(image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images = _read_idx(image_path, 3)
    labels = _read_idx(label_path, 1)
    if images.shape[1:] != _IMAGE_SHAPE or not len(images):
        raise ValueError(f"{image_path}: expected one or more images of 28x28. Received: shape {images.shape}")
    if len(images) != len(labels):
        raise ValueError(
            f"{label_path}: expected {len(images)} labels, one for each image of {image_path.name}. "
            f"Received: {len(labels)}"
        )
    check_labels(labels, label_path)
    return images, labels


def _read_idx(path: Path, rank: int) -> np.ndarray:
    """The array in an IDX file, gzipped or not; no more of it is unpacked than its header says."""
    header_bytes = 4 + 4 * rank
    header = read_unzipped(path, header_bytes)[:header_bytes]
    shape = [int.from_bytes(header[start : start + 4], "big") for start in range(4, header_bytes, 4)]
    # a header that is wrong in its first four bytes is refused whatever its numbers are
    right = header.startswith(bytes([0, 0, _UNSIGNED_BYTE, rank]))
    return parse_idx(read_unzipped(path, header_bytes + (math.prod(shape) if right else 0)), rank, path)
