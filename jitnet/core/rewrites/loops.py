"""What a loop need not do turn by turn, and what it need not keep.

*Sums.*  A call that adds to partial sums takes each sample by itself; so a turn's sample is as good as another sample,
and instead of a call in every turn there is one after the loop, over all turns.  The gradient of a weight of a
recurrent network is then one large product.  What such a call reads must have a place for every turn: values that the
forward pass keeps have one, and gradients get one for products alone, whose operands are small beside what they add to.

*Products before the loop.*  What a turn computes of its step of a sequence and of weights alone, up to a product and
from there on, needs no turn before it: it is done for all turns at once.  That pays for few samples, where each turn
would read the weights anew; for many it would only take memory.

*Steps.*  A sequence of which a turn only sees the step that it has written itself becomes the memory of one turn; one
of which a turn sees what the turn before it left, of two.  That is most of what a prediction computes, and of a
training what the backward pass does not read.
"""

import dataclasses

from ..program import Block, Buffer, Call, Loop, Out, Program, Scalar, shifted

PRODUCTS = ("dense.dense_backward_filter",)


def simplify_loops(program: Program, few: bool = False) -> None:
    """Move sums out of loops, and let sequences be as short as they can be.

    few: for few samples: products that may come before a loop do.  Otherwise the program notes that there are some.
    """
    for loop in [block for block in program.blocks if isinstance(block, Loop)]:
        _sum_after(program, loop)
        early = _early(program, loop)
        if early and few:
            _compute_before(program, loop, early)
        program.has_early_products |= bool(early)
    program.blocks[:] = [block for block in program.blocks if block.calls or not isinstance(block, Loop)]
    shorten_sequences(program)


# ---- sums


def _sum_after(program: Program, loop: Loop) -> None:
    place = _Places(program, loop)
    found: dict[Call, None] = {}
    kept: dict[Buffer, Buffer] = {}  # {what a turn overwrites: what has a place for each}
    sums = [call for call in loop.calls if place.is_sum(call)]
    for call in sorted(sums, key=lambda c: c.opcode not in PRODUCTS):
        missing = place.missing(call)
        if missing is None or (call.opcode not in PRODUCTS and not missing <= kept.keys()):
            continue
        found[call] = None
        for root in missing - kept.keys():
            kept[root] = dataclasses.replace(root, root=None, rows=root.rows * loop.count, steps=loop.count)
    if not found:
        return
    for call in loop.calls:
        call.arguments = {name: _in_turn(kept, loop, argument) for name, argument in call.arguments.items()}
    moved = [call for call in loop.calls if call in found]
    loop.calls[:] = [call for call in loop.calls if call not in found]
    for call in moved:
        call.arguments = {name: _of_all_turns(loop, argument) for name, argument in call.arguments.items()}
    _without_zeros(program, loop, moved)
    after = Block(loop.condition)
    after.calls = moved
    program.blocks.insert(program.blocks.index(loop) + 1, after)


def _in_turn(kept: dict, loop: Loop, argument):
    """An argument with the memory of every turn in the place of that of one."""
    if isinstance(argument, Out):
        return Out(_in_turn(kept, loop, argument.buffer), argument.accumulate)
    if not isinstance(argument, Buffer) or argument.root not in kept:
        return argument
    view = dataclasses.replace(argument, root=kept[argument.root], step=Scalar(loop.index))
    return dataclasses.replace(view, name=f"{argument.name}_at_{loop.index}")


def _of_all_turns(loop: Loop, argument):
    if not isinstance(argument, Buffer) or argument.step is None:
        return argument
    return argument.turns(shifted(argument.step)[1], loop.count)


def _without_zeros(program: Program, loop: Loop, moved: list[Call]) -> None:
    """Let the first of the sums begin, where the memory that they add to was only cleared for them."""
    users = program.users()
    for root in {root: None for call in moved for root in call.writes}:
        adding = [call for call in moved if root in call.writes]
        others = [call for call in users.get(root, ()) if call in loop.calls]
        before = [call for call in users.get(root, ()) if _comes_before(program, call, loop)]
        if others or len(before) != 1 or before[0].opcode != "shape.fill" or len(adding[0].outputs) != 1:
            continue
        for block in program.blocks:
            block.calls[:] = [call for call in block.calls if call is not before[0]]
        first = adding[0]
        name = next(name for name, argument in first.arguments.items() if isinstance(argument, Out))
        first.arguments = {**first.arguments, name: Out(first[name]), "accumulate": False}


def _comes_before(program: Program, call: Call, loop: Loop) -> bool:
    for block in program.blocks:
        if block is loop:
            return False
        if call in block.calls:
            return True
    return False


