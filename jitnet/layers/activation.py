"""Activations as layers."""

import math

from .. import activations, ops
from .._settings import Adjustable, described
from ..core import checks
from ..core.settings import Setting
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
    """max(x, 0), with Keras's options, each of which may be a schedule.

    Arguments:
        max_value: upper bound, or None.
        negative_slope: slope below the threshold.
        threshold: where the function leaves negative_slope * (x - threshold).
    """

    example = {"arguments": {"negative_slope": 0.25, "max_value": 1.0}, "input_shape": (4, 3)}
    max_value = Adjustable(checks.optional(checks.number), least=0, finite=False)
    negative_slope = Adjustable(least=0)
    threshold = Adjustable(least=0)

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs):
        if not self._structure():
            return ops.relu(inputs)
        largest = Setting(self, "max_value", absent=math.inf)
        return ops.rectifier(inputs, Setting(self, "negative_slope"), largest, Setting(self, "threshold"))

    def _structure(self) -> bool:
        """Whether it is more than max(x, 0)."""
        return [vars(self)[name] for name in ("max_value", "negative_slope", "threshold")] != [None, 0, 0]

    def get_config(self):
        return {
            **super().get_config(),
            "max_value": described(self.max_value),
            "negative_slope": described(self.negative_slope),
            "threshold": described(self.threshold),
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
