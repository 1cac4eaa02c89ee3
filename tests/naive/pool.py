"""Pooling from its definition: each window is a list of the (tap, row, column) that lie inside the image."""

import itertools
import math

import numpy as np


def _windows(height, width, out_size, geometry):
    window_h, window_w, stride_h, stride_w, pad_top, pad_left = geometry
    for p, q in itertools.product(*map(range, out_size)):
        taps = []
        for r, s in itertools.product(range(window_h), range(window_w)):
            h, w = p * stride_h - pad_top + r, q * stride_w - pad_left + s
            if 0 <= h < height and 0 <= w < width:
                taps.append((r * window_w + s, h, w))
        yield p, q, taps


def max_pool2d_forward(x, out_size, *geometry):
    samples, height, width, channels = x.shape
    y = np.full((samples, *out_size, channels), -np.inf)
    argmax = np.full(y.shape, -1, np.int32)
    for p, q, taps in _windows(height, width, out_size, geometry):
        for n, c in itertools.product(range(samples), range(channels)):
            for tap, h, w in taps:
                value, best = float(x[n, h, w, c]), y[n, p, q, c]
                if argmax[n, p, q, c] < 0 or value > best or (math.isnan(value) and not math.isnan(best)):
                    y[n, p, q, c], argmax[n, p, q, c] = value, tap
    return y, argmax


def max_pool2d_backward(dy, argmax, x_shape, *geometry):
    dx = np.zeros(x_shape)
    for p, q, taps in _windows(*x_shape[1:3], dy.shape[1:3], geometry):
        for tap, h, w in taps:
            dx[:, h, w] += np.where(argmax[:, p, q] == tap, dy[:, p, q], 0)
    return dx


def average_pool2d_forward(x, out_size, *geometry):
    y = np.zeros((x.shape[0], *out_size, x.shape[3]))
    for p, q, taps in _windows(*x.shape[1:3], out_size, geometry):
        for _, h, w in taps:
            y[:, p, q] += x[:, h, w].astype(np.float64) / len(taps)
    return y


def average_pool2d_backward(dy, x_shape, *geometry):
    dx = np.zeros(x_shape)
    for p, q, taps in _windows(*x_shape[1:3], dy.shape[1:3], geometry):
        for _, h, w in taps:
            dx[:, h, w] += dy[:, p, q].astype(np.float64) / len(taps)
    return dx


def global_average_pool2d_forward(x):
    return x.astype(np.float64).mean((1, 2))


def global_average_pool2d_backward(dy, x_shape):
    return np.broadcast_to(dy[:, None, None].astype(np.float64) / (x_shape[1] * x_shape[2]), x_shape)


def global_max_pool2d_forward(x):
    pixels = x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3]).astype(np.float64)
    return pixels.max(1), pixels.argmax(1)


def global_max_pool2d_backward(dy, argmax, x_shape):
    chosen = np.arange(x_shape[1] * x_shape[2])[:, None] == argmax[:, None]
    return np.where(chosen, dy[:, None].astype(np.float64), 0).reshape(x_shape)
