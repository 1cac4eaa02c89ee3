"""Input."""

from ..core import checks, policy
from ..core.operations.elementwise import CAST_DTYPES
from ..core.values import SymbolicTensor
from .base import Layer, Node, unique_layer_name


class InputLayer(Layer):
    """Where data enters a model.

    Arguments:
        shape: without the batch axis.
        batch_size: accepted for Keras's sake; any batch size works.
        dtype: "float32", "float64", "int32" or "int64"; None: ``jitnet.floatx()``.
    """

    def __init__(self, shape=None, batch_size=None, dtype=None, **kwargs):
        super().__init__(**kwargs)
        self._policy = None if dtype is None else checks.one_of("Input", "dtype", dtype, CAST_DTYPES)
        self.shape = shape = checks.sizes("Input", "shape", shape)
        self.built = True
        tensor = SymbolicTensor((None, *shape), dtype or policy.floatx(), self.name)
        self._first_node = tensor.history = Node(self, [], [tensor])

    _not_copied = ()

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def Input(shape=None, batch_size=None, dtype=None, *, name=None, **unknown) -> SymbolicTensor:
    """A symbolic input of a model; shape: without the batch axis."""
    return InputLayer(shape, batch_size, dtype, name=name or unique_layer_name("input"), **unknown).output
