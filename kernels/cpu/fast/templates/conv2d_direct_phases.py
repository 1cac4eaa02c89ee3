"""Direct convolution with a stride backward to the input, which falls into phases: pixels that share their taps."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile
from jitnet.kernels.cpu.tiles.simd import convolution_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
TAP_ROWS, TAPS, CHANNELS, FILTERS = 3, 3, 32, 16  # channels of what is read, filters: of what is written
STRIDE_H, STRIDE_W = 2, 2  # pixels this far apart share their taps: one phase
MOST_TAPS, FEWEST_TAPS = 2, 1  # of a phase, in a row
GROUPS, GROUPS_PER_VECTOR = 1, 1
PIXELS, VECTORS, NARROW = 14, 1, False  # a tile: pixels, vectors of filters; whether some tiles have a pixel less
ANY_WIDTH = False  # whether some widths leave single pixels
EPILOGUE = "relu_mask"

ITEMSIZE = 4 if DTYPE == "float32" else 8
DEPTH, GROUP_FILTERS, BLOCK = CHANNELS // GROUPS, FILTERS // GROUPS, VECTORS * LANES
BLOCKS = (GROUPS_PER_VECTOR * GROUP_FILTERS + BLOCK - 1) // BLOCK  # of filters, for the groups of a vector
BIASED, MASKED = EPILOGUE.startswith("bias"), EPILOGUE == "relu_mask"
_constants = dict(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, pixels=PIXELS, vectors=VECTORS, stride=1, dilation=1,
    channels=CHANNELS, filters=FILTERS, step=STRIDE_W, narrow=NARROW, rest=ANY_WIDTH, epilogue=EPILOGUE, groups=GROUPS,
    groups_per_vector=GROUPS_PER_VECTOR,
)  # fmt: skip
tile_most = convolution_tile(taps=MOST_TAPS, **_constants)
tile_fewest = convolution_tile(taps=FEWEST_TAPS, **_constants)
pad_rows = pad_rows_tile(dtype=DTYPE)


@kernel
def conv2d_direct_phases(
    x, kernel, bias, activation, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left, activation_top, activation_left, height, width,
):  # fmt: skip
    """x: dy, y: dx, both (N, rows, columns, channels), kernel: as ``transpose_kernel`` leaves it.

    Of y height x width pixels from (y_top, y_left) on are written.
    bias: (filters,); activation: (N, rows, columns, filters): y is 0 where it is not positive
    """
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    workspace_at = address(workspace, 0)
    left, right = columns, 0
    for phase in range(STRIDE_W):
        taps = (TAPS - phase + STRIDE_W - 1) // STRIDE_W
        output = (phase - pad_left) % STRIDE_W
        start = x_left + (output + pad_left) // STRIDE_W - taps + 1
        left = min(left, start)
        right = max(right, start + (width - output + STRIDE_W - 1) // STRIDE_W + taps - 1)
    span = right - left
    padded = left < 0 or right > columns
    row = columns * CHANNELS
    x_row = span * CHANNELS if padded else row
    origin = left if padded else 0
    for image in range(images):
        image_at = address(x, image * rows * row)
        if padded:
            before = min(max(0, -left), span) * CHANNELS
            count = max(0, min(left + span, columns) - max(0, left)) * CHANNELS
            image_at += max(0, left) * CHANNELS * ITEMSIZE
            pad_rows((image_at, row, workspace_at, span * CHANNELS, rows, before, count))
            image_at = workspace_at
        kernel_offset = 0
        for phase in range(STRIDE_H * STRIDE_W):
            tap_rows = (TAP_ROWS - phase // STRIDE_W + STRIDE_H - 1) // STRIDE_H
            taps = (TAPS - phase % STRIDE_W + STRIDE_W - 1) // STRIDE_W
            output_h = (phase // STRIDE_W - pad_top) % STRIDE_H
            output_w = (phase % STRIDE_W - pad_left) % STRIDE_W
            start_h = x_top + (output_h + pad_top) // STRIDE_H - tap_rows + 1
            start_w = x_left + (output_w + pad_left) // STRIDE_W - taps + 1 - origin
            outputs = (width - output_w + STRIDE_W - 1) // STRIDE_W
            tiles = (outputs + PIXELS - 1) // PIXELS
            wide, single = outputs - tiles * (PIXELS - 1), 0
            if ANY_WIDTH and wide < 0:
                tiles = wide = outputs // PIXELS
                single = outputs % PIXELS
            for part in range(GROUPS // GROUPS_PER_VECTOR * BLOCKS):
                group = part // BLOCKS * GROUPS_PER_VECTOR
                group_at = image_at + group * DEPTH * ITEMSIZE
                block = group * GROUP_FILTERS + part % BLOCKS * BLOCK
                end = (group + GROUPS_PER_VECTOR) * GROUP_FILTERS
                for h in range(output_h, height, STRIDE_H):
                    first = start_h + h // STRIDE_H
                    tap = max(0, -first)
                    tap_end = min(tap_rows, rows - first) if taps > 0 else 0
                    pixel = (image * y_rows + y_top + h) * y_columns + y_left + output_w
                    auxiliary = 0
                    if MASKED:
                        line = (image * activation.shape[1] + activation_top + h) * activation.shape[2]
                        auxiliary = address(activation, (line + activation_left + output_w) * FILTERS + block)
                    arguments = (
                        group_at + ((first + tap) * x_row + start_w * CHANNELS) * ITEMSIZE, x_row,
                        address(kernel, kernel_offset + tap * taps * DEPTH * FILTERS + block), tap_end - tap,
                        address(y, pixel * FILTERS + block), wide, tiles - wide, single, end - block,
                        address(bias, block) if BIASED else 0, auxiliary,
                    )  # fmt: skip
                    if taps == MOST_TAPS:
                        tile_most(arguments)
                    else:
                        tile_fewest(arguments)
            kernel_offset += tap_rows * taps * DEPTH * FILTERS
