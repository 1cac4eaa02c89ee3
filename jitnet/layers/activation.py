"""Activations as layers."""

from .. import activations, ops
from ..core import checks
from .base import Layer


class Activation(Layer):
    """An activation by name or function.

    Arguments:
        activation: "relu", "sigmoid", "tanh", "softmax", ... or a function of jitnet.ops.
    """

    example = {"arguments": {"activation": "sigmoid"}, "input_shape": (3, 2)}

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def get_config(self):
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(Layer):
    """max(x, 0), with Keras's options.

    Arguments:
        max_value: upper bound, or None.
        negative_slope: slope below the threshold.
        threshold: where the function leaves negative_slope * (x - threshold).
    """

    example = {"arguments": {"negative_slope": 0.25, "max_value": 1.0}, "input_shape": (4, 3)}

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = None
        if max_value is not None:
            self.max_value = checks.number("ReLU", "max_value", max_value, least=0, finite=False)
        self.negative_slope = checks.number("ReLU", "negative_slope", negative_slope, least=0)
        self.threshold = checks.number("ReLU", "threshold", threshold, least=0)

    def call(self, inputs):
        if self.max_value is None and self.negative_slope == 0 and self.threshold == 0:
            return ops.relu(inputs)
        return ops.rectifier(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self):
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along an axis.

    Arguments:
        axis: an int, not the batch axis.
    """

    example = {"arguments": {"axis": 1}, "input_shape": (4, 3)}

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = checks.integer("Softmax", "axis", axis)

    def call(self, inputs):
        return ops.softmax(inputs, self.axis)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
