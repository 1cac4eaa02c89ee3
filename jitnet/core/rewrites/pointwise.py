"""Chains of pointwise calls over arrays of one shape become one call, forward as well as backward.

A chain is a run of neighbouring calls, each of which shares an array with those before it.  Its loop reads every array
once, calls the scalar functions in the order of the calls, and stores only what is read outside of the chain.  What
costs less to compute than to store is not kept for the backward pass but computed there again.
"""

from dataclasses import dataclass

from ...kernels.scalar import activations, arithmetic
from ..program import Block, Buffer, Call, Out, Program
from .derivatives import SUFFIX

OPCODE = "pointwise.chain"
MOST_CALLS = 24  # of one chain, for the sake of compilation
SHORTEST_ROW = 32  # elements of a vector that is used for every row: the inner loop then is one of vectors


def fuse_pointwise(program: Program) -> None:
    """Replace chains of at least two calls by one call with the attribute ``chain``."""
    for number, block in enumerate(program.blocks):
        following = [call for later in program.blocks[number + 1 :] for call in later.calls]
        block.calls = _fused(block, following)


@dataclass(frozen=True)
class Chain:
    """What is done with every element i, in statements over arrays of one size, single numbers and scalars.

    functions: names of the scalar functions that the statements call, in order.
    arrays, singles, rows, scalars: the parameters, in order: arrays of one size, arrays of one element, vectors of one
        size, each element j of which is for element j of every row of the arrays, numbers.
    """

    functions: tuple[str, ...]
    arrays: tuple[str, ...]
    singles: tuple[str, ...]
    scalars: tuple[str, ...]
    statements: tuple[str, ...]
    rows: tuple[str, ...] = ()


def _fused(block: Block, following: list[Call]) -> list[Call]:
    parts: list[Call | list[_Pointwise]] = []
    for call in block.calls:
        item = _Pointwise.of(call)
        if item is None:
            parts.append(call)
        elif parts and isinstance(parts[-1], list) and item.continues(parts[-1]):
            parts[-1].append(item)
        else:
            parts.append([item])
    parts = [part[0].call if isinstance(part, list) and len(part) == 1 and part[0].alone else part for part in parts]
    usage = _Usage([*parts, *following], block)
    found = []
    for number, part in enumerate(parts):
        if isinstance(part, Call):
            found.append(part)
        elif (call := _merged(part, number, usage)) is not None:
            found.append(call)
    return found


