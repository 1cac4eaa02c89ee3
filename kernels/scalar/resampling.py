"""Where pictures are read when they are moved, and what becomes of colours: for every target."""

import numpy as np

from . import real

CONSTANT, NEAREST, WRAP, REFLECT = 0, 1, 2, 3  # how a picture goes on beyond its edges
_FARTHEST = 2.0**20  # pixels; what lies farther away is taken for that far
_LEAST = 1e-6


def floor_of(x):
    """The largest integer that is not above x, of which the absolute value fits into 64 bits."""
    cut = np.int64(x)
    return cut - 1 if real(cut) > x else cut


def place_within(i, size, fill_mode):
    """The place that stands for place ``i`` of an axis; -1: none, the fill value does."""
    if i >= 0 and i < size:
        return i
    if fill_mode == CONSTANT:
        return np.int64(-1)
    if fill_mode == NEAREST:
        return np.int64(0) if i < 0 else size - 1
    if fill_mode == WRAP:
        return (i % size + size) % size
    turn = (i % (2 * size) + 2 * size) % (2 * size)
    return turn if turn < size else 2 * size - 1 - turn


def source_point(row, column, a0, a1, a2, b0, b1, b2, c0, c1):
    """(y, x) where the pixel at (row, column) is read: ((b0 x + b1 y + b2) / k, (a0 x + a1 y + a2) / k)."""
    k = c0 * column + c1 * row + real(1)
    if abs(k) < real(_LEAST):
        k = real(_LEAST)
    far = real(_FARTHEST)
    x = (a0 * column + a1 * row + a2) / k
    y = (b0 * column + b1 * row + b2) / k
    return min(max(y, -far), far), min(max(x, -far), far)


def hue_component(shifted, value, chroma):
    """One of red, green and blue by its distance from the hue, in sixths of the circle (Smith 1978)."""
    k = shifted - real(6) * real(floor_of(shifted / real(6)))
    return value - chroma * max(real(0), min(real(1), min(k, real(4) - k)))


def hue_of(red, green, blue, value, chroma):
    """The hue in sixths of the circle."""
    if chroma <= real(0):
        return real(0)
    if value == red:
        return (green - blue) / chroma
    if value == green:
        return (blue - red) / chroma + real(2)
    return (red - green) / chroma + real(4)
