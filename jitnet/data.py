"""From the user's arrays to the arrays that a step reads: shapes and values are checked before any kernel runs."""

import ctypes
from functools import partial

import numpy as np

from . import losses
from ._structures import flatten, leaves_like, mapped
from .config import device
from .core.errors import invalid
from .core.lengths import fits
from .core.operations.base import display
from .core.policy import floatx
from .running.foreign import as_array, columns
from .running.stored import StoredArray
from .targets.cuda.arrays import DeviceArray, is_on_device

CHECK_BLOCK = 1 << 22  # elements looked at together when data are searched for NaN


def as_structure(x, what: str = "x"):
    """A NumPy array, or lists, tuples and dicts of them, as arrays in lists and dicts."""
    found = single(_as_structure(x, what))
    arrays = flatten(found)
    if not arrays:
        raise ValueError(f"{what} has no arrays. Received: {x!r}")
    for array in arrays:
        if array.ndim == 0:
            raise ValueError(f"{what} needs a batch axis. Received: a single number")
    lengths = {len(a) for a in arrays}
    if len(lengths) > 1:
        raise ValueError(f"All arrays of {what} need the same number of samples. Received: lengths={sorted(lengths)}")
    if lengths == {0}:
        raise ValueError(f"{what} has no samples: an empty batch cannot be used. Received: shape={arrays[0].shape}")
    return found


def _as_structure(x, what: str):
    if isinstance(x, dict):
        return {key: _as_structure(part, f"{what}[{key!r}]") for key, part in x.items()}
    if _is_several(x):
        return [_as_structure(part, f"{what}[{i}]") for i, part in enumerate(x)]
    return as_numbers(x, what)


def _is_several(x) -> bool:
    """Whether ``x`` holds several arrays; a list of numbers, or of lists of them, is one array."""
    several = isinstance(x, list) and len(x) > 0
    return isinstance(x, tuple) or (
        several and all(hasattr(a, "shape") or isinstance(a, dict) or _is_several(a) for a in x)
    )


def single(structure):
    """A list of one part as this part."""
    return structure[0] if isinstance(structure, list | tuple) and len(structure) == 1 else structure


def samples_of(x) -> int:
    """The number of samples of an array or a structure of them."""
    return len(flatten(as_structure(x))[0])


def as_numbers(x, what: str) -> np.ndarray | DeviceArray:
    """``x`` as a NumPy array of numbers, or where it is if that is a GPU on which models run."""
    if is_on_device(x):
        if device() == "cpu":
            raise ValueError(f"{what} lies on a GPU: pass device='cuda', or copy it to the host first: x.cpu() say.")
        return x if isinstance(x, DeviceArray) else DeviceArray(x, what)
    x = as_array(x, what)
    try:
        array = x if isinstance(x, np.memmap) else np.asarray(x)
    except ValueError:
        raise ValueError(
            f"{what} must be an array: the parts of a nested list need the same length. Received: {type(x).__name__}"
        ) from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} must hold numbers.{_way_to_numbers(x, array, what)} Received: dtype={array.dtype}")
    return array


def _way_to_numbers(x, array: np.ndarray, what: str) -> str:
    """What makes numbers of an array that holds none, as a sentence after a space; "" if nothing is known to."""
    if array.dtype.kind in "US":
        return " Strings become numbers by layers.StringLookup, on the data."
    if callable(x):
        return f" A function that yields batches is called first: {what}={getattr(x, '__name__', 'function')}()."
    if array.dtype.kind == "O" and array.ndim:
        return f" If its objects are numbers, convert them: {what}.astype('float32')."
    return f" Convert them: {what}.astype('float32')." if array.dtype.name == "bfloat16" else ""


def _converted(array: np.ndarray, dtype) -> np.ndarray:
    """In the step's dtype; what is too large for it becomes inf, which ``check_finite`` reports."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype)


def _checked(array: np.ndarray, numbers=None, *, dtype, what: str) -> np.ndarray:
    """In the step's dtype, finite; numbers: of the samples, for messages."""
    converted = _converted(array, dtype)
    if array.dtype.kind == "f":  # any integer is finite
        check_finite(converted, what, numbers)
    return writeable(converted)


def _in_step(array: np.ndarray, dtype, what: str) -> np.ndarray | StoredArray:
    """An array as a step takes it; one in a file stays there."""
    convert = partial(_checked, dtype=dtype, what=what)
    return StoredArray(array, convert) if isinstance(array, np.memmap) else convert(array)


