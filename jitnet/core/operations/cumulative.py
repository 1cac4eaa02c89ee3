"""Running sums and products."""

from .. import checks
from ..program import Out
from .base import KEPT, Operation, canonical_axis, normalize_axis


class Cumulative(Operation):
    """``function`` ("cumsum" or "cumprod"): x[0] to x[j] along ``axis``, added or multiplied."""

    integers = KEPT
    keeps_booleans = False

    def __init__(self, function: str, axis: int):
        self.function = checks.one_of("Cumulative", "function", function, ("cumsum", "cumprod"))
        self.axis = checks.integer(self.function, "axis", axis)

    @property
    def name(self):
        return self.function

    def infer(self, x):
        normalize_axis(self.name, self.axis, x)
        return [(x.shape, x.dtype)]

    def _scalars(self, x):
        axis_size, inner = canonical_axis(x, normalize_axis(self.name, self.axis, x))
        return {"axis_size": axis_size, "inner": inner}

    def forward(self, program, lowered):
        scalars = self._scalars(lowered.application.inputs[0])
        program.call(f"cumulative.{self.function}_forward", x=lowered.inputs[0], y=Out(lowered.output), **scalars)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        scalars = self._scalars(lowered.application.inputs[0])
        saved = {} if self.function == "cumsum" else {"x": lowered.inputs[0], "y": lowered.output}
        program.call(
            f"cumulative.{self.function}_backward", **saved, dy=lowered.d_output, dx=dx, **scalars,
            accumulate=dx.accumulate,
        )  # fmt: skip
