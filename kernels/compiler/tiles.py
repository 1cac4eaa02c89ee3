"""Tiles as LLVM's text, each in a module of its own: no passes over what calls it ever see it."""

from llvmlite import ir

from .types import TranslationError

_KEPT = 300  # texts, of some 30 kB each
_written: dict = {}  # (tile, dtype) -> (its name, LLVM's text of its module)


def written(tile, dtype) -> tuple[str, str]:
    """The name of the function that a tile's recipe writes, and the text of its module."""
    key = tile.identity, dtype
    if key not in _written:
        if len(_written) > _KEPT:
            _written.clear()
        module = ir.Module("tile")
        function = tile.recipe(module, dtype)
        if module.metadata:
            raise TranslationError(f"the recipe of {function.name} writes metadata")
        _written[key] = function.name, "\n".join(map(str, module.globals.values()))
    return _written[key]
