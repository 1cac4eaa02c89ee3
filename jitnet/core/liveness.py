"""Which temporaries may share memory: those of which one is no longer used when the other begins to be."""

from .program import Buffer, Call


def lifetimes(calls: list[Call]) -> dict[Buffer, tuple[int, int]]:
    """{root buffer: the places of the first and of the last call that touch it}, in order of first use."""
    found: dict[Buffer, tuple[int, int]] = {}
    for index, call in enumerate(calls):
        for buffer in call.buffers:
            found[buffer.root] = (found.get(buffer.root, (index,))[0], index)
    return found


def place(calls: list[Call], roots: list[Buffer], size_of, reuse: bool = True) -> tuple[dict[Buffer, int], int]:
    """Offsets for ``roots`` in one block of memory, and its size.

    An output takes over the memory of an input that dies in the same call, where the call allows it; what is left is
    placed by size, the largest first, each at the lowest offset that is free while it lives.

    size_of: the bytes that a root takes; reuse: whether memory is shared at all.
    """
    alive = lifetimes(calls)
    owner = {root: root for root in roots}
    interval = {root: alive[root] for root in roots}
    if reuse:
        for index, call in enumerate(calls):
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
