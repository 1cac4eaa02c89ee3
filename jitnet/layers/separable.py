"""Convolutions by channel, followed by one of 1 or 1x1 that mixes the channels (Chollet 2017, "Xception")."""

from .. import constraints, initializers, ops, regularizers
from ..core import checks
from .convolution import _Convolution


class _SeparableConv(_Convolution):
    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, depth_multiplier=1,
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", pointwise_initializer="glorot_uniform",
        bias_initializer="zeros", depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        kind = type(self).__name__
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = checks.integer(kind, "filters", filters, least=1)
        self.depth_multiplier = checks.integer(kind, "depth_multiplier", depth_multiplier, least=1)
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer, regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
            name="depthwise_kernel",
        )  # fmt: skip
        self.pointwise_kernel = self.add_weight(
            (*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer, regularizer=self.pointwise_regularizer, constraint=self.pointwise_constraint,
            name="pointwise_kernel",
        )  # fmt: skip
        self._add_bias(self.filters)

    def _convolve(self, inputs):
        kernels = self.depthwise_kernel, self.pointwise_kernel
        return ops.separable_conv(inputs, *kernels, self.strides, self.padding, dilation_rate=self.dilation_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "pointwise_initializer": initializers.serialize(self.pointwise_initializer),
            "depthwise_regularizer": regularizers.serialize(self.depthwise_regularizer),
            "depthwise_constraint": constraints.serialize(self.depthwise_constraint),
            "pointwise_regularizer": regularizers.serialize(self.pointwise_regularizer),
            "pointwise_constraint": constraints.serialize(self.pointwise_constraint),
        }


class SeparableConv1D(_SeparableConv):
    """DepthwiseConv1D, then a Conv1D with a kernel of length 1, of (batch, length, channels).

    Output (batch, new length, filters), the length as of Conv1D; weights: depthwise_kernel (kernel length, channels,
    depth_multiplier), pointwise_kernel (1, channels * depth_multiplier, filters), bias (filters,).

    Arguments:
        filters, data_format, depth_multiplier, activation, use_bias, depthwise_initializer, pointwise_initializer,
            bias_initializer, depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer,
            depthwise_constraint, pointwise_constraint, bias_constraint: as in SeparableConv2D.
        kernel_size, strides, dilation_rate: an int.
        padding: "valid" or "same".
    """

    rank = 1
    example = {"arguments": {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, "input_shape": (7, 3)}


class SeparableConv2D(_SeparableConv):
    """DepthwiseConv2D, then a Conv2D with a kernel of 1x1, of (batch, height, width, channels).

    Output (batch, new height, new width, filters), sizes as of Conv2D; weights: depthwise_kernel (kernel height, kernel
    width, channels, depth_multiplier), pointwise_kernel (1, 1, channels * depth_multiplier, filters), bias (filters,).

    Arguments:
        filters: output channels.
        kernel_size, strides, dilation_rate: an int, or a pair for height and width.
        padding, data_format: as in Conv2D.
        depth_multiplier: filters per channel of the first convolution.
        activation, use_bias, bias_initializer, bias_regularizer, activity_regularizer, bias_constraint: as in Dense;
            depthwise_initializer, depthwise_regularizer, depthwise_constraint, pointwise_initializer,
            pointwise_regularizer, pointwise_constraint: of the two kernels.
    """

    rank = 2
    example = {
        "arguments": {"filters": 5, "kernel_size": (3, 2), "padding": "same", "depth_multiplier": 2},
        "input_shape": (5, 4, 3),
    }
