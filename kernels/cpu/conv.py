"""2-D convolution, NHWC, by its definition: loops over pixels and taps around one over neighbouring channels.

``groups`` convolutions side by side each read C / groups channels and write K / groups filters.  What lies outside of
the image is zero: outputs leave out the taps that would read it.
"""

from .runtime.jit import kernel, kernel_attributes
from .runtime.windows import taps_inside


@kernel
def conv2d_forward(x, kernel, y, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups):
    """Cross-correlation.  x: (N, H, W, C), kernel: (R, S, C / groups, K), y: (N, P, Q, K)

    y[n, p, q, k] = sum over r, s, c of
    x[n, p * stride_h - pad_top + r * dilation_h, q * stride_w - pad_left + s * dilation_w, c] * kernel[r, s, c, k],
    zero outside the image.
    """
    kernel_attributes()
    samples, height, width, _ = x.shape
    taps_h, taps_w, depth, filters = kernel.shape
    out_height, out_width, columns = y.shape[1], y.shape[2], filters // groups
    x = x.reshape(samples, height, width, groups, depth)
    kernel = kernel.reshape(taps_h, taps_w, depth, groups, columns)
    y[:] = 0
    y = y.reshape(samples, out_height, out_width, groups, columns)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for g in range(groups):
                for r in range(r_first, r_end):
                    h = top + r * dilation_h
                    for s in range(taps_w):
                        left = s * dilation_w - pad_left
                        q_first, q_end = taps_inside(left, stride_w, out_width, width)
                        for c in range(depth):
                            for q in range(q_first, q_end):
                                value = x[n, h, left + q * stride_w, g, c]
                                for k in range(columns):
                                    y[n, p, q, g, k] += value * kernel[r, s, c, g, k]


@kernel
def conv2d_backward_data(
    dy, kernel, dx, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in x.  dy: (N, P, Q, K), kernel: (R, S, C / groups, K), dx: (N, H, W, C)"""
    kernel_attributes()
    samples, height, width, _ = dx.shape
    taps_h, taps_w, depth, filters = kernel.shape
    out_height, out_width, columns = dy.shape[1], dy.shape[2], filters // groups
    if not accumulate:
        dx[:] = 0
    dx = dx.reshape(samples, height, width, groups, depth)
    kernel = kernel.reshape(taps_h, taps_w, depth, groups, columns)
    dy = dy.reshape(samples, out_height, out_width, groups, columns)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for g in range(groups):
                for r in range(r_first, r_end):
                    h = top + r * dilation_h
                    for s in range(taps_w):
                        left = s * dilation_w - pad_left
                        q_first, q_end = taps_inside(left, stride_w, out_width, width)
                        for q in range(q_first, q_end):
                            for c in range(depth):
                                total = dy.dtype.type(0)
                                for k in range(columns):
                                    total += dy[n, p, q, g, k] * kernel[r, s, c, g, k]
                                dx[n, h, left + q * stride_w, g, c] += total


@kernel
def conv2d_backward_filter(
    x, dy, dkernel, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, accumulate
):
    """Gradient of conv2d_forward in kernel.  x: (N, H, W, C), dy: (N, P, Q, K), dkernel: (R, S, C / groups, K)"""
    kernel_attributes()
    samples, height, width, _ = x.shape
    taps_h, taps_w, depth, filters = dkernel.shape
    out_height, out_width, columns = dy.shape[1], dy.shape[2], filters // groups
    x = x.reshape(samples, height, width, groups, depth)
    dy = dy.reshape(samples, out_height, out_width, groups, columns)
    if not accumulate:
        dkernel[:] = 0
    dkernel = dkernel.reshape(taps_h, taps_w, depth, groups, columns)
    for n in range(samples):
        for p in range(out_height):
            top = p * stride_h - pad_top
            r_first, r_end = taps_inside(top, dilation_h, taps_h, height)
            for g in range(groups):
                for r in range(r_first, r_end):
                    h = top + r * dilation_h
                    for s in range(taps_w):
                        left = s * dilation_w - pad_left
                        q_first, q_end = taps_inside(left, stride_w, out_width, width)
                        for q in range(q_first, q_end):
                            for c in range(depth):
                                value = x[n, h, left + q * stride_w, g, c]
                                for k in range(columns):
                                    dkernel[r, s, c, g, k] += value * dy[n, p, q, g, k]
