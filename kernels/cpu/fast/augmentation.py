"""Changes of pictures that draw what they need alone."""

import math

from ..random import _box_muller, _uniform_block
from ..runtime.jit import kernel, kernel_attributes, scalar


@scalar
def _from(number):
    """The first integer that is not below ``number``, which is not negative."""
    whole = int(number)
    return whole + 1 if whole < number else whole


@kernel
def erase_with_normal(x, draws, ranges, y, lowest, highest, seed, stream, step, first):
    """``augmentation.erase`` with the noise of ``random.normal`` times ``highest``, kept above ``lowest``, in y.

    x, y: (n, H, W, C), draws: (n, 8), ranges: (4,); seed, stream, step, first: as of ``random.normal``.
    """
    kernel_attributes()
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    size = height * width * channels
    x = x.reshape(-1)
    y = y.reshape(-1)
    least, most = y.dtype.type(lowest), y.dtype.type(highest)
    for n in range(draws.shape[0]):
        real = draws.dtype.type
        source, target = x[n * size : (n + 1) * size], y[n * size : (n + 1) * size]
        for i in range(size):
            target[i] = source[i]
        if draws[n, 1] < ranges[0] + draws[n, 0] * (ranges[1] - ranges[0]):
            across = math.sqrt(ranges[2] + draws[n, 2] * (ranges[3] - ranges[2])) * real(width)
            down = math.sqrt(ranges[2] + draws[n, 3] * (ranges[3] - ranges[2])) * real(height)
            left = draws[n, 4] * (real(width) - across)
            top = draws[n, 5] * (real(height) - down)
            begin, end = _from(left) * channels, min(_from(left + across), width) * channels
            for i in range(_from(top), min(_from(top + down), height)):
                line = i * width * channels
                number = (first + n) * size + line  # of the line's first element, among all that are drawn
                for block in range((number + begin) // 4, (number + end + 3) // 4):
                    u0, u1, u2, u3 = _uniform_block(target, seed, stream, step, block)
                    z0, z1 = _box_muller(u0, u1)
                    z2, z3 = _box_muller(u2, u3)
                    values = (z0 * most, z1 * most, z2 * most, z3 * most)
                    for k in range(4):
                        place = 4 * block + k - number
                        if begin <= place and place < end:
                            target[line + place] = min(max(values[k], least), most)
