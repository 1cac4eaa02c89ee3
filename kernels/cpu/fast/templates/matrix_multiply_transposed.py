"""Product with a transposed matrix: the gradient of a dense layer's weights."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 8, 2  # a tile: rows, vectors of columns
NARROW = False  # one vector holds all columns: one kind of tile, masked
EPILOGUE = "store"
L2_BYTES = 524288

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR = LANES * VECTORS
_constants = dict(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, rows=MR, vectors=VECTORS, epilogue=EPILOGUE,
    contiguous=False,
)  # fmt: skip
whole = matrix_tile(masked=NARROW, unroll=2, **_constants)
edge = matrix_tile(masked=True, unroll=2 if NARROW else 1, **_constants)


@kernel
def matrix_multiply_transposed(x, dy, dkernel, first, last):
    """dkernel[first:last] = x.T[first:last] @ dy, added to what is there with the epilogue accumulate.

    x: (M, K), dy: (M, N), dkernel: (K, N)
    """
    kernel_attributes()
    x_row, dy_row, out_row = x.strides[0] // ITEMSIZE, dy.strides[0] // ITEMSIZE, dkernel.strides[0] // ITEMSIZE
    depth, width = dy.shape
    # so many columns of dy stay in the second-level cache while all rows of x.T go by
    nc = max(1, L2_BYTES // ITEMSIZE // max(1, depth) // NR) * NR
    for first_column in range(0, width, nc):
        for row in range(first, last, MR):
            for column in range(first_column, min(first_column + nc, width), NR):
                arguments = (
                    address(x, row), 1, x_row, address(dy, column), dy_row,
                    address(dkernel, row * out_row + column), out_row, depth, last - row, width - column,
                    0, 1, 0, 0, 0,
                )  # fmt: skip
                if width - column >= NR:
                    whole(arguments)
                else:
                    edge(arguments)