class _Pointwise:
    """A call as ``function`` of operands, whose value is multiplied by ``gradient``, of a backward call, if any."""

    def __init__(self, call: Call, function, operands, gradient=None, parameters=(), alone=True):
        self.call, self.function, self.operands = call, function, tuple(operands)
        self.gradient, self.parameters = gradient, tuple(parameters)
        self.alone = alone  # whether there is a kernel for it outside of chains
        (self.out,) = call.outputs

    @classmethod
    def of(cls, call: Call) -> "_Pointwise | None":
        """None if the call is not pointwise, or repeats an operand along an axis, other than a vector for every row."""
        found = cls._parsed(call) if call.batched else None
        return found if found and found._fits() else None

    @classmethod
    def _parsed(cls, call: Call) -> "_Pointwise | None":
        family, _, kernel = call.opcode.partition(".")
        if family == "shape" and kernel in ("copy_forward", "copy_backward"):
            return cls(call, None, [call["x" if kernel == "copy_forward" else "dy"]])
        if call.opcode == "dense.bias_add_forward":
            return cls(call, "add", [call["x"], call["bias"]])
        if family != "elementwise":
            return None
        if kernel.endswith(SUFFIX):
            name = kernel.removesuffix(SUFFIX)
            return cls(call, kernel, _saved(call, name), None, _parameters(call, name), alone=False)
        name, _, side = kernel.rpartition("_backward")
        forward = not name
        name = name or kernel.removesuffix("_forward")
        if name in arithmetic.NAMES:
            function = name if forward else f"{name}_derivative{side}"
            return cls(call, function, [call["a"], call["b"]], None if forward else call["dy"])
        if forward:
            return cls(call, name, [call["x"]], None, _parameters(call, name))
        return cls(call, f"{name}{SUFFIX}", _saved(call, name), call["dy"], _parameters(call, name))

    @property
    def arrays(self) -> list[Buffer]:
        """Buffers with one element for each of the output's."""
        given = [*self.operands, self.out.buffer] + ([self.gradient] if self.gradient else [])
        return [buffer for buffer in given if buffer.batched]

    def _fits(self) -> bool:
        out = self.out.buffer
        return (
            out.dtype.startswith("float")
            and out.batched
            and all(b.dtype == out.dtype for b in (*self.arrays, *self.operands))
            and all(b.size == out.size if b.batched else b.size == 1 or b in self.rows for b in self.operands)
            and all(b.size == out.size for b in self.arrays)
            and len({b.size for b in self.rows}) <= 1
        )

    @property
    def rows(self) -> list[Buffer]:
        """Vectors of which every row of the output uses the same elements."""
        found = []
        for name, buffer in zip(("a", "b"), self.operands, strict=False):
            if buffer.batched or len(buffer.shape) != 1 or buffer.size < SHORTEST_ROW:
                continue
            if self.call.opcode == "dense.bias_add_forward" or _is_row(self.call, f"{name}_strides", buffer):
                found.append(buffer)
        return found

    def continues(self, chain: list["_Pointwise"]) -> bool:
        """Whether the call may follow those of ``chain`` in one loop."""
        out = chain[0].out.buffer
        others = [b for other in chain for b in other.arrays]
        together = [(b, other) for b in self.arrays for other in others if b.root is other.root]
        return (
            (out.size, out.dtype) == (self.out.buffer.size, self.out.buffer.dtype)
            and bool(together)
            and all(b.step == other.step or not b.overlaps(other) for b, other in together)
            and len({b.size for other in (*chain, self) for b in other.rows}) <= 1
            and len(chain) < MOST_CALLS
        )

    @property
    def cheap(self) -> bool:
        """Whether the value costs a few instructions: its function calls nothing, and is no power."""
        module = arithmetic if self.function in arithmetic.NAMES else activations
        if self.function is None or self.gradient or self.function == "power":
            return False
        return {"real", "abs"}.issuperset(getattr(module, self.function).__code__.co_names)


def _is_row(call: Call, strides: str, buffer: Buffer) -> bool:
    """Whether a binary call repeats a vector for every row of its result."""
    *outer, columns = call["shape"]
    before, *others, last = call[strides]
    repeated = before == 0 and all(size == 1 or stride == 0 for size, stride in zip(outer, others, strict=True))
    return repeated and last == 1 and columns == buffer.size


def _saved(call: Call, name: str) -> list[Buffer]:
    """What an activation's derivative reads."""
    return [call[argument] for argument in activations.derivative_arguments(name)]


def _parameters(call: Call, name: str) -> list:
    return [call[parameter] for parameter in activations.parameters(name)]


