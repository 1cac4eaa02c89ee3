"""Depthwise convolution, NHWC, by its definition: each channel is convolved with filters of its own.

Output channel c * M + m comes from channel c.  What lies outside of the image is zero: its taps are left out.
"""

from .runtime.jit import kernel, kernel_attributes
from .runtime.windows import taps_inside


@kernel
def depthwise_conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w):
    """Depthwise cross-correlation.  x: (N, H, W, C), kernel: (R, S, C, M), y: (N, P, Q, C * M)

    y[n, p, q, c * M + m] = sum over r, s of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, m],
    zero outside the image.
    """
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, _, multiplier = kernel.shape
    out_height, out_width = y.shape[1], y.shape[2]
    y[:] = 0
    y = y.reshape(samples, out_height, out_width, channels, multiplier)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for q in range(out_width):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, dilation_w, taps_w, width)
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        h, w = top + r * dilation_h, left + s * dilation_w
                        for m in range(multiplier):
                            for c in range(channels):
                                y[n, p, q, c, m] += x[n, h, w, c] * kernel[r, s, c, m]


@kernel
def depthwise_conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in x.  dy: (N, P, Q, C * M), kernel: (R, S, C, M), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, channels = dx.shape
    taps_h, taps_w, _, multiplier = kernel.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    dy = dy.reshape(samples, out_height, out_width, channels, multiplier)
    if not accumulate:
        dx[:] = 0
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for q in range(out_width):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, dilation_w, taps_w, width)
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        h, w = top + r * dilation_h, left + s * dilation_w
                        for m in range(multiplier):
                            for c in range(channels):
                                dx[n, h, w, c] += dy[n, p, q, c, m] * kernel[r, s, c, m]


@kernel
def depthwise_conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, accumulate
):
    """Gradient of depthwise_conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, C * M), dkernel: (R, S, C, M)"""
    kernel_attributes()
    samples, height, width, channels = x.shape
    taps_h, taps_w, _, multiplier = dkernel.shape
    out_height, out_width = dy.shape[1], dy.shape[2]
    dy = dy.reshape(samples, out_height, out_width, channels, multiplier)
    if not accumulate:
        dkernel[:] = 0
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for q in range(out_width):
                left = q * stride_w - pad_left
                s_first, s_end = taps_inside(left, dilation_w, taps_w, width)
                for r in range(r_first, r_end):
                    for s in range(s_first, s_end):
                        h, w = top + r * dilation_h, left + s * dilation_w
                        for m in range(multiplier):
                            for c in range(channels):
                                dkernel[r, s, c, m] += x[n, h, w, c] * dy[n, p, q, c, m]
