"""Who reads and writes what, while rewrites replace calls."""

from ..program import Buffer, Call, Out, Program


class Dataflow:
    """The calls of a program by the buffers that they touch, kept up to date as calls are merged.

    ``finish`` takes the calls that were merged into others out of the program.
    """

    def __init__(self, program: Program):
        self.program = program
        self.users = program.users()
        self._blocks = {call: block for block in program.blocks for call in block.calls}
        self.removed: set[Call] = set()

    def only_reader(self, call: Call, out: Out | None = None) -> Call | None:
        """The call that reads what ``call`` wrote, if nothing else touches that buffer, and both are of one block."""
        out = out or call.outputs[0]
        root = out.buffer.root
        touching = self.users[root]
        if out.accumulate or root.kind != "batch" or len(touching) != 2 or touching[0] is not call:
            return None
        follower = touching[1]
        if self._blocks[follower] is not self._blocks[call]:
            return None
        return follower if root in follower.reads and root not in follower.writes else None

    def are_written(self, roots: set[Buffer], call: Call) -> bool:
        """Whether any of ``roots`` changes before ``call``, as weights do not before the optimizer's update."""
        calls = self.program.calls
        return any(not roots.isdisjoint(earlier.writes) for earlier in calls[: calls.index(call)])

    def merge(self, call: Call, follower: Call, result: Buffer, **arguments) -> None:
        """Let ``call`` write ``result`` and take the place of ``follower``.

        arguments: what the call reads besides, now.
        """
        name, old = next((name, a) for name, a in call.arguments.items() if isinstance(a, Out))
        target = result.like(old.buffer)
        call.arguments = {**call.arguments, name: Out(target), **arguments}
        call.in_place = None
        others = (follower.reads | {target.root}) - {old.buffer.root}
        del self.users[old.buffer.root]
        for root in others:
            self.users[root] = [call if c is follower else c for c in self.users[root]]
        self.removed.add(follower)

    def added_to(self, call: Call, add: Call | None) -> Buffer | None:
        """What ``add`` adds to the result of ``call``, if that has the same shape and is known when ``call`` runs."""
        if add is None or add.opcode != "elementwise.add_forward":
            return None
        a, b = add["a"], add["b"]
        residual = b if a.root is call.outputs[0].buffer.root else a
        if add["a_strides"] != add["b_strides"]:
            return None
        calls = self.program.calls
        later = (c for c in calls[calls.index(call) :] if c not in self.removed)
        return None if any(residual.root in c.writes for c in later) else residual

    def finish(self) -> None:
        for block in self.program.blocks:
            block.calls = [call for call in block.calls if call not in self.removed]


def replace(program: Program, replaced: dict[Call, list[Call]]) -> None:
    """Put others in the place of some calls."""
    for block in program.blocks:
        block.calls = [c for call in block.calls for c in replaced.get(call, [call])]
