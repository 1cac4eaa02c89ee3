"""Layers that are only there in training: dropout of several kinds, and noise."""

from .. import _seed, ops
from .._settings import Adjustable, described
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import Present, require_rank
from ..core.operations.random import Dropout as DropoutOperation
from ..core.operations.random import RandomValues
from ..core.settings import Setting
from ..core.values import SymbolicTensor
from .base import Layer

# Klambauer et al. 2017: where SELU tends to at -inf, -scale alpha
_SELU_FLOOR = -1.7580993408473766


class _Random(Layer):
    """A layer that draws numbers in training, as a function of the seed, the step and the element alone."""

    def __init__(self, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._stream = _seed.next_stream() if seed is None else 0

    def call(self, inputs, training=False):
        # inference passes the input on under a new name, so that the layer appears in the graph
        return self._noisy(inputs) if training and self._structure() else DropoutOperation(0.0)(inputs)

    def _draw(self, distribution, x, shape, batched=True):
        return RandomValues(
            distribution, shape, 0.0, 1.0, x.dtype, batched=batched, seed=self.seed, stream=self._stream,
            batches=x.batches,
        )()  # fmt: skip

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class _Dropping(_Random):
    """One with a ``rate``, and a ``noise_shape`` in which elements are dropped together."""

    rate = Adjustable(least=0, below=1)
    supports_masking = True

    def __init__(self, rate, noise_shape, seed, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = rate
        self.noise_shape = _checked_noise_shape(type(self).__name__, noise_shape)

    def _structure(self) -> bool:
        """Whether anything is dropped."""
        return vars(self)["rate"] != 0

    def _kept(self, x):
        """1 where elements are kept, with probability 1 - rate, else 0; of ``noise_shape``, or for every element."""
        shape, batched = self._noise_shape_of(x.shape)
        return 1.0 - ops.sign(ops.relu(Setting(self, "rate") - self._draw("uniform", x, shape, batched)))

    def build(self, input_shape):
        self._noise_shape_of(input_shape)  # whether it fits

    def _noise_shape_of(self, shape) -> tuple[tuple, bool]:
        """The shape of what is drawn for an input of this shape, and whether each sample has its own."""
        sizes = tuple(shape[1:])
        if self.noise_shape is None:
            return sizes, True
        first, *rest = self.noise_shape
        fits = len(rest) == len(sizes) and all(n in (None, 1, m) for n, m in zip(rest, sizes, strict=True))
        if not fits:
            expected = f"{type(self).__name__} expects noise_shape to have None, 1 or the size for each axis"
            raise invalid(f"{expected} of {tuple(shape)}.", noise_shape=self.noise_shape)
        return tuple(m if n is None else n for n, m in zip(rest, sizes, strict=True)), first is None

    def get_config(self):
        return {**super().get_config(), "rate": described(self.rate), "noise_shape": self.noise_shape}


def _checked_noise_shape(kind: str, shape):
    if shape is None:
        return None
    sizes = list(shape) if isinstance(shape, list | tuple) else [0]
    whole = all(size is None or (type(size) is int and size >= 1) for size in sizes)
    if not sizes or not whole or sizes[0] not in (None, 1):
        raise invalid(
            f"{kind} expects noise_shape to have None or 1 for the batch axis, and None or a positive integer for each "
            "of the others.",
            noise_shape=shape,
        )
    return tuple(sizes)


class Dropout(_Dropping):
    """In training, each element is zero with probability ``rate`` and otherwise divided by 1 - rate.

    (Srivastava et al. 2014, inverted.)  Which elements are dropped is a function of the seed, the step and the
    element alone.

    Arguments:
        rate: from 0 up to, not including, 1; or a schedule of it.
        noise_shape: None: every element is dropped by itself; or a size for each axis, 1 where elements are dropped
            together and None where each by itself: (None, 1, None) drops whole features of (batch, steps, features).
        seed: an int, or None for the global seed.
    """

    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (7,)}

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, noise_shape, seed, **kwargs)

    def _noisy(self, inputs):
        rate = Setting(self, "rate")
        if self.noise_shape is None:
            return DropoutOperation(rate, self.seed, self._stream)(inputs)
        return inputs * self._kept(inputs) * (1.0 / (1.0 - rate))


