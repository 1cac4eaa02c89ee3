"""Sums, means and maxima along axes."""

from .. import checks
from ..program import Out
from .base import CONVERTED, KEPT, REFUSED, Operation, canonical_axis, normalize_axis

FUNCTIONS = ("sum", "mean", "max")  # of kernels/cpu/reduction.py


class Reduction(Operation):
    """``function`` ("sum", "mean" or "max") along one axis other than the batch."""

    keeps_booleans = False

    def __init__(self, function: str, axis: int, keepdims: bool = False):
        self.function = checks.one_of("Reduction", "function", function, FUNCTIONS)
        self.axis = checks.integer(self.function, "axis", axis)
        self.keepdims = checks.boolean(self.function, "keepdims", keepdims)

    @property
    def name(self):
        return self.function

    @property
    def integers(self) -> str:
        return {"sum": KEPT, "mean": CONVERTED, "max": REFUSED}[self.function]

    def infer(self, x):
        axis = normalize_axis(self.function, self.axis, x)
        kept = (1,) if self.keepdims else ()
        return [(x.shape[:axis] + kept + x.shape[axis + 1 :], x.dtype)]

    def _scalars(self, x) -> dict:
        axis_size, inner = canonical_axis(x, normalize_axis(self.function, self.axis, x))
        return {"axis_size": axis_size, "inner": inner}

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(f"reduction.{self.function}_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        dx = lowered.gradient(0)
        saved = {"x": lowered.inputs[0], "y": lowered.output} if self.function == "max" else {}
        program.call(
            f"reduction.{self.function}_backward", **saved, dy=lowered.d_output, dx=dx, **scalars,
            accumulate=dx.accumulate,
        )  # fmt: skip
