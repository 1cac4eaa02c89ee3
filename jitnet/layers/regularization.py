"""Dropout."""

from .. import _seed
from .._settings import Adjustable, described
from ..core.errors import invalid
from ..core.operations.random import Dropout as DropoutOperation
from ..core.settings import Setting
from .base import Layer


class Dropout(Layer):
    """In training, each element is zero with probability ``rate`` and otherwise divided by 1 - rate.

    (Srivastava et al. 2014, inverted.)  Which elements are dropped is a function of the seed, the step and the
    element alone.

    Arguments:
        rate: from 0 up to, not including, 1; or a schedule of it.
        noise_shape: accepted for Keras's sake; must be None: every element is dropped by itself.
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (7,)}
    rate = Adjustable(least=0, below=1)

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if noise_shape is not None:
            raise invalid("Dropout drops every element by itself: noise_shape must be None.", noise_shape=noise_shape)
        self.rate = rate
        self.noise_shape = None
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._stream = _seed.next_stream() if seed is None else 0

    def call(self, inputs, training=False):
        # inference passes the input on under a new name, so that the layer appears in the graph
        rate = Setting(self, "rate") if training and self._structure() else 0.0
        return DropoutOperation(rate, self.seed, self._stream)(inputs)

    def _structure(self) -> bool:
        """Whether anything is dropped."""
        return vars(self)["rate"] != 0

    def get_config(self):
        return {**super().get_config(), "rate": described(self.rate), "noise_shape": None, "seed": self.seed}
