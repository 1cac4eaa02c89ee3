"""The lock of whoever builds models and compiles their steps."""

import gc
import threading

from ..kernels.locks import across_forks


class _Building:
    """A lock that a thread may take again, under which Python doesn't look for circles of objects that nobody needs.

    What is built is kept: it would be looked through again and again, of a deep model for a sixth of the time.
    """

    def __init__(self):
        self._lock = threading.RLock()
        self._taken = 0  # how often, by the thread that has it
        self._collects = False  # whether Python did so before

    def acquire(self) -> None:
        self._lock.acquire()
        self._taken += 1
        if self._taken == 1:
            self._collects = gc.isenabled()
            gc.disable()

    def release(self) -> None:
        self._taken -= 1
        if self._taken == 0 and self._collects:
            gc.enable()
        self._lock.release()

    def __enter__(self):
        self.acquire()

    def __exit__(self, *exception):
        self.release()


# held while layers are built, traced and their steps written and compiled: one thread at a time changes the graph
building = across_forks(_Building())
