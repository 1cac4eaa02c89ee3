"""Metrics per row, and counts over all rows.

Predictions are (rows, classes), labels int64 (rows,), values one number per row (rows,).  Counts are made in two
phases: where each element counts, and then by a block for each count, which adds in a fixed order.
"""

import numpy as np

from ..scalar import real
from ._api import cuda, function, kernel, launch, over, row_block, workspace
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


@kernel
def _top_k_categorical_accuracy(predictions, targets, values, classes, k):
    largest = cuda.shared.array(32, real)
    indices = cuda.shared.array(32, np.int64)
    row = cuda.blockIdx.x
    label = _first_largest(targets, row * classes, classes, largest, indices)
    chosen = predictions[row * classes + label]
    larger = real(0)
    for c in range(row * classes + cuda.threadIdx.x, (row + 1) * classes, cuda.blockDim.x):
        larger += real(1) if predictions[c] > chosen else real(0)
    larger = block_sum(larger)
    if cuda.threadIdx.x == 0:
        values[row] = real(1) if chosen == chosen and larger < real(k) else real(0)


def top_k_categorical_accuracy(predictions, targets, values, k):
    """values = 1 where fewer than k predictions are larger than the largest target's, else 0 (also where that is NaN)

    targets: (rows, classes)
    """
    classes = predictions.shape[-1]
    given = predictions.reshape(-1), targets.reshape(-1), values, classes, k
    launch(_top_k_categorical_accuracy, values.size, row_block(classes), *given)


@kernel
def _add_counts(weights, places, counts, weighted, weight_columns, columns, elements):
    """counts[i] = the weights of the elements whose place is i.  places: (elements,), ``columns`` of them in a row"""
    place = cuda.blockIdx.x
    total = real(0)
    for i in range(cuda.threadIdx.x, elements, cuda.blockDim.x):
        if places[i] == place:
            if not weighted:
                total += real(1)
            elif weight_columns == 1:
                total += weights[i // columns]
            else:
                total += weights[i]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        counts[place] = total


def _launch_counts(weights, places, counts, weighted, weight_columns, columns):
    given = weights.reshape(-1), places, counts.reshape(-1), weighted, weight_columns, columns, places.size
    launch(_add_counts, counts.size, row_block(places.size), *given)


@function
def _rank(values, first, size, column):
    """How many elements of a row come before one, the largest first, equal ones in order."""
    before, value = 0, values[first + column]
    for c in range(size):
        other = values[first + c]
        before += 1 if other > value or (other == value and c < column) else 0
    return before


@kernel
def _threshold_places(predictions, targets, thresholds, places, columns, buckets, top_k, first, last, by_column):
    for i in range(cuda.grid(1), places.size, cuda.gridsize(1)):
        c = i % columns
        low, high = 0, buckets - 1
        if top_k > 0 and _rank(predictions, i - c, columns, c) >= top_k:
            high = 0
        while low < high:
            middle = (low + high) // 2
            if thresholds[middle] < predictions[i]:
                low = middle + 1
            else:
                high = middle
        place = low + (buckets if targets[i] != real(0) else 0)
        if by_column:
            place = place * (last - first) + c - first
        places[i] = place if first <= c < last else -1


def threshold_counts(
    predictions, targets, thresholds, weights, counts, weighted, weight_columns, top_k, first, last, by_column
):
    """counts[positive, k(, column)] = the weights of predictions above exactly k thresholds, whose target is 0 or not.

    predictions, targets: (rows, columns), of which those from ``first`` to ``last`` - 1 are counted.
    thresholds: (m,), ascending.  counts: (2, m + 1), or with ``by_column`` (2, m + 1, last - first).
    weights: (rows * weight_columns,), those of rows or of elements; without ``weighted`` all are 1.
    top_k: from 1 up, only the largest of each row can be above a threshold.
    """
    columns, places = predictions.shape[-1], workspace(predictions.size, np.int64)
    given = predictions.reshape(-1), targets.reshape(-1), thresholds.reshape(-1), places
    scalars = columns, thresholds.size + 1, top_k, first, last, by_column
    launch(_threshold_places, *over(predictions.size), *given, *scalars)
    _launch_counts(weights, places, counts, weighted, weight_columns, columns)


@kernel
def _confusion_places(predictions, targets, places, columns, target_columns, classes, ignored):
    largest = cuda.shared.array(32, real)
    indices = cuda.shared.array(32, np.int64)
    row = cuda.blockIdx.x
    predicted = _first_largest(predictions, row * columns, columns, largest, indices)
    wanted = _first_largest(targets, row * target_columns, target_columns, largest, indices)
    if columns == 1:
        predicted = np.int64(predictions[row])
    if target_columns == 1:
        wanted = np.int64(targets[row])
    if cuda.threadIdx.x == 0:
        known = 0 <= predicted < classes and 0 <= wanted < classes and wanted != ignored
        places[row] = wanted * classes + predicted if known else -1


def confusion_counts(predictions, targets, weights, counts, weighted, classes, ignored):
    """counts[i, j] = the weights of rows whose target is class i and whose prediction is class j.

    predictions: (rows, classes), of which the largest counts, or (rows, 1), classes; targets: likewise.
    weights: (rows,); without ``weighted`` all are 1.  counts: (classes, classes).
    Rows of the class ``ignored``, and of what is no class, are left out.
    """
    columns, target_columns = predictions.shape[-1], targets.shape[-1]
    rows = predictions.size // columns
    places = workspace(rows, np.int64)
    given = predictions.reshape(-1), targets.reshape(-1), places, columns, target_columns, classes, ignored
    launch(_confusion_places, rows, row_block(max(columns, target_columns)), *given)
    _launch_counts(weights, places, counts, weighted, 1, 1)
