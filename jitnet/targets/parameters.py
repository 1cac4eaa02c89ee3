"""The update of all variables as loops over blocks of flat arrays."""

from dataclasses import dataclass

from ..core.program import Buffer, Call, Out, Program, Scalar
from ..core.storage import Layout, padded_elements
from ..core.values import ITEMSIZE, Variable
from .axes import Elements, Rows


@dataclass(frozen=True)
class Place:
    """Where a flat buffer starts: an element of the step's argument ``argument``."""

    argument: str
    start: int


class Flat:
    """Calls for whole gradients and parameters, element by element, as calls over runs of neighbouring variables.

    partials: {variable: the first element of its gradient in a row of ``chunk_gradients``}.
    partial_size: elements of such a row.
    """

    def __init__(self, layout: Layout, program: Program):
        self.layout = layout
        roots = [b.root for call in program.calls for b in call.buffers]
        self._names = {root.source: root.name for root in roots if root.kind == "variable"}
        summed = {b.source for call in program.calls for b in call.writes if b.kind == "partial"}
        self.partials: dict[Variable, int] = {}
        self.partial_size = 0
        for variable in layout.offsets:
            if variable in summed:
                self.partials[variable] = self.partial_size
                self.partial_size += padded_elements(variable)

    def takes(self, call: Call) -> bool:
        """Whether a call does the same with every element of a variable's gradient, slots and parameters."""
        if call.phase == "update":
            kinds = {buffer.kind for buffer in call.buffers if not _is_number(buffer)}
            return call.attributes.get("elementwise", False) and kinds <= {"variable", "gradient", "slot"}
        if call.phase != "gradients":
            return False
        first = isinstance(call.axis, Rows) or call.opcode in ("training.sum_partials", "shape.fill")
        return first and call.outputs[0].buffer.kind == "gradient"

    def parts(self, calls: list[Call]) -> list[tuple[object, list[Call]]]:
        """[(axis, calls)] that do what ``calls`` do, over runs as long as possible."""
        of_variable: dict[Variable, list[Call]] = {}
        for call in calls:
            variable = next(b.source for b in call.buffers if b.kind in ("gradient", "variable", "slot"))
            of_variable.setdefault(variable, []).append(call)
        found = []
        for run in self.layout.runs:
            members = [v for v in of_variable if run[2] <= self.layout.offsets[v] < run[2] + run[3]]
            members.sort(key=self.layout.offsets.get)
            piece: list[Variable] = []
            for variable in members:
                if piece and not self._joins(piece[-1], variable, of_variable):
                    found.append(self._part(run, piece, of_variable[piece[0]]))
                    piece = []
                piece.append(variable)
            if piece:
                found.append(self._part(run, piece, of_variable[piece[0]]))
        return found

    def _joins(self, before: Variable, variable: Variable, of_variable) -> bool:
        """Whether both are neighbours with which the same is done."""
        if variable.kept is not None:  # whose mask lies elsewhere
            return False
        neighbours = self.layout.offsets[before] + padded_elements(before) == self.layout.offsets[variable]
        first, second = (list(map(_meaning, of_variable[v])) for v in (before, variable))
        return neighbours and first == second and not any(c.axis for c in of_variable[variable])

    def _part(self, run: tuple, variables: list[Variable], calls: list[Call]) -> tuple[object, list[Call]]:
        """What ``calls`` do to the first of ``variables``, for all of them."""
        offset = self.layout.offsets[variables[0]]
        length, dtype = sum(map(padded_elements, variables)), self.layout.dtype
        storage = run[0], run[1] + offset - run[2]

        first, last = (self._names.get(variable, "parameters") for variable in (variables[0], variables[-1]))
        together = first if first == last else f"{first}_to_{last}"
        masks = [variable.kept for variable in variables if variable.kept is not None]

        def flat(buffer: Buffer) -> Buffer:
            if _is_number(buffer):
                return buffer
            if buffer.source in masks:
                mask = buffer.source
                place = Place(self.layout.storage_names[id(mask.storage)], mask.storage_offset)
                return Buffer(f"{together}_mask_block", (length,), mask.dtype, "flat", source=place)
            name, argument, start = {
                "variable": (f"{together}_block", *storage),
                "gradient": (f"d_{together}_block", "gradients", offset),
                "slot": (f"{together}_{buffer.root.name}_block", buffer.root.name, offset),
            }[buffer.kind]
            return Buffer(name, (length,), dtype, "flat", source=Place(argument, start))

        def flattened(argument):
            if isinstance(argument, Out):
                return Out(flat(argument.buffer), argument.accumulate)
            return flat(argument) if isinstance(argument, Buffer) else argument

        found, axis = [], Elements(length, ITEMSIZE[dtype])
        for call in calls:
            if call.axis is not None:
                axis = call.axis
                found.append(call)
            elif call.opcode == "training.sum_partials":
                partials = Buffer("chunk_gradients", (self.partial_size,), dtype, "argument")
                begin = Scalar("begin") + self.partials[variables[0]]
                arguments = {"chunk_gradients": partials, "begin": begin, "out": flattened(call.arguments["out"])}
                found.append(call.replaced_by("training.sum_gradients", arguments))
            else:
                found.append(call.replaced_by(call.opcode, {n: flattened(a) for n, a in call.arguments.items()}))
        return axis, found


def _is_number(buffer: Buffer) -> bool:
    """Whether a buffer holds one number for all elements, such as the factor of a norm."""
    return buffer.kind == "whole" and buffer.size == 1


def _meaning(call: Call) -> tuple:
    """What a call does, but for the variable that it does it to."""
    arguments = call.arguments.values()
    return call.opcode, *(a for a in arguments if not isinstance(a, Buffer | Out) or _is_same_for_all(a))


def _is_same_for_all(argument: Buffer | Out) -> bool:
    return isinstance(argument, Buffer) and _is_number(argument)
