"""Arguments of operations, layers and other parts of a model, checked: the same whether a user or a file gives them.

Every function names whose argument it is (``owner``), returns the value as a plain Python one, and raises ValueError
ending in what was received.
"""

import math
import operator
from collections.abc import Iterable

import numpy as np

from .errors import invalid, unknown_name
from .lengths import Length, opened
from .settings import Number

LARGEST = 2**31 - 1  # of sizes, strides and the like
PADDINGS = ("valid", "same")


def integer(owner: str, argument: str, value, least: int = -LARGEST, most: int = LARGEST) -> int:
    """A whole number from ``least`` to ``most``; a bool is none."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
        number = Length(number) if isinstance(value, Length) else number
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        if most != LARGEST or (number is not None and number > most):
            kind = f"an integer from {least} to {most}"
        else:
            kinds = {1: "a positive integer", -LARGEST: "an integer"}
            kind = kinds.get(least, f"an integer from {least} up")
        raise invalid(f"{owner} expects {argument} to be {kind}.", **{argument: value})
    return number


def number(
    owner: str, argument: str, value, least: float = -math.inf, most: float = math.inf, below: float = math.inf,
    finite: bool = True,
) -> float:  # fmt: skip
    """A number from ``least`` to ``most``, less than ``below``; not NaN, and infinite only with ``finite=False``.

    A setting is returned as it is, if it is such a number at present.
    """
    try:
        known = isinstance(value, int | float | np.integer | np.floating | Number) and not isinstance(value, bool)
        found = float(value) if known else math.nan
    except OverflowError:
        found = math.nan
    if not least <= found <= most or (math.isinf(found) and finite) or not (found < below or below == math.inf):
        if below < math.inf:
            bounds = f" from {least:g} up to, not including, {below:g}"
        elif most < math.inf:
            bounds = f" from {least:g} to {most:g}"
        elif least == 0:
            bounds = ", not negative"
        else:
            bounds = f" from {least:g} up" if least > -math.inf else ""
        kind = "a finite number" if finite else "a number"
        raise invalid(f"{owner} expects {argument} to be {kind}{bounds}.", **{argument: value})
    return value if isinstance(value, Number) else found


def optional(check):
    """None, or what ``check`` takes."""

    def checked(owner: str, argument: str, value, **bounds):
        return None if value is None else check(owner, argument, value, **bounds)

    return checked


def positive(owner: str, argument: str, value) -> float:
    """A finite number above 0."""
    found = number(owner, argument, value)
    if found <= 0:
        raise invalid(f"{owner} expects {argument} to be above 0.", **{argument: value})
    return found


def boolean(owner: str, argument: str, value) -> bool:
    """True or False; 1 and 0 count as such."""
    if not isinstance(value, bool | int | float | np.bool_) or value not in (0, 1):
        raise invalid(f"{owner} expects {argument} to be True or False.", **{argument: value})
    return bool(value)


def text(owner: str, argument: str, value) -> str:
    """A string."""
    if not isinstance(value, str):
        raise invalid(f"{owner} expects {argument} to be a string.", **{argument: value})
    return value


def one_of(owner: str, argument: str, value, known: Iterable[str]) -> str:
    """One of the ``known`` names."""
    if not isinstance(value, str):
        raise invalid(f"{owner} expects {argument} to be one of {', '.join(known)}.", **{argument: value})
    if value not in known:
        raise unknown_name(f"{argument} of {owner}", value, known)
    return value


def sizes(owner: str, argument: str, value, least: int = 1) -> tuple[int, ...]:
    """A sequence of integers from ``least`` up, as a tuple."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise invalid(f"{owner} expects {argument} to be a sequence of integers.", **{argument: value})
    return tuple(integer(owner, argument, size, least) for size in value)


def input_shape(owner: str, argument: str, value, least: int = 1) -> tuple[int, ...]:
    """The shape of a sample, in which None stands for a length that is not known yet."""
    opens = isinstance(value, list | tuple) and None in value
    return sizes(owner, argument, opened(value) if opens else value, least)


def axes(owner: str, argument: str, value, count: int, least: int = 1) -> tuple[int, ...]:
    """An integer from ``least`` up for each of ``count`` axes, from a sequence of them or from one for all."""
    try:
        values = (value,) * count if isinstance(value, int | np.integer) else tuple(value)
        if len(values) != count or isinstance(value, str | dict):
            raise ValueError
        return tuple(integer(owner, argument, v, least) for v in values)
    except (TypeError, ValueError):
        several = {1: "", 2: " or a pair of them"}.get(count, f" or {count} of them")
        expected = f"{owner} expects {argument} to be an integer from {least} up{several}."
        raise invalid(expected, **{argument: value}) from None


def pair(owner: str, argument: str, value, least: int = 1) -> tuple[int, int]:
    """An integer from ``least`` up or a pair of them, as a pair."""
    return axes(owner, argument, value, 2, least)


def margins(owner: str, argument: str, value) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)), none of them negative; from an int or a pair, the same on both sides."""
    try:
        sides = (value, value) if isinstance(value, int | np.integer) else tuple(value)
        if len(sides) != 2 or isinstance(value, str | dict):
            raise ValueError
        return tuple(pair(owner, argument, side, least=0) for side in sides)
    except (TypeError, ValueError):
        raise invalid(
            f"{owner} expects {argument} as an int, a pair, or ((top, bottom), (left, right)), not negative.",
            **{argument: value},
        ) from None


def padding(owner: str, value) -> str | tuple:
    """ "valid", "same" or ((top, bottom), (left, right))."""
    return padding_name(owner, value) if isinstance(value, str) else margins(owner, "padding", value)


def padding_name(owner: str, value, known=PADDINGS) -> str:
    """ "valid" or "same", or what else is ``known``, in any case of letters."""
    if not isinstance(value, str) or value.lower() not in known:
        names = " or ".join(f'"{name}"' for name in known)
        raise invalid(f"{owner} expects padding {names}.", padding=value)
    return value.lower()


def channels_last(owner: str, data_format) -> None:
    """Raise unless the channels are the last axis."""
    if data_format not in (None, "channels_last"):
        raise invalid(
            f'{owner} takes tensors as (batch, ..., channels): data_format="channels_last".', data_format=data_format
        )
