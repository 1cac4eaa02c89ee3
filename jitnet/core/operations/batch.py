"""Sums and means over all values of a batch: one number."""

from .. import checks
from ..program import Out, Scalar
from .base import Operation


class BatchSum(Operation):
    """The sum of all elements of a tensor with a batch axis, or with ``mean`` their mean: ()."""

    def __init__(self, mean: bool = False):
        self.mean = checks.boolean("batch_sum", "mean", mean)

    @property
    def name(self):
        return "mean" if self.mean else "sum"

    def infer(self, x):
        if not x.batched:
            raise ValueError(f"{self.name} over the batch needs a tensor with a batch axis. Received: shape={x.shape}")
        return [((), x.dtype)]

    def _scale(self, x):
        return 1.0 / (Scalar("batch") * x.size) if self.mean else 1.0

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        total = program.temporary(f"{y.name}_total", (1,), "float64", "partial")
        program.call("training.total", values=program.reshaped(x, (), rows=x.size), out=Out(total))
        program.call("training.add_up", totals=total, out=Out(y), scale=self._scale(x))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        values = Out(program.reshaped(dx.buffer, (), rows=dx.buffer.size), dx.accumulate)
        program.call(
            "training.spread", dtotal=lowered.d_output, dvalues=values, scale=self._scale(dx.buffer),
            accumulate=dx.accumulate,
        )  # fmt: skip
