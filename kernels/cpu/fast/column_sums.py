"""Gradients of biases: sums over all rows, with the columns in vector registers."""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_VECTORS = 4  # chains of additions that hide one another's latency: 4 cycles, one addition per cycle (a guess)


@dataclass(frozen=True)
class BiasGradientKernel(TemplateKernel):
    """``kernel(dy, dbias, accumulate)``, for arrays of any size."""

    dtype: str
    target: VectorTarget
    name = template = "bias_add_backward"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Sums over rows in {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self.widest_vectors | dict(VECTORS=_VECTORS)


def bias_add_backward_kernel(dtype="float32", target=None) -> BiasGradientKernel:
    """Gradients of biases of ``dtype``."""
    return BiasGradientKernel(dtype, target or vector_target())
