"""First values of weights: an initializer is called with a shape and returns an array.

A random initializer with an integer ``seed`` returns the same values at every call.  One without takes the global
seed (``jitnet.utils.set_random_seed``) and a new stream at every call, so that layers that share one differ.
"""

import importlib
import math
import operator

import numpy as np

from jitnet import _registry, _seed
from jitnet.core import checks
from jitnet.core.errors import NamesArguments, invalid, missing_name, module_dir
from jitnet.core.policy import floatx

# standard deviation of a standard normal distribution truncated to [-2, 2]
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(NamesArguments):
    """Base class.  A subclass defines ``__call__``, and ``get_config`` if it has arguments.

    Example:
        >>> class Twos(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.full(shape, 2, dtype)
        >>> Twos()((2,), "float32")
        array([2., 2.], dtype=float32)
    """

    def __call__(self, shape, dtype=None) -> np.ndarray:
        """A new array.

        Args:
            shape: its shape, a tuple of integers.
            dtype: its dtype; by default ``jitnet.floatx()``.
        """
        raise NotImplementedError(f"The initializer {type(self).__name__} must define `__call__(self, shape, dtype)`.")

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Initializer":
        """The initializer whose ``get_config`` is ``config``."""
        return cls(**config)


class _Filling(Initializer):
    """An initializer that fills a new array."""

    def __call__(self, shape, dtype=None) -> np.ndarray:
        """A new array.

        Args:
            shape: its shape, a tuple of integers.
            dtype: its dtype; by default ``jitnet.floatx()``.

        Raises:
            ValueError: a shape or dtype that the initializer can't fill.
        """
        try:
            shape = tuple(operator.index(size) for size in shape)
            valid = all(size >= 0 for size in shape)
        except TypeError:
            valid = False
        if not valid:
            raise invalid("`shape` must be a tuple of integers, each at least 0.", shape=shape)
        out = np.empty(shape, dtype=floatx() if dtype is None else dtype)
        self._fill(out)
        return out

    def _fill(self, out: np.ndarray) -> None:
        raise NotImplementedError


class Zeros(_Filling):
    """All zeros."""

    def _fill(self, out):
        out[...] = 0


class Ones(_Filling):
    """All ones."""

    def _fill(self, out):
        out[...] = 1


class Constant(_Filling):
    """One value everywhere, or an array that broadcasts to the shape.

    Args:
        value: a number, or an array.
    """

    def __init__(self, value=0.0):
        try:
            kind = np.asarray(value).dtype.kind
        except ValueError:  # a nested list whose parts differ in length
            kind = "O"
        if kind not in "biuf":
            raise invalid("`Constant` expects a number, or an array of numbers.", value=value)
        self.value = value

    def _fill(self, out):
        try:
            out[...] = self.value
        except ValueError as error:
            shapes = {"value_shape": np.shape(self.value), "shape": out.shape}
            raise invalid("The value of `Constant` must broadcast to the shape.", **shapes) from error

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"value": np.asarray(self.value).tolist()}


class Identity(_Filling):
    """``gain`` on the diagonal, zeros elsewhere; for shapes (rows, columns) only.

    Args:
        gain: the value on the diagonal.
    """

    def __init__(self, gain=1.0):
        self.gain = checks.number("Identity", "gain", gain)

    def _fill(self, out):
        if out.ndim != 2:
            raise invalid("`Identity` needs a shape of two dimensions.", shape=out.shape)
        out[...] = 0
        np.fill_diagonal(out, self.gain)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"gain": self.gain}


class _Random(_Filling):
    """An initializer that draws from counter-based Philox streams, keyed by (seed, stream, step 0, element).

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """

    def __init__(self, seed: int | None = None):
        self.seed = None if seed is None else _seed.checked_seed(seed)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"seed": self.seed}

    def _draw(self, distribution: str, out: np.ndarray, first: float, second: float) -> None:
        """Fill ``out`` from ``uniform`` (low, high), ``normal`` or ``truncated_normal`` (mean, standard deviation)."""
        if out.dtype not in (np.float32, np.float64):
            raise invalid("Random initializers fill float32 or float64 arrays.", dtype=str(out.dtype))
        # the kernels bring Numba, which takes a while to import
        from jitnet.kernels.cpu import random

        if self.seed is None:
            seed, stream = _seed.global_seed(), _seed.next_stream()
        else:
            seed, stream = self.seed, 0
        getattr(random, distribution)(out.reshape(-1), first, second, seed, stream, 0, 0)


