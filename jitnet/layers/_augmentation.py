"""What layers of random changes of pictures share: numbers for every picture, and how arrays are changed at once."""

import itertools
import os

import numpy as np

from .. import _seed, ops
from ..config import get_num_threads
from ..core import checks
from ..core.errors import invalid
from ..core.operations.random import RandomValues
from .base import Layer

NOISE_STREAM = 2**31  # added to a layer's own, for random values of pixels
_THREAD = 2e5  # nanoseconds of one thread's work that are worth another: Python hands it over (a guess)
_pools: dict = {}  # {process: its threads}


def factor_range(owner: str, name: str, value, least: float, most: float, symmetric: bool) -> tuple[float, float]:
    """(lowest, highest) of a factor given as a pair, or as a number f: (-f, f), or (0, f) if not ``symmetric``."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise invalid(f"{owner} expects {name} to be a number or a pair of numbers.", **{name: value})
        return tuple(sorted(checks.number(owner, name, part, least=least, most=most) for part in value))
    number = checks.number(owner, name, value, least=least, most=most)
    return (-abs(number), abs(number)) if symmetric else (0.0, number)


def value_range_of(owner: str, value) -> tuple[float, float]:
    """(lowest, highest) of the pictures' values."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise invalid(f"{owner} expects value_range to be a pair of numbers.", value_range=value)
    return tuple(sorted(checks.number(owner, "value_range", part) for part in value))


class Augmentation(Layer):
    """A random change of pictures (N, H, W, C): of each by itself, in training only.

    What happens to picture i is a function of the seed, the step and i alone: the same on every machine.
    """

    passes_gradient = True  # whether what comes before it can be trained
    count = 4  # of uniform numbers for a picture
    moves_only = False  # whether elements are moved and never computed with: then those of any type
    cost = 2.0  # nanoseconds for an element, about
    options: tuple = ()  # names of the constructor's other arguments

    def __init__(self, *, seed=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        checks.channels_last(type(self).__name__, data_format)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._stream = _seed.next_stream() if seed is None else 0

    # ---- to be overridden

    def changed(self, inputs, draws):
        """The changed pictures, of symbolic ones and numbers (N, count)."""
        raise TypeError(f"{type(self).__name__} lacks a method changed")

    def change(self, x, draws, y, step, first) -> None:
        """Write the changed pictures of an array x into y; draws: of the same type, first: the number of x's first."""
        raise TypeError(f"{type(self).__name__} lacks a method change")

    def shape_after(self, shape: tuple) -> tuple:
        """The shape of changed pictures; raises ValueError for what can't be changed."""
        return shape

    def unchanged(self, inputs):
        """What becomes of pictures in inference."""
        return inputs

    # ---- in a model

    def call(self, inputs, training=True):
        if not training:
            return self.unchanged(inputs)
        if not inputs.dtype.startswith("float"):
            inputs = ops.cast(inputs, self.dtype)
        seed = self.seed, self._stream, inputs.batches
        draws = RandomValues("uniform", (self.count,), 0.0, 1.0, inputs.dtype, True, *seed)()
        return self.changed(inputs, draws)

    # ---- on arrays

    def augment(self, x, step=None) -> np.ndarray:
        """Pictures changed at once, by several threads: an array (N, H, W, C), or (H, W, C) for one.

        x: uint8, of which the result is rounded uint8, float32 or float64; other types become float32.
        step: an integer from 0 up; the same step gives the same changes.  None: new ones with every call.

        Raises ValueError for other shapes.
        """
        x = np.asarray(x)
        kind = type(self).__name__
        if x.ndim not in (3, 4) or x.dtype.kind not in "fiub":
            raise ValueError(
                f"{kind} changes pictures (N, H, W, C) of numbers. Received: shape={x.shape}, dtype={x.dtype}"
            )
        if x.ndim == 3:
            return self.augment(x[None], step)[0]
        if x.dtype not in (np.uint8, np.float32, np.float64):
            x = x.astype(np.float32)
        x = np.ascontiguousarray(x)
        shape = self.shape_after(x.shape)
        step = _seed.next_draws() if step is None else checks.integer(kind, "step", step, least=0, most=2**46)
        y = np.empty(shape, x.dtype)
        through_floats = x.dtype == np.uint8 and not self.moves_only

        def run(begin, end):
            part, result = x[begin:end], y[begin:end]
            draws = self._draws(end - begin, np.float64 if x.dtype == np.float64 else np.float32, step, begin)
            if through_floats:
                floats = np.empty(result.shape, np.float32)
                self.change(part.astype(np.float32), draws, floats, step, begin)
                np.rint(floats, floats)
                np.clip(floats, 0, 255, out=floats)
                np.copyto(result, floats, casting="unsafe")
            else:
                self.change(part, draws, result, step, begin)

        in_parallel(run, len(x), x.size * (self.cost + through_floats))
        return y

    def _draws(self, pictures: int, dtype, step: int, first: int) -> np.ndarray:
        from ..kernels.cpu.random import uniform

        draws = np.empty((pictures, self.count), dtype)
        uniform(draws, 0.0, 1.0, self._run_seed(), self._stream, step, first)
        return draws

    def _run_seed(self) -> int:
        return _seed.global_seed() if self.seed is None else self.seed

    def _call_on_arrays(self, bound, training):
        (x,) = bound.arguments.values()
        self.built = True
        mode = self._mode(training)
        if isinstance(x, dict):
            return self._change_dict(x, mode)
        if mode:
            return self.augment(x)
        return super()._call_on_arrays(bound, training)

    def _change_dict(self, data: dict, training: bool) -> dict:
        """Keras's form of pictures with what belongs to them: {"images": ..., "labels": ...}."""
        if not {"images"} <= data.keys() <= {"images", "labels"}:
            raise invalid(
                f"{type(self).__name__} takes pictures, or a dict of images and labels; bounding boxes and masks are "
                "not moved along.",
                keys=list(data),
            )
        images = np.asarray(data["images"])
        return {**data, "images": self.augment(images) if training else images}

    def get_config(self):
        own = {name: getattr(self, name) for name in self.options}
        return {**super().get_config(), **own, "seed": self.seed}


def in_parallel(run, samples: int, nanoseconds: float) -> None:
    """Call ``run(begin, end)`` for parts of the samples, each in a thread, if all of it takes long enough."""
    threads = min(get_num_threads(), samples, int(nanoseconds / _THREAD) + 1)
    if threads < 2:
        if samples:
            run(0, samples)
        return
    bounds = [samples * i // threads for i in range(threads + 1)]
    waiting = [_pool().submit(run, begin, end) for begin, end in itertools.pairwise(bounds[1:])]
    run(bounds[0], bounds[1])
    for part in waiting:
        part.result()


def _pool():
    """The threads of this process."""
    process = os.getpid()
    if process not in _pools:
        from concurrent.futures import ThreadPoolExecutor

        _pools.clear()  # a copy of the process has no threads
        _pools[process] = ThreadPoolExecutor(os.cpu_count() or 1, "jitnet-augmentation")
    return _pools[process]
