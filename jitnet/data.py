"""From the user's arrays to the arrays that a step reads: shapes and values are checked before any kernel runs."""

import ctypes

import numpy as np

from . import losses
from .operations.base import display

CHECK_BLOCK = 1 << 22  # elements looked at together when data are searched for NaN


def as_arrays(x, what: str = "x") -> list[np.ndarray]:
    """A NumPy array, or a list of them, as a list of arrays."""
    several = isinstance(x, tuple) or (isinstance(x, list) and len(x) > 0 and all(hasattr(a, "shape") for a in x))
    arrays = [np.asarray(a) for a in (x if several else [x])]
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{what} must hold numbers. Received: dtype={array.dtype}")
        if array.ndim == 0:
            raise ValueError(f"{what} needs a batch axis. Received: a single number")
    lengths = {len(a) for a in arrays}
    if len(lengths) > 1:
        raise ValueError(f"All arrays of {what} need the same number of samples. Received: lengths={sorted(lengths)}")
    if lengths == {0}:
        raise ValueError(f"{what} has no samples: an empty batch cannot be used. Received: shape={arrays[0].shape}")
    return arrays


def prepare_inputs(model: str, arrays, tensors, what: str = "x") -> list[np.ndarray]:
    """Arrays in the dtype of the model's inputs, checked against their shapes."""
    if len(arrays) != len(tensors):
        raise ValueError(
            f"The model {model!r} has {len(tensors)} inputs. Received: {len(arrays)} arrays in {what}"
        )
    prepared = []
    for array, tensor in zip(arrays, tensors, strict=True):
        expected = tensor.shape[1:]
        if array.shape[1:] != expected:
            hint = ""
            if array.shape[1:] + (1,) == expected:
                hint = f" Add the missing axis: {what}[..., None]."
            elif array.ndim == len(expected):
                hint = f" The first axis is the batch: for a single sample pass {what}[None]."
            raise ValueError(
                f"The input {tensor.name!r} of the model {model!r} expects shape {display(tensor.shape)}.{hint} "
                f"Received: shape={array.shape}"
            )
        array = np.ascontiguousarray(array, tensor.dtype)
        check_finite(array, what)
        prepared.append(writeable(array))
    return prepared


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


def check_finite(array: np.ndarray, what: str) -> None:
    """Raise for NaN or inf, naming the first place."""
    if array.dtype.kind != "f":
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHECK_BLOCK):
        block = flat[start : start + CHECK_BLOCK]
        # a sum is finite when all elements are; only a suspect block is searched
        if not np.isfinite(block.sum(dtype=np.float64)):
            bad = np.flatnonzero(~np.isfinite(block))
            if bad.size:
                place = np.unravel_index(start + int(bad[0]), array.shape)
                raise ValueError(
                    f"{what} contains {array[place]} at index {tuple(int(i) for i in place)}. Clean the data first, "
                    f"for example with numpy.nan_to_num. Received: shape={array.shape}"
                )


def prepare_target(loss, y, prediction, samples: int, what: str = "y") -> np.ndarray:
    """Targets as ``loss`` needs them for ``prediction`` (a symbolic tensor), checked."""
    y = np.asarray(y)
    if y.dtype.kind not in "fiub":
        raise ValueError(f"{what} must hold numbers. Received: dtype={y.dtype}")
    if y.ndim == 0 or len(y) != samples:
        raise ValueError(f"x and {what} need the same number of samples ({samples}). Received: shape={y.shape}")
    if loss.sparse:
        check_finite(y, what)
    y = np.ascontiguousarray(losses.prepare_targets(loss, y, prediction.shape, prediction.dtype))
    expected = prediction.shape[1:-1] if loss.sparse else prediction.shape[1:]
    if not isinstance(loss, losses.FunctionLoss) and y.shape[1:] != expected:
        hint = ""
        if loss.sparse and y.shape[1:] == prediction.shape[1:]:
            hint = " For one-hot targets use CategoricalCrossentropy."
        elif isinstance(loss, losses.CategoricalCrossentropy) and y.ndim == 1:
            hint = " For integer labels use SparseCategoricalCrossentropy."
        raise ValueError(
            f"{loss.name} expects {what} of shape {display((None, *expected))} for predictions of shape "
            f"{display(prediction.shape)}.{hint} Received: shape={y.shape}"
        )
    if loss.sparse:
        classes = prediction.shape[-1]
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"{loss.name} expects labels from 0 to {classes - 1}, because the model predicts {classes} classes. "
                f"Received: labels from {low} to {high}"
            )
    else:
        check_finite(y, what)
    return y


def prepare_weights(sample_weight, class_weight, y, samples: int, dtype) -> np.ndarray:
    """One weight per sample, from ``sample_weight``, ``class_weight`` or both."""
    weights = np.ones(samples, dtype)
    if sample_weight is not None:
        given = np.asarray(sample_weight)
        if given.shape != (samples,):
            raise ValueError(f"sample_weight expects shape ({samples},). Received: shape={given.shape}")
        check_finite(given, "sample_weight")
        weights *= given.astype(dtype)
    if class_weight is not None:
        labels = np.asarray(y)
        labels = labels.argmax(axis=-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(samples, -1)
        labels = labels.reshape(-1).astype(np.int64)
        if len(labels) != samples:
            raise ValueError("class_weight needs one label per sample.")
        table = np.ones(max(int(labels.max()), *map(int, class_weight)) + 1, dtype)
        for label, weight in class_weight.items():
            table[int(label)] = weight
        weights *= table[labels]
    return weights


def split(arrays, fraction: float):
    """(the first part, the last ``fraction``) of all arrays, as Keras's validation_split has it."""
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split is between 0 and 1. Received: validation_split={fraction}")
    samples = len(arrays[0])
    at = int(samples * (1 - fraction))
    if at == 0 or at == samples:
        raise ValueError(
            f"validation_split leaves no samples for one of the parts. Received: validation_split={fraction} "
            f"for {samples} samples"
        )
    return [a[:at] for a in arrays], [a[at:] for a in arrays]
