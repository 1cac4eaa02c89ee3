"""Attributes that are written into steps: assigning one later would do nothing, so it is an error, or a new step."""

import contextlib
import gc
import inspect
import threading
import weakref

from .core import trace
from .core.errors import invalid

_models = weakref.WeakValueDictionary()  # those with steps, by their id
_thread = threading.local()  # its ``trace``: while a step is traced, what it is written from
_FREE = {"name", "built", "stop_training", "history", "iterations"}  # what no step is written from, or every run reads


class _Trace:
    """What the trace of a step has come across: parts, and adjustable attributes that were read as numbers."""

    def __init__(self):
        self.parts: dict = {}  # by their ids
        self.read: set = set()  # (id of a part, name)


class Fixed:
    """A part of a model: once a step that was written from its public attributes has run, they can't be assigned.

    What a step doesn't depend on has a name that starts with an underscore; what may be assigned at any time is
    ``Adjustable``, or a number (a float) of a class of the user's own, with which steps are then written anew.
    """

    def __setattr__(self, name, value):
        if not name.startswith("_") and _trace() is None and not trace.current_scope()[0]:
            _check(self, name, value)
        super().__setattr__(name, value)

    def _structure(self):
        """What, of values that may be assigned at any time, decides which operations there are; compared by ``==``."""
        return None


@contextlib.contextmanager
def tracing():
    """Within the block, a part may assign its attributes: what it remembers of a call."""
    before, _thread.trace = _trace(), _Trace()
    try:
        yield
    finally:
        _thread.trace = before


def _trace() -> _Trace | None:
    return getattr(_thread, "trace", None)


def noticed(part) -> None:
    """A step that is being traced is written from a part."""
    found = _trace()
    if found is not None:
        found.parts[id(part)] = part


def reading(part, name: str) -> None:
    """An adjustable attribute is read as a number: a step that is being traced is written from it."""
    found = _trace()
    if found is not None:
        found.parts[id(part)] = part
        found.read.add((id(part), name))


class KeepsSteps:
    """What has steps of its own and is no model: it makes them anew where a part has got another structure."""

    def _forget_steps(self) -> None:
        self._steps: dict = {}
        self._written_from: dict = {}

    def _settings_changed(self, structure: bool) -> None:
        if structure:
            self._forget_steps()


def fix(model, parts=()) -> None:
    """From now on ``model`` has a step that was written from ``parts``, and from those that its trace has noticed.

    model: or whatever else has ``_steps`` that it makes again once ``_forget_steps`` was called.
    """
    found = _trace() or _Trace()
    read = found.read
    for part in {**found.parts, **{id(part): part for part in parts}}.values():
        adjustable = {name for name in vars(part) if inspect.isdatadescriptor(getattr(type(part), name, None))}
        names = {name for name in vars(part) if not name.startswith("_")} - _FREE - adjustable
        if part is not model:
            names.discard("optimizer")  # a model within a model is not trained with its own one
        names |= {name for name in adjustable if (id(part), name) in read}
        names |= model._written_from.get(id(part), (part, set()))[1]
        model._written_from[id(part)] = part, names
    _models[id(model)] = model


def users(part) -> list[tuple]:
    """[(model with steps that depend on ``part``, names of the attributes that these are written from)]."""
    models = [reference() for reference in _models.valuerefs()]
    return [(m, m._written_from[id(part)][1]) for m in models if m is not None and id(part) in m._written_from]


def restructured(part) -> None:
    """A part has got another structure: steps with it are made anew."""
    for model, _ in users(part):
        model._settings_changed(True)


def _check(part, name: str, value) -> None:
    if inspect.isdatadescriptor(getattr(type(part), name, None)) or not _contradicted(part, name, value):
        return
    gc.collect()  # models that are gone count no more, though they lie in cycles
    before = vars(part).get(name)
    for model in _contradicted(part, name, value):
        users_number = type(part).__module__.partition(".")[0] != "jitnet" and _are_floats(before, value)
        if users_number or not hasattr(model, "compile"):  # a function's steps nobody has to make by a call
            model._forget_steps()
            continue
        owner = f" of the layer {part.name!r}" if hasattr(part, "sublayers") and part is not model else ""
        raise invalid(
            f"{type(part).__name__}.{name}{owner} is written into the steps of the model {model.name!r}, which have "
            "run: assigned now, it would change nothing. Call the model's compile again first, then assign: the next "
            "step is made with the new value. (Weights stay, and so does the state of an optimizer that is passed to "
            "compile again.)",
            **{name: value},
        )


def _are_floats(before, value) -> bool:
    """Whether a number is replaced that is no size and no count."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (before, value))
    return numbers and isinstance(before + value, float)


def _contradicted(part, name: str, value) -> list:
    """The models with a step that has run and that another value would contradict."""
    found = []
    for model, names in users(part):
        if name not in names:
            continue
        if not any(step.has_run for step in list(model._steps.values())):
            model._forget_steps()  # they were only looked at
        elif not _same(vars(part).get(name), value):
            found.append(model)
    return found


def _same(before, value) -> bool:
    plain = (bool, int, float, str, tuple, type(None))
    return before is value or (isinstance(before, plain) and isinstance(value, plain) and before == value)
