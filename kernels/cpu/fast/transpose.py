"""Transposed copies of weights, which the backward passes read: made once per step, for all chunks."""

from dataclasses import dataclass

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_SOURCE = '''"""Transposed copies of weights in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.copies import transpose_tile

GROUPS, LINE = {groups}, {line}
transpose = transpose_tile(dtype={dtype!r}, lanes={lanes})


@kernel
def {name}(kernel, out, stride_h, stride_w):
    """Taps in reverse order, input and output channels exchanged (within each group), for backward_data.

    With a stride, dx falls into stride_h x stride_w phases, each with its own taps; they follow one another.
    kernel: (R, S, C / groups, K), out: (R * S * K / groups * C,)
    """
    kernel_attributes()
    taps_h, taps_w, depth, filters = kernel.shape
    columns, channels = filters // GROUPS, GROUPS * depth
    at = 0
    for phase_h in range(min(stride_h, taps_h)):
        for phase_w in range(min(stride_w, taps_w)):
            last_h = phase_h + (taps_h - 1 - phase_h) // stride_h * stride_h
            last_w = phase_w + (taps_w - 1 - phase_w) // stride_w * stride_w
            for r in range(last_h, -1, -stride_h):
                for s in range(last_w, -1, -stride_w):
                    tap = (r * taps_w + s) * depth * filters
                    for group in range(GROUPS):
                        # a cache line of columns: the lines that are written are full before others take their place
                        for column in range(0, columns, LINE):
                            source = address(kernel, tap + group * columns + column)
                            target = address(out, at + group * depth + column * channels)
                            transpose((source, target, depth, min(LINE, columns - column), filters, channels))
                    at += depth * filters
'''


_PANELS = '''"""Transposed copies of weights in panels in {dtype}, written for {target} by jitnet."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.copies import transpose_tile

PANEL, LINE = {panel}, {line}
transpose = transpose_tile(dtype={dtype!r}, lanes={lanes})


@kernel
def {name}(kernel, out, chunk, chunks):
    """A part of: PANEL rows of ``kernel`` after the other as columns.

    kernel: (K, N), out: (ceil(K / PANEL) * N * PANEL,)
    """
    kernel_attributes()
    rows, columns = kernel.shape
    panels = (rows + PANEL - 1) // PANEL
    for row in range(panels * chunk // chunks * PANEL, min(panels * (chunk + 1) // chunks * PANEL, rows), PANEL):
        for column in range(0, columns, LINE):
            source, target = address(kernel, row * columns + column), address(out, row * columns + column * PANEL)
            transpose((source, target, min(PANEL, rows - row), min(LINE, columns - column), columns, PANEL))
'''


@dataclass(frozen=True)
class TransposePlan(GeneratedKernel):
    """``kernel(kernel, out, stride_h, stride_w)``: what ``conv2d_backward_data`` reads.

    For a dense layer pass its kernel as (1, 1, K, N) and strides of 1: ``out`` is the (N, K) transposed matrix.
    """

    dtype: str
    target: VectorTarget
    groups: int = 1

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return "transpose_kernel" if self.groups == 1 else f"transpose_kernel_groups{self.groups}"

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _SOURCE.format(name=self.name, groups=self.groups, **_constants(self.dtype, self.target))


@dataclass(frozen=True)
class PanelsPlan(GeneratedKernel):
    """``kernel(kernel, out, chunk, chunks)``: transposed weights of a dense layer, ``panel`` columns side by side."""

    dtype: str
    target: VectorTarget
    panel: int
    name = "transpose_to_panels"

    def elements(self, rows: int, columns: int) -> int:
        """Size of ``out`` for weights (rows, columns)."""
        return -(-rows // self.panel) * self.panel * columns

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        return _PANELS.format(name=self.name, panel=self.panel, **_constants(self.dtype, self.target))


def _constants(dtype, target) -> dict:
    lanes = target.lanes(dtype, 8)  # wider blocks take long to compile
    return dict(dtype=dtype, target=target.name, lanes=lanes, line=16 if dtype == "float32" else 8)


def panels_plan(panel, dtype="float32", target=None) -> PanelsPlan:
    """Transposes of large dense weights of ``dtype``, for ``matrix_multiply_panels_plan``."""
    return PanelsPlan(dtype, target or vector_target(), panel)


def transpose_plan(dtype="float32", target=None, groups=1) -> TransposePlan:
    """Transposes of weights of ``dtype``, for a convolution of so many groups."""
    return TransposePlan(dtype, target or vector_target(), groups)
