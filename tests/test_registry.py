"""Names, configs, classes and instances to objects and back; users' classes and functions."""

import pytest

from jitnet import _registry
from jitnet.core.errors import invalid, unknown_name


class Scale:
    def __init__(self, factor=1.0, inner=None):
        self.factor = factor
        self.inner = _registry.get(inner, KNOWN, "thing")

    def __call__(self):
        return self.factor

    def get_config(self):
        return {"factor": self.factor, "inner": _registry.serialize(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(config.pop("factor"), config.pop("inner", None))


class Plain:
    """Has no ``from_config``."""

    def __init__(self, size):
        self.size = size

    def get_config(self):
        return {"size": self.size}


def double(x):
    return 2 * x


KNOWN = _registry.by_name([Scale, double], big=Scale)


@pytest.fixture
def registered(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(_registry, "_registered", {})
    monkeypatch.setattr(_registry, "_registered_names", {})
    return _registry.register_keras_serializable


@pytest.mark.parametrize("identifier", ["Scale", "scale", "big", Scale])
def test_get_makes_an_object_from_a_name_or_class(identifier):
    found = _registry.get(identifier, KNOWN, "thing")
    assert type(found) is Scale and found.factor == 1.0


def test_get_config_instance_function_and_none():
    made = _registry.get({"class_name": "Scale", "config": {"factor": 3.0}}, KNOWN, "thing")
    assert made.factor == 3.0
    assert _registry.get(made, KNOWN, "thing") is made
    assert _registry.get("double", KNOWN, "thing") is double
    assert _registry.get(double, KNOWN, "thing") is double
    assert _registry.get(None, KNOWN, "thing") is None


def test_get_rejects_an_object_of_another_kind():
    with pytest.raises(ValueError, match=r"Expected a thing: .* Received: thing=3$"):
        _registry.get(3, KNOWN, "thing")
    with pytest.raises(ValueError, match=r"Expected an odd thing: .* Received: odd_thing=<function double"):
        _registry.get(double, KNOWN, "odd thing", base=Scale)


def test_unknown_names_say_the_nearest_known_one():
    with pytest.raises(ValueError, match=r"^Unknown thing 'scael'\. Did you mean 'scale'\? Received: thing='scael'$"):
        _registry.get("scael", KNOWN, "thing")
    with pytest.raises(ValueError, match=r"Known: big, double, scale\. Received: thing='zzz'$"):
        _registry.get("zzz", KNOWN, "thing")


def test_the_nearest_name_ignores_case_and_underscores():
    assert "Did you mean 'he_normal'?" in str(unknown_name("initializer", "HENormal", ["he_normal", "ones"]))


def test_invalid_lists_what_was_received():
    assert str(invalid("`units` must be positive.", units=-3, name="a")) == (
        "`units` must be positive. Received: units=-3, name='a'"
    )


def test_users_classes_are_saved_apart_from_jitnets_own():
    assert _registry.serialize(Scale(2.0)) == {
        "class_name": "Custom>Scale",
        "config": {"factor": 2.0, "inner": None},
    }
    assert _registry.serialize(double) == "Custom>double"
    assert _registry.serialize(None) is None


def test_missing_custom_objects_are_explained():
    with pytest.raises(ValueError, match=r"'Custom>Scale' is unknown.*custom_objects=\{'Scale': Scale\}.*register"):
        _registry.deserialize(_registry.serialize(Scale()), {}, kind="layer")


@pytest.mark.parametrize("key", ["Scale", "Custom>Scale"])
def test_custom_objects_reach_nested_configs(key):
    config = _registry.serialize(Scale(2.0, inner=Scale(5.0)))
    loaded = _registry.deserialize(config, {}, custom_objects={key: Scale})
    assert (loaded.factor, loaded.inner.factor) == (2.0, 5.0)
    # deserialising takes nothing out of the caller's config
    assert config["config"]["factor"] == 2.0 and config["config"]["inner"]["config"]["factor"] == 5.0


def test_custom_objects_end_with_their_scope():
    config = _registry.serialize(Scale(2.0))
    with _registry.custom_object_scope({"Scale": Scale}), _registry.custom_object_scope({"double": double}):
        assert _registry.deserialize(config, {}).factor == 2.0
        assert _registry.deserialize("Custom>double", {}) is double
    with pytest.raises(ValueError, match="is unknown"):
        _registry.deserialize(config, {})


def test_registered_classes_and_functions_load_without_custom_objects(registered):
    assert registered(package="Mine", name="S")(Scale) is Scale
    registered()(double)
    config = _registry.serialize(Scale(4.0))
    assert config["class_name"] == "Mine>S"
    assert _registry.deserialize(config, {}).factor == 4.0
    assert _registry.deserialize(_registry.serialize(double), {}) is double


def test_registering_again(registered):
    registered()(Scale)
    again = type("Scale", (Scale,), {"__module__": Scale.__module__, "__qualname__": "Scale"})
    registered()(again)  # the same definition run again, as in a notebook
    assert type(_registry.deserialize({"class_name": "Custom>Scale", "config": {"factor": 1}}, {})) is again
    with pytest.raises(ValueError, match=r"'Custom>Scale' is already registered for .* Received: target=.*Plain"):
        registered(name="Scale")(Plain)
    with pytest.raises(ValueError, match=r"must have `get_config`\. Received: cls='Empty'"):
        registered()(type("Empty", (), {}))


def test_classes_without_from_config_get_keywords():
    made = _registry.deserialize({"class_name": "Plain", "config": {"size": 7}}, {"Plain": Plain})
    assert made.size == 7


def test_bad_configs():
    for bad in ({"config": {}}, {"class_name": 3}, 5, None):
        with pytest.raises(ValueError, match=r"The config of a layer must be a dict with .* Received: config="):
            _registry.deserialize(bad, KNOWN, kind="layer")
    with pytest.raises(TypeError, match=r"Plain can't be made from its config: .*'colour'.* Received: config="):
        _registry.deserialize({"class_name": "Plain", "config": {"colour": 1}}, {"Plain": Plain})


@pytest.mark.parametrize("nameless", [lambda x: x, 3])
def test_what_has_no_name_cannot_be_saved(nameless):
    with pytest.raises(ValueError, match=r"needs `get_config`, and a function a name\. Received: object="):
        _registry.serialize(nameless)


@pytest.mark.parametrize(
    "name, expected",
    [("GlorotUniform", "glorot_uniform"), ("MaxPooling2D", "max_pooling2d"), ("Conv2D", "conv2d"), ("L1L2", "l1l2")],
)
def test_snake_case(name, expected):
    assert _registry.snake_case(name) == expected
