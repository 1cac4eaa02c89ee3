"""Normalisation over the batch, or of each sample by itself."""

from .. import checks
from ..program import Out
from .base import Operation, display, elements


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
            program.call("training.chunk_counts", counts=Out(counts), batch=program.samples, rows=rows.rows)
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
                dgamma=totals[0], dbeta=totals[1], dx=target, count=program.samples * rows.rows,
                accumulate=dx.accumulate, in_place=None if dx.accumulate else ("dy", "dx"),
            )  # fmt: skip
        else:
            program.call(
                "normalization.batch_norm_backward_data_frozen", dy=dy, rstd=rstd, gamma=gamma, dx=target,
                accumulate=dx.accumulate,
            )  # fmt: skip


class _OfSamples(Operation, registered=False):
    """Normalisation of each sample by itself; the gradients of parameters are sums over the batch."""

    def _save_of_rows(self, program, lowered, name: str, columns: int):
        """A number for each row of so many columns, for the backward pass."""
        x = lowered.inputs[0]
        rows = x.size // columns
        lowered.saved[name] = program.reshaped(lowered.save(name, (rows,), x.dtype), (), rows=rows)
        return lowered.saved[name]

    def _contribute(self, program, lowered, names, emit) -> None:
        """emit(**{name: Out(partial sums)}), and what they add up to for the inputs from 1 on."""
        shape, dtype = lowered.inputs[1].shape, lowered.output.dtype
        size = elements(shape)
        sums, later = {}, {}
        for index, name in enumerate(names, start=1):
            target = lowered.gradient(index) if lowered.needs(index) else None
            if target is not None and not target.accumulate:
                sums[name] = Out(program.reshaped(target.buffer, (size,)))
                continue
            partial = program.temporary(f"{lowered.output.name}_{name}", (size,), dtype, "partial")
            sums[name] = Out(partial)
            if target is not None:  # a layer that is used again: the kernels write sums, they don't add to any
                later[index] = partial
        emit(**sums)
        for index, partial in later.items():
            total = program.temporary(f"{partial.name}_sum", (size,), dtype, "whole")
            program.call("training.sum_partials", partials=partial, out=Out(total))
            lowered.contribute(index, program.reshaped(total, shape))

    def _target(self, program, lowered) -> Out:
        """Where the gradient of the input goes, wanted or not."""
        if lowered.needs(0):
            return lowered.gradient(0)
        x = lowered.inputs[0]
        return Out(program.temporary(f"{lowered.output.name}_dx", x.shape, x.dtype, "batch"))


def _check_trailing(operation, x, name, value) -> None:
    """Raise ValueError unless a parameter has the shape of the last axes of ``x``, but not of all of them."""
    fits = 0 < value.ndim < x.ndim and value.shape == x.shape[x.ndim - value.ndim :] and not value.batched
    if not x.batched or not fits:
        raise ValueError(
            f"{operation} expects an input with a batch axis, and {name} of the shape of its last axes. "
            f"Received: an input of shape {display(x.shape)}, {name} of shape {display(value.shape)}"
        )


