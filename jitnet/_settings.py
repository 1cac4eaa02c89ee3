"""Attributes that take effect in the next step whenever they are assigned."""

import inspect
import numbers

from . import schedules
from ._fixed import reading, users
from .core import checks


class Adjustable:
    """An attribute of a layer, a loss or another part of a model: a number, or a schedule of it.

    Operations get ``Setting(self, name)`` instead of the number: then a step reads it anew every time it runs.  Where
    a value decides which operations there are, ``_structure`` of the owner tells the cases apart.

    check(owner, argument, value, **bounds): what the number must be, as of ``core.checks``.

    Example::

        class Scaled(layers.Layer):
            factor = Adjustable(least=0)

            def __init__(self, factor, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def call(self, inputs):
                return inputs * Setting(self, "factor")
    """

    def __init__(self, check=checks.number, **bounds):
        self._check, self._bounds = check, bounds

    def __set_name__(self, cls, name):
        self.name = name

    def __get__(self, owner, cls=None):
        if owner is None:
            return self
        if self.name not in vars(owner):
            raise AttributeError(f"{type(owner).__name__} has no {self.name} yet")
        reading(owner, self.name)
        return vars(owner)[self.name]

    def __set__(self, owner, value):
        value = self.checked(owner, value)
        models = users(owner)
        before = owner._structure() if models else None
        vars(owner)[self.name] = value
        if models:
            restructured = owner._structure() != before
            for model, fixed in models:
                model._settings_changed(restructured or self.name in fixed)

    def checked(self, owner, value):
        """``value`` as it is kept: a number, or a schedule, which may be given by its config."""
        found = schedules.given(value)
        kind = type(owner).__name__
        if self.name in vars(owner) and hasattr(owner, "name"):
            kind = f"{kind} {owner.name!r}"
        changes = is_schedule(found)
        number = float(schedules.evaluate(found, [0])[0]) if changes else found
        number = self._check(kind, self.name, number, **self._bounds)
        return found if changes else number


def is_schedule(value) -> bool:
    """Whether a setting may be ``value`` instead of a number: a schedule, or a function of the step."""
    return isinstance(value, schedules.Schedule) or inspect.isroutine(value)


def described(value):
    """An adjustable attribute's value for ``get_config``: a schedule as its config."""
    return value if value is None or isinstance(value, numbers.Real) else schedules.serialize(value)
