"""An activation's derivative is computed beside its value where both need the same exp (or its kin) of the same number.

The derivative takes the memory of the activation's input, if the backward pass needed that for nothing else: what goes
back is then a product of two arrays, and no more is kept or written than before.
"""

from ...kernels.scalar import activations
from ..program import Buffer, Call, Loop, Out, Program

# the derivative of exp is its value: its kernel multiplies by what it is given
PRODUCT = "elementwise.exp_backward"
SUFFIX = "_derivative"  # of the opcodes of calls that compute a derivative by itself, for ``fuse_pointwise``


def save_derivatives(program: Program) -> None:
    """Let forward calls compute what backward calls of the same activation would compute from the same input."""
    users = program.users()
    for block in program.blocks:
        if isinstance(block, Loop):
            continue
        places = {call: place for place, call in enumerate(block.calls)}
        early: dict[Call, Call] = {}  # {forward call: what comes after it}
        for call in block.calls:
            name = call.opcode.removeprefix("elementwise.").removesuffix("_forward")
            if call.opcode != f"elementwise.{name}_forward" or name not in activations.NAMES:
                continue
            backward = _readers(call, name, users)
            if backward and all(reader in places for reader in backward) and activations.share_work(name):
                early[call] = _derivative(call, name)
                x = call["x"]
                slope = x.viewed(x.shape, x.rows, program.unique_name(f"{call['y'].name}_derivative"))
                for reader in backward:
                    _multiply(reader, slope)
        block.calls = [c for call in block.calls for c in ((call, early[call]) if call in early else (call,))]


def _readers(call: Call, name: str, users: dict[Buffer, list[Call]]) -> list[Call]:
    """The backward calls for which alone the input of ``call`` is kept; none if it may not be overwritten."""
    x, y = call["x"], call["y"]
    touching = users[x.root]
    later = touching[touching.index(call) + 1 :]
    whole = all(b.steps is None and b.step is None for b in (x.root, x, y.root, y))
    if x.kind != "batch" or x.root.kind != "batch" or y.root is x.root or x.size != x.root.size or not whole:
        return []
    if not x.dtype.startswith("float"):
        return []
    for reader in later:
        same = reader.opcode == f"elementwise.{name}_backward" and "x" in reader.arguments
        if not same or reader["x"].root is not x.root or x.root in reader.writes:
            return []
        if any(reader[parameter] != call[parameter] for parameter in activations.parameters(name)):
            return []
        if "y" in activations.derivative_arguments(name) and reader["y"].root is not y.root:
            return []
    return later


def _derivative(call: Call, name: str) -> Call:
    """The call after ``call`` that writes the derivative over its input."""
    known = {argument: call[argument] for argument in activations.derivative_arguments(name)}
    parameters = {parameter: call[parameter] for parameter in activations.parameters(name)}
    return call.replaced_by(f"elementwise.{name}{SUFFIX}", {**known, "out": Out(call["x"]), **parameters})


def _multiply(reader: Call, derivative: Buffer) -> None:
    reader.opcode = PRODUCT
    kept = {name: reader.arguments[name] for name in ("dy", "dx", "accumulate")}
    reader.arguments = {"y": derivative.like(reader["x"]), **kept}
