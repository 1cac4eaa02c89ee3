"""How many threads jitnet uses."""

import os

_threads: int | None = None


def get_num_threads() -> int:
    """The number of threads that kernels may use (default: all cores)."""
    global _threads
    if _threads is None:
        _threads = os.cpu_count() or 1
    return _threads


def set_num_threads(number: int) -> None:
    """Let kernels use ``number`` threads; results do not depend on it.

    number: from 1 up; more than the machine has cores is allowed and only slower.
    """
    global _threads
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"set_num_threads expects a positive integer. Received: number={number!r}")
    _threads = number
