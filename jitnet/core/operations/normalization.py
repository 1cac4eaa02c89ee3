"""Batch normalisation (Ioffe and Szegedy 2015)."""

from .. import checks
from ..program import Out, Scalar
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
        epsilon = lowered.setting("epsilon", self.epsilon)
        rstd = program.temporary(f"{y.name}_rstd", (channels,), dtype, "whole")
        if self.training:
            means = program.temporary(f"{y.name}_means", (channels,), dtype, "partial")
            m2s = program.temporary(f"{y.name}_m2s", (channels,), dtype, "partial")
            mean = program.temporary(f"{y.name}_mean", (channels,), dtype, "whole")
            variance = program.temporary(f"{y.name}_variance", (channels,), dtype, "whole")
            program.call("normalization.batch_norm_statistics", x=rows, mean=Out(means), m2=Out(m2s))
            counts = program.temporary(f"{y.name}_counts", (), "int64", "partial")
            program.call("training.chunk_counts", counts=Out(counts), batch=Scalar("batch"), rows=rows.rows)
            program.call(
                "normalization.batch_norm_combine", means=means, m2s=m2s, counts=counts, mean=Out(mean),
                variance=Out(variance), rstd=Out(rstd), epsilon=epsilon,
            )  # fmt: skip
            program.call(
                "normalization.batch_norm_update_moving", mean=mean, variance=variance,
                moving_mean=Out(moving_mean, True), moving_variance=Out(moving_variance, True),
                momentum=lowered.setting("momentum", self.momentum),
            )  # fmt: skip
        else:
            mean = moving_mean
            program.call("normalization.batch_norm_rstd", variance=moving_variance, rstd=Out(rstd), epsilon=epsilon)
        lowered.saved.update(mean=mean, rstd=rstd)
        in_place = None if self.training else ("x", "y")
        program.call(
            "normalization.batch_norm_apply", x=rows, mean=mean, rstd=rstd, gamma=gamma, beta=beta,
            y=Out(program.as_rows(y, channels)), in_place=in_place,
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
            partials = [program.temporary(name, (channels,), dtype, "partial") for name in names]
            totals = [program.temporary(f"{name}_sum", (channels,), dtype, "whole") for name in names]
            program.call(
                "normalization.batch_norm_backward_statistics", x=rows, dy=dy, mean=mean, rstd=rstd,
                dgamma=Out(partials[0]), dbeta=Out(partials[1]), accumulate=False,
            )  # fmt: skip
            for index, partial, total in zip((1, 2), partials, totals, strict=True):
                program.call("training.sum_partials", partials=partial, out=Out(total))
                if lowered.needs(index):
                    lowered.contribute(index, total)
        if not lowered.needs(0):
            return
        dx = lowered.gradient(0)
        target = Out(program.as_rows(dx.buffer, channels), dx.accumulate)
        if self.training:
            program.call(
                "normalization.batch_norm_backward_data", x=rows, dy=dy, mean=mean, rstd=rstd, gamma=gamma,
                dgamma=totals[0], dbeta=totals[1], dx=target, count=Scalar("batch") * rows.rows,
                accumulate=dx.accumulate,
            )  # fmt: skip
        else:
            program.call(
                "normalization.batch_norm_backward_data_frozen", dy=dy, rstd=rstd, gamma=gamma, dx=target,
                accumulate=dx.accumulate,
            )  # fmt: skip
