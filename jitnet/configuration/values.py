"""Single values of a configuration, checked: errors name the key, what is expected and what was given."""

import math
import reprlib
import sys

from jitnet.core.errors import unknown_name

LARGEST_INTEGER = 2**32 - 1  # of seeds; more than anything else needs


def wrong(expected: str, key: str, value) -> ValueError:
    """The error of a value that is not as the sentence ``expected`` says."""
    # a value may be as long or as deep as it likes
    return ValueError(f"{expected} Received: {key}={_shortened(value)}")


def _shortened(value) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:
        return f"{type(value).__name__} with an integer of more digits than Python writes"


def unknown_key(key: str, known) -> ValueError:
    """The error of a key that a configuration does not have."""
    return unknown_name("configuration key", key if len(key) < 100 else f"{key[:100]}...", known)


def name(key: str, value, known) -> str:
    """One of the names ``known``."""
    if not isinstance(value, str):
        raise wrong(f"{key} must be one of {', '.join(known)}.", key, value)
    if value not in known:
        raise unknown_name(_kind(key), value, known)
    return value


def _kind(key: str) -> str:
    """What a key names: "optimizer" for optimizer.name."""
    return key.removesuffix(".name").rpartition(".")[2]


def boolean(key: str, value) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(f"{key} must be true or false.", key, value)
    return value


def integer(key: str, value, least: int) -> int:
    """A whole number from ``least`` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise wrong(f"{key} must be a whole number from {least} up.", key, value)
    if value > LARGEST_INTEGER:
        raise wrong(f"{key} must be at most {LARGEST_INTEGER}.", key, value)
    return value


def number(key: str, value, below: float = math.inf) -> float:
    """A number from 0 to, not including, ``below``."""
    # compared, because an integer may be too large to become a float
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise wrong(f"{key} must be a number.", key, value)
    if not 0 <= value < below:
        bounds = "not negative" if below == math.inf else f"from 0 to below {below:g}"
        raise wrong(f"{key} must be {bounds}.", key, value)
    return float(value)


def text(key: str, value) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong(f"{key} must be a string.", key, value)
    return value


def texts(key: str, value) -> list[str]:
    """A list of different strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong(f"{key} must be a list of strings.", key, value)
    if len(set(value)) != len(value):
        raise wrong(f"{key} must name each only once.", key, value)
    return value


def table(key: str, value) -> dict:
    """A table."""
    if not isinstance(value, dict):
        raise wrong(f"{key} must be a table.", key, value)
    return value


def tables(key: str, value) -> list[dict]:
    """A list of tables."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise wrong(f"{key} must be a list of tables, each under [[{key}]].", key, value)
    return value


def positive_integers(key: str, value) -> list[int]:
    """A list of positive integers."""
    if not _are_positive(value):
        raise wrong(f"{key} must be a list of positive integers.", key, value)
    return value


def blocks(key: str, value) -> list[list[int]]:
    """A list of lists of positive integers, none of them empty."""
    if not isinstance(value, list) or not value or not all(_are_positive(block) and block for block in value):
        raise wrong(f"{key} must be a list of blocks, as in [[32, 32], [64]].", key, value)
    return value


def _are_positive(value) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 < item <= LARGEST_INTEGER for item in value)
