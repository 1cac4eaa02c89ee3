"""Normalisation of each sample by itself, along axes."""

import numpy as np

from ..core import checks, trace
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.normalization import LayerNorm, RMSNorm
from ..core.operations.shape import Transpose
from ..core.values import Value
from . import elementwise, reductions
from ._calls import publisher

__all__ = []
public = publisher(__all__)
_EPSILON = 1e-7  # Keras's


@public
def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None, **kwargs):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over one or several axes (Ba et al. 2016).

    x: (batch, ...); gamma, beta: of the sizes of these axes in their order, or None; epsilon: None for 1e-7.
    """
    if kwargs:
        reason = "rms_scaling divides by the variance instead of its root: use rms_normalization"
        raise TypeError(f"layer_normalization takes no {', '.join(kwargs)} ({reason}). Received: {kwargs}")

    def normalised(tensor, shape):
        one, zero = np.ones(shape, tensor.dtype), np.zeros(shape, tensor.dtype)
        if trace.in_turn():  # where gradients of weights are products of all turns
            found = LayerNorm(_checked(epsilon))(tensor, one, zero)
            found = found if gamma is None else found * gamma
            return found if beta is None else found + beta
        return LayerNorm(_checked(epsilon))(tensor, one if gamma is None else gamma, zero if beta is None else beta)

    return _over_axes("layer_normalization", normalised, x, axis)


@public
def rms_normalization(x, scale=None, axis=-1, epsilon=None):
    """x / sqrt(mean of x^2 + epsilon) * scale over one or several axes (Zhang and Sennrich 2019).

    x: (batch, ...); scale: of the sizes of these axes in their order, or None; epsilon: None for 1e-7.
    """

    def normalised(tensor, shape):
        if trace.in_turn() and scale is not None:
            return RMSNorm(_checked(epsilon))(tensor, np.ones(shape, tensor.dtype)) * scale
        return RMSNorm(_checked(epsilon))(tensor, np.ones(shape, tensor.dtype) if scale is None else scale)

    return _over_axes("rms_normalization", normalised, x, axis)


@public
def normalize(x, axis=-1, order=2, epsilon=None):
    """x divided by its norm of any order along one or several axes, or by epsilon (None: 1e-7) if that is larger."""
    least = checks.number("normalize", "epsilon", _EPSILON if epsilon is None else epsilon, least=0)
    if not (order == "inf" or (isinstance(order, int | float) and not isinstance(order, bool) and order > 0)):
        raise invalid('normalize expects a positive order, or "inf".', order=order)
    if not isinstance(x, Value):
        from ..eager import evaluate_function

        return evaluate_function(lambda tensor: normalize(tensor, axis, order, epsilon), x)
    axes = tuple(normalize_axis("normalize", a, x) for a in ([axis] if isinstance(axis, int) else axis))
    if order == 2:
        squares = reductions.sum(elementwise.square(x), axes, keepdims=True)
        return x * elementwise.reciprocal(elementwise.sqrt(elementwise.maximum(squares, least * least)))
    size = elementwise.absolute(x)
    if order in ("inf", float("inf")):
        norm = reductions.max(size, axes, keepdims=True)
    elif order == 1:
        norm = reductions.sum(size, axes, keepdims=True)
    else:
        norm = elementwise.power(reductions.sum(elementwise.power(size, float(order)), axes, True), 1 / order)
    return x / elementwise.maximum(norm, least)


def _checked(epsilon):
    return _EPSILON if epsilon is None else epsilon


def _over_axes(name: str, function, x, axis):
    """function(x, shape of what is normalised together), with the axes of ``x`` last, moved there and back."""
    if not isinstance(x, Value):
        from ..eager import evaluate_function

        return evaluate_function(lambda tensor: _over_axes(name, function, tensor, axis), x)
    axes = sorted({normalize_axis(name, a, x) for a in ([axis] if isinstance(axis, int) else axis)})
    if not axes:
        raise invalid(f"{name} expects an axis, or several.", axis=axis)
    shape, order = tuple(x.shape[a] for a in axes), [*(a for a in range(x.ndim) if a not in axes), *axes]
    if order == sorted(order):
        return function(x, shape)
    moved = function(Transpose(tuple(order))(x), shape)
    return Transpose(tuple(order.index(a) for a in range(x.ndim)))(moved)
