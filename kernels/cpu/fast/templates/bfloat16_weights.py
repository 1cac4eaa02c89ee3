"""Weights as pairs of bfloat16, some vectors of columns side by side."""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.runtime.vectors import BFloat16Target
from jitnet.kernels.cpu.tiles.bfloat16 import LANES, pair_tile

TARGET, AMX, NATIVE = "avx512_bf16", False, True
VECTORS = 2

COLUMNS = VECTORS * LANES
pack = pair_tile(target=BFloat16Target(TARGET, AMX, NATIVE), vectors=VECTORS)


@kernel
def bfloat16_weights(kernel, out, padded, part, parts):
    """One of several parts of the depth, which is filled up with zeros to ``padded``.

    kernel: (taps, depth, columns), out: (blocks of columns, taps, padded / 2, columns of a block, 2), flat
    """
    kernel_attributes()
    taps, depth, columns = kernel.shape
    pairs = padded // 2
    first = pairs * part // parts
    last = pairs * (part + 1) // parts
    for block in range(0, columns, COLUMNS):
        for tap in range(taps):
            source = (tap * depth + 2 * first) * columns + block
            target = ((block // COLUMNS * taps + tap) * pairs + first) * COLUMNS
            pack((
                address(kernel, source), columns, address(out, target), depth - 2 * first, columns - block,
                last - first,
            ))  # fmt: skip
