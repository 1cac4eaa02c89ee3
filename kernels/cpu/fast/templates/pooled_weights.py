"""Weights as the gradient of a pooled convolution reads them."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes


@kernel
def pooled_weights(kernel, out, row):
    """For each filter, for each column of the winner: a row of zeros, the rows of taps, a row of zeros.

    kernel: (R, S, C, K); out: (K * 2 * (R + 2) * row,), row: elements of a row, of which S * C from 0 or C on are taps
    """
    kernel_attributes()
    taps_h, taps_w, channels, filters = kernel.shape
    size = taps_w * channels
    source = kernel.reshape(-1)
    out[:] = 0
    for k in range(filters):
        for column in range(2):
            for r in range(taps_h):
                at = ((k * 2 + column) * (taps_h + 2) + r + 1) * row + column * channels
                target = out[at : at + size]
                taps = source[r * size * filters + k :]
                for j in range(size):
                    target[j] = taps[j * filters]
