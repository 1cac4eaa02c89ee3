"""How products store their elements, and what they do before: bias, residual and ReLU, or the mask of a ReLU."""

from ..scalar import real
from ._api import function


@function
def _store(c, at, column, inside, value, accumulate, bias, other, ends):
    if inside:
        adds_bias, adds, cuts, masks = ends
        if accumulate:
            value += c[at]
        if adds_bias:
            value += bias[column]
        if adds:
            value += other[at]
        if (cuts and value <= real(0)) or (masks and other[at] <= real(0)):
            value = real(0)
        c[at] = value


@function
def store_pair(c, at, column, row_inside, columns, pair, accumulate, bias, other, ends):
    """Element ``at`` and its neighbour, in a ``column`` of all groups', of which those below ``columns`` are stored.

    ends: whether a bias is added, ``other`` is added, ReLU cuts, ``other`` masks.
    """
    _store(c, at, column, row_inside and column < columns, pair[0], accumulate, bias, other, ends)
    _store(c, at + 1, column + 1, row_inside and column + 1 < columns, pair[1], accumulate, bias, other, ends)
