"""What a section of a step can run along, part by part, besides the batch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """The ``rows`` of a weight, in parts [first, last) that start at multiples of ``tile``."""

    rows: int
    tile: int


@dataclass(frozen=True)
class Shares:
    """The ``pieces`` of a result that is computed over the whole batch, from ``first`` to ``last`` in a part."""

    pieces: int


@dataclass(frozen=True)
class Elements:
    """Neighbouring parameters, in blocks that start on a cache line."""

    length: int
    itemsize: int
