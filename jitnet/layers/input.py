"""Input."""

from .. import graph
from .._errors import invalid
from ..graph import SymbolicTensor
from ..operations.elementwise import CAST_DTYPES
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
        if dtype not in (None, *CAST_DTYPES):
            raise invalid(f"Input expects dtype to be one of {', '.join(CAST_DTYPES)}, or None.", dtype=dtype)
        try:
            shape = tuple(int(s) for s in shape)
        except TypeError:
            raise invalid("Input expects a shape of fixed sizes, without the batch axis.", shape=shape) from None
        if any(s < 1 for s in shape):
            raise invalid("Input expects positive sizes.", shape=shape)
        self.shape = shape
        self.built = True
        self._policy = dtype
        tensor = SymbolicTensor((None, *shape), dtype or graph.floatx(), self.name)
        self._first_node = tensor.history = Node(self, [], [tensor])

    _not_copied = ()

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def Input(shape=None, batch_size=None, dtype=None, *, name=None, **unknown) -> SymbolicTensor:
    """A symbolic input of a model; shape: without the batch axis."""
    return InputLayer(shape, batch_size, dtype, name=name or unique_layer_name("input"), **unknown).output
