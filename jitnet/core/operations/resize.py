"""Resizing of images, channels last."""

from .. import checks
from ..program import Out
from .base import KEPT, Operation, require_rank


class Resize2D(Operation, registered=False):
    """x (N, H, W, C) as (N, height, width, C), with half-pixel centres."""

    def __init__(self, height: int, width: int):
        self.height = checks.integer(self.name, "height", height, least=1)
        self.width = checks.integer(self.name, "width", width, least=1)

    def infer(self, x):
        require_rank(self.name, x, 4, "(batch, height, width, channels)")
        return [((x.shape[0], self.height, self.width, x.shape[3]), x.dtype)]

    def forward(self, program, lowered):
        program.call(f"resize.{self.name}_forward", x=lowered.inputs[0], y=Out(lowered.output))

    def backward(self, program, lowered):
        dx = lowered.gradient(0)
        program.call(f"resize.{self.name}_backward", dy=lowered.d_output, dx=dx, accumulate=dx.accumulate)


class ResizeNearest(Resize2D):
    """Each pixel is a copy of the one that its centre lies in."""

    integers = KEPT


class ResizeBilinear(Resize2D):
    """Each pixel is interpolated linearly between four, which at the edges coincide."""
