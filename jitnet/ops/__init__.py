"""Keras's ``ops``: functions for the ``call`` of a layer, for losses and for metrics.

On symbolic tensors they add to the graph, and their gradients are automatic; on NumPy arrays (first axis: the batch)
they compute at once.
"""

from ..core.errors import module_dir, module_getattr
from ..core.operations.custom import CustomOperation
from ..core.operations.effects import assign
from ..core.trace import is_traced
from ..core.values import Variable, operators  # noqa: F401 - Variable, with its operators
from . import (
    array_functions,
    attention,
    comparisons,
    creation,
    elementwise,
    image,
    indexing,
    linalg,
    loops,
    nn,
    normalization,
    pieces,
    products,
    reductions,
    shapes,
    tensors,
)
from .array_functions import *  # noqa: F403
from .attention import *  # noqa: F403
from .comparisons import *  # noqa: F403
from .creation import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .indexing import *  # noqa: F403
from .loops import *  # noqa: F403
from .nn import *  # noqa: F403
from .normalization import *  # noqa: F403
from .pieces import *  # noqa: F403
from .products import *  # noqa: F403
from .reductions import *  # noqa: F403
from .shapes import *  # noqa: F403
from .tensors import *  # noqa: F403

__all__ = ["CustomOperation", "image", "linalg"]
for _module in (
    array_functions, attention, comparisons, creation, elementwise, indexing, loops, nn, normalization, pieces,
    products, reductions, shapes, tensors,
):  # fmt: skip
    __all__ += _module.__all__


def initializer(name: str):
    """The initializer of a name; imported when it is asked for."""
    from .. import initializers

    return initializers.get(name)


operators(
    add=elementwise.add, subtract=elementwise.subtract, multiply=elementwise.multiply, divide=elementwise.divide,
    power=elementwise.power, matmul=products.matmul, negative=elementwise.negative, absolute=elementwise.absolute,
    equal=comparisons.equal, not_equal=comparisons.not_equal,
    less=comparisons.less, less_equal=comparisons.less_equal, greater=comparisons.greater,
    greater_equal=comparisons.greater_equal, logical_and=comparisons.logical_and, logical_or=comparisons.logical_or,
    logical_xor=comparisons.logical_xor, logical_not=comparisons.logical_not, floor_divide=elementwise.floor_divide,
    mod=elementwise.mod, index=shapes.index,
    assign=assign, is_traced=is_traced, initializer=initializer,
)  # fmt: skip

__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
