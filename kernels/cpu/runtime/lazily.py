"""Numba, imported when it is first needed: jitnet's own networks run without it."""

import importlib

_waiting: list | None = []  # what to tell Numba when it comes; None once it is here


class _Numba:
    """Stands for the package; its parts are read as its attributes, ``numba.core.cgutils`` say."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module("numba"), name)


numba = _Numba()


def with_numba(act) -> None:
    """Call ``act()`` when Numba is here, be it now or later."""
    if _waiting is None:
        act()
    else:
        _waiting.append(act)


def numba_is_here() -> None:
    """Tell Numba all that waits to be told; called once, when ``dispatchers`` is there."""
    global _waiting
    waiting, _waiting = _waiting, None
    for act in waiting:
        act()
