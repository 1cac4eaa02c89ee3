"""Copies of weights in the layouts of kernels, made when the weights change and not in every run.

``hoisting.hoist`` finds the calls that make them in a program that changes no variable; the source has them as a
function of their own, ``prepare``.  ``PreparedWeights`` runs that when it must.
"""

import threading
import weakref

from ...core.locks import building
from ...kernels.locks import across_forks
from .memory import aligned_zeros


class _Made:
    """Prepared weights in one piece of memory.

    numbers: by which one sees whether they still are right; users: an entry for each run that is reading them now.
    """

    def __init__(self, memory, numbers):
        self.memory, self.numbers, self.users = memory, numbers, []


_NOTHING = _Made(None, None)
_shared: "weakref.WeakValueDictionary[tuple, PreparedWeights]" = weakref.WeakValueDictionary()
_preparing = across_forks(threading.Lock())  # one thread at a time prepares


def shared_weights(key: tuple, nbytes: int, changes: list, read: list[int]) -> "PreparedWeights":
    """Prepared weights under a key, by which steps that prepare the same share them: once, not once per step."""
    with building:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = PreparedWeights(nbytes, changes, read)
    return found


class PreparedWeights:
    """Prepared weights of the steps that share them, made again in the first run after the weights have changed.

    While a run reads some, in another thread, others are made in other memory, so that it never sees half of each.

    changes: of the weights; read: which hyperparameters matter.
    """

    def __init__(self, nbytes: int, changes: list, read: list[int]):
        self.nbytes = nbytes
        self._read = read
        self._changes = [c.number for c in changes]
        self._made = _NOTHING

    def take(self, runner, hyperparameters) -> _Made:
        """Those of the present weights, to be given back by ``users.pop()``.

        ``runner.prepare(memory, hyperparameters)`` makes them.
        """
        given = hyperparameters[self._read].tobytes() if self._read else b""
        made = self._made
        made.users.append(None)
        # whoever makes others takes these away first, and looks for users then
        if made is self._made and made.numbers == self._numbers(given):
            return made
        made.users.pop()
        runner.compile_prepare(hyperparameters)  # under the lock of whoever compiles, which comes before this one
        with _preparing:
            made, numbers = self._made, self._numbers(given)
            if made.numbers != numbers:
                self._made = _NOTHING
                memory = aligned_zeros(self.nbytes, "uint8") if made.memory is None or made.users else made.memory
                runner.prepare(memory, hyperparameters)
                made = _Made(memory, numbers)
                self._made = made
            made.users.append(None)
            return made

    def _numbers(self, given: bytes) -> list:
        return [given, *(number[0] for number in self._changes)]
