"""Optimizer updates over all parameters at once: every array is flat, (P,), and is updated in place by one launch.

The kernels are written from the scalar functions of ``kernels.scalar.optimizers``, ``sgd_update`` from ``sgd``.
"""

import numpy as np

from ..scalar import optimizers
from ._api import function
from ._loops import Loop

_UPDATE = '''
def {name}_update({arguments}):
    """{name} of every element: {results} are overwritten"""
    _LOOPS["{name}"](({arrays},), {given})
'''


def _loop(name: str) -> Loop:
    """The loop that does the function of this name with every element."""
    update = getattr(optimizers, name)
    arrays, shared = optimizers.arrays(update), optimizers.scalars(update)
    given = optimizers.hyperparameters(update)
    functions, prologue = {name: update}, []
    if shared:
        values = ", ".join(f"{number}[0]" for number in given)
        if given != shared:
            functions[f"{name}_scalars"] = function(getattr(optimizers, f"{name}_scalars"), np.float64)
            values = f"{name}_scalars({values})"
        places = ", ".join(f"shared[{at}]" for at in range(len(shared)))
        # what is the same for all elements is worked out once per block, in float64
        prologue = [
            f"shared = cuda.shared.array({len(shared)}, real)",
            "if cuda.threadIdx.x == 0:",
            f"    {places} = {values}",
            "cuda.syncthreads()",
            f"{', '.join(shared)} = {places}",
        ]
    elements = ", ".join([*(f"{array}[i]" for array in arrays), *shared])
    targets = ", ".join(f"{array}[i]" for array in optimizers.UPDATES[name])
    return Loop(__name__, f"_{name}_update", arrays, given, prologue, [f"{targets} = {name}({elements})"], functions)


def _define(name: str) -> None:
    arrays, given = optimizers.arrays(getattr(optimizers, name)), optimizers.hyperparameters(getattr(optimizers, name))
    source = _UPDATE.format(
        name=name,
        arguments=", ".join([*arrays, *given]),
        arrays=", ".join(arrays),
        given=", ".join(given),
        results=", ".join(optimizers.UPDATES[name]),
    )
    exec(compile(source, __file__, "exec"), globals())


_LOOPS = {name: _loop(name) for name in optimizers.UPDATES}
for _name in _LOOPS:
    _define(_name)
