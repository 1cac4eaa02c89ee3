"""What a step computes, for any machine: calls of kernels over buffers, in blocks.

An opcode is the name of the reference kernel that says what a call means: "family.function" below
``jitnet.kernels.<target>``, for instance "dense.dense_forward".  Arguments have the names of that kernel's parameters
and stand in their order, so that whoever runs a program needs to know nothing but the kernels.
"""

import contextlib
import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..kernels.literals import identifier, literal
from ..kernels.literals import name as checked_name
from .errors import invalid
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
    in_one_piece: of a root of kind batch: the parts of its chunks lie one after the other, as one array of the batch.
    steps: of a sequence in time: so many parts, one after the other, each with all the chunk's samples; they are its
        leading rows, or the first axis where there is no batch axis.
    step: of a view of one of them, or of neighbouring ones: which, or which is the first.
    part: of a view of some of a sample's leading rows: how many for each row of what a target's section runs along.
    column: of a view from a column on, which a part of such a section begins with: bytes from a column to the next.
    batches: of kind batch: how many batches it joins: each sample has so many parts, one after the other.
    """

    name: str
    shape: tuple
    dtype: str
    kind: str
    root: "Buffer" = None
    rows: int = 1
    source: object = None
    in_one_piece: bool = False
    steps: int | None = None
    step: "Scalar | int | None" = None
    part: int = 0
    column: int = 0
    batches: int = 1

    def __post_init__(self):
        if self.root is None:
            self.root = self

    @property
    def size(self) -> int:
        """Elements per sample (or in all, without a batch axis), of each of its batches."""
        return self.rows * math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes per sample (or in all, without a batch axis), of all its batches."""
        return self.batches * self.size * ITEMSIZE[self.dtype]

    @property
    def batched(self) -> bool:
        """Whether its first axis is the batch."""
        return self.kind in ("batch", "external")

    def viewed(self, shape: tuple, rows: int = 1, name: str | None = None, batches: int | None = None) -> "Buffer":
        """The same memory under another shape; batches: of another number of parts of each sample."""
        steps = self.steps if self.batched else None  # elsewhere they are the first axis
        name, batches = name or f"{self.name}_rows", batches or self.batches
        return replace(self, name=name, shape=tuple(shape), rows=rows, steps=steps, batches=batches)

    def like(self, other: "Buffer") -> "Buffer":
        """The same memory under the shape of ``other``."""
        batches = other.batches if self.kind == other.kind == "batch" else self.batches
        same = self.shape == other.shape and self.rows == other.rows and self.batches == batches
        return self if same else self.viewed(other.shape, other.rows, batches=batches)

    def at(self, step: "Scalar | int") -> "Buffer":
        """One of its ``steps``; ``step`` may be arithmetic with the index of the loop that a call is in."""
        if self.steps is None:
            raise invalid("Only a buffer with steps has a view of one.", buffer=self.name)
        shape, rows = (self.shape, self.rows // self.steps) if self.batched else (self.shape[1:], self.rows)
        turn, shift = shifted(step)
        words = [str(shift)] if turn is None else [turn.operator]
        words += ["plus" if shift > 0 else "minus", str(abs(shift))] if turn is not None and shift else []
        name = "_".join([self.name, "at", *words])
        return replace(self, name=name, shape=shape, rows=rows, steps=None, step=step)

    def turns(self, first: int, count: int) -> "Buffer":
        """Instead of the one step that it views in a turn: those of ``count`` turns, from step ``first`` on."""
        root = self.root
        every = first == 0 and count == root.steps
        name = f"{root.name}_turns" if every else f"{root.name}_turns_from_{first}"
        return replace(self, name=name, rows=self.rows * count, step=None if every else first)

    @property
    def step_bytes(self) -> int:
        """Bytes of a step of its root, for each sample if it is batched."""
        return self.root.nbytes // self.root.steps

    @property
    def viewed_steps(self) -> int:
        """How many steps it views, of a view of some."""
        return self.nbytes // self.step_bytes

    def overlaps(self, other: "Buffer") -> bool:
        """Whether both may be the same memory: of one root, and not surely of different steps."""
        if self.root is not other.root or None in (self.step, other.step):
            return self.root is other.root
        if max(self.viewed_steps, other.viewed_steps) > 1:
            return True
        (one, shift), (two, other_shift) = map(shifted, (self.step, other.step))
        if one == two:
            return shift == other_shift
        if _are_remainders(one, two):
            (one, shift), (two, other_shift) = (shifted(turn.operands[0]) for turn in (one, two))
            return one != two or (shift - other_shift) % self.step.operands[1] == 0
        return True


@dataclass(frozen=True)
class Out:
    """Marks a buffer that a call writes; ``accumulate``: it adds to what is there."""

    buffer: Buffer
    accumulate: bool = False


def shifted(step) -> tuple:
    """A step as a sum: (what depends on the turn, number)."""
    if not isinstance(step, Scalar):
        return None, step
    if step.operator in ("+", "-") and not isinstance(step.operands[1], Scalar):
        return step.operands[0], step.operands[1] if step.operator == "+" else -step.operands[1]
    return step, 0


def _are_remainders(*numbers) -> bool:
    """Whether all are remainders of a division by the same number."""
    found = all(isinstance(number, Scalar) and number.operator == "%" for number in numbers)
    return found and len({number.operands[1] for number in numbers}) == 1


_ARITHMETIC = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "==": operator.eq,
}  # fmt: skip


