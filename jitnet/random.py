"""Keras's ``random``: random numbers, in the ``call`` of a layer and in a ``train_step`` new ones in every step.

They are counter-based: the same seed gives the same numbers, whatever the number of threads.  Elsewhere, without a
symbolic value, they are arrays, computed at once; then no size is None.
"""

import numpy as np

from . import ops
from ._seed import global_seed, next_stream
from .core import checks
from .core.errors import invalid, module_dir, module_getattr
from .core.lengths import batches_in
from .core.operations.random import Dropout, RandomValues
from .core.policy import floatx
from .core.trace import collects_effects, current_scope
from .core.values import Value

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip


class SeedGenerator:
    """A source of seeds: each use gives the next of a stream of its own.

    Arguments:
        seed: an integer from 0 on; None for one that is drawn from the seed of the run.
        name: a name for messages.
    """

    def __init__(self, seed=None, name=None, **kwargs):
        if kwargs:
            raise invalid("SeedGenerator expects seed and name.", **kwargs)
        most = 2**31 - 1
        self.seed = None if seed is None else checks.integer("SeedGenerator", "seed", seed, least=0, most=most)
        self.name = name or "seed_generator"
        self._used = 0

    def next(self, ordered=True):
        """The next seed: an integer; None where the run's seed is followed."""
        self._used += 1
        if self.seed is None:
            return None
        return int(np.random.default_rng([self.seed, self._used]).integers(2**31))

    def get_config(self) -> dict:
        return {"seed": self.seed, "name": self.name}


def _number(seed):
    return seed.next() if isinstance(seed, SeedGenerator) else seed


def _is_traced() -> bool:
    """Whether a layer's ``call`` or a ``train_step`` is being traced."""
    return bool(current_scope()[0]) or collects_effects()


def _draw(distribution: str, shape, a, b, dtype, seed):
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    seed = _number(seed)
    batched = shape[:1] in ((None,), (-1,))
    stream = next_stream() if seed is None else 0
    dtype = dtype or floatx()
    if batched or _is_traced():
        own, batches = (shape[1:], batches_in(shape[0])) if batched else (shape, 1)
        return RandomValues(distribution, own, a, b, dtype, batched, seed, stream, batches)()
    from .eager import evaluate_function

    def function(_):
        return RandomValues(distribution, shape, a, b, dtype, False, seed, stream)()

    return evaluate_function(function, np.zeros(1, dtype), draw=None if seed is None else 0)


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers.

    shape: with None first for the batch, as ``jitnet.ops.shape(x)[0]`` has it.
    seed: an integer, which gives the same array in every call, and in a model the same numbers in every run, others in
        every step; a ``SeedGenerator``; None for the seed of the run (``jitnet.utils.set_random_seed``).
    """
    return _draw("normal", shape, mean, stddev, dtype, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers within two standard deviations of the mean; arguments as of ``normal``."""
    return _draw("truncated_normal", shape, mean, stddev, dtype, seed)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform numbers in [minval, maxval); other arguments as of ``normal``."""
    return _draw("uniform", shape, minval, maxval, dtype, seed)


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Integers from minval to maxval - 1, each as likely; other arguments as of ``normal``."""
    low, high = (checks.integer("random.randint", name, n) for name, n in (("minval", minval), ("maxval", maxval)))
    if high <= low:
        raise invalid("random.randint expects maxval to be above minval.", minval=minval, maxval=maxval)
    # float64 has a bit for each of 2**53 numbers
    return ops.cast(low + ops.floor(uniform(shape, 0.0, high - low, "float64", seed)), dtype)


def categorical(logits, num_samples, dtype="int32", seed=None):
    """Classes drawn by the probabilities softmax(logits): (batch, num_samples).

    logits: (batch, classes).  The largest of logits plus Gumbel noise is each one's class (Gumbel 1954).
    """
    if len(logits.shape) != 2:
        raise invalid("random.categorical expects logits (batch, classes).", shape=tuple(logits.shape))
    logits = logits if isinstance(logits, Value) else ops.convert_to_tensor(logits)
    rows, classes = ops.shape(logits)
    kind = str(logits.dtype)
    drawn = uniform((rows, num_samples, classes), 0.0, 1.0, kind, seed)
    noise = -ops.log(-ops.log(ops.maximum(drawn, float(np.finfo(kind).tiny))))
    return ops.cast(ops.argmax(ops.expand_dims(logits, 1) + noise, axis=-1), dtype)


def shuffle(x, axis=0, seed=None):
    """x with its parts along ``axis`` in a random order, the same for all: of a symbolic batch, not axis 0."""
    x = x if isinstance(x, Value) else np.asarray(x)
    if isinstance(x, Value) and x.batched and axis % x.ndim == 0:
        raise invalid("random.shuffle leaves the batch axis alone; fit shuffles samples.", axis=axis)
    order = ops.argsort(uniform((x.shape[axis],), 0.0, 1.0, "float32", seed))
    return ops.take(x, order, axis)


def dropout(inputs, rate, noise_shape=None, seed=None):
    """inputs / (1 - rate) where kept, 0 where dropped, each element by chance."""
    if noise_shape is not None:
        raise invalid("random.dropout drops each element by itself: noise_shape is None.", noise_shape=noise_shape)
    seed = _number(seed)
    operation = Dropout(rate, seed, next_stream() if seed is None else 0)
    if isinstance(inputs, Value):
        return operation(inputs)
    from .eager import evaluate

    return evaluate(operation, ops.convert_to_tensor(inputs))


def _of_arrays(name: str, shape, dtype, seed, draw):
    """Numbers by ``draw``, of a generator and the shape; they are rejected and drawn again, which a step can't do."""
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if _is_traced() or any(size is None for size in shape):
        raise invalid(f"random.{name} draws arrays, outside of models: a step has no kernel for it.", shape=shape)
    seed = _number(seed)
    key = [0, seed] if seed is not None else [1, global_seed(), next_stream()]
    with np.errstate(all="ignore"):
        return np.asarray(draw(np.random.default_rng(key), shape)).astype(dtype or floatx())


def gamma(shape, alpha, dtype=None, seed=None):
    """Numbers of the gamma distribution of shape ``alpha``, a number or an array, and scale 1: an array."""
    return _of_arrays("gamma", shape, dtype, seed, lambda generator, size: generator.standard_gamma(alpha, size))


def beta(shape, alpha, beta, dtype=None, seed=None):
    """Numbers from 0 to 1 of the beta distribution of ``alpha`` and ``beta``: an array."""
    return _of_arrays("beta", shape, dtype, seed, lambda generator, size: generator.beta(alpha, beta, size))


def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """How many of ``counts`` happen, each by its probability: an array."""

    def draw(generator, size):
        return generator.binomial(np.asarray(counts).astype(np.int64), probabilities, size)

    return _of_arrays("binomial", shape, dtype, seed, draw)


__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
