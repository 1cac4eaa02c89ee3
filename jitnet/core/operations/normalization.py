"""Batch normalisation (Ioffe and Szegedy 2015)."""

from .. import checks
from ..program import Expression, Out
from .base import Operation, display


class BatchNorm(Operation):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis.

    training: use the batch's mean and (biased) variance, and update the moving ones:
    moving = moving * momentum + batch * (1 - momentum).  Otherwise the moving ones are used as constants.
    """

    whole_inputs = (1, 2, 3, 4)

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, training: bool = False):
        self.momentum = checks.number("batch_norm", "momentum", momentum, least=0, most=1)
        self.epsilon = checks.number("batch_norm", "epsilon", epsilon, least=0)
        self.training = checks.boolean("batch_norm", "training", training)

    def infer(self, x, gamma, beta, moving_mean, moving_variance):
        if x.ndim < 2:
            raise ValueError(f"batch_norm expects channels on the last axis. Received: shape={display(x.shape)}")
        given = {"gamma": gamma, "beta": beta, "moving_mean": moving_mean, "moving_variance": moving_variance}
        for name, value in given.items():
            if value.shape != x.shape[-1:]:
                raise ValueError(
                    f"batch_norm expects {name} of shape ({x.shape[-1]},) for an input of shape {display(x.shape)}. "
                    f"Received: {name} of shape {display(value.shape)}"
                )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, gamma, beta, moving_mean, moving_variance = lowered.inputs
        y = lowered.output
        channels, dtype = x.shape[-1], x.dtype
        rows = program.as_rows(x, channels)
        rstd = program.temporary(f"{y.name}_rstd", (channels,), dtype, "whole")
        if self.training:
            means = program.temporary(f"{y.name}_means", (channels,), dtype, "chunk")
            m2s = program.temporary(f"{y.name}_m2s", (channels,), dtype, "chunk")
            mean = program.temporary(f"{y.name}_mean", (channels,), dtype, "whole")
            variance = program.temporary(f"{y.name}_variance", (channels,), dtype, "whole")
            program.call("norm.batch_norm_statistics", rows, Out(means), Out(m2s))
            counts = program.temporary(f"{y.name}_counts", (), "int64", "chunk")
            program.call("training.chunk_counts", Out(counts), Expression("batch"), rows.rows)
            program.call(
                "norm.batch_norm_combine", means, m2s, counts, Out(mean), Out(variance), Out(rstd), self.epsilon
            )
            program.call(
                "norm.batch_norm_update_moving", mean, variance, Out(moving_mean, True), Out(moving_variance, True),
                self.momentum,
            )  # fmt: skip
        else:
            mean = moving_mean
            program.call("norm.batch_norm_rstd", moving_variance, Out(rstd), self.epsilon)
        lowered.saved.update(mean=mean, rstd=rstd)
        in_place = None if self.training else (x, y)
        program.call(
            "norm.batch_norm_apply", rows, mean, rstd, gamma, beta, Out(program.as_rows(y, channels)),
            in_place=in_place,
        )  # fmt: skip

    def backward(self, program, lowered):
        x, gamma = lowered.inputs[:2]
        mean, rstd = lowered.saved["mean"], lowered.saved["rstd"]
        channels, dtype = x.shape[-1], x.dtype
        rows = program.as_rows(x, channels)
        dy = program.as_rows(lowered.d_output, channels)
        totals = []
        if self.training or lowered.needs(1) or lowered.needs(2):
            names = [f"{lowered.output.name}_{name}" for name in ("d_gamma", "d_beta")]
            partials = [program.temporary(name, (channels,), dtype, "chunk") for name in names]
            totals = [program.temporary(f"{name}_sum", (channels,), dtype, "whole") for name in names]
            program.call("norm.batch_norm_backward_statistics", rows, dy, mean, rstd, *map(Out, partials), False)
            for index, partial, total in zip((1, 2), partials, totals, strict=True):
                program.call("training.sum_partials", partial, Out(total))
                if lowered.needs(index):
                    program.contribute(lowered.application.inputs[index], total)
        if not lowered.needs(0):
            return
        dx = lowered.gradient(0)
        target = Out(program.as_rows(dx.buffer, channels), dx.accumulate)
        if self.training:
            count = Expression(f"batch * {rows.rows}")
            program.call(
                "norm.batch_norm_backward_data", rows, dy, mean, rstd, gamma, *totals, target, count, dx.accumulate
            )
        else:
            program.call("norm.batch_norm_backward_data_frozen", dy, rstd, gamma, target, dx.accumulate)
