"""Inputs brought to a scale: by given numbers, or by those of a data set."""

import math

import numpy as np

from .. import ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.values import SymbolicTensor, Value
from .base import Layer

_EPSILON = 1e-7  # of a standard deviation or a range, at least
_BLOCK = 2**20  # elements that are looked at together


class _Scaling(Layer):
    """One whose numbers are of data: those of every place along ``axis``, over all other axes."""

    supports_masking = True

    def _take_axis(self, axis) -> None:
        kind = type(self).__name__
        several = isinstance(axis, list | tuple)
        axes = [checks.integer(kind, "axis", a) for a in (axis if several else [axis] if axis is not None else [])]
        self.axis = axes if several else axes[0] if axes else None

    def _kept_axes(self, shape) -> list[int]:
        axes = [] if self.axis is None else [self.axis] if isinstance(self.axis, int) else self.axis
        x = SymbolicTensor((None, *shape[1:]), self.dtype, "x")
        return sorted({normalize_axis(type(self).__name__, axis, x) for axis in axes})

    def build(self, input_shape):
        kept = self._kept_axes(input_shape)
        self._statistics_shape = tuple(input_shape[axis] for axis in kept)
        self._broadcast_shape = tuple(n if axis in kept else 1 for axis, n in enumerate(input_shape))
        self._add_statistics(self._statistics_shape)

    def _broadcast(self, statistic):
        """A number for each place along the axes, (1, ...), as wide as the input where it has an axis."""
        if isinstance(statistic, Value):
            return ops.reshape(statistic, self._broadcast_shape)
        try:
            whole = np.broadcast_to(statistic, self._statistics_shape)
        except ValueError:
            whole = np.asarray(statistic)
        if whole.size != math.prod(self._statistics_shape):
            expected = f"{type(self).__name__} expects numbers of the sizes {self._statistics_shape} of its axes."
            raise invalid(expected, shape=whole.shape)
        return whole.reshape(self._broadcast_shape).astype(self.dtype)

    def _numbers(self, inputs):
        return inputs if inputs.dtype.startswith("float") else ops.cast(inputs, self.dtype)

    def _batches(self, data):
        """Arrays of data, each with a batch axis, that are looked at one after the other; builds the layer."""
        given = f"{type(self).__name__}.adapt takes an array, or an iterable of batches, with at least one sample."
        if hasattr(data, "__array__"):
            array = np.asarray(data)
            rows = max(1, _BLOCK // max(1, math.prod(array.shape[1:]))) if array.ndim else 1
            data = [array] if array.ndim == 0 else (array[i : i + rows] for i in range(0, len(array), rows))
        elif not hasattr(data, "__iter__") and not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
            raise invalid(given, data=type(data).__name__)
        found = False
        for batch in data if hasattr(data, "__iter__") else (data[i] for i in range(len(data))):
            x = np.asarray(batch[0] if isinstance(batch, list | tuple) else batch)
            if x.dtype.kind not in "fiub":
                raise invalid(given, dtype=x.dtype)
            if x.ndim == 0 or not x.size:
                if x.ndim and not len(x):
                    continue
                raise invalid(given, shape=x.shape)
            if not self.built:
                self.build((None, *x.shape[1:]))
            kept = self._kept_axes(x.shape)
            if tuple(x.shape[axis] for axis in kept) != self._statistics_shape:
                expected = f"{type(self).__name__} {self.name!r} keeps {self._statistics_shape} along axis={self.axis}."
                raise invalid(expected, shape=x.shape)
            found = True
            yield x, tuple(axis for axis in range(x.ndim) if axis not in kept)
        if not found:
            raise invalid(given, data="nothing")

    def _list(self, value):
        return None if value is None else value.tolist()


def _given(kind: str, name: str, value):
    """A number or several, as an array; None for None."""
    if value is None:
        return None
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if not np.isfinite(array).all():
        raise invalid(f"{kind} expects {name} to be a finite number, or several.", **{name: value})
    return array


class Normalization(_Scaling):
    """(x - mean) / max(sqrt(variance), 1e-7), with numbers that are given, or those of the data of ``adapt``.

    Input (batch, ...), output the same; weights, unless the numbers are given: mean, variance, of the sizes of the kept
    axes, count.

    Arguments:
        axis: along which each place has a mean and variance of its own; one, several, or None for one of all.
        mean, variance: numbers or arrays, both or none.
        invert: whether to undo it: x * max(sqrt(variance), 1e-7) + mean.

    Example:
        >>> layer = jitnet.layers.Normalization()
        >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> layer(np.array([[2.0, 30.0]])).tolist()
        [[0.0, 1.0]]
    """

    example = {"arguments": {"axis": -1}, "input_shape": (3, 2)}

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        self._take_axis(axis)
        if (mean is None) != (variance is None):
            raise invalid("Normalization takes mean and variance, or none of them.", mean=mean, variance=variance)
        self.input_mean = _given("Normalization", "mean", mean)
        self.input_variance = _given("Normalization", "variance", variance)
        if variance is not None and (self.input_variance < 0).any():
            raise invalid("Normalization expects a variance that is not negative.", variance=variance)
        self.invert = checks.boolean("Normalization", "invert", invert)

    @property
    def mean(self) -> np.ndarray:
        """The means in use, (1, ...), as wide as the input where it has an axis."""
        return self._in_use("mean", self.input_mean)

    @property
    def variance(self) -> np.ndarray:
        """The variances in use, of the shape of ``mean``."""
        return self._in_use("variance", self.input_variance)

    def _in_use(self, name, given) -> np.ndarray:
        if not self.built:
            raise AttributeError(f"{type(self).__name__} {self.name!r} has no {name} yet: call adapt, or the layer.")
        return self._broadcast(getattr(self, f"adapt_{name}").numpy() if given is None else given)

    def _add_statistics(self, shape):
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def adapt(self, data) -> None:
        """Take the mean and variance of ``data``, in one pass: an array (samples, ...) or an iterable of batches.

        Of batches that are tuples the first part counts.  What was taken before is forgotten.
        """
        if self.input_mean is not None:
            raise invalid("Normalization that was given a mean has nothing to adapt.", mean=self._list(self.input_mean))
        count, mean, squares = 0, 0.0, 0.0
        for x, axes in self._batches(data):
            # of the parts before and this one (Chan, Golub and LeVeque, 1979, eq. 2.1)
            x = x.astype(np.float64)
            own = x.mean(axes, keepdims=True)
            own_squares = np.square(x - own).sum(axes)
            own, before = own.reshape(own_squares.shape), count
            number = x.size // max(1, own.size)
            count += number
            delta = own - mean
            mean = mean + delta * (number / count)
            squares = squares + own_squares + delta * delta * (before * number / count)
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / count)
        self.count.assign(count)

    def call(self, inputs):
        x = self._numbers(inputs)
        if self.input_mean is None:
            mean, variance = self._broadcast(self.adapt_mean), self._broadcast(self.adapt_variance)
            deviation = ops.maximum(ops.sqrt(variance), _EPSILON)
        else:
            mean = self._broadcast(self.input_mean)
            deviation = self._broadcast(np.maximum(np.sqrt(self.input_variance), _EPSILON))
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self):
        own = {"axis": self.axis, "invert": self.invert}
        given = {"mean": self._list(self.input_mean), "variance": self._list(self.input_variance)}
        return {**super().get_config(), **own, **given}


