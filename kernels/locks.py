"""Locks that a copy of the process (``fork``) finds free, whatever other threads were doing."""

import os

_locks: list = []


def across_forks(lock):
    """``lock``, which is taken before the process is copied, and free in both afterwards.

    A lock under which another of these is taken must come before it.
    """
    _locks.append(lock)
    return lock


def _take() -> None:
    for lock in _locks:
        lock.acquire()


def _free() -> None:
    for lock in reversed(_locks):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_free, after_in_child=_free)
