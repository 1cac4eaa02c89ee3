"""Arrays in NumPy's archives (.npz) and in pickles, of which only arrays, lists and numbers are made."""

import io
import pickle
import pickletools
import re
import struct
import zipfile
from pathlib import Path

import numpy as np

LARGEST = 1 << 28  # bytes of one array


class _Dtype:
    """A dtype in a pickle, which NumPy is not asked to make of what a file says."""

    def __init__(self, code, *others):
        self.code, self.order = _text(code), "|"

    def __setstate__(self, state):
        self.order = _text(state[1])

    def made(self) -> np.dtype:
        """The dtype: of numbers, or of objects."""
        if re.fullmatch(r"O[48]?", self.code):
            return np.dtype(object)
        if self.order not in tuple("<>|=") or not re.fullmatch(r"b1|[iu][1248]|f[248]", self.code):
            raise pickle.UnpicklingError(f"an array has the dtype {self.order}{self.code}")
        return np.dtype(self.order + self.code)


class _Array:
    """An array in a pickle: NumPy itself reads beyond what is there where a shape lies."""

    def __init__(self, *given):
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def made(self) -> np.ndarray:
        """The array, if as many values are there as its shape says."""
        _, shape, dtype, is_fortran, values = self.state
        dtype, count = dtype.made(), 1
        for length in shape:
            if type(length) is not int or length < 0:
                raise pickle.UnpicklingError("an array has a shape of something else than numbers")
            count *= length
        kind, size = (list, count) if dtype.hasobject else (bytes, count * dtype.itemsize)
        if type(values) is not kind or len(values) != size:
            raise pickle.UnpicklingError(f"an array of dtype {dtype} has not as many values as its shape says")
        if dtype.hasobject:
            array = np.empty(count, object)
            for place, value in enumerate(values):
                array[place] = value
        else:
            array = np.frombuffer(values, dtype).copy()
        return array.reshape(shape, order="F" if is_fortran else "C")


def _text(code) -> str:
    if not isinstance(code, bytes | str):
        raise pickle.UnpicklingError("something else stands in the place of a text")
    return code.decode("latin1") if isinstance(code, bytes) else code


def _latin1(text, encoding="latin1"):
    """What pickles of bytes by Python 2 call."""
    if _text(encoding) != "latin1":
        raise pickle.UnpicklingError(f"an encoding is named that bytes don't need: {encoding!r}")
    return _text(text).encode("latin1")


class _OfArrays(pickle.Unpickler):
    """Makes lists, dicts, strings, numbers and what stands for arrays, and calls nothing else."""

    def find_class(self, module, name):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _Array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return {"ndarray": _Array, "dtype": _Dtype}[name]
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")


def unpickled(data: bytes, source: Path | str):
    """What a pickle of an array, or of a dict of arrays, lists and numbers holds.

    Raises ValueError for others; ``source`` names it.
    """
    try:
        _check_places(data)
        found = _OfArrays(io.BytesIO(data), encoding="bytes").load()
        if isinstance(found, dict):
            return {key: value.made() if isinstance(value, _Array) else value for key, value in found.items()}
        return found.made() if isinstance(found, _Array) else found
    except Exception as error:
        # a damaged pickle raises whatever the objects that it is made of do
        raise ValueError(f"{source}: expected a pickle of arrays and lists. Received: {error!r}") from error


_OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
_LENGTHS = {  # of the size of what follows, where that is in the pickle
    pickletools.TAKEN_FROM_ARGUMENT1: "<B", pickletools.TAKEN_FROM_ARGUMENT4: "<i",
    pickletools.TAKEN_FROM_ARGUMENT4U: "<I", pickletools.TAKEN_FROM_ARGUMENT8U: "<Q",
}  # fmt: skip
_STOP, _PUT, _LONG_PUT = b".", b"p", b"r"


def _run_of_simple_opcodes() -> re.Pattern:
    """Of those that have an argument of a fixed size, and no place that memory is made for."""
    by_size: dict[int, bytes] = {}
    for code, opcode in _OPCODES.items():
        size = 0 if opcode.arg is None else opcode.arg.n
        if size >= 0 and code not in (_STOP, _LONG_PUT):
            by_size[size] = by_size.get(size, b"") + re.escape(code)
    parts = [b"[%s].{%d}" % (codes, size) for size, codes in sorted(by_size.items())]
    return re.compile(b"(?:%s){0,1000}" % b"|".join(parts), re.DOTALL)


_SIMPLE = _run_of_simple_opcodes()


def _check_places(data: bytes) -> None:
    """Raise UnpicklingError for an opcode that keeps an object at a place beyond the size of the pickle.

    The unpickler would make memory for all places before.
    """
    at, end = 0, len(data)
    while at < end:
        after = _SIMPLE.match(data, at).end()
        if after > at:
            at = after
            continue
        code = data[at : at + 1]
        opcode = _OPCODES.get(code)
        if code == _STOP or opcode is None:
            return  # the end, or what the unpickler refuses
        at += 1
        if code == _LONG_PUT:
            place, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        elif opcode.arg.n == pickletools.UP_TO_NEWLINE:
            for _ in range(2 if opcode.arg.name == "stringnl_noescape_pair" else 1):
                begin, at = at, data.find(b"\n", at) + 1
                if not at:
                    return
            place = int(data[begin:at]) if code == _PUT else 0
        else:
            length = _LENGTHS[opcode.arg.n]
            size = struct.calcsize(length)
            if at + size > end:
                return
            (following,) = struct.unpack_from(length, data, at)
            place, at = 0, at + size + max(0, following)
        if place > end:
            raise pickle.UnpicklingError(f"an object is kept at place {place}")


def read_arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """The arrays of these names in a .npz file; those of lists are arrays of objects.

    Raises ValueError for what is no such file, or lacks one.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return [_read_array(archive, name, path) for name in names]
        except Exception as error:
            if type(error) is ValueError:
                raise
            # zipfile raises whatever its arithmetic on damaged headers does
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
