"""Optimizer updates over all parameters at once: every array is flat, (P,), and is updated in place by one launch.

The kernels are written from the scalar functions of ``kernels.scalar.optimizers``, ``sgd_update`` from ``sgd``.
"""

import numpy as np

from ..scalar import optimizers, real  # noqa: F401 (the templates name it)
from ._api import cuda, function, kernel, launch, over  # noqa: F401 (the templates name them)

# what is the same for all elements is worked out once per block, in float64
_UPDATE = '''
@kernel
def _{name}_update({arguments}):
    shared = cuda.shared.array({most}, real)
    if cuda.threadIdx.x == 0:
        {prologue}
    cuda.syncthreads()
    {scalars}
    for i in range(cuda.grid(1), {first}.size, cuda.gridsize(1)):
        {targets} = {name}({elements})


def {name}_update({arguments}):
    """{name} of every element: {results} are overwritten"""
    launch(_{name}_update, *over({first}.size), {arguments})
'''


def _source(name: str) -> str:
    """The source of the kernel that does the function of this name with every element."""
    update, written = getattr(optimizers, name), optimizers.UPDATES[name]
    arrays, shared = optimizers.arrays(update), optimizers.scalars(update)
    given = optimizers.hyperparameters(update)
    values = ", ".join(f"{number}[0]" for number in given)
    if given != shared:
        values = f"{name}_scalars({values})"
    places = ", ".join(f"shared[{at}]" for at in range(len(shared)))
    return _UPDATE.format(
        name=name,
        most=max(1, len(shared)),
        arguments=", ".join([*arrays, *given]),
        results=", ".join(written),
        prologue=f"{places} = {values}" if shared else "pass",
        scalars=f"{', '.join(shared)} = {places}" if shared else "pass",
        first=arrays[0],
        targets=", ".join(f"{array}[i]" for array in written),
        elements=", ".join([*(f"{array}[i]" for array in arrays), *shared]),
    )


for _name in optimizers.UPDATES:
    globals()[_name] = getattr(optimizers, _name)
    if hasattr(optimizers, f"{_name}_scalars"):
        globals()[f"{_name}_scalars"] = function(getattr(optimizers, f"{_name}_scalars"), np.float64)
    exec(compile(_source(_name), __file__, "exec"), globals())
