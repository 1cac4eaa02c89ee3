"""Labels as rows, rows of length one."""

import numpy as np

from jitnet.core import checks
from jitnet.core.errors import invalid

__all__ = ["normalize", "one_hot", "to_categorical"]


def to_categorical(x, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows of class indices: ``out[..., c] = 1 if x[...] == c else 0``.

    Args:
        x: whole numbers from 0 to ``num_classes - 1``, shape (...,) or (..., 1); the last axis of length 1 is dropped.
        num_classes: number of classes; by default ``max(x) + 1``.

    Returns:
        float64, shape (..., num_classes).

    Raises:
        ValueError: labels that are no whole numbers or out of range, or no labels and no ``num_classes``.

    Example:
        >>> to_categorical([0, 2, 1], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """
    given = np.asarray(x)
    if given.size and given.dtype.kind not in "biuf":
        raise invalid("`x` must hold whole numbers.", dtype=given.dtype)
    if given.dtype.kind == "f" and not (np.isfinite(given) & (given == np.floor(given))).all():
        raise invalid("`x` must hold whole numbers.", x=given)
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if not labels.size:
            raise invalid("`num_classes` is needed where `x` is empty.", num_classes=num_classes)
        num_classes = int(labels.max()) + 1
    num_classes = checks.integer("to_categorical", "num_classes", num_classes, 0)
    if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
        raise invalid(
            f"The labels in `x` must be from 0 to num_classes - 1 = {num_classes - 1}.",
            smallest=int(labels.min()),
            largest=int(labels.max()),
        )
    out = np.zeros((labels.size, num_classes))
    out[np.arange(labels.size), labels.ravel()] = 1
    return out.reshape(*labels.shape, num_classes)


def one_hot(x, num_classes: int, dtype="float32") -> np.ndarray:
    """One-hot rows (..., num_classes) of class indices (...); a row of zeros where an index is out of range.

    ``to_categorical`` refuses such indices, and drops a last axis of length 1.
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "iu":
        raise invalid("`x` must hold integers.", dtype=labels.dtype)
    return (labels[..., None] == np.arange(num_classes)).astype(dtype)


def normalize(x, axis: int = -1, order: int = 2) -> np.ndarray:
    """``x`` divided by its norm of this order along ``axis``; what has the norm 0 stays.

    Raises ValueError for an order that is no positive integer.

    Example:
        >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise invalid("`order` must be an integer from 1 up.", order=order)
    x = np.asarray(x)
    length = np.atleast_1d(np.linalg.norm(x, order, axis))
    length[length == 0] = 1
    return x / np.expand_dims(length, axis)
