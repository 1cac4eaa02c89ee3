"""Optimizer updates over all parameters at once: every array is flat, (P,), and is updated in place.

The kernels are written from the scalar functions of ``kernels.scalar.optimizers``, ``sgd_update`` from ``sgd``.  Their
loops run over whole arrays, ``for i in range(parameter.size)``: an index that starts anywhere else makes Numba handle
negative indices, which keeps the compiler from vectorising.
"""

from ..scalar import optimizers
from .runtime.jit import kernel, kernel_attributes, scalar, written  # noqa: F401 (the templates name them)

_UPDATE = '''
def {name}_update({arguments}):
    """{name} of every element: {results} are overwritten"""
    kernel_attributes()
    {prologue}
    for i in range({first}.size):
        {targets} = {name}({elements})
'''


def _update_source(name: str) -> str:
    """The source of the kernel that does the function of this name with every element."""
    function, written = getattr(optimizers, name), optimizers.UPDATES[name]
    arrays, shared = optimizers.arrays(function), optimizers.scalars(function)
    given = optimizers.hyperparameters(function)
    prologue = [] if given == shared else [f"{', '.join(shared)} = {name}_scalars({', '.join(given)})"]
    prologue += [f"{scalar} = {arrays[0]}.dtype.type({scalar})" for scalar in shared]
    return _UPDATE.format(
        name=name,
        arguments=", ".join([*arrays, *given]),
        results=", ".join(written),
        prologue="\n    ".join(prologue) or "pass",
        first=arrays[0],
        targets=", ".join(f"{array}[i]" for array in written),
        elements=", ".join([*(f"{array}[i]" for array in arrays), *shared]),
    )


def _define(name: str) -> None:
    """Make the kernel of a scalar function in this module."""
    for function in (name, f"{name}_scalars"):
        if hasattr(optimizers, function):
            globals()[function] = scalar(getattr(optimizers, function))
    source = _update_source(name)
    exec(compile(source, __file__, "exec"), globals())
    globals()[f"{name}_update"] = written(kernel(globals()[f"{name}_update"]), source)


for _name in optimizers.UPDATES:
    _define(_name)
