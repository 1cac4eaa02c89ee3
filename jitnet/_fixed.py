"""Attributes that are written into steps: assigning one later would do nothing, so it is an error."""

import contextlib
import gc
import threading
import weakref

from .core import trace
from .core.errors import invalid

_models = weakref.WeakValueDictionary()  # those with steps, by their id
_thread = threading.local()  # its ``tracing``: whether a step is being traced
_FREE = {"name", "built", "stop_training", "history", "iterations"}  # what no step is written from, or every run reads


class Fixed:
    """A part of a model: once a step that was written from its public attributes has run, they can't be assigned.

    What a step doesn't depend on has a name that starts with an underscore.
    """

    def __setattr__(self, name, value):
        if not name.startswith("_") and not getattr(_thread, "tracing", False) and not trace.current_scope()[0]:
            _check(self, name, value)
        super().__setattr__(name, value)


@contextlib.contextmanager
def tracing():
    """Within the block, a part may assign its attributes: what it remembers of a call."""
    before, _thread.tracing = getattr(_thread, "tracing", False), True
    try:
        yield
    finally:
        _thread.tracing = before


def fix(model, parts) -> None:
    """From now on ``model`` has a step that was written from the attributes of ``parts``."""
    for part in parts:
        names = {name for name in vars(part) if not name.startswith("_")} - _FREE
        if part is not model:
            names.discard("optimizer")  # a model within a model is not trained with its own one
        model._written_from[id(part)] = part, names
    _models[id(model)] = model


def _check(part, name: str, value) -> None:
    if _user(part, name, value) is None:
        return
    gc.collect()  # models that are gone count no more, though they lie in cycles
    model = _user(part, name, value)
    if model is not None:
        owner = f" of the layer {part.name!r}" if hasattr(part, "sublayers") and part is not model else ""
        raise invalid(
            f"{type(part).__name__}.{name}{owner} is written into the steps of the model {model.name!r}, which have "
            "run: assigned now, it would change nothing. Call the model's compile again first, then assign: the next "
            "step is made with the new value. (Weights stay, and so does the state of an optimizer that is passed to "
            "compile again.)",
            **{name: value},
        )


def _user(part, name: str, value):
    """A model with a step that has run and that another value would contradict."""
    for reference in _models.valuerefs():
        model = reference()
        if model is None or name not in model._written_from.get(id(part), (part, ()))[1]:
            continue
        if not any(step.has_run for step in list(model._steps.values())):
            model._forget_steps()  # they were only looked at
        elif not _same(vars(part).get(name), value):
            return model
    return None


def _same(before, value) -> bool:
    plain = (bool, int, float, str, tuple, type(None))
    return before is value or (isinstance(before, plain) and isinstance(value, plain) and before == value)
