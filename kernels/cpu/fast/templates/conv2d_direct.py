"""Direct convolution, forward or, with a stride of 1, over dy backward to the input: a row of outputs at a time."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile
from jitnet.kernels.cpu.tiles.simd import convolution_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
TAP_ROWS, TAPS, CHANNELS, FILTERS = 3, 3, 16, 32  # channels of what is read, filters: of what is written
STRIDE_H, STRIDE_W, DILATION_H, DILATION_W = 1, 1, 1, 1
GROUPS, GROUPS_PER_VECTOR = 1, 1
PART = 32  # filters of a group that a call computes
PIXELS, VECTORS, NARROW = 14, 2, False  # a tile: pixels, vectors of filters; whether some tiles have a pixel less
ANY_WIDTH = False  # whether some widths leave single pixels
WHOLE_ROWS, EDGES = False, None  # a tile is a row, and knows which of its columns are zero
BACKWARD = False  # x is dy: the padding is that of the forward pass
EPILOGUE = "bias_relu"

ITEMSIZE = 4 if DTYPE == "float32" else 8
DEPTH, GROUP_FILTERS, BLOCK = CHANNELS // GROUPS, FILTERS // GROUPS, VECTORS * LANES
BLOCKS = (GROUPS_PER_VECTOR * PART + BLOCK - 1) // BLOCK  # of filters, for the groups of a vector
BIASED, ADDS, MASKED = EPILOGUE.startswith("bias"), EPILOGUE.startswith("bias_add"), EPILOGUE == "relu_mask"
tile = convolution_tile(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, pixels=PIXELS, vectors=VECTORS, taps=TAPS,
    stride=STRIDE_W, dilation=DILATION_W, channels=CHANNELS, filters=FILTERS, step=1, narrow=NARROW, rest=ANY_WIDTH,
    epilogue=EPILOGUE, edges=EDGES, groups=GROUPS, groups_per_vector=GROUPS_PER_VECTOR,
)  # fmt: skip
pad_rows = pad_rows_tile(dtype=DTYPE)


@kernel
def conv2d_direct(
    x, kernel, bias, residual, activation, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left, activation_top, activation_left, height, width,
):  # fmt: skip
    """x, y: (N, rows, columns, channels), kernel: (R, S, C / groups, K), or as ``transpose_kernel`` leaves it.

    Of y height x width pixels from (y_top, y_left) on are written.
    bias: (filters,), residual: like y, which may be its memory; activation: (N, rows, columns, filters): y is 0 where
    it is not positive
    """
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    workspace_at = address(workspace, 0)
    top = x_top - ((TAP_ROWS - 1) * DILATION_H - pad_top if BACKWARD else pad_top)
    left = x_left - ((TAPS - 1) * DILATION_W - pad_left if BACKWARD else pad_left)
    span = (width - 1) * STRIDE_W + (TAPS - 1) * DILATION_W + 1
    padded = left < 0 or left + span > columns
    row = columns * CHANNELS
    x_row, x_left_at = row, 0
    if not WHOLE_ROWS:
        x_row = span * CHANNELS if padded else row
        x_left_at = 0 if padded else left * CHANNELS * ITEMSIZE
    tiles = (width + PIXELS - 1) // PIXELS
    wide, single = width - tiles * (PIXELS - 1), 0
    if ANY_WIDTH and wide < 0:
        tiles = wide = width // PIXELS
        single = width % PIXELS
    read = max(0, min(top, rows))  # the first row that is read, and the one after the last
    read_end = max(read, min(rows, top + (height - 1) * STRIDE_H + (TAP_ROWS - 1) * DILATION_H + 1))
    for image in range(images):
        image_at = address(x, image * rows * row)
        if not WHOLE_ROWS and padded:
            before = min(max(0, -left), span) * CHANNELS
            count = max(0, min(left + span, columns) - max(0, left)) * CHANNELS
            image_at += max(0, left) * CHANNELS * ITEMSIZE
            pad_rows((
                image_at + read * row * ITEMSIZE, row, workspace_at + read * span * CHANNELS * ITEMSIZE,
                span * CHANNELS, read_end - read, before, count,
            ))  # fmt: skip
            image_at = workspace_at
        for part in range(GROUPS // GROUPS_PER_VECTOR * BLOCKS):
            group = part // BLOCKS * GROUPS_PER_VECTOR
            group_at = image_at + group * DEPTH * ITEMSIZE
            block = group * GROUP_FILTERS + part % BLOCKS * BLOCK
            end = (group + GROUPS_PER_VECTOR) * GROUP_FILTERS
            for h in range(height):
                first = top + h * STRIDE_H
                tap = max(0, (DILATION_H - 1 - first) // DILATION_H)
                tap_end = min(TAP_ROWS, (rows - first + DILATION_H - 1) // DILATION_H)
                pixel = (image * y_rows + y_top + h) * y_columns + y_left
                auxiliary = 0
                if ADDS:
                    auxiliary = address(residual, pixel * FILTERS + block)
                if MASKED:
                    line = (image * activation.shape[1] + activation_top + h) * activation.shape[2]
                    auxiliary = address(activation, (line + activation_left) * FILTERS + block)
                tile((
                    group_at + x_left_at + (first + tap * DILATION_H) * x_row * ITEMSIZE, x_row * DILATION_H,
                    address(kernel, tap * TAPS * DEPTH * FILTERS + block), tap_end - tap,
                    address(y, pixel * FILTERS + block), wide, tiles - wide, single, end - block,
                    address(bias, block) if BIASED else 0, auxiliary,
                ))  # fmt: skip
