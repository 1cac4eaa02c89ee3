"""How many threads jitnet uses."""

import os

MAXIMUM_THREADS = 256

_threads: int | None = None


def get_num_threads() -> int:
    """The number of threads that kernels may use (default: all cores)."""
    global _threads
    if _threads is None:
        _threads = min(os.cpu_count() or 1, MAXIMUM_THREADS)
    return _threads


def set_num_threads(number: int) -> None:
    """Let kernels use ``number`` threads; results do not depend on it.

    number: from 1 to 256; more than the machine has cores is allowed and only slower.
    """
    global _threads
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"set_num_threads expects a positive integer. Received: number={number!r}")
    if number > MAXIMUM_THREADS:
        raise ValueError(f"set_num_threads expects at most {MAXIMUM_THREADS} threads. Received: number={number}")
    _threads = number
