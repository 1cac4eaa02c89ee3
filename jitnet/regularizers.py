"""Penalties on weights that are added to the loss.

L1 and L2 are a pair of numbers ``l1`` and ``l2`` of the penalty ``l1 * sum(|w|) + l2 * sum(w**2)``, whose gradient is
``l1 * sign(w) + 2 * l2 * w``.  The training step reads the two numbers, which may be schedules, whenever it runs; it
never calls the object.  Any other regularizer is called with a weight, and makes a penalty of operations.
"""

import numpy as np

from jitnet import _registry, ops
from jitnet._fixed import Fixed, noticed
from jitnet._settings import Adjustable, described
from jitnet.core import checks
from jitnet.core.errors import NamesArguments, invalid, module_dir, module_getattr
from jitnet.core.settings import Setting
from jitnet.core.values import Value


class Regularizer(Fixed, NamesArguments):
    """Base class: the penalty ``l1 * sum(|w|) + l2 * sum(w**2)``, or what the ``__call__`` of a subclass returns.

    Example:
        >>> class Quartic(Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * ops.sum(ops.square(ops.square(x)))

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


class OrthogonalRegularizer(Regularizer):
    """Rows (or columns) of a matrix that are not orthogonal: ``factor`` times the mean of |cosine| over all pairs.

    Args:
        factor: at least 0.
        mode: "rows" or "columns".

    Raises:
        ValueError: another argument, or a weight that is no matrix of at least two of these.
    """

    factor = Adjustable(least=0)

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = factor
        self.mode = checks.one_of("OrthogonalRegularizer", "mode", mode, ("rows", "columns"))

    def __call__(self, x):
        """The penalty of a matrix: a symbolic number of a symbolic one, a float of an array."""
        noticed(self)
        rows = self.mode == "rows"
        if len(x.shape) != 2 or x.shape[0 if rows else 1] in (None, 1):
            expected = f"OrthogonalRegularizer expects a matrix with at least two {self.mode}."
            raise invalid(expected, shape=tuple(x.shape))
        functions = ops if isinstance(x, Value) else np
        norms = functions.sqrt(functions.sum(functions.square(x), axis=1 if rows else 0, keepdims=True))
        x = x / functions.maximum(norms, 1e-7)
        transposed = functions.transpose(x, (1, 0))
        cosines = functions.matmul(x, transposed) if rows else functions.matmul(transposed, x)
        size = cosines.shape[0]
        others = (1 - np.eye(size, dtype=str(x.dtype))) / (size * (size - 1))
        total = functions.sum(functions.absolute(cosines) * others)
        return total * Setting(self, "factor") if functions is ops else float(total) * float(Setting(self, "factor"))

    def get_config(self) -> dict:
        """The arguments that make an equal regularizer."""
        return {"factor": described(self.factor), "mode": self.mode}


def is_pair(regularizer) -> bool:
    """Whether a regularizer is the two numbers alone, which a step adds without calling it."""
    return isinstance(regularizer, Regularizer) and type(regularizer).__call__ is Regularizer.__call__


def penalty(regularizer, x):
    """What a regularizer of any kind makes of a symbolic value: a symbolic number.

    Raises:
        ValueError: it returns something else.
    """
    found = regularizer(x)
    if not isinstance(found, Value) or found.shape != ():
        shape = found.shape if isinstance(found, Value) else type(found).__name__
        raise invalid(f"The regularizer of {x.name} returns a single number, made with jitnet.ops.", shape=shape)
    return found


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

KNOWN = _registry.by_name([L1, L2, L1L2, OrthogonalRegularizer], l1_l2=L1L2)


def get(identifier) -> Regularizer | None:
    """The regularizer for a string (``"l1"``, ``"l2"``, ``"l1_l2"``, each with 0.01), config, class, instance or None.

    A function of a weight that returns a penalty, made with ``jitnet.ops``, is one, too.

    Raises:
        ValueError: an unknown name, or something else than a regularizer.
    """
    if isinstance(identifier, str) and KNOWN.get(identifier) is L1L2:
        return L1L2(l1=0.01, l2=0.01)
    return _registry.get(identifier, KNOWN, "regularizer")


def serialize(regularizer: Regularizer | None) -> dict | None:
    """``{"class_name": ..., "config": {...}}`` of ``regularizer``, or None for None."""
    return _registry.serialize(regularizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Regularizer:
    """The regularizer that ``serialize`` wrote as ``config``; users' classes are looked up in ``custom_objects``."""
    return _registry.deserialize(config, KNOWN, custom_objects, "regularizer")


__getattr__ = module_getattr(__name__, "regularizer")
__dir__ = module_dir(__name__, without=("is_pair", "penalty"))
