"""Operations that draw random numbers, each a function of (seed, stream, step, element)."""

from .. import checks
from ..policy import floatx
from ..program import Out, Scalar
from .base import Operation

DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")  # of the kernels, with the numbers that they take


def checked_seed(kind: str, seed, stream) -> tuple[int | None, int]:
    """A seed, None for that of the run, and the stream that tells several users of it apart."""
    seed = None if seed is None else checks.integer(kind, "seed", seed, least=0, most=2**63 - 1)
    return seed, checks.integer(kind, "stream", stream, least=0, most=2**32 - 1)


class Dropout(Operation):
    """x / (1 - rate) where kept, 0 where dropped; the identity for the number 0.

    seed: None for the seed of the run.
    stream: tells several dropouts under one seed apart.
    """

    def __init__(self, rate: float, seed: int | None = None, stream: int = 0):
        self.rate = checks.number("dropout", "rate", rate, least=0, below=1)
        self.seed, self.stream = checked_seed("dropout", seed, stream)

    @property
    def random(self) -> bool:
        return self.rate != 0

    def infer(self, x):
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        if self.rate == 0:
            lowered.alias_output()
            return
        x, y = lowered.inputs[0], lowered.output
        mask = lowered.save("mask", y.shape, "uint8")
        seed = Scalar("seed") if self.seed is None else self.seed
        rate = lowered.setting("rate", self.rate)
        program.call(
            "random.dropout_forward", x=x, y=Out(y), mask=Out(mask), rate=rate, seed=seed, stream=self.stream,
            step=Scalar("t"), first=program.first_sample, in_place=("x", "y"),
        )  # fmt: skip

    def backward(self, program, lowered):
        if self.rate == 0:
            lowered.pass_gradient(0)
            return
        dx = lowered.gradient(0)
        rate = lowered.setting("rate", self.rate)
        program.call(
            "random.dropout_backward", dy=lowered.d_output, mask=lowered.saved["mask"], dx=dx, rate=rate,
            accumulate=dx.accumulate,
        )  # fmt: skip


class RandomValues(Operation):
    """Random numbers (None, *shape), or (*shape) without a batch axis, new ones in every step.

    distribution: "normal" or "truncated_normal" with mean ``a`` and standard deviation ``b``, "uniform" in [a, b).
    batches: for how many joined batches.
    """

    differentiable = False
    random = True

    def __init__(self, distribution, shape, a=0.0, b=1.0, dtype=None, batched=True, seed=None, stream=0, batches=1):
        self.distribution = checks.one_of("random", "distribution", distribution, DISTRIBUTIONS)
        self.shape = checks.sizes("random", "shape", shape, least=0)
        self.a = checks.number("random", "minval" if distribution == "uniform" else "mean", a)
        self.b = checks.number("random", "maxval" if distribution == "uniform" else "stddev", b)
        self.dtype = checks.one_of("random", "dtype", dtype or floatx(), ("float32", "float64"))
        self.batched = checks.boolean("random", "batched", batched)
        self.batches = checks.integer("random", "batches", batches, least=1)
        self.seed, self.stream = checked_seed("random", seed, stream)

    @property
    def name(self):
        return self.distribution

    def batches_of(self, inputs):
        return self.batches

    def infer(self):
        return [((None, *self.shape) if self.batched else self.shape, self.dtype)]

    def forward(self, program, lowered):
        names = ("low", "high") if self.distribution == "uniform" else ("mean", "stddev")
        seed = Scalar("seed") if self.seed is None else self.seed
        first = program.first_sample if self.batched else 0
        program.call(
            f"random.{self.distribution}", out=Out(lowered.output), **dict(zip(names, (self.a, self.b), strict=True)),
            seed=seed, stream=self.stream, step=Scalar("t"), first=first,
        )  # fmt: skip
