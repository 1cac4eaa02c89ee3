"""Winograd's convolution backward to the weights: a block of tiles at a time."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.winograd import filter_result_tile, image_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
OUTPUTS = 4  # of a tile, along each axis
CHANNELS, FILTERS = 32, 32
SHARED = False  # whether a call does the pieces [first, last) of dkernel alone, of several that run at once
CHANNELS_OF_PIECE, FILTERS_OF_PIECE = 32, 32
WORKSPACE = 0  # elements of a share's part of the workspace
TILES, CHANNEL_BLOCK = 32, 32  # tiles of a block, and channels whose sums stay in the second-level cache
MR, VECTORS, CHANNEL_VECTORS = 8, 2, 2  # a product: rows, vectors of filters; vectors of an image's channels
GAP = 16  # elements between positions, so that those of a tile do not compete for the same cache lines

ITEMSIZE = 4 if DTYPE == "float32" else 8
POSITIONS = (OUTPUTS + 2) ** 2
NR = VECTORS * LANES
FILTER_PIECES = (FILTERS + FILTERS_OF_PIECE - 1) // FILTERS_OF_PIECE
PIECES = (CHANNELS + CHANNELS_OF_PIECE - 1) // CHANNELS_OF_PIECE * FILTER_PIECES
# from one position to the next
INPUT_PITCH, GRADIENT_PITCH, SUM_PITCH = TILES * CHANNELS_OF_PIECE + GAP, TILES * NR + GAP, CHANNEL_BLOCK * NR + GAP
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS)
_image = dict(outputs=OUTPUTS, **_constants)
transform_x = image_tile(gradient=False, channels=CHANNELS, pitch=INPUT_PITCH, vectors=CHANNEL_VECTORS, **_image)
transform_dy = image_tile(gradient=True, channels=FILTERS, pitch=GRADIENT_PITCH, vectors=VECTORS, **_image)
product = matrix_tile(
    rows=MR, vectors=VECTORS, masked=False, epilogue="store", unroll=2, contiguous=False, **_constants
)
finish = filter_result_tile(
    outputs=OUTPUTS, channels=CHANNELS, filters=FILTERS, pitch=SUM_PITCH, vectors=VECTORS, **_constants
)


@kernel
def winograd_filter(
    x, dy, dkernel, workspace, pad_top, pad_left, x_top, x_left, dy_top, dy_left, height, width, accumulate, share,
    first, last,
):
    """x: (N, rows, columns, channels), dy: (N, rows, columns, filters), dkernel: (3, 3, channels, filters)"""
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, dy_rows, dy_columns, _ = dy.shape
    # workspace: zeros, transformed inputs (positions, tiles, channels), gradients (positions, tiles, filters of a
    # block) and sums (positions, channels of a block, filters of a block); filters that do not exist stay as they are
    # and get into no others' sums
    begin, end, workspace_at = 0, PIECES, 0
    if SHARED:
        begin, end, workspace_at = first, last, share * WORKSPACE
    workspace[workspace_at : workspace_at + CHANNELS + FILTERS] = 0
    zeros = address(workspace, workspace_at)
    inputs = address(workspace, workspace_at + CHANNELS + FILTERS)
    gradients = inputs + POSITIONS * INPUT_PITCH * ITEMSIZE
    sums = gradients + POSITIONS * GRADIENT_PITCH * ITEMSIZE
    top, left = x_top - pad_top, x_left - pad_left
    down, across = (height + OUTPUTS - 1) // OUTPUTS, (width + OUTPUTS - 1) // OUTPUTS
    total = images * down * across
    for piece in range(begin, end):
        first_channel = piece // FILTER_PIECES * CHANNELS_OF_PIECE
        piece_channels = min(CHANNELS_OF_PIECE, CHANNELS - first_channel)
        first_filter = piece % FILTER_PIECES * FILTERS_OF_PIECE
        end_filter = min(first_filter + FILTERS_OF_PIECE, FILTERS)
        if not accumulate:
            for tap in range(9):
                for channel in range(first_channel, first_channel + piece_channels):
                    dkernel[tap // 3, tap % 3, channel, first_filter:end_filter] = 0
        for first_tile in range(0, total, TILES):
            count = min(TILES, total - first_tile)
            for tile in range(count):
                image, place = divmod(first_tile + tile, down * across)
                row = top + place // across * OUTPUTS
                column = left + place % across * OUTPUTS
                transform_x((
                    address(x, ((image * rows + row) * columns + column) * CHANNELS + first_channel),
                    columns * CHANNELS, -row, rows - row, -column, columns - column, zeros,
                    inputs + tile * CHANNELS_OF_PIECE * ITEMSIZE, piece_channels,
                ))  # fmt: skip
            for block in range(first_filter, end_filter, NR):
                for tile in range(count):
                    image, place = divmod(first_tile + tile, down * across)
                    h, w = place // across * OUTPUTS, place % across * OUTPUTS
                    pixel = (image * dy_rows + dy_top + h) * dy_columns + dy_left + w
                    transform_dy((
                        address(dy, pixel * FILTERS + block), dy_columns * FILTERS, 0, height - h, 0, width - w, zeros,
                        gradients + tile * NR * ITEMSIZE, FILTERS - block,
                    ))  # fmt: skip
                for channels in range(0, piece_channels, CHANNEL_BLOCK):
                    channels_end = min(channels + CHANNEL_BLOCK, piece_channels)
                    for position in range(POSITIONS):
                        for channel in range(channels, channels_end, MR):
                            product((
                                inputs + (position * INPUT_PITCH + channel) * ITEMSIZE, 1, CHANNELS_OF_PIECE,
                                gradients + position * GRADIENT_PITCH * ITEMSIZE, NR,
                                sums + (position * SUM_PITCH + (channel - channels) * NR) * ITEMSIZE, NR, count,
                                channels_end - channel, NR, 0, 1, 0, 0, 0,
                            ))  # fmt: skip
                    target = address(dkernel, (first_channel + channels) * FILTERS + block)
                    finish((sums, target, channels_end - channels, FILTERS - block))
