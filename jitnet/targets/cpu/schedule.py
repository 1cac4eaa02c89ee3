"""From calls to sections, and one arena for all temporary memory.

A *section* is a function of the step: calls that run together, once, or along an axis that is cut into parts: chunks of
the batch, rows of a weight, or blocks of the parameters.  The number of parts depends on shapes alone, never on the
number of threads, so that the same bits come out of any number of threads.  A chunk of the batch passes through all the
calls of its section while it is in the cache; a section along the batch is cut only where a batched call needs what all
chunks did a part of.
"""

import itertools
from dataclasses import dataclass, field

from ...core.errors import invalid
from ...core.liveness import lifetimes, place
from ...core.program import Batch, Block, Buffer, Call, Loop, Program, Scalar, Together, calls_of
from ...core.storage import Layout, aligned
from ...core.values import ITEMSIZE
from ..axes import ImageRows, Portions, Rows, Shares
from ..hoisting import HOISTED
from ..parameters import Flat
from . import few_images, thresholds


@dataclass
class Section:
    """Calls and loops that run together.

    parts: [(axis, calls and loops)], one after the other; an axis of None: once.
    turns: the same parts in groups: all threads are done with one before the next one begins.
    count, threads: the step's arguments that say in how many parts, and in how many threads.
    after: calls that follow, once: they are done together with it, whatever interrupts the step.
    """

    parts: list[tuple[object, list[Call | Loop]]]
    count: str = "chunks"
    threads: str = "threads"
    after: list[Call] = field(default_factory=list)
    name: str = ""
    condition: Scalar | None = None

    @property
    def items(self) -> list[Call | Loop]:
        return [item for _, items in self.parts for item in items] + self.after

    @property
    def calls(self) -> list[Call]:
        """All calls, those of loops included."""
        return list(calls_of(self.items))

    @property
    def axis(self):
        """The axis of its first part."""
        return self.parts[0][0]

    @property
    def turns(self) -> list[list[tuple[object, list[Call | Loop]]]]:
        turns: list[list] = [[]]
        for part in self.parts:
            if _is_large(part) and any(map(_is_large, turns[-1])):
                turns.append([])
            turns[-1].append(part)
        return turns


