"""Transposed copies of weights, which the backward passes read: made once per step, for all chunks."""

from dataclasses import dataclass

from jitnet.kernels.specialise import VectorTarget, specialised_module, vector_target

_SOURCE = '''"""Transposed copies of weights in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu._jit import kernel, kernel_attributes
from jitnet.kernels.simd import address, transpose_tile

transpose = transpose_tile(dtype={dtype!r}, lanes={lanes})


@kernel
def transpose_kernel(kernel, out, stride_h, stride_w):
    """Taps in reverse order, input and output channels exchanged, for backward_data.

    With a stride, dx falls into stride_h x stride_w phases, each with its own taps; they follow one another.
    kernel: (R, S, C, K), out: (R * S * K * C,)
    """
    kernel_attributes()
    taps_h, taps_w, channels, filters = kernel.shape
    at = 0
    for phase_h in range(min(stride_h, taps_h)):
        for phase_w in range(min(stride_w, taps_w)):
            last_h = phase_h + (taps_h - 1 - phase_h) // stride_h * stride_h
            last_w = phase_w + (taps_w - 1 - phase_w) // stride_w * stride_w
            for r in range(last_h, -1, -stride_h):
                for s in range(last_w, -1, -stride_w):
                    tap = address(kernel, (r * taps_w + s) * channels * filters)
                    transpose((tap, address(out, at), channels, filters))
                    at += channels * filters
'''


@dataclass(frozen=True)
class TransposePlan:
    """``kernel(kernel, out, stride_h, stride_w)``: what ``conv2d_backward_data`` reads.

    For a dense layer pass its kernel as (1, 1, K, N) and strides of 1: ``out`` is the (N, K) transposed matrix.
    """

    dtype: str
    target: VectorTarget
    name = "transpose_kernel"

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        lanes = self.target.lanes(self.dtype, 8)  # wider blocks take long to compile
        return _SOURCE.format(dtype=self.dtype, target=self.target.name, lanes=lanes)

    def kernel(self):
        """The compiled kernel (compiled or loaded from the cache on its first call)."""
        return specialised_module(self.source).transpose_kernel


def transpose_plan(dtype="float32", target=None) -> TransposePlan:
    """Transposes of weights of ``dtype``."""
    return TransposePlan(dtype, target or vector_target())
