"""Data that cannot be used: an error of its own, because the command line tells it from a wrong configuration."""

import contextlib
from collections.abc import Iterator


class DataError(ValueError):
    """Data are missing, damaged, of a wrong shape, or not finite."""


@contextlib.contextmanager
def bad_data() -> Iterator[None]:
    """What goes wrong within the block is the data's fault: its ValueError or OSError becomes a ``DataError``."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, OSError) as error:
        raise DataError(str(error)) from error
