"""Texts of a page: escaped, and numbers as people write them."""

import html
import math
import re

# what HTML and XML don't allow in a text
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escaped(value) -> str:
    """Any text for a page, as content or as an attribute in double quotes."""
    return html.escape(_FORBIDDEN.sub("\ufffd", str(value)), quote=True)


def number(value: float, digits: int = 4) -> str:
    """A number with some digits: 0.01234, 12,345, 1.2e-5."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "\u221e" if value > 0 else "\u2212\u221e"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "\u2212")
    shown = f"{value:.{digits}g}"
    if "e" not in shown and abs(value) >= 1000:
        shown = f"{value:,.0f}"
    mantissa, _, exponent = shown.partition("e")
    return (f"{mantissa}e{int(exponent)}" if exponent else mantissa).replace("-", "\u2212")


def percent(value: float, digits: int = 2) -> str:
    """A share as a percentage: 98.89 %."""
    return f"{100 * value:.{digits}f}\u202f%" if math.isfinite(value) else number(value)


def quantity(name: str) -> str:
    """The name of a quantity in the logs as a title: "val_accuracy" as "Accuracy (validation)"."""
    plain = name.removeprefix("val_").replace("_", " ")
    title = plain[:1].upper() + plain[1:]
    return f"{title} (validation)" if name.startswith("val_") else title


def chart_title(name: str, logarithmic: bool) -> str:
    """The title of the curves of a quantity."""
    title = quantity(name)
    if not logarithmic:
        return title
    return f"{title[:-1]}, logarithmic scale)" if title.endswith(")") else f"{title} (logarithmic scale)"


def plural(count: int, word: str) -> str:
    """A count of things: "1 epoch", "12 epochs"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def is_share(name: str) -> bool:
    """Whether a quantity of this name is a share, from 0 to 1."""
    return name.removeprefix("val_").endswith(("accuracy", "acc"))


def size(shape) -> str:
    """A shape as people write it: 3 x 3, with the sign for it."""
    return "\u00d7".join(map(str, shape)) or "1"


_PLAIN = str.maketrans({"\u202f": " ", "\u2212": "-", "\u2013": "-", "\u00d7": "x"})


def plain(text: str, most: int) -> str:
    """A text for any terminal, of at most so many characters."""
    text = "".join(character if character.isprintable() else "?" for character in text.translate(_PLAIN))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown_value(name: str, value: float) -> str:
    """A value of a quantity in the logs, as people write it."""
    return percent(value) if is_share(name) else number(value)
