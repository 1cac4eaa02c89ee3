"""What of Keras's API is planned and not there yet, for messages: names by kind."""

NAMES: dict[str, tuple] = {}


def is_planned(kind: str, name: str) -> bool:
    """Whether ``name``, however it is spelled, is a planned ``kind``."""
    return plain(name) in {plain(planned) for planned in NAMES.get(kind, ())}


def plain(name: str) -> str:
    """A name without what spellings differ in: case and underscores."""
    return name.lower().replace("_", "")
