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
{loop}
{body}
'''
_EVERY_ELEMENT = "    for i in range({first}.size):"
_ROW_BY_ROW = """\
    for begin in range(0, {first}.size, {row}.size):
        for j in range({row}.size):
            i = begin + j"""


@dataclass(frozen=True)
class PointwiseKernel(GeneratedKernel):
    """``kernel(*arrays, *singles, *rows, *scalars)`` does ``statements`` for every element i.

    functions: names of the scalar functions of ``jitnet.kernels.cpu.elementwise`` that the statements call, in order.
    arrays: names of arrays of one size that lie apart from each other, or are the same argument.
    singles: names of arrays of one element; scalars: names of numbers.
    rows: names of vectors of one size, whose element j is for element j of every row of the arrays.
    """

    functions: tuple[str, ...]
    arrays: tuple[str, ...]
    singles: tuple[str, ...]
    scalars: tuple[str, ...]
    statements: tuple[str, ...]
    rows: tuple[str, ...] = ()

    def __post_init__(self):
        chains.check(self.functions, (*self.arrays, *self.singles, *self.rows, *self.scalars), self.statements)

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
        prologue = [f"{array} = flat({array})" for array in (*self.arrays, *self.rows)]
        prologue += [f"{single} = flat({single})[0]" for single in self.singles]
        prologue += [f"{scalar} = {first}.dtype.type({scalar})" for scalar in self.scalars]
        return _SOURCE.format(
            functions=", ".join(dict.fromkeys(self.functions)),
            imports=imports,
            name=self.name,
            arguments=", ".join([*self.arrays, *self.singles, *self.rows, *self.scalars]),
            arrays=", ".join(self.arrays),
            singles=f"; {', '.join(self.singles)}: of one element" * bool(self.singles)
            + f"; {', '.join(self.rows)}: a row" * bool(self.rows),
            prologue="\n".join(f"    {line}" for line in prologue),
            loop=_ROW_BY_ROW.format(first=first, row=self.rows[0]) if self.rows else _EVERY_ELEMENT.format(first=first),
            body="\n".join(f"{' ' * (12 if self.rows else 8)}{line}" for line in self.statements),
        )
