"""ActivityRegularization."""

from .. import regularizers
from .._settings import described
from .base import Layer


class ActivityRegularization(Layer):
    """Passes its input on, and adds its penalty to the loss: (l1 * sum(|x|) + l2 * sum(x**2)) / batch.

    Input (batch, ...), output the same.

    Arguments:
        l1, l2: factors, at least 0, or schedules of them; assigned later at ``activity_regularizer``.
    """

    supports_masking = True
    example = {"arguments": {"l1": 0.1, "l2": 0.2}, "input_shape": (3, 2)}

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)

    def call(self, inputs):
        return inputs

    def get_config(self):
        config = super().get_config()
        del config["activity_regularizer"]
        numbers = self.activity_regularizer
        return {**config, "l1": described(numbers.l1), "l2": described(numbers.l2)}
