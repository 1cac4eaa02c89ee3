"""Matrix products with a batch of rows, and bias."""

import math

from .. import checks
from ..program import Out
from .base import REFUSED, Operation, display


class Matmul(Operation):
    """x (..., K) times kernel (K, N): (..., N); every leading axis of x, the batch included, is a row.

    summed: how many axes are summed over, the last of x and the first of the kernel; the kernel's others come last.
    """

    whole_inputs = (1,)
    integers = REFUSED

    def __init__(self, summed: int = 1):
        self.summed = checks.integer("matmul", "summed", summed, least=1, most=32)

    def infer(self, x, kernel):
        if (kernel.ndim != 2 if self.summed == 1 and kernel.ndim < 3 else kernel.ndim <= self.summed) or kernel.batched:
            raise ValueError(
                "matmul multiplies a tensor (..., K) by a matrix (K, N) without a batch axis. "
                f"Received: shapes {display(x.shape)} and {display(kernel.shape)}"
            )
        if x.ndim < 1 + self.summed or x.shape[-self.summed :] != kernel.shape[: self.summed]:
            sizes = " and ".join(map(str, kernel.shape[: self.summed]))
            axes = "axis of its input" if self.summed == 1 else f"{self.summed} axes of its input"
            raise ValueError(
                f"matmul expects the last {axes} to have {sizes} elements "
                f"(kernel {display(kernel.shape)}). Received: shape={display(x.shape)}"
            )
        return [((*x.shape[: -self.summed], *kernel.shape[self.summed :]), x.dtype)]

    def _matrix(self, kernel) -> tuple[int, int]:
        """Rows and columns of the kernel as a matrix."""
        return math.prod(kernel.shape[: self.summed]), math.prod(kernel.shape[self.summed :])

    def forward(self, program, lowered):
        x, kernel = lowered.inputs
        matrix = self._matrix(kernel)
        rows = program.as_rows(x, matrix[0])
        work = 2 * rows.rows * math.prod(matrix)
        out = Out(program.as_rows(lowered.output, matrix[1]))
        program.call("dense.dense_forward", x=rows, kernel=program.reshaped(kernel, matrix), y=out, work=work)

    def backward(self, program, lowered):
        x, kernel = lowered.inputs
        matrix = self._matrix(kernel)
        rows = program.as_rows(x, matrix[0])
        dy = program.as_rows(lowered.d_output, matrix[1])
        work = 2 * rows.rows * math.prod(matrix)
        if lowered.needs(1):
            dkernel = lowered.gradient(1)
            target = Out(program.reshaped(dkernel.buffer, matrix), dkernel.accumulate)
            program.call(
                "dense.dense_backward_filter", x=rows, dy=dy, dkernel=target, accumulate=dkernel.accumulate, work=work
            )
        if lowered.needs(0):
            dx = lowered.gradient(0)
            target = Out(program.as_rows(dx.buffer, matrix[0]), dx.accumulate)
            program.call(
                "dense.dense_backward_data", dy=dy, kernel=program.reshaped(kernel, matrix), dx=target,
                accumulate=dx.accumulate, work=work,
            )  # fmt: skip


class BiasAdd(Operation):
    """x (..., C) plus bias (C,); or with several last axes, those of the bias."""

    whole_inputs = (1,)
    integers = REFUSED

    def infer(self, x, bias):
        axes = max(1, bias.ndim)
        if x.ndim < axes + x.batched or bias.batched or bias.shape != x.shape[-axes:]:
            expected = f"({x.shape[-1]},)" if x.ndim > x.batched else "(channels,)"
            raise ValueError(
                f"bias_add expects a bias of shape {expected} for an input of shape {display(x.shape)}. "
                f"Received: bias shape={display(bias.shape)}"
            )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, bias = lowered.inputs
        bias, joined = program.reshaped(bias, (bias.size,)), [x, lowered.output]
        if lowered.application.inputs[1].ndim > 1:
            joined = [program.as_rows(buffer, bias.size) for buffer in joined]
        program.call("dense.bias_add_forward", x=joined[0], bias=bias, y=Out(joined[1]), in_place=("x", "y"))

    def backward(self, program, lowered):
        if lowered.needs(1):
            dbias, dy = lowered.gradient(1), lowered.d_output
            target = Out(program.reshaped(dbias.buffer, (dbias.buffer.size,)), dbias.accumulate)
            if lowered.application.inputs[1].ndim > 1:
                dy = program.as_rows(dy, dbias.buffer.size)
            program.call("dense.bias_add_backward", dy=dy, dbias=target, accumulate=dbias.accumulate)
        if lowered.needs(0):
            lowered.pass_gradient(0)
