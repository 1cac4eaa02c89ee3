"""Part of a product of matrices: some steps of every sum."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 8, 2  # a tile: rows, vectors of columns
GEMV_VECTORS = 8  # few rows are multiplied one by one, with more vectors

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR, GEMV_COLUMNS = LANES * VECTORS, LANES * GEMV_VECTORS
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, epilogue="store", contiguous=True)
whole = matrix_tile(rows=MR, vectors=VECTORS, masked=False, unroll=2, **_constants)
edge = matrix_tile(rows=MR, vectors=VECTORS, masked=True, unroll=1, **_constants)
gemv = matrix_tile(rows=1, vectors=GEMV_VECTORS, masked=True, unroll=2, **_constants)


@kernel
def matrix_multiply_part(a, b, c, part, first, last):
    """c[:, part] = a[:, first:last] @ b[first:last].  a: (M, K), b: (K, N), c: (M, P, N)"""
    kernel_attributes()
    a_row, b_row, c_row = a.strides[0] // ITEMSIZE, b.strides[0] // ITEMSIZE, c.strides[0] // ITEMSIZE
    height, width = c.shape[0], c.shape[2]
    if height < MR // 2:
        for row in range(height):
            for column in range(0, width, GEMV_COLUMNS):
                gemv((
                    address(a, row * a_row + first), a_row, 1, address(b, first * b_row + column), b_row,
                    address(c, row * c_row + part * width + column), c_row, last - first, 1, width - column,
                    0, 1, 0, 0, 0,
                ))  # fmt: skip
        return
    for column in range(0, width, NR):
        for row in range(0, height, MR):
            arguments = (
                address(a, row * a_row + first), a_row, 1, address(b, first * b_row + column), b_row,
                address(c, row * c_row + part * width + column), c_row, last - first, height - row, width - column,
                0, 1, 0, 0, 0,
            )  # fmt: skip
            if width - column >= NR:
                whole(arguments)
            else:
                edge(arguments)