class _Places:
    """Who writes what in a loop, and when in a turn."""

    def __init__(self, program: Program, loop: Loop):
        self.loop = loop
        self._at = {call: number for number, call in enumerate(loop.calls)}
        inside = set(loop.calls)
        users = program.users()
        self._writers = {
            root: [c for c in touching if c in inside and root in c.writes] for root, touching in users.items()
        }
        self._alone = {root for root, touching in users.items() if inside.issuperset(touching)}
        self._touching = users

    def is_sum(self, call: Call) -> bool:
        """Whether a call does nothing but add to partial sums that are no one else's concern in the loop."""
        outs = call.outputs
        if not call.batched or "accumulate" not in call.arguments or "function" in call.attributes:
            return False
        if not all(out.buffer.root.kind == "partial" for out in outs):
            return False
        numbers = {name for a in call.arguments.values() if isinstance(a, Scalar) for name in a.names()}
        if numbers & {self.loop.index, "begin"}:
            return False
        others = [c for out in outs for c in self._touching[out.buffer.root] if c in self._at]
        return all(o.accumulate for c in others for o in c.outputs if o.buffer.root in call.writes) and all(
            not any(isinstance(a, Buffer) and a.root in call.writes for a in c.arguments.values()) for c in others
        )

    def missing(self, call: Call) -> set[Buffer] | None:
        """What the call reads that the next turn overwrites; None if it cannot wait for the end of the loop."""
        found = set()
        for buffer in call.arguments.values():
            if not isinstance(buffer, Buffer):
                continue
            root = buffer.root
            writers = self._writers.get(root, [])
            if not buffer.batched:
                if writers or buffer.step is not None:
                    return None
                continue
            if any(self._at[writer] >= self._at[call] for writer in writers):
                return None
            if root.steps is not None:
                if not self._is_own(buffer, writers):
                    return None
            elif root not in self._alone or self.loop.carries(root):
                return None  # the same in all turns, or what several of them make
            else:
                found.add(root)
        return found

    def _is_own(self, buffer: Buffer, writers: list[Call]) -> bool:
        """Whether each turn views a step of its own, to which no other turn writes."""
        turn, shift = shifted(buffer.step)
        if turn != Scalar(self.loop.index):
            return False
        written = [out.buffer for call in writers for out in call.outputs if out.buffer.root is buffer.root]
        for other in written:
            one, by = shifted(other.step)
            if one != turn:
                return False
            # a step that this turn reads and another one writes must be written before
            if by != shift and (by < shift) != self.loop.backwards:
                return False
        return True


# ---- products before the loop


def _early(program: Program, loop: Loop) -> list[Call]:
    """The products of a loop that need no turn but their own, what they read of it, and what depends on them alone."""
    written = {root for call in loop.calls for root in call.writes}
    by: dict[Buffer, Call] = {}  # what the early calls write: the only one that does
    sources: dict[Call, set[Call]] = {}  # of the early calls: themselves, and those that they need
    for call in loop.calls:
        read = [argument for argument in call.arguments.values() if isinstance(argument, Buffer)]
        if not _is_of_one_turn(call, loop) or not all(_is_known(b, call, loop, written, by) for b in read):
            continue
        if not _is_alone(call, loop):
            continue
        by.update(dict.fromkeys(call.writes, call))
        sources[call] = {call}.union(*(sources[by[b.root]] for b in read if b.root in by))
    products = {call for call in sources if call.opcode == "dense.dense_forward"}
    found = {c for call, needed in sources.items() if not products.isdisjoint(needed) for c in needed}
    return [call for call in loop.calls if call in found]


def _is_alone(call: Call, loop: Loop) -> bool:
    """Whether nothing else in the loop writes what the call writes, nor reads other than its turn's step after it."""
    begun = False
    for other in loop.calls:
        if other is call:
            begun = True
            continue
        if not call.writes.isdisjoint(other.writes):
            return False
        seen = [shifted(buffer.step) for buffer in other.buffers if buffer.root in call.writes]
        if seen and not (begun and all(step == (Scalar(loop.index), 0) for step in seen)):
            return False
    return True


def _is_of_one_turn(call: Call, loop: Loop) -> bool:
    """Whether a call takes each sample by itself, and writes the turn's step of sequences."""
    numbers = {name for a in call.arguments.values() if isinstance(a, Scalar) for name in a.names()}
    if not call.batched or "function" in call.attributes or "begin" in numbers:
        return False
    if loop.index in numbers and call.opcode != "shape.slice_forward":
        return False
    own = (out.buffer.root.steps == loop.count and out.buffer.step == Scalar(loop.index) for out in call.outputs)
    return all(own) and not any(out.accumulate for out in call.outputs)


def _is_known(buffer: Buffer, call: Call, loop: Loop, written: set, by: dict) -> bool:
    """Whether what an early call reads is there before the loop, or comes of another one."""
    if buffer.root in by:
        return buffer.step == Scalar(loop.index)
    if buffer.root in written or (buffer.step is not None and not buffer.batched):
        return False
    if not buffer.batched:
        return True
    if buffer.root.steps is None:  # a part of it, say
        return call.opcode == "shape.slice_forward"
    return shifted(buffer.step)[0] == Scalar(loop.index)


