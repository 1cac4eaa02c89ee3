"""Matrix products with a batch of rows, and bias."""

import math

from ..program import Out
from .base import REFUSED, Operation, display


class Matmul(Operation):
    """x (..., K) times kernel (K, N): (..., N); every leading axis of x, the batch included, is a row."""

    whole_inputs = (1,)
    integers = REFUSED

    def infer(self, x, kernel):
        if kernel.ndim != 2 or kernel.batched:
            raise ValueError(
                "matmul multiplies a tensor (..., K) by a matrix (K, N) without a batch axis. "
                f"Received: shapes {display(x.shape)} and {display(kernel.shape)}"
            )
        if x.ndim < 2 or x.shape[-1] != kernel.shape[0]:
            raise ValueError(
                f"matmul expects the last axis of its input to have {kernel.shape[0]} elements "
                f"(kernel {display(kernel.shape)}). Received: shape={display(x.shape)}"
            )
        return [((*x.shape[:-1], kernel.shape[1]), x.dtype)]

    def forward(self, program, lowered):
        x, kernel = lowered.inputs
        y = lowered.output
        rows = program.as_rows(x, kernel.shape[0])
        work = 2 * rows.rows * math.prod(kernel.shape)
        out = Out(program.as_rows(y, kernel.shape[1]))
        program.call("dense.dense_forward", x=rows, kernel=kernel, y=out, work=work)

    def backward(self, program, lowered):
        x, kernel = lowered.inputs
        rows = program.as_rows(x, kernel.shape[0])
        dy = program.as_rows(lowered.d_output, kernel.shape[1])
        work = 2 * rows.rows * math.prod(kernel.shape)
        if lowered.needs(1):
            dkernel = lowered.gradient(1)
            program.call(
                "dense.dense_backward_filter", x=rows, dy=dy, dkernel=dkernel, accumulate=dkernel.accumulate, work=work
            )
        if lowered.needs(0):
            dx = lowered.gradient(0)
            target = Out(program.as_rows(dx.buffer, kernel.shape[0]), dx.accumulate)
            program.call(
                "dense.dense_backward_data", dy=dy, kernel=kernel, dx=target, accumulate=dx.accumulate, work=work
            )


class BiasAdd(Operation):
    """x (..., C) plus bias (C,)."""

    whole_inputs = (1,)
    integers = REFUSED

    def infer(self, x, bias):
        if x.ndim < 1 + x.batched or bias.batched or bias.shape != x.shape[-1:]:
            expected = f"({x.shape[-1]},)" if x.ndim > x.batched else "(channels,)"
            raise ValueError(
                f"bias_add expects a bias of shape {expected} for an input of shape {display(x.shape)}. "
                f"Received: bias shape={display(bias.shape)}"
            )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, bias = lowered.inputs
        y = lowered.output
        program.call("dense.bias_add_forward", x=x, bias=bias, y=Out(y), in_place=("x", "y"))

    def backward(self, program, lowered):
        if lowered.needs(1):
            dbias = lowered.gradient(1)
            program.call(
                "dense.bias_add_backward", dy=lowered.d_output, dbias=dbias, accumulate=dbias.accumulate
            )
        if lowered.needs(0):
            lowered.pass_gradient(0)