class _SpatialDropout(_Dropping):
    rank: int  # of the input

    def __init__(self, rate, seed, **kwargs):
        super().__init__(rate, (None, *(1,) * (self.rank - 2), None), seed, **kwargs)

    def build(self, input_shape):
        require_rank(type(self).__name__, SymbolicTensor(tuple(input_shape), self.dtype, "x"), self.rank, self.axes)

    def _noisy(self, inputs):
        return inputs * self._kept(inputs) * (1.0 / (1.0 - Setting(self, "rate")))

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]
        return config


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of (batch, steps, features) (Tompson et al. 2015).

    Arguments:
        rate, seed: as in Dropout.
    """

    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (3, 2)}
    rank, axes = 3, "(batch, steps, features)"

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of (batch, height, width, channels) (Tompson et al. 2015, section 3.2).

    Arguments:
        rate, seed: as in Dropout.
        data_format: None or "channels_last".
    """

    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (2, 3, 2)}
    rank, axes = 4, "(batch, height, width, channels)"

    def __init__(self, rate, data_format=None, seed=None, **kwargs):
        checks.channels_last("SpatialDropout2D", data_format)
        super().__init__(rate, seed, **kwargs)


class GaussianNoise(_Random):
    """In training, normal noise of mean 0 is added to each element.

    Arguments:
        stddev: its standard deviation, not negative; or a schedule of it.
        seed: an int, or None for the global seed.
    """

    supports_masking = True
    example = {"arguments": {"stddev": 0.5, "seed": 3}, "input_shape": (7,)}
    stddev = Adjustable(least=0)

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.stddev = stddev

    def _structure(self) -> bool:
        """Whether there is any noise."""
        return vars(self)["stddev"] != 0

    def _noisy(self, inputs):
        return inputs + self._draw("normal", inputs, inputs.shape[1:]) * Setting(self, "stddev")

    def get_config(self):
        return {**super().get_config(), "stddev": described(self.stddev)}


class GaussianDropout(_Random):
    """In training, each element is multiplied by normal noise of mean 1 and variance rate / (1 - rate).

    (Srivastava et al. 2014, section 10.)

    Arguments:
        rate, seed: as in Dropout.
    """

    supports_masking = True
    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (7,)}
    rate = Adjustable(least=0, below=1)

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = rate

    def _structure(self) -> bool:
        """Whether there is any noise."""
        return vars(self)["rate"] != 0

    def _noisy(self, inputs):
        rate = Setting(self, "rate")
        deviation = ops.sqrt(Present(rate / (1.0 - rate), inputs.dtype)())
        return inputs * (1.0 + self._draw("normal", inputs, inputs.shape[1:]) * deviation)

    def get_config(self):
        return {**super().get_config(), "rate": described(self.rate)}


class AlphaDropout(_Dropping):
    """In training, elements become SELU's limit with probability ``rate``, and all are scaled and shifted afterwards.

    Mean 0 and variance 1 stay what they are (Klambauer et al. 2017, section 2, "new dropout technique").

    Arguments:
        rate, noise_shape, seed: as in Dropout.
    """

    example = {"arguments": {"rate": 0.25, "seed": 3}, "input_shape": (7,)}

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, noise_shape, seed, **kwargs)

    def _noisy(self, inputs):
        rate, kept = Setting(self, "rate"), self._kept(inputs)
        variance = (1.0 - rate) * (1.0 + rate * _SELU_FLOOR**2)
        scale = ops.reciprocal(ops.sqrt(Present(variance, inputs.dtype)()))
        dropped = inputs * kept + (1.0 - kept) * _SELU_FLOOR
        return (dropped - rate * _SELU_FLOOR) * scale
