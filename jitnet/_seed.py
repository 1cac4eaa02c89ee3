"""The global seed, and the streams that unseeded random things take from it.

A random number of jitnet is a pure function of (seed, stream, step, element).  Whoever is given no seed of its own
takes the global seed and the next stream; stream 0 is left to those that have a seed.  In training the step is the
optimizer's; whatever draws without one (a prediction with dropout) takes the next of steps that no training reaches.
"""

import operator
import os
import random
import threading

import numpy as np

from jitnet.core.errors import invalid
from jitnet.kernels.locks import across_forks

FIRST_DRAW = 2**40  # of the 2**47 steps that the generator tells apart

_seed: int | None = None
_next_stream = 1
_draws = 0
_lock = across_forks(threading.Lock())


def set_random_seed(seed: int) -> None:
    """Set the seed of all randomness that has no seed of its own, and restart its streams and draws.

    As in Keras 3, Python's ``random`` and NumPy's global generator are seeded too.

    Args:
        seed: an integer from 0 to 2**32 - 1 (NumPy's range).

    Raises:
        ValueError: ``seed`` is not such an integer.
    """
    global _seed, _next_stream, _draws
    seed = checked_seed(seed, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)
    _seed = seed
    _next_stream = 1
    _draws = 0


def global_seed() -> int:
    """The global seed: as set by ``set_random_seed``, else drawn once per process from the operating system."""
    global _seed
    with _lock:
        if _seed is None:
            _seed = int.from_bytes(os.urandom(4), "little")
        return _seed


def next_stream() -> int:
    """The next unused stream of the global seed: 1, 2, 3, ... from the last ``set_random_seed`` on."""
    global _next_stream
    with _lock:
        _next_stream += 1
        return _next_stream - 1


def streams() -> int:
    """Where the streams stand, for ``set_streams``."""
    return _next_stream


def set_streams(before: int) -> None:
    """Let the streams go on from where they stood."""
    global _next_stream
    _next_stream = before


def state() -> dict:
    """The seed, and where its streams and draws stand, for ``set_state``."""
    return {"seed": global_seed(), "streams": _next_stream, "draws": _draws}


def set_state(state: dict) -> None:
    """Go on with the seed from where its streams and draws stood; Python's and NumPy's generators stay as they are."""
    global _seed, _next_stream, _draws
    with _lock:
        _seed, _next_stream, _draws = state["seed"], state["streams"], state["draws"]


def next_draws(count: int = 1) -> int:
    """The first of the next ``count`` steps for random numbers that belong to no training step."""
    global _draws
    with _lock:
        first, _draws = _draws, _draws + count
    return FIRST_DRAW + first


def checked_seed(seed, largest: int = 2**63 - 1) -> int:
    """``seed`` as a Python integer.

    Raises:
        ValueError: ``seed`` is not an integer from 0 to ``largest``.
    """
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value <= largest:
        raise invalid(f"`seed` must be an integer from 0 to {largest}.", seed=seed)
    return value
