"""Convolution of one channel and max pooling: lanes are pooled pixels."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import copy_bytes_tile, copy_rows_tile
from jitnet.kernels.cpu.tiles.pooled import phases_tile, pooled_forward_tile

DTYPE, LANES = "float32", 16
TAP_ROWS, TAPS, FILTERS = 5, 5, 6
HEIGHT, WIDTH, ROWS, COLUMNS, PAD_TOP, PAD_LEFT = 28, 28, 14, 14, 2, 2  # of x, of y
X_ROWS, X_ROW, PLANE = 32, 32, 240  # rows of the image in the workspace, elements of a row and of a plane
FILTER_BLOCK = 6  # filters that share an input
IMAGE, PLANES, Y, ARGMAX = 0, 1088, 3968, 5264  # parts of the workspace: the element where each begins
RELU = True

ITEMSIZE = 4 if DTYPE == "float32" else 8
BLOCKS = (ROWS * COLUMNS + LANES - 1) // LANES
phases = phases_tile(dtype=DTYPE, lanes=LANES, row=X_ROW, taps=TAPS, columns=COLUMNS, plane=PLANE, rows=X_ROWS)
tile = pooled_forward_tile(
    dtype=DTYPE, lanes=LANES, filter_block=FILTER_BLOCK, tap_rows=TAP_ROWS, taps=TAPS, filters=FILTERS,
    columns=COLUMNS, plane=PLANE, relu=RELU,
)  # fmt: skip
copy_rows = copy_rows_tile(dtype=DTYPE, lanes=LANES, count=min(WIDTH, X_ROW - PAD_LEFT))
copy_bytes = copy_bytes_tile()


@kernel
def pooled_forward(x, kernel, bias, y, argmax, workspace):
    """x: (N, HEIGHT, WIDTH, 1), kernel: (R, S, 1, filters), bias: (filters,), y, argmax: (N, ROWS, COLUMNS, filters)"""
    kernel_attributes()
    image_at = address(workspace, IMAGE)
    planes_at = address(workspace, PLANES)
    y_at = address(workspace, Y)
    argmax_at = address(workspace, ARGMAX)
    workspace[IMAGE:PLANES] = 0
    inside = image_at + (PAD_TOP * X_ROW + PAD_LEFT) * ITEMSIZE
    size = ROWS * COLUMNS * FILTERS
    for image in range(x.shape[0]):
        copy_rows((address(x, image * HEIGHT * WIDTH), WIDTH, inside, X_ROW, min(HEIGHT, X_ROWS - PAD_TOP)))
        phases((image_at, planes_at))
        tile((planes_at, address(kernel, 0), address(bias, 0), y_at, argmax_at, BLOCKS))
        copy_bytes((y_at, address(y, image * size), size * ITEMSIZE))
        copy_bytes((argmax_at, address(argmax, image * size), size))
