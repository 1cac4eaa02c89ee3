"""Messages of errors: what was expected, what is nearest, and what was received."""

import difflib
from collections.abc import Iterable


def invalid(expected: str, **received) -> ValueError:
    """A ``ValueError`` of the form ``<expected> Received: units=-3``.

    Args:
        expected: a sentence that says what was expected, with its full stop.
        **received: the arguments that broke the expectation, by name.
    """
    return ValueError(f"{expected} Received: {_listed(received)}")


def unknown_name(kind: str, given: str, known: Iterable[str]) -> ValueError:
    """A ``ValueError`` for a name that no ``kind`` has; it names the nearest known one, or all if none is near.

    Args:
        kind: what the name should have named, as it is called in prose: ``"initializer"``.
        given: the name that was given.
        known: the names that exist.
    """
    # spellings that differ only in case and underscores count once
    spellings = {_plain(name): name for name in sorted(known)}
    nearest = difflib.get_close_matches(_plain(given), spellings, n=1)
    if nearest:
        hint = f"Did you mean {spellings[nearest[0]]!r}?"
    else:
        hint = f"Known: {', '.join(sorted(spellings.values()))}."
    return ValueError(f"Unknown {kind} {given!r}. {hint} Received: {kind.replace(' ', '_')}={given!r}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _listed(received: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in received.items())
