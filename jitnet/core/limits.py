"""How much may be made while a file is loaded: a few bytes of a description can ask for any amount of memory."""

import contextlib
import contextvars
import math
import numbers

# in models within models that share layers the operations double at every level; a step of so many could not be run
LARGEST_GRAPH = 20_000

# a user's own class may make more than is saved, such as a whole network of which it keeps a part
_USERS_TIMES = 32
_USERS_LEAST = 1 << 24

_limits: contextvars.ContextVar["_Limits | None"] = contextvars.ContextVar("limits", default=None)
_own: contextvars.ContextVar[bool] = contextvars.ContextVar("own", default=True)


class _Limits:
    def __init__(self, elements: int):
        self.elements = elements
        # of weights, by whether they are made outside of the constructors of users' classes
        self.left = {True: elements, False: max(_USERS_TIMES * elements, _USERS_LEAST)}
        self.operations_left = LARGEST_GRAPH


@contextlib.contextmanager
def limited_to(elements: int):
    """Within the ``with`` block no more weights are made than have ``elements`` elements, nor a larger graph.

    In the constructors of users' classes a multiple of that is allowed.
    """
    token = _limits.set(_Limits(elements))
    try:
        yield
    finally:
        _limits.reset(token)


@contextlib.contextmanager
def constructing(own: bool):
    """Within the ``with`` block an object is made from its description.

    own: whether its class is jitnet's.
    """
    token = _own.set(own)
    try:
        yield
    finally:
        _own.reset(token)


def count_weight(name: str, shape: tuple) -> None:
    """Raise ValueError if the weights, this one included, are more than the file holds."""
    limits = _limits.get()
    if limits is None:
        return
    # a size that is no number is the initializer's to refuse
    elements = math.prod(int(size) for size in shape if isinstance(size, numbers.Integral))
    limits.left[_own.get()] -= elements
    if limits.left[_own.get()] < 0:
        raise ValueError(
            f"The file's weights have {limits.elements:,} elements in all, fewer than the model that it describes: the "
            f"description is damaged, or the file is. Received: {name} of shape={shape}"
        )


def count_operation() -> None:
    """Raise ValueError if the operations, this one included, are more than a model may have."""
    limits = _limits.get()
    if limits is None:
        return
    limits.operations_left -= 1
    if limits.operations_left < 0:
        raise ValueError(f"The file describes a model of more than {LARGEST_GRAPH:,} operations.")
