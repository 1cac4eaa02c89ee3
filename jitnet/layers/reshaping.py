"""Flatten, Reshape, ZeroPadding1D, ZeroPadding2D."""

from ..core import checks
from ..core.operations.base import elements, require_rank
from ..core.operations.shape import Pad2D
from ..core.operations.shape import Reshape as ReshapeOperation
from .base import Layer


class Flatten(Layer):
    """(batch, ...) to (batch, number of elements).

    Arguments:
        data_format: None or "channels_last".
    """

    example = {"arguments": {}, "input_shape": (3, 2, 4)}

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("Flatten", data_format)

    def call(self, inputs):
        return ReshapeOperation((elements(inputs.shape),))(inputs)


class Reshape(Layer):
    """The same elements under another shape.

    Arguments:
        target_shape: without the batch axis; one entry may be -1.
    """

    example = {"arguments": {"target_shape": (4, -1)}, "input_shape": (3, 8)}

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        self.target_shape = checks.sizes("Reshape", "target_shape", target_shape, least=-1)

    def call(self, inputs):
        return ReshapeOperation(self.target_shape)(inputs)

    def get_config(self):
        return {**super().get_config(), "target_shape": self.target_shape}


class ZeroPadding1D(Layer):
    """Zeros before and after the steps of (batch, length, channels).

    Arguments:
        padding: an int for both ends, or a pair (first, last).
        data_format: None or "channels_last".
    """

    example = {"arguments": {"padding": (1, 2)}, "input_shape": (3, 2)}

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("ZeroPadding1D", data_format)
        self.padding = checks.pair("ZeroPadding1D", "padding", padding, least=0)

    def call(self, inputs):
        require_rank("ZeroPadding1D", inputs, 3, "(batch, length, channels)")
        y = Pad2D(((0, 0), self.padding))(ReshapeOperation((1, *inputs.shape[1:]))(inputs))
        return ReshapeOperation(y.shape[2:])(y)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


class ZeroPadding2D(Layer):
    """Zeros around height and width of (batch, height, width, channels).

    Arguments:
        padding: an int; a pair (height, width) for symmetric padding; or ((top, bottom), (left, right)).
        data_format: None or "channels_last".
    """

    example = {"arguments": {"padding": ((1, 0), (2, 3))}, "input_shape": (3, 2, 2)}

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last("ZeroPadding2D", data_format)
        self.padding = checks.margins("ZeroPadding2D", "padding", padding)

    def call(self, inputs):
        require_rank("ZeroPadding2D", inputs, 4, "(batch, height, width, channels)")
        return Pad2D(self.padding)(inputs)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}
