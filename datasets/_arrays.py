"""Arrays in NumPy's archives (.npz) and in pickles, of which only arrays, lists and numbers are made."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

LARGEST = 1 << 28  # bytes of one array


def _latin1(text, encoding="latin1"):
    """What pickles of bytes by Python 2 call."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"an encoding is named that bytes don't need: {encoding!r}")
    return text.encode("latin1")


class _OfArrays(pickle.Unpickler):
    """Makes arrays, lists, dicts, strings and numbers, and calls nothing else: a file can't run anything."""

    def find_class(self, module, name):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")


def unpickled(data: bytes, source: Path | str):
    """What a pickle of arrays, lists, dicts and numbers holds.  Raises ValueError for others; ``source`` names it."""
    try:
        return _OfArrays(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:
        # a damaged pickle raises whatever the objects that it is made of do
        raise ValueError(f"{source}: expected a pickle of arrays and lists. Received: {error!r}") from error


def read_arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """The arrays of these names in a .npz file; those of lists are arrays of objects.

    Raises ValueError for what is no such file, or lacks one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_array(archive, name, path) for name in names]
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: expected NumPy's archive of arrays (.npz). Received: {error!r}") from error


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    source = f"{path}: {name}.npy"
    try:
        size = archive.getinfo(f"{name}.npy").file_size
    except KeyError:
        raise ValueError(f"{source}: expected this array. Received: {', '.join(archive.namelist())}") from None
    if size > LARGEST:
        raise ValueError(f"{source}: expected up to {LARGEST} bytes. Received: {size}")
    data = archive.read(f"{name}.npy")
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
        if not dtype.hasobject:
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:
        raise ValueError(f"{source}: expected an array of NumPy. Received: {error!r}") from error
    found = unpickled(data[file.tell() :], source)
    if not isinstance(found, np.ndarray) or found.shape != shape:
        raise ValueError(f"{source}: expected an array of shape {shape}. Received: {type(found).__name__}")
    return found