def _compute_before(program: Program, loop: Loop, early: list[Call]) -> None:
    """Slices in a loop of their own, then all else for all turns at once."""
    slices = Loop(loop.index, loop.count, loop.backwards, loop.condition)
    together = Block(loop.condition)
    for call in early:
        if call.opcode == "shape.slice_forward":
            slices.calls.append(call)
            continue
        for name, argument in call.arguments.items():
            if isinstance(argument, Out):
                call.arguments = {**call.arguments, name: Out(_of_all_turns(loop, argument.buffer))}
            else:
                call.arguments = {**call.arguments, name: _of_all_turns(loop, argument)}
        together.calls.append(call)
    loop.calls[:] = [call for call in loop.calls if call not in early]
    place = program.blocks.index(loop)
    program.blocks[place:place] = [slices, together]


# ---- steps


def shorten_sequences(program: Program) -> None:
    """Give sequences the memory of one turn, or of two, where no more of them is seen at a time."""
    loops, users = program.loops(), program.users()
    shorter: dict[Buffer, tuple[Buffer, int]] = {}
    for root, touching in users.items():
        if root.kind != "batch":
            continue
        around = {loops.get(call) for call in touching}
        views = [buffer for call in touching for buffer in call.buffers if buffer.root is root]
        if any(view.step is None or view.viewed_steps > 1 for view in views):
            continue
        inside = [loop for loop in around if loop is not None]
        if len(inside) != 1:
            continue
        length = _length(inside[0], [call for call in touching if call in inside[0].calls], root)
        if len(around) > 1:
            length = 2 if length and _is_passed_on(inside[0], touching, root) else 0
        elif length > 1:
            length = 0
        if length:  # of a sequence of two steps, too: programs that differ in the number of turns alone are alike
            shorter[root] = _shortened(root, length), length
    if shorter:
        for call in program.calls:
            if not shorter.keys().isdisjoint(call.reads | call.writes):
                call.arguments = {name: _in_shorter(shorter, a) for name, a in call.arguments.items()}


def _length(loop: Loop, touching: list[Call], root: Buffer) -> int:
    """How many steps of ``root`` a turn needs to have: 1 or 2; 0 if it may see more."""
    views = [(call, buffer) for call in touching for buffer in call.buffers if buffer.root is root]
    steps = {shifted(buffer.step) for _, buffer in views}
    if any(turn != Scalar(loop.index) for turn, _ in steps):
        return 0
    shifts = {shift for _, shift in steps}
    first = touching[0]
    if len(shifts) == 1:
        return 1 if root not in first.reads and not _is_told(loop, first) else 0
    return 2 if max(shifts) - min(shifts) == 1 else 0


def _is_told(loop: Loop, call: Call) -> bool:
    """Whether a call may write another part of its result in every turn."""
    numbers = [a for a in call.arguments.values() if isinstance(a, Scalar)]
    return call.opcode == "shape.concatenate_forward" and any(loop.index in number.names() for number in numbers)


def _is_passed_on(loop: Loop, touching: list[Call], root: Buffer) -> bool:
    """Whether calls outside of the loop see no more than the step that it begins with, and the one that it ends with.

    Each turn has to write the later of both steps before anything else sees that.
    """
    if root.steps != loop.count + 1:
        return False
    begin, end = (loop.count, 0) if loop.backwards else (0, loop.count)
    new = Scalar(loop.index) if loop.backwards else Scalar(loop.index) + 1
    inside = [call for call in touching if call in loop.calls]
    place = touching.index(inside[0]), touching.index(inside[-1])
    for number, call in enumerate(touching):
        if place[0] <= number <= place[1]:
            continue
        wanted = begin if number < place[0] else end
        if any(b.root is root and b.step != wanted for b in call.buffers):
            return False
    seen = False
    for call in inside:
        for argument in call.arguments.values():
            buffer = argument.buffer if isinstance(argument, Out) else argument
            if not isinstance(buffer, Buffer) or buffer.root is not root:
                continue
            writes = isinstance(argument, Out)
            if buffer.step == new:
                if not seen and (not writes or argument.accumulate or _is_told(loop, call)):
                    return False
                seen = True
            elif writes:
                return False
    return seen


def _shortened(root: Buffer, length: int) -> Buffer:
    rows = root.rows // root.steps
    if length == 1:
        return dataclasses.replace(root, root=None, rows=rows, steps=None)
    return dataclasses.replace(root, root=None, rows=rows * length, steps=length)


def _in_shorter(shorter: dict, argument):
    if isinstance(argument, Out):
        return Out(_in_shorter(shorter, argument.buffer), argument.accumulate)
    if not isinstance(argument, Buffer) or argument.root not in shorter:
        return argument
    root, length = shorter[argument.root]
    step = None if length == 1 else argument.step % length
    return dataclasses.replace(argument, root=root, step=step)