@dataclass(frozen=True)
class Scalar:
    """A number known when the step runs: a name (``batch``, ``t``, ``learning_rate``), or arithmetic of such numbers.

    Names of every step: ``batch``, the samples of the batch; ``begin``, the first sample of a chunk; ``chunk`` of
    ``chunks``; ``first`` to ``last``, the rows of a weight that a part does; ``t``, the steps taken; ``seed``.  Calls
    in a loop know its index, too.
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


@dataclass(frozen=True)
class Batch:
    """The samples of the batch, in chunks: the axis of calls that run along it without a batched argument."""


@dataclass(frozen=True)
class Together:
    """All samples of the batch at once: the axis of calls with batched arguments that run once."""


@dataclass(eq=False)
class Call:
    """One call of a kernel.

    arguments: {parameter: Buffer | Out | Scalar | number | bool}.
    layer, phase: whose call it is, and for what: "input", "forward", "result", "backward", "gradients", "update".
    work: operations per sample (or in all, when not batched), of all turns of a loop.
    in_place: (input, output): parameters that may share memory where the input dies here.
    attributes: what rewrites note for the target: ``bfloat16`` (the operands of its products may be rounded),
        ``epilogue`` (what is computed in the store), ``function`` (a user's own kernel).
    kernel: what a target runs instead of the reference kernel; None: the reference.
    axis: ``Batch``, ``Together``, or what else a target's section runs it along, if its arguments don't say so.
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
            self.work = max((b.batches * b.size for b in self.buffers if b.batched), default=1)

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
        return isinstance(self.axis, Batch) or (self.axis is None and any(buffer.batched for buffer in self.buffers))

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
        self.count = 1  # how often they run

    def turns(self) -> Iterator[dict[str, int]]:
        """The values of names that each run of the calls has for itself."""
        yield {}

    def carries(self, root: Buffer) -> bool:
        """Whether a run of the calls may see what one before it left in ``root``."""
        return False


class Loop(Block):
    """Calls that run ``count`` times, one turn after the other, as for the steps of a sequence.

    index: the name of the scalar that is the number of the turn: from 0 on, or ``backwards`` down to 0.

    No call moves out of it or is joined with one outside.  Partial sums that the turns add to are zeroed before it, by
    ``Program.clear``.
    """

    def __init__(self, index: str, count: int, backwards: bool = False, condition: Scalar | None = None):
        super().__init__(condition)
        if count < 1:
            raise invalid("A loop has at least one turn.", count=count)
        self.index, self.count, self.backwards = index, count, backwards

    def turns(self) -> Iterator[dict[str, int]]:
        numbers = range(self.count)
        return ({self.index: number} for number in (reversed(numbers) if self.backwards else numbers))

    def carries(self, root: Buffer) -> bool:
        touching = [call for call in self.calls if root in call.reads | call.writes]
        # what is told the turn may write another part in each
        numbers = [a for call in touching if root in call.writes for a in call.arguments.values()]
        told = any(isinstance(number, Scalar) and self.index in number.names() for number in numbers)
        return root.steps is not None or told or (bool(touching) and root in touching[0].reads)

    # ---- what a schedule asks of a call

    axis = None

    @property
    def reads(self) -> frozenset[Buffer]:
        return frozenset().union(*(call.reads for call in self.calls))

    @property
    def writes(self) -> frozenset[Buffer]:
        return frozenset().union(*(call.writes for call in self.calls))

    @property
    def batched(self) -> bool:
        return any(call.batched for call in self.calls)


def calls_of(items: Iterable[Call | Loop]) -> Iterator[Call]:
    """The calls of ``items``, those of loops included, in order."""
    for item in items:
        yield from item.calls if isinstance(item, Loop) else [item]


class Program:
    """Blocks of calls in order, and the names of their buffers.

    taken: names that buffers must not have, kept as ``reserved``.
    any_size: whether programs that differ in sizes alone are to call the same kernels.
    has_early_products: whether its loops have products that may come before them, see ``rewrites.loops``.
    """

    def __init__(self, taken=(), any_size: bool = False):
        self.any_size = any_size
        self.has_early_products = False
        self.blocks: list[Block] = [Block()]
        self.reserved = tuple(taken)
        self.layer, self.phase = "", "input"  # of the calls that are being added
        self.batches = 1  # of what they compute
        self.attributes: dict = {}
        self._names: set = set(taken)
        self._views: dict = {}
        self._indices: dict = {}

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

    def temporary(self, name, shape, dtype, kind, steps: int | None = None, batches: int | None = None) -> Buffer:
        """Memory of the step's own; with ``steps``, ``shape`` is that of each.

        batches: of kind batch: how many it joins, by default as many as the calls that are being added.
        """
        name, shape = self.unique_name(name), tuple(shape)
        batches = (batches or self.batches) if kind == "batch" else 1
        if steps is None:
            return Buffer(name, shape, dtype, kind, batches=batches)
        if kind not in ("batch", "whole"):
            raise invalid("Buffers of the kinds batch and whole have steps.", name=name, kind=kind)
        rows, shape = (steps, shape) if kind == "batch" else (1, (steps, *shape))
        return Buffer(name, shape, dtype, kind, rows=rows, steps=steps, batches=batches)

    def reshaped(self, buffer: Buffer, shape, rows: int = 1, name: str | None = None) -> Buffer:
        """The same memory under another shape; ``rows`` leading rows per sample."""
        shape = tuple(shape)
        if shape == buffer.shape and rows == buffer.rows and name is None:
            return buffer
        if rows * math.prod(shape) != buffer.size:
            raise AssertionError(f"cannot view {buffer.shape} as ({rows}, *{shape})")
        key = (buffer.root, buffer.step, buffer.kind, shape, rows)
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
    def samples(self) -> Scalar:
        """How many samples the calls that are being added have."""
        return Scalar("batch") * self.batches

    @property
    def first_sample(self) -> Scalar:
        """Which of these is the first of a chunk."""
        return Scalar("begin") * self.batches

    @property
    def calls(self) -> list[Call]:
        """All calls, block after block."""
        return [call for block in self.blocks for call in block.calls]

    def call(self, opcode: str, *, work=None, in_place=None, **arguments) -> Call:
        """Append a call; buffers that it writes are wrapped in ``Out``."""
        call = Call(opcode, arguments, self.layer, self.phase, work, in_place, dict(self.attributes))
        block = self.blocks[-1]
        _check_steps(call, block)
        call.work *= block.count
        block.calls.append(call)
        return call

    def clear(self, partial: Buffer) -> Call:
        """Append a call by which each chunk fills its own part of a partial buffer with zeros."""
        call = self.call("shape.fill", y=Out(partial), value=0.0)
        call.axis = Batch()
        return call

    def next_calls(self, layer: str, phase: str, attributes: dict | None = None, batches: int = 1) -> None:
        """Say whose calls are added from here on, for what, and how many batches they join."""
        self.layer, self.phase, self.attributes, self.batches = layer, phase, attributes or {}, batches

    @contextlib.contextmanager
    def loop(self, index: str, count: int, backwards: bool = False) -> Iterator[Scalar]:
        """What is called inside runs ``count`` times; gives the number of the turn (see ``Loop``)."""
        around = self.blocks[-1]
        if isinstance(around, Loop):
            raise invalid("A loop has calls inside, no loops.", index=index, inside=around.index)
        self._indices[index] = self._indices.get(index) or self.unique_name(index)  # loops may share one
        loop = Loop(self._indices[index], count, backwards, around.condition)
        self.blocks.append(loop)
        yield Scalar(loop.index)
        self.blocks.append(Block(around.condition))

    def loops(self) -> dict[Call, Loop]:
        """{call: the loop that it is in}"""
        return {call: block for block in self.blocks if isinstance(block, Loop) for call in block.calls}

    def users(self) -> dict[Buffer, list[Call]]:
        """{root buffer: calls that touch it, in order}"""
        users: dict[Buffer, list[Call]] = {}
        for call in self.calls:
            for root in call.reads | call.writes:
                users.setdefault(root, []).append(call)
        return users


def _check_steps(call: Call, block: Block) -> None:
    """Raise ValueError if a call, in ``block``, views a step that its buffer doesn't have."""
    ends = [{block.index: 0}, {block.index: block.count - 1}] if isinstance(block, Loop) else [{}]
    for buffer in call.buffers:
        if buffer.step is None:
            continue
        for names in ends:
            step = buffer.step
            if isinstance(step, Scalar):
                if not step.names() <= names.keys():
                    raise invalid("Which step a call views, only the index of its own loop says.", step=step.names())
                step = step.value(names)
            if not 0 <= step <= buffer.root.steps - buffer.viewed_steps:
                last = buffer.root.steps - 1
                raise invalid(f"{call.opcode} views a step of {buffer.root.name}, from 0 to {last}.", step=step)