class RandomNormal(_Random):
    """Draws from the normal distribution N(mean, stddev**2).

    Args:
        mean: mean.
        stddev: standard deviation, at least 0.
        seed: an integer, or None for the global seed.

    Raises:
        ValueError: ``stddev`` is below 0.
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        kind = type(self).__name__
        self.mean = checks.number(kind, "mean", mean)
        self.stddev = checks.number(kind, "stddev", stddev, least=0)

    def _fill(self, out):
        self._draw("normal", out, self.mean, self.stddev)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """Draws from N(mean, stddev**2), where values beyond two standard deviations from the mean are drawn again.

    What remains has a standard deviation of 0.8796 * ``stddev``.

    Args:
        mean: mean.
        stddev: standard deviation before truncation, at least 0.
        seed: an integer, or None for the global seed.

    Raises:
        ValueError: ``stddev`` is below 0.
    """

    def _fill(self, out):
        self._draw("truncated_normal", out, self.mean, self.stddev)


class RandomUniform(_Random):
    """Draws from the uniform distribution on [minval, maxval).

    Args:
        minval: lower end.
        maxval: upper end, not below ``minval``.
        seed: an integer, or None for the global seed.

    Raises:
        ValueError: ``maxval`` is below ``minval``.
    """

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval = checks.number("RandomUniform", "minval", minval)
        self.maxval = checks.number("RandomUniform", "maxval", maxval)
        if self.minval > self.maxval:
            raise invalid("`maxval` must not be below `minval`.", minval=minval, maxval=maxval)

    def _fill(self, out):
        self._draw("uniform", out, self.minval, self.maxval)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


class VarianceScaling(_Random):
    """Draws with mean 0 and variance ``scale / n``.

    ``n`` is the number of inputs of a unit (``"fan_in"``), of outputs (``"fan_out"``), or the mean of both
    (``"fan_avg"``), and at least 1; see ``fans``.  A uniform distribution has the limit ``sqrt(3 * scale / n)``; a
    truncated normal distribution has ``sqrt(scale / n)`` as its standard deviation after truncation.

    Args:
        scale: factor of the variance, above 0.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
        distribution: ``"truncated_normal"`` (also ``"normal"``), ``"untruncated_normal"`` or ``"uniform"``.
        seed: an integer, or None for the global seed.
        input_axes, output_axes: the axes whose sizes make the numbers of inputs and of outputs; None: as ``fans`` says.

    Raises:
        ValueError: an argument that is none of these.
    """

    def __init__(
        self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None, input_axes=None, output_axes=None
    ):  # fmt: skip
        super().__init__(seed)
        self.input_axes, self.output_axes = (
            None if axes is None else checks.sizes(type(self).__name__, name, axes, least=-(1 << 31))
            for name, axes in (("input_axes", input_axes), ("output_axes", output_axes))
        )
        if (input_axes is None) != (output_axes is None):
            raise invalid("Give input_axes and output_axes, or none.", input_axes=input_axes, output_axes=output_axes)
        scale = checks.positive(type(self).__name__, "scale", scale)
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise invalid("`mode` must be 'fan_in', 'fan_out' or 'fan_avg'.", mode=mode)
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise invalid(
                "`distribution` must be 'truncated_normal', 'untruncated_normal' or 'uniform'.",
                distribution=distribution,
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def _fill(self, out):
        fan_in, fan_out = self._fans(out.shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            self._draw("uniform", out, -limit, limit)
        elif self.distribution == "untruncated_normal":
            self._draw("normal", out, 0.0, math.sqrt(variance))
        else:
            self._draw("truncated_normal", out, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        own = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, "seed": self.seed}
        return {**own, **self._axes_config()}

    def _axes_config(self) -> dict:
        axes = {"input_axes": self.input_axes, "output_axes": self.output_axes}
        return {} if self.input_axes is None else axes

    def _fans(self, shape) -> tuple[int, int]:
        if self.input_axes is None:
            return fans(shape)
        if any(not -len(shape) <= axis < len(shape) for axis in (*self.input_axes, *self.output_axes)):
            raise invalid(
                f"{type(self).__name__} expects axes of a weight of shape {tuple(shape)}.",
                input_axes=self.input_axes, output_axes=self.output_axes,
            )  # fmt: skip
        return tuple(math.prod(shape[axis] for axis in axes) for axes in (self.input_axes, self.output_axes))


class _NamedScaling(VarianceScaling):
    """A ``VarianceScaling`` with a name of its own: its seed and axes are to choose."""

    _arguments: tuple[float, str, str]

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(*self._arguments, seed, input_axes, output_axes)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"seed": self.seed, **self._axes_config()}


class GlorotNormal(_NamedScaling):
    """Truncated normal with variance ``2 / (fan_in + fan_out)`` (Glorot & Bengio 2010, equation 12).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (1.0, "fan_avg", "truncated_normal")


