"""Metrics per row, and counts over all rows.

Predictions are (rows, classes), labels int64 (rows,), values one number per row (rows,).
"""

from .runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _first_largest(row):
    """Index of the first largest element, as np.argmax gives it."""
    best = 0
    for c in range(1, row.size):
        if row[c] > row[best] or (row[c] != row[c] and row[best] == row[best]):
            best = c
    return best


@kernel
def sparse_categorical_accuracy(predictions, labels, values):
    """values = 1 where the largest prediction is the label's, else 0"""
    kernel_attributes()
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    labels = labels.reshape(-1)
    for r in range(values.size):
        values[r] = _first_largest(predictions[r * classes : (r + 1) * classes]) == labels[r]


@kernel
def categorical_accuracy(predictions, targets, values):
    """values = 1 where the largest prediction and the largest target agree, else 0.  targets: (rows, classes)"""
    kernel_attributes()
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    for r in range(values.size):
        predicted = _first_largest(predictions[r * classes : (r + 1) * classes])
        values[r] = predicted == _first_largest(targets[r * classes : (r + 1) * classes])


@kernel
def binary_accuracy(predictions, targets, values, threshold):
    """values = mean over the last axis of (prediction > threshold) == target.  targets: (rows, classes)"""
    kernel_attributes()
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    limit = predictions.dtype.type(threshold)
    for r in range(values.size):
        hits = 0
        for c in range(r * classes, (r + 1) * classes):
            decided = targets.dtype.type(1) if predictions[c] > limit else targets.dtype.type(0)
            hits += decided == targets[c]
        values[r] = hits / classes


@kernel
def sparse_top_k_categorical_accuracy(predictions, labels, values, k):
    """values = 1 where fewer than k predictions are larger than the label's, else 0 (also where that is NaN)"""
    kernel_attributes()
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    labels = labels.reshape(-1)
    for r in range(values.size):
        row = predictions[r * classes : (r + 1) * classes]
        label = labels[r]
        values[r] = 0
        if 0 <= label < classes and row[label] == row[label]:
            larger = 0
            for c in range(classes):
                larger += row[c] > row[label]
            values[r] = larger < k


@kernel
def top_k_categorical_accuracy(predictions, targets, values, k):
    """values = 1 where fewer than k predictions are larger than the largest target's, else 0 (also where that is NaN)

    targets: (rows, classes)
    """
    kernel_attributes()
    classes = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    for r in range(values.size):
        row = predictions[r * classes : (r + 1) * classes]
        label = _first_largest(targets[r * classes : (r + 1) * classes])
        values[r] = 0
        if row[label] == row[label]:
            larger = 0
            for c in range(classes):
                larger += row[c] > row[label]
            values[r] = larger < k


@scalar
def _rank(row, column):
    """How many elements of a row come before one, the largest first, equal ones in order."""
    before = 0
    for c in range(row.size):
        before += row[c] > row[column] or (row[c] == row[column] and c < column)
    return before


@kernel
def threshold_counts(
    predictions, targets, thresholds, weights, counts, weighted, weight_columns, top_k, first, last, by_column
):
    """counts[positive, k(, column)] = the weights of predictions above exactly k thresholds, whose target is 0 or not.

    predictions, targets: (rows, columns), of which those from ``first`` to ``last`` - 1 are counted.
    thresholds: (m,), ascending.  counts: (2, m + 1), or with ``by_column`` (2, m + 1, last - first).
    weights: (rows * weight_columns,), those of rows or of elements; without ``weighted`` all are 1.
    top_k: from 1 up, only the largest of each row can be above a threshold.
    """
    kernel_attributes()
    columns = predictions.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    weights = weights.reshape(-1)
    counts = counts.reshape(-1)
    buckets = thresholds.size + 1
    groups = last - first if by_column else 1
    zero, one = counts.dtype.type(0), counts.dtype.type(1)
    for i in range(counts.size):
        counts[i] = zero
    for r in range(predictions.size // columns):
        row = predictions[r * columns : (r + 1) * columns]
        for c in range(first, last):
            # how many thresholds are below: choices, which cost less than branches that nobody can foretell
            low, size = 0, thresholds.size
            if top_k > 0 and _rank(row, c) >= top_k:
                size = 0
            while size > 0:
                half = size // 2
                below = thresholds[low + half] < row[c]
                low = low + half + 1 if below else low
                size = size - half - 1 if below else half
            at = low + (buckets if targets[r * columns + c] != zero else 0)
            at = at * groups + (c - first if by_column else 0)
            weight = weights[r * weight_columns + (c if weight_columns > 1 else 0)] if weighted else one
            counts[at] += weight


@scalar
def _class_of(row):
    """The class that a row tells: its largest element's index, or the only element."""
    return _first_largest(row) if row.size > 1 else int(row[0])


@kernel
def confusion_counts(predictions, targets, weights, counts, weighted, classes, ignored):
    """counts[i, j] = the weights of rows whose target is class i and whose prediction is class j.

    predictions: (rows, classes), of which the largest counts, or (rows, 1), classes; targets: likewise.
    weights: (rows,); without ``weighted`` all are 1.  counts: (classes, classes).
    Rows of the class ``ignored``, and of what is no class, are left out.
    """
    kernel_attributes()
    columns, target_columns = predictions.shape[-1], targets.shape[-1]
    predictions = predictions.reshape(-1)
    targets = targets.reshape(-1)
    weights = weights.reshape(-1)
    counts = counts.reshape(-1)
    zero, one = counts.dtype.type(0), counts.dtype.type(1)
    for i in range(counts.size):
        counts[i] = zero
    for r in range(predictions.size // columns):
        predicted = _class_of(predictions[r * columns : (r + 1) * columns])
        wanted = _class_of(targets[r * target_columns : (r + 1) * target_columns])
        if 0 <= predicted < classes and 0 <= wanted < classes and wanted != ignored:
            counts[wanted * classes + predicted] += weights[r] if weighted else one
