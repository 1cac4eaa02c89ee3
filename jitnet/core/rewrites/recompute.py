"""Activations that are computed again for the backward pass instead of kept until then: less memory for more time.

The calls between two places of the forward pass, a *segment*, run again before the backward pass comes to them, from
the few values that cross the first of the places (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
arXiv 1604.06174).  What a single call makes with little work of values that are there anyway, as a ReLU after
normalisation does, is made again just before it is needed.  The same calls of the same values give the same bits.
"""

import dataclasses
import itertools

from ..liveness import lifetimes
from ..program import Block, Buffer, Call, Loop, Out, Program

MOST_SEGMENTS = 12
CHEAP_WORK = 16  # operations per element of the largest array that a call touches
WORTH = 0.95  # of the memory, that more work has to come down to


def recompute(program: Program) -> None:
    """Keep fewer activations; of several choices the one that needs the least memory at any time."""
    for block in program.blocks:
        if not isinstance(block, Loop):
            _recompute_in(program, block)


def _recompute_in(program: Program, block: Block) -> None:
    outside = {b.root for other in program.blocks if other is not block for c in other.calls for b in c.buffers}
    start = _Forward(block.calls, outside)
    if start.turn is None or start.turn < 2:  # what comes after a backward loop has no forward pass of its own
        return
    best = block.calls
    for segments in range(1, MOST_SEGMENTS + 1):
        repeated = start.with_segments_repeated(segments)
        choice = _Forward(repeated, outside).with_cheap_calls_repeated()
        if _peak(choice) < WORTH * _peak(best):
            best = choice
    known = {buffer.root for call in block.calls for buffer in call.buffers}
    for root in {buffer.root: None for call in best for buffer in call.buffers if buffer.root not in known}:
        root.name = program.unique_name(f"{root.name}_again")
    block.calls[:] = best
    # what only chunks of the batch read any more can be in pieces
    users = program.users()
    for root in known:
        root.in_one_piece = root.in_one_piece and any(not call.batched for call in users.get(root, ()))


def _peak(calls: list[Call]) -> int:
    """Bytes of a sample's values that are alive at the same time."""
    changes = [0] * (len(calls) + 1)
    for root, (first, last) in lifetimes(calls).items():
        if root.kind == "batch":
            changes[first] += root.nbytes
            changes[last + 1] -= root.nbytes
    return max(itertools.accumulate(changes))


