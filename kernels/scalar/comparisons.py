"""Comparisons and logic of two numbers of one type: ``NAME(a, b)``, true or false.  They have no derivatives."""


def equal(a, b):
    return a == b


def not_equal(a, b):
    return a != b


def less(a, b):
    return a < b


def less_equal(a, b):
    return a <= b


def greater(a, b):
    return a > b


def greater_equal(a, b):
    return a >= b


def logical_and(a, b):
    """Whether neither is 0."""
    return a != 0 and b != 0


def logical_or(a, b):
    """Whether one is not 0."""
    return a != 0 or b != 0


NAMES = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or")
