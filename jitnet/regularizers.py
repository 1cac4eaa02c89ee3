"""Penalties on weights that are added to the loss.

Every regularizer is the pair of numbers ``l1`` and ``l2`` of the penalty ``l1 * sum(|w|) + l2 * sum(w**2)``, whose
gradient is ``l1 * sign(w) + 2 * l2 * w``.  The training step reads the two numbers, which may be schedules, whenever it
runs; it never calls the object.
"""

import numpy as np

from jitnet import _registry, ops
from jitnet._fixed import Fixed, noticed
from jitnet._settings import Adjustable, described
from jitnet.core.errors import NamesArguments, module_dir, module_getattr
from jitnet.core.settings import Setting
from jitnet.core.values import Value


class Regularizer(Fixed, NamesArguments):
    """Base class: the penalty ``l1 * sum(|w|) + l2 * sum(w**2)``.

    Args:
        l1: factor of the sum of absolute values, at least 0.
        l2: factor of the sum of squares, at least 0.

    Raises:
        ValueError: a factor that is negative or not finite.
    """

    l1 = Adjustable(least=0)
    l2 = Adjustable(least=0)

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1 = l1
        self.l2 = l2

    def __call__(self, x) -> float:
        """The penalty of the array ``x``, of any shape, summed in float64; of schedules, as at step 0.

        Of a variable or a symbolic tensor, a symbolic number, which follows schedules.
        """
        if isinstance(x, Value):
            noticed(self)
            absolute, squares = ops.sum(ops.absolute(x)), ops.sum(ops.square(x))
            return absolute * Setting(self, "l1") + squares * Setting(self, "l2")
        x = np.asarray(x, dtype=np.float64)
        l1, l2 = float(Setting(self, "l1")), float(Setting(self, "l2"))
        return float(l1 * np.abs(x).sum() + l2 * np.square(x).sum())

    def get_config(self) -> dict:
        """The arguments that make an equal regularizer."""
        return {"l1": described(self.l1), "l2": described(self.l2)}

    @classmethod
    def from_config(cls, config: dict) -> "Regularizer":
        """The regularizer whose ``get_config`` is ``config``."""
        return cls(**config)


class L1(Regularizer):
    """The penalty ``l1 * sum(|w|)`` (lasso; Tibshirani 1996).

    Args:
        l1: factor, at least 0.
    """

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)

    def get_config(self) -> dict:
        """The arguments that make an equal regularizer."""
        return {"l1": described(self.l1)}


class L2(Regularizer):
    """The penalty ``l2 * sum(w**2)`` (ridge; Hoerl & Kennard 1970).

    Args:
        l2: factor, at least 0.
    """

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)

    def get_config(self) -> dict:
        """The arguments that make an equal regularizer."""
        return {"l2": described(self.l2)}


class L1L2(Regularizer):
    """The penalty ``l1 * sum(|w|) + l2 * sum(w**2)`` (elastic net; Zou & Hastie 2005).

    Made without arguments it is no penalty, as in Keras; the string ``"l1_l2"`` means 0.01 for both.

    Args:
        l1: factor of the sum of absolute values, at least 0.
        l2: factor of the sum of squares, at least 0.
    """


l1 = L1
l2 = L2
l1_l2 = L1L2

KNOWN = _registry.by_name([L1, L2, L1L2], l1_l2=L1L2)


def get(identifier) -> Regularizer | None:
    """The regularizer for a string (``"l1"``, ``"l2"``, ``"l1_l2"``, each with 0.01), config, class, instance or None.

    Raises:
        ValueError: an unknown name, or something else than a regularizer.
    """
    if isinstance(identifier, str) and KNOWN.get(identifier) is L1L2:
        return L1L2(l1=0.01, l2=0.01)
    return _registry.get(identifier, KNOWN, "regularizer", Regularizer)


def serialize(regularizer: Regularizer | None) -> dict | None:
    """``{"class_name": ..., "config": {...}}`` of ``regularizer``, or None for None."""
    return _registry.serialize(regularizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Regularizer:
    """The regularizer that ``serialize`` wrote as ``config``; users' classes are looked up in ``custom_objects``."""
    return _registry.deserialize(config, KNOWN, custom_objects, "regularizer")


__getattr__ = module_getattr(__name__, "regularizer")
__dir__ = module_dir(__name__)
