"""Tiles in shared memory as tensor cores read them: where quads are put, and how fragments are read.

Of an operand's matrix (fixed, k) a tile holds some ``fixed``, rows of a or columns of b, and the ``DEPTH`` k of a
step, in float32.  Where the operand's quads lie along the depth, its tile is (fixed, k), else (k, fixed).  What a warp
reads at a time must come from all banks: so the places within a line are exchanged by what line it is (a swizzle).

Products of fragments (see ``ptx``) want of eight ``fixed`` at a time, a *slot*, two words: TF32 of (g, t) and of
(g, t + 4), where g = lane // 4 and t = lane % 4; a fragment of a has two slots, of b one.  Two things are free as long
as both operands agree, or sums are stored accordingly:

- Which k is called which.  So two bfloat16 of a word are those of t and t + 4, and a fragment in bfloat16, which is
  twice as deep, is read like two in TF32.
- Which eight of the matrix are a slot.  Those of a tile (k, fixed) are every ``run``-th, so that what a lane needs of
  ``run`` slots lies side by side, and is one vector::

      slot s of a warp holds 8 * run * (s // run) + run * g + s % run
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ._api import WARP, function
from .ptx import load_matrices, load_pair, load_quad, pack_bf16, to_tf32

DEPTH = 16  # of a step: two fragments in TF32, or one in bfloat16


class Layout(NamedTuple):
    """A tile, as functions of places in it.

    Quads of one k that are 32 apart in what is fixed, or 8 if it lies along the depth, lie as far apart as their lines.

    size: in elements
    place(fixed, k) -> where a quad begins
    own(first, lane) -> from where a lane of a warp reads, whose ``fixed`` begin at ``first``
    read(words, tile, own, half) -> nothing; words: (slots, 2), of the lane and of a half of the depth, 0 or 1
    """

    size: int
    place: Callable
    own: Callable
    read: Callable
    run: int


@cache
def layout(kind: str, along_depth: bool, fixed: int, width: int) -> Layout:
    """The layout of a tile of ``fixed``, of which a warp reads ``width``.  kind: "tf32" or "bf16"."""
    keep = _keep_tf32 if kind == "tf32" else _keep_bf16
    return _along(fixed, width, keep) if along_depth else _across(fixed, width, keep)


@function
def _keep_tf32(words, slot, half, near, far):
    words[slot, 0], words[slot, 1] = to_tf32(near), to_tf32(far)


@function
def _keep_bf16(words, slot, half, near, far):
    words[slot, half] = pack_bf16(near, far)


def _along(fixed: int, width: int, keep) -> Layout:
    """(fixed, k): ldmatrix reads eight lines of four elements at a time; of eight lines two share their banks."""

    @function
    def at(line, k):
        return line * DEPTH + (k ^ ((line >> 1 & 3) << 2))

    @function
    def own(first, lane):
        return at(first + (lane & 15), lane >> 4 << 2)

    @function
    def read(words, tile, own, half):
        for slot in range(0, width // 8, 2):
            found = load_matrices(tile, (own ^ (half << 3)) + slot * 8 * DEPTH)
            keep(words, slot, half, found[0], found[2])
            keep(words, slot + 1, half, found[1], found[3])

    return Layout(fixed * DEPTH, at, own, read, 1)


def _across(fixed: int, width: int, keep) -> Layout:
    """(k, fixed): a lane reads ``run`` neighbours of lines t and t + 4; of lines of 16 elements two share banks."""
    run = 4 if width % WARP == 0 else 2
    narrow = fixed < WARP
    if run == 2 and width != 16:
        raise ValueError(f"A warp's width is 16 or a multiple of 32. Received: {width}")

    @function
    def at(element, k):
        return k * fixed + (element ^ ((k & 2) << 2 if narrow else (k & 3) << 3))

    @function
    def own(first, lane):
        return at(first + run * (lane >> 2), lane & 3)

    @function
    def read_quads(words, tile, own, half):
        for slot in range(0, width // 8, 4):
            at = own + half * 8 * fixed + slot * 8
            near, far = load_quad(tile, at), load_quad(tile, at + 4 * fixed)
            for e in range(4):
                keep(words, slot + e, half, near[e], far[e])

    @function
    def read_pair(words, tile, own, half):
        at = own + half * 8 * fixed
        near, far = load_pair(tile, at), load_pair(tile, at + 4 * fixed)
        for e in range(2):
            keep(words, e, half, near[e], far[e])

    return Layout(DEPTH * fixed, at, own, read_quads if run == 4 else read_pair, run)
