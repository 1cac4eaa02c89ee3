"""Pooling of (batch, height, width, channels) and of (batch, length, channels)."""

from .. import ops
from ..core import checks
from ..core.operations.base import require_rank
from ..core.operations.convolution import GlobalAveragePool2D, GlobalMaxPool2D
from ..core.operations.shape import Reshape
from .base import Layer, check_mask
from .convolution import AXES


class _Pooling(Layer):
    rank: int

    def _set(self, pool_size, strides, padding, data_format):
        kind = type(self).__name__
        checks.channels_last(kind, data_format)
        self.pool_size = checks.axes(kind, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else checks.axes(kind, "strides", strides, self.rank)
        self.padding = checks.padding_name(kind, padding)

    def _pool(self, inputs, *window):
        raise NotImplementedError

    def call(self, inputs):
        require_rank(type(self).__name__, inputs, self.rank + 2, AXES[self.rank])
        return self._pool(inputs, self.pool_size, self.strides, self.padding)

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class _Maximum:
    def _pool(self, inputs, *window):
        return ops.max_pool(inputs, *window)


class _Mean:
    def _pool(self, inputs, *window):
        return ops.average_pool(inputs, *window)


class MaxPooling1D(_Maximum, _Pooling):
    """The maximum of each window along the length of (batch, length, channels); the first one receives the gradient.

    Arguments:
        pool_size, strides: an int; strides=None: pool_size.
        padding, data_format: as of MaxPooling2D.
    """

    rank = 1
    example = {"arguments": {"pool_size": 3, "strides": 2, "padding": "same"}, "input_shape": (6, 3)}

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self._set(pool_size, strides, padding, data_format)


class MaxPooling2D(_Maximum, _Pooling):
    """The maximum of each window; the first one receives the gradient.

    Arguments:
        pool_size, strides: an int, or a pair for height and width; strides=None: pool_size.
        padding: "valid" or "same".
        data_format: None or "channels_last".
    """

    rank = 2
    example = {"arguments": {"pool_size": (3, 2), "strides": 2, "padding": "same"}, "input_shape": (5, 7, 3)}

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self._set(pool_size, strides, padding, data_format)


class AveragePooling1D(_Mean, _Pooling):
    """The mean of each window along the length of (batch, length, channels); padding is not counted.

    Arguments: as of MaxPooling1D.
    """

    rank = 1
    example = {"arguments": {"pool_size": 2, "strides": 3}, "input_shape": (7, 3)}

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self._set(pool_size, strides, padding, data_format)


class AveragePooling2D(_Mean, _Pooling):
    """The mean of each window; padding is not counted.

    Arguments: as of MaxPooling2D.
    """

    rank = 2
    example = {"arguments": {"pool_size": 2, "strides": 3}, "input_shape": (5, 7, 3)}

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self._set(pool_size, strides, padding, data_format)


class _GlobalPooling(Layer):
    operation: type
    rank: int

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last(type(self).__name__, data_format)
        self.keepdims = checks.boolean(type(self).__name__, "keepdims", keepdims)

    def call(self, inputs):
        require_rank(type(self).__name__, inputs, self.rank + 2, AXES[self.rank])
        x = Reshape((1, *inputs.shape[1:]))(inputs) if self.rank == 1 else inputs
        y = self.operation()(x)
        return Reshape((*(1,) * self.rank, y.shape[1]))(y) if self.keepdims else y

    def get_config(self):
        return {**super().get_config(), "keepdims": self.keepdims}


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over the length of (batch, length, channels): (batch, channels).

    Where the input has a mask (batch, length), or is given one, the mean is that of the steps that count: NaN of none.

    Arguments:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, channels).
    """

    rank = 1
    operation = GlobalAveragePool2D
    example = {"arguments": {"keepdims": True}, "input_shape": (5, 2)}

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        require_rank(type(self).__name__, inputs, 3, AXES[1])
        check_mask(self, mask, inputs)
        counts = ops.not_equal(ops.expand_dims(mask, 2), 0)
        total = ops.sum(ops.where(counts, inputs, 0.0), axis=1, keepdims=self.keepdims)
        return total / ops.sum(ops.cast(counts, inputs.dtype), axis=1, keepdims=self.keepdims)

    def compute_mask(self, inputs, mask=None):
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean over height and width: (batch, channels).

    Arguments:
        data_format: None or "channels_last".
        keepdims: whether the output is (batch, 1, 1, channels).
    """

    rank = 2
    operation = GlobalAveragePool2D
    example = {"arguments": {}, "input_shape": (3, 5, 2)}


class GlobalMaxPooling1D(_GlobalPooling):
    """The maximum over the length of (batch, length, channels): (batch, channels); the first receives the gradient.

    Arguments: as of GlobalAveragePooling1D.
    """

    rank = 1
    operation = GlobalMaxPool2D
    example = {"arguments": {}, "input_shape": (5, 2)}


class GlobalMaxPooling2D(_GlobalPooling):
    """The maximum over height and width: (batch, channels); the first one receives the gradient.

    Arguments: as of GlobalAveragePooling2D.
    """

    rank = 2
    operation = GlobalMaxPool2D
    example = {"arguments": {"keepdims": True}, "input_shape": (3, 5, 2)}


class _AdaptivePooling(Layer):
    rank: int

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        checks.channels_last(kind, data_format)
        self.output_size = checks.axes(kind, "output_size", output_size, self.rank)

    def call(self, inputs):
        require_rank(type(self).__name__, inputs, self.rank + 2, AXES[self.rank])
        return self._pool(inputs, self.output_size)

    def get_config(self):
        size = self.output_size
        return {**super().get_config(), "output_size": size if self.rank > 1 else size[0]}


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The means of so many windows of (batch, length, channels), whatever the length: (batch, output_size, channels).

    Window i of n reaches from floor(i length / n) to ceil((i + 1) length / n).

    Arguments:
        output_size: the number of windows; for images an int or a pair (height, width).
        data_format: None or "channels_last".
    """

    rank = 1
    example = {"arguments": {"output_size": 3}, "input_shape": (5, 2)}
    _pool = staticmethod(ops.adaptive_average_pool)


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The means of so many windows of (batch, height, width, channels), whatever their sizes.

    Arguments: as of AdaptiveAveragePooling1D.
    """

    rank = 2
    example = {"arguments": {"output_size": (2, 3)}, "input_shape": (5, 4, 2)}
    _pool = staticmethod(ops.adaptive_average_pool)


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The maxima of the windows of AdaptiveAveragePooling1D.

    Arguments: as of AdaptiveAveragePooling1D.
    """

    rank = 1
    example = {"arguments": {"output_size": 3}, "input_shape": (5, 2)}
    _pool = staticmethod(ops.adaptive_max_pool)


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The maxima of the windows of AdaptiveAveragePooling2D.

    Arguments: as of AdaptiveAveragePooling1D.
    """

    rank = 2
    example = {"arguments": {"output_size": 2}, "input_shape": (5, 4, 2)}
    _pool = staticmethod(ops.adaptive_max_pool)
