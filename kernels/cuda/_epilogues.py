"""What follows a product before it is used: bias, residual and ReLU, or ReLU's mask.

Products do it where they store; for all others it is one launch in place.
"""

import inspect

from ..scalar import real
from ._api import cuda, kernel, launch, over
from ._columns import over_columns, row_step
from ._products import Epilogue, followed_by


@kernel
def _bias(y, bias, residual, rows, width, add, relu):
    column, first = cuda.grid(2)
    if column < width:
        shift = bias[column]
        for row in range(first, rows, row_step()):
            at = row * width + column
            value = y[at] + shift
            if add:
                value += residual[at]
            y[at] = real(0) if relu and value <= real(0) else value


@kernel
def _relu_mask(dx, mask):
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        if mask[i] <= real(0):
            dx[i] = real(0)


def with_epilogue(function, epilogue: str):
    """A function that does what ``function`` does and then its epilogue.

    It takes the arguments of ``function`` and then those of the epilogue, by their names: bias (C,), residual and mask,
    which are like the result.  epilogue: bias, bias_relu, bias_add, bias_add_relu or relu_mask.
    """
    names = list(inspect.signature(function).parameters)
    result = names.index("dx" if "dx" in names else "y")

    def run(*given, bias=None, residual=None, mask=None):
        following = Epilogue(bias, residual, mask, relu=epilogue.endswith("relu"))
        with followed_by(following):
            function(*given)
        if following.done:
            return
        out = given[result].reshape(-1)
        if epilogue == "relu_mask":
            launch(_relu_mask, *over(out.size), out, mask.reshape(-1))
        elif out.size:
            rows, width = out.size // bias.size, bias.size
            other = out if residual is None else residual.reshape(-1)
            add, relu = residual is not None, epilogue.endswith("relu")
            launch(_bias, *over_columns(rows, width), out, bias, other, rows, width, add, relu)

    return run