class MinMaxScaling(_Scaling):
    """x from [minimum, maximum] to ``feature_range``, by numbers that are given, or those of the data of ``adapt``.

    A feature that is always the same becomes the lower end.  Input (batch, ...), output the same; weights, unless the
    numbers are given: minimum, maximum, of the sizes of the kept axes.

    Arguments:
        feature_range: (lower, upper): (0, 1), (-1, 1) or another pair.
        axis: along which each place has numbers of its own; one, several, or None for one pair of all.
        minimum, maximum: numbers or arrays, both or none.

    Example:
        >>> layer = jitnet.layers.MinMaxScaling((-1, 1))
        >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> layer(np.array([[2.0, 30.0]])).tolist()
        [[0.0, 1.0]]
    """

    example = {"arguments": {"feature_range": (-1.0, 1.0), "minimum": -3, "maximum": [2.0, 4.0]}, "input_shape": (3, 2)}

    def __init__(self, feature_range=(0, 1), axis=-1, minimum=None, maximum=None, **kwargs):
        super().__init__(**kwargs)
        kind = "MinMaxScaling"
        pair = feature_range if isinstance(feature_range, list | tuple) and len(feature_range) == 2 else (1, 0)
        self.feature_range = tuple(checks.number(kind, "feature_range", end) for end in pair)
        if not self.feature_range[0] < self.feature_range[1]:
            raise invalid(f"{kind} expects a lower and an upper end.", feature_range=feature_range)
        self._take_axis(axis)
        if (minimum is None) != (maximum is None):
            raise invalid(f"{kind} takes minimum and maximum, or none of them.", minimum=minimum, maximum=maximum)
        self.input_minimum = _given(kind, "minimum", minimum)
        self.input_maximum = _given(kind, "maximum", maximum)

    def _add_statistics(self, shape):
        if self.input_minimum is None:
            self.adapt_minimum = self.add_weight(shape, "zeros", trainable=False, name="minimum")
            self.adapt_maximum = self.add_weight(shape, "ones", trainable=False, name="maximum")

    def adapt(self, data) -> None:
        """Take the least and the largest numbers of ``data``: an array (samples, ...) or an iterable of batches.

        Of batches that are tuples the first part counts.  What was taken before is forgotten.
        """
        if self.input_minimum is not None:
            given = self._list(self.input_minimum)
            raise invalid("MinMaxScaling that was given a minimum has nothing to adapt.", minimum=given)
        least, most = np.inf, -np.inf
        for x, axes in self._batches(data):
            least, most = np.minimum(least, x.min(axes)), np.maximum(most, x.max(axes))
        self.adapt_minimum.assign(least)
        self.adapt_maximum.assign(most)

    def call(self, inputs):
        lower, upper = self.feature_range
        if self.input_minimum is None:
            least = self._broadcast(self.adapt_minimum)
            width = ops.maximum(self._broadcast(self.adapt_maximum) - least, _EPSILON)
            return (self._numbers(inputs) - least) / width * (upper - lower) + lower
        least = self._broadcast(self.input_minimum)
        width = np.maximum(self._broadcast(self.input_maximum) - least, _EPSILON)
        return (self._numbers(inputs) - least) * ((upper - lower) / width) + lower

    def get_config(self):
        own = {"feature_range": self.feature_range, "axis": self.axis}
        given = {"minimum": self._list(self.input_minimum), "maximum": self._list(self.input_maximum)}
        return {**super().get_config(), **own, **given}


class Rescaling(Layer):
    """x * scale + offset.

    Arguments:
        scale, offset: numbers, or one for each place of the last axes of the input, as lists: 1 / 255 and 0 bring
            pixels to [0, 1], 1 / 127.5 and -1 to [-1, 1].
    """

    supports_masking = True
    example = {"arguments": {"scale": 0.5, "offset": [-1.0, 1.0]}, "input_shape": (3, 2)}

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = _plain("scale", scale)
        self.offset = _plain("offset", offset)

    def call(self, inputs):
        x = inputs if inputs.dtype.startswith("float") else ops.cast(inputs, self.dtype)
        return x * np.asarray(self.scale, x.dtype) + np.asarray(self.offset, x.dtype)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


def _plain(name: str, value):
    """A number or lists of numbers."""
    array = _given("Rescaling", name, np.nan if value is None else value)
    return array.tolist()
