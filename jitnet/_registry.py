"""From an identifier (string, config, class, instance, None) to an object, and from an object to its config.

An object is serialised as ``{"class_name": ..., "config": {...}}``, a function as its name.  Classes and functions of
users are written as ``"package>name"``, so that they can't be mistaken for jitnet's own of the same name.
"""

import contextlib
import contextvars
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from jitnet.core import limits
from jitnet.core.errors import invalid, unknown_name

_DEFAULT_PACKAGE = "Custom"
_registered: dict[str, object] = {}
_registered_names: dict[object, str] = {}
_globals: dict[str, object] = {}  # what get_custom_objects gives out
_scope: contextvars.ContextVar[Mapping[str, object]] = contextvars.ContextVar("custom_objects")


def register_keras_serializable(package: str = _DEFAULT_PACKAGE, name: str | None = None) -> Callable:
    """Decorator that makes a user's class or function known to loading, as ``package>name``.

    Args:
        package: the first part of the name under which it is saved.
        name: the second part; by default the name of the class or function.

    Raises:
        ValueError: a class without ``get_config``, or a name that something else is registered under.

    Example:
        >>> @register_keras_serializable(package="Doctest")
        ... class Halves:
        ...     def get_config(self):
        ...         return {}
        >>> serialize(Halves())
        {'class_name': 'Doctest>Halves', 'config': {}}
    """

    def decorate(target):
        full_name = f"{package}>{name or target.__name__}"
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise invalid("A class that is registered for saving must have `get_config`.", cls=target.__name__)
        present = _registered.get(full_name)
        # a notebook cell that is run again defines the same class again: the newer one counts
        if present is not None and _origin(present) != _origin(target):
            raise invalid(f"{full_name!r} is already registered for {present!r}.", target=target)
        _registered[full_name] = target
        _registered_names[target] = full_name
        return target

    return decorate


def get_registered_name(obj) -> str:
    """The name under which a class or function was registered, or else its own."""
    return _registered_names.get(obj, obj.__name__)


def get_registered_object(name: str, custom_objects: Mapping[str, object] | None = None, module_objects=None):
    """The class or function of a name: of those in scope, registered, or in the given dicts; None if there is none."""
    for table in (_scope.get({}), _globals, _registered, custom_objects or {}, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict[str, object]:
    """Classes and functions that loading knows by name everywhere: a dict to add to."""
    return _globals


@contextlib.contextmanager
def custom_object_scope(custom_objects: Mapping[str, object] | None) -> Iterator[None]:
    """Within the ``with`` block, names in configs are looked up in ``custom_objects`` first, at any depth.

    Args:
        custom_objects: classes and functions by name, with or without ``package>``; or None for no change.
    """
    token = _scope.set({**_scope.get({}), **(custom_objects or {})})
    try:
        yield
    finally:
        _scope.reset(token)


def serialize(obj):
    """The serialised form of an object with ``get_config`` (a dict), of a function (its name) or of None (None).

    Raises:
        ValueError: a lambda, or an object without ``get_config``.
    """
    if obj is None:
        return None
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        return {"class_name": _saved_name(type(obj)), "config": obj.get_config()}
    name = getattr(obj, "__name__", None)
    if not callable(obj) or name is None or name == "<lambda>":
        raise invalid("To be saved, an object needs `get_config`, and a function a name.", object=obj)
    return _saved_name(obj)


def deserialize(
    config: Mapping | str,
    known: Mapping[str, object],
    custom_objects: Mapping[str, object] | None = None,
    kind: str = "object",
):
    """The object that ``config`` describes.

    Args:
        config: ``{"class_name": ..., "config": {...}}``, or the name of a class (made without arguments) or function.
        known: jitnet's own classes and functions by name.
        custom_objects: the user's classes and functions by name; they are also known to the objects' parts.
        kind: what the object is, for messages.

    Raises:
        ValueError: a config of another form, or an unknown name.
        TypeError: a config that its class does not accept.
    """
    if isinstance(config, str):
        name, arguments = config, {}
    elif isinstance(config, Mapping) and isinstance(config.get("class_name"), str):
        name, arguments = config["class_name"], config.get("config") or {}
    else:
        raise invalid(f"The config of {_a(kind)} must be a dict with 'class_name' and 'config'.", config=config)
    with custom_object_scope(custom_objects), contextlib.ExitStack() as stack:
        found = _look_up(name, known, kind)
        if not inspect.isclass(found):
            return found
        stack.enter_context(limits.constructing(is_own(found)))
        try:
            if isinstance(config, str) or not hasattr(found, "from_config"):
                return found(**arguments)
            # a copy, because a `from_config` may take its arguments out of the dict
            return found.from_config(dict(arguments))
        except TypeError as error:
            raise TypeError(f"{name} can't be made from its config: {error}. Received: config={arguments!r}") from error


def get(identifier, known: Mapping[str, object], kind: str, base: type | None = None):
    """The object that ``identifier`` stands for.

    Args:
        identifier: a name, a config (see ``deserialize``), a class (made without arguments), an instance, or None.
        known: jitnet's own classes and functions by name.
        kind: what the object is, for messages.
        base: the class that the object must be an instance of; by default it must only be callable.

    Returns:
        The object, or None for None.

    Raises:
        ValueError: an unknown name, or an object of another kind.
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, Mapping)):
        found = deserialize(identifier, known, kind=kind)
    elif inspect.isclass(identifier):
        found = identifier()
    else:
        found = identifier
    if not (callable(found) if base is None else isinstance(found, base)):
        raise invalid(
            f"Expected {_a(kind)}: its name, its config, a class, an instance or None.",
            **{kind.replace(" ", "_"): identifier},
        )
    return found


def by_name(objects: Iterable, **aliases) -> dict[str, object]:
    """``objects`` by their names, by their names in snake case, and by ``aliases``."""
    objects = list(objects)
    return {
        **{obj.__name__: obj for obj in objects},
        **{snake_case(obj.__name__): obj for obj in objects},
        **aliases,
    }


def snake_case(name: str) -> str:
    """``"GlorotUniform"`` as ``"glorot_uniform"``, ``"MaxPooling2D"`` as ``"max_pooling2d"``, as Keras does it."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _look_up(name: str, known: Mapping[str, object], kind: str):
    custom = _scope.get({})
    bare_name = name.rpartition(">")[2]
    for table, key in (
        (custom, name), (custom, bare_name), (_globals, name), (_globals, bare_name), (_registered, name), (known, name)
    ):  # fmt: skip
        if key in table:
            return table[key]
    if ">" in name:
        raise ValueError(
            f"The {kind} {name!r} is unknown. Pass `custom_objects={{{bare_name!r}: {bare_name}}}`, or decorate it "
            f"with `@jitnet.saving.register_keras_serializable()` before loading. Received: class_name={name!r}"
        )
    raise unknown_name(kind, name, {*known, *custom})


def _saved_name(target) -> str:
    if target in _registered_names:
        return _registered_names[target]
    return target.__name__ if is_own(target) else f"{_DEFAULT_PACKAGE}>{target.__name__}"


def is_own(target) -> bool:
    """Whether a function, a class, or that of an object, is jitnet's."""
    return (getattr(target, "__module__", None) or "").partition(".")[0] == "jitnet"


def _origin(target) -> tuple[str, str]:
    return target.__module__, target.__qualname__


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
