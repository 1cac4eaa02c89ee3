"""Chains of pointwise calls over arrays of one shape become one generated kernel, forward as well as backward.

A chain is a run of neighbouring calls, each of which shares an array with those before it.  Its kernel reads every
array once, calls the scalar functions in the order of the calls, and stores only what is read outside of the chain.
What costs less to compute than to store is not kept for the backward pass but computed there again.
"""

from ...kernels.cpu.pointwise import PointwisePlan
from ...kernels.scalar import activations, arithmetic
from ..program import Buffer, Call, Out, Program

MOST_CALLS = 24  # of one chain, for the sake of compilation


def fuse_pointwise(program: Program) -> None:
    """Replace chains of at least two calls by generated kernels."""
    parts: list[Call | list[_Pointwise]] = []
    for call in program.calls:
        item = _Pointwise.of(call)
        if item is None:
            parts.append(call)
        elif parts and isinstance(parts[-1], list) and item.continues(parts[-1]):
            parts[-1].append(item)
        else:
            parts.append([item])
    parts = [part[0].call if isinstance(part, list) and len(part) == 1 else part for part in parts]
    usage = _Usage(program, parts)
    program.calls = []
    for number, part in enumerate(parts):
        if isinstance(part, Call):
            program.calls.append(part)
        elif (call := _merged(part, number, usage)) is not None:
            program.calls.append(call)


def remove_copies(program: Program) -> None:
    """A copied gradient shares the memory of the original, if that is not read any more when the copy is added to."""
    users = program.users()
    places = {call: index for index, call in enumerate(program.calls)}
    for call in program.calls.copy():
        if call.kernel != "shape.copy_backward" or call.arguments[1].accumulate:
            continue
        source, copy = call.arguments[0].root, call.arguments[1].buffer.root
        if not source.kind == copy.kind == "batch" or source.size != copy.size or users[copy][0] is not call:
            continue
        later = [c for c in users[source] if places[c] > places[call]]
        written = min((places[c] for c in users[copy][1:] if copy in c.writes), default=len(places))
        if any(source in c.writes or places[c] >= written for c in later):
            continue
        program.calls.remove(call)
        users[source] = sorted((set(users[source]) | set(users.pop(copy))) - {call}, key=places.get)
        for other in users[source]:
            for buffer in other.buffers:
                buffer.root = source if buffer.root is copy else buffer.root
            other.reads = {source if root is copy else root for root in other.reads}
            other.writes = {source if root is copy else root for root in other.writes}


class _Pointwise:
    """A call as ``function`` of operands, whose value is multiplied by ``gradient``, of a backward call, if any."""

    def __init__(self, call: Call, function, operands, out: Out, gradient=None, parameters=()):
        self.call, self.function, self.operands = call, function, tuple(operands)
        self.out, self.gradient, self.parameters = out, gradient, tuple(parameters)

    @classmethod
    def of(cls, call: Call) -> "_Pointwise | None":
        """None if the call is not pointwise, or repeats an operand along an axis."""
        found = cls._parsed(call) if call.batched else None
        return found if found and found._fits() else None

    @classmethod
    def _parsed(cls, call: Call) -> "_Pointwise | None":
        module, _, kernel = call.kernel.partition(".")
        arguments = call.arguments
        if module == "shape" and kernel in ("copy_forward", "copy_backward"):
            return cls(call, None, arguments[:1], arguments[1])
        if module != "elementwise":
            return None
        name, _, side = kernel.rpartition("_backward")
        if not name:
            name = kernel.removesuffix("_forward")
            if name in arithmetic.NAMES:
                return cls(call, name, arguments[:2], arguments[2])
            return cls(call, name, arguments[:1], arguments[1], parameters=arguments[2:])
        if name in arithmetic.NAMES:
            return cls(call, f"{name}_derivative{side}", arguments[:2], arguments[3], arguments[2])
        count = len(activations.derivative_arguments(name))
        saved, (dy, out, *parameters) = arguments[:count], arguments[count:-1]
        return cls(call, f"{name}_derivative", saved, out, dy, parameters)

    @property
    def arrays(self) -> list[Buffer]:
        """Buffers with one element for each of the output's."""
        given = [*self.operands, self.out.buffer] + ([self.gradient] if self.gradient else [])
        return [buffer for buffer in given if _is_array(buffer)]

    def _fits(self) -> bool:
        out = self.out.buffer
        return (
            out.dtype.startswith("float")
            and _is_array(out)
            and all(b.dtype == out.dtype for b in (*self.arrays, *self.operands))
            and all(b.size == (out.size if _is_array(b) else 1) for b in (*self.arrays, *self.operands))
        )

    def continues(self, chain: list["_Pointwise"]) -> bool:
        """Whether the call may follow those of ``chain`` in one loop."""
        out = chain[0].out.buffer
        roots = {b.root for other in chain for b in other.arrays}
        own = {b.root for b in self.arrays}
        return (
            (out.size, out.dtype) == (self.out.buffer.size, self.out.buffer.dtype)
            and not roots.isdisjoint(own)
            and len(chain) < MOST_CALLS
        )

    @property
    def cheap(self) -> bool:
        """Whether the value costs a few instructions: its function calls nothing, and is no power."""
        module = arithmetic if self.function in arithmetic.NAMES else activations
        if self.function is None or self.gradient or self.out.accumulate or self.function == "power":
            return False
        return {"type", "abs"}.issuperset(getattr(module, self.function).__code__.co_names)


