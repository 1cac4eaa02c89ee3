"""Structures of tensors, arrays or anything: a leaf, or a list, tuple or dict of structures.

The leaves of a dict count in the order of its sorted keys, as in Keras.
"""

from .core.errors import unknown_name

_SEQUENCES = (list, tuple)


def flatten(structure) -> list:
    """All leaves, in order."""
    if isinstance(structure, dict):
        structure = [structure[key] for key in _sorted_keys(structure)]
    elif not isinstance(structure, _SEQUENCES):
        return [structure]
    return [leaf for item in structure for leaf in flatten(item)]


def mapped(function, structure):
    """The same structure of ``function(leaf)``."""
    if isinstance(structure, dict):
        found = {key: mapped(function, structure[key]) for key in _sorted_keys(structure)}
        return {key: found[key] for key in structure}
    if isinstance(structure, _SEQUENCES):
        items = [mapped(function, item) for item in structure]
        return items if isinstance(structure, list) else tuple(items)
    return function(structure)


def packed(structure, leaves):
    """The same structure of other leaves, given in the order of ``flatten``."""
    remaining = iter(leaves)
    return mapped(lambda leaf: next(remaining), structure)


def names_of(structure, leaf_name) -> list[str]:
    """The names of all leaves: the keys on the way to one, joined by "_"; without any, ``leaf_name(number, leaf)``.

    Places in lists count from the outermost dict on: {"a": [x, y]} has the names a_0 and a_1.
    """
    names = []

    def visit(part, path):
        if isinstance(part, dict):
            for key in _sorted_keys(part):
                visit(part[key], (*path, key))
        elif isinstance(part, list | tuple):
            for index, item in enumerate(part):
                visit(item, (*path, str(index)) if path else ())
        else:
            names.append("_".join(path) if path else leaf_name(len(names), part))

    visit(structure, ())
    return names


def leaves_like(reference, given, names: list[str], kind: str, owner: str, place: str) -> list:
    """The parts of ``given`` that take the places of the leaves of ``reference``, in the order of these.

    A dict may also have the leaves by their names, whatever the reference is.

    names: of the leaves of ``reference``; kind, owner: what a leaf is, and of whom ("input", "the model 'm'");
        place: what ``given`` is called.

    Raises ValueError for a part that lacks or has too many keys or items.
    """
    if isinstance(given, dict) and (not isinstance(reference, dict) or given.keys() == set(names)):
        _check_keys(given, names, kind, owner, place)
        return [given[name] for name in names]

    def visit(part, its, at):
        if isinstance(part, dict):
            if not isinstance(its, dict):
                keys = ", ".join(map(repr, part))
                raise ValueError(f"{at} of {owner} must be a dict with the keys {keys}. Received: {type(its).__name__}")
            _check_keys(its, list(part), kind, owner, at)
            items = [(part[key], its[key], f"{at}[{key!r}]") for key in _sorted_keys(part)]
        elif isinstance(part, list):
            if not isinstance(its, list | tuple) or len(its) != len(part):
                received = f"{len(its)} parts" if isinstance(its, list | tuple) else type(its).__name__
                raise ValueError(f"{at} of {owner} must be a list of {len(part)} parts. Received: {received}")
            items = [(p, i, f"{at}[{number}]") for number, (p, i) in enumerate(zip(part, its, strict=True))]
        else:
            return [its]
        return [leaf for item in items for leaf in visit(*item)]

    return visit(reference, given, place)


def _check_keys(given: dict, expected: list[str], kind: str, owner: str, place: str) -> None:
    for key in given:
        if key not in expected:
            raise ValueError(f"{place} of {owner}: {unknown_name(kind, str(key), expected)}")
    missing = [key for key in expected if key not in given]
    if missing:
        raise ValueError(
            f"{place} of {owner} lacks the {kind} {', '.join(map(repr, missing))}. "
            f"Received: {place} for {', '.join(given) or 'nothing'}"
        )


def _sorted_keys(structure: dict) -> list[str]:
    if not all(isinstance(key, str) for key in structure):
        raise TypeError(f"A dict of tensors has strings as keys. Received: keys={list(structure)}")
    return sorted(structure)
