"""Conv2D and DepthwiseConv2D."""

from .. import activations, constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import require_rank
from .base import Layer, check_channels_last


class Conv2D(Layer):
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

    example = {
        "arguments": {"filters": 4, "kernel_size": (3, 2), "strides": (1, 2), "padding": "same", "groups": 2},
        "input_shape": (5, 7, 2),
    }

    def __init__(
        self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1), groups=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
        bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        check_channels_last("Conv2D", data_format)
        self.filters = checks.integer("Conv2D", "filters", filters, least=1)
        self.kernel_size = checks.pair("Conv2D", "kernel_size", kernel_size)
        self.strides = checks.pair("Conv2D", "strides", strides)
        self.padding = checks.padding_name("Conv2D", padding)
        self.dilation_rate = checks.pair("Conv2D", "dilation_rate", dilation_rate)
        self.groups = checks.integer("Conv2D", "groups", groups, least=1)
        if self.filters % self.groups:
            raise invalid(f"Conv2D expects filters to be a multiple of groups={groups}.", filters=filters)
        self.activation = activations.get(activation)
        self.use_bias = checks.boolean("Conv2D", "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(f"Conv2D expects an input (batch, height, width, channels). Received: shape={input_shape}")
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(
                f"Conv2D expects input channels to be a multiple of groups={self.groups}. Received: shape={input_shape}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, regularizer=self.bias_regularizer,
                constraint=self.bias_constraint, name="bias",
            )  # fmt: skip

    def call(self, inputs):
        require_rank("Conv2D", inputs, 4, "(batch, height, width, channels)")
        y = ops.conv(inputs, self.kernel, self.strides, self.padding, self.dilation_rate, self.groups)
        if self.use_bias:
            y = ops.bias_add(y, self.bias)
        return self.activation(y)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


class DepthwiseConv2D(Layer):
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

    example = {
        "arguments": {"kernel_size": (3, 2), "strides": (1, 2), "padding": "same", "depth_multiplier": 2},
        "input_shape": (5, 7, 3),
    }

    def __init__(
        self, kernel_size, strides=(1, 1), padding="valid", depth_multiplier=1, data_format=None, dilation_rate=(1, 1),
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
        depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
        bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        check_channels_last("DepthwiseConv2D", data_format)
        self.kernel_size = checks.pair("DepthwiseConv2D", "kernel_size", kernel_size)
        self.strides = checks.pair("DepthwiseConv2D", "strides", strides)
        self.padding = checks.padding_name("DepthwiseConv2D", padding)
        self.depth_multiplier = checks.integer("DepthwiseConv2D", "depth_multiplier", depth_multiplier, least=1)
        self.dilation_rate = checks.pair("DepthwiseConv2D", "dilation_rate", dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = checks.boolean("DepthwiseConv2D", "use_bias", use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias = None

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(
                f"DepthwiseConv2D expects an input (batch, height, width, channels). Received: shape={input_shape}"
            )
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer, regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
            name="kernel",
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                (channels * self.depth_multiplier,),
                self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
                name="bias",
            )  # fmt: skip

    def call(self, inputs):
        require_rank("DepthwiseConv2D", inputs, 4, "(batch, height, width, channels)")
        y = ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding, self.dilation_rate)
        if self.use_bias:
            y = ops.bias_add(y, self.bias)
        return self.activation(y)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "depth_multiplier": self.depth_multiplier,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "depthwise_regularizer": regularizers.serialize(self.depthwise_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "depthwise_constraint": constraints.serialize(self.depthwise_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
