"""The pool of threads that help with regions: Python threads inside compiled code that holds no lock.

A worker looks out for regions while steps are being run and a moment longer; then it sleeps until the next run.
"""

import atexit
import contextlib
import os
import threading

from numba import types

from ...locks import across_forks
from .jit import compile_function
from .parallel import work_for_others
from .pool import RUNNING, STOP, state

_workers: list["_Worker"] = []
_lock = across_forks(threading.Lock())  # of the list of workers and of state[RUNNING]


@compile_function
def serve(number):
    """Help until there is nothing to do for a while."""
    work_for_others(number)


class _Worker:
    def __init__(self, number: int):
        self.number = number
        self.asleep = False
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"jitnet-{number}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self.asleep = False
        self._awake.set()

    def end(self) -> None:
        self.wake()
        self._thread.join()

    def _live(self) -> None:
        while not state[STOP]:
            serve(self.number)
            self.asleep = True
            # whoever starts a run after this line sees that the worker is asleep; whoever did before is seen here
            if state[RUNNING] or state[STOP]:
                self.asleep = False
                continue
            self._awake.wait()
            self._awake.clear()


def count() -> int:
    """How many workers there are, asleep or not."""
    return len(_workers)


@contextlib.contextmanager
def running(threads: int):
    """Have ``threads - 1`` workers look out for regions meanwhile."""
    if threads == 1:
        yield
        return
    if len(_workers) < threads - 1:
        serve.compile((types.intp,))
    counted = False
    try:
        with _lock:
            while len(_workers) < threads - 1:
                _workers.append(_Worker(len(_workers) + 1))
            state[RUNNING] += 1
            counted = True
        for worker in _workers[: threads - 1]:
            if worker.asleep:
                worker.wake()
        yield
    finally:
        if counted:
            with _lock:
                state[RUNNING] -= 1


@atexit.register
def _stop() -> None:
    state[STOP] = 1
    for worker in _workers:
        worker.end()


def _forget() -> None:
    """In a copy of the process there are no workers."""
    _workers.clear()
    state[:] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
