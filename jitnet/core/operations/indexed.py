"""Choices along an axis by integers, and where the largest lies, and the order of all."""

import numpy as np

from .. import checks
from ..errors import invalid
from ..program import Out
from ..values import Constant
from .base import KEPT, Operation, canonical_axis, display, elements, normalize_axis


def _check_indices(owner: str, indices, size: int) -> None:
    if indices.dtype != "int64":
        raise TypeError(f"{owner} expects integers as indices. Received: dtype={indices.dtype}")
    if isinstance(indices, Constant) and indices.array.size:
        low, high = int(indices.array.min()), int(indices.array.max())
        if low < -size or high >= size:
            raise invalid(
                f"{owner} expects indices from {-size} to {size - 1}.", index=low if low < -size else high
            )


def indices_of(name: str, least: int, largest: int, layer: str) -> str:
    """What messages say of data that become indices; layer: for which, "" if for none."""
    return f"{f'The layer {layer!r}' if layer else 'An operation'} takes {name} as indices from {least} to {largest}."


def _missing(dtype: str) -> float:
    """What stands where an index is outside."""
    return float("nan") if dtype.startswith("float") else 0.0


class Take(Operation):
    """What lies at ``indices`` along ``axis`` of the first input; indices below 0 count from the end.

    x without a batch axis and indices with one: ``axis`` is 0, as of a table.  Of an index that is outside, the result
    is NaN, of integers 0; data that are known to become indices are checked before a step runs.

    negative: whether indices of data may be below 0.
    """

    integers = KEPT
    labels = (1,)

    def __init__(self, axis: int = 0, negative: bool = True):
        self.axis = checks.integer("take", "axis", axis)
        self.negative = checks.boolean("take", "negative", negative)

    def infer(self, x, indices):
        axis = normalize_axis("take", self.axis, x)
        if x.batched and indices.batched:
            raise ValueError(
                "take expects a batch axis in its input or in its indices, not in both: each sample would get what all "
                "others ask for. For indices of each sample's own there is take_along_axis. "
                f"Received: shapes {display(x.shape)} and {display(indices.shape)}"
            )
        if indices.batched and axis != 0:
            raise ValueError(
                "take expects axis=0 where its indices have a batch axis, which stays first. "
                f"Received: axis={self.axis}, shapes {display(x.shape)} and {display(indices.shape)}"
            )
        _check_indices("take", indices, x.shape[axis])
        return [(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype)]

    def limits(self, x) -> tuple[int, int]:
        """From which index up to which there is something."""
        size = x.shape[normalize_axis("take", self.axis, x)]
        return (-size if self.negative else 0), size - 1

    def _scalars(self, x) -> dict:
        axis_size, inner = canonical_axis(x, normalize_axis("take", self.axis, x))
        return {"axis_size": axis_size, "inner": inner}

    def forward(self, program, lowered):
        x, indices = lowered.inputs
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(
            "indexed.take_forward", x=x, indices=indices, y=Out(lowered.output), **scalars, missing=_missing(x.dtype),
            work=lowered.output.size,
        )  # fmt: skip

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(
            "indexed.take_backward", indices=lowered.inputs[1], dy=lowered.d_output, dx=dx, **scalars,
            accumulate=dx.accumulate, work=lowered.output.size,
        )  # fmt: skip


class TakeAlongAxis(Operation):
    """x[..., indices[..., j, ...], ...] along ``axis``: both have the same sizes elsewhere.

    One that has no batch axis, or 1 there, is the same for all samples.
    """

    integers = KEPT
    labels = (1,)

    def __init__(self, axis: int = -1):
        self.axis = checks.integer("take_along_axis", "axis", axis)

    def _samples(self, x, indices):
        """Whether there is a batch axis, both shapes without it, and the axis in them."""
        batched = x.batched or indices.batched
        ndim = max(x.ndim, indices.ndim) if batched else x.ndim
        if not -ndim <= self.axis < ndim or (batched and self.axis % ndim == 0):
            raise invalid(f"take_along_axis expects an axis of {display(x.shape)}, not the batch's.", axis=self.axis)
        shapes = []
        for value in (x, indices):
            shape = value.shape
            if batched and len(shape) == ndim:
                if shape[0] not in (None, 1):
                    raise invalid(
                        "take_along_axis pairs the batch axis with a fixed size.",
                        shapes=(x.shape, indices.shape),
                    )
                shape = shape[1:]
            shapes.append(shape)
        return batched, *shapes, self.axis % ndim - batched

    def infer(self, x, indices):
        batched, x_shape, shape, axis = self._samples(x, indices)
        same = len(x_shape) == len(shape) and all(
            a == b or i == axis for i, (a, b) in enumerate(zip(x_shape, shape, strict=True))
        )
        if not same:
            raise ValueError(
                f"take_along_axis expects shapes that agree but along axis {self.axis}. "
                f"Received: shapes {display(x.shape)} and {display(indices.shape)}"
            )
        _check_indices("take_along_axis", indices, x_shape[axis])
        return [((None, *shape) if batched else shape, x.dtype)]

    def _scalars(self, lowered) -> dict:
        _, x_shape, shape, axis = self._samples(*lowered.application.inputs)
        return {"axis_size": x_shape[axis], "taken": shape[axis], "inner": elements(shape[axis + 1 :])}

    def limits(self, x) -> tuple[int, int]:
        """From which index up to which there is something."""
        size = x.shape[self.axis % x.ndim]
        return -size, size - 1

    def forward(self, program, lowered):
        x, indices = lowered.inputs
        program.call(
            "indexed.take_along_axis_forward", x=x, indices=indices, y=Out(lowered.output), **self._scalars(lowered),
            missing=_missing(x.dtype),
        )  # fmt: skip

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call(
            "indexed.take_along_axis_backward", indices=lowered.inputs[1], dy=lowered.d_output, dx=dx,
            **self._scalars(lowered), accumulate=dx.accumulate,
        )  # fmt: skip


class ArgMax(Operation):
    """Where the first largest element along ``axis`` lies, or the first NaN: int32."""

    differentiable = False
    integers = KEPT

    def __init__(self, axis: int = -1, keepdims: bool = False):
        self.axis = checks.integer("argmax", "axis", axis)
        self.keepdims = checks.boolean("argmax", "keepdims", keepdims)

    def infer(self, x):
        axis = normalize_axis("argmax", self.axis, x)
        return [(x.shape[:axis] + (1,) * self.keepdims + x.shape[axis + 1 :], "int32")]

    def forward(self, program, lowered):
        x = lowered.application.inputs[0]
        axis_size, inner = canonical_axis(x, normalize_axis("argmax", self.axis, x))
        y = Out(lowered.output)
        program.call("indexed.argmax", x=lowered.inputs[0], y=y, axis_size=axis_size, inner=inner)


class ArgSort(Operation):
    """The order that sorts along ``axis``, smallest first, equal elements in their order, NaN last: int32."""

    differentiable = False
    integers = KEPT

    def __init__(self, axis: int = -1):
        self.axis = checks.integer("argsort", "axis", axis)

    def infer(self, x):
        normalize_axis("argsort", self.axis, x)
        return [(x.shape, "int32")]

    def forward(self, program, lowered):
        x = lowered.application.inputs[0]
        axis_size, inner = canonical_axis(x, normalize_axis("argsort", self.axis, x))
        program.call(
            "indexed.argsort", x=lowered.inputs[0], y=Out(lowered.output), axis_size=axis_size, inner=inner,
            work=lowered.output.size * max(1, int(np.log2(max(1, axis_size)))),
        )  # fmt: skip
