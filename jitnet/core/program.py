"""From graph to kernel calls: lowering, reverse-mode differentiation, and the buffers that the calls use.

A ``Program`` is an ordered list of ``Call``s over ``Buffer``s.  Every operation lowers itself forward, and in reverse
order backward; nothing here knows about Numba.
"""

import math
from dataclasses import dataclass, field

from ..kernels.literals import expression, identifier
from .trace import Application
from .values import ITEMSIZE, Constant, SymbolicTensor, Variable


@dataclass(eq=False)
class Buffer:
    """A piece of memory that kernel calls read or write.

    kind:
      ``batch``     activations and their gradients: one part per chunk of the batch, in the arena
      ``chunk``     one copy per chunk, in the arena: partial sums that are combined between regions
      ``whole``     one copy, no batch axis, in the arena
      ``external``  the caller's array with a leading batch axis (inputs, targets, predictions)
      ``variable``  a weight or a state, in its flat storage
      ``gradient``  the gradient of a trainable variable, laid out as the parameters: per chunk while regions run,
                    one sum after them
      ``constant``  a constant of the graph
    shape: without the batch axis.
    rows: leading rows per sample, for views such as (N * H * W, C).
    """

    name: str
    shape: tuple
    dtype: str
    kind: str
    root: "Buffer" = None
    rows: int = 1
    source: object = None  # the Variable or Constant behind it
    in_one_piece: bool = False  # of a root of kind batch: its chunks lie one after the other, to the step's end

    def __post_init__(self):
        if self.root is None:
            self.root = self

    @property
    def size(self) -> int:
        """Elements per sample (or in all, without a batch axis)."""
        return self.rows * math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * ITEMSIZE[self.dtype]


@dataclass(frozen=True)
class Out:
    """Marks a buffer that a call writes; ``accumulate``: it adds to what is there."""

    buffer: Buffer
    accumulate: bool = False


@dataclass(frozen=True)
class Expression:
    """A scalar argument known when the step runs, as Python source over the step's names (``batch``, ``t``, ...).

    Written by jitnet alone: arithmetic, into which numbers come by ``literals.literal``.
    """

    source: str

    def __post_init__(self):
        expression(self.source)


@dataclass(frozen=True)
class Split:
    """A call runs once per part [first, last) of a weight's ``rows``; parts start at multiples of ``together``."""

    rows: int
    together: int


@dataclass(eq=False)
class Call:
    """One kernel call: ``kernel`` is "module.function" below jitnet.kernels.cpu."""

    kernel: str
    arguments: tuple
    batched: bool
    in_place: tuple | None = None  # (input, output) buffers that may share memory when the input dies here
    work: float = 0.0  # operations per sample (or in all, when not batched)
    function: object = None  # a user's own @njit function instead of a kernel of ours
    plan: object = None  # of a generated kernel: has .name and .source
    epilogue: str | None = None  # what is fused into the store, while the program is rewritten
    extra: Buffer | None = None  # the buffer that the epilogue reads
    split: "Split | None" = None  # not batched, but in parts along the rows of a weight
    bfloat16: bool = False  # whether the operands of its products may be rounded
    residual: Buffer | None = None  # what the epilogue adds, like the output
    reads: set = field(default_factory=set)
    writes: set = field(default_factory=set)

    def __post_init__(self):
        for argument in self.arguments:
            if isinstance(argument, Out):
                self.writes.add(argument.buffer.root)
                if argument.accumulate:
                    self.reads.add(argument.buffer.root)
            elif isinstance(argument, Buffer):
                self.reads.add(argument.root)

    @property
    def buffers(self):
        """Every buffer argument, in order."""
        for argument in self.arguments:
            if isinstance(argument, Out):
                yield argument.buffer
            elif isinstance(argument, Buffer):
                yield argument