def prepare_inputs(model: str, arrays, tensors, what: str = "x") -> list[np.ndarray]:
    """Arrays, one for each of the model's inputs, in their dtypes and checked against their shapes."""
    prepared = []
    for array, tensor in zip(arrays, tensors, strict=True):
        expected = tensor.shape[1:]
        if not fits(array.shape[1:], expected) and not isinstance(array, DeviceArray):
            array = with_channels(array, expected)
        if not fits(array.shape[1:], expected):
            hint = ""
            if array.ndim == len(expected):
                hint = f" The first axis is the batch: for a single sample pass {what}[None]."
            received = "" if what == "x" else f"{what} with "
            raise ValueError(
                f"The input {tensor.name!r} of the model {model!r} expects shape {display(tensor.shape)}.{hint} "
                f"Received: {received}shape={array.shape}"
            )
        if isinstance(array, DeviceArray):
            prepared.append(array.of_type(tensor.dtype, what))
            continue
        prepared.append(_in_step(array, tensor.dtype, what))
    return prepared


def with_channels(array: np.ndarray, expected) -> np.ndarray:
    """The array with or without a last axis of one element, where that is all that it lacks, as in Keras."""
    if expected[-1:] == (1,) and fits(array.shape[1:], expected[:-1]):
        return array[..., None]
    if array.ndim > 2 and array.shape[-1] == 1 and fits(array.shape[1:-1], expected):
        return array[..., 0]
    return array


def writeable(array: np.ndarray) -> np.ndarray:
    """The same memory as an array that says it is writeable: Numba compiles kernels anew for a read-only one.

    The step never writes into it.
    """
    if array.flags.writeable:
        return array
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    result = np.frombuffer(memory, array.dtype).reshape(array.shape).view(_KeepsOwner)
    result.owner = array
    return result.view(np.ndarray)


class _KeepsOwner(np.ndarray):
    """An array that keeps the owner of its memory alive."""

    owner = None


def prepare_any(array: np.ndarray, what: str) -> np.ndarray:
    """An array for a step of the user's own: integers as int64, other numbers in the type of new layers, checked."""
    dtype = np.int64 if array.dtype.kind in "iub" else floatx()
    return array.of_type(dtype, what) if isinstance(array, DeviceArray) else _in_step(array, dtype, what)


def check_finite(array: np.ndarray, what: str, numbers=None) -> None:
    """Raise for NaN or inf, naming the first place; numbers: of the samples, where they are not all from 0 on."""
    if array.dtype.kind != "f":
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHECK_BLOCK):
        block = flat[start : start + CHECK_BLOCK]
        # a finite sum means that all elements are finite; only a suspect block is searched
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = not np.isfinite(block.sum(dtype=max(block.dtype, np.dtype("float32"))))
        if suspect:
            bad = np.flatnonzero(~np.isfinite(block))
            if bad.size:
                place = np.unravel_index(start + int(bad[0]), array.shape)
                value = array[place]
                place = place if numbers is None else (numbers[place[0]], *place[1:])
                raise ValueError(
                    f"{what} contains {value} at index {tuple(int(i) for i in place)}. Clean the data first, "
                    f"for example with numpy.nan_to_num. Received: shape={array.shape}"
                )


def prepare_target(
    loss, y, prediction, as_given: bool, samples: int, what: str = "y", whole: bool = True, numbers=None, total=None
) -> np.ndarray:
    """Targets as ``loss`` needs them for ``prediction`` (a symbolic tensor), checked.

    as_given: a user's own loss or metric gets them in the shape that they have; a column of a table is (samples, 1).
    whole: whether they are all of a run's, so that labels on a GPU are copied once, to look at them.
    numbers, total: for messages: which of how many samples they are, where they are some of them.
    """
    is_column = as_given and type(y).__module__.partition(".")[0] == "pandas"
    y = as_numbers(y, what)
    y = y[:, None] if is_column and y.ndim == 1 else y
    if y.ndim == 0 or len(y) != samples:
        raise ValueError(f"{what} needs {samples} samples, as its x has. Received: shape={y.shape}")
    if isinstance(y, np.memmap):
        return StoredArray(
            y, lambda rows, n: prepare_target(loss, rows, prediction, as_given, len(rows), what, whole, n, len(y))
        )
    if isinstance(y, DeviceArray):
        y = y.of_type("int64" if loss.sparse else prediction.dtype, what)
    else:
        check_finite(y, what, numbers)
        y = losses.prepare_targets(loss, y, prediction.shape, prediction.dtype, as_given, what)
    expected = losses.target_shape(loss, prediction.shape)
    if losses.leaves_targets_open(loss):
        expected = None  # what fits is the user's to know
    fits = expected is None or y.shape[1:] == expected
    if as_given and not fits:  # there it gets the shape that the loss needs
        fits = y.shape[1:] == (*expected, 1) if loss.sparse else (*y.shape[1:], 1) == expected == (1,)
    if not fits:
        hint = ""
        if loss.sparse and y.shape[1:] == prediction.shape[1:]:
            hint = " For one-hot targets use CategoricalCrossentropy."
        elif isinstance(loss, losses.CategoricalCrossentropy) and y.shape[1:] in ((), (1,)):
            hint = " For integer labels use SparseCategoricalCrossentropy."
        raise ValueError(
            f"{loss.name} expects {what} of shape {display((None, *expected))} for predictions of shape "
            f"{display(prediction.shape)}.{hint} Received: shape={(total or len(y), *y.shape[1:])}"
        )
    if isinstance(y, DeviceArray):
        if whole and loss.sparse:
            losses.check_labels(loss, np.asarray(y), prediction.shape, what)
        return y
    y = np.ascontiguousarray(y)
    check_finite(y, what, numbers)
    return y


