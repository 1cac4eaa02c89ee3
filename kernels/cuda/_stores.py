"""How products store their elements, and what they do before: bias, residual and ReLU, or the mask of a ReLU."""

from ..scalar import real
from ._api import function

NOTHING = (False, False, False, False)  # ends of products that nothing follows


@function
def finished(value, before, shift, other, accumulate, ends):
    """What is stored of ``value``: ``before`` is what lies there, ``shift`` the column's bias."""
    adds_bias, adds, cuts, masks = ends
    if accumulate:
        value += before
    if adds_bias:
        value += shift
    if adds:
        value += other
    return real(0) if (cuts and value <= real(0)) or (masks and other <= real(0)) else value


@function
def store(c, at, column, inside, value, accumulate, bias, other, ends):
    """Element ``at``, in a ``column`` of all groups', if it is inside.

    ends: whether a bias is added, ``other`` is added, ReLU cuts, ``other`` masks.
    """
    if inside:
        adds_bias, adds, _, masks = ends
        before = c[at] if accumulate else real(0)
        shift = bias[column] if adds_bias else real(0)
        beside = other[at] if adds or masks else real(0)
        c[at] = finished(value, before, shift, beside, accumulate, ends)


@function
def store_pair(c, at, column, row_inside, columns, pair, accumulate, bias, other, ends):
    """Element ``at`` and its neighbour, of which those in columns below ``columns`` are stored."""
    store(c, at, column, row_inside and column < columns, pair[0], accumulate, bias, other, ends)
    store(c, at + 1, column + 1, row_inside and column + 1 < columns, pair[1], accumulate, bias, other, ends)
