"""From calls to a plan: sections that run per chunk of the batch or once, and one arena for all temporary memory.

The batch is cut into chunks whose number depends on the batch size alone, never on the number of threads, so that the
same bits come out of any number of threads.  A run of batched calls is a *region*: each chunk passes through the whole
list while it is in the cache.  Calls without a batch axis (combining the chunks' partial sums, say) run once, between
regions; a region is cut only where a batched call needs such a result, or what every chunk did a part of.
"""

import itertools
from dataclasses import dataclass, field

from ...core.program import Buffer, Call, Program
from ...core.values import ITEMSIZE

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
ROWS_PER_CHUNK = 16
HEAVY_WORK = 4e6  # operations per sample above which a chunk holds fewer samples
ROWS_PER_HEAVY_CHUNK = 4
MAXIMUM_CHUNKS = 64
# operations of a batch below which one chunk suffices: a second thread would not pay, not even in compiled code
SINGLE_CHUNK_WORK = 5e5
PARAMETERS_PER_BLOCK = 4096  # of the optimizer's update
PARTS = 4  # of a product that is split along the rows of its weights: partial sums are written and read so many times


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass
class Section:
    """Consecutive calls that run together: per chunk of the batch, per part of a weight's rows, or once."""

    calls: list[Call]
    batched: bool
    name: str = ""

    @property
    def split(self):
        """The ``Split`` that its calls share, or None."""
        return self.calls[0].split


def schedule(calls: list[Call]) -> list[Section]:
    """Group ``calls`` into as few sections as their dependences allow, keeping every result the same."""
    sections: list[Section] = []
    prelude: list[Call] = []
    region: list[Call] = []
    pending: list[Call] = []

    def conflicts(call: Call, others: list[Call]) -> bool:
        """Whether ``call`` must stay after ``others``."""
        return any((o.writes & (call.reads | call.writes)) or (o.reads & call.writes) for o in others)

    def meets(call: Call) -> bool:
        """Whether ``call`` and the region share a buffer of which every chunk writes a part."""
        return any(
            root.kind == "whole"
            for other in region
            for root in (other.writes & (call.reads | call.writes)) | (other.reads & call.writes)
        )

    def flush():
        for _, together in itertools.groupby(prelude, key=lambda call: call.split):
            sections.append(Section(list(together), False))
        if region:
            sections.append(Section(region.copy(), True))
        prelude[:] = pending
        region.clear()
        pending.clear()

    for call in calls:
        if call.batched:
            if conflicts(call, pending) or meets(call):
                flush()
            region.append(call)
        elif conflicts(call, region) or conflicts(call, pending):
            pending.append(call)
        else:
            prelude.append(call)
    flush()
    flush()
    return sections


@dataclass
class Memory:
    """Where buffers lie in the arena: ``[whole][in one piece][chunk partials][chunk 0][chunk 1]...``.

    offsets: byte offset of each root buffer; for ``batch`` buffers per sample of a chunk's capacity, or of the batch if
    they are in one piece; for ``chunk`` buffers per chunk.
    """

    offsets: dict[Buffer, int] = field(default_factory=dict)
    whole: int = 0  # bytes
    in_one_piece: int = 0  # bytes per sample
    chunk: int = 0  # bytes per chunk
    batch: int = 0  # bytes per sample

    def nbytes(self, batch: int, chunks: int) -> int:
        """Bytes that suffice for ``batch`` and every smaller batch: chunks are rounded up to whole samples."""
        return self.whole + (self.in_one_piece + self.batch) * batch + (self.chunk + self.batch) * chunks


def plan_memory(sections: list[Section], reuse: bool = True) -> Memory:
    """Place every temporary of ``sections``; batch buffers share memory when their lifetimes don't overlap.

    A chunk runs its calls in order in its own part of the arena, so lifetimes are counted in calls.
    """
    memory = Memory()
    calls = [call for section in sections for call in section.calls]
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for index, call in enumerate(calls):
        for buffer in call.buffers:
            root = buffer.root
            first.setdefault(root, index)
            last[root] = index

    for root in first:
        if root.kind == "whole":
            memory.offsets[root] = memory.whole
            memory.whole += aligned(root.nbytes)
        elif root.kind == "chunk":
            memory.offsets[root] = memory.chunk
            memory.chunk += aligned(root.nbytes)
        elif root.kind == "batch" and root.in_one_piece:
            memory.offsets[root] = memory.in_one_piece
            memory.in_one_piece += aligned(root.nbytes)

    # an output takes over the memory of an input that dies in the same call
    owner = {root: root for root in first if root.kind == "batch" and not root.in_one_piece}
    interval = {root: (first[root], last[root]) for root in owner}
    if reuse:
        for index, call in enumerate(calls):
            if call.in_place is None:
                continue
            source, target = (b.root for b in call.in_place)
            if source not in owner or target not in owner or source is target or source.nbytes != target.nbytes:
                continue
            leader = owner[source]
            if last[source] == index and first[target] == index and interval[leader][1] == index:
                owner[target] = leader
                interval[leader] = (interval[leader][0], last[target])

    leaders = sorted(dict.fromkeys(owner.values()), key=lambda r: (-r.nbytes, interval[r][0]))
    placed: list[tuple[int, int, Buffer]] = []  # (offset, end, leader)
    for leader in leaders:
        size = aligned(leader.nbytes)
        begin, end = interval[leader]
        position = 0
        for offset, stop, other in sorted(placed, key=lambda item: item[0]):
            other_begin, other_end = interval[other]
            alive_together = not reuse or (begin <= other_end and other_begin <= end)
            if alive_together and offset < position + size and position < stop:
                position = stop
        placed.append((position, position + size, leader))
        memory.offsets[leader] = position
        memory.batch = max(memory.batch, position + size)
    for root, leader in owner.items():
        memory.offsets[root] = memory.offsets[leader]
    return memory


