"""Weights transformed for Winograd's convolution."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.winograd import weight_tile

DTYPE, LANES, HARDWARE_MASKS = "float32", 16, True
OUTPUTS = 4  # of a tile, along each axis
CHANNELS, FILTERS = 32, 32
COLUMNS = 32  # filters of a block

POSITIONS = (OUTPUTS + 2) ** 2
transform = weight_tile(
    dtype=DTYPE, lanes=LANES, hardware_masks=HARDWARE_MASKS, outputs=OUTPUTS, channels=CHANNELS, filters=FILTERS,
    columns=COLUMNS,
)  # fmt: skip


@kernel
def winograd_weights(kernel, out, part, parts):
    """One of several parts of the channels.

    kernel: (3, 3, channels, filters), out: (blocks of filters, positions, channels, filters of a block), flat
    """
    kernel_attributes()
    first = CHANNELS * part // parts
    count = CHANNELS * (part + 1) // parts - first
    for block in range(0, FILTERS, COLUMNS):
        target = block * POSITIONS * CHANNELS + first * COLUMNS
        transform((address(kernel, first * FILTERS + block), address(out, target), count, FILTERS - block))
