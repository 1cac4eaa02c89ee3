"""Values and texts as Python source: the only functions through which either gets into generated modules.

Names of layers and models, and all that a file holds, are texts from elsewhere.  In a generated module they are an
identifier, a literal or a docstring, or they are refused; so no text can become code.  Imports nothing of the engine.
"""

import builtins
import hashlib
import keyword
import math
import re
import unicodedata

import numpy as np

LONGEST_IDENTIFIER = 100
_LONGEST_TEXT = 300
_TAKEN = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def identifier(text: str) -> str:
    """An ASCII identifier that reads like ``text``, and is neither a word of Python nor the name of a builtin.

    Different texts may give the same one: who needs unique names must number them.  It has at most
    ``LONGEST_IDENTIFIER`` characters, and the same text always gives the same one.
    """
    folded = unicodedata.normalize("NFKC", text)
    found = re.sub(r"[^A-Za-z0-9_]", _in_ascii, folded).strip("_") or "value"
    if found[0].isdigit():
        found = f"v_{found}"
    if found in _TAKEN:
        found = f"{found}_"
    if len(found) > LONGEST_IDENTIFIER:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        found = f"{found[:40]}_{digest}_{found[-40:]}"
    return found


def _in_ascii(match) -> str:
    """Letters without their accents, other letters by their code points, anything else as an underscore."""
    character = match.group()
    base = unicodedata.normalize("NFKD", character)[0]
    if base.isascii() and base.isalnum():
        return base
    return f"u{ord(character):04x}" if character.isalnum() else "_"


def name(text: str) -> str:
    """``text`` itself, a name that is known to be one: of a kernel, a module, an argument or a dtype.

    Raises:
        ValueError: it is no ASCII identifier, or a word of Python.
    """
    if not isinstance(text, str) or not _IDENTIFIER.fullmatch(text) or keyword.iskeyword(text):
        raise ValueError(f"Generated source takes names only. Received: {text!r}")
    return text


def literal(value) -> str:
    """The source of a bool, an int, a float (infinities and NaN, too) or a tuple of them; NumPy's scalars as Python's.

    Raises:
        TypeError: a value of another type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is tuple:
        parts = [literal(part) for part in value]
        return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
    if type(value) not in (bool, int, float):
        raise TypeError(f"Generated source takes numbers only. Received: {value!r}")
    if type(value) is float and not math.isfinite(value):
        # there is no name for infinity; a literal that is too large for float64 is one
        return "(1e999 - 1e999)" if math.isnan(value) else "1e999" if value > 0 else "-1e999"
    return repr(value)


def docstring(text: str) -> str:
    """``text`` as a docstring of one line in ASCII; of a very long one, the beginning."""
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    escaped = text.encode("unicode_escape").decode("ascii")
    # three quotes would end it, and so would one more at its end
    escaped = re.sub('"(?="|$)', r"\"", escaped)
    return f'"""{escaped}"""'