@dataclass
class Layout:
    """Where the trainable variables lie: runs of neighbours in one storage, and their place in the flat gradient."""

    runs: list[tuple]  # (storage name, first element in the storage, first element in the gradient, length)
    offsets: dict  # variable -> first element in the gradient
    size: int
    dtype: str = "float32"


@dataclass
class Piece:
    """Neighbouring parameters whose gradient the update gets in one way.

    It is the sum of the chunks' gradients, which start at element ``partial`` of each; or the ``product``, a call that
    computes some rows of the gradient over the whole batch at once.
    """

    storage: str  # argument with the parameters
    start: int  # first element in the storage
    gradient: int  # first element in the flat gradient
    length: int
    partial: int = 0
    product: Call | None = None


def update_pieces(layout: Layout, products: list[Call]) -> list[Piece]:
    """The pieces that make up the parameters of ``layout``, in their order."""
    by_variable = {call.arguments[2].buffer.source: call for call in products}
    pieces: list[Piece] = []
    partial = 0
    for storage, start, gradient, length in layout.runs:
        joined = False  # whether the last piece may grow
        for variable, offset in layout.offsets.items():
            if not gradient <= offset < gradient + length:
                continue
            product = by_variable.get(variable)
            size = padded_elements(variable)
            if product is None and joined:
                pieces[-1].length += size
            else:
                pieces.append(Piece(storage, start + offset - gradient, offset, size, partial, product))
            joined = product is None
            partial += 0 if product else size
    return pieces


class Plan:
    """All that code generation needs: sections, memory, gradient layout and the amount of work."""

    def __init__(self, program: Program, layout: Layout | None = None, regions: bool = True):
        self.program = program
        self.layout = layout or Layout([], {}, 0)
        self.regions = regions
        self.sections = schedule(program.calls) if regions else [Section([c], c.batched) for c in program.calls]
        self.memory = plan_memory(self.sections, reuse=regions)
        self.work_per_sample = sum(c.work for c in program.calls if c.batched or c.split)
        self.update_work_per_sample = sum(c.work for c in program.products)
        self.pieces = update_pieces(self.layout, program.products)
        self.partials = {}  # variable -> first element in a chunk's gradients
        for piece in self.pieces:
            for variable, offset in self.layout.offsets.items():
                if piece.product is None and piece.gradient <= offset < piece.gradient + piece.length:
                    self.partials[variable] = piece.partial + offset - piece.gradient
        self.partial_size = sum(piece.length for piece in self.pieces if piece.product is None)

    def chunks(self, batch: int) -> int:
        """The number of chunks of a batch: a function of the batch size and the model only."""
        if self.work_per_sample * batch < SINGLE_CHUNK_WORK:
            return 1
        rows = ROWS_PER_HEAVY_CHUNK if self.work_per_sample > HEAVY_WORK else ROWS_PER_CHUNK
        return max(1, min(batch // rows, MAXIMUM_CHUNKS))

    def blocks(self) -> int:
        """The number of parts in which the optimizer's update runs."""
        return max(1, min(self.layout.size // PARAMETERS_PER_BLOCK, MAXIMUM_CHUNKS))

    def arena_bytes(self, batch: int) -> int:
        return self.memory.nbytes(batch, self.chunks(batch))


def gradient_layout(variables, storage_names: dict) -> Layout:
    """Runs of ``variables`` (trainable, all packed) that are neighbours in their storage."""
    ordered = sorted(variables, key=lambda v: (list(storage_names).index(id(v.storage)), v.storage_offset))
    runs, offsets, size = [], {}, 0
    for variable in ordered:
        length = padded_elements(variable)
        name = storage_names[id(variable.storage)]
        if runs and runs[-1][0] == name and runs[-1][1] + runs[-1][3] == variable.storage_offset:
            runs[-1] = (*runs[-1][:3], runs[-1][3] + length)
        else:
            runs.append((name, variable.storage_offset, size, length))
        offsets[variable] = size
        size += length
    return Layout(runs, offsets, size, ordered[0].dtype if ordered else "float32")


def padded_elements(variable) -> int:
    """Elements that a variable takes in flat storage: a whole number of cache lines."""
    return aligned(variable.size * ITEMSIZE[variable.dtype]) // ITEMSIZE[variable.dtype]
