"""What a step computes, for any machine: calls of kernels over buffers, in blocks.

An opcode is the name of the reference kernel that says what a call means: "family.function" below
``jitnet.kernels.<target>``, for instance "dense.dense_forward".  Arguments have the names of that kernel's parameters
and stand in their order, so that whoever runs a program needs to know nothing but the kernels.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..kernels.literals import identifier, literal
from ..kernels.literals import name as checked_name
from .values import ITEMSIZE


@dataclass(eq=False)
class Buffer:
    """A piece of memory that kernel calls read or write.

    kind:
      ``batch``     activations and their gradients: one part per sample of the batch
      ``partial``   one copy per chunk of the batch, by which the chunks of a batch need not meet: partial sums
      ``whole``     one copy, no batch axis
      ``external``  the caller's array with a leading batch axis (inputs, targets, predictions)
      ``argument``  the caller's array as it is: datasets, the order of samples, results
      ``variable``  a weight or a state
      ``slot``      what the optimizer keeps for a variable between steps
      ``gradient``  the gradient of a trainable variable
      ``constant``  a constant of the graph
    shape: without the batch axis.
    rows: leading rows per sample, for views such as (N * H * W, C).
    source: the Variable or Constant behind it, if any.
    in_one_piece: of a root of kind batch: the parts of its chunks lie one after the other, to the step's end.
    """

    name: str
    shape: tuple
    dtype: str
    kind: str
    root: "Buffer" = None
    rows: int = 1
    source: object = None
    in_one_piece: bool = False

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

    @property
    def batched(self) -> bool:
        """Whether its first axis is the batch."""
        return self.kind in ("batch", "external")

    def viewed(self, shape: tuple, rows: int = 1, name: str | None = None) -> "Buffer":
        """The same memory under another shape."""
        return replace(self, name=name or f"{self.name}_rows", shape=tuple(shape), rows=rows)

    def like(self, other: "Buffer") -> "Buffer":
        """The same memory under the shape of ``other``."""
        same = self.shape == other.shape and self.rows == other.rows
        return self if same else self.viewed(other.shape, other.rows)


@dataclass(frozen=True)
class Out:
    """Marks a buffer that a call writes; ``accumulate``: it adds to what is there."""

    buffer: Buffer
    accumulate: bool = False


_ARITHMETIC = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "==": operator.eq,
}  # fmt: skip


@dataclass(frozen=True)
class Scalar:
    """A number known when the step runs: a name (``batch``, ``t``, ``learning_rate``), or arithmetic of such numbers.

    Names of every step: ``batch``, the samples of the batch; ``begin``, the first sample of a chunk; ``chunk`` of
    ``chunks``; ``first`` to ``last``, the rows of a weight that a part does; ``t``, the steps taken; ``seed``.
    """

    operator: str  # or the name, where there are no operands
    operands: tuple = ()

    def __post_init__(self):
        # it becomes part of a source
        if not self.operands:
            checked_name(self.operator)
        elif self.operator not in _ARITHMETIC or len(self.operands) != 2:
            raise ValueError(f"This is no arithmetic of numbers. Received: {self.operator!r} of {self.operands!r}")
        for operand in self.operands:
            if not isinstance(operand, Scalar):
                literal(operand)

    def __add__(self, other):
        return Scalar("+", (self, other))

    def __sub__(self, other):
        return Scalar("-", (self, other))

    def __mul__(self, other):
        return self if other == 1 else Scalar("*", (self, other))

    def __rmul__(self, other):
        return self if other == 1 else Scalar("*", (other, self))

    def __truediv__(self, other):
        return Scalar("/", (self, other))

    def __rtruediv__(self, other):
        return Scalar("/", (other, self))

    def __floordiv__(self, other):
        return Scalar("//", (self, other))

    def __mod__(self, other):
        return Scalar("%", (self, other))

    def equals(self, other):
        """Whether both are the same number, when the step runs."""
        return Scalar("==", (self, other))

    def names(self) -> set[str]:
        """The names that it depends on."""
        if not self.operands:
            return {self.operator}
        return set().union(*(o.names() for o in self.operands if isinstance(o, Scalar)))

    def value(self, names: dict):
        """The number, for the values of the names."""
        if not self.operands:
            return names[self.operator]
        return _ARITHMETIC[self.operator](*(o.value(names) if isinstance(o, Scalar) else o for o in self.operands))


@dataclass(eq=False)
class Call:
    """One call of a kernel.

    arguments: {parameter: Buffer | Out | Scalar | number | bool}.
    layer, phase: whose call it is, and for what: "input", "forward", "result", "backward", "gradients", "update".
    work: operations per sample (or in all, when not batched).
    in_place: (input, output): parameters that may share memory where the input dies here.
    attributes: what rewrites note for the target: ``bfloat16`` (the operands of its products may be rounded),
        ``epilogue`` (what is computed in the store), ``function`` (a user's own kernel).
    kernel: what a target runs instead of the reference kernel; None: the reference.
    axis: what a target's section runs it along, if not the batch.
    """

    opcode: str
    arguments: dict
    layer: str = ""
    phase: str = "forward"
    work: float | None = None
    in_place: tuple | None = None
    attributes: dict = field(default_factory=dict)
    kernel: object = None
    axis: object = None

    def __post_init__(self):
        if self.work is None:
            self.work = max((b.size for b in self.buffers if b.batched), default=1)

    def __setattr__(self, name, value):
        if name == "arguments":
            outs = [a for a in value.values() if isinstance(a, Out)]
            reads = {a.root for a in value.values() if isinstance(a, Buffer)}
            super().__setattr__("reads", frozenset(reads | {o.buffer.root for o in outs if o.accumulate}))
            super().__setattr__("writes", frozenset(o.buffer.root for o in outs))
        super().__setattr__(name, value)

    def __getitem__(self, parameter: str):
        """An argument; of one that is written, its buffer."""
        argument = self.arguments[parameter]
        return argument.buffer if isinstance(argument, Out) else argument

    @property
    def buffers(self) -> Iterator[Buffer]:
        """Every buffer argument, in order."""
        for argument in self.arguments.values():
            if isinstance(argument, Out):
                yield argument.buffer
            elif isinstance(argument, Buffer):
                yield argument

    @property
    def outputs(self) -> list[Out]:
        return [a for a in self.arguments.values() if isinstance(a, Out)]

    @property
    def batched(self) -> bool:
        """Whether it runs along the batch, chunk by chunk."""
        return self.axis is None and any(buffer.batched for buffer in self.buffers)

    @property
    def epilogue(self) -> str | None:
        return self.attributes.get("epilogue")

    def with_arguments(self, **arguments) -> "Call":
        """The same call with other arguments; new ones come last."""
        return replace(self, arguments={**self.arguments, **arguments})

    def replaced_by(self, opcode: str, arguments: dict, **changes) -> "Call":
        """Another call in this one's place: of the same layer and phase, and as much work."""
        changes = {"in_place": None, "attributes": {}, "kernel": None, "axis": None, **changes}
        return replace(self, opcode=opcode, arguments=arguments, **changes)


class Block:
    """Calls in order, run in every step, or in those where ``condition`` holds."""

    def __init__(self, condition: Scalar | None = None):
        self.calls: list[Call] = []
        self.condition = condition


class Program:
    """Blocks of calls in order, and the names of their buffers.

    taken: names that buffers must not have, kept as ``reserved``.
    """

    def __init__(self, taken=()):
        self.blocks: list[Block] = [Block()]
        self.reserved = tuple(taken)
        self.layer, self.phase = "", "input"  # of the calls that are being added
        self.attributes: dict = {}
        self._names: set = set(taken)
        self._views: dict = {}

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
        view = buffer.viewed(shape, rows, name or self.unique_name(f"{buffer.name}_rows"))
        self._views.setdefault(key, view)
        return view

    def as_rows(self, buffer: Buffer, columns: int) -> Buffer:
        """View as (rows, columns) with all leading axes, the batch included, in the rows."""
        if buffer.batched:
            return self.reshaped(buffer, (columns,), rows=buffer.size // columns)
        return self.reshaped(buffer, (buffer.size // columns, columns))

    # ---- calls

    @property
    def calls(self) -> list[Call]:
        """All calls, block after block."""
        return [call for block in self.blocks for call in block.calls]

    def call(self, opcode: str, *, work=None, in_place=None, **arguments) -> Call:
        """Append a call; buffers that it writes are wrapped in ``Out``."""
        call = Call(opcode, arguments, self.layer, self.phase, work, in_place, dict(self.attributes))
        self.blocks[-1].calls.append(call)
        return call

    def users(self) -> dict[Buffer, list[Call]]:
        """{root buffer: calls that touch it, in order}"""
        users: dict[Buffer, list[Call]] = {}
        for call in self.calls:
            for root in call.reads | call.writes:
                users.setdefault(root, []).append(call)
        return users
