"""The global seed, and the streams that unseeded random things take from it.

A random number of jitnet is a pure function of (seed, stream, step, element).  Whoever is given no seed of its own
takes the global seed and the next stream; stream 0 is left to those that have a seed.
"""

import itertools
import operator
import os
import random
import threading

import numpy as np

from jitnet._errors import invalid
from jitnet._locks import across_forks

_seed: int | None = None
_streams = itertools.count(1)
_drawing = across_forks(threading.Lock())


def set_random_seed(seed: int) -> None:
    """Set the seed of all randomness that has no seed of its own, and restart its streams.

    As in Keras 3, Python's ``random`` and NumPy's global generator are seeded too.

    Args:
        seed: an integer from 0 to 2**32 - 1 (NumPy's range).

    Raises:
        ValueError: ``seed`` is not such an integer.
    """
    global _seed, _streams
    seed = checked_seed(seed, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)
    _seed = seed
    _streams = itertools.count(1)


def global_seed() -> int:
    """The global seed: as set by ``set_random_seed``, else drawn once per process from the operating system."""
    global _seed
    with _drawing:
        if _seed is None:
            _seed = int.from_bytes(os.urandom(4), "little")
        return _seed


def next_stream() -> int:
    """The next unused stream of the global seed: 1, 2, 3, ... from the last ``set_random_seed`` on."""
    return next(_streams)


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
