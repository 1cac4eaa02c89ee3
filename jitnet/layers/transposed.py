"""Transposed convolutions."""

from .. import constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from .convolution import _Convolution


class _ConvTranspose(_Convolution):
    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, kernel_constraint=None, bias_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        kind = type(self).__name__
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = checks.integer(kind, "filters", filters, least=1)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = checks.axes(kind, "output_padding", output_padding, self.rank, least=0)
            if any(extra >= stride for extra, stride in zip(self.output_padding, self.strides, strict=True)):
                raise invalid(
                    f"{kind} expects output_padding to be smaller than strides={self.strides}.",
                    output_padding=output_padding,
                )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise invalid(
                f"{kind} takes strides or a dilation_rate above 1, not both.",
                strides=self.strides, dilation_rate=self.dilation_rate,
            )  # fmt: skip
        self._set_result(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)

    def build(self, input_shape):
        shape = (*self.kernel_size, self.filters, self._channels(input_shape))
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        self._add_bias(self.filters)

    def _convolve(self, inputs):
        window = self.strides, self.padding, self.output_padding
        return ops.conv_transpose(inputs, self.kernel, *window, dilation_rate=self.dilation_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": self.output_padding,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
        }


class Conv1DTranspose(_ConvTranspose):
    """Transposed 1-D convolution of (batch, length, channels): what Conv1D's gradient does to its input.

    Output (batch, new length, filters), the length as of Conv2DTranspose; weights: kernel (kernel length, filters,
    channels), bias (filters,).

    Arguments:
        kernel_size, strides, dilation_rate: an int.
        output_padding: None or an int smaller than strides.
        filters, padding, data_format, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: as in Conv2DTranspose.
    """

    rank = 1
    example = {"arguments": {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, "input_shape": (4, 3)}


class Conv2DTranspose(_ConvTranspose):
    """Transposed 2-D convolution of (batch, height, width, channels): what Conv2D's gradient does to its input
    (Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin and Visin 2016, section 4).

    Output (batch, new height, new width, filters); weights: kernel (kernel height, kernel width, filters, channels),
    bias (filters,).  With padding "same" new = old * stride, with "valid" (old - 1) * stride + max(dilated kernel,
    stride).  With output_padding it is (old - 1) * stride + output_padding, and the dilated kernel or, with "same", 1
    or 0 as that is odd or even.

    Arguments:
        filters: output channels.
        kernel_size, strides, dilation_rate: an int, or a pair for height and width; one of the last two is 1.
        padding: "valid" or "same", of the convolution whose gradient it is.
        output_padding: None, or an int or a pair, smaller than strides: chooses between the sizes from which that
            convolution would give the input's.
        data_format: None or "channels_last".
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as in Dense.
    """

    rank = 2
    example = {
        "arguments": {"filters": 2, "kernel_size": (3, 2), "strides": (2, 3), "padding": "same", "output_padding": 1},
        "input_shape": (4, 3, 3),
    }
