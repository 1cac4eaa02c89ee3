"""Weights transformed for Winograd's convolution along rows."""

from jitnet.kernels.cpu.runtime.jit import kernel, kernel_attributes
from jitnet.kernels.cpu.tiles.rows import PRODUCTS, WEIGHTS, weighted_sum


@kernel
def row_weights(kernel, out):
    """kernel: (R, 5, C, K), out: (R * C * 6 * K,), the six products of each row of taps."""
    kernel_attributes()
    rows, _, channels, filters = kernel.shape
    at = 0
    for r in range(rows):
        for c in range(channels):
            first, second, third = kernel[r, 0, c], kernel[r, 1, c], kernel[r, 2, c]
            fourth, fifth = kernel[r, 3, c], kernel[r, 4, c]
            products = out[at : at + PRODUCTS * filters]
            for k in range(filters):
                for j in range(PRODUCTS):
                    taps = first[k], second[k], third[k], fourth[k], fifth[k]
                    products[j * filters + k] = weighted_sum(WEIGHTS[j], taps)
            at += PRODUCTS * filters
