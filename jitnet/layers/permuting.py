"""Permute and RepeatVector."""

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import require_rank
from .base import Layer


class Permute(Layer):
    """The axes in another order; the batch stays first.

    Arguments:
        dims: the axes in their new order, counted from 1, as (2, 1) to swap the two of (batch, rows, columns).
    """

    example = {"arguments": {"dims": (3, 1, 2)}, "input_shape": (3, 2, 4)}

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = checks.sizes("Permute", "dims", dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise invalid("Permute expects dims to be the numbers from 1 on, in some order.", dims=dims)

    def call(self, inputs):
        require_rank("Permute", inputs, len(self.dims) + 1, "(batch, ...), as many as dims")
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self):
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """(batch, features), each row ``n`` times: (batch, n, features).

    Arguments:
        n: how many times.
    """

    example = {"arguments": {"n": 3}, "input_shape": (5,)}

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = checks.integer("RepeatVector", "n", n, least=1)

    def call(self, inputs):
        require_rank("RepeatVector", inputs, 2, "(batch, features)")
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, 1)

    def get_config(self):
        return {**super().get_config(), "n": self.n}