def _is_array(buffer: Buffer) -> bool:
    return buffer.kind in ("batch", "external")


class _Usage:
    """Who reads and writes what, by the places of calls and chains in the program."""

    def __init__(self, program: Program, parts):
        self.first: dict[Buffer, int] = {}
        self.last: dict[Buffer, int] = {}  # part that touches the root last
        writers: dict[Buffer, list] = {}  # (part, item of its chain)
        alone = set()  # roots that calls outside of chains touch
        for number, part in enumerate([*parts, *program.deferred, *program.products]):
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
            arrays = [b.root for b in item.operands if _is_array(b)]
            constant = all(b.root not in writers for b in item.operands if not _is_array(b))
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
        return used or buffer.kind == "external"


def _merged(chain: list[_Pointwise], number: int, usage: _Usage) -> Call | None:
    """The call of a kernel that does what ``chain`` does; None if nothing is left to do."""
    arrays: dict[Buffer, tuple[str, Buffer]] = {}  # {root: (name in the kernel, buffer)}
    singles: dict[Buffer, tuple[str, Buffer]] = {}
    scalars: list = []
    values: dict[Buffer, str] = {}  # what an array's element is at present, by root
    statements: list[str] = []
    functions: list[str] = []

    def argument(table, letter, buffer):
        return table.setdefault(buffer.root, (f"{letter}{len(table) + 1}", buffer))[0]

    def let(expression):
        statements.append(f"v{len(statements) + 1} = {expression}")
        return f"v{len(statements)}"

    def value(buffer):
        if not _is_array(buffer):
            return argument(singles, "c", buffer)
        if buffer.root not in values:
            again = usage.recomputed.get(buffer.root)
            values[buffer.root] = compute(again) if again else let(f"{argument(arrays, 'x', buffer)}[i]")
        return values[buffer.root]

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

    outputs = {item.out.buffer.root: item.out.buffer for item in chain if usage.is_kept(item.out.buffer, number)}
    if not outputs:
        return None
    for item in chain:
        values[item.out.buffer.root] = compute(item)
    read = set(arrays)
    for root, buffer in outputs.items():
        statements.append(f"{argument(arrays, 'x', buffer)}[i] = {values[root]}")
    plan = PointwisePlan(
        tuple(functions), tuple(name for name, _ in arrays.values()), tuple(name for name, _ in singles.values()),
        tuple(f"p{n}" for n in range(1, len(scalars) + 1)), tuple(statements),
    )  # fmt: skip
    given = [Out(outputs[root], root in read) if root in outputs else buffer for root, (_, buffer) in arrays.items()]
    given += [buffer for _, buffer in singles.values()]
    return Call(plan.name, (*given, *scalars), True, work=sum(item.call.work for item in chain), plan=plan)