class GlorotUniform(_NamedScaling):
    """Uniform on ``±sqrt(6 / (fan_in + fan_out))`` (Glorot & Bengio 2010, equation 16).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (1.0, "fan_avg", "uniform")


class Xavier(_NamedScaling):
    """Normal with the standard deviation ``1 / sqrt(fan_in)``, as course texts have Glorot's and Bengio's rule.

    ``GlorotNormal`` has the mean of inputs and outputs in the place of the inputs, and a truncated distribution.

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (1.0, "fan_in", "untruncated_normal")


class HeNormal(_NamedScaling):
    """Truncated normal with variance ``2 / fan_in`` (He et al. 2015, equation 10).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (2.0, "fan_in", "truncated_normal")


class HeUniform(_NamedScaling):
    """Uniform on ``±sqrt(6 / fan_in)``, of variance ``2 / fan_in`` (He et al. 2015, equation 10).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (2.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Truncated normal with variance ``1 / fan_in`` (LeCun et al. 1998, "Efficient BackProp", section 4.6).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Uniform on ``±sqrt(3 / fan_in)``, of variance ``1 / fan_in`` (LeCun et al. 1998, section 4.6).

    Args:
        seed: an integer, or None for the global seed.
    """

    _arguments = (1.0, "fan_in", "uniform")


class Orthogonal(_Random):
    """``gain`` times a matrix with orthonormal columns, or rows where there are fewer rows than columns.

    The matrix has the shape (product of all dimensions but the last, last dimension).  It is the factor Q of a matrix
    of normal draws, with signs chosen so that R has a positive diagonal, which makes it uniformly distributed.

    Source: Saxe et al. 2014; for the signs, Mezzadri 2007, "How to generate random matrices from the classical
    compact groups".

    Args:
        gain: factor.
        seed: an integer, or None for the global seed.
    """

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed)
        self.gain = checks.number("Orthogonal", "gain", gain)

    def _fill(self, out):
        if out.ndim < 2:
            raise invalid("`Orthogonal` needs a shape of at least two dimensions.", shape=out.shape)
        rows, columns = math.prod(out.shape[:-1]), out.shape[-1]
        draws = np.empty((max(rows, columns), min(rows, columns)))
        self._draw("normal", draws, 0.0, 1.0)
        q, r = np.linalg.qr(draws)
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        out[...] = (q if rows >= columns else q.T).reshape(out.shape)

    def get_config(self) -> dict:
        """The arguments that make an equal initializer."""
        return {"gain": self.gain, "seed": self.seed}


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of inputs and of outputs of a unit, ``(fan_in, fan_out)``, for a weight of ``shape``.

    () counts as (1, 1), (n,) as (n, n), (inputs, outputs) as itself, and a convolution kernel (..., inputs, outputs) as
    both times the number of taps: (h * w * inputs, h * w * outputs).
    """
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    taps = math.prod(shape[:-2])
    return taps * shape[-2], taps * shape[-1]


zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
xavier = Xavier
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal

_CLASSES = [
    Zeros,
    Ones,
    Constant,
    Identity,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    Xavier,
]
KNOWN = _registry.by_name(
    _CLASSES, zero=Zeros, one=Ones, normal=RandomNormal, uniform=RandomUniform, IdentityInitializer=Identity,
    OrthogonalInitializer=Orthogonal,
)  # fmt: skip


def get(identifier):
    """The initializer for a string (``"he_normal"``), config, class, instance, function of (shape, dtype) or None.

    Raises:
        ValueError: an unknown name, or something that can't be called.
    """
    return _registry.get(identifier, KNOWN, "initializer")


def serialize(initializer) -> dict | str | None:
    """``{"class_name": ..., "config": {...}}`` of ``initializer``, the name of a function, or None for None."""
    return _registry.serialize(initializer)


def deserialize(config: dict, custom_objects: dict | None = None):
    """The initializer that ``serialize`` wrote as ``config``; users' classes are looked up in ``custom_objects``."""
    return _registry.deserialize(config, KNOWN, custom_objects, "initializer")


def __getattr__(name):
    if name == "lsuv":  # it makes models, whose layers have initializers
        return importlib.import_module("jitnet.running.lsuv").lsuv
    raise missing_name(__name__, "initializer", name)


__dir__ = module_dir(__name__, also=("lsuv",), without=("fans",))
