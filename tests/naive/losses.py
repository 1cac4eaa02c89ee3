"""Losses and metrics per row from their definitions, in NumPy.  Rows first, classes last."""

import numpy as np

from .softmax import log_softmax

EPSILON = 1e-7


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def softmax_cross_entropy(logits, targets):
    return -np.sum(targets * log_softmax(logits), axis=-1)


def sparse_softmax_cross_entropy(logits, labels):
    return softmax_cross_entropy(logits, one_hot(labels, logits.shape[-1]))


def cross_entropy(probabilities, targets):
    q = np.clip(probabilities / np.sum(probabilities, axis=-1, keepdims=True), EPSILON, 1 - EPSILON)
    return -np.sum(targets * np.log(q), axis=-1)


def sparse_cross_entropy(probabilities, labels):
    return cross_entropy(probabilities, one_hot(labels, probabilities.shape[-1]))


def binary_cross_entropy(probabilities, targets):
    p = np.clip(probabilities, EPSILON, 1 - EPSILON)
    return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p), axis=-1)


def binary_cross_entropy_with_logits(logits, targets):
    return np.mean(targets * np.logaddexp(0, -logits) + (1 - targets) * np.logaddexp(0, logits), axis=-1)


def mean_squared_error(predictions, targets):
    return np.mean((predictions - targets) ** 2, axis=-1)


def mean_absolute_error(predictions, targets):
    return np.mean(np.abs(predictions - targets), axis=-1)


def sparse_categorical_accuracy(predictions, labels):
    return (np.argmax(predictions, axis=-1) == labels).astype(float)


def categorical_accuracy(predictions, targets):
    return sparse_categorical_accuracy(predictions, np.argmax(targets, axis=-1))


def binary_accuracy(predictions, targets, threshold):
    return np.mean((predictions > threshold) == (targets == 1), axis=-1)


def sparse_top_k_categorical_accuracy(predictions, labels, k):
    best = np.argsort(-predictions, axis=-1, kind="stable")[:, :k]
    return np.any(best == labels[:, None], axis=-1).astype(float)
