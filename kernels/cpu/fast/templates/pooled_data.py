"""Gradient of a convolution's input from that of the max pooling after it."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.pooled import pooled_data_tile

DTYPE, LANES = "float32", 8
TAP_ROWS, TAPS, CHANNELS, FILTERS = 5, 5, 1, 6
WIDTH, COLUMNS, PAD_LEFT = 28, 14, 2  # columns of dx and of the pooled gradient
DX_ROW = 32  # elements of a row in the workspace
ROWS, VECTORS = 6, 1  # a tile: rows of dx, vectors of a row of weights
EPILOGUE = "store"

ROW = VECTORS * LANES  # elements of a row of weights
ACCUMULATE, MASKED = EPILOGUE == "accumulate", EPILOGUE == "relu_mask"
tile = pooled_data_tile(
    dtype=DTYPE, lanes=LANES, rows=ROWS, vectors=VECTORS, table_rows=TAP_ROWS + 2, dx_row=DX_ROW, channels=CHANNELS,
    filters=FILTERS, columns=COLUMNS,
)  # fmt: skip


@kernel
def pooled_data(dy, argmax, weights, activation, dx, workspace, pad_top):
    """dy, argmax: (N, rows, columns, filters), weights: from pooled_weights, dx: (N, rows, columns, channels)

    activation: like dx, which is 0 where it is not positive
    """
    kernel_attributes()
    images, height = dx.shape[:2]
    pooled_rows = dy.shape[1]
    rows = max(2 * pooled_rows + TAP_ROWS - 1, height + pad_top)
    # without padding left and right, all rows are one
    lines, length = (1, height * DX_ROW) if DX_ROW == WIDTH * CHANNELS else (height, WIDTH * CHANNELS)
    out = dx.reshape(-1)
    active = activation.reshape(-1) if MASKED else out
    for image in range(images):
        workspace[: rows * DX_ROW] = 0
        pooled = image * pooled_rows * COLUMNS * FILTERS
        for row in range(0, TAP_ROWS + 1, ROWS):
            tile((
                address(dy, pooled), address(argmax, pooled), address(weights, (row + 1) * ROW),
                address(workspace, row * DX_ROW), pooled_rows,
            ))  # fmt: skip
        for line in range(lines):
            source = workspace[(pad_top + line) * DX_ROW + PAD_LEFT * CHANNELS :]
            at = (image * lines + line) * length
            target = out[at : at + length]
            if MASKED:
                mask = active[at : at + length]
                for i in range(length):
                    target[i] = source[i] if mask[i] > 0 else 0
            elif ACCUMULATE:
                for i in range(length):
                    target[i] += source[i]
            else:
                for i in range(length):
                    target[i] = source[i]
