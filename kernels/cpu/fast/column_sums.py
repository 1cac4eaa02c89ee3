"""Plans for gradients of biases: sums over all rows, with the columns in vector registers."""

from dataclasses import dataclass

from jitnet.kernels.cpu.runtime.generated import GeneratedKernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

_VECTORS = 4  # chains of additions that hide one another's latency

_SOURCE = '''"""Sums over rows in {dtype}, written for {target} by jitnet."""

import numpy as np

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.arrays import stack_array
from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.tiles.simd import column_sum_tile

COLUMNS = {columns}
_constants = dict(dtype={dtype!r}, lanes={lanes}, hardware_masks={masks}, vectors={vectors})
whole = column_sum_tile(masked=False, **_constants)
edge = column_sum_tile(masked=True, **_constants)


@kernel
def bias_add_backward(dy, dbias, accumulate):
    """dbias = sum of dy over all but the last axis.  dy: (..., C), dbias: (C,)"""
    kernel_attributes()
    channels = dbias.size
    if channels == 0:
        return
    # several rows of few channels are taken as one, and their sums summed
    together = COLUMNS // channels
    if together > 1:
        width = together * channels
        rows = dy.size // width
        sums = stack_array(np.{dtype}, COLUMNS)
        edge((address(dy, 0), width, address(sums, 0), rows, width, 0))
        edge((address(sums, 0), channels, address(dbias, 0), together, channels, accumulate))
        rest = dy.size // channels - rows * together
        edge((address(dy, rows * width), channels, address(dbias, 0), rest, channels, 1))
        return
    rows = dy.size // channels
    for column in range(0, channels, COLUMNS):
        arguments = address(dy, column), channels, address(dbias, column), rows, channels - column, accumulate
        if channels - column >= COLUMNS:
            whole(arguments)
        else:
            edge(arguments)
'''


@dataclass(frozen=True)
class BiasGradientPlan(GeneratedKernel):
    """``kernel(dy, dbias, accumulate)``, for arrays of any size."""

    dtype: str
    target: VectorTarget
    name = "bias_add_backward"

    @property
    def source(self) -> str:
        """The module that holds the kernel."""
        lanes = self.target.lanes(self.dtype)
        return _SOURCE.format(
            dtype=self.dtype,
            target=self.target.name,
            masks=self.target.hardware_masks,
            lanes=lanes,
            vectors=_VECTORS,
            columns=lanes * _VECTORS,
        )


def bias_add_backward_plan(dtype="float32", target=None) -> BiasGradientPlan:
    """Gradients of biases of ``dtype``."""
    return BiasGradientPlan(dtype, target or vector_target())