class _Forward:
    """The forward pass in a block's calls: what its calls write, and what the backward pass needs of it.

    outside: what other blocks touch.
    turn: the place of the first call backward; None if there is none.
    """

    def __init__(self, calls: list[Call], outside: set[Buffer]):
        self.calls = calls
        backward = [place for place, call in enumerate(calls) if call.phase == "backward"]
        self.turn, self.end = (backward[0], backward[-1]) if backward else (None, None)
        self.writers: dict[Buffer, list[int]] = {}
        self.readers: dict[Buffer, list[int]] = {}
        for place, call in enumerate(calls):
            for root in call.writes:
                self.writers.setdefault(root, []).append(place)
            for root in call.reads:
                self.readers.setdefault(root, []).append(place)
        self._outside = outside
        self._repeatable = {place: self._is_repeatable(place) for place in range(self.turn or 0)}
        # what the backward pass needs: root -> the place of the only call that writes it
        self.saved = {
            root: places[0] for root, places in self.writers.items()
            if self._repeatable.get(places[0]) and root.kind == "batch" and self._late(root)
        }  # fmt: skip

    def _late(self, root: Buffer) -> list[int]:
        """Places of the backward pass, and after it, that read a value."""
        return [place for place in self.readers.get(root, ()) if place >= self.turn]

    def _is_repeatable(self, place: int) -> bool:
        """Whether a call does the same again at any time of the backward pass, into other memory."""
        call = self.calls[place]
        if call.phase not in ("input", "forward") or not call.batched or "function" in call.attributes:
            return False
        for out in call.outputs:
            root = out.buffer.root
            scratch = root.kind == "partial" and root.source is None
            alone = root.kind == "batch" and self.writers[root] == [place] and root not in self._outside
            if out.accumulate or root.steps is not None or not (alone or scratch):
                return False
        changed = (w for root in call.reads for w in self.writers.get(root, ()) if place < w <= self.end)
        return any(out.buffer.root.kind == "batch" for out in call.outputs) and next(changed, None) is None

    def _crossing(self, place: int) -> list[Buffer]:
        """Values that calls before ``place`` write and calls of the forward pass from there on read."""
        return [
            root for root, places in self.writers.items()
            if root.kind == "batch" and places[0] < place
            and any(place <= reader < self.turn for reader in self.readers.get(root, ()))
        ]  # fmt: skip

    def _cuts(self, segments: int) -> list[int]:
        """Places between segments that save about as much each, where little crosses."""
        saved = [0] * (self.turn + 1)
        for root, place in self.saved.items():
            saved[place + 1] += root.nbytes
        saved = list(itertools.accumulate(saved))
        crossing = [sum(root.nbytes for root in self._crossing(place)) for place in range(self.turn + 1)]
        wanted = [saved[-1] * i / segments for i in range(1, segments)]
        places = range(1, self.turn)
        return sorted({min(places, key=lambda p, w=w: abs(saved[p] - w) + crossing[p]) for w in wanted})

    def with_segments_repeated(self, segments: int) -> list[Call]:
        """The calls, with all but the last of so many segments run again before their gradients."""
        cuts = [0, *self._cuts(segments)]
        kept = {root for cut in cuts[1:] for root in self._crossing(cut)}
        repeats = []
        for first, last in itertools.pairwise(cuts):
            roots = [root for root, place in self.saved.items() if first <= place < last and root not in kept]
            needed, pending = set(), list(roots)
            while pending:
                place = self.writers[pending.pop()][0]
                if place not in needed:
                    needed.add(place)
                    inputs = [root for root in self.calls[place].reads if root.kind == "batch" and root not in kept]
                    # what other blocks write, loops over time say, is there
                    written = {root: self.writers[root][0] for root in inputs if root in self.writers}
                    pending += [root for root, at in written.items() if first <= at and self._repeatable[at]]
            if roots:
                repeats.append((sorted(needed), roots))
        return self._with(repeats)

    def with_cheap_calls_repeated(self) -> list[Call]:
        """The calls, with those of little work run again where their inputs are there anyway."""
        chosen: dict[Buffer, None] = {}
        repeats = []
        for root, place in self.saved.items():
            call = self.calls[place]
            largest = max(buffer.size for buffer in call.buffers if buffer.batched)
            inputs = [r for r in call.reads if r.kind == "batch"]
            first = self._late(root)[0]
            there = all(r not in chosen and self._late(r) and self._late(r)[-1] >= first for r in inputs)
            if call.work <= CHEAP_WORK * largest and there:
                chosen[root] = None
                repeats.append(([place], [root]))
        return self._with(repeats)

    def _with(self, repeats: list[tuple[list[int], list[Buffer]]]) -> list[Call]:
        """The calls with others before the first reader of what they write again: [(places, what is read then)]."""
        before: dict[int, list[Call]] = {}
        moved: dict[Buffer, Buffer] = {}
        for places, roots in repeats:
            position = min(self._late(root)[0] for root in roots)
            if self.calls[position].phase != "backward":
                continue
            fresh: dict[Buffer, Buffer] = {}
            again = []
            for place in places:
                call = self.calls[place]
                for out in call.outputs:
                    root = out.buffer.root
                    if root.kind == "batch" or root in self.readers:  # else what it leaves there doesn't matter
                        fresh[root] = dataclasses.replace(root, root=None)
                arguments = {name: _in(fresh, argument) for name, argument in call.arguments.items()}
                # as much work counts as without: it decides into how many chunks the batch is cut
                again.append(dataclasses.replace(call, arguments=arguments, phase="backward", work=0))
            moved |= {root: fresh[root] for root in roots}
            before.setdefault(position, []).extend(again)
        found = []
        for place, call in enumerate(self.calls):
            for repeated in before.get(place, ()):
                found.append(repeated)
            touched = place >= self.turn and any(root in moved for root in call.reads)
            arguments = {name: _in(moved, argument) for name, argument in call.arguments.items()}
            found.append(dataclasses.replace(call, arguments=arguments) if touched else call)
        return found


def _in(moved: dict[Buffer, Buffer], argument):
    """An argument in the memory that takes another's place."""
    if isinstance(argument, Out):
        return Out(_in(moved, argument.buffer), argument.accumulate)
    if not isinstance(argument, Buffer) or argument.root not in moved:
        return argument
    root = moved[argument.root]
    return root if argument is argument.root else dataclasses.replace(argument, root=root)