def by_output(given, structure, names: list[str], owner: str, place: str) -> list:
    """One part of ``given`` per output of a model: of the structure of the outputs, or a dict by their names.

    The parts of a list without dicts and lists in it are counted where they are used.
    """
    parts = structure if isinstance(structure, list) else [structure]
    given = columns(given) if len(names) > 1 else given
    if isinstance(given, dict) or any(isinstance(part, list | dict) for part in parts):
        return leaves_like(structure, given, names, "output", owner, place)
    return list(given) if len(names) > 1 and isinstance(given, list | tuple) else [given]


def weights_by_output(sample_weight, structure, names: list[str], owner: str, what: str = "sample_weight") -> list:
    """The weights of every output's samples, None for weights of 1; of length one if all outputs have the same.

    A dict by the names of outputs needs no weights for all of them.
    """
    if isinstance(sample_weight, dict) and sample_weight.keys() <= set(names):
        return [sample_weight.get(name) for name in names]
    several = isinstance(sample_weight, list | tuple) and any(
        part is None or isinstance(part, list | tuple | dict) or getattr(part, "ndim", 0) for part in sample_weight
    )
    if isinstance(sample_weight, dict) or (several and len(names) > 1):
        return leaves_like(structure, sample_weight, names, "output", owner, what)
    return [sample_weight]


def prepare_weights(
    sample_weight, samples: int, dtype, what: str = "sample_weight", of_one_step: bool = False
) -> np.ndarray:
    """Weights (samples,), or (samples, ...): the first axes of a loss's values, which they weigh.

    of_one_step: the values have an axis of one step, so that (samples, 1) is of this kind.
    """
    if sample_weight is None:
        return np.ones(samples, dtype)
    given = as_numbers(sample_weight, what)
    given = np.asarray(given) if isinstance(given, DeviceArray) else given  # a number for each sample
    if given.shape == (samples, 1) and not of_one_step:
        given = given.reshape(samples)
    if given.ndim == 0 or len(given) != samples:
        raise ValueError(
            f"{what} expects shape ({samples},). Weights of positions have more axes: ({samples}, ...). "
            f"Received: shape={given.shape}"
        )
    return _in_step(np.asarray(given) if given.ndim == 1 else given, dtype, what)


def class_weights(class_weight, y, prediction) -> np.ndarray:
    """The weight of each sample's class; classes that are not in ``class_weight`` have weight 1.

    y: the prepared targets; prediction: the symbolic output.
    """
    classes = max(prediction.shape[-1], 2)  # one output stands for two classes
    if not isinstance(class_weight, dict):
        raise invalid("class_weight is a dict {label: weight}.", class_weight=class_weight)
    table = np.ones(classes)
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise invalid(f"class_weight expects labels from 0 to {classes - 1}.", label=label)
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number) or not np.isfinite(weight):
            raise invalid(f"class_weight expects a finite number for label {label}.", weight=weight)
        table[label] = weight
    y = np.asarray(y)
    if y.dtype.kind == "f":
        y = y.argmax(axis=-1) if y.shape[-1] > 1 else y[..., 0]
    if y.ndim != 1 or not np.isin(y, np.arange(classes)).all():
        raise ValueError(f"class_weight needs targets with one class per sample. Received: shape of y={y.shape}")
    return table[y.astype(np.int64)].astype(prediction.dtype)


def split(arrays, fraction: float):
    """(the first part, the last ``fraction``) of all arrays, as Keras's validation_split has it."""
    is_number = isinstance(fraction, int | float | np.number)
    if not is_number or not 0 < fraction < 1:
        raise invalid("validation_split is between 0 and 1.", validation_split=fraction)
    samples = len(arrays[0])
    at = int(samples * (1 - fraction))
    if at == 0 or at == samples:
        raise ValueError(
            f"validation_split leaves no samples for one of the parts. Received: validation_split={fraction} "
            f"for {samples} samples"
        )
    return [a[:at] for a in arrays], [a[at:] for a in arrays]


def split_structures(parts: tuple, fraction: float) -> tuple:
    """(the first part, the last ``fraction``) of structures of arrays, each like ``parts``."""
    arrays = [None if part is None else as_structure(part, "x") for part in parts]
    kept, held = split([leaf for leaf in flatten(arrays) if leaf is not None], fraction)
    return tuple(_filled(arrays, iter(kept))), tuple(_filled(arrays, iter(held)))


def _filled(structure, arrays):
    """The structure with the next of ``arrays`` for every leaf that is there."""
    return mapped(lambda leaf: None if leaf is None else next(arrays), structure)
