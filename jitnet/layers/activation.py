"""Activations as layers."""

import math

from .. import activations, constraints, initializers, ops, regularizers
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display, elements, normalize_axis
from ..core.settings import Setting
from ..core.values import as_value
from .base import Layer


class Activation(Layer):
    """An activation by name or function.

    Arguments:
        activation: "relu", "sigmoid", "tanh", "softmax", ... or a function of jitnet.ops.
    """

    supports_masking = True
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

    supports_masking = True
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


class LeakyReLU(Layer):
    """x where positive, else negative_slope * x (Maas et al. 2013).

    Arguments:
        negative_slope: not negative; or a schedule of it.
    """

    supports_masking = True
    example = {"arguments": {"negative_slope": 0.25}, "input_shape": (4, 3)}
    negative_slope = Adjustable(least=0)

    def __init__(self, negative_slope=0.3, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, inputs):
        return ops.leaky_relu(inputs, Setting(self, "negative_slope"))

    def get_config(self):
        return {**super().get_config(), "negative_slope": described(self.negative_slope)}


class ELU(Layer):
    """x where positive, else alpha * (exp(x) - 1) (Clevert et al. 2016).

    Arguments:
        alpha: a number, or a schedule of it.
    """

    supports_masking = True
    example = {"arguments": {"alpha": 0.5}, "input_shape": (4, 3)}
    alpha = Adjustable()

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs):
        return ops.elu(inputs, Setting(self, "alpha"))

    def get_config(self):
        return {**super().get_config(), "alpha": described(self.alpha)}


class PReLU(Layer):
    """x where positive, else alpha * x, with a learned alpha (He et al. 2015, equation 1).

    Input (batch, ...), output the same; weights: alpha, of the shape of a sample, with 1 for each shared axis.

    Arguments:
        alpha_initializer: a name or an object.
        alpha_regularizer, alpha_constraint: names, objects or None.
        shared_axes: an axis from 1 on, or several, along which there is one alpha: (1, 2) for one per channel.
    """

    supports_masking = True
    example = {"arguments": {"alpha_initializer": "ones", "shared_axes": 1}, "input_shape": (3, 2)}

    def __init__(
        self, alpha_initializer="zeros", alpha_regularizer=None, alpha_constraint=None, shared_axes=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        several = shared_axes is None or isinstance(shared_axes, list | tuple)
        shared = checks.sizes("PReLU", "shared_axes", (shared_axes or ()) if several else (shared_axes,))
        self.shared_axes = list(shared) if shared else None

    def build(self, input_shape):
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if axis > len(shape):
                raise invalid(f"PReLU expects axes from 1 to {len(shape)}.", shared_axes=self.shared_axes)
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            tuple(shape), self.alpha_initializer, regularizer=self.alpha_regularizer, constraint=self.alpha_constraint,
            name="alpha",
        )  # fmt: skip

    def call(self, inputs):
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)

    def get_config(self):
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along an axis, or over several.

    With a mask that broadcasts to its input, given or the input's, it leaves out what is False there (or up to 0.5):
    that becomes 0.

    Arguments:
        axis: an int or several, not the batch axis.
    """

    supports_masking = True
    example = {"arguments": {"axis": (1, 3)}, "input_shape": (4, 3, 2)}

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        one = not isinstance(axis, list | tuple)
        axes = [checks.integer("Softmax", "axis", a) for a in ([axis] if one else axis)]
        if not axes:
            raise invalid("Softmax expects an axis, or several.", axis=axis)
        self.axis = axes[0] if one else axes

    def call(self, inputs, mask=None):
        if mask is None:
            return self._over_axes(inputs)
        mask = as_value(mask, inputs.dtype)
        if mask.batched and mask.ndim != inputs.ndim:
            raise invalid(
                f"Softmax expects a mask that broadcasts to its inputs {display(inputs.shape)}, of as many axes.",
                mask=display(mask.shape),
            )
        kept = ops.sign(ops.relu(ops.cast(mask, inputs.dtype) - 0.5))
        # what is left out is as low as in Keras, even where it is inf
        return self._over_axes(ops.minimum(inputs, kept * 3e38 - 1e9)) * kept

    def _over_axes(self, x):
        if isinstance(self.axis, int):
            return ops.softmax(x, self.axis)
        axes = [normalize_axis("Softmax", axis, x) for axis in self.axis]
        others = [axis for axis in range(1, x.ndim) if axis not in axes]
        order = [0, *others, *sorted(set(axes))]
        moved = x if order == sorted(order) else ops.transpose(x, order)
        kept = moved.shape[1 : 1 + len(others)]
        joined = ops.reshape(moved, (-1, *kept, elements(moved.shape[1 + len(others) :])))
        y = ops.reshape(ops.softmax(joined), (-1, *moved.shape[1:]))
        return y if moved is x else ops.transpose(y, [order.index(axis) for axis in range(x.ndim)])

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
