"""Keras's ``ops``: functions for the ``call`` of a layer, for losses and for metrics.

On symbolic tensors they add to the graph, and their gradients are automatic; on NumPy arrays (first axis: the batch)
they compute at once.
"""

from ..core.errors import module_getattr
from ..core.operations.custom import CustomOperation
from ..core.operations.effects import Assign
from ..core.values import Variable, operators  # noqa: F401 - Variable, with its operators
from . import elementwise, nn, normalization, products, reductions, shapes
from .elementwise import *  # noqa: F403
from .nn import *  # noqa: F403
from .normalization import *  # noqa: F403
from .products import *  # noqa: F403
from .reductions import *  # noqa: F403
from .shapes import *  # noqa: F403

__all__ = ["CustomOperation"]
for _module in (elementwise, nn, normalization, products, reductions, shapes):
    __all__ += _module.__all__

operators(
    add=elementwise.add, subtract=elementwise.subtract, multiply=elementwise.multiply, divide=elementwise.divide,
    power=elementwise.power, matmul=products.matmul, negative=elementwise.negative, absolute=elementwise.absolute,
    assign=lambda variable, value: Assign()(variable, value),
)  # fmt: skip

__getattr__ = module_getattr(__name__, "function")
