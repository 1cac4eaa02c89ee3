"""How many threads jitnet uses, and the start of Numba's thread pool."""

import os
import sys

_ENLARGED = "JITNET_ENLARGED_NUMBA_POOL"
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
    if number > _pool_size():
        raise ValueError(
            f"Numba's thread pool has {_pool_size()} threads in this process, so at most that many can be used. "
            f"Set the environment variable NUMBA_NUM_THREADS before starting Python. Received: number={number}"
        )
    _threads = number


def _pool_size() -> int:
    configure_numba()
    import numba

    return numba.config.NUMBA_NUM_THREADS


def configure_numba() -> None:
    """Settings that must be made before Numba is first imported; the user's own settings win."""
    if "numba" in sys.modules:
        return
    # a pool may be larger than the machine: threads beyond the requested number are never started
    if "NUMBA_NUM_THREADS" not in os.environ:
        os.environ["NUMBA_NUM_THREADS"] = str(max(os.cpu_count() or 1, 8))
        os.environ[_ENLARGED] = "1"
    os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")


def start_threads() -> None:
    """Start Numba's threading layer; its symbols are needed by every compiled region."""
    configure_numba()
    import numba
    from numba.np.ufunc.parallel import _launch_threads

    _launch_threads()
    if _ENLARGED in os.environ:
        # the pool is larger than the machine only for jitnet's own use
        numba.set_num_threads(min(os.cpu_count() or 1, numba.config.NUMBA_NUM_THREADS))
