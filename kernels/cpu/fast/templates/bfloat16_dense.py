"""Product of matrices of which some rows are rounded to bfloat16 at a time."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target
from jitnet.kernels.cpu.tiles.bfloat16 import LANES, configure_tile, product_tile, release_tile, round_tile

TARGET, AMX, NATIVE = "avx512_bf16", False, True
DEPTH, PADDED, STEP = 64, 64, 4  # products of a sum, with zeros up to a whole number of steps
A_ROW = 96  # elements from one rounded row of a to the next
MR, VECTORS = 8, 2
MC = 64  # rows of a that are rounded at a time
SCRATCH = 32  # elements
EPILOGUE = "bias_relu"

COLUMNS = VECTORS * LANES
BIASED, MASKED = EPILOGUE.startswith("bias"), EPILOGUE == "relu_mask"
_target = BFloat16Target(TARGET, AMX, NATIVE)
pack = round_tile(target=_target)
configure = configure_tile(target=_target, rows=MR, step=STEP)
product = product_tile(target=_target, rows=MR, vectors=VECTORS, a_row=A_ROW, step=STEP, epilogue=EPILOGUE)
release = release_tile(target=_target)


@kernel
def bfloat16_dense(a, b, bias, activation, c, workspace):
    """c = epilogue(a @ b).  a: (M, depth), b: packed, c: (M, N)

    bias: (N,), activation: like c, which is 0 where it is not positive
    """
    kernel_attributes()
    height, width = c.shape
    scratch, rows_at = address(workspace, 0), address(workspace, SCRATCH)
    configure((0,))
    for first in range(0, height, MC):
        last = min(first + MC, height)
        pack((address(a, first * DEPTH), DEPTH, rows_at, A_ROW, last - first, DEPTH, PADDED))
        for column in range(0, width, COLUMNS):
            for row in range(first, last, MR):
                c_at = row * width + column
                product((
                    rows_at + (row - first) * A_ROW * 2, 0, address(b, column // COLUMNS * (PADDED // 2) * COLUMNS), 1,
                    PADDED // STEP, address(c, c_at), width, last - row, width - column,
                    address(bias, column) if BIASED else 0, address(activation, c_at) if MASKED else 0, width, scratch,
                ))  # fmt: skip
    release((0,))
