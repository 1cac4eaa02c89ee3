"""Convolutions of images and of sequences, whole and by channel."""

from .. import activations, constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import require_rank
from ._quantized import floats
from .base import Layer

AXES = {1: "(batch, length, channels)", 2: "(batch, height, width, channels)"}


class _Convolution(Layer):
    """What all convolutions have: a window that slides over ``rank`` axes, a bias and an activation."""

    rank: int
    paddings: tuple = checks.PADDINGS

    def _set_window(self, kernel_size, strides, padding, data_format, dilation_rate):
        kind = type(self).__name__
        checks.channels_last(kind, data_format)
        self.kernel_size = checks.axes(kind, "kernel_size", kernel_size, self.rank)
        self.strides = checks.axes(kind, "strides", strides, self.rank)
        self.padding = checks.padding_name(kind, padding, self.paddings)
        self.dilation_rate = checks.axes(kind, "dilation_rate", dilation_rate, self.rank)

    def _set_result(self, activation, use_bias, bias_initializer, bias_regularizer, bias_constraint):
        self.activation = activations.get(activation)
        self.use_bias = checks.boolean(type(self).__name__, "use_bias", use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None

    def _channels(self, input_shape) -> int:
        """The channels of the inputs, whose rank is checked."""
        if len(input_shape) != self.rank + 2:
            kind = type(self).__name__
            raise ValueError(f"{kind} expects an input {AXES[self.rank]}. Received: shape={input_shape}")
        return input_shape[-1]

    def _add_bias(self, filters: int):
        if self.use_bias:
            self.bias = self.add_weight(
                (filters,), self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
                name="bias",
            )  # fmt: skip

    def _convolve(self, inputs):
        raise NotImplementedError

    def call(self, inputs):
        require_rank(type(self).__name__, inputs, self.rank + 2, AXES[self.rank])
        y = self._convolve(inputs)
        if self.use_bias:
            y = ops.bias_add(y, self.bias)
        return self.activation(y)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


class _Conv(_Convolution):
    quantized_weight = "kernel"

    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, groups=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, kernel_constraint=None, bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        kind = type(self).__name__
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = checks.integer(kind, "filters", filters, least=1)
        self.groups = checks.integer(kind, "groups", groups, least=1)
        if self.filters % self.groups:
            raise invalid(f"{kind} expects filters to be a multiple of groups={self.groups}.", filters=filters)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape):
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__} expects input channels to be a multiple of groups={self.groups}. "
                f"Received: shape={input_shape}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        self._add_bias(self.filters)

    def quantized_axes(self):
        """The kernel's axes that have one scale together."""
        return tuple(range(self.rank + 1))

    def _convolve(self, inputs):
        return ops.conv(inputs, floats(self), self.strides, self.padding, dilation_rate=self.dilation_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
        }


class Conv1D(_Conv):
    """1-D convolution (as cross-correlation) of (batch, length, channels), along the length.

    Output (batch, new length, filters), where new = floor((old + padding - dilated kernel) / stride) + 1; weights:
    kernel (kernel length, channels / groups, filters), bias (filters,).

    Arguments:
        filters: output channels.
        kernel_size, strides, dilation_rate: an int.
        padding: "valid", "same" (ceil(old / stride) outputs), or "causal": zeros come before the inputs alone, so that
            no output depends on later inputs.
        data_format: None or "channels_last".
        groups: channels and filters are split into so many independent groups.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as in Dense.
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    example = {
        "arguments": {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "causal", "groups": 2},
        "input_shape": (7, 2),
    }


class Conv2D(_Conv):
    """2-D convolution (as cross-correlation) of (batch, height, width, channels).

    Output (batch, new height, new width, filters), where new = floor((old + padding - dilated kernel) / stride) + 1;
    weights: kernel (kernel height, kernel width, channels / groups, filters), bias (filters,).

    Arguments:
        filters: output channels.
        kernel_size, strides, dilation_rate: an int, or a pair for height and width.
        padding: "valid", or "same" (ceil(old / stride) outputs; the odd element of padding is at the bottom and right).
        data_format: None or "channels_last".
        groups: channels and filters are split into so many independent groups.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as in Dense.
    """

    rank = 2
    example = {
        "arguments": {"filters": 4, "kernel_size": (3, 2), "strides": (1, 2), "padding": "same", "groups": 2},
        "input_shape": (5, 7, 2),
    }


class _DepthwiseConv(_Convolution):
    def __init__(
        self, kernel_size, strides=1, padding="valid", depth_multiplier=1, data_format=None, dilation_rate=1,
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
        depthwise_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, depthwise_constraint=None, bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.integer(type(self).__name__, "depth_multiplier", depth_multiplier, least=1)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer, regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
            name="kernel",
        )  # fmt: skip
        self._add_bias(channels * self.depth_multiplier)

    def _convolve(self, inputs):
        return ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding, dilation_rate=self.dilation_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "depthwise_regularizer": regularizers.serialize(self.depthwise_regularizer),
            "depthwise_constraint": constraints.serialize(self.depthwise_constraint),
        }


class DepthwiseConv1D(_DepthwiseConv):
    """1-D convolution (as cross-correlation) of each channel of (batch, length, channels) by itself.

    Output (batch, new length, channels * depth_multiplier), the length as of Conv1D; weights: kernel (kernel length,
    channels, depth_multiplier), bias (channels * depth_multiplier,).

    Arguments:
        kernel_size, strides, dilation_rate: an int.
        padding: "valid" or "same".
        depth_multiplier, data_format, activation, use_bias, bias_initializer, bias_regularizer, activity_regularizer,
            bias_constraint, depthwise_initializer, depthwise_regularizer, depthwise_constraint: as in DepthwiseConv2D.
    """

    rank = 1
    example = {
        "arguments": {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2},
        "input_shape": (6, 3),
    }


class DepthwiseConv2D(_DepthwiseConv):
    """2-D convolution (as cross-correlation) of each channel of (batch, height, width, channels) by itself.

    Output (batch, new height, new width, channels * depth_multiplier), sizes as of Conv2D; weights: kernel (kernel
    height, kernel width, channels, depth_multiplier), bias (channels * depth_multiplier,).

    Arguments:
        kernel_size, strides, dilation_rate: an int, or a pair for height and width.
        padding, data_format: as in Conv2D.
        depth_multiplier: filters per channel.
        activation, use_bias, bias_initializer, bias_regularizer, activity_regularizer, bias_constraint: as in Dense;
            depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.
    """

    rank = 2
    example = {
        "arguments": {"kernel_size": (3, 2), "strides": (1, 2), "padding": "same", "depth_multiplier": 2},
        "input_shape": (5, 7, 3),
    }
