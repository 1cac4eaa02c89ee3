"""Comparisons, logic, and choices by them.  Their results are of dtype bool; in arithmetic true is 1 and false 0."""

import math

import numpy as np

from ..core.errors import invalid
from ..core.operations.comparison import Compare, Select
from ..core.operations.shape import Squeeze
from ..core.operations.strided import BroadcastTo
from ..core.policy import floatx
from ..core.values import Constant, Value, is_integer
from ._calls import on_arrays, publisher

__all__ = []
public = publisher(__all__)


def _comparison(name: str, text: str):
    def operation(x1, x2):
        return Compare(name)(x1, x2)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{text}, element by element, with NumPy's broadcasting: bool.\n    "
    return public(on_arrays(getattr(np, name))(operation))


equal = _comparison("equal", "Whether x1 and x2 are equal")
not_equal = _comparison("not_equal", "Whether x1 and x2 differ")
less = _comparison("less", "Whether x1 < x2")
less_equal = _comparison("less_equal", "Whether x1 <= x2")
greater = _comparison("greater", "Whether x1 > x2")
greater_equal = _comparison("greater_equal", "Whether x1 >= x2")
logical_and = _comparison("logical_and", "Whether neither of x1 and x2 is 0")
logical_or = _comparison("logical_or", "Whether one of x1 and x2 is not 0")


@public
@on_arrays(np.logical_xor)
def logical_xor(x1, x2):
    """Whether exactly one of x1 and x2 is not 0: bool."""
    return not_equal(not_equal(x1, 0), not_equal(x2, 0))


@public
@on_arrays(np.logical_not)
def logical_not(x):
    """Whether x is 0: bool."""
    return equal(x, False if x.dtype == "bool" else 0)


@public
@on_arrays(np.isnan)
def isnan(x):
    """Whether x is no number: bool."""
    return not_equal(x, x)


@public
@on_arrays(np.isinf)
def isinf(x):
    """Whether x is infinite: bool."""
    return logical_or(equal(x, math.inf), equal(x, -math.inf))


@public
@on_arrays(np.isfinite)
def isfinite(x):
    """Whether x is a finite number: bool."""
    return logical_and(less(x, math.inf), greater(x, -math.inf))


@public
@on_arrays(lambda condition, x1, x2: np.where(condition) if x1 is None and x2 is None else np.where(condition, x1, x2))
def where(condition, x1=None, x2=None):
    """x1 where condition is true, else x2, with NumPy's broadcasting.

    Without x1 and x2: where condition is true, of arrays only, since the number of places depends on values.
    """
    if x1 is None or x2 is None:
        raise invalid(
            "ops.where of a symbolic condition needs x1 and x2: how many elements are true is known only when a step "
            "runs.", x1=x1, x2=x2,
        )  # fmt: skip
    if not isinstance(x1, Value) and not isinstance(x2, Value):
        kind = "int32" if is_integer(x1) and is_integer(x2) else floatx()
        x1, x2 = (Constant(np.asarray(x).astype(kind)) for x in (x1, x2))
    condition, x1, x2 = spread(condition, x1, x2)
    return Select()(condition, x1, x2)


def spread(*values) -> list:
    """Values of one shape, by NumPy's rules; constants only have no axes of 1 in front."""
    shapes = [tuple(x.shape) if isinstance(x, Value) else np.shape(x) for x in values]
    batched = any(x.batched for x in values if isinstance(x, Value))
    sample, whole = (), ()
    if batched:
        ndim = max(len(s) for s in shapes if s[:1] == (None,))
        if any(len(s) > ndim or (s[:1] == (None,) and len(s) < ndim) for s in shapes):
            raise invalid("These shapes can't be broadcast: the batch axis is the first of all.", shapes=shapes)
        if any(len(s) == ndim and s[0] not in (None, 1) for s in shapes):
            raise invalid("The batch axis is paired with an axis of fixed size.", shapes=shapes)
        shapes = [s[1:] if len(s) == ndim else s for s in shapes]
    try:
        sample = broadcast_shapes(*shapes)
    except ValueError:
        raise invalid("These shapes can't be broadcast.", shapes=shapes) from None
    whole = (None, *sample) if batched else sample
    batches = max((x.batches for x in values if isinstance(x, Value)), default=1)
    return [_spread(x, shape, sample, whole, batches) for x, shape in zip(values, shapes, strict=True)]


def _spread(x, shape, sample, whole, batches):
    if not isinstance(x, Value) or isinstance(x, Constant):
        array = x.array if isinstance(x, Constant) else np.asarray(x)
        own = shape
        while own[:1] == (1,) and len(own) > 1:
            own = own[1:]
        if own in ((), (1,)) or own == sample[len(sample) - len(own) :]:
            reshaped = array.reshape(own)
            return Constant(reshaped) if isinstance(x, Constant) else (reshaped if own else x)
    if isinstance(x, Value) and x.shape == whole:
        return x
    if not isinstance(x, Value):
        x = Constant(np.asarray(x, None if np.asarray(x).dtype.kind != "f" else floatx()))
    if whole[:1] == (None,) and not x.batched and x.ndim == len(whole):
        x = Squeeze((0,))(x)
    return BroadcastTo(sample, whole[:1] == (None,), batches)(x)


def broadcast_shapes(*shapes) -> tuple:
    """The shape to which all of them are repeated; ValueError if there is none."""
    length = max(map(len, shapes), default=0)
    padded = [(1,) * (length - len(s)) + tuple(s) for s in shapes]
    found = []
    for sizes in zip(*padded, strict=True):
        larger = {size: size for size in sizes if size != 1}
        if len(larger) > 1:
            raise ValueError("shapes differ")
        found.append(next(iter(larger.values()), 1))
    return tuple(found)


@public
@on_arrays(lambda condlist, choicelist, default: np.select(condlist, choicelist, default))
def select(condlist, choicelist, default=0):
    """For each element the choice of the first condition that is true, else ``default``."""
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = where(condition, choice, result)
    return result


@public
@on_arrays(np.isposinf)
def isposinf(x):
    """Whether x is infinite and positive: bool."""
    return equal(x, math.inf)


@public
@on_arrays(np.isneginf)
def isneginf(x):
    """Whether x is infinite and negative: bool."""
    return equal(x, -math.inf)


@public
@on_arrays(np.signbit)
def signbit(x):
    """Whether x is negative, -0.0 too, which a step takes for 0: bool."""
    return less(x, 0)


@public
@on_arrays(lambda x1, x2, assume_unique, invert: np.isin(x1, x2, assume_unique, invert))
def isin(x1, x2, assume_unique=False, invert=False):
    """Whether each element of x1 is among those of x2, an array: bool; invert: whether it is not."""
    if isinstance(x2, Value):
        raise invalid("ops.isin compares with an array of numbers.", x2=x2)
    found = None
    for number in dict.fromkeys(np.ravel(x2).tolist()):
        found = equal(x1, number) if found is None else logical_or(found, equal(x1, number))
    found = not_equal(x1, x1) if found is None else found
    return logical_not(found) if invert else found
