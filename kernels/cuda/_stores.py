"""How products store their elements, and what they do before: bias, residual and ReLU, or the mask of a ReLU."""

from ..scalar import real
from ._api import function

NOTHING = (False, False, False, False)  # ends of products that nothing follows


@function
def store(c, at, column, inside, value, accumulate, bias, other, ends):
    """Element ``at``, in a ``column`` of all groups', if it is inside.

    ends: whether a bias is added, ``other`` is added, ReLU cuts, ``other`` masks.
    """
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
    """Element ``at`` and its neighbour, of which those in columns below ``columns`` are stored."""
    store(c, at, column, row_inside and column < columns, pair[0], accumulate, bias, other, ends)
    store(c, at + 1, column + 1, row_inside and column + 1 < columns, pair[1], accumulate, bias, other, ends)
