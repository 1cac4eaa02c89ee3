"""Settings: numbers of layers, losses and other parts of a model that a step reads anew every time it runs."""

import operator
from collections.abc import Callable


class Number:
    """A number that is known when a step runs; arithmetic makes others of it.

    Operations take it wherever they take a number, and beside tensors.
    """

    name: str  # what the step's source calls it, after the layer's name

    def values(self, steps, evaluate: Callable):
        """What it is at ``steps``: a number, or an array of one for each.

        evaluate(schedule, steps): the values of a schedule.
        """
        raise NotImplementedError

    def __float__(self) -> float:
        """What it is at present; where a schedule says, at step 0."""
        return float(self.values(0, lambda schedule, step: schedule(step)))

    @property
    def follows_schedule(self) -> bool:
        """Whether it changes without being assigned."""
        raise NotImplementedError

    def __neg__(self):
        return _Computed(operator.neg, self)

    def __repr__(self):
        return f"<{type(self).__name__} {self.name}={float(self):g}>"


def _arithmetic(function, reflected: bool = False):
    def method(self, other):
        if not isinstance(other, Number | int | float):
            return NotImplemented
        return _Computed(function, other, self) if reflected else _Computed(function, self, other)

    return method


for _name in ("add", "sub", "mul", "truediv"):
    _function = getattr(operator, _name)
    setattr(Number, f"__{_name}__", _arithmetic(_function))
    setattr(Number, f"__r{_name}__", _arithmetic(_function, reflected=True))


class Setting(Number):
    """The present value of an attribute: a number, or a schedule of it.

    attribute: the name of one that is declared adjustable in the owner's class.
    absent: the number that None stands for.

    Two are equal if they are of the same attribute of the same object.
    """

    def __init__(self, owner, attribute: str, absent: float | None = None):
        self.owner, self.name, self.absent = owner, attribute, absent

    @property
    def value(self):
        """The number or the schedule."""
        found = vars(self.owner)[self.name]
        return self.absent if found is None else found

    @property
    def follows_schedule(self):
        return not isinstance(self.value, bool | int | float)

    def check(self, number: float) -> None:
        """Raise ValueError unless ``number`` is one that the attribute may have."""
        getattr(type(self.owner), self.name).checked(self.owner, number)

    def values(self, steps, evaluate):
        value = self.value
        if isinstance(value, bool | int | float):
            return value
        found = evaluate(value, steps)
        for number in {float(found)} if isinstance(found, float | int) else {float(found.min()), float(found.max())}:
            self.check(number)
        return found

    def __eq__(self, other):
        if not isinstance(other, Setting):
            return NotImplemented
        return type(self) is type(other) and self.owner is other.owner and self.name == other.name

    def __hash__(self):
        return hash((id(self.owner), self.name))


class _Computed(Number):
    """Arithmetic of settings and numbers, in float64."""

    def __init__(self, function, *operands):
        self.function, self.operands = function, operands
        self.name = next(o.name for o in operands if isinstance(o, Number))

    @property
    def follows_schedule(self):
        return any(o.follows_schedule for o in self.operands if isinstance(o, Number))

    def values(self, steps, evaluate):
        return self.function(*(o.values(steps, evaluate) if isinstance(o, Number) else o for o in self.operands))
