"""Operations that read or write along strides: parts, flips, repeats, broadcasts, padding."""

import math

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import KEPT, Operation, display, elements, normalize_axis

RANK = 6  # dimensions of the kernels, after neighbours that lie as one have become one


def canonical_strides(owner: str, shape, strides) -> dict:
    """``shape`` and ``strides`` of a sample as the kernels take them."""
    groups = []  # [size, stride], outermost first
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if groups and groups[-1][1] == size * stride:
            groups[-1] = [groups[-1][0] * size, stride]
        else:
            groups.append([size, stride])
    if len(groups) > RANK:
        raise invalid(f"{owner} moves elements along at most {RANK} axes at once.", shape=tuple(shape))
    groups = [[1, 0]] * (RANK - len(groups)) + groups
    return {"shape": tuple(size for size, _ in groups), "strides": tuple(stride for _, stride in groups)}


def sample_shape(x) -> tuple:
    """The shape of x without its batch axis."""
    return x.shape[1:] if x.batched else x.shape


def dense_strides(shape) -> list[int]:
    """Those of an array of this shape in the order of memory."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


class _Strided(Operation, registered=False):
    """Each element of the result is one of the input: of ``_view``, where they lie."""

    integers = KEPT

    def _view(self, x) -> tuple[list, list, int]:
        """Sizes, strides and offset, in elements of a sample of x, of the elements in the order of the result."""
        raise NotImplementedError

    def _arguments(self, x) -> dict:
        shape, strides, offset = self._view(x)
        size = elements(x.shape) if x.batched else 0
        return {**canonical_strides(self.name, shape, strides), "offset": offset, "size": size}

    def forward(self, program, lowered):
        arguments = self._arguments(lowered.application.inputs[0])
        program.call("strided.take_forward", x=lowered.inputs[0], y=Out(lowered.output), **arguments)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        arguments = self._arguments(lowered.application.inputs[0])
        program.call(
            "strided.take_backward", dy=lowered.d_output, dx=dx, **arguments, accumulate=dx.accumulate
        )


def _bounds(owner: str, slices) -> tuple:
    if not isinstance(slices, list | tuple):
        raise invalid(f"{owner} expects slices to be (start, stop, step) for every axis.", slices=slices)
    found = []
    for part in slices:
        if not isinstance(part, list | tuple) or len(part) != 3:
            raise invalid(f"{owner} expects slices to be (start, stop, step) for every axis.", slices=slices)
        start, stop, step = (None if number is None else checks.integer(owner, "slices", number) for number in part)
        if step == 0:
            raise invalid(f"{owner} expects slices whose step is not 0.", slices=slices)
        found.append((start, stop, step))
    return tuple(found)


class Index(_Strided):
    """Parts along axes; ``slices``: (start, stop, step) for every axis but the batch's, as those of Python."""

    def __init__(self, slices):
        self.slices = _bounds("index", slices)

    def infer(self, x):
        if len(self.slices) != len(sample_shape(x)):
            raise invalid(f"index expects as many slices as {display(x.shape)} has axes.", slices=self.slices)
        sizes, _, _ = self._view(x)
        if 0 in sizes:
            raise ValueError(
                f"index leaves nothing of a tensor of shape {display(x.shape)}. Received: slices={self.slices}"
            )
        return [((None, *sizes) if x.batched else tuple(sizes), x.dtype)]

    def _view(self, x):
        shape = sample_shape(x)
        sizes, strides, offset = [], [], 0
        for size, dense, part in zip(shape, dense_strides(shape), self.slices, strict=True):
            taken = slice(*part).indices(size)
            sizes.append(size if part == (None, None, None) else len(range(*taken)))
            strides.append(dense * taken[2])
            offset += dense * taken[0]
        return sizes, strides, offset


class Flip(_Strided):
    """The elements along ``axes`` in reverse order."""

    def __init__(self, axes):
        self.axes = checks.sizes("flip", "axes", axes, least=-checks.LARGEST)

    def infer(self, x):
        for axis in self.axes:
            normalize_axis("flip", axis, x)
        return [(x.shape, x.dtype)]

    def _view(self, x):
        shape = sample_shape(x)
        strides, offset = dense_strides(shape), 0
        for axis in {normalize_axis("flip", axis, x) - x.batched for axis in self.axes}:
            offset += strides[axis] * (shape[axis] - 1)
            strides[axis] *= -1
        return list(shape), strides, offset


class BroadcastTo(_Strided):
    """Repeated to the sizes ``shape``, by NumPy's rules; with ``batched``, these are of each sample of the batch.

    batches: for how many joined batches.
    """

    def __init__(self, shape, batched: bool = True, batches: int = 1):
        self.shape = checks.sizes("broadcast_to", "shape", shape)
        self.batches = checks.integer("broadcast_to", "batches", batches, least=1)
        self.batched = checks.boolean("broadcast_to", "batched", batched)

    def infer(self, x):
        own = sample_shape(x)
        fits = len(own) <= len(self.shape) and all(
            a in (1, b) for a, b in zip(own[::-1], self.shape[::-1], strict=False)
        )
        if not fits or (x.batched and (not self.batched or len(own) != len(self.shape))):
            target = display((None, *self.shape)) if self.batched else display(self.shape)
            raise ValueError(f"broadcast_to cannot repeat {display(x.shape)} to {target}. Received: shape={self.shape}")
        return [((None, *self.shape) if self.batched else self.shape, x.dtype)]

    def batches_of(self, inputs):
        return super().batches_of(inputs) if inputs[0].batched else self.batches

    def _view(self, x):
        own = sample_shape(x)
        missing = len(self.shape) - len(own)
        strides = [0] * missing + [0 if a == 1 else s for a, s in zip(own, dense_strides(own), strict=True)]
        return list(self.shape), strides, 0


