"""Layers of several inputs."""

import functools

from .. import ops
from ..core import checks
from ..core.operations.base import normalize_axis
from .base import Layer


class _Merge(Layer):
    """Where all inputs have a mask, a step of the output counts if it does in one of them."""

    def compute_mask(self, inputs, mask=None):
        if mask is None or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)

    def build(self, input_shape):
        if not isinstance(input_shape, list | tuple) or not input_shape or not isinstance(input_shape[0], tuple):
            raise ValueError(f"{type(self).__name__} expects a list of tensors. Received: shape={input_shape}")
        if len(input_shape) < 1:
            raise ValueError(f"{type(self).__name__} expects at least one tensor. Received: shape={input_shape}")


class Add(_Merge):
    """The sum of a list of tensors, with broadcasting."""

    example = {"arguments": {}, "input_shape": [(3, 2), (3, 2)]}

    def call(self, inputs):
        y = inputs[0]
        for x in inputs[1:]:
            y = ops.add(y, x)
        return y


class Multiply(_Merge):
    """The product of a list of tensors, with broadcasting.

    What an input's mask leaves out counts as 1; where all leave it out, the product is 0.
    """

    example = {"arguments": {}, "input_shape": [(3, 2), (1, 2)]}

    def call(self, inputs):
        masks = [_along(x) for x in inputs]
        parts = [x if m is None else ops.where(m, x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        y = functools.reduce(ops.multiply, parts)
        if any(m is None for m in masks):
            return y
        return ops.where(functools.reduce(ops.logical_or, masks), y, 0.0)


class Subtract(_Merge):
    """The first of two tensors minus the second, with broadcasting."""

    example = {"arguments": {}, "input_shape": [(3, 2), (1, 2)]}

    def build(self, input_shape):
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f"Subtract expects two tensors. Received: shape={input_shape}")

    def call(self, inputs):
        return ops.subtract(*inputs)


class Average(_Merge):
    """The mean of a list of tensors, with broadcasting."""

    example = {"arguments": {}, "input_shape": [(3, 2), (3, 2)]}

    def call(self, inputs):
        y = inputs[0]
        for x in inputs[1:]:
            y = ops.add(y, x)
        return ops.multiply(y, 1.0 / len(inputs))


def _along(x):
    """The mask of a tensor with an axis more, to broadcast along its last one; None if it has none."""
    return None if x.mask is None else ops.expand_dims(x.mask, -1)


def _chosen(function, inputs):
    """``function`` of one input after the other; what a mask leaves out gives way to what the others have there."""
    y, so_far = inputs[0], _along(inputs[0])
    for x in inputs[1:]:
        mask = _along(x)
        x = x if mask is None else ops.where(mask, x, y)
        y = y if so_far is None else ops.where(so_far, y, x)
        so_far = None if mask is None or so_far is None else ops.logical_or(so_far, mask)
        y = function(y, x)
    return y


class Maximum(_Merge):
    """The largest of a list of tensors, element by element, with broadcasting; masks leave elements out."""

    example = {"arguments": {}, "input_shape": [(3, 2), (3, 2)]}

    def call(self, inputs):
        return _chosen(ops.maximum, inputs)


class Minimum(_Merge):
    """The smallest of a list of tensors, element by element, with broadcasting; masks leave elements out."""

    example = {"arguments": {}, "input_shape": [(3, 2), (3, 2)]}

    def call(self, inputs):
        return _chosen(ops.minimum, inputs)


class Dot(_Merge):
    """The sums of products of two tensors along an axis of each, sample by sample.

    Input (batch, ...) twice; output (batch, other axes of the first, other axes of the second), of vectors (batch, 1).

    Arguments:
        axes: an axis, the same of both, or a pair; none is the batch's.
        normalize: whether to divide both by their length along the axis first: the cosine of their angle.
    """

    example = {"arguments": {"axes": (2, 1), "normalize": True}, "input_shape": [(3, 2), (2, 4)]}

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        if isinstance(axes, list | tuple) and len(axes) == 2:
            self.axes = tuple(checks.integer("Dot", "axes", axis) for axis in axes)
        else:
            self.axes = checks.integer("Dot", "axes", axes)
        self.normalize = checks.boolean("Dot", "normalize", normalize)

    def build(self, input_shape):
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f"Dot expects two tensors. Received: shape={input_shape}")

    def call(self, inputs):
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        axes = [normalize_axis("Dot", axis, x) for axis, x in zip(axes, inputs, strict=True)]
        if self.normalize:
            inputs = [_of_length_one(x, axis) for x, axis in zip(inputs, axes, strict=True)]
        letters = iter("abcdefghijklmnopqrstuvwxyz")
        terms = [["Z", *(next(letters) for _ in range(x.ndim - 1))] for x in inputs]
        for term, axis in zip(terms, axes, strict=True):
            term[axis] = "Y"
        result = ["Z", *(letter for term in terms for letter in term if letter not in "YZ")]
        left, right = map("".join, terms)
        y = ops.einsum(f"{left},{right}->{''.join(result)}", *inputs)
        return ops.expand_dims(y, 1) if y.ndim == 1 else y

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _of_length_one(x, axis: int):
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.where(ops.equal(squares, 0.0), 1.0, squares))  # zeros stay zeros


class Concatenate(_Merge):
    """Tensors side by side.

    Arguments:
        axis: an int, not the batch axis.
    """

    example = {"arguments": {"axis": 1}, "input_shape": [(3, 2), (1, 2)]}

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = checks.integer("Concatenate", "axis", axis)

    def call(self, inputs):
        return ops.concatenate(inputs, self.axis)

    def compute_mask(self, inputs, mask=None):
        """Of steps after steps, theirs one after the other; of features beside features, as of a sum."""
        if mask is None or all(m is None for m in mask):
            return None
        axis = normalize_axis("Concatenate", self.axis, inputs[0])
        if axis == inputs[0].ndim - 1:
            return super().compute_mask(inputs, mask)
        all_count = [ops.ones_like(ops.any(x, axis=-1)) if m is None else m for x, m in zip(inputs, mask, strict=True)]
        return ops.concatenate(all_count, axis)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def add(inputs, **kwargs):
    """``Add(**kwargs)(inputs)``"""
    return Add(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """``Multiply(**kwargs)(inputs)``"""
    return Multiply(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """``Concatenate(axis, **kwargs)(inputs)``"""
    return Concatenate(axis=axis, **kwargs)(inputs)


def subtract(inputs, **kwargs):
    """``Subtract(**kwargs)(inputs)``"""
    return Subtract(**kwargs)(inputs)


def average(inputs, **kwargs):
    """``Average(**kwargs)(inputs)``"""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """``Maximum(**kwargs)(inputs)``"""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """``Minimum(**kwargs)(inputs)``"""
    return Minimum(**kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """``Dot(axes, **kwargs)(inputs)``"""
    return Dot(axes=axes, **kwargs)(inputs)
