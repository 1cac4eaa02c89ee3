"""Chains of pointwise calls over arrays of one shape become one generated kernel, forward as well as backward.

A chain is a run of neighbouring calls, each of which shares an array with those before it.  Its kernel reads every
array once, calls the scalar functions in the order of the calls, and stores only what is read outside of the chain.
"""

from .kernels.cpu.pointwise import PointwisePlan
from .kernels.scalar import activations, arithmetic
from .program import Buffer, Call, Out, Program

MOST_CALLS = 24  # of one chain, for the sake of compilation
MOST_ARRAYS = 16


def fuse_pointwise(program: Program) -> None:
    """Replace chains of at least two calls by generated kernels."""
    last = {root: index for index, call in enumerate(program.calls) for root in call.reads | call.writes}
    later = {root for call in (*program.deferred, *program.products) for root in call.reads | call.writes}
    result: list[Call] = []
    chain: list[Call] = []
    for index, call in enumerate([*program.calls, None]):
        pointwise = None if call is None else _Pointwise.of(call)
        if chain and not (pointwise and pointwise.continues(chain)):
            used = {root for root in last if last[root] >= index} | later
            result += [_merged(chain, used)] if len(chain) > 1 else [chain[0].call]
            chain = []
        if pointwise:
            chain.append(pointwise)
        elif call is not None:
            result.append(call)
    program.calls = result


class _Pointwise:
    """A call as ``function`` of operands, whose value is multiplied by ``gradient``, of a backward call, if any."""

    def __init__(self, call: Call, function, operands, out: Out, gradient=None, parameters=()):
        self.call, self.function, self.operands = call, function, tuple(operands)
        self.out, self.gradient, self.parameters = out, gradient, tuple(parameters)

    @classmethod
    def of(cls, call: Call) -> "_Pointwise | None":
        """None if the call is not pointwise, or repeats an operand along an axis."""
        found = cls._parsed(call)
        return found if found and call.batched and found._fits() else None

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
        return [buffer for buffer in given if buffer.kind in ("batch", "external")]

    def _fits(self) -> bool:
        size, dtype = self.out.buffer.size, self.out.buffer.dtype
        others = [b for b in self.operands if b.kind not in ("batch", "external")]
        return (
            dtype.startswith("float")
            and all(b.dtype == dtype for b in (*self.arrays, *others))
            and self.out.buffer.kind in ("batch", "external")
            and all(b.size == size for b in self.arrays)
            and all(b.size == 1 and b.kind in ("constant", "variable", "whole") for b in others)
        )

    def continues(self, chain: list["_Pointwise"]) -> bool:
        """Whether the call may follow those of ``chain`` in one loop."""
        out = chain[0].out.buffer
        roots = {b.root for other in chain for b in other.arrays}
        own = {b.root for b in self.arrays}
        return (
            (out.size, out.dtype) == (self.out.buffer.size, self.out.buffer.dtype)
            and not roots.isdisjoint(own)
            and len(roots | own) <= MOST_ARRAYS
            and len(chain) < MOST_CALLS
        )


def _merged(chain: list[_Pointwise], used: set) -> Call:
    """The call of a kernel that does what ``chain`` does.  used: roots of what is read after it."""
    arrays: dict[Buffer, tuple[str, Buffer]] = {}  # of the kernel, by root
    singles: dict[Buffer, tuple[str, Buffer]] = {}
    scalars: list = []
    values: dict[Buffer, str] = {}  # where the present value of an array is, by root
    statements: list[str] = []
    functions: list[str] = []

    def argument(table, letter, buffer):
        return table.setdefault(buffer.root, (f"{letter}{len(table) + 1}", buffer))[0]

    def value(buffer):
        if buffer.kind not in ("batch", "external"):
            return argument(singles, "c", buffer)
        if buffer.root not in values:
            values[buffer.root] = f"{argument(arrays, 'x', buffer)}[i]"
        return values[buffer.root]

    for number, item in enumerate(chain, start=1):
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
        statements.append(f"v{number} = {expression}")
        values[item.out.buffer.root] = f"v{number}"

    results = {item.out.buffer.root: item.out.buffer for item in chain}
    outputs = {root: b for root, b in results.items() if root in used or b.kind == "external"}
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
