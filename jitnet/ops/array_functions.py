"""Functions of arrays alone: the size of what they return depends on values, or a step has no kernel for them.

They are NumPy's, for what is prepared before a model or made of its predictions; symbolic tensors are refused.
"""

import numpy as np

from ..core.errors import invalid
from ._calls import is_symbolic, on_arrays, publisher

__all__ = []
public = publisher(__all__)

_VALUES = "the size of what it returns depends on values, which are known only when a step runs"
_KERNEL = "a step has no kernel for it"


def _refused(name: str, reason: str, arguments):
    return invalid(f"ops.{name} takes arrays, no symbolic tensors: {reason}.", arguments=arguments)


def _of_arrays(reason: str, function, hint: str = ""):
    """A decorator: the function with its signature and documentation is ``function``, NumPy's, of arrays only."""

    def decorate(described):
        described.__doc__ = f"{(described.__doc__ or '').rstrip('.')}: of arrays only, since {reason}.\n    "

        def symbolic(*arguments, **keywords):
            raise _refused(described.__name__, reason + hint, (*arguments, *keywords.values()))

        symbolic.__name__ = symbolic.__qualname__ = described.__name__
        symbolic.__doc__, symbolic.__wrapped__ = described.__doc__, described
        return public(on_arrays(function)(symbolic))

    return decorate


@_of_arrays(_KERNEL, np.argpartition, "; ops.argsort sorts all")
def argpartition(x, kth, axis=-1):
    """Indices that put the element of place ``kth`` where sorting would, smaller ones before it."""


@_of_arrays(
    _VALUES,
    lambda x, weights, minlength, sparse: _bincount(x, weights, minlength),
    "; ops.sum(ops.one_hot(x, n), axis) counts up to a number n",
)
def bincount(x, weights=None, minlength=0, sparse=False):
    """How often each number from 0 on is in x, integers (n,) or (batch, n); ``weights``: of each."""


def _bincount(x, weights, minlength):
    x = np.asarray(x)
    if x.ndim == 1:
        return np.bincount(x, weights, minlength)
    size = max(int(x.max(initial=-1)) + 1, minlength)
    weights = [None] * len(x) if weights is None else weights
    return np.stack([np.bincount(row, w, size) for row, w in zip(x, weights, strict=True)])


@_of_arrays(_KERNEL, np.corrcoef)
def corrcoef(x):
    """The correlations of the rows of x (variables, samples)."""


@_of_arrays(_KERNEL, np.correlate, "; ops.conv correlates with a kernel")
def correlate(x1, x2, mode="valid"):
    """The correlation of two vectors; mode: "valid", "same" or "full"."""


@_of_arrays(_KERNEL, np.gcd)
def gcd(x1, x2):
    """The greatest common divisor, element by element."""


@_of_arrays(_KERNEL, np.lcm)
def lcm(x1, x2):
    """The least common multiple, element by element."""


@public
def histogram(x, bins=10, range=None):
    """(how many elements of x are in each bin, the edges of the bins): of arrays only, since a step has no kernel."""
    if is_symbolic(x, range):
        raise _refused("histogram", _KERNEL, (x, bins, range))
    return np.histogram(x, bins, range)


@_of_arrays(_KERNEL, np.i0)
def i0(x):
    """The modified Bessel function of order 0."""


@_of_arrays(_KERNEL, np.nextafter)
def nextafter(x1, x2):
    """The next number after x1 towards x2."""


@_of_arrays(_KERNEL, lambda x, axis, keepdims: np.nanmedian(x, axis, keepdims=keepdims))
def nanmedian(x, axis=None, keepdims=False):
    """The median of what is a number."""


@_of_arrays(_KERNEL, lambda x, q, axis, method, keepdims: np.nanquantile(x, q, axis, method=method, keepdims=keepdims))
def nanquantile(x, q, axis=None, method="linear", keepdims=False):
    """The quantiles q, in [0, 1], of what is a number."""


@_of_arrays(
    _KERNEL, lambda x, q, axis, method, keepdims: np.nanpercentile(x, q, axis, method=method, keepdims=keepdims)
)
def nanpercentile(x, q, axis=None, method="linear", keepdims=False):
    """The percentiles q, in [0, 100], of what is a number."""


@_of_arrays(_VALUES, lambda x: tuple(np.nonzero(x)), "; ops.where(condition, x1, x2) keeps the shape")
def nonzero(x):
    """Where x is not 0: an array of indices for each axis."""


@public
def unique(
    x, sorted=True, return_index=False, return_inverse=False, return_counts=False, axis=None, size=None,
    fill_value=None,
):  # fmt: skip
    """The elements of x, each once, in order, and what is asked for; of arrays only, unless a set of numbers is known.

    return_index, return_inverse, return_counts: whether where each is first, where x has which, and how often come too.
    axis: along which parts count as elements.
    size: of the result, which is cut, or filled up with ``fill_value``, by default its first element.
    """
    if is_symbolic(x):
        raise _refused("unique", _VALUES, (x,))
    found = np.unique(np.asarray(x), return_index, return_inverse, return_counts, axis)
    if size is None:
        return found
    several = isinstance(found, tuple)
    parts, where = list(found) if several else [found], 0 if axis is None else axis
    for i, part in enumerate(parts):
        if i == 1 + return_index and return_inverse:
            continue  # as long as x
        along = where if i == 0 else 0
        part = part.take(range(min(size, part.shape[along])), along)
        missing = size - part.shape[along]
        if missing:
            value = part.take([0], along) if i == 0 and fill_value is None else (fill_value if i == 0 else 0)
            shape = [missing if a == along else n for a, n in enumerate(part.shape)]
            part = np.concatenate([part, np.broadcast_to(np.asarray(value, part.dtype), shape)], along)
        parts[i] = part
    return tuple(parts) if several else parts[0]


@_of_arrays(_KERNEL, lambda indices, shape: np.unravel_index(indices, shape))
def unravel_index(indices, shape):
    """The indices of each axis of places in a flat array of that ``shape``."""


@public
def vectorize(pyfunc, *, excluded=None, signature=None):
    """A function of numbers as one of arrays, element by element: in Python, for arrays only.

    excluded, signature: as of ``numpy.vectorize``.  For tensors there is ``jitnet.activation``.
    """
    return np.vectorize(pyfunc, excluded=excluded, signature=signature)


@_of_arrays("its elements would be other numbers in a step", lambda x, dtype: np.asarray(x).view(dtype))
def view(x, dtype=None):
    """The bytes of x as another dtype."""
