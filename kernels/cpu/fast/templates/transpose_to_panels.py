"""Transposed copies of large dense weights, in panels of columns that lie side by side."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import transpose_tile

DTYPE, LANES = "float32", 8
PANEL = 32  # columns
LINE = 16  # elements of a cache line

transpose = transpose_tile(dtype=DTYPE, lanes=LANES)


@kernel
def transpose_to_panels(kernel, out, chunk, chunks):
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
