"""BatchNormalization."""

from .. import constraints, initializers, regularizers
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations.normalization import BatchNorm
from ..core.settings import Setting
from ..core.values import Constant
from .base import Layer


class BatchNormalization(Layer):
    """Batch normalisation over the last axis (Ioffe and Szegedy 2015).

    In training the batch's statistics are used, and moving ones updated; in inference, and always while
    ``trainable`` is False, the moving ones.  Weights: gamma, beta, moving_mean, moving_variance, each (channels,).

    Arguments:
        axis: the last axis.
        momentum: of the moving statistics: moving = moving * momentum + batch * (1 - momentum).
        epsilon: added to the variance.  Both may be schedules.
        center, scale: whether to learn beta and gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: names or objects.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: names, objects or None.
    """

    example = {"arguments": {}, "input_shape": (3, 2, 4)}
    momentum = Adjustable(least=0, most=1)
    epsilon = Adjustable(least=0)

    def __init__(
        self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, beta_initializer="zeros",
        gamma_initializer="ones", moving_mean_initializer="zeros", moving_variance_initializer="ones",
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = "BatchNormalization"
        self.axis = checks.integer(kind, "axis", axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = checks.boolean(kind, "center", center)
        self.scale = checks.boolean(kind, "scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, input_shape):
        if self.axis not in (-1, len(input_shape) - 1):
            raise invalid("BatchNormalization normalises the last axis (channels).", axis=self.axis)
        shape = (input_shape[-1],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, regularizer=self.gamma_regularizer, constraint=self.gamma_constraint,
                name="gamma",
            )  # fmt: skip
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, regularizer=self.beta_regularizer, constraint=self.beta_constraint,
                name="beta",
            )  # fmt: skip
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs, training=False):
        channels = (inputs.shape[-1],)
        gamma = self.gamma if self.scale else Constant(initializers.Ones()(channels, inputs.dtype))
        beta = self.beta if self.center else Constant(initializers.Zeros()(channels, inputs.dtype))
        momentum, epsilon = Setting(self, "momentum"), Setting(self, "epsilon")
        operation = BatchNorm(momentum, epsilon, training and self.trainable)
        return operation(inputs, gamma, beta, self.moving_mean, self.moving_variance)

    def get_config(self):
        config = super().get_config()
        for key in ("axis", "momentum", "epsilon", "center", "scale"):
            config[key] = described(getattr(self, key))
        for key in ("beta", "gamma", "moving_mean", "moving_variance"):
            config[f"{key}_initializer"] = initializers.serialize(getattr(self, f"{key}_initializer"))
        for key in ("beta", "gamma"):
            config[f"{key}_regularizer"] = regularizers.serialize(getattr(self, f"{key}_regularizer"))
            config[f"{key}_constraint"] = constraints.serialize(getattr(self, f"{key}_constraint"))
        return config
