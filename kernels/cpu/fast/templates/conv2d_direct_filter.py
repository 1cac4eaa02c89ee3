"""Gradient of a direct convolution's weights: some channels of one row of taps at a time."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.copies import pad_rows_tile
from jitnet.kernels.cpu.tiles.simd import filter_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
TAP_ROWS, TAPS, CHANNELS, FILTERS = 3, 3, 16, 32
STRIDE_H, STRIDE_W, DILATION_H, DILATION_W = 1, 1, 1, 1
GROUPS, GROUPS_PER_VECTOR = 1, 1
CHANNEL_BLOCK, UNEVEN = 4, False  # channels of a tile; whether some tiles have one less
PIXELS, VECTORS, NARROW = 4, 2, False  # a tile: pixels, vectors of filters; whether some tiles have a pixel less
COPIES = 1  # of the sums, to hide latency
SHARED = False  # whether a call does the pieces [first, last) of dkernel alone, of several that run at once

ITEMSIZE = 4 if DTYPE == "float32" else 8
DEPTH, GROUP_FILTERS, BLOCK = CHANNELS // GROUPS, FILTERS // GROUPS, VECTORS * LANES
BLOCKS = (GROUPS_PER_VECTOR * GROUP_FILTERS + BLOCK - 1) // BLOCK  # of filters, for the groups of a vector
_constants = dict(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, vectors=VECTORS, taps=TAPS, stride=STRIDE_W,
    dilation=DILATION_W, channels=CHANNELS, filters=FILTERS, pixels=PIXELS, narrow=NARROW, copies=COPIES,
    groups=GROUPS, groups_per_vector=GROUPS_PER_VECTOR,
)  # fmt: skip
tile = filter_tile(channel_block=CHANNEL_BLOCK, **_constants)
tile_one_less = filter_tile(channel_block=CHANNEL_BLOCK - UNEVEN, **_constants)
pad_rows = pad_rows_tile(dtype=DTYPE)


@kernel
def conv2d_direct_filter(
    x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width, accumulate, share,
    first, last,
):
    """x: (N, rows, columns, channels), dy: (N, rows, columns, filters), dkernel: (R, S, C / groups, K)"""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, dy_rows, dy_columns, _ = dy.shape
    left = x_left - pad_left
    span = (width - 1) * STRIDE_W + (TAPS - 1) * DILATION_W + 1
    padded = left < 0 or left + span > columns
    row = columns * CHANNELS
    x_row = span * CHANNELS if padded else row
    x_left_at = 0 if padded else left * CHANNELS * ITEMSIZE
    tiles = (width + PIXELS - 1) // PIXELS
    wide = width - tiles * (PIXELS - 1)
    channel_blocks = (DEPTH + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    wide_channel_blocks = DEPTH - channel_blocks * (CHANNEL_BLOCK - 1)
    dy_row = dy_columns * FILTERS
    # a piece: the channels of a tile, of one row of taps
    begin, end, workspace_at = 0, TAP_ROWS * channel_blocks, address(workspace, 0)
    if SHARED:
        begin, end, workspace_at = first, last, address(workspace, share * rows * span * CHANNELS)
    if not accumulate:
        for piece in range(begin, end):
            block = piece % channel_blocks
            channel = block * CHANNEL_BLOCK - max(0, block - wide_channel_blocks)
            behind = channel + CHANNEL_BLOCK - (UNEVEN and block >= wide_channel_blocks)
            for tap in range(TAPS):
                for c in range(channel, behind):
                    dkernel[piece // channel_blocks, tap, c, :] = 0
    for image in range(images):
        image_at = address(x, image * rows * row)
        if padded:
            before = min(max(0, -left), span) * CHANNELS
            count = max(0, min(left + span, columns) - max(0, left)) * CHANNELS
            image_at += max(0, left) * CHANNELS * ITEMSIZE
            pad_rows((image_at, row, workspace_at, span * CHANNELS, rows, before, count))
            image_at = workspace_at
        dy_at = address(dy, (image * dy_rows + dy_top) * dy_row + dy_left * FILTERS)
        for piece in range(begin, end):
            tap, channel_block = divmod(piece, channel_blocks)
            top = x_top - pad_top + tap * DILATION_H
            first_row = max(0, (STRIDE_H - 1 - top) // STRIDE_H)
            end_row = min(height, (rows - top + STRIDE_H - 1) // STRIDE_H)
            row_at = image_at + x_left_at + (top + first_row * STRIDE_H) * x_row * ITEMSIZE
            channel = channel_block * CHANNEL_BLOCK - max(0, channel_block - wide_channel_blocks)
            one_less = UNEVEN and channel_block >= wide_channel_blocks
            for part in range(GROUPS // GROUPS_PER_VECTOR * BLOCKS):
                group = part // BLOCKS * GROUPS_PER_VECTOR
                group_at = row_at + group * DEPTH * ITEMSIZE
                block = group * GROUP_FILTERS + part % BLOCKS * BLOCK
                end_filter = (group + GROUPS_PER_VECTOR) * GROUP_FILTERS
                arguments = (
                    group_at + channel * ITEMSIZE, x_row * STRIDE_H,
                    dy_at + (first_row * dy_row + block) * ITEMSIZE, dy_row,
                    address(dkernel, (tap * TAPS * DEPTH + channel) * FILTERS + block),
                    end_row - first_row, wide, tiles - wide, end_filter - block,
                )  # fmt: skip
                if one_less:
                    tile_one_less(arguments)
                else:
                    tile(arguments)
