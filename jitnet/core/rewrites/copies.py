"""Copies of gradients that need not be made."""

import dataclasses

from ..program import Buffer, Call, Out, Program
from .dataflow import replace


def remove_copies(program: Program) -> None:
    """A copied gradient shares the memory of the original, if that is not read any more when the copy is added to."""
    users = program.users()
    calls = program.calls
    loops = program.loops()
    places = {call: index for index, call in enumerate(calls)}
    removed: dict[Call, list] = {}
    for call in calls:
        if call.opcode != "shape.copy_backward":
            continue
        source, copy = call["dy"].root, call["dx"].root
        if not source.kind == copy.kind == "batch" or source.size != copy.size or users[copy][0] is not call:
            continue
        around = {loops.get(c) for c in (*users[source], *users[copy])}
        if len(around) > 1 or any(loop and loop.carries(source) for loop in around):
            continue  # another turn may read what this one adds to
        if source.steps is not None or copy.steps is not None:
            continue
        later = [c for c in users[source] if places[c] > places[call]]
        written = min((places[c] for c in users[copy][1:] if copy in c.writes), default=len(places))
        if any(source in c.writes or places[c] >= written for c in later):
            continue
        removed[call] = []
        users[source] = sorted((set(users[source]) | set(users.pop(copy))) - {call}, key=places.get)
        for other in users[source]:
            other.arguments = {name: _moved(a, copy, source) for name, a in other.arguments.items()}
    replace(program, removed)


def _moved(argument, copy: Buffer, source: Buffer):
    """An argument that lies in ``copy``, in ``source``."""
    if isinstance(argument, Out):
        return Out(_moved(argument.buffer, copy, source), argument.accumulate)
    if isinstance(argument, Buffer) and argument.root is copy:
        return dataclasses.replace(argument, root=source)
    return argument
