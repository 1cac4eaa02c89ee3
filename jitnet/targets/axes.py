"""What a section of a step can run along, part by part, besides the batch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """The ``rows`` of a weight, in parts [first, last) that start at multiples of ``tile``."""

    rows: int
    tile: int


@dataclass(frozen=True)
class ImageRows:
    """The ``rows`` of each image, in ``blocks`` [first, last) that start at multiples of ``tile``.

    filters: each of these is made in so many parts, too, of ``size`` filters from ``column`` on.
    """

    rows: int
    tile: int
    blocks: int
    filters: int = 1
    size: int = 0

    @property
    def parts(self) -> int:
        """Of an image."""
        return self.blocks * self.filters


@dataclass(frozen=True)
class Portions:
    """Calls that each do a part, which they know themselves."""


@dataclass(frozen=True)
class Shares:
    """The ``pieces`` of a result that is computed over the whole batch, from ``first`` to ``last`` in a part."""

    pieces: int


@dataclass(frozen=True)
class Elements:
    """Neighbouring parameters, in blocks that start on a cache line."""

    length: int
    itemsize: int
