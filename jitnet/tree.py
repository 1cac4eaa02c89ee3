"""Keras's ``tree``: structures, lists, tuples and dicts of anything, and functions of their leaves.

The leaves of a dict count in the order of its sorted keys.
"""

from ._structures import flatten as _leaves
from ._structures import packed
from .core.errors import invalid, module_dir, module_getattr

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip


class MAP_TO_NONE:
    """What the function of ``traverse`` returns for a part that is to become None."""


def is_nested(structure) -> bool:
    """Whether it is a list, a tuple or a dict, and no leaf."""
    return isinstance(structure, list | tuple | dict)


def flatten(structure) -> list:
    """All leaves, in order."""
    return _leaves(structure)


def _parts(structure) -> list[tuple]:
    """(key or index, part) of a nested structure, in order."""
    if isinstance(structure, dict):
        try:
            keys = sorted(structure)
        except TypeError:
            raise invalid("The keys of a structure are of types that can be ordered.", structure=structure) from None
        return [(key, structure[key]) for key in keys]
    return list(enumerate(structure))


def flatten_with_path(structure) -> list[tuple]:
    """(path, leaf) of all leaves, in order; a path is a tuple of keys and indices."""
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key, part in _parts(structure) for path, leaf in flatten_with_path(part)]


def map_structure(func, *structures, none_is_leaf=True):
    """The structure of ``func(leaf, ...)`` of leaves in the same place of each structure.

    none_is_leaf: whether None is given to ``func``, too; else it stays.
    Raises ValueError for structures that differ.
    """
    if not callable(func) or not structures:
        raise invalid("map_structure expects a function and structures.", func=func)
    for other in structures[1:]:
        assert_same_structure(structures[0], other)

    def function(leaves):
        return None if not none_is_leaf and leaves[0] is None else func(*leaves)

    together = list(zip(*map(_leaves, structures), strict=True))
    return packed(structures[0], [function(leaves) for leaves in together])


def map_structure_up_to(shallow_structure, func, *structures):
    """``map_structure`` in which what stands in the place of a leaf of ``shallow_structure`` counts as a leaf."""
    together = [_up_to(shallow_structure, structure) for structure in structures]
    return packed(shallow_structure, [func(*leaves) for leaves in zip(*together, strict=True)])


def _up_to(shallow, structure) -> list:
    if not is_nested(shallow):
        return [structure]
    _check_same(shallow, structure)
    pairs = zip(_parts(shallow), _parts(structure), strict=True)
    return [leaf for (_, one), (_, two) in pairs for leaf in _up_to(one, two)]


def _check_same(a, b) -> None:
    same = type(a) is type(b) and is_nested(a) and [key for key, _ in _parts(a)] == [key for key, _ in _parts(b)]
    if not same:
        raise invalid("The structures differ.", one=a, other=b)


def assert_same_structure(a, b, check_types=None) -> None:
    """Raise ValueError unless both are nested in the same way, in lists, tuples and dicts of the same keys.

    check_types: accepted for Keras's sake; types always count.
    """
    if is_nested(a) or is_nested(b):
        _check_same(a, b)
        for (_, one), (_, two) in zip(_parts(a), _parts(b), strict=True):
            assert_same_structure(one, two)


def assert_same_paths(a, b) -> None:
    """Raise ValueError unless the paths to the leaves of both are the same; a tuple may stand for a list."""
    if [path for path, _ in flatten_with_path(a)] != [path for path, _ in flatten_with_path(b)]:
        raise invalid("The paths to the leaves differ.", one=a, other=b)


def pack_sequence_as(structure, flat_sequence):
    """The structure with other leaves, given in order."""
    leaves = list(flat_sequence)
    if len(leaves) != len(_leaves(structure)):
        raise invalid(f"The structure has {len(_leaves(structure))} leaves.", leaves=len(leaves))
    return packed(structure, leaves)


def lists_to_tuples(structure):
    """The structure with tuples in the place of lists."""
    if isinstance(structure, dict):
        return {key: lists_to_tuples(part) for key, part in structure.items()}
    return tuple(map(lists_to_tuples, structure)) if isinstance(structure, list | tuple) else structure


def map_shape_structure(func, structure):
    """The structure of ``func(shape)``, where tuples and lists of integers and None are shapes."""
    if isinstance(structure, tuple | list) and all(isinstance(size, int | type(None)) for size in structure):
        return func(tuple(structure))
    if isinstance(structure, dict):
        return {key: map_shape_structure(func, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(map_shape_structure(func, part) for part in structure)
    raise invalid("A structure of shapes is made of tuples of integers and None.", structure=structure)


def traverse(func, structure, top_down=True):
    """The structure in which each part, the whole one first, is what ``func`` returns for it, unless that is None.

    top_down: what ``func`` returns isn't gone into; False: parts come before what they are in.
    """
    if top_down:
        found = func(structure)
        if found is None:
            return _inside(func, structure, top_down) if is_nested(structure) else structure
        return None if found is MAP_TO_NONE else found
    structure = _inside(func, structure, top_down) if is_nested(structure) else structure
    found = func(structure)
    return structure if found is None else None if found is MAP_TO_NONE else found


def _inside(func, structure, top_down):
    if isinstance(structure, dict):
        return {key: traverse(func, part, top_down) for key, part in structure.items()}
    return type(structure)(traverse(func, part, top_down) for part in structure)


__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
