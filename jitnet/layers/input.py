"""Input."""

from ..core import checks, policy
from ..core.errors import invalid
from ..core.lengths import shown
from ..core.operations.elementwise import CAST_DTYPES
from ..core.values import SymbolicTensor
from ._calling import Node
from .base import Layer, unique_layer_name


class InputLayer(Layer):
    """Where data enters a model.

    Arguments:
        shape: without the batch axis; None for a length that may differ from call to call, as in (None, None, 3).
        batch_size: None for any; a number: the model refuses batches of another size.
        dtype: "float32", "float64", "int32" or "int64"; "string" for what a StringLookup, Hashing or TextVectorization
            takes; None: ``jitnet.floatx()``.
        batch_shape: instead of ``shape`` and ``batch_size``: both in one, (batch_size, *shape).
        tensor: a symbolic tensor that nothing computes, to be this input; its shape and dtype count.
        optional: accepted for Keras's sake; must be False: every input is needed.
    """

    def __init__(
        self, shape=None, batch_size=None, dtype=None, *, batch_shape=None, tensor=None, optional=False, **kwargs
    ):  # fmt: skip
        super().__init__(**kwargs)
        if optional:
            raise invalid("Every input of a model is needed: optional must be False.", optional=optional)
        if batch_shape is not None:
            if shape is not None or batch_size is not None:
                raise invalid(
                    "Input takes batch_shape, or shape and batch_size.",
                    shape=shape, batch_size=batch_size, batch_shape=batch_shape,
                )  # fmt: skip
            if not isinstance(batch_shape, list | tuple) or not batch_shape:
                raise invalid("Input expects batch_shape to be (batch_size, ...).", batch_shape=batch_shape)
            batch_size, *shape = batch_shape
        if tensor is not None:
            if not isinstance(tensor, SymbolicTensor) or tensor.producer or tensor.history or not tensor.batched:
                raise invalid("Input expects tensor to be a symbolic tensor that nothing computes.", tensor=tensor)
            shape, dtype, tensor.name = tensor.shape[1:], tensor.dtype, self.name
        checks.one_of("Input", "dtype", dtype or policy.floatx(), (*CAST_DTYPES, "string"))
        self._policy = None if dtype == "string" else dtype
        self.shape = shape = checks.input_shape("Input", "shape", shape)
        self.batch_size = None if batch_size is None else checks.integer("Input", "batch_size", batch_size, least=1)
        self.built = True
        if tensor is None:
            tensor = SymbolicTensor((None, *shape), dtype or policy.floatx(), self.name)
        self._first_node = tensor.history = Node(self, (), {}, [tensor])

    _not_copied = ()

    def get_config(self):
        size = {} if self.batch_size is None else {"batch_size": self.batch_size}
        return {**super().get_config(), "shape": shown(self.shape), **size}


def Input(
    shape=None, batch_size=None, dtype=None, *, batch_shape=None, name=None, tensor=None, optional=False, **unknown
) -> SymbolicTensor:  # fmt: skip
    """A symbolic input of a model; shape: without the batch axis; other arguments as of ``InputLayer``."""
    return InputLayer(
        shape, batch_size, dtype, batch_shape=batch_shape, name=name or unique_layer_name("input"), tensor=tensor,
        optional=optional, **unknown,
    ).output  # fmt: skip
