"""Convolution of operands rounded to bfloat16, forward or, over dy, backward to the input: a product for each row."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target
from jitnet.kernels.cpu.tiles.bfloat16 import (
    LANES,
    clear_tile,
    configure_tile,
    product_tile,
    release_tile,
    round_tile,
)

TARGET, AMX, NATIVE = "avx512_bf16", False, True
TAP_ROWS, TAPS, CHANNELS, FILTERS = 3, 3, 32, 32  # channels of what is read, filters: of what is written
STRIDE_H, STRIDE_W = 1, 1
PHASES_H, PHASES_W = 1, 1  # outputs this far apart share their taps
DEPTH, STEP = 32, 4  # channels with zeros up to a whole number of steps
MR, TILE_ROWS, VECTORS = 14, 14, 2
SCRATCH = 32  # elements
BACKWARD = False  # x is dy: the padding is that of the forward pass
EPILOGUE = "bias_relu"

COLUMNS = VECTORS * LANES
BIASED, MASKED = EPILOGUE.startswith("bias"), EPILOGUE == "relu_mask"
_target = BFloat16Target(TARGET, AMX, NATIVE)
pack = round_tile(target=_target)
clear = clear_tile()
configure = configure_tile(target=_target, rows=TILE_ROWS, step=STEP)
product = product_tile(target=_target, rows=MR, vectors=VECTORS, a_row=STRIDE_W * DEPTH, step=STEP, epilogue=EPILOGUE)
release = release_tile(target=_target)


@kernel
def bfloat16_convolution(x, kernel, bias, activation, y, workspace, pad_top, pad_left):
    """x: (N, rows, columns, channels), kernel: packed, y: (N, height, width, filters)

    bias: (filters,), activation: like y, which is 0 where it is not positive
    """
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, height, width, _ = y.shape
    scratch, image_at = address(workspace, 0), address(workspace, SCRATCH)
    left, right = 0, columns
    for phase in range(PHASES_W):
        taps = (TAPS - phase + PHASES_W - 1) // PHASES_W
        output = (phase - pad_left) % PHASES_W
        start = (output + pad_left) // PHASES_W - taps + 1 if BACKWARD else -pad_left
        left = min(left, start)
        right = max(right, start + (width - output - 1) // PHASES_W * STRIDE_W + taps)
    span = right - left
    clear((image_at, rows * span * DEPTH * 2))
    # a row at once, or each pixel with zeros behind it
    pixels, channels = (1, columns * CHANNELS) if DEPTH == CHANNELS else (columns, CHANNELS)
    padded = columns * DEPTH if DEPTH == CHANNELS else DEPTH
    configure((0,))
    for image in range(images):
        for row in range(rows):
            pack((
                address(x, (image * rows + row) * columns * CHANNELS), CHANNELS,
                image_at + (row * span - left) * DEPTH * 2, DEPTH, pixels, channels, padded,
            ))  # fmt: skip
        for block in range(0, FILTERS, COLUMNS):
            tap_at = block // COLUMNS * TAP_ROWS * TAPS
            for phase in range(PHASES_H * PHASES_W):
                tap_rows = (TAP_ROWS - phase // PHASES_W + PHASES_H - 1) // PHASES_H
                taps = (TAPS - phase % PHASES_W + PHASES_W - 1) // PHASES_W
                output_h = (phase // PHASES_W - pad_top) % PHASES_H
                output = (phase % PHASES_W - pad_left) % PHASES_W
                start_h = (output_h + pad_top) // PHASES_H - tap_rows + 1 if BACKWARD else -pad_top
                start = ((output + pad_left) // PHASES_W - taps + 1 if BACKWARD else -pad_left) - left
                outputs = (width - output + PHASES_W - 1) // PHASES_W
                for h in range((height - output_h + PHASES_H - 1) // PHASES_H):
                    first = start_h + h * STRIDE_H
                    tap = max(0, -first)
                    tap_end = min(tap_rows, rows - first)
                    weights = address(kernel, (tap_at + tap * taps) * (DEPTH // 2) * COLUMNS)
                    row_at = image_at + ((first + tap) * span + start) * DEPTH * 2
                    for pixel in range(0, outputs, MR):
                        line = image * height + output_h + h * PHASES_H
                        y_at = (line * width + output + pixel * PHASES_W) * FILTERS + block
                        product((
                            row_at + pixel * STRIDE_W * DEPTH * 2, span * DEPTH, weights, tap_end - tap,
                            taps * DEPTH // STEP, address(y, y_at), PHASES_W * FILTERS, outputs - pixel,
                            FILTERS - block, address(bias, block) if BIASED else 0,
                            address(activation, y_at) if MASKED else 0, PHASES_W * FILTERS, scratch,
                        ))  # fmt: skip
                tap_at += tap_rows * taps
    release((0,))
