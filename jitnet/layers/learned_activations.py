"""Activations with weights of more than one kind: Maxout, FReLU."""

from .. import initializers, ops, regularizers
from .._settings import described
from ..core import checks
from .base import Layer
from .convolution import DepthwiseConv2D
from .normalization import BatchNormalization


class Maxout(Layer):
    """The largest of ``pieces`` linear functions for each unit (Goodfellow et al. 2013, section 3).

    Input (batch, ..., features), output (batch, ..., units); weights: kernel (features, units * pieces), of which the
    pieces of a unit lie side by side, bias (units * pieces,).

    Arguments:
        units: size of the output's last axis.
        pieces: how many functions for each unit.
        use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in Dense.
    """

    supports_masking = True
    example = {"arguments": {"units": 3, "pieces": 2}, "input_shape": (5,)}

    def __init__(
        self, units, pieces=2, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.units = checks.integer("Maxout", "units", units, least=1)
        self.pieces = checks.integer("Maxout", "pieces", pieces, least=1)
        self.use_bias = checks.boolean("Maxout", "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias = None

    def build(self, input_shape):
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"Maxout expects an input (batch, ..., features). Received: shape={input_shape}")
        columns = self.units * self.pieces
        self.kernel = self.add_weight(
            (input_shape[-1], columns), self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (columns,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def call(self, inputs):
        y = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            y = ops.bias_add(y, self.bias)
        return ops.max(ops.reshape(y, (-1, *y.shape[1:-1], self.units, self.pieces)), axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "pieces": self.pieces,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
        }


class FReLU(Layer):
    """max(x, T(x)), T a depthwise convolution and a batch normalisation of it (Ma et al. 2020, equation 2).

    Input (batch, height, width, channels), output the same; weights: those of the convolution, kernel (..., channels,
    1), and of the normalisation, (channels,) each.

    Arguments:
        kernel_size: an int, or a pair for height and width.
        kernel_initializer, kernel_regularizer: of the convolution, which has no bias.
        momentum, epsilon: as in BatchNormalization.
    """

    example = {"arguments": {"kernel_size": 3}, "input_shape": (5, 4, 3)}

    def __init__(
        self, kernel_size=3, kernel_initializer="glorot_uniform", kernel_regularizer=None, momentum=0.99, epsilon=1e-3,
        **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        own = {"dtype": kwargs.get("dtype"), "trainable": self.trainable}
        self.convolution = DepthwiseConv2D(
            kernel_size, padding="same", use_bias=False, depthwise_initializer=kernel_initializer,
            depthwise_regularizer=kernel_regularizer, name=f"{self.name}_convolution", **own,
        )  # fmt: skip
        self.normalization = BatchNormalization(
            momentum=momentum, epsilon=epsilon, name=f"{self.name}_normalization", **own
        )

    def call(self, inputs):
        return ops.maximum(inputs, self.normalization(self.convolution(inputs)))

    def get_config(self):
        convolution, normalization = self.convolution, self.normalization
        return {
            **super().get_config(),
            "kernel_size": convolution.kernel_size,
            "kernel_initializer": initializers.serialize(convolution.depthwise_initializer),
            "kernel_regularizer": regularizers.serialize(convolution.depthwise_regularizer),
            "momentum": described(normalization.momentum),
            "epsilon": described(normalization.epsilon),
        }