class Lowered:
    """An application while it is lowered: its buffers, what its forward pass saved, and where gradients go."""

    def __init__(self, program: "Program", application: Application):
        self.program = program
        self.application = application
        self.saved = {}

    @property
    def inputs(self) -> list[Buffer]:
        return [self.program.buffer(value) for value in self.application.inputs]

    @property
    def outputs(self) -> list[Buffer]:
        return [self.program.buffer(value) for value in self.application.outputs]

    @property
    def output(self) -> Buffer:
        return self.outputs[0]

    @property
    def d_output(self) -> Buffer:
        """The gradient of the loss with respect to the first output."""
        return self.program.gradient_of(self.application.outputs[0])

    def d_outputs(self) -> list[Buffer | None]:
        return [self.program.gradient_of(value) for value in self.application.outputs]

    def needs(self, index: int) -> bool:
        """Whether the loss's gradient with respect to input ``index`` is wanted."""
        return self.application.inputs[index] in self.program.differentiated

    def gradient(self, index: int) -> Out:
        """Where to write the gradient of input ``index``; its ``accumulate`` goes to the kernel."""
        return self.program.gradient_target(self.application.inputs[index], self.application.batched)

    def save(self, name: str, shape, dtype) -> Buffer:
        """A batched buffer that the forward pass fills for the backward pass (shape without the batch axis)."""
        buffer = self.program.temporary(f"{self.output.name}_{name}", shape, dtype, "batch")
        self.saved[name] = buffer
        return buffer

    def alias_output(self) -> None:
        """The output is the first input's memory under another shape."""
        self.program.alias(self.application.outputs[0], self.program.buffer(self.application.inputs[0]))

    def pass_gradient(self, index: int = 0) -> None:
        """The gradient of input ``index`` is the output's: the same memory where possible, else a copy.

        Call it after every other use of ``d_output`` in the same backward pass.
        """
        value = self.application.inputs[index]
        d_output = self.d_output
        unshared = value.batched and d_output.kind == "batch" and value not in self.program.gradients
        if unshared:
            shape = value.shape[1:]
            self.program.gradients[value] = Buffer(
                f"d_{self.program.buffer(value).name}", shape, d_output.dtype, "batch", root=d_output.root
            )
        else:
            target = self.gradient(index)
            self.program.call("shape.copy_backward", d_output, target, target.accumulate)


