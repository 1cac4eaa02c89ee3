"""NVIDIA GPUs as a target."""

import numpy as np

from ...core.program import Call, Loop, Program
from ...core.rewrites.batch_norm import fold_batch_norm, fuse_batch_norm
from ...core.rewrites.copies import remove_copies
from ...core.rewrites.epilogues import fuse_epilogues
from ...core.rewrites.loops import simplify_loops
from ...core.rewrites.pointwise import OPCODE as CHAIN
from ...core.rewrites.pointwise import fuse_pointwise
from ...core.storage import Layout
from ..base import Signature, Source, Target
from ..hoisting import hoist
from .devices import backend
from .one_chunk import join_moments, write_in_place
from .plan import Layouts, function_of
from .run import CudaRunner


class CUDA(Target):
    """Steps that are launched on a device; its name is such as "cuda:0".

    precision: of products, see ``config.set_float32_matmul_precision``.

    Raises:
        kernels.cuda._api.CudaError: the device can't be used; the message says why.
    """

    name = "cuda"

    def __init__(self, device: str, precision: str = "highest"):
        self.device, self.precision = device, precision
        self.backend = backend(device)

    def fuses(self, call: Call, epilogue: str) -> bool:
        return True

    def rewrite(self, program: Program) -> None:
        if any(isinstance(block, Loop) for block in program.blocks):
            remove_copies(program)  # before what is copied gets a place for every turn
            simplify_loops(program)
        fold_batch_norm(program, self.fuses)
        fuse_epilogues(program, self.fuses)
        fuse_batch_norm(program)
        remove_copies(program)
        fuse_pointwise(program)
        write_in_place(program)
        join_moments(program)
        hoist(program)

    def schedule(self, program: Program, layout: Layout, together: bool | None = True) -> Layouts:
        for call in program.calls:
            if call.opcode == CHAIN and call.kernel is None:
                call.kernel = _chain(call.attributes["chain"])
        return Layouts(program, layout)

    def write(self, schedule: Layouts, signature: Signature) -> "Launches":
        return Launches(schedule, signature, self.device, self.precision)

    def load(self, source: "Launches", fixed: dict, changes: dict) -> CudaRunner:
        return CudaRunner(source, self.backend, fixed, changes)

    def zeros(self, count: int, dtype) -> np.ndarray:
        return np.zeros(count, dtype)  # of the host: the device has copies, see ``mirror``


def _chain(chain):
    from ...kernels.cuda._pointwise import pointwise

    return pointwise(chain.functions, chain.arrays, chain.singles, chain.scalars, chain.statements, chain.rows)


class Launches(Source):
    """A step as the launches that are recorded, one below the other, for people to read."""

    def __init__(self, layouts: Layouts, signature: Signature, device: str, precision: str):
        self.layouts, self.signature, self.device, self.precision = layouts, signature, device, precision
        self.text = self._written()
        self.arguments = ["batch", *signature.data, *signature.storages.values(), *signature.slots, "seed", "t"]

    def _written(self) -> str:
        """The text; every call is checked to have its kernel."""
        precision = "" if self.precision == "highest" else f", {self.precision} precision"
        lines = [f'"""{self.signature.title}; {self.device}{precision}"""']
        if self.layouts.prepares:
            lines += ["", "# when weights or the size of the batch have changed", *self._calls(self.layouts.prepares)]
        lines.append("")
        for block, calls in self.layouts.blocks:
            if block.condition is not None:
                lines.append(f"if {_expression(block.condition)}:")
            lines += ["    " * (block.condition is not None) + line for line in self._calls(calls)]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _calls(calls) -> list[str]:
        lines, layer = [], None
        for call in calls:
            function_of(call)
            if call.layer != layer and call.layer:
                lines.append(f"# {call.layer}, {call.phase}")
            layer = call.layer
            given = [f"{name}={_argument(value)}" for name, value in call.arguments.items()]
            given += [f"epilogue={call.epilogue!r}"] if call.epilogue else []
            given += ["bfloat16"] if call.attributes.get("bfloat16") else []
            lines.append(f"{call.opcode}({', '.join(given)})")
        return lines

    def kernel_source(self, name: str) -> str:
        import inspect

        for _, calls in self.layouts.blocks:
            for call in calls:
                if call.opcode.rpartition(".")[2] == name:
                    return inspect.getsource(inspect.getmodule(function_of(call)))
        raise ValueError(f"The step calls no kernel of this name. Received: {name!r}")


def _argument(value) -> str:
    buffer = getattr(value, "buffer", value)
    name = getattr(buffer, "name", None)
    return name if isinstance(name, str) else _expression(value)


def _expression(value) -> str:
    operands = getattr(value, "operands", None)
    if operands is None:
        return repr(value)
    if not operands:
        return value.operator
    return f"({_expression(operands[0])} {value.operator} {_expression(operands[1])})"
