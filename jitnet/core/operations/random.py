"""Operations that draw random numbers, each a function of (seed, stream, step, element)."""

from ... import _seed
from .. import checks
from ..program import Out, Scalar
from .base import Operation


class Dropout(Operation):
    """x / (1 - rate) where kept, 0 where dropped; the identity for rate 0.

    seed: None for the seed of the run.
    stream: tells several dropouts under one seed apart.
    """

    def __init__(self, rate: float, seed: int | None = None, stream: int = 0):
        self.rate = checks.number("dropout", "rate", rate, least=0, below=1)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self.stream = checks.integer("dropout", "stream", stream, least=0, most=2**32 - 1)

    @property
    def random(self) -> bool:
        return self.rate > 0

    def infer(self, x):
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        if self.rate == 0:
            lowered.alias_output()
            return
        x, y = lowered.inputs[0], lowered.output
        mask = lowered.save("mask", y.shape, "uint8")
        seed = Scalar("seed") if self.seed is None else self.seed
        program.call(
            "random.dropout_forward", x=x, y=Out(y), mask=Out(mask), rate=self.rate, seed=seed, stream=self.stream,
            step=Scalar("t"), first=Scalar("begin"), in_place=("x", "y"),
        )  # fmt: skip

    def backward(self, program, lowered):
        if self.rate == 0:
            lowered.pass_gradient(0)
            return
        dx = lowered.gradient(0)
        program.call(
            "random.dropout_backward", dy=lowered.d_output, mask=lowered.saved["mask"], dx=dx, rate=self.rate,
            accumulate=dx.accumulate,
        )  # fmt: skip
