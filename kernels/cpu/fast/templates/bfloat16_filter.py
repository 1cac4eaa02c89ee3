"""Gradient of a convolution's weights from operands rounded to bfloat16: the transposed image times the gradient."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target
from jitnet.kernels.cpu.tiles.bfloat16 import (
    LANES,
    configure_tile,
    pair_tile,
    product_tile,
    release_tile,
    transpose_tile,
)

TARGET, AMX, NATIVE = "avx512_bf16", False, True
TAP_ROWS, TAPS, CHANNELS, FILTERS = 3, 3, 32, 32
STRIDE_H, STRIDE_W = 1, 1
PIXELS, STEP = 32, 4  # of a row of dy, with zeros up to a whole number of steps
LINE = 64  # elements of a row of one channel of the transposed image,
BLOCKS, PAIRS = 1, 1  # of which blocks and pairs are made
MR, TILE_ROWS, VECTORS = 14, 14, 2
SCRATCH = 32  # elements

COLUMNS = VECTORS * LANES
PHASES = min(STRIDE_W, TAPS)  # columns of x, of which taps STRIDE_W apart share one
LINES = (CHANNELS + 15) // 16 * 16
X_ROW = PHASES * LINES * LINE + 32  # so that rows do not compete for the same cache lines
_target = BFloat16Target(TARGET, AMX, NATIVE)
pack = pair_tile(target=_target, vectors=VECTORS)
transpose = transpose_tile(target=_target)
configure = configure_tile(target=_target, rows=TILE_ROWS, step=STEP)
product = product_tile(target=_target, rows=MR, vectors=VECTORS, a_row=LINE, step=STEP, epilogue="accumulate")
release = release_tile(target=_target)


@kernel
def bfloat16_filter(x, dy, dkernel, workspace, pad_top, pad_left, accumulate):
    """x: (N, rows, columns, channels), dy: (N, height, width, filters), dkernel: (R, S, channels, filters)"""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, height, width, _ = dy.shape
    # workspace: scratch, dy as pairs (height, PIXELS / 2, COLUMNS, 2), x transposed (rows, X_ROW: PHASES, LINES, LINE)
    scratch, dy_at = address(workspace, 0), address(workspace, SCRATCH)
    x_at = dy_at + height * PIXELS * COLUMNS * 2
    if not accumulate:
        dkernel[:] = 0
    configure((0,))
    for image in range(images):
        for row in range(rows):
            for phase in range(PHASES):
                before = (max(0, pad_left - phase) + STRIDE_W - 1) // STRIDE_W
                after = (columns + pad_left - phase + STRIDE_W - 1) // STRIDE_W
                for channel in range(0, CHANNELS, 16):
                    source = ((image * rows + row) * columns + phase - pad_left) * CHANNELS + channel
                    transpose((
                        address(x, source), STRIDE_W * CHANNELS,
                        x_at + (row * X_ROW + (phase * LINES + channel) * LINE) * 2, LINE, before, after,
                        CHANNELS - channel, BLOCKS, PAIRS,
                    ))  # fmt: skip
        for block in range(0, FILTERS, COLUMNS):
            for h in range(height):
                pack((
                    address(dy, (image * height + h) * width * FILTERS + block), FILTERS,
                    dy_at + h * PIXELS * COLUMNS * 2, width, FILTERS - block, PIXELS // 2,
                ))  # fmt: skip
            for tap_row in range(TAP_ROWS):
                top = tap_row - pad_top
                first = max(0, (STRIDE_H - 1 - top) // STRIDE_H)
                last = min(height, (rows - top + STRIDE_H - 1) // STRIDE_H)
                for tap in range(TAPS):
                    line_at = (top + first * STRIDE_H) * X_ROW + tap % STRIDE_W * LINES * LINE + tap // STRIDE_W
                    for channel in range(0, CHANNELS, MR):
                        product((
                            x_at + (line_at + channel * LINE) * 2, STRIDE_H * X_ROW,
                            dy_at + first * PIXELS * COLUMNS * 2, last - first, PIXELS // STEP,
                            address(dkernel, ((tap_row * TAPS + tap) * CHANNELS + channel) * FILTERS + block), FILTERS,
                            CHANNELS - channel, FILTERS - block, 0, 0, 0, scratch,
                        ))  # fmt: skip
    release((0,))
