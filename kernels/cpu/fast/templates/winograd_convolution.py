"""Winograd's convolution, forward or, over dy, backward to the input: a block of tiles at a time."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.simd import matrix_tile
from jitnet.kernels.cpu.tiles.winograd import image_tile, output_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
OUTPUTS = 4  # of a tile, along each axis
CHANNELS, FILTERS = 32, 32  # of what is read and of what is written
PITCH = 32  # filters of y, of which a call may write some alone
TILES = 16  # of a block
MR, VECTORS, CHANNEL_VECTORS = 8, 2, 2  # a product: rows, vectors of filters; vectors of an image's channels
GAP = 16  # elements between positions, so that those of a tile do not compete for the same cache lines
BACKWARD = False  # x is dy: the padding is that of the forward pass
EPILOGUE = "bias_relu"

ITEMSIZE = 4 if DTYPE == "float32" else 8
POSITIONS = (OUTPUTS + 2) ** 2
NR = VECTORS * LANES
INPUT_PITCH, SUM_PITCH = TILES * CHANNELS + GAP, TILES * NR + GAP  # from one position to the next
BIASED, ADDS, MASKED = EPILOGUE.startswith("bias"), EPILOGUE.startswith("bias_add"), EPILOGUE == "relu_mask"
_constants = dict(dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS)
transform = image_tile(
    outputs=OUTPUTS, gradient=False, channels=CHANNELS, pitch=INPUT_PITCH, vectors=CHANNEL_VECTORS, **_constants
)
product = matrix_tile(rows=MR, vectors=VECTORS, masked=False, epilogue="store", unroll=2, contiguous=True, **_constants)
finish = output_tile(
    outputs=OUTPUTS, filters=PITCH, pitch=SUM_PITCH, vectors=VECTORS, epilogue=EPILOGUE, **_constants
)


@kernel
def winograd_convolution(
    x, kernel, bias, residual, activation, y, workspace,
    pad_top, pad_left, x_top, x_left, y_top, y_left, activation_top, activation_left, height, width,
):  # fmt: skip
    """x, y: (N, rows, columns, channels), kernel: transformed; height x width pixels of y from (y_top, y_left) on.

    bias: (filters,), residual: like y, which may be its memory; activation: (N, rows, columns, filters): y is 0 where
    it is not positive
    """
    kernel_attributes()
    images, rows, columns, _ = x.shape
    _, y_rows, y_columns, _ = y.shape
    # workspace: zeros, outputs that do not exist, transformed inputs (positions, tiles, channels), sums alike
    workspace[:CHANNELS] = 0
    zeros, nowhere = address(workspace, 0), address(workspace, CHANNELS)
    inputs = address(workspace, CHANNELS + FILTERS)
    sums = address(workspace, CHANNELS + FILTERS + POSITIONS * INPUT_PITCH)
    top = x_top - (2 - pad_top if BACKWARD else pad_top)
    left = x_left - (2 - pad_left if BACKWARD else pad_left)
    down, across = (height + OUTPUTS - 1) // OUTPUTS, (width + OUTPUTS - 1) // OUTPUTS
    total = images * down * across
    for first in range(0, total, TILES):
        count = min(TILES, total - first)
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            row = top + place // across * OUTPUTS
            column = left + place % across * OUTPUTS
            transform((
                address(x, ((image * rows + row) * columns + column) * CHANNELS), columns * CHANNELS,
                -row, rows - row, -column, columns - column, zeros, inputs + tile * CHANNELS * ITEMSIZE, CHANNELS,
            ))  # fmt: skip
        for block in range(0, FILTERS, NR):
            for position in range(POSITIONS):
                weights = address(kernel, (block * POSITIONS + position * NR) * CHANNELS)
                for tile in range(0, count, MR):
                    product((
                        inputs + (position * INPUT_PITCH + tile * CHANNELS) * ITEMSIZE, CHANNELS, 1, weights, NR,
                        sums + (position * SUM_PITCH + tile * NR) * ITEMSIZE, NR, CHANNELS, count - tile,
                        NR, 0, 1, 0, 0, 0,
                    ))  # fmt: skip
            for tile in range(count):
                image, place = divmod(first + tile, down * across)
                h, w = place // across * OUTPUTS, place % across * OUTPUTS
                pixel = (image * y_rows + y_top + h) * y_columns + y_left + w
                auxiliary, auxiliary_row = 0, 0
                if ADDS:
                    auxiliary, auxiliary_row = address(residual, pixel * PITCH + block), y_columns * PITCH
                if MASKED:
                    place = (image * activation.shape[1] + activation_top + h) * activation.shape[2]
                    auxiliary = address(activation, (place + activation_left + w) * PITCH + block)
                    auxiliary_row = activation.shape[2] * PITCH
                finish((
                    sums + tile * NR * ITEMSIZE, address(y, pixel * PITCH + block), y_columns * PITCH,
                    height - h, width - w, nowhere, FILTERS - block, address(bias, block) if BIASED else 0,
                    auxiliary, auxiliary_row,
                ))  # fmt: skip
