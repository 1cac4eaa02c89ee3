"""Layers of several inputs."""

from .. import ops
from ..core import checks
from .base import Layer


class _Merge(Layer):
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
    """The product of a list of tensors, with broadcasting."""

    example = {"arguments": {}, "input_shape": [(3, 2), (1, 2)]}

    def call(self, inputs):
        y = inputs[0]
        for x in inputs[1:]:
            y = ops.multiply(y, x)
        return y


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
