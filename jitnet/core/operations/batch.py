"""Sums and means over the batch: of all values, or of each sample's."""

import math

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import REFUSED, Operation


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

    def _scale(self, program, x):
        return 1.0 / (program.samples * x.size) if self.mean else 1.0

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        total = program.temporary(f"{y.name}_total", (1,), "float64", "partial")
        program.call("training.total", values=program.reshaped(x, (), rows=x.size), out=Out(total))
        program.call("training.add_up", totals=total, out=Out(y), scale=self._scale(program, x))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        values = Out(program.reshaped(dx.buffer, (), rows=dx.buffer.size), dx.accumulate)
        program.call(
            "training.spread", dtotal=lowered.d_output, dvalues=values, scale=self._scale(program, dx.buffer),
            accumulate=dx.accumulate,
        )  # fmt: skip


class BatchMax(Operation):
    """The maximum over the samples, (None, ...) to (...); it has no gradient."""

    integers = REFUSED

    def infer(self, x):
        if not x.batched:
            raise ValueError(f"{self.name} needs a tensor with a batch axis. Received: shape={x.shape}")
        return [(x.shape[1:], x.dtype)]

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        partial = program.temporary(f"{y.name}_partial", x.shape or (1,), y.dtype, "partial")
        program.call("reduction.batch_max", x=x, y=Out(partial))
        program.call("reduction.batch_max", x=partial, y=Out(y))

    def backward(self, program, lowered):
        raise invalid(
            "The maximum over a batch has no gradient: which sample has it, no chunk of the batch knows. Take the "
            "gradient of a mean, or jitnet.ops.stop_gradient of the maximum.", layer=lowered.application.scope,
        )  # fmt: skip


class SampleSum(Operation):
    """The sum of the samples, (None, ...) to (...), or with ``mean`` their mean."""

    def __init__(self, mean: bool = False):
        self.mean = checks.boolean("sample_sum", "mean", mean)

    name = "sample_sum"

    def infer(self, x):
        if not x.batched:
            raise ValueError(f"{self.name} needs a tensor with a batch axis. Received: shape={x.shape}")
        return [(x.shape[1:], x.dtype)]

    def forward(self, program, lowered):
        x, y = lowered.inputs[0], lowered.output
        size = math.prod(x.shape)
        partial = program.temporary(f"{y.name}_partial", (size,), y.dtype, "partial")
        rows = program.as_rows(x, size)
        program.call("dense.bias_add_backward", dy=rows, dbias=Out(partial), accumulate=False)
        program.call("training.sum_partials", partials=partial, out=Out(program.reshaped(y, (size,))))
        if self.mean:
            scale = 1.0 / program.samples
            program.call("training.scale", values=Out(program.reshaped(y, (size,)), True), factor=scale)

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        size = math.prod(dx.buffer.shape)
        program.call(
            "training.repeat", row=program.reshaped(lowered.d_output, (size,)),
            rows=Out(program.as_rows(dx.buffer, size), dx.accumulate),
            scale=1.0 / program.samples if self.mean else 1.0, accumulate=dx.accumulate,
        )  # fmt: skip
