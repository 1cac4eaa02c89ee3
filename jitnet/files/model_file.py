"""The file that a model is saved in: a safetensors file, whose metadata say what it holds.

The tensors are ``weights/<layer>/<weight>`` and ``optimizer/<slot>/<layer>/<weight>``; in a checkpoint
``training/...`` instead of the latter.  The metadata are
  "jitnet"           JSON: "format_version", "jitnet_version", "weights" (the weights' names in the order of
                     ``get_weights``) and, for a whole model, "model" (its configuration), "compile", "iterations",
                     "floatx", "inputs", "input_structure", "random_streams" and "compressed" (which weights
                     have masks or are integers); for a checkpoint "training" (see
                     ``_training_state``) and "arrays" (the names of its other tensors)
  "jitnet_checksum"  CRC-32 over the bytes of that JSON, and over the tensors' names, dtypes, shapes and values

Format 1 (jitnet 0.1 before its release) has no "jitnet_checksum": its JSON holds a "checksum" over the values alone.
Its "weights" are those that can be trained before all others, not layer by layer.
Format 2 has no "input_structure"; its models know lists of inputs and outputs alone, its layers one argument.
The checksum is against damage; who wants to can write a file with the right one, so nothing that follows relies on it.
"""

import errno
import json
import os
import reprlib
import warnings
import zlib

import numpy as np
import safetensors
import safetensors.numpy

from .. import __version__
from . import atomic, schema

FORMAT_VERSION = 3
_KEY, _CHECKSUM_KEY = "jitnet", "jitnet_checksum"
_EXPECTED = "a safetensors file written by jitnet's model.save or model.save_weights"
_DTYPES = ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "F32", "F64")
_LARGEST_RANK = 32
# suffixes of Keras, which promise formats that are not written here: scripts name their files so
_FOREIGN_SUFFIXES = (".keras", ".h5", ".hdf5")
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as Keras's own files (.keras) are",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras's older files (.h5) are",
}


# ---- writing


def target(filepath, overwrite: bool) -> str:
    """The path to write to, links followed, so that a link stays one."""
    _warn_of_suffix(filepath)
    path = os.path.realpath(os.fspath(filepath))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "A model is saved into a file, and this is a directory: add a name", path)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(errno.EEXIST, "The file exists: choose another name or pass overwrite=True", path)
    return path


def _warn_of_suffix(filepath) -> None:
    """Warn if the name promises a format of Keras's."""
    path = os.fspath(filepath)
    root, suffix = os.path.splitext(path)
    if suffix.lower() in _FOREIGN_SUFFIXES:
        warnings.warn(
            f"jitnet writes safetensors files, and {suffix} is the suffix of a format of Keras's, which fails to read "
            f"this one: jitnet alone will. A better name is {os.path.basename(root)}.safetensors. "
            f"Received: filepath={path!r}",
            UserWarning,
            stacklevel=5,
        )


def write(path: str, tensors: dict, description: dict) -> None:
    """Write a file; an earlier one is as it was until the new one is complete.

    Raises ValueError for a description that JSON has no place for, OSError if the file cannot be written.
    """
    description = {"format_version": FORMAT_VERSION, "jitnet_version": __version__, **description}
    try:
        text = json.dumps(description, default=_plain)
    except (TypeError, RecursionError) as error:
        raise ValueError(
            f"The model's configuration must consist of numbers, strings, lists and dicts: {error}. Correct the "
            "get_config of your own layers."
        ) from None
    try:
        metadata = {_KEY: text, _CHECKSUM_KEY: f"{_checksum(text, tensors):08x}"}
    except UnicodeEncodeError as error:
        raise ValueError(f"A weight's name must be text that UTF-8 can encode. Received: {error.object!r}") from None
    try:
        atomic.write(path, safetensors.numpy.save(tensors, metadata=metadata))
    except OSError as error:
        raise OSError(error.errno, _advice(error, path), path) from error


