"""Normalisation over the batch, or of each sample by itself."""

import numpy as np

from .. import constraints, initializers, ops, regularizers
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display, normalize_axis
from ..core.operations.effects import Assigned
from ..core.operations.normalization import BatchNorm, GroupNorm
from ..core.settings import Setting
from ..core.values import Constant, SymbolicTensor
from .base import Layer


class BatchNormalization(Layer):
    """Batch normalisation of channels (Ioffe and Szegedy 2015).

    In training the batch's statistics are used, and moving ones updated; in inference, and always while
    ``trainable`` is False, the moving ones.  Weights: gamma, beta, moving_mean, moving_variance, each (channels,).
    Where the input has a mask (batch, ...), of all its axes but the last, or is given one, the statistics are those of
    what counts.

    Arguments:
        axis: that of the channels; the last one needs no copy.
        momentum: of the moving statistics: moving = moving * momentum + batch * (1 - momentum).
        epsilon: added to the variance.  Both may be schedules.
        center, scale: whether to learn beta and gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: names or objects.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: names, objects or None.
        renorm, renorm_clipping, renorm_momentum: batch renormalisation is not there: False, None, and any number.
        synchronized: a model trains on one device, so that there is nothing to synchronise: True or False.
    """

    supports_masking = True
    example = {"arguments": {}, "input_shape": (3, 2, 4)}
    momentum = Adjustable(least=0, most=1)
    epsilon = Adjustable(least=0)

    def __init__(
        self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
        gamma_initializer="ones", moving_mean_initializer="zeros", moving_variance_initializer="ones",
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, renorm=False,
        renorm_clipping=None, renorm_momentum=0.99, synchronized=False, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = "BatchNormalization"
        self.axis = checks.integer(kind, "axis", axis)
        self.momentum = momentum
        self.epsilon = epsilon
        if renorm or renorm_clipping is not None:
            raise invalid(
                f"{kind} has no batch renormalisation (Ioffe 2017).", renorm=renorm, renorm_clipping=renorm_clipping
            )
        self.renorm, self.renorm_clipping = False, None
        self.renorm_momentum = checks.number(kind, "renorm_momentum", renorm_momentum)
        self.synchronized = checks.boolean(kind, "synchronized", synchronized)
        _take_affine(
            self, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint,
        )  # fmt: skip
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape):
        shape = _sizes(self, input_shape)
        _add_affine(self, shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs, training=False, mask=None):
        if mask is not None and mask.ndim != inputs.ndim - 1:
            raise invalid(
                f"BatchNormalization expects a mask of shape {display(inputs.shape[:-1])}.", mask=display(mask.shape)
            )
        x = _channels_last(self, inputs)
        channels = (x.shape[-1],)
        gamma = self.gamma if self.scale else Constant(initializers.Ones()(channels, x.dtype))
        beta = self.beta if self.center else Constant(initializers.Zeros()(channels, x.dtype))
        momentum, epsilon = Setting(self, "momentum"), Setting(self, "epsilon")
        if mask is not None and training and self.trainable:
            counts = ops.cast(ops.not_equal(ops.expand_dims(mask, -1), 0), x.dtype)
            if x is not inputs:  # a row of the mask is one of the inputs, wherever their channels are
                counts = _channels_last(self, ops.broadcast_to(counts, inputs.shape))
            return _channels_back(self, self._of_what_counts(x, counts, gamma, beta, momentum, epsilon), inputs)
        operation = BatchNorm(momentum, epsilon, training and self.trainable)
        y = operation(x, gamma, beta, self.moving_mean, self.moving_variance)
        return _channels_back(self, y, inputs)

    def _of_what_counts(self, x, counts, gamma, beta, momentum, epsilon):
        """Normalised by the statistics of what a mask leaves, which the moving ones follow.  counts: 1 or 0."""

        def total(values):
            return ops.sum(ops.sum(values, axis=tuple(range(1, x.ndim - 1))) if x.ndim > 2 else values, axis=0)

        count = total(counts) + 1e-7  # Keras's
        mean = total(x * counts) / count
        variance = total(ops.square(x - mean) * counts) / count
        y = (x - mean) * ops.rsqrt(variance + epsilon) * gamma + beta
        pairs = (self.moving_mean, mean), (self.moving_variance, variance)
        moved = [old * momentum + ops.stop_gradient(new) * (1.0 - momentum) for old, new in pairs]
        return Assigned()(y, *moved, self.moving_mean, self.moving_variance)

    def get_config(self):
        config = {**super().get_config(), **_affine_config(self)}
        for key in ("axis", "momentum", "epsilon", "renorm", "renorm_clipping", "renorm_momentum", "synchronized"):
            config[key] = described(getattr(self, key))
        for key in ("moving_mean", "moving_variance"):
            config[f"{key}_initializer"] = initializers.serialize(getattr(self, f"{key}_initializer"))
        return config


class LayerNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over some axes of each sample (Ba et al. 2016).

    Input (batch, ...), output the same; weights: gamma, beta, each of the sizes of the axes, in their order.

    Arguments:
        axis: one or several, not the batch; the last ones need no copy.
        epsilon: added to the variance; may be a schedule.
        center, scale: whether to learn beta and gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint:
            names or objects.
    """

    supports_masking = True
    example = {"arguments": {"axis": (1, 2)}, "input_shape": (3, 2)}
    epsilon = Adjustable(least=0)

    def __init__(
        self, axis=-1, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros", gamma_initializer="ones",
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, **kwargs,
    ):  # fmt: skip
        kind = type(self).__name__
        if kwargs.pop("rms_scaling", False):
            raise invalid(
                f"{kind} with rms_scaling would divide by the variance instead of its root: use RMSNormalization.",
                rms_scaling=True,
            )
        super().__init__(**kwargs)
        self.axis = _axes(kind, axis)
        self.epsilon = epsilon
        _take_affine(
            self, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint,
        )  # fmt: skip

    def build(self, input_shape):
        _add_affine(self, _sizes(self, input_shape))

    def call(self, inputs):
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, Setting(self, "epsilon"))

    def get_config(self):
        config = {**super().get_config(), "axis": self.axis, "epsilon": described(self.epsilon)}
        return {**config, **_affine_config(self)}


class RMSNormalization(Layer):
    """x / sqrt(mean of x^2 + epsilon) * scale, over some axes of each sample (Zhang and Sennrich 2019).

    Input (batch, ...), output the same; weights: scale, of the sizes of the axes, in their order.

    Arguments:
        axis: as in LayerNormalization.
        epsilon: added to the mean of squares; may be a schedule.
    """

    example = {"arguments": {"axis": -1}, "input_shape": (3, 5)}
    epsilon = Adjustable(least=0)

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = _axes("RMSNormalization", axis)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.scale = self.add_weight(_sizes(self, input_shape), "ones", name="scale")

    def call(self, inputs):
        return ops.rms_normalization(inputs, self.scale, self.axis, Setting(self, "epsilon"))

    def get_config(self):
        return {**super().get_config(), "axis": self.axis, "epsilon": described(self.epsilon)}


class GroupNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta for groups of channels of each sample (Wu and He 2018).

    The mean and variance of a group are over its channels and all other axes but the batch.  Input (batch, ...), output
    the same; weights: gamma, beta, each (channels,).

    Arguments:
        groups: how many, a divisor of the channels; -1: as many as channels.
        axis: that of the channels.
        epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint: as in LayerNormalization.
    """

    supports_masking = True
    example = {"arguments": {"groups": 2}, "input_shape": (3, 2, 4)}
    epsilon = Adjustable(least=0)

    def __init__(
        self, groups=32, axis=-1, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
        gamma_initializer="ones", beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
        gamma_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.groups = checks.integer(kind, "groups", groups, least=-1)
        if self.groups == 0:
            raise invalid(f"{kind} expects a positive number of groups, or -1 for one per channel.", groups=groups)
        self.axis = checks.integer(kind, "axis", axis)
        self.epsilon = epsilon
        _take_affine(
            self, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint,
        )  # fmt: skip

    def build(self, input_shape):
        (channels,) = _sizes(self, input_shape)
        if channels % self._count(channels):
            raise invalid(
                f"{type(self).__name__} expects groups of equal size of {channels} channels.", groups=self.groups
            )
        _add_affine(self, (channels,))

    def _count(self, channels: int) -> int:
        return channels if self.groups == -1 else self.groups

    def call(self, inputs):
        x = _channels_last(self, inputs)
        channels = (x.shape[-1],)
        gamma = Constant(np.ones(channels, x.dtype)) if self.gamma is None else self.gamma
        beta = Constant(np.zeros(channels, x.dtype)) if self.beta is None else self.beta
        y = GroupNorm(self._count(*channels), Setting(self, "epsilon"))(x, gamma, beta)
        return _channels_back(self, y, inputs)

    def get_config(self):
        config = {"groups": self.groups, "axis": self.axis, "epsilon": described(self.epsilon)}
        return {**super().get_config(), **config, **_affine_config(self)}


class InstanceNormalization(GroupNormalization):
    """GroupNormalization with a group for each channel (Ulyanov et al. 2016).

    Arguments:
        axis, epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint: as in GroupNormalization.
    """

    example = {"arguments": {"epsilon": 1e-5}, "input_shape": (3, 2, 4)}

    def __init__(self, axis=-1, epsilon=1e-3, **kwargs):
        super().__init__(-1, axis, epsilon, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["groups"]
        return config


class UnitNormalization(Layer):
    """x divided by its Euclidean norm along some axes, so that this is 1.

    Input (batch, ...), output the same.

    Arguments:
        axis: one or several, not the batch.
    """

    supports_masking = True
    example = {"arguments": {"axis": (1, 2)}, "input_shape": (3, 2)}

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = _axes("UnitNormalization", axis)

    def call(self, inputs):
        return ops.normalize(inputs, self.axis, epsilon=1e-12)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _axes(kind: str, axis):
    """An axis, or a list of several."""
    if not isinstance(axis, list | tuple):
        return checks.integer(kind, "axis", axis)
    if not axis:
        raise invalid(f"{kind} expects an axis, or several.", axis=axis)
    return [checks.integer(kind, "axis", one) for one in axis]


def _channels_last(layer, x):
    """``x`` with the axis of a layer as the last one."""
    axis = normalize_axis(type(layer).__name__, layer.axis, x)
    return x if axis == x.ndim - 1 else ops.transpose(x, [*(a for a in range(x.ndim) if a != axis), axis])


def _channels_back(layer, y, x):
    """``y`` with its last axis where the axis of a layer is in ``x``."""
    axis, last = layer.axis % x.ndim, x.ndim - 1
    return y if axis == last else ops.transpose(y, [*range(axis), last, *range(axis, last)])


def _sizes(layer, input_shape) -> tuple:
    """The sizes of the axes of a layer."""
    kind = type(layer).__name__
    x = SymbolicTensor(tuple(input_shape), layer.dtype, "x")
    axes = sorted({normalize_axis(kind, a, x) for a in ([layer.axis] if isinstance(layer.axis, int) else layer.axis)})
    return tuple(input_shape[axis] for axis in axes)


def _take_affine(
    layer, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
    gamma_constraint,
) -> None:  # fmt: skip
    """The arguments of what is learned after a normalisation."""
    kind = type(layer).__name__
    layer.center = checks.boolean(kind, "center", center)
    layer.scale = checks.boolean(kind, "scale", scale)
    layer.beta_initializer = initializers.get(beta_initializer)
    layer.gamma_initializer = initializers.get(gamma_initializer)
    layer.beta_regularizer = regularizers.get(beta_regularizer)
    layer.gamma_regularizer = regularizers.get(gamma_regularizer)
    layer.beta_constraint = constraints.get(beta_constraint)
    layer.gamma_constraint = constraints.get(gamma_constraint)
    layer.gamma = layer.beta = None


def _add_affine(layer, shape) -> None:
    for name, wanted in (("gamma", layer.scale), ("beta", layer.center)):
        if wanted:
            own = {kind: getattr(layer, f"{name}_{kind}") for kind in ("initializer", "regularizer", "constraint")}
            setattr(layer, name, layer.add_weight(shape, name=name, **own))


def _affine_config(layer) -> dict:
    config = {"center": layer.center, "scale": layer.scale}
    for key in ("beta", "gamma"):
        config[f"{key}_initializer"] = initializers.serialize(getattr(layer, f"{key}_initializer"))
        config[f"{key}_regularizer"] = regularizers.serialize(getattr(layer, f"{key}_regularizer"))
        config[f"{key}_constraint"] = constraints.serialize(getattr(layer, f"{key}_constraint"))
    return config
