"""Who reads and writes what, while rewrites replace calls."""

from collections.abc import Iterable

from ..program import Block, Buffer, Call, Loop, Out, Program


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
        found = self.in_one_block(root) and root in follower.reads and root not in follower.writes
        return follower if found else None

    def in_one_block(self, root: Buffer) -> bool:
        """Whether the calls that touch ``root`` are of one block, and see all of it, not steps."""
        touching = self.users[root]
        steps = any(b.root is root and b.step is not None for call in touching for b in call.buffers)
        return len({self._blocks[call] for call in touching}) == 1 and not steps

    def follower(self, call: Call, out: Out | None = None, by: Call | None = None) -> Call | None:
        """The only reader of what ``call`` wrote, if ``call``, or ``by``, which comes before it, can do its work, too.

        Until then, nothing may need what is in the place of its result, left by an earlier turn of a loop say, and
        what else it reads must be known.
        """
        follower, first = self.only_reader(call, out), by or call
        if follower is None:
            return None
        calls, read = self._blocks[call].calls, follower.reads - call.writes
        between = [c for c in calls[calls.index(first) : calls.index(follower)] if c not in self.removed]
        touched = [buffer for c in between for buffer in c.buffers]
        touched += [argument for argument in follower.arguments.values() if isinstance(argument, Buffer)]
        overwritten = any(buffer.overlaps(out.buffer) for buffer in touched for out in follower.outputs)
        return None if overwritten or any(not read.isdisjoint(c.writes) for c in between[1:]) else follower

    def are_written(self, weights: Iterable[Buffer], call: Call) -> bool:
        """Whether any of ``weights`` changes before ``call``, as weights do not before the optimizer's update."""
        roots, block = {buffer.root for buffer in weights}, self._blocks[call]
        calls, last = self.program.calls, block.calls[-1] if isinstance(block, Loop) else call
        return any(not roots.isdisjoint(c.writes) for c in calls[: calls.index(last) + 1]) or any(
            buffer.step is not None for buffer in weights
        )

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


def replace(program: Program, replaced: dict[Call, list[Call]], before: dict[Call, list[Call]] | None = None) -> None:
    """Put others in the place of some calls, and others before some: where these are in a loop, before the loop."""
    blocks = []
    for block in program.blocks:
        early = {call: before[call] for call in block.calls if call in before} if before else {}
        if isinstance(block, Loop) and any(early.values()):
            blocks.append(Block(block.condition))
            blocks[-1].calls = [c for calls in early.values() for c in calls]
            early = {}
        block.calls = [c for call in block.calls for c in (*early.get(call, ()), *replaced.get(call, [call]))]
        blocks.append(block)
    program.blocks[:] = blocks
