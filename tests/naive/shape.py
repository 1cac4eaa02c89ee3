"""Movements of values from their definitions, in NumPy."""

import numpy as np


def concatenate(parts):
    """parts: list of (rows, width)"""
    return np.concatenate(parts, axis=1)


def slice_columns(x, offset, width):
    return x[:, offset : offset + width]


def pad2d(x, top, bottom, left, right, value):
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def transpose(x, axes):
    """axes: order of the axes of one sample, from 1"""
    return np.transpose(x, (0, *axes))
