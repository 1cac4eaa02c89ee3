"""Chains of pointwise functions: one loop over the elements, in which values in between stay in registers."""

from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel

from ...scalar import chains

_SOURCE = '''"""{functions}: one loop, written by jitnet."""

from jitnet.kernels.cpu.runtime.jit import exact_kernel, kernel_attributes
{imports}from jitnet.kernels.cpu.runtime.arrays import flat, separate_arrays


@exact_kernel
def {name}({arguments}):
    """{arrays}: arrays of one size{singles}"""
    kernel_attributes()
    separate_arrays()
{prologue}
    for i in range({first}.size):
{body}
'''


@dataclass(frozen=True)
class PointwiseKernel(GeneratedKernel):
    """``kernel(*arrays, *singles, *scalars)`` does ``statements`` for every element i.

    functions: names of the scalar functions of ``jitnet.kernels.cpu.elementwise`` that the statements call, in order.
    arrays: names of arrays of one size that lie apart from each other, or are the same argument.
    singles: names of arrays of one element; scalars: names of numbers.
    """

    functions: tuple[str, ...]
    arrays: tuple[str, ...]
    singles: tuple[str, ...]
    scalars: tuple[str, ...]
    statements: tuple[str, ...]

    def __post_init__(self):
        chains.check(self.functions, (*self.arrays, *self.singles, *self.scalars), self.statements)

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return chains.name_of(self.functions)

    @cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        first = self.arrays[0]
        names = "".join(f"    {name},\n" for name in sorted(set(self.functions)))
        imports = f"from jitnet.kernels.cpu.elementwise import (\n{names})\n" if names else ""
        prologue = [f"{array} = flat({array})" for array in self.arrays]
        prologue += [f"{single} = flat({single})[0]" for single in self.singles]
        prologue += [f"{scalar} = {first}.dtype.type({scalar})" for scalar in self.scalars]
        return _SOURCE.format(
            functions=", ".join(dict.fromkeys(self.functions)),
            imports=imports,
            name=self.name,
            arguments=", ".join([*self.arrays, *self.singles, *self.scalars]),
            arrays=", ".join(self.arrays),
            singles=f"; {', '.join(self.singles)}: of one element" if self.singles else "",
            prologue="\n".join(f"    {line}" for line in prologue),
            first=first,
            body="\n".join(f"        {line}" for line in self.statements),
        )
