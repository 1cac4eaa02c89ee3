"""How much may be made while a file is loaded: a few bytes of a description can ask for any amount of memory."""

import contextlib
import contextvars
import math
import numbers

# in models within models that share layers the operations double at every level; a step of so many could not be run
LARGEST_GRAPH = 20_000

_limits: contextvars.ContextVar["_Limits | None"] = contextvars.ContextVar("limits", default=None)
_counting: contextvars.ContextVar[bool] = contextvars.ContextVar("counting", default=True)


class _Limits:
    def __init__(self, elements: int):
        self.elements = elements
        self.left = {"elements": elements, "operations": LARGEST_GRAPH}


@contextlib.contextmanager
def limited_to(elements: int):
    """Within the ``with`` block no more weights are made than have ``elements`` elements, nor a larger graph."""
    token = _limits.set(_Limits(elements))
    try:
        yield
    finally:
        _limits.reset(token)


@contextlib.contextmanager
def counting(enabled: bool):
    """Within the ``with`` block limits hold, or not: the constructors of users' own classes may make what they like."""
    token = _counting.set(enabled)
    try:
        yield
    finally:
        _counting.reset(token)


def count_weight(name: str, shape: tuple) -> None:
    """Raise ValueError if the weights, this one included, are more than the file holds."""
    limits = _limits.get()
    if limits is None or not _counting.get():
        return
    # a size that is no number is the initializer's to refuse
    limits.left["elements"] -= math.prod(int(size) for size in shape if isinstance(size, numbers.Integral))
    if limits.left["elements"] < 0:
        raise ValueError(
            f"The file's weights have {limits.elements:,} elements in all, fewer than the model that it describes: the "
            f"description is damaged, or the file is. Received: {name} of shape={shape}"
        )


def count_operation() -> None:
    """Raise ValueError if the operations, this one included, are more than a model may have."""
    limits = _limits.get()
    if limits is None or not _counting.get():
        return
    limits.left["operations"] -= 1
    if limits.left["operations"] < 0:
        raise ValueError(f"The file describes a model of more than {LARGEST_GRAPH:,} operations.")
