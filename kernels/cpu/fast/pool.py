"""Max pooling with windows of 2 x 2 side by side: vectors of several channels, whatever their number.

Pixels are written in the order of memory.  A vector that is wider than a pixel runs over into what is written next; in
a line of pixels near the end of an array plain loops take its place.
"""

from jitnet.kernels.cpu.runtime.arrays import address
from jitnet.kernels.cpu.runtime.jit import apart, kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.pooling import max_pool_gradient_tile, max_pool_tile

_LANES = 16  # of the widest vector: what a line that vectors may run over needs to have behind it

_forward_4 = max_pool_tile(lanes=4, one_vector=True)
_forward_8 = max_pool_tile(lanes=8, one_vector=True)
_forward_16 = max_pool_tile(lanes=_LANES, one_vector=False)
_backward_4 = max_pool_gradient_tile(lanes=4, one_vector=True)
_backward_8 = max_pool_gradient_tile(lanes=8, one_vector=True)
_backward_16 = max_pool_gradient_tile(lanes=_LANES, one_vector=False)


@apart
def _last_line_forward(x, source, below, y, argmax, target, columns, channels):
    for q in range(columns):
        for c in range(channels):
            first = source + 2 * q * channels + c
            best, winner = x[first], 0
            for tap in range(1, 4):
                value = x[first + tap // 2 * below + tap % 2 * channels]
                if not value <= best and best == best:
                    best, winner = value, tap
            y[target + q * channels + c] = best
            argmax[target + q * channels + c] = winner


@apart
def _last_line_backward(dy, argmax, source, row, dx, target, columns, channels):
    for q in range(columns):
        for column in range(2):
            for c in range(channels):
                window = source + q * channels + c
                gradient = dy[window] if argmax[window] == 2 * row + column else dy.dtype.type(0)
                dx[target + (2 * q + column) * channels + c] = gradient


@kernel
def max_pool2d_2x2_forward(x, y, argmax):
    """max_pool2d_forward with windows and strides of 2 x 2.

    x: (N, H, W, C), y: (N, H // 2, W // 2, C), argmax: likewise, uint8
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    rows, columns = y.shape[1], y.shape[2]
    x = x.reshape(-1)
    y = y.reshape(-1)
    argmax = argmax.reshape(-1)
    below = width * channels
    for n in range(samples):
        for p in range(rows):
            source = (n * height + 2 * p) * below
            target = (n * rows + p) * columns * channels
            if target + columns * channels + _LANES > y.size:
                _last_line_forward(x, source, below, y, argmax, target, columns, channels)
                continue
            line = address(x, source), below, address(y, target), address(argmax, target), columns, channels
            if channels <= 4:
                _forward_4(x, line)
            elif channels <= 8:
                _forward_8(x, line)
            else:
                _forward_16(x, line)


@kernel
def max_pool2d_2x2_backward(dy, argmax, dx):
    """Gradient of max_pool2d_2x2_forward; every pixel is written once.  dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    rows, columns = dy.shape[1], dy.shape[2]
    dy = dy.reshape(-1)
    argmax = argmax.reshape(-1)
    dx = dx.reshape(-1)
    for n in range(samples):
        for h in range(height):
            target = (n * height + h) * width * channels
            rest = target
            if h < 2 * rows:
                source = (n * rows + h // 2) * columns * channels
                row = h % 2
                rest += 2 * columns * channels
                line = address(dy, source), address(argmax, source), row, address(dx, target), columns, channels
                if source + columns * channels + _LANES > dy.size or rest + _LANES > dx.size:
                    _last_line_backward(dy, argmax, source, row, dx, target, columns, channels)
                elif channels <= 4:
                    _backward_4(dy, line)
                elif channels <= 8:
                    _backward_8(dy, line)
                else:
                    _backward_16(dy, line)
            # pixels that are in no window
            for i in range(rest, target + width * channels):
                dx[i] = 0
