"""Winograd's convolution along rows, forward: a row of an image is transformed once and serves all rows of taps."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.rows import PRODUCTS, row_input_tile, row_output_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
INPUT_LANES = 8
TAP_ROWS, CHANNELS, FILTERS = 5, 6, 16
WIDTH, OUTPUTS, PAD_LEFT = 14, 10, 0  # columns of x and of y
PAIRS_PER_TILE = 5
EPILOGUE = "bias_relu"

ITEMSIZE = 4 if DTYPE == "float32" else 8
PAIRS = (OUTPUTS + 1) // 2
ROW = PAIRS * PRODUCTS * INPUT_LANES  # elements of a transformed row
BIASED = EPILOGUE != "store"
transform = row_input_tile(
    dtype=DTYPE, lanes=INPUT_LANES, hardware_masks=HARDWARE_MASKS, channels=CHANNELS, width=WIDTH, pad_left=PAD_LEFT,
    pairs=PAIRS,
)  # fmt: skip
tile = row_output_tile(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, pairs=PAIRS, pairs_per_tile=PAIRS_PER_TILE,
    input_lanes=INPUT_LANES, channels=CHANNELS, filters=FILTERS, outputs=OUTPUTS, epilogue=EPILOGUE,
)  # fmt: skip


@kernel
def row_convolution(x, kernel, bias, y, workspace, pad_top):
    """x: (N, rows, columns, channels), kernel: from row_weights, bias: (filters,), y: (N, rows, columns, filters)"""
    kernel_attributes()
    images, rows = x.shape[:2]
    height = y.shape[1]
    workspace_at = address(workspace, 0)
    for image in range(images):
        transform((address(x, image * rows * WIDTH * CHANNELS), workspace_at, rows))
        for block in range(0, FILTERS, LANES):
            for h in range(height):
                first = h - pad_top
                tap = max(0, -first)
                tap_end = min(TAP_ROWS, rows - first)
                tile((
                    workspace_at + (first + tap) * ROW * ITEMSIZE,
                    address(kernel, tap * CHANNELS * PRODUCTS * FILTERS + block), tap_end - tap,
                    address(y, (image * height + h) * OUTPUTS * FILTERS + block), FILTERS - block,
                    address(bias, block) if BIASED else 0,
                ))  # fmt: skip