class Tile(_Strided):
    """The whole ``repeats`` times along each axis but the batch's."""

    def __init__(self, repeats):
        self.repeats = checks.sizes("tile", "repeats", repeats)

    def infer(self, x):
        shape = sample_shape(x)
        if len(self.repeats) != len(shape):
            raise invalid(f"tile expects a number for every axis of {display(x.shape)}.", repeats=self.repeats)
        sizes = tuple(size * count for size, count in zip(shape, self.repeats, strict=True))
        return [((None, *sizes) if x.batched else sizes, x.dtype)]

    def _view(self, x):
        shape = sample_shape(x)
        sizes = [size for pair in zip(self.repeats, shape, strict=True) for size in pair]
        return sizes, [stride for dense in dense_strides(shape) for stride in (0, dense)], 0


class Repeat(_Strided):
    """Each element ``repeats`` times along ``axis``."""

    def __init__(self, repeats: int, axis: int):
        self.repeats = checks.integer("repeat", "repeats", repeats, least=1)
        self.axis = checks.integer("repeat", "axis", axis)

    def infer(self, x):
        axis = normalize_axis("repeat", self.axis, x)
        return [(x.shape[:axis] + (x.shape[axis] * self.repeats,) + x.shape[axis + 1 :], x.dtype)]

    def _view(self, x):
        after = normalize_axis("repeat", self.axis, x) - x.batched + 1
        shape = list(sample_shape(x))
        strides = dense_strides(shape)
        return [*shape[:after], self.repeats, *shape[after:]], [*strides[:after], 0, *strides[after:]], 0


class Diagonal(_Strided):
    """The elements (i, i + offset) of two axes, as the last axis."""

    def __init__(self, offset: int = 0, axis1: int = -2, axis2: int = -1):
        self.offset = checks.integer("diagonal", "offset", offset)
        self.axis1 = checks.integer("diagonal", "axis1", axis1)
        self.axis2 = checks.integer("diagonal", "axis2", axis2)

    def infer(self, x):
        sizes, _, _ = self._view(x)
        if sizes[-1] < 1:
            raise ValueError(f"diagonal finds none in {display(x.shape)}. Received: offset={self.offset}")
        return [((None, *sizes) if x.batched else tuple(sizes), x.dtype)]

    def _view(self, x):
        shape = sample_shape(x)
        strides = dense_strides(shape)
        one, two = (normalize_axis("diagonal", axis, x) - x.batched for axis in (self.axis1, self.axis2))
        if one == two:
            raise invalid("diagonal expects two different axes.", axis1=self.axis1, axis2=self.axis2)
        down, across = max(0, -self.offset), max(0, self.offset)
        length = min(shape[one] - down, shape[two] - across)
        others = [axis for axis in range(len(shape)) if axis not in (one, two)]
        offset = down * strides[one] + across * strides[two]
        sizes = [*(shape[axis] for axis in others), length]
        return sizes, [*(strides[axis] for axis in others), strides[one] + strides[two]], offset


class Pad(Operation):
    """``value`` around the elements; ``padding``: (before, after) for every axis but the batch's."""

    integers = KEPT

    def __init__(self, padding, value: float = 0.0):
        if not isinstance(padding, list | tuple):
            raise invalid("pad expects padding to be (before, after) for every axis.", padding=padding)
        self.padding = tuple(checks.pair("pad", "padding", sides, least=0) for sides in padding)
        self.value = checks.number("pad", "value", value, finite=False)

    def infer(self, x):
        shape = sample_shape(x)
        if len(shape) != len(self.padding):
            raise invalid(f"pad expects padding for every axis of {display(x.shape)}.", padding=self.padding)
        sizes = tuple(before + size + after for (before, after), size in zip(self.padding, shape, strict=True))
        return [((None, *sizes) if x.batched else sizes, x.dtype)]

    def _arguments(self, lowered) -> dict:
        (x,), (y,) = lowered.application.inputs, lowered.application.outputs
        strides = dense_strides(sample_shape(y))
        offset = sum(before * stride for (before, _), stride in zip(self.padding, strides, strict=True))
        return {**canonical_strides("pad", sample_shape(x), strides), "offset": offset, "size": elements(y.shape)}

    def forward(self, program, lowered):
        program.call(
            "strided.put_forward", x=lowered.inputs[0], y=Out(lowered.output), **self._arguments(lowered),
            value=self.value,
        )  # fmt: skip

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call(
            "strided.put_backward", dy=lowered.d_output, dx=dx, **self._arguments(lowered), accumulate=dx.accumulate
        )


def moved(ndim: int, source, destination) -> tuple[int, ...]:
    """The order of axes that puts those of ``source`` at the places ``destination``."""
    source, destination = (
        [a % ndim for a in ([axes] if isinstance(axes, int) else axes)] for axes in (source, destination)
    )
    rest = iter(axis for axis in range(ndim) if axis not in source)
    placed = dict(zip(destination, source, strict=True))
    return tuple(placed[axis] if axis in placed else next(rest) for axis in range(ndim))


