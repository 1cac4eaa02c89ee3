"""Transposed copies of weights, which the backward passes read: made once per step, for all chunks."""

from dataclasses import dataclass

from jitnet.kernels.specialise import VectorTarget, specialised_module, vector_target

_SOURCE = '''"""Transposed copies of weights in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu._jit import kernel, kernel_attributes
from jitnet.kernels.simd import address, transpose_tile

LANES = {lanes}
whole = transpose_tile(dtype={dtype!r}, lanes=LANES, masked=False)
edge = transpose_tile(dtype={dtype!r}, lanes=LANES, masked=True)


@kernel
def transpose_blocks(source, target, source_at, target_at, rows, columns):
    """The (rows, columns) matrix at element ``source_at``, transposed, to ``target_at``.  source, target: flat"""
    kernel_attributes()
    for row in range(0, rows, LANES):
        for column in range(0, columns, LANES):
            a = address(source, source_at + row * columns + column)
            c = address(target, target_at + column * rows + row)
            if rows - row >= LANES and columns - column >= LANES:
                whole((a, columns, c, rows, LANES, LANES))
            else:
                edge((a, columns, c, rows, rows - row, columns - column))


@kernel
def transpose_matrix(matrix, out):
    """out = matrix.T.  matrix: (K, N), out: (N, K)"""
    kernel_attributes()
    transpose_blocks(matrix.reshape(matrix.size), out.reshape(out.size), 0, 0, matrix.shape[0], matrix.shape[1])


@kernel
def transpose_convolution_kernel(kernel, out, stride_h, stride_w):
    """For conv2d_backward_data: taps in reverse order, input and output channels exchanged.

    With a stride, dx falls into stride_h x stride_w phases, each with its own taps; they follow one another.
    kernel: (R, S, C, K), out: (R * S * K * C,)
    """
    kernel_attributes()
    taps_h, taps_w, channels, filters = kernel.shape
    flat = kernel.reshape(kernel.size)
    at = 0
    for phase_h in range(min(stride_h, taps_h)):
        for phase_w in range(min(stride_w, taps_w)):
            last_h = phase_h + (taps_h - 1 - phase_h) // stride_h * stride_h
            last_w = phase_w + (taps_w - 1 - phase_w) // stride_w * stride_w
            for r in range(last_h, -1, -stride_h):
                for s in range(last_w, -1, -stride_w):
                    transpose_blocks(flat, out, (r * taps_w + s) * channels * filters, at, channels, filters)
                    at += channels * filters
'''


@dataclass(frozen=True)
class TransposePlan:
    """``matrix()(matrix, out)`` and ``convolution_kernel()(kernel, out, stride_h, stride_w)``."""

    dtype: str
    target: VectorTarget

    @property
    def source(self) -> str:
        """The module that holds both kernels."""
        lanes = self.target.lanes(self.dtype)
        return _SOURCE.format(dtype=self.dtype, target=self.target.name, lanes=lanes)

    def matrix(self):
        """Compiled ``transpose_matrix``: for the kernel of a dense layer."""
        return specialised_module(self.source).transpose_matrix

    def convolution_kernel(self):
        """Compiled ``transpose_convolution_kernel``."""
        return specialised_module(self.source).transpose_convolution_kernel


def transpose_plan(dtype="float32", target=None) -> TransposePlan:
    """Transposes for the weights that ``dtype`` kernels read."""
    return TransposePlan(dtype, target or vector_target())
