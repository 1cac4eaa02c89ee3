"""Keras's ``random``: random numbers for the ``call`` of a layer and for a ``train_step``, new ones in every step.

They are counter-based: the same seed gives the same numbers, whatever the number of threads.
"""

from ._seed import next_stream
from .core.errors import module_getattr
from .core.operations.random import RandomValues

__all__ = ["normal", "truncated_normal", "uniform"]


def _draw(distribution: str, shape, a, b, dtype, seed):
    shape = tuple(shape)
    batched = shape[:1] in ((None,), (-1,))
    stream = next_stream() if seed is None else 0
    return RandomValues(distribution, shape[1:] if batched else shape, a, b, dtype, batched, seed, stream)()


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers.

    shape: with None first for the batch, as ``jitnet.ops.shape(x)[0]`` has it.
    seed: None for the seed of the run (``jitnet.utils.set_random_seed``).
    """
    return _draw("normal", shape, mean, stddev, dtype, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers within two standard deviations of the mean; arguments as of ``normal``."""
    return _draw("truncated_normal", shape, mean, stddev, dtype, seed)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform numbers in [minval, maxval); other arguments as of ``normal``."""
    return _draw("uniform", shape, minval, maxval, dtype, seed)


__getattr__ = module_getattr(__name__, "function")
