"""Transposed copies of weights, which the backward passes read: made once per step, for all chunks."""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target


class _Transpose(TemplateKernel):
    @property
    def _copy(self) -> dict:
        # wider blocks take long to compile; LINE: elements of a cache line of 64 bytes
        return dict(DTYPE=self.dtype, LANES=self.target.lanes(self.dtype, 8), LINE=16 if self.dtype == "float32" else 8)


@dataclass(frozen=True)
class TransposeKernel(_Transpose):
    """``kernel(kernel, out, stride_h, stride_w)``: what ``conv2d_backward_data`` reads.

    For a dense layer pass its kernel as (1, 1, K, N) and strides of 1: ``out`` is the (N, K) transposed matrix.
    """

    dtype: str
    target: VectorTarget
    groups: int = 1
    template = "transpose_kernel"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return "transpose_kernel" if self.groups == 1 else f"transpose_kernel_groups{self.groups}"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Transposed copies of weights in {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self._copy | dict(GROUPS=self.groups)


@dataclass(frozen=True)
class PanelsKernel(_Transpose):
    """``kernel(kernel, out, chunk, chunks)``: transposed weights of a dense layer, ``panel`` columns side by side."""

    dtype: str
    target: VectorTarget
    panel: int
    name = template = "transpose_to_panels"

    def elements(self, rows: int, columns: int) -> int:
        """Size of ``out`` for weights (rows, columns)."""
        return -(-rows // self.panel) * self.panel * columns

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Transposed copies of weights in panels in {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return self._copy | dict(PANEL=self.panel)


def panels_kernel(panel, dtype="float32", target=None) -> PanelsKernel:
    """Transposes of large dense weights of ``dtype``, for ``matrix_multiply_panels_kernel``."""
    return PanelsKernel(dtype, target or vector_target(), panel)


def transpose_kernel(dtype="float32", target=None, groups=1) -> TransposeKernel:
    """Transposes of weights of ``dtype``, for a convolution of so many groups."""
    return TransposeKernel(dtype, target or vector_target(), groups)
