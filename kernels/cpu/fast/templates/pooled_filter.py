"""Gradient of a convolution's weights from that of the max pooling after it."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import copy_rows_tile
from jitnet.kernels.cpu.tiles.pooled import pooled_filter_tile

DTYPE, LANES = "float32", 8
TAP_ROWS, TAPS, CHANNELS, FILTERS = 5, 5, 1, 6
WIDTH, COLUMNS, PAD_LEFT = 28, 14, 2  # columns of x and of the pooled gradient
X_ROW, COPIED = 32, 28  # elements of a row in the workspace, and of those that are copied there
FILTER_BLOCK, ROWS, VECTORS = 6, 5, 1  # a tile: filters, rows of taps, vectors of such a row

ITEMSIZE = 4 if DTYPE == "float32" else 8
tile = pooled_filter_tile(
    dtype=DTYPE, lanes=LANES, filter_block=FILTER_BLOCK, rows=ROWS, vectors=VECTORS, row_stride=TAP_ROWS, x_row=X_ROW,
    channels=CHANNELS, filters=FILTERS, columns=COLUMNS,
)  # fmt: skip
copy_rows = copy_rows_tile(dtype=DTYPE, lanes=LANES, count=COPIED)


@kernel
def pooled_filter(x, dy, argmax, dkernel, workspace, pad_top, accumulate):
    """x: (N, rows, columns, channels), dy, argmax: (N, rows, columns, filters), dkernel: (R, S, channels, filters)"""
    kernel_attributes()
    images, height = x.shape[:2]
    pooled_rows = dy.shape[1]
    rows = 2 * pooled_rows + TAP_ROWS - 1
    padded = X_ROW != WIDTH * CHANNELS or PAD_LEFT > 0 or pad_top > 0 or rows > height
    copied = min(height, rows - pad_top)
    sums_at = rows * X_ROW + VECTORS * LANES
    sums = workspace[sums_at : sums_at + FILTERS * TAP_ROWS * VECTORS * LANES]
    sums[:] = 0
    if padded:
        workspace[:sums_at] = 0
    for image in range(images):
        image_at = address(x, image * height * WIDTH * CHANNELS)
        # a vector that reaches past the last window ends in what follows the image, if enough does
        if padded or (images - 1 - image) * height * WIDTH * CHANNELS < VECTORS * LANES:
            target = address(workspace, (pad_top * X_ROW) + PAD_LEFT * CHANNELS)
            copy_rows((image_at, WIDTH * CHANNELS, target, X_ROW, copied))
            image_at = address(workspace, 0)
        pooled = image * pooled_rows * COLUMNS * FILTERS
        for first in range(0, FILTERS, FILTER_BLOCK):
            for row in range(0, TAP_ROWS, ROWS):
                tile((
                    image_at + row * X_ROW * ITEMSIZE, address(dy, pooled + first),
                    address(argmax, pooled + first), address(sums, (first * TAP_ROWS + row) * VECTORS * LANES),
                    pooled_rows,
                ))  # fmt: skip
    out = dkernel.reshape(-1)
    for row in range(TAP_ROWS):
        for j in range(TAPS * CHANNELS):
            at = (row * TAPS * CHANNELS + j) * FILTERS
            for k in range(FILTERS):
                value = sums[(k * TAP_ROWS + row) * VECTORS * LANES + j]
                out[at + k] = out[at + k] + value if accumulate else value
