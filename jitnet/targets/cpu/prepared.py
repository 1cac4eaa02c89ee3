"""Copies of weights in the layouts of kernels, made when the weights change and not in every run.

``hoist`` finds the calls that make them in a program that changes no variable; the source has them as a function of
their own, ``prepare``.  ``PreparedWeights`` runs that when it must.
"""

import threading
import weakref

from ...core.locks import building
from ...core.program import Batch, Block, Call, Program, Scalar
from ...kernels.locks import across_forks
from .memory import aligned_zeros

HOISTED = "hoisted"  # the attribute of a call that runs when weights change
SHARES = 16  # of weights that are prepared in parts; shapes don't matter to what comes out


def hoist(program: Program) -> None:
    """Mark the calls that depend on nothing but variables and constants, if the program changes no variable."""
    writers: dict = {}
    for call in program.calls:
        for root in call.writes:
            writers.setdefault(root, []).append(call)
    if any(root.kind == "variable" for root in writers):
        return
    known: set = set()
    for block in program.blocks:
        if type(block) is not Block or block.condition is not None:
            continue
        for call in block.calls:
            if _is_constant(call, known) and all(len(writers[root]) == 1 for root in call.writes):
                call.attributes = {**call.attributes, HOISTED: True}
                known |= call.writes


def _is_constant(call: Call, known: set) -> bool:
    numbers = {name for a in call.arguments.values() if isinstance(a, Scalar) for name in a.names()}
    in_parts = isinstance(call.axis, Batch)
    if not numbers <= ({"chunk", "chunks"} if in_parts else set()) or not (in_parts or call.axis is None):
        return False
    read = all(root.kind in ("variable", "constant") or root in known for root in call.reads)
    return read and bool(call.writes) and all(root.kind == "whole" for root in call.writes)


class _Made:
    """Prepared weights in one piece of memory.

    numbers: the changes that they were made after; users: an entry for each run that is reading them now.
    """

    def __init__(self, memory, numbers):
        self.memory, self.numbers, self.users = memory, numbers, []


_NOTHING = _Made(None, None)
_shared: "weakref.WeakValueDictionary[tuple, PreparedWeights]" = weakref.WeakValueDictionary()
_preparing = across_forks(threading.Lock())  # one thread at a time prepares


def shared_weights(key: tuple, nbytes: int, changes: list) -> "PreparedWeights":
    """Prepared weights under a key, by which steps that prepare the same share them: once, not once per step."""
    with building:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = PreparedWeights(nbytes, changes)
    return found


class PreparedWeights:
    """Prepared weights of the steps that share them, made again in the first run after the weights have changed.

    While a run reads some, in another thread, others are made in other memory, so that it never sees half of each.
    """

    def __init__(self, nbytes: int, changes: list):
        self.nbytes = nbytes
        self._changes = [c.number for c in changes]
        self._made = _NOTHING

    def take(self, prepare) -> _Made:
        """Those of the present weights, to be given back by ``users.pop()``; ``prepare(memory)`` makes them."""
        made = self._made
        made.users.append(None)
        # whoever makes others takes these away first, and looks for users then
        if made is self._made and made.numbers == self._numbers():
            return made
        made.users.pop()
        with _preparing:
            made, numbers = self._made, self._numbers()
            if made.numbers != numbers:
                self._made = _NOTHING
                memory = aligned_zeros(self.nbytes, "uint8") if made.memory is None or made.users else made.memory
                prepare(memory)
                made = _Made(memory, numbers)
                self._made = made
            made.users.append(None)
            return made

    def _numbers(self) -> list[int]:
        return [number[0] for number in self._changes]
