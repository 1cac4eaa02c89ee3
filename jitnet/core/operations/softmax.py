"""Softmax, log-softmax and sparsemax along one axis."""

from .. import checks
from ..program import Out
from .base import Operation, canonical_axis, normalize_axis


class Softmax(Operation):
    """exp(x) / sum(exp(x)) along ``axis``, computed from x - max(x)."""

    def __init__(self, axis: int = -1):
        self.axis = checks.integer(self.name, "axis", axis)

    def infer(self, x):
        normalize_axis(self.name, self.axis, x)
        return [(x.shape, x.dtype)]

    def _scalars(self, x) -> dict:
        axis_size, inner = canonical_axis(x, normalize_axis(self.name, self.axis, x))
        return {"axis_size": axis_size, "inner": inner}

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(f"softmax.{self.name}_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(
            f"softmax.{self.name}_backward", y=lowered.output, dy=lowered.d_output, dx=dx, **scalars,
            accumulate=dx.accumulate,
        )  # fmt: skip


class LogSoftmax(Softmax):
    """log(softmax(x)) along ``axis``."""


class Sparsemax(Softmax):
    """max(x - tau, 0) along ``axis``, with the tau for which that sums up to 1 (Martins and Astudillo 2016)."""
