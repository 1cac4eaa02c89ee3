"""jitnet.tree against Keras's."""

import pytest
from keras_cases import load_keras

import jitnet
from jitnet import tree

keras = load_keras()
STRUCTURES = [
    3, [], (1, 2), [1, [2, (3,)], {}], {"b": 1, "a": [2, 3]}, {"x": {"y": 2, "z": (1, None)}}, [None, (1, [None])],
]  # fmt: skip


def outcome(call):
    try:
        return call()
    except (TypeError, ValueError):
        return "refused"


@pytest.mark.skipif(keras is None, reason="needs Keras with PyTorch")
@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_against_keras(structure):
    other = tree.map_structure(lambda leaf: "y", structure)
    calls = {
        "flatten": lambda t: t.flatten(structure),
        "flatten_with_path": lambda t: t.flatten_with_path(structure),
        "is_nested": lambda t: t.is_nested(structure),
        "map_structure": lambda t: t.map_structure(lambda a, b: (a, b), structure, other),
        "map_structure but None": lambda t: t.map_structure(lambda a: "x", structure, none_is_leaf=False),
        "map_structure_up_to": lambda t: t.map_structure_up_to(
            structure, lambda a: [a], t.map_structure(lambda x: (x, x), structure)
        ),
        "pack_sequence_as": lambda t: t.pack_sequence_as(structure, range(len(t.flatten(structure)))),
        "too few": lambda t: t.pack_sequence_as([structure, 1], range(len(t.flatten(structure)))),
        "lists_to_tuples": lambda t: t.lists_to_tuples(structure),
        "traverse": lambda t: t.traverse(lambda part: sum(part) if part == (1, 2) else None, structure),
        "upwards": lambda t: t.traverse(lambda part: 5 if part == 2 else t.MAP_TO_NONE if part == 1 else None,
                                        structure, top_down=False),
        "same": lambda t: t.assert_same_structure(structure, other),
        "paths": lambda t: t.assert_same_paths(structure, t.lists_to_tuples(structure)),
        "others": lambda t: t.assert_same_structure([structure, 1], [structure, [1]]),
        "other paths": lambda t: t.assert_same_paths([structure, 1], [structure, [1, 2]]),
        "shapes": lambda t: t.map_shape_structure(lambda shape: ("s", shape), {"a": (None, 2), "b": [(3,), (4, 5)]}),
    }  # fmt: skip
    for name, call in calls.items():
        assert outcome(lambda call=call: call(tree)) == outcome(lambda call=call: call(keras.tree)), name


def test_keys_in_order():
    # at any depth: Keras's own depends on the library that it goes through
    assert tree.flatten({"x": {"z": (1, None), "y": 2}}) == [2, 1, None]
    assert tree.flatten_with_path({"x": {"z": 1, "y": 2}}) == [(("x", "y"), 2), (("x", "z"), 1)]
    assert list(tree.map_structure(str, {"z": 1, "y": 2})) == ["z", "y"]


def test_refusals():
    with pytest.raises(ValueError, match=r"structures differ\. Received: one=\[1, 2\], other=\(1, 2\)"):
        tree.map_structure(max, [1, 2], (1, 2))
    with pytest.raises(ValueError, match=r"2 leaves\. Received: leaves=3"):
        tree.pack_sequence_as([1, 2], range(3))
    with pytest.raises(AttributeError, match=r"Did you mean 'map_structure'\?"):
        tree.map_structures  # noqa: B018
    assert jitnet.tree is tree
