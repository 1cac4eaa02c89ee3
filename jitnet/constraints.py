"""What weights must be: after every update of the optimizer, the step replaces a weight by what its constraint returns.

Every constraint is called with a weight and returns another of its shape, in operations of ``jitnet.ops``.  Numbers may
be schedules of the step, as everywhere.
"""

import numpy as np

from jitnet import _registry, ops
from jitnet._fixed import Fixed, noticed
from jitnet._settings import Adjustable, described
from jitnet.core import checks
from jitnet.core.errors import NamesArguments, invalid, module_getattr
from jitnet.core.settings import Setting
from jitnet.core.values import Value

_EPSILON = 1e-7  # Keras's, beside norms


class Constraint(Fixed, NamesArguments):
    """Base class.  A subclass defines ``__call__``, and ``get_config`` if it has arguments.

    Example:
        >>> class AtMostOne(Constraint):
        ...     def __call__(self, w):
        ...         return ops.minimum(w, 1.0)
    """

    def __call__(self, w):
        """The weight that takes the place of ``w``: operations on a variable, or an array of an array."""
        noticed(self)
        if isinstance(w, Value):
            return self._constrained(w, ops)
        return self._constrained(np.asarray(w), np)

    def _constrained(self, w, functions):
        """``w`` as it must be, by ``functions``: those of ``jitnet.ops``, or NumPy's of the same names."""
        return w

    def _number(self, name: str, functions):
        return Setting(self, name) if functions is ops else float(Setting(self, name))

    def get_config(self) -> dict:
        """The arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Constraint":
        """The constraint whose ``get_config`` is ``config``."""
        return cls(**config)


class NonNeg(Constraint):
    """Elements that are negative become 0."""

    def _constrained(self, w, functions):
        return functions.maximum(w, 0.0)


class _OfNorms(Constraint):
    """Base of constraints on norms along ``axis``."""

    def __init__(self, axis=0):
        kind = type(self).__name__
        given = axis if isinstance(axis, list | tuple) else [axis]
        axes = [checks.integer(kind, "axis", number) for number in given]
        if not axes or len(set(axes)) < len(axes):
            raise invalid(f"{kind} expects axis to be an integer, or several that differ.", axis=axis)
        self.axis = axes[0] if not isinstance(axis, list | tuple) else axes

    def _norms(self, w, functions):
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        if any(not -w.ndim <= axis < w.ndim for axis in axes) or len({axis % w.ndim for axis in axes}) < len(axes):
            raise invalid(f"{type(self).__name__}: the weight has no such axes.", axis=self.axis, shape=tuple(w.shape))
        return functions.sqrt(functions.sum(functions.square(w), axis=tuple(axes), keepdims=True))


class UnitNorm(_OfNorms):
    """Norms along ``axis`` become 1: w / (norm + 1e-7).

    Args:
        axis: an integer, or several: 0 for a kernel (features, units), (0, 1, 2) for one of a 2-D convolution.
    """

    def _constrained(self, w, functions):
        return w / (self._norms(w, functions) + _EPSILON)

    def get_config(self) -> dict:
        """The arguments that make an equal constraint."""
        return {"axis": self.axis}


class MaxNorm(_OfNorms):
    """Norms along ``axis`` become at most ``max_value`` (Srivastava et al. 2014, section 5.1).

    Args:
        max_value: the largest norm, at least 0.
        axis: as of UnitNorm.
    """

    max_value = Adjustable(least=0)

    def __init__(self, max_value=2, axis=0):
        super().__init__(axis)
        self.max_value = max_value

    def _constrained(self, w, functions):
        norms = self._norms(w, functions)
        return w * (functions.minimum(norms, self._number("max_value", functions)) / (norms + _EPSILON))

    def get_config(self) -> dict:
        """The arguments that make an equal constraint."""
        return {"max_value": described(self.max_value), "axis": self.axis}


class MinMaxNorm(_OfNorms):
    """Norms along ``axis`` come closer to the range from ``min_value`` to ``max_value``: at a ``rate`` of 1, into it.

    Args:
        min_value, max_value: the range, from 0 up.
        rate: from 0 to 1: a norm becomes rate * (the nearest in the range) + (1 - rate) * norm.
        axis: as of UnitNorm.

    Raises:
        ValueError: ``min_value`` above ``max_value``, where both are numbers.
    """

    min_value = Adjustable(least=0)
    max_value = Adjustable(least=0)
    rate = Adjustable(least=0, most=1)

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        super().__init__(axis)
        self.min_value, self.max_value, self.rate = min_value, max_value, rate
        if float(Setting(self, "min_value")) > float(Setting(self, "max_value")):
            raise invalid("MinMaxNorm expects min_value up to max_value.", min_value=min_value, max_value=max_value)

    def _constrained(self, w, functions):
        norms, rate = self._norms(w, functions), self._number("rate", functions)
        within = functions.minimum(norms, self._number("max_value", functions))
        within = functions.maximum(within, self._number("min_value", functions))
        return w * ((within * rate + norms * (1 - rate)) / (norms + _EPSILON))

    def get_config(self) -> dict:
        """The arguments that make an equal constraint."""
        numbers = {name: described(getattr(self, name)) for name in ("min_value", "max_value", "rate")}
        return {**numbers, "axis": self.axis}


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

KNOWN = _registry.by_name([MaxNorm, MinMaxNorm, NonNeg, UnitNorm])


def get(identifier):
    """The constraint for a string (``"max_norm"``), config, class, instance, function of a weight or None.

    Raises:
        ValueError: an unknown name, or something that can't be called.
    """
    return _registry.get(identifier, KNOWN, "constraint")


def serialize(constraint) -> dict | str | None:
    """``{"class_name": ..., "config": {...}}`` of ``constraint``, the name of a function, or None for None."""
    return _registry.serialize(constraint)


def deserialize(config: dict, custom_objects: dict | None = None):
    """The constraint that ``serialize`` wrote as ``config``; users' classes are looked up in ``custom_objects``."""
    return _registry.deserialize(config, KNOWN, custom_objects, "constraint")


__getattr__ = module_getattr(__name__, "constraint")
