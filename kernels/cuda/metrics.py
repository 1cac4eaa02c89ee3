"""Metrics per row.  Predictions are (rows, classes), labels int64 (rows,), values one number per row (rows,)."""

import numpy as np

from ..scalar import real
from ._api import cuda, function, kernel, launch, row_block
from ._blocks import block_sum

_ALL = 0xFFFFFFFF


@function
def _comes_first(value, index, best, best_index):
    """Whether a value is larger than the best so far, or as large and before it; NaN is larger than all numbers."""
    if value != value:
        return best == best or index < best_index
    return value > best or (value == best and index < best_index)


@function
def _first_largest(values, first, size, largest, indices):
    """Index of the first largest of ``size`` elements from ``first`` on, as np.argmax gives it; a block finds it.

    largest, indices: (32,) in shared memory, to work with
    """
    best, best_index = real(-np.inf), np.int64(size)
    for c in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        if _comes_first(values[first + c], c, best, best_index):
            best, best_index = values[first + c], np.int64(c)
    for distance in (16, 8, 4, 2, 1):
        value = cuda.shfl_xor_sync(_ALL, best, distance)
        index = cuda.shfl_xor_sync(_ALL, best_index, distance)
        if _comes_first(value, index, best, best_index):
            best, best_index = value, index
    cuda.syncthreads()  # whoever called before has read
    if cuda.threadIdx.x & 31 == 0:
        largest[cuda.threadIdx.x >> 5] = best
        indices[cuda.threadIdx.x >> 5] = best_index
    cuda.syncthreads()
    best, best_index = largest[0], indices[0]
    for warp in range(1, cuda.blockDim.x >> 5):
        if _comes_first(largest[warp], indices[warp], best, best_index):
            best, best_index = largest[warp], indices[warp]
    return best_index


@kernel
def _sparse_categorical_accuracy(predictions, labels, values, classes):
    largest = cuda.shared.array(32, real)
    indices = cuda.shared.array(32, np.int64)
    row = cuda.blockIdx.x
    found = _first_largest(predictions, row * classes, classes, largest, indices)
    if cuda.threadIdx.x == 0:
        values[row] = real(1) if found == labels[row] else real(0)


def sparse_categorical_accuracy(predictions, labels, values):
    """values = 1 where the largest prediction is the label's, else 0"""
    classes = predictions.shape[-1]
    given = predictions.reshape(-1), labels.reshape(-1), values, classes
    launch(_sparse_categorical_accuracy, values.size, row_block(classes), *given)


@kernel
def _categorical_accuracy(predictions, targets, values, classes):
    largest = cuda.shared.array(32, real)
    indices = cuda.shared.array(32, np.int64)
    row = cuda.blockIdx.x
    predicted = _first_largest(predictions, row * classes, classes, largest, indices)
    wanted = _first_largest(targets, row * classes, classes, largest, indices)
    if cuda.threadIdx.x == 0:
        values[row] = real(1) if predicted == wanted else real(0)


def categorical_accuracy(predictions, targets, values):
    """values = 1 where the largest prediction and the largest target agree, else 0.  targets: (rows, classes)"""
    classes = predictions.shape[-1]
    given = predictions.reshape(-1), targets.reshape(-1), values, classes
    launch(_categorical_accuracy, values.size, row_block(classes), *given)


@kernel
def _binary_accuracy(predictions, targets, values, classes, threshold):
    row, limit = cuda.blockIdx.x, real(threshold[0])
    hits = real(0)
    for c in range(row * classes + cuda.threadIdx.x, (row + 1) * classes, cuda.blockDim.x):
        decided = real(1) if predictions[c] > limit else real(0)
        hits += real(1) if decided == targets[c] else real(0)
    hits = block_sum(hits)
    if cuda.threadIdx.x == 0:
        values[row] = hits / real(classes)


def binary_accuracy(predictions, targets, values, threshold):
    """values = mean over the last axis of (prediction > threshold) == target.  targets: (rows, classes)"""
    classes = predictions.shape[-1]
    given = predictions.reshape(-1), targets.reshape(-1), values, classes, threshold
    launch(_binary_accuracy, values.size, row_block(classes), *given)


@kernel
def _sparse_top_k_categorical_accuracy(predictions, labels, values, classes, k):
    row = cuda.blockIdx.x
    label = labels[row]
    larger = real(0)
    known = 0 <= label < classes
    if known:
        chosen = predictions[row * classes + label]
        known = chosen == chosen
        for c in range(row * classes + cuda.threadIdx.x, (row + 1) * classes, cuda.blockDim.x):
            larger += real(1) if predictions[c] > chosen else real(0)
    larger = block_sum(larger)
    if cuda.threadIdx.x == 0:
        values[row] = real(1) if known and larger < real(k) else real(0)


def sparse_top_k_categorical_accuracy(predictions, labels, values, k):
    """values = 1 where fewer than k predictions are larger than the label's, else 0 (also where that is NaN)"""
    classes = predictions.shape[-1]
    given = predictions.reshape(-1), labels.reshape(-1), values, classes, k
    launch(_sparse_top_k_categorical_accuracy, values.size, row_block(classes), *given)