class LayerNorm(_OfSamples):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the axes that gamma has, the last ones of x."""

    whole_inputs = (1, 2)

    def __init__(self, epsilon: float = 1e-3):
        self.epsilon = checks.number("layer_norm", "epsilon", epsilon, least=0)

    def infer(self, x, gamma, beta):
        _check_trailing(self.name, x, "gamma", gamma)
        if beta.shape != gamma.shape:
            raise ValueError(
                f"layer_norm expects gamma and beta of one shape. Received: shapes {display(gamma.shape)} and "
                f"{display(beta.shape)}"
            )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, gamma, beta = lowered.inputs
        columns = gamma.size
        mean, rstd = (self._save_of_rows(program, lowered, name, columns) for name in ("mean", "rstd"))
        program.call(
            "sample_normalization.layer_norm_forward", x=program.as_rows(x, columns),
            gamma=program.reshaped(gamma, (columns,)), beta=program.reshaped(beta, (columns,)),
            y=Out(program.as_rows(lowered.output, columns)), mean=Out(mean), rstd=Out(rstd),
            epsilon=lowered.setting("epsilon", self.epsilon),
        )  # fmt: skip

    def backward(self, program, lowered):
        x, gamma = lowered.inputs[:2]
        columns, dx = gamma.size, self._target(program, lowered)

        def emit(**sums):
            program.call(
                "sample_normalization.layer_norm_backward", x=program.as_rows(x, columns),
                dy=program.as_rows(lowered.d_output, columns), gamma=program.reshaped(gamma, (columns,)),
                mean=lowered.saved["mean"], rstd=lowered.saved["rstd"],
                dx=Out(program.as_rows(dx.buffer, columns), dx.accumulate), **sums, accumulate=dx.accumulate,
            )  # fmt: skip

        self._contribute(program, lowered, ("dgamma", "dbeta"), emit)


class RMSNorm(_OfSamples):
    """x / sqrt(mean of x^2 + epsilon) * gamma over the axes that gamma has, the last ones of x."""

    name = "rms_norm"
    whole_inputs = (1,)

    def __init__(self, epsilon: float = 1e-6):
        self.epsilon = checks.number("rms_norm", "epsilon", epsilon, least=0)

    def infer(self, x, gamma):
        _check_trailing(self.name, x, "scale", gamma)
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, gamma = lowered.inputs
        columns = gamma.size
        program.call(
            "sample_normalization.rms_norm_forward", x=program.as_rows(x, columns),
            gamma=program.reshaped(gamma, (columns,)), y=Out(program.as_rows(lowered.output, columns)),
            rstd=Out(self._save_of_rows(program, lowered, "rstd", columns)),
            epsilon=lowered.setting("epsilon", self.epsilon),
        )  # fmt: skip

    def backward(self, program, lowered):
        x, gamma = lowered.inputs
        columns, dx = gamma.size, self._target(program, lowered)

        def emit(**sums):
            program.call(
                "sample_normalization.rms_norm_backward", x=program.as_rows(x, columns),
                dy=program.as_rows(lowered.d_output, columns), gamma=program.reshaped(gamma, (columns,)),
                rstd=lowered.saved["rstd"], dx=Out(program.as_rows(dx.buffer, columns), dx.accumulate), **sums,
                accumulate=dx.accumulate,
            )  # fmt: skip

        self._contribute(program, lowered, ("dgamma",), emit)


class GroupNorm(_OfSamples):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta for each of ``groups`` groups of neighbouring channels.

    x: (N, ..., C), gamma, beta: (C,); the mean and variance of a group are over all axes but the batch.
    """

    whole_inputs = (1, 2)

    def __init__(self, groups: int, epsilon: float = 1e-3):
        self.groups = checks.integer("group_norm", "groups", groups, least=1)
        self.epsilon = checks.number("group_norm", "epsilon", epsilon, least=0)

    def infer(self, x, gamma, beta):
        for name, value in (("gamma", gamma), ("beta", beta)):
            _check_trailing(self.name, x, name, value)
            if value.ndim != 1:
                raise ValueError(
                    f"group_norm expects {name} of shape ({x.shape[-1]},). Received: shape={display(value.shape)}"
                )
        if x.shape[-1] % self.groups:
            raise ValueError(
                f"group_norm expects groups of equal size of {x.shape[-1]} channels. Received: groups={self.groups}"
            )
        return [(x.shape, x.dtype)]

    def _by_positions(self, program, buffer):
        channels = buffer.shape[-1]
        return program.reshaped(buffer, (buffer.size // channels, channels))

    def forward(self, program, lowered):
        x, gamma, beta = lowered.inputs
        channels = (x.shape[-1],)
        mean, rstd = (lowered.save(name, channels, x.dtype) for name in ("mean", "rstd"))
        program.call(
            "sample_normalization.group_norm_forward", x=self._by_positions(program, x), gamma=gamma, beta=beta,
            y=Out(self._by_positions(program, lowered.output)), mean=Out(mean), rstd=Out(rstd), groups=self.groups,
            epsilon=lowered.setting("epsilon", self.epsilon),
        )  # fmt: skip

    def backward(self, program, lowered):
        x, gamma = lowered.inputs[:2]
        statistics = {name: lowered.saved[name] for name in ("mean", "rstd")}
        given = {"x": self._by_positions(program, x), "dy": self._by_positions(program, lowered.d_output)}
        names, channels = ("dgamma", "dbeta", "slopes", "levels"), (x.shape[-1],)
        sums = {n: program.temporary(f"{lowered.output.name}_{n}", channels, x.dtype, "batch") for n in names}
        program.call(
            "sample_normalization.group_norm_backward_sums", **given, **statistics, dgamma=Out(sums["dgamma"]),
            dbeta=Out(sums["dbeta"]),
        )  # fmt: skip
        for index, name in enumerate(("dgamma", "dbeta"), start=1):
            if lowered.needs(index):
                target = lowered.gradient(index)
                accumulate = target.accumulate
                program.call("dense.bias_add_backward", dy=sums[name], dbias=target, accumulate=accumulate)
        if lowered.needs(0):
            means = {name: Out(sums[name]) for name in ("slopes", "levels")}
            program.call(
                "sample_normalization.group_norm_backward_means", gamma=gamma, dgamma=sums["dgamma"],
                dbeta=sums["dbeta"], **means, groups=self.groups, positions=elements(x.shape) // x.shape[-1],
            )  # fmt: skip
            dx = lowered.gradient(0)
            target = Out(self._by_positions(program, dx.buffer), dx.accumulate)
            program.call(
                "sample_normalization.group_norm_backward_data", **given, gamma=gamma, **statistics,
                slopes=sums["slopes"], levels=sums["levels"], dx=target, accumulate=dx.accumulate,
            )  # fmt: skip
