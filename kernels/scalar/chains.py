"""What a chain of pointwise functions is made of: names of scalar functions, and statements that call them."""

import re

from . import activations, arithmetic

_LONGEST_NAME = 60
_ARITHMETIC = {*arithmetic.NAMES, *(f"{name}_derivative_{side}" for name in arithmetic.NAMES for side in "ab")}


def _is_function(name: str) -> bool:
    return name in _ARITHMETIC or name.removesuffix("_derivative") in activations.NAMES


def check(functions, arguments, statements) -> None:
    """Raise ValueError unless ``statements`` can become part of a source as they are.

    They call ``functions`` of elements ``name[i]`` of arguments, ``name[j]`` of those for every row, of arguments, and
    of values ``v1``, ``v2``...
    """
    known = {*arguments, "i", "j"}
    unknown = {name for name in functions if not _is_function(name)}
    for statement in statements:
        words = set(re.findall(r"\w+", statement)) - known
        unknown |= {word for word in words if not re.fullmatch(r"v\d+", word) and not _is_function(word)}
        unknown |= set(re.sub(r"[\w \[\](),=*+]", "", statement))
    if unknown:
        raise ValueError(f"A chain consists of known functions of its arguments. Received: {sorted(unknown)}")


def name_of(functions) -> str:
    """The name of the kernel that calls these functions, in order."""
    name = f"pointwise_{'_'.join(dict.fromkeys(functions) or ['copy'])}"
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}_and_so_on"