class Program:
    """Kernel calls in order.

    differentiated: values whose gradient is wanted, and all values between them and the loss (see ``dependents``).
    taken: names that buffers must not have, kept as ``reserved``.
    layer_names: {name of a layer: how the source calls it}.
    """

    def __init__(self, differentiated=frozenset(), taken=(), layer_names=None):
        self.calls: list[Call] = []
        self.deferred: list[Call] = []  # after the sum of the chunks' gradients: penalties of weights
        self.products: list[Call] = []  # gradients of weights that the update computes, over the whole batch at once
        self.differentiated = differentiated
        self.gradients: dict = {}
        self.partial_gradients: dict = {}
        self._buffers: dict = {}
        self.reserved = tuple(taken)
        self._names: set = set(taken)
        self._layer_names: dict = layer_names or {}
        self._views: dict = {}
        self._bfloat16 = False  # of the application that emits calls

    # ---- buffers

    def unique_name(self, wanted: str) -> str:
        """A name for a buffer that reads like ``wanted`` and that no other has."""
        wanted = identifier(wanted)
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def temporary(self, name, shape, dtype, kind) -> Buffer:
        return Buffer(self.unique_name(name), tuple(shape), dtype, kind)

    def buffer(self, value) -> Buffer:
        """The buffer that holds ``value``."""
        found = self._buffers.get(value)
        if found is not None:
            return found
        if isinstance(value, Variable):
            layer, _, name = value.name.rpartition("/")
            name = f"{self._layer_names.get(layer, layer)}_{name}"
            found = Buffer(self.unique_name(name), value.shape, value.dtype, "variable", source=value)
        elif isinstance(value, Constant):
            found = Buffer(self.unique_name("constant"), value.shape, value.dtype, "constant", source=value)
        else:
            kind = "batch" if value.batched else "whole"
            shape = value.shape[1:] if value.batched else value.shape
            found = self.temporary(self._name_of(value), shape, value.dtype, kind)
        self._buffers[value] = found
        return found

    def _name_of(self, value: SymbolicTensor) -> str:
        application = value.producer
        if application is None or not application.scope:
            return value.name
        operation = application.operation.name
        layer = self._layer_names.get(application.scope, application.scope)
        return layer if layer == operation else f"{layer}_{operation}"

    def place(self, value, buffer: Buffer) -> None:
        """Let ``value`` live in a given buffer, for example an external one."""
        self._buffers[value] = buffer

    def alias(self, value, buffer: Buffer) -> None:
        shape = value.shape[1:] if value.batched else value.shape
        self._buffers[value] = self.reshaped(buffer, shape, name=self.unique_name(self._name_of(value)))

    def reshaped(self, buffer: Buffer, shape, rows: int = 1, name: str | None = None) -> Buffer:
        """The same memory under another shape; ``rows`` leading rows per sample."""
        shape = tuple(shape)
        if shape == buffer.shape and rows == buffer.rows and name is None:
            return buffer
        if rows * math.prod(shape) != buffer.size:
            raise AssertionError(f"cannot view {buffer.shape} as ({rows}, *{shape})")
        key = (buffer.root, buffer.kind, shape, rows)
        if name is None and key in self._views:
            return self._views[key]
        name = name or self.unique_name(f"{buffer.name}_rows")
        view = Buffer(name, shape, buffer.dtype, buffer.kind, buffer.root, rows, buffer.source)
        self._views.setdefault(key, view)
        return view

    def as_rows(self, buffer: Buffer, columns: int) -> Buffer:
        """View as (rows, columns) with all leading axes, the batch included, in the rows."""
        if buffer.kind in ("batch", "external"):
            return self.reshaped(buffer, (columns,), rows=buffer.size // columns)
        return self.reshaped(buffer, (buffer.size // columns, columns))

    # ---- calls

    def call(self, kernel: str, *arguments, in_place=None, work=None, function=None) -> Call:
        """Append a kernel call; buffers that it writes are wrapped in ``Out``."""
        buffers = [a.buffer if isinstance(a, Out) else a for a in arguments if isinstance(a, Out | Buffer)]
        batched = any(b.kind in ("batch", "external") for b in buffers)
        if work is None:
            work = max((b.size for b in buffers if b.kind in ("batch", "external")), default=1)
        call = Call(kernel, arguments, batched, in_place, work, function, bfloat16=self._bfloat16)
        self.calls.append(call)
        return call

    def users(self) -> dict[Buffer, list[Call]]:
        """{root buffer: calls that touch it, in order}"""
        users: dict[Buffer, list[Call]] = {}
        for call in self.calls:
            for root in call.reads | call.writes:
                users.setdefault(root, []).append(call)
        return users

    # ---- gradients

    def gradient_of(self, value) -> Buffer | None:
        """The complete gradient of ``value``, or None where the loss doesn't depend on it."""
        partial = self.partial_gradients.pop(value, None)
        if partial is not None:
            total = self.temporary(f"{partial.name}_sum", value.shape, value.dtype, "whole")
            self.call("training.sum_partials", partial, Out(total))
            earlier = self.gradients.get(value)
            if earlier is None:
                self.gradients[value] = total
            else:
                self.call("shape.copy_backward", total, Out(earlier, True), True)
        return self.gradients.get(value)

    def gradient_target(self, value, batched: bool) -> Out:
        """Where a backward call writes its contribution to the gradient of ``value``.

        batched: whether the call runs per chunk; then the gradient of an unbatched value is one part per chunk.
        """
        table = self.gradients
        if value.batched:
            kind = "batch"
        elif isinstance(value, Variable):
            kind = "gradient"
            if not batched:
                return Out(self._variable_gradient(value), True)
        elif batched:
            kind, table = "chunk", self.partial_gradients
        else:
            kind = "whole"
        if value in table:
            return Out(table[value], True)
        name = f"d_{self.buffer(value).name}"
        shape = value.shape[1:] if value.batched else value.shape
        if kind == "gradient":
            table[value] = self._variable_gradient(value)
        else:
            table[value] = self.temporary(name, shape, value.dtype, kind)
        return Out(table[value], False)

    def _variable_gradient(self, variable: Variable) -> Buffer:
        key = ("gradient", variable)
        if key not in self._buffers:
            name = self.unique_name(f"d_{self.buffer(variable).name}")
            self._buffers[key] = Buffer(name, variable.shape, variable.dtype, "gradient", source=variable)
        return self._buffers[key]

    def contribute(self, value, total: Buffer) -> None:
        """Add an already summed, unbatched ``total`` to the gradient of ``value``."""
        target = self.gradient_target(value, batched=False)
        call = self.call("shape.copy_backward", total, target, target.accumulate)
        if target.buffer.kind == "gradient":
            self.calls.remove(call)
            self.deferred.append(call)

    def lower(self, applications: list[Application]) -> list[Lowered]:
        """Emit the forward calls of ``applications``."""
        lowered = []
        for application in applications:
            item = Lowered(self, application)
            self._bfloat16 = application.bfloat16
            application.operation.forward(self, item)
            lowered.append(item)
        return lowered

    def differentiate(self, lowered: list[Lowered]) -> None:
        """Emit the backward calls, from the gradients already seeded in ``gradients`` back to what is wanted."""
        for item in reversed(lowered):
            application = item.application
            if not any(value in self.differentiated for value in application.inputs):
                continue
            seeded = [self.gradient_of(value) for value in application.outputs]
            if all(gradient is None for gradient in seeded):
                continue
            start = len(self.calls)
            self._bfloat16 = application.bfloat16
            application.operation.backward(self, item)
            if not application.batched:
                # contributions to variables from calls without a batch come after the sum over the chunks
                emitted = self.calls[start:]
                sinks = [c for c in emitted if c.writes and all(b.kind == "gradient" for b in c.writes)]
                self.calls[start:] = [c for c in emitted if c not in sinks]
                self.deferred.extend(sinks)


def dependents(applications: list[Application], wanted) -> set:
    """``wanted`` and every value that depends on one of them."""
    found = set(wanted)
    for application in applications:
        if application.operation.differentiable and any(value in found for value in application.inputs):
            found.update(v for v in application.outputs if v.dtype.startswith("float"))
    return found
