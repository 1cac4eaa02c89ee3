"""Where the pixels of a resized line come from: output i of m lies at (i + 1/2) * n / m - 1/2 of n inputs.

Positions are ratios of whole numbers, so that none is rounded to a neighbour.
"""


def nearest(i, outputs, inputs):
    """The input that output i is a copy of."""
    return (2 * i + 1) * inputs // (2 * outputs)


def first_copy(position, outputs, inputs):
    """The first output that has input ``position``, or one behind it, for its nearest; ``outputs`` if none has."""
    return min(outputs, max(0, -((inputs - 2 * outputs * position) // (2 * inputs))))


def neighbour(i, outputs, inputs):
    """(the input before output i, which may be -1; 2 * outputs times the distance from it)"""
    place = (2 * i + 1) * inputs - outputs
    position = place // (2 * outputs)
    return position, place - position * 2 * outputs


def first_at(position, outputs, inputs):
    """The first output at input ``position`` or behind it; ``outputs`` if none is."""
    return min(outputs, max(0, -((inputs - outputs - 2 * outputs * position) // (2 * inputs))))
