"""Convolution from its definition, one tap and one multiplication at a time."""

import itertools

import numpy as np


def _terms(x_shape, kernel_shape, out_size, geometry):
    """Every (output index, input index, kernel index) whose product is a term of the convolution."""
    stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups = geometry
    samples, height, width, _ = x_shape
    taps_h, taps_w, depth, filters = kernel_shape
    for n, p, q, k in itertools.product(range(samples), *map(range, out_size), range(filters)):
        for r, s, c in itertools.product(range(taps_h), range(taps_w), range(depth)):
            h = p * stride_h - pad_top + r * dilation_h
            w = q * stride_w - pad_left + s * dilation_w
            if 0 <= h < height and 0 <= w < width:
                yield (n, p, q, k), (n, h, w, k // (filters // groups) * depth + c), (r, s, c, k)


def conv2d_forward(x, kernel, out_size, *geometry):
    y = np.zeros((x.shape[0], *out_size, kernel.shape[3]))
    for out, image, tap in _terms(x.shape, kernel.shape, out_size, geometry):
        y[out] += float(x[image]) * float(kernel[tap])
    return y


def conv2d_backward_data(dy, kernel, x_shape, *geometry):
    dx = np.zeros(x_shape)
    for out, image, tap in _terms(x_shape, kernel.shape, dy.shape[1:3], geometry):
        dx[image] += float(dy[out]) * float(kernel[tap])
    return dx


def conv2d_backward_filter(x, dy, kernel_shape, *geometry):
    dkernel = np.zeros(kernel_shape)
    for out, image, tap in _terms(x.shape, kernel_shape, dy.shape[1:3], geometry):
        dkernel[tap] += float(x[image]) * float(dy[out])
    return dkernel
