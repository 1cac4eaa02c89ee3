"""Product of matrices that are read where they lie."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 8, 2  # a tile: rows, vectors of columns
EPILOGUE = "bias_relu"
NARROW = False  # one vector holds all columns: one kind of tile, masked
PANELS = False  # b lies in panels of NR columns
GEMV, GEMV_VECTORS = True, 8  # few rows are multiplied one by one, with more vectors
L2_BYTES = 524288

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR = LANES * VECTORS
GEMV_COLUMNS = LANES * GEMV_VECTORS
BIASED, ADDS, MASKED = EPILOGUE.startswith("bias"), EPILOGUE.startswith("bias_add"), EPILOGUE == "relu_mask"
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, epilogue=EPILOGUE, contiguous=True)
whole = matrix_tile(rows=MR, vectors=VECTORS, masked=NARROW, unroll=2, **_constants)
edge = matrix_tile(rows=MR, vectors=VECTORS, masked=True, unroll=2 if NARROW else 1, **_constants)
gemv = matrix_tile(rows=1, vectors=GEMV_VECTORS, masked=True, unroll=2, **_constants)


@kernel
def matrix_multiply(a, b, bias, residual, activation, c, workspace):
    """c = epilogue(a @ b).  a: (M, K), b: (K, N), or (ceil(N / NR), K, NR) in panels, c: (M, N); workspace: not used

    bias: (N,), residual: (M, N), added, may be c's memory; activation: (M, N): c is 0 where it is not positive
    """
    kernel_attributes()
    height, width, depth = c.shape[0], c.shape[1], a.shape[1]
    a_row, c_row = a.strides[0] // ITEMSIZE, c.strides[0] // ITEMSIZE
    b_row = NR if PANELS else b.strides[0] // ITEMSIZE
    auxiliary_row = 0
    if ADDS:
        auxiliary_row = residual.strides[0] // ITEMSIZE
    if MASKED:
        auxiliary_row = activation.strides[0] // ITEMSIZE
    if GEMV and height < MR // 2:
        # predictions for one sample, say, are bound by reading b
        for row in range(height):
            for column in range(0, width, GEMV_COLUMNS):
                gemv((
                    address(a, row * a_row), a_row, 1, address(b, column), b_row,
                    address(c, row * c_row + column), c_row, depth, 1, width - column, 0, 1,
                    address(bias, column) if BIASED else 0,
                    address(residual, row * auxiliary_row + column) if ADDS else 0, 0,
                ))  # fmt: skip
        return
    # so many rows of a stay in the second-level cache while all columns of b go by
    mc = max(1, L2_BYTES // ITEMSIZE // max(1, depth) // MR) * MR
    for first in range(0, height, mc):
        for column in range(0, width, NR):
            for row in range(first, min(first + mc, height), MR):
                auxiliary = 0
                if ADDS:
                    auxiliary = address(residual, row * auxiliary_row + column)
                if MASKED:
                    auxiliary = address(activation, row * auxiliary_row + column)
                arguments = (
                    address(a, row * a_row), a_row, 1, address(b, column * depth if PANELS else column), b_row,
                    address(c, row * c_row + column), c_row, depth, height - row, width - column, 0, 1,
                    address(bias, column) if BIASED else 0, auxiliary, auxiliary_row,
                )  # fmt: skip
                if width - column >= NR:
                    whole(arguments)
                else:
                    edge(arguments)