def _plain(value):
    """NumPy's numbers and arrays as Python's, for JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in JSON")


def _advice(error: OSError, path: str) -> str:
    directory = os.path.dirname(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        problem = f"no space is left in {directory}: free some, or save elsewhere"
    elif error.filename2 is not None and isinstance(error, PermissionError):
        # both names: the whole new file lay beside the old one
        problem = f"{path} cannot be replaced: close the program that has it open, change its permissions, or rename it"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        problem = f"{directory} cannot be written to: change its permissions, or save elsewhere"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        problem = f"the directory {directory} does not exist: make it first"
    else:
        problem = f"{error.strerror or error}"
    return f"Saving failed, {problem}. An earlier file is unchanged"


def _checksum(text: str, tensors: dict) -> int:
    """CRC-32 over a description, and over tensors in the order of their names."""
    value = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype.name} {tensor.shape}".encode(), value)
        value = _checksum_of_values(tensor, value)
    return value


def _checksum_of_values(tensor, value: int) -> int:
    return zlib.crc32(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8), value)


# ---- reading


def read(filepath) -> tuple[str, dict, dict]:
    """(path, tensors, description) of a file, both checked: what they promise is there, and no more.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: it is damaged, of another format, or from a newer version of jitnet.
    """
    path = os.fspath(filepath)
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, f"There is no such file; expected {_EXPECTED}", path)
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a file. Expected {_EXPECTED}.")
    metadata, tensors = _read_tensors(path)
    if _KEY not in metadata:
        raise ValueError(
            f"{path} is a safetensors file, but not from jitnet: its metadata lack the entry {_KEY!r}. "
            f"Expected {_EXPECTED}."
        )
    try:
        description = json.loads(metadata[_KEY], object_pairs_hook=_without_duplicates)
        schema.record(format_version=schema.whole(1, 2**31))(description, "description")
        version = description["format_version"]
        if version > FORMAT_VERSION:
            writer = description.get("jitnet_version")
            raise _Newer(
                f"{path} was written by jitnet {writer} in format {version}; this is jitnet {__version__}, which reads "
                f"formats up to {FORMAT_VERSION}. Upgrade jitnet."
            )
        if not _sound(version, metadata, description, tensors):
            raise ValueError("its values do not match their checksum")
        _check_description(description, tensors)
    except _Newer as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}. Expected {_EXPECTED}.") from None
    return path, tensors, description


class _Newer(Exception):
    """The file is whole, but newer."""


def _read_tensors(path: str) -> tuple[dict, dict]:
    with open(path, "rb") as file:  # what cannot be read is the system's error, not damage
        start = file.read(8)
    for signature, kind in _FOREIGN.items():
        if start.startswith(signature):
            raise ValueError(
                f"{path} is {kind}, and jitnet doesn't read those. Expected {_EXPECTED}. To take over the weights of a "
                "Keras model: build the same model here, then model.set_weights(keras_model.get_weights())."
            )
    try:
        # safetensors itself compares shapes and dtypes with the size of the file, before anything is allocated
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {}
            metadata = file.metadata() or {}
            for name in file.keys() if _KEY in metadata else ():
                stored = file.get_slice(name)
                if stored.get_dtype() not in _DTYPES or len(stored.get_shape()) > _LARGEST_RANK:
                    raise ValueError(f"{name!r} is of dtype {stored.get_dtype()} and rank {len(stored.get_shape())}")
                tensors[name] = file.get_tensor(name)
    except OSError:
        raise
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or of another format. Expected {_EXPECTED}. "
            f"Received: {os.path.getsize(path)} bytes ({error})"
        ) from None
    return metadata, tensors


def _without_duplicates(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in its description")
    return found


def _sound(version: int, metadata: dict, description: dict, tensors: dict) -> bool:
    if version >= 2:
        return metadata.get(_CHECKSUM_KEY) == f"{_checksum(metadata[_KEY], tensors):08x}"
    value = 0
    for name in sorted(tensors):
        value = _checksum_of_values(tensors[name], value)
    return description.get("checksum") == value


def _metric(value, place):
    if isinstance(value, list):
        schema.items(_metric)(value, place)
    elif not isinstance(value, str | None):  # a name, or no metric of an output
        schema.described(value, place)


def _loss(value, place):
    if not isinstance(value, str | None):  # a function's name, or no loss of an output
        schema.described(value, place)


def _loss_weights(value, place):
    if isinstance(value, list):
        schema.items(schema.optional(_loss_weight))(value, place)
    else:
        _loss_weight(value, place)


def _loss_weight(value, place):
    if isinstance(value, dict):  # a schedule
        schema.described(value, place)
    elif not isinstance(value, str) or ">" not in value:  # a function's name
        schema.number(value, place)


def _jit_compile(value, place):
    if not isinstance(value, bool | int | str) or value not in (True, False, "auto"):
        raise schema.wrong(place, 'True, False or "auto"', value)


_compiled = schema.record(
    optimizer=schema.optional(schema.described), losses=schema.items(_loss), metrics=schema.items(_metric),
    loss_weights=schema.optional(_loss_weights), jit_compile=_jit_compile,
)  # fmt: skip


def _compile(value, place):
    _compiled(value, place)
    schema.one_of("normal", "low")(value.get("memory", "normal"), f"{place}.memory")


_weights = schema.record(weights=schema.items(schema.text))
_whole_model = schema.record(
    model=schema.described, compile=schema.optional(_compile), floatx=schema.one_of("float32", "float64"),
    inputs=schema.optional(schema.items(schema.tensor)), random_streams=schema.items(schema.whole(0, 2**32 - 1)),
)  # fmt: skip
_checkpoint = schema.record(training=schema.record(), arrays=schema.items(schema.text))
# random numbers are a function of the step, of which their generator takes 47 bits
_iterations = schema.record(iterations=schema.whole(0, 2**47 - 1))


def _check_description(description: dict, tensors: dict) -> None:
    """Raise ValueError unless the description has its parts, and the tensors are those that it names."""
    _weights(description, "description")
    names = description["weights"]
    if len(set(names)) != len(names):
        raise ValueError("two of its weights have one name")
    stored = {name.removeprefix("weights/") for name in tensors if name.startswith("weights/")}
    if stored != set(names):
        raise ValueError(
            f"of its weights it lacks {reprlib.repr(sorted(set(names) - stored))} and doesn't list "
            f"{reprlib.repr(sorted(stored - set(names)))}"
        )
    arrays = set()
    if "training" in description:
        _checkpoint(description, "description")
        arrays.update(description["arrays"])
        if not arrays <= set(tensors):
            raise ValueError(f"it lacks {reprlib.repr(sorted(arrays - set(tensors)))}")
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        weight = rest.partition("/")[2]
        if kind == "optimizer" and weight in stored and tensor.size <= tensors[f"weights/{weight}"].size:
            continue  # its shape, the optimizer knows
        if kind == "training" and name in arrays:
            continue
        if kind != "weights":
            raise ValueError(f"it holds {name!r} of shape={tensor.shape}, which belongs to none of its weights")
    if "model" in description:
        _whole_model(description, "description")
        if description["inputs"] is not None and "input_structure" in description:
            schema.structure(len(description["inputs"]))(description["input_structure"], "description.input_structure")
        if description["compile"] is not None and description["compile"]["optimizer"] is not None:
            _iterations(description, "description")
