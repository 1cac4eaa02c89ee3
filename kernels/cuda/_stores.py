"""How products store their elements, and what they do before: bias, residual and ReLU, or the mask of a ReLU."""

from ..scalar import real
from ._api import function
from .ptx import load_pair, load_quad, store_pair, store_quad

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
def store_two(c, at, column, inside, values, accumulate, bias, other, ends):
    """Element ``at`` and the next, if they are inside; all aligned to 8 bytes."""
    if inside:
        adds_bias, adds, _, masks = ends
        none = real(0), real(0)
        before = load_pair(c, at) if accumulate else none
        shift = load_pair(bias, column) if adds_bias else none
        beside = load_pair(other, at) if adds or masks else none
        first = finished(values[0], before[0], shift[0], beside[0], accumulate, ends)
        second = finished(values[1], before[1], shift[1], beside[1], accumulate, ends)
        store_pair(c, at, (first, second))


@function
def store_four(c, at, column, inside, values, accumulate, bias, other, ends):
    """Element ``at`` and the next three, if they are inside; all aligned to 16 bytes."""
    if inside:
        adds_bias, adds, _, masks = ends
        none = real(0), real(0), real(0), real(0)
        before = load_quad(c, at) if accumulate else none
        shift = load_quad(bias, column) if adds_bias else none
        beside = load_quad(other, at) if adds or masks else none
        first = finished(values[0], before[0], shift[0], beside[0], accumulate, ends)
        second = finished(values[1], before[1], shift[1], beside[1], accumulate, ends)
        third = finished(values[2], before[2], shift[2], beside[2], accumulate, ends)
        fourth = finished(values[3], before[3], shift[3], beside[3], accumulate, ends)
        store_quad(c, at, (first, second, third, fourth))
