"""Pooling of (batch, height, width, channels)."""

from ..core import checks
from ..core.operations.convolution import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from ..core.operations.shape import Reshape
from .base import Layer, check_channels_last


class _Pooling2D(Layer):
    operation: type

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        check_channels_last(kind, data_format)
        self.pool_size = checks.pair(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else checks.pair(kind, "strides", strides)
        self.padding = checks.padding_name(kind, padding)

    def call(self, inputs):
        return self.operation(self.pool_size, self.strides, self.padding)(inputs)

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class MaxPooling2D(_Pooling2D):
    """The maximum of each window; the first one receives the gradient.

    Arguments:
        pool_size, strides: an int, or a pair for height and width; strides=None: pool_size.
        padding: "valid" or "same".
        data_format: None or "channels_last".
    """

    operation = MaxPool2D
    example = {"arguments": {"pool_size": (3, 2), "strides": 2, "padding": "same"}, "input_shape": (5, 7, 3)}


class AveragePooling2D(_Pooling2D):
    """The mean of each window; padding is not counted.

    Arguments: as of MaxPooling2D.
    """

    operation = AveragePool2D
    example = {"arguments": {"pool_size": 2, "strides": 3}, "input_shape": (5, 7, 3)}


class _GlobalPooling2D(Layer):
    operation: type

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        check_channels_last(type(self).__name__, data_format)
        self.keepdims = checks.boolean(type(self).__name__, "keepdims", keepdims)

    def call(self, inputs):
        y = self.operation()(inputs)
        return Reshape((1, 1, y.shape[1]))(y) if self.keepdims else y

    def get_config(self):
        return {**super().get_config(), "keepdims": self.keepdims}


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean over height and width: (batch, channels).

    Arguments:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, 1, channels).
    """

    operation = GlobalAveragePool2D
    example = {"arguments": {}, "input_shape": (3, 5, 2)}


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The maximum over height and width: (batch, channels); the first one receives the gradient.

    Arguments: as of GlobalAveragePooling2D.
    """

    operation = GlobalMaxPool2D
    example = {"arguments": {"keepdims": True}, "input_shape": (3, 5, 2)}
