"""Product of large matrices, parts of which are packed: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix
Multiplication".
"""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile, panel_tile
from jitnet.kernels.cpu.tiles.simd import matrix_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
MR, VECTORS = 8, 2  # a tile: rows, vectors of columns
KC = 256  # steps of a sum in one part
A_ROW = 272  # elements from one packed row of a to the next
EPILOGUE = "bias_relu"

ITEMSIZE = 4 if DTYPE == "float32" else 8
NR = LANES * VECTORS
BIASED, ADDS, MASKED = EPILOGUE.startswith("bias"), EPILOGUE.startswith("bias_add"), EPILOGUE == "relu_mask"
_vectors = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, vectors=VECTORS)
_tile = dict(rows=MR, epilogue=EPILOGUE, contiguous=True, in_parts=True, **_vectors)
whole = matrix_tile(masked=False, unroll=2, **_tile)
edge = matrix_tile(masked=True, unroll=1, **_tile)
pack_a = pad_rows_tile(dtype=DTYPE)
pack_b = panel_tile(**_vectors)


@kernel
def matrix_multiply_packed(a, b, bias, residual, activation, c, workspace):
    """c = epilogue(a @ b), parts of a and b packed into the workspace.  a: (M, K), b: (K, N), c: (M, N)

    bias: (N,), residual: (M, N), added, may be c's memory; activation: (M, N): c is 0 where it is not positive
    """
    kernel_attributes()
    height, width, depth = c.shape[0], c.shape[1], a.shape[1]
    a_row, b_row, c_row = a.strides[0] // ITEMSIZE, b.strides[0] // ITEMSIZE, c.strides[0] // ITEMSIZE
    auxiliary_row = 0
    if ADDS:
        auxiliary_row = residual.strides[0] // ITEMSIZE
    if MASKED:
        auxiliary_row = activation.strides[0] // ITEMSIZE
    panel = address(workspace, 0)
    block = address(workspace, KC * NR)
    mc = (workspace.size - KC * NR) // A_ROW // MR * MR
    for part in range(0, max(depth, 1), KC):
        count = min(KC, depth - part)
        for first in range(0, height, mc):
            last = min(first + mc, height)
            pack_a((address(a, first * a_row + part), a_row, block, A_ROW, last - first, 0, count))
            for column in range(0, width, NR):
                pack_b((address(b, part * b_row + column), b_row, panel, count, width - column))
                for row in range(first, last, MR):
                    auxiliary = 0
                    if ADDS:
                        auxiliary = address(residual, row * auxiliary_row + column)
                    if MASKED:
                        auxiliary = address(activation, row * auxiliary_row + column)
                    arguments = (
                        block + (row - first) * A_ROW * ITEMSIZE, A_ROW, 1, panel, NR,
                        address(c, row * c_row + column), c_row, count, last - row, width - column,
                        part > 0, part + KC >= depth, address(bias, column) if BIASED else 0, auxiliary, auxiliary_row,
                    )  # fmt: skip
                    if width - column >= NR:
                        whole(arguments)
                    else:
                        edge(arguments)
