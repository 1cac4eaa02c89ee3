"""Metrics per row.  Predictions are (rows, classes), labels int64 (rows,), values one number per row (rows,)."""

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
