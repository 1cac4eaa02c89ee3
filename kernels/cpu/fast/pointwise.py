"""Chains of pointwise functions: one loop over the elements, in which values in between stay in registers."""

import re
from dataclasses import dataclass
from functools import cached_property

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel

from ...scalar import activations, arithmetic

_LONGEST_NAME = 60
_FUNCTIONS = {
    *activations.NAMES,
    *arithmetic.NAMES,
    *(f"{name}_derivative" for name in activations.NAMES),
    *(f"{name}_derivative_{side}" for name in arithmetic.NAMES for side in "ab"),
}

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
        known = {*_FUNCTIONS, *self.arrays, *self.singles, *self.scalars, "i"}
        unknown = set(self.functions).difference(_FUNCTIONS)
        for statement in self.statements:
            words = set(re.findall(r"\w+", statement)) - known
            unknown |= {word for word in words if not re.fullmatch(r"v\d+", word)}
            unknown |= set(re.sub(r"[\w \[\](),=*+]", "", statement))
        if unknown:
            raise ValueError(f"A chain consists of known functions of its arguments. Received: {sorted(unknown)}")

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        name = f"pointwise_{'_'.join(dict.fromkeys(self.functions) or ['copy'])}"
        return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}_and_so_on"

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
