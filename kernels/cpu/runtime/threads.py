"""How many threads jitnet uses."""

import math
import os
from pathlib import Path, PurePosixPath

MAXIMUM_THREADS = 256

_threads: int | None = None
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The cores that this process may use: those it is bound to (``taskset``), or fewer by its control group's quota.

    A quota (a container's limit) of two and a half cores counts as three.
    """
    if hasattr(os, "process_cpu_count"):
        bound = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
    else:
        bound = os.cpu_count()
    return max(1, math.ceil(min(bound or 1, _quota())))


def _quota() -> float:
    """The cores that the control groups of this process allow, on Linux; infinity where nothing limits them."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except (OSError, UnicodeError):
        return math.inf
    least = math.inf
    for line in lines:
        # hierarchy:controllers:path; version 2 has one hierarchy, without a list of controllers
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # a container may see its own group as the root of the tree, but its path from the outside
        place = PurePosixPath(path)
        for group in (place, *place.parents):
            folder = _CGROUPS / ("cpu" if controllers else "") / str(group).lstrip("/")
            least = min(least, _quota_in(folder, not controllers))
    return least


def _quota_in(folder: Path, unified: bool) -> float:
    try:
        if unified:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: no limit
        return math.inf


def get_num_threads() -> int:
    """The number of threads that kernels may use.

    By default what the environment variable ``NUMBA_NUM_THREADS`` says to all that Numba compiles, or else the cores
    that the process may use, at most 256.  Raises ValueError where the variable is no number from 1 to 256.
    """
    global _threads
    if _threads is None:
        _threads = _told() or min(usable_cores(), MAXIMUM_THREADS)
    return _threads


def _told() -> int | None:
    text = os.environ.get("NUMBA_NUM_THREADS", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAXIMUM_THREADS):
        raise ValueError(
            f"The environment variable NUMBA_NUM_THREADS expects a number from 1 to {MAXIMUM_THREADS}. "
            f"Received: {text!r}"
        )
    return int(text)


def set_num_threads(number: int) -> None:
    """Let kernels use ``number`` threads; results do not depend on it.

    number: from 1 to 256; more than there are cores is allowed and only slower.
    """
    global _threads
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"set_num_threads expects a positive integer. Received: number={number!r}")
    if number > MAXIMUM_THREADS:
        raise ValueError(f"set_num_threads expects at most {MAXIMUM_THREADS} threads. Received: number={number}")
    _threads = number