class _Usage:
    """Who reads and writes what, by the places of calls and chains in the program."""

    def __init__(self, parts, block: Block):
        self.block = block
        self.first: dict[Buffer, int] = {}
        self.last: dict[Buffer, int] = {}  # part that touches the root last
        writers: dict[Buffer, list] = {}  # (part, item of its chain)
        alone = set()  # roots that calls outside of chains touch
        for number, part in enumerate(parts):
            for item in part if isinstance(part, list) else [part]:
                call = item if isinstance(item, Call) else item.call
                for root in call.reads | call.writes:
                    self.first.setdefault(root, number)
                    self.last[root] = number
                    if item is call:
                        alone.add(root)
                for root in call.writes:
                    writers.setdefault(root, []).append((number, item))
        # {root: the item that computes it}: values that every chain which needs them computes again
        self.recomputed: dict[Buffer, _Pointwise] = {}
        order = {id(item): at for at, item in enumerate(i for p in parts if isinstance(p, list) for i in p)}
        for root, written in writers.items():
            (number, item), *others = written
            if others or root in alone or root.kind != "batch" or self.last[root] == number or not item.cheap:
                continue
            if root.steps is not None or block.carries(root):
                continue
            arrays = [b.root for b in item.operands if b.batched]
            constant = all(b.root not in writers for b in item.operands if not b.batched)
            kept = (r in self.recomputed or self.last[r] >= self.last[root] for r in arrays)
            unchanged = (
                w[0] < number or (w[0] == number and order[id(w[1])] < order[id(item)])
                for r in arrays
                for w in writers.get(r, ())
            )
            if constant and all(kept) and all(unchanged):
                self.recomputed[root] = item

    def is_kept(self, buffer: Buffer, number: int) -> bool:
        """Whether the value that part ``number`` gives to ``buffer`` must be stored."""
        used = self.last[buffer.root] > number and buffer.root not in self.recomputed
        return used or buffer.kind == "external" or self.block.carries(buffer.root)


def _merged(chain: list[_Pointwise], number: int, usage: _Usage) -> Call | None:
    """The call of a kernel that does what ``chain`` does; None if nothing is left to do."""
    arrays: dict[tuple, tuple[str, Buffer]] = {}  # {(root, step): (name in the kernel, buffer)}
    singles: dict[tuple, tuple[str, Buffer]] = {}
    rows: dict[tuple, tuple[str, Buffer]] = {}
    scalars: list = []
    values: dict[tuple, str] = {}  # what an array's element is at present, by root and step
    statements: list[str] = []
    functions: list[str] = []

    def memory(buffer):
        return buffer.root, buffer.step

    def argument(table, letter, buffer):
        return table.setdefault(memory(buffer), (f"{letter}{len(table) + 1}", buffer))[0]

    def let(expression):
        statements.append(f"v{len(statements) + 1} = {expression}")
        return f"v{len(statements)}"

    def value(buffer):
        if not buffer.batched and buffer.size == 1:
            return argument(singles, "c", buffer)
        if not buffer.batched:
            return f"{argument(rows, 'r', buffer)}[j]"
        if memory(buffer) not in values:
            again = usage.recomputed.get(buffer.root)
            values[memory(buffer)] = compute(again) if again else let(f"{argument(arrays, 'x', buffer)}[i]")
        return values[memory(buffer)]

    def compute(item):
        operands = [value(buffer) for buffer in item.operands]
        for parameter in item.parameters:
            scalars.append(parameter)
            operands.append(f"p{len(scalars)}")
        expression = operands[0]
        if item.function is not None:
            functions.append(item.function)
            expression = f"{item.function}({', '.join(operands)})"
        if item.gradient is not None:
            expression = f"{value(item.gradient)} * {expression}"
        if item.out.accumulate:
            expression = f"{value(item.out.buffer)} + {expression}"
        return expression if expression in operands else let(expression)

    outputs = {memory(item.out.buffer): item.out.buffer for item in chain if usage.is_kept(item.out.buffer, number)}
    if not outputs:
        return None
    for item in chain:
        values[memory(item.out.buffer)] = compute(item)
    read = set(arrays)
    for place, buffer in outputs.items():
        statements.append(f"{argument(arrays, 'x', buffer)}[i] = {values[place]}")
    names = tuple(name for name, _ in arrays.values()), tuple(name for name, _ in singles.values())
    parameters = tuple(f"p{n}" for n in range(1, len(scalars) + 1))
    given = {
        name: Out(outputs[place], place in read) if place in outputs else buffer
        for place, (name, buffer) in arrays.items()
    }
    given |= dict(singles.values()) | dict(rows.values()) | dict(zip(parameters, scalars, strict=True))
    work = sum(item.call.work for item in chain)
    merged = chain[0].call.replaced_by(OPCODE, given, work=work)
    of_rows = tuple(name for name, _ in rows.values())
    merged.attributes["chain"] = Chain(tuple(functions), *names, parameters, tuple(statements), of_rows)
    return merged
