"""The pool of threads that help with regions: Python threads inside compiled code that holds no lock.

A worker looks out for regions while steps are being run and a moment longer; then it sleeps until the next run.  The
moment is a part of the time that the run took: waiting never costs much against what it is for.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import threading
import time

from ...locks import across_forks
from . import pool
from .pool import MOST_PATIENCE, PATIENCE, RUNNING, STOP, TURN, state

_WAITED = 0.25  # of the time of a run, in which the next one may follow

_workers: list["_Worker"] = []
_lock = across_forks(threading.Lock())  # of the list of workers and of state[RUNNING]


@functools.cache
def _serve():
    """A function of a worker's number: help until there is nothing to do for a while."""
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(pool.load()[pool.SERVE])


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
        serve = _serve()
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
        _serve()  # by this thread
    counted, start = False, time.perf_counter()
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
            turns = int(_WAITED / TURN * (time.perf_counter() - start))
            with _lock:
                state[PATIENCE] = min(turns, MOST_PATIENCE)
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
