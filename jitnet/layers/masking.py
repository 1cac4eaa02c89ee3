"""Masking."""

from .. import ops
from ..core import checks
from .base import Layer


class Masking(Layer):
    """Steps that consist of one number alone don't count: they become 0, and the output's mask says which they are.

    Input (batch, steps, ..., features), output the same, with the mask (batch, steps, ...) of the steps that count.

    Arguments:
        mask_value: the number.
    """

    example = {"arguments": {"mask_value": 0.5}, "input_shape": (3, 2)}

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = checks.number("Masking", "mask_value", mask_value)

    def compute_mask(self, inputs, mask=None):
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs):
        counts = self.compute_mask(inputs)
        outputs = ops.where(ops.expand_dims(counts, -1), inputs, 0.0)
        outputs.mask = counts
        return outputs

    def get_config(self):
        return {**super().get_config(), "mask_value": self.mask_value}
