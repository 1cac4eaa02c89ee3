"""Which temporaries may share memory: those of which one is no longer used when the other begins to be."""

from .program import Buffer, Call, Loop, calls_of


def places(items: list[Call | Loop]) -> dict[Call, int]:
    """The places of calls in order; the beginning and the end of a loop have places, too."""
    found: dict[Call, int] = {}
    place = 0
    for item in items:
        around = isinstance(item, Loop)
        place += around
        for call in calls_of([item]):
            found[call] = place
            place += 1
        place += around
    return found


def lifetimes(items: list[Call | Loop], at: dict[Call, int] | None = None) -> dict[Buffer, tuple[int, int]]:
    """{root buffer: the places of the first and of the last call that touch it}, in order of first use.

    What lives longer than a turn of a loop lives from its beginning to its end.

    at: the places of the calls, if others than those in order.
    """
    at = at or places(items)
    found: dict[Buffer, tuple[int, int]] = {}
    for call, index in at.items():
        for buffer in call.buffers:
            found[buffer.root] = (found.get(buffer.root, (index,))[0], index)
    for loop in items:
        if isinstance(loop, Loop):
            begin, end = at[loop.calls[0]] - 1, at[loop.calls[-1]] + 1
            for root in loop.reads | loop.writes:
                first, last = found[root]
                if first < begin or last > end or loop.carries(root):
                    found[root] = min(first, begin), max(last, end)
    return found


def place(
    items: list[Call | Loop], roots: list[Buffer], size_of, reuse: bool = True, at: dict[Call, int] | None = None
) -> tuple[dict[Buffer, int], int]:
    """Offsets for ``roots`` in one block of memory, and its size.

    An output takes over the memory of an input that dies in the same call, where the call allows it; what is left is
    placed by size, the largest first, each at the lowest offset that is free while it lives.

    size_of: the bytes that a root takes; reuse: whether memory is shared at all; at: see ``lifetimes``.
    """
    alive = lifetimes(items, at)
    owner = {root: root for root in roots}
    interval = {root: alive[root] for root in roots}
    if reuse:
        for call, index in (at or places(items)).items():
            if call.in_place is None:
                continue
            source, target = (call[name].root for name in call.in_place)
            if source not in owner or target not in owner or source is target or source.nbytes != target.nbytes:
                continue
            leader = owner[source]
            if alive[source][1] == index and alive[target][0] == index and interval[leader][1] == index:
                owner[target] = leader
                interval[leader] = (interval[leader][0], alive[target][1])

    offsets: dict[Buffer, int] = {}
    placed: list[tuple[int, int, Buffer]] = []  # (offset, end, leader)
    total = 0
    for leader in sorted(dict.fromkeys(owner.values()), key=lambda r: (-r.nbytes, interval[r][0])):
        size = size_of(leader)
        begin, end = interval[leader]
        position = 0
        for offset, stop, other in sorted(placed, key=lambda item: item[0]):
            other_begin, other_end = interval[other]
            alive_together = not reuse or (begin <= other_end and other_begin <= end)
            if alive_together and offset < position + size and position < stop:
                position = stop
        placed.append((position, position + size, leader))
        offsets[leader] = position
        total = max(total, position + size)
    return {root: offsets[leader] for root, leader in owner.items()}, total