def _is_large(part: tuple[object, list[Call | Loop]]) -> bool:
    """Whether a part multiplies matrices that should have a core's cache for themselves, and gives all cores work.

    Each block of rows reads one of the operands from one end to the other.
    """
    axis, items = part
    if not isinstance(axis, Rows) or -(-axis.rows // axis.tile) < thresholds.GROUPS_OF_A_TURN:
        return False
    return any(call.axis == axis and call.outputs[0].buffer.size >= thresholds.SPLIT_KERNEL for call in items)


def schedule(calls: list[Call | Loop]) -> list[Section]:
    """Group ``calls`` into as few sections as their dependences allow, keeping every result the same.

    A loop stays in one section: each chunk runs all its turns without meeting the others.
    """
    sections: list[Section] = []
    prelude, region, pending = _Together(), _Together(), _Together()

    def flush():
        nonlocal prelude, region, pending
        for axis, together in itertools.groupby(prelude.calls, key=_axis):
            sections.append(Section([(axis, list(together))], _count(axis)))
        if region.calls:
            sections.append(Section([(Batch(), region.calls)]))
        prelude, region, pending = pending, _Together(), _Together()

    for call in calls:
        if _is_batched(call):
            # a buffer of which every chunk writes a part makes the chunks meet
            if pending.shared(call) or any(root.kind == "whole" for root in region.shared(call)):
                flush()
            region.add(call)
        elif region.shared(call) or pending.shared(call):
            pending.add(call)
        else:
            prelude.add(call)
    flush()
    flush()
    return sections


class _Together:
    """Calls and loops, and what they read and write together."""

    def __init__(self):
        self.calls: list[Call | Loop] = []
        self._reads: set[Buffer] = set()
        self._writes: set[Buffer] = set()

    def add(self, call: Call | Loop) -> None:
        self.calls.append(call)
        self._reads |= call.reads
        self._writes |= call.writes

    def shared(self, call: Call | Loop) -> set[Buffer]:
        """What makes ``call`` stay after these."""
        return (self._writes & (call.reads | call.writes)) | (self._reads & call.writes)


def _axis(call: Call | Loop):
    """What a section runs a call along, which does not run along the batch; None: it runs once."""
    return None if isinstance(call.axis, Together) else call.axis


def _is_batched(item: Call | Loop) -> bool:
    """Whether a call or a loop runs along the batch.

    Raises:
        ValueError: a loop in which a turn would need what all chunks did a part of.
    """
    if isinstance(item, Loop) and item.batched:
        for call in item.calls:
            whole = {root for other in item.calls if other is not call for root in other.writes if root.kind == "whole"}
            if not call.batched or not whole.isdisjoint(call.reads | call.writes):
                raise invalid(
                    "Every chunk of the batch runs all turns of a loop without meeting the others: its calls run along "
                    "the batch, and none needs what all chunks did a part of.",
                    loop=item.index, call=call.opcode, layer=call.layer,
                )  # fmt: skip
    return item.batched


@dataclass
class Memory:
    """Where buffers lie in the arena: ``[whole][in one piece][chunk partials][chunk 0][chunk 1]...``.

    offsets: byte offset of each root buffer; for ``batch`` buffers per sample of a chunk's capacity, or of the batch if
    they are in one piece; for ``partial`` buffers per chunk.
    """

    offsets: dict[Buffer, int] = field(default_factory=dict)
    prepared: int = 0  # bytes of the argument ``prepared``
    preparing: int = 0  # of the temporaries of ``prepare``
    whole: int = 0  # bytes
    in_one_piece: int = 0  # bytes per sample
    partial: int = 0  # bytes per chunk
    batch: int = 0  # bytes per sample

    def nbytes(self, batch: int, chunks: int) -> int:
        """Bytes that suffice for ``batch`` and every smaller batch: chunks are rounded up to whole samples."""
        return self.whole + (self.in_one_piece + self.batch) * batch + (self.partial + self.batch) * chunks


def plan_memory(
    sections: list[Section], reuse: bool = True, preparing: list[Section] = (), in_one_piece: bool = False
) -> Memory:
    """Place every temporary of ``sections``; batch buffers share memory when their lifetimes don't overlap.

    A chunk runs its calls in order in its own part of the arena, so lifetimes are counted in calls.

    preparing: sections that ran before; what they wrote has a place of its own, which outlives the run.
    in_one_piece: every section cuts the batch in another way, so the parts of all buffers lie one after the other.
    """
    memory = Memory()
    items = [item for section in sections for item in section.items]
    read = {root for item in items for root in item.reads}
    for root in lifetimes([item for section in preparing for item in section.items]):
        if root.kind == "whole" and root in read:
            memory.offsets[root] = memory.prepared
            memory.prepared += aligned(root.nbytes)
        elif root.kind == "whole":
            memory.offsets[root] = memory.preparing
            memory.preparing += aligned(root.nbytes)
    shared, pieces = [], []
    for root in lifetimes(items):
        if root in memory.offsets:
            continue
        if root.kind == "whole":
            memory.offsets[root] = memory.whole
            memory.whole += aligned(root.nbytes)
        elif root.kind == "partial" and root.source is None:
            memory.offsets[root] = memory.partial
            memory.partial += aligned(root.nbytes)
        elif root.kind == "batch" and in_one_piece:
            root.in_one_piece = True
            shared.append(root)
        elif root.kind == "batch" and root.in_one_piece:
            pieces.append(root)
        elif root.kind == "batch":
            shared.append(root)
    if in_one_piece:
        calls = [section.calls for section in sections]
        offsets, memory.in_one_piece = few_images.place_between_sections(calls, shared, lambda r: aligned(r.nbytes))
        memory.offsets.update(offsets)
        return memory
    offsets, memory.batch = place(items, shared, lambda root: aligned(root.nbytes), reuse)
    memory.offsets.update(offsets)
    # chunks are not at the same call at the same time: what all of them see lives from section to section
    together = [Call("section", dict(enumerate(b for call in s.calls for b in call.buffers))) for s in sections]
    offsets, memory.in_one_piece = place(together, pieces, lambda root: aligned(root.nbytes), reuse)
    memory.offsets.update(offsets)
    return memory


COUNT = "training.count_step"


class Schedule:
    """All that writing the source needs: sections, memory, gradient layout and the amount of work.

    regions: True: calls share sections; False: a section for each call; None: one section for all, in one chunk.
    few: whether it is for few images, whose rows are shared out.

    sections: of a run; preparing: of ``prepare``, which runs when weights have changed; prepared: what that writes.
    """

    def __init__(
        self, program: Program, layout: Layout | None = None, regions: bool | None = True, few: bool = False
    ):
        self.program = program
        self.few = few
        self.layout = layout or Layout([], {}, 0)
        self.regions = regions
        self.flat = Flat(self.layout, program)
        self.sections: list[Section] = []
        for call in program.calls:
            if isinstance(call.axis, Together):
                for root in call.reads | call.writes:
                    root.in_one_piece = root.kind == "batch"
        for condition, blocks in itertools.groupby(program.blocks, key=lambda block: block.condition):
            items = ([block] if block.calls and isinstance(block, Loop) else _of_a_run(block) for block in blocks)
            found = self._sections(list(itertools.chain.from_iterable(items)))
            for section in found:
                section.condition = condition
            self.sections += found
        self.preparing = schedule([call for call in program.calls if HOISTED in call.attributes])
        for section in self.preparing:
            section.parts = [(Portions() if isinstance(axis, Batch) else axis, calls) for axis, calls in section.parts]
            section.count = "portions"
        written = {root for section in self.preparing for call in section.calls for root in call.writes}
        read = {root for section in self.sections for call in section.calls for root in call.reads}
        self.prepared, self.temporary = written & read, written - read  # of what ``prepare`` writes
        self.memory = plan_memory(self.sections, bool(regions), self.preparing, few)
        calls = program.calls
        self._loops = any(isinstance(item, Loop) and item.batched for s in self.sections for item in s.items)
        self.work_per_sample = sum(c.work for c in calls if _along_the_batch(c) and c.phase != "gradients")
        shared = [call for call in calls if isinstance(call.axis, Shares) and call.phase != "gradients"]
        self.shared_work_per_sample = sum(call.work for call in shared)
        read = {root for c in calls if c.batched for root in c.reads if root.kind in ("variable", "whole")}
        self._bytes_of_weights = sum(root.nbytes for root in read)  # that every chunk reads
        self._in_steps = any(call.attributes.get("recurrent") for call in calls)  # weights are read again in every one
        self.update_work_per_sample = sum(c.work for c in calls if c.axis is not None and c.phase == "gradients")

    def _sections(self, calls: list[Call | Loop]) -> list[Section]:
        if self.regions is None:
            return [Section([(None, calls)])] if calls else []
        if self.few:
            return [Section([part], _count_of_images(part[0])) for part in few_images.split(calls)]
        sections: list[Section] = []
        for flat, together in itertools.groupby(calls, key=lambda c: isinstance(c, Call) and self.flat.takes(c)):
            together = list(together)
            if flat:
                sections.append(Section(self.flat.parts(together), "blocks", "update_threads"))
            elif getattr(together[0], "opcode", None) == COUNT and sections and sections[-1].count == "blocks":
                sections[-1].after = together  # so that no interruption comes between the weights and their count
            elif self.regions:
                sections += schedule(together)
            else:
                sections += [
                    Section([(Batch() if _is_batched(c) else _axis(c), [c])], _count(c.axis)) for c in together
                ]
        return sections

    def chunks(self, batch: int) -> int:
        """The number of chunks of a batch: a function of the batch size and the model only."""
        if self.few:
            return batch * max([1, *(s.axis.parts for s in self.sections if isinstance(s.axis, ImageRows))])
        if self.regions is None or self.work_per_sample * batch < thresholds.SINGLE_CHUNK_WORK:
            return 1
        # samples whose arithmetic is worth a copy of gradients, which another core adds up
        copied = self.flat.partial_size * ITEMSIZE[self.layout.dtype]
        worth = round(thresholds.WORK_PER_COPIED_BYTE * copied / max(1, self.work_per_sample))
        found = batch // max(thresholds.ROWS_PER_CHUNK, worth)
        if self.work_per_sample > thresholds.HEAVY_WORK:
            # samples whose arithmetic takes as long as reading the weights
            least = max(1, round(thresholds.WORK_PER_BYTE * self._bytes_of_weights / self.work_per_sample))
            rows = thresholds.ROWS_PER_CHUNK_OF_LOOPS if self._loops else thresholds.ROWS_PER_HEAVY_CHUNK
            found = batch // max(rows, least)
            found = max(found, min(batch // rows, thresholds.ENOUGH_CHUNKS))
            if self.work_per_sample > thresholds.WORK_OF_A_CHUNK:
                found = max(found, min(batch // least, thresholds.FEW_CHUNKS))
        if self._in_steps:
            found = min(found, batch // thresholds.ROWS_PER_RECURRENT_CHUNK)
        return max(1, min(found, thresholds.MAXIMUM_CHUNKS))

    def blocks(self) -> int:
        """The number of parts in which the optimizer's update runs."""
        return max(1, min(self.layout.size // thresholds.PARAMETERS_PER_BLOCK, thresholds.MAXIMUM_CHUNKS))

    def arena_bytes(self, batch: int) -> int:
        return self.memory.nbytes(batch, self.chunks(batch))


def _of_a_run(block: Block) -> list[Call]:
    return [call for call in block.calls if HOISTED not in call.attributes]


def _count_of_images(axis) -> str:
    """The number of parts of a section for few images, as source."""
    if isinstance(axis, ImageRows):
        return f"batch * {axis.parts}"
    return _count(axis) if isinstance(axis, Rows) else "batch"


def _count(axis) -> str:
    return {Rows: "parts", Shares: "shares"}.get(type(axis), "chunks")


def _along_the_batch(call: Call) -> bool:
    """Whether the call's work grows with the batch."""
    return call.batched or call.axis is not None
