"""Helpers under the names that Keras gives them."""

import numpy as np

from jitnet._py_dataset import PyDataset
from jitnet._registry import custom_object_scope, register_keras_serializable
from jitnet._seed import set_random_seed
from jitnet.core.errors import invalid, module_getattr

__all__ = ["PyDataset", "custom_object_scope", "register_keras_serializable", "set_random_seed", "to_categorical"]


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
    if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
        raise invalid(
            f"The labels in `x` must be from 0 to num_classes - 1 = {num_classes - 1}.",
            smallest=int(labels.min()),
            largest=int(labels.max()),
        )
    out = np.zeros((labels.size, num_classes))
    out[np.arange(labels.size), labels.ravel()] = 1
    return out.reshape(*labels.shape, num_classes)


__getattr__ = module_getattr(__name__, "function")
