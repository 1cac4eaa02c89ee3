"""New arrays, and values of the shape of others.

Sizes are numbers, so that an array comes of it; where the first is None, as ``ops.shape(x)[0]`` is of the batch, a
symbolic tensor with a batch axis.
"""

import numpy as np

from ..core.errors import invalid
from ..core.lengths import Length, Samples, batches_in
from ..core.operations.shape import Filled
from ..core.operations.strided import BroadcastTo
from ..core.policy import floatx
from ..core.values import Value, as_value
from ._calls import in_floatx, on_arrays, publisher, sizes_of
from .shapes import broadcast_to, expand_dims
from .tensors import checked_dtype, convert_to_tensor, dtype_of, shape

__all__ = []
public = publisher(__all__)


def _filled(owner: str, sizes, value, dtype):
    sizes = sizes_of(sizes)
    dtype = checked_dtype(owner, dtype or floatx())
    if sizes[:1] == (None,):
        return Filled(sizes[1:], float(value), dtype, batches_in(sizes[0]))()
    if None in sizes:
        raise invalid(f"ops.{owner} expects sizes that are known, but for the first, the batch's.", shape=sizes)
    return np.full(sizes, value, dtype)


@public
def zeros(shape, dtype=None):
    """Zeros of the sizes ``shape``; dtype: floatx by default."""
    return _filled("zeros", shape, 0, dtype)


@public
def ones(shape, dtype=None):
    """Ones of the sizes ``shape``; dtype: floatx by default."""
    return _filled("ones", shape, 1, dtype)


@public
def empty(shape, dtype=None):
    """Zeros: memory with any content would make results that differ from run to run."""
    return _filled("empty", shape, 0, dtype)


@public
def full(shape, fill_value, dtype=None):
    """``fill_value``, a number or what can be broadcast, in the sizes ``shape``; dtype: floatx by default."""
    if isinstance(fill_value, Value) or np.ndim(fill_value):
        return broadcast_to(convert_to_tensor(fill_value, dtype or floatx()), shape)
    return _filled("full", shape, fill_value, dtype)


def _like(owner: str, x, value, dtype):
    if not isinstance(x, Value):
        x = convert_to_tensor(x)
    return _filled(owner, shape(x), value, dtype or dtype_of(x))


@public
def zeros_like(x, dtype=None):
    """Zeros of the shape of x, and of its dtype unless another is given."""
    return _like("zeros_like", x, 0, dtype)


@public
def ones_like(x, dtype=None):
    """Ones of the shape of x, and of its dtype unless another is given."""
    return _like("ones_like", x, 1, dtype)


@public
def empty_like(x, dtype=None):
    """Zeros of the shape of x, and of its dtype unless another is given."""
    return _like("empty_like", x, 0, dtype)


@public
def full_like(x, fill_value, dtype=None):
    """``fill_value`` in the shape of x, and of its dtype unless another is given."""
    return full(shape(x), fill_value, dtype or dtype_of(x))


@public
def arange(start, stop=None, step=None, dtype=None):
    """Numbers from ``start`` on, below ``stop``, ``step`` apart; of one argument, from 0 up to it.

    dtype: integers by default if all arguments are, else floatx.  The numbers are known while a model is traced, so
    that the arguments can't depend on the batch.  Up to a length that is None until data comes, as of
    ``Input((None,))``, they are known when it has come.
    """
    given = (start, stop, step)
    if start is None or any(isinstance(x, Value | Samples) for x in given):
        raise invalid(
            "ops.arange makes its numbers while the model is traced: it takes numbers, no symbolic values, and not the "
            "size of the batch, which is None.", start=start, stop=stop, step=step,
        )  # fmt: skip
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if any(isinstance(x, Length) for x in (start, stop)):
        # the length's stand-in is large, and what is computed of that many numbers: so they are no array yet
        count = -((start - stop) // step)
        zero = as_value(np.zeros(1), checked_dtype("arange", dtype or "int64"))
        return BroadcastTo((count,), batched=False)(zero)
    found = np.arange(start, stop, step)
    return in_floatx(found, given) if dtype is None else found.astype(checked_dtype("arange", dtype))


@public
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """``num`` numbers from ``start`` to ``stop``, evenly spaced."""
    found = np.linspace(start, stop, num, endpoint, retstep, dtype and checked_dtype("linspace", dtype), axis)
    return found if dtype else in_floatx(found, (start, stop))


@public
def logspace(start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0):
    """``base`` to the power of ``num`` evenly spaced numbers from ``start`` to ``stop``."""
    found = np.logspace(start, stop, num, endpoint, base, dtype and checked_dtype("logspace", dtype), axis)
    return found if dtype else in_floatx(found, (start, stop))


@public
def eye(N, M=None, k=0, dtype=None):
    """(N, M), 1 on the k-th diagonal, else 0; dtype: floatx by default."""
    return np.eye(N, M, k, checked_dtype("eye", dtype or floatx()))


@public
def identity(n, dtype=None):
    """(n, n), 1 on the diagonal, else 0; dtype: floatx by default."""
    return eye(n, dtype=dtype)


@public
def tri(N, M=None, k=0, dtype=None):
    """(N, M), 1 on the k-th diagonal and below, else 0; dtype: floatx by default."""
    return np.tri(N, M, k, checked_dtype("tri", dtype or floatx()))


@public
@on_arrays(lambda *x, indexing="xy": list(np.meshgrid(*x, indexing=indexing)))
def meshgrid(*x, indexing="xy"):
    """The coordinates of a grid with these axes, one array each: of arrays, since the batch is no axis of a grid."""
    raise invalid("ops.meshgrid takes arrays, which have no batch axis.", x=x)


@public
def array(x, dtype=None):
    """x as an array, or as a tensor if it is one; ``dtype``: cast."""
    return convert_to_tensor(x, dtype)


@public
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """``num`` numbers from ``start`` to ``stop``, each the same multiple of the one before."""
    found = np.geomspace(start, stop, num, endpoint, dtype and checked_dtype("geomspace", dtype), axis)
    return found if dtype else in_floatx(found, (start, stop))


def _window(name: str, text: str):
    def window(x):
        return getattr(np, name)(int(x)).astype(floatx())

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"{text}, with x points: (x,).\n    "
    return public(window)


bartlett = _window("bartlett", "Bartlett's window, a triangle")
blackman = _window("blackman", "Blackman's window, 0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t)")
hamming = _window("hamming", "Hamming's window, 0.54 - 0.46 cos(2 pi t)")
hanning = _window("hanning", "Hann's window, 0.5 - 0.5 cos(2 pi t)")


@public
def kaiser(x, beta):
    """Kaiser's window, I0(beta sqrt(1 - (2 t - 1)^2)) / I0(beta), with x points: (x,)."""
    return np.kaiser(int(x), beta).astype(floatx())


@public
@on_arrays(lambda x, N, increasing: np.vander(x, N, increasing))
def vander(x, N=None, increasing=False):
    """The powers of x (n,), which has no batch axis, or of each sample's one number: (n, N)."""
    if x.ndim != 1:
        raise invalid("ops.vander takes a vector.", shape=x.shape)
    count = x.shape[0] if N is None else N
    if count is None:
        raise invalid("ops.vander of a batch needs N, the number of powers.", N=N)
    powers = np.arange(count)
    column = expand_dims(x, -1)
    return column ** (powers if increasing else powers[::-1]).astype(x.dtype)
