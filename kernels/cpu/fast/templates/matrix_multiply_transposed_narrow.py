"""Product with a transposed matrix of which few columns are the result: its vectors run along the rows."""

import numpy as np

from jitnet.kernels.cpu.runtime.arrays import address, scratch
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 4, 2  # a tile: rows of the transposed result, vectors of its columns
EPILOGUE = "store"

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR = LANES * VECTORS
ACCUMULATE = EPILOGUE == "accumulate"
_dtype = np.float32 if DTYPE == "float32" else np.float64
tile = matrix_tile(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, rows=MR, vectors=VECTORS, epilogue="store",
    contiguous=False, masked=True, unroll=2,
)  # fmt: skip


@kernel
def matrix_multiply_transposed_narrow(x, dy, dkernel, first, last):
    """dkernel[first:last] = x.T[first:last] @ dy, added to what is there with the epilogue accumulate.

    x: (M, K), dy: (M, N), dkernel: (K, N)
    """
    kernel_attributes()
    x_row, dy_row = x.strides[0] // ITEMSIZE, dy.strides[0] // ITEMSIZE
    depth, width = dy.shape
    transposed = scratch(_dtype)
    for row in range(first, last, NR):
        for column in range(0, width, MR):
            tile((
                address(dy, column), 1, dy_row, address(x, row), x_row, address(transposed, 0), NR, depth,
                width - column, last - row, 0, 1, 0, 0, 0,
            ))  # fmt: skip
            for i in range(min(NR, last - row)):
                for j in range(min(MR, width - column)):
                    value = transposed[j * NR + i]
                    dkernel[row + i, column + j] = dkernel[row + i, column + j] + value if ACCUMULATE else value
