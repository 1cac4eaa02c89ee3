"""Hyperparameters that change with the training step: each schedule is a function of the step, counted from 0.

Any hyperparameter of an optimizer accepts a schedule, not only the learning rate; the argument names are Keras 3's.
"""

import itertools
import math
import numbers
from collections.abc import Callable, Iterable

import numpy as np

from jitnet import _registry
from jitnet.core import checks
from jitnet.core.errors import NamesArguments, invalid, module_dir, module_getattr


class Schedule(NamesArguments):
    """Base class of schedules.  A subclass defines ``__call__(step)``, and ``get_config`` in order to be saved.

    Example:
        >>> class Halving(Schedule):
        ...     def __call__(self, step):
        ...         return 0.5**step
        >>> evaluate(Halving(), [0, 1, 2])
        array([1.  , 0.5 , 0.25])
    """

    def __call__(self, step):
        """The value at ``step``, an integer that counts optimizer steps from 0."""
        raise NotImplementedError(f"The schedule {type(self).__name__} must define `__call__(self, step)`.")

    def __mul__(self, other):
        """A schedule of the products of both values; ``other``: a number, a schedule or a function of the step."""
        return Product([self, other])

    __rmul__ = __mul__

    def plot(self, steps: int = 1000, axes=None):
        """Draw the values of the first ``steps`` steps with matplotlib.

        Args:
            steps: how many, at least 1.
            axes: where to draw; by default the current axes.

        Returns:
            The axes.

        Raises:
            ImportError: there is no matplotlib.
        """
        steps = checks.integer(type(self).__name__, "steps", steps, least=1)
        if axes is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError("schedule.plot needs matplotlib: pip install 'jitnet[plots]'.") from error
            axes = pyplot.gca()
        axes.plot(np.arange(steps), evaluate(self, np.arange(steps)), label=type(self).__name__)
        axes.set_xlabel("step")
        return axes

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        raise NotImplementedError(f"To be saved, the schedule {type(self).__name__} must define `get_config(self)`.")

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        """The schedule whose ``get_config`` is ``config``."""
        return cls(**config)


LearningRateSchedule = Schedule


class _Formula(Schedule):
    """A schedule given by a formula that is applied to many steps at once, in float64."""

    def __call__(self, step):
        """The value at ``step`` (a float), or the values at an array of steps (float64, of the same shape)."""
        values = self._values(np.asarray(step, dtype=np.float64))
        return values if np.ndim(step) else float(values)

    def _values(self, step: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _number(self, argument: str, value, **bounds) -> float:
        return checks.number(type(self).__name__, argument, value, **bounds)

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        return dict(vars(self))


class ConstantSchedule(_Formula):
    """The same value at every step.

    Args:
        value: a number.
        name: a name, kept in the config.
    """

    def __init__(self, value, name="ConstantSchedule"):
        self.value = self._number("value", value)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        return np.full(step.shape, self.value)


class StepDecay(_Formula):
    """``initial_learning_rate * decay_rate ** floor(step / decay_steps)``.

    Args:
        initial_learning_rate: the value of the first ``decay_steps`` steps.
        decay_steps: after how many steps the value changes, above 0.
        decay_rate: the factor of each change.
        name: a name, kept in the config.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate=0.1, name="StepDecay"):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.positive(type(self).__name__, "decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        return self.initial_learning_rate * np.power(self.decay_rate, np.floor(step / self.decay_steps))


class ExponentialDecay(_Formula):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: the number of steps in which the value shrinks by ``decay_rate``, above 0.
        decay_rate: the factor per ``decay_steps``.
        staircase: whether to round ``step / decay_steps`` down.
        name: a name, kept in the config.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.positive(type(self).__name__, "decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate)
        self.staircase = checks.boolean(type(self).__name__, "staircase", staircase)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        periods = step / self.decay_steps
        return self.initial_learning_rate * np.power(self.decay_rate, np.floor(periods) if self.staircase else periods)


class PiecewiseConstantDecay(_Formula):
    """``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]`` up to ``boundaries[1]``, and so on.

    Args:
        boundaries: strictly increasing steps.
        values: the values between them, one more than there are boundaries.
        name: a name, kept in the config.

    Raises:
        ValueError: another number of values, or boundaries that don't increase.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        for argument, given in (("boundaries", boundaries), ("values", values)):
            if isinstance(given, str | bytes) or not isinstance(given, Iterable):
                raise invalid(f"`{argument}` must be a sequence of numbers.", **{argument: given})
        boundaries, values = list(boundaries), list(values)
        for argument, numbers_given in (("boundaries", boundaries), ("values", values)):
            for value in numbers_given:
                self._number(argument, value)
        if len(values) != len(boundaries) + 1:
            raise invalid("`values` must be one longer than `boundaries`.", boundaries=boundaries, values=values)
        if any(low >= high for low, high in itertools.pairwise(boundaries)):
            raise invalid("`boundaries` must be strictly increasing.", boundaries=boundaries)
        self.boundaries = boundaries
        self.values = values
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        return np.asarray(self.values, dtype=np.float64)[np.searchsorted(self.boundaries, step, side="left")]


class PolynomialDecay(_Formula):
    """``(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate``.

    ``step`` counts as at most ``decay_steps``; with ``cycle``, ``decay_steps`` instead counts as its first multiple
    that is not below ``step`` (and not below ``decay_steps``).

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: the number of steps to the end value, above 0.
        end_learning_rate: the value at the end.
        power: the power of the polynomial.
        cycle: whether to go up again beyond ``decay_steps``.
        name: a name, kept in the config.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.positive(type(self).__name__, "decay_steps", decay_steps)
        self.end_learning_rate = self._number("end_learning_rate", end_learning_rate)
        self.power = self._number("power", power)
        self.cycle = checks.boolean(type(self).__name__, "cycle", cycle)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        if self.cycle:
            decay_steps = self.decay_steps * np.maximum(np.ceil(step / self.decay_steps), 1)
        else:
            decay_steps = self.decay_steps
            step = np.minimum(step, decay_steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * np.power(1 - step / decay_steps, self.power) + self.end_learning_rate


class InverseTimeDecay(_Formula):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: the number of steps that count as one unit of time, above 0.
        decay_rate: the decay per unit of time.
        staircase: whether to round ``step / decay_steps`` down.
        name: a name, kept in the config.

    Raises:
        ValueError: ``decay_steps`` is not above 0.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.positive(type(self).__name__, "decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate)
        self.staircase = checks.boolean(type(self).__name__, "staircase", staircase)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        periods = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (np.floor(periods) if self.staircase else periods))


class CosineDecay(_Formula):
    """Half a cosine down from the initial value, after an optional linear warm-up.

    ``top * ((1 - alpha) * (1 + cos(pi * min(step, decay_steps) / decay_steps)) / 2 + alpha)`` with
    ``top = initial_learning_rate``.  With ``warmup_target``, the first ``warmup_steps`` steps go linearly from
    ``initial_learning_rate`` to ``warmup_target``; then ``top = warmup_target``, and steps count from there.

    Source: Loshchilov & Hutter 2017 (SGDR), equation 5; the warm-up is that of Goyal et al. 2017, section 2.2.

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: the number of steps from top to bottom, above 0.
        alpha: the value at the bottom, as a fraction of ``top``.
        name: a name, kept in the config.
        warmup_target: the value at the end of the warm-up, or None for no warm-up.
        warmup_steps: the number of steps of the warm-up, at least 0.

    Raises:
        ValueError: ``decay_steps`` is not above 0, or ``warmup_steps`` is below 0.
    """

    def __init__(
        self, initial_learning_rate, decay_steps, alpha=0.0, name="CosineDecay", warmup_target=None, warmup_steps=0
    ):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.positive(type(self).__name__, "decay_steps", decay_steps)
        self.alpha = self._number("alpha", alpha)
        self.name = checks.text(type(self).__name__, "name", name)
        self.warmup_target = None if warmup_target is None else self._number("warmup_target", warmup_target)
        self.warmup_steps = self._number("warmup_steps", warmup_steps, least=0)

    def _values(self, step):
        if self.warmup_target is None:
            return self._decay(self.initial_learning_rate, step)
        decay = self._decay(self.warmup_target, step - self.warmup_steps)
        if self.warmup_steps == 0:
            return decay
        slope = (self.warmup_target - self.initial_learning_rate) / self.warmup_steps
        return np.where(step < self.warmup_steps, slope * step + self.initial_learning_rate, decay)

    def _decay(self, top, step):
        cosine = np.cos(math.pi * np.minimum(step, self.decay_steps) / self.decay_steps)
        return top * ((1 - self.alpha) * 0.5 * (1 + cosine) + self.alpha)


class CosineDecayRestarts(_Formula):
    """Half a cosine down, then up at once and down again in a longer period.

    Period i = 0, 1, 2, ... has ``first_decay_steps * t_mul**i`` steps; with ``f`` the fraction of it that is done, the
    value is ``initial_learning_rate * ((1 - alpha) * m_mul**i * (1 + cos(pi * f)) / 2 + alpha)``.

    Source: Loshchilov & Hutter 2017 (SGDR), equation 5.

    Args:
        initial_learning_rate: the value at step 0.
        first_decay_steps: the number of steps of the first period, above 0.
        t_mul: the factor from the length of one period to that of the next, at least 1.
        m_mul: the factor from the height of one period to that of the next.
        alpha: the value at the bottom, as a fraction of ``initial_learning_rate``.
        name: a name, kept in the config.

    Raises:
        ValueError: ``first_decay_steps`` is not above 0, or ``t_mul`` is below 1 (all periods together would end).
    """

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = checks.positive(type(self).__name__, "first_decay_steps", first_decay_steps)
        self.t_mul = self._number("t_mul", t_mul, least=1)
        self.m_mul = self._number("m_mul", m_mul)
        self.alpha = self._number("alpha", alpha)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        done = step / self.first_decay_steps
        if self.t_mul == 1:
            period = np.floor(done)
            fraction = done - period
        else:
            period = np.floor(np.log1p(done * (self.t_mul - 1)) / math.log(self.t_mul))
            # the logarithm can round to just below the whole number at a restart
            period = np.where(done >= self._start(period + 1), period + 1, period)
            fraction = (done - self._start(period)) / np.power(self.t_mul, period)
        cosine = 0.5 * np.power(self.m_mul, period) * (1 + np.cos(math.pi * fraction))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)

    def _start(self, period):
        """Where ``period`` starts, in lengths of the first one."""
        return (np.power(self.t_mul, period) - 1) / (self.t_mul - 1)


class OneCycle(_Formula):
    """Half a cosine up to the largest value, and half a cosine down to nearly nothing.

    From ``max_learning_rate / start_divisor`` up in ``warmup_fraction * total_steps - 1`` steps, then down to
    ``max_learning_rate / start_divisor / end_divisor`` at step ``total_steps - 1``, where it stays.

    Source: Smith & Topin 2018, "Super-convergence", as PyTorch's OneCycleLR has it.

    Args:
        max_learning_rate: the largest value.
        total_steps: the steps of the whole cycle, at least 2.
        warmup_fraction: how much of it goes up, from 0 to 1.
        start_divisor, end_divisor: above 0.
        name: a name, kept in the config.

    Raises:
        ValueError: an argument that is none of these.
    """

    def __init__(
        self, max_learning_rate, total_steps, warmup_fraction=0.3, start_divisor=25.0, end_divisor=1e4, name="OneCycle"
    ):
        kind = type(self).__name__
        self.max_learning_rate = self._number("max_learning_rate", max_learning_rate)
        self.total_steps = checks.integer(kind, "total_steps", total_steps, least=2)
        self.warmup_fraction = self._number("warmup_fraction", warmup_fraction, least=0, most=1)
        self.start_divisor = checks.positive(kind, "start_divisor", start_divisor)
        self.end_divisor = checks.positive(kind, "end_divisor", end_divisor)
        self.name = checks.text(kind, "name", name)

    def _values(self, step):
        top, start = self.max_learning_rate, self.max_learning_rate / self.start_divisor
        middle, last = self.warmup_fraction * self.total_steps - 1, self.total_steps - 1
        up = _half_cosine(start, top, step / middle if middle > 0 else np.ones_like(step))
        down = _half_cosine(top, start / self.end_divisor, (np.minimum(step, last) - middle) / (last - middle or 1))
        return np.where(step <= middle, up, down)


def _half_cosine(start: float, end: float, fraction):
    """From ``start`` to ``end``."""
    return end + (start - end) / 2 * (1 + np.cos(math.pi * fraction))


class CyclicSchedule(_Formula):
    """Up and down in straight lines between two values, again and again.

    Cycle c = 1, 2, ... has ``2 * step_size`` steps; its height is ``max_learning_rate - base_learning_rate`` times 1
    ("triangular"), ``2 ** (1 - c)`` ("triangular2") or ``gamma ** step`` ("exp_range").

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.

    Args:
        base_learning_rate, max_learning_rate: the smallest and the largest value.
        step_size: the steps from one to the other, above 0.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: the factor of each step for "exp_range".
        name: a name, kept in the config.

    Raises:
        ValueError: an argument that is none of these.
    """

    MODES = ("triangular", "triangular2", "exp_range")

    def __init__(
        self, base_learning_rate, max_learning_rate, step_size, mode="triangular", gamma=1.0, name="CyclicSchedule"
    ):
        kind = type(self).__name__
        self.base_learning_rate = self._number("base_learning_rate", base_learning_rate)
        self.max_learning_rate = self._number("max_learning_rate", max_learning_rate)
        self.step_size = checks.positive(kind, "step_size", step_size)
        self.mode = checks.one_of(kind, "mode", mode, self.MODES)
        self.gamma = self._number("gamma", gamma, least=0)
        self.name = checks.text(kind, "name", name)

    def _values(self, step):
        cycle = np.floor(1 + step / (2 * self.step_size))
        height = 1 - np.abs(step / self.step_size - 2 * cycle + 1)
        if self.mode == "triangular2":
            height = height * np.power(2.0, 1 - cycle)
        elif self.mode == "exp_range":
            height = height * np.power(self.gamma, step)
        return self.base_learning_rate + (self.max_learning_rate - self.base_learning_rate) * height


class FunctionSchedule(_Formula):
    """A user's function of the step and the epoch, both counted from 0.

    Args:
        function: called as ``function(step, epoch)``; it returns a number.  To be saved, it needs a name.
        steps_per_epoch: updates in an epoch, at least 1: the epoch is ``step // steps_per_epoch``.
        name: a name, kept in the config.

    Raises:
        ValueError: what can't be called, or no such number of steps.
    """

    def __init__(self, function, steps_per_epoch, name="FunctionSchedule"):
        kind = type(self).__name__
        self.function = given(function)
        if not callable(self.function):
            raise invalid("FunctionSchedule expects a function of (step, epoch).", function=function)
        self.steps_per_epoch = checks.integer(kind, "steps_per_epoch", steps_per_epoch, least=1)
        self.name = checks.text(kind, "name", name)

    def _values(self, step):
        def value(number):
            number = int(number)
            return self.function(number, number // self.steps_per_epoch)

        return _one_by_one(value, step, getattr(self.function, "__name__", "function"))

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        return {**vars(self), "function": _registry.serialize(self.function)}


class LinearWarmup(_Formula):
    """In a straight line from one value to another, then a schedule of its own, which counts from there.

    Source: Goyal et al. 2017, section 2.2.

    Args:
        target: the value after ``warmup_steps``, or the schedule that follows: then its first value.
        warmup_steps: at least 1.
        start: the value at step 0.
        name: a name, kept in the config.

    Raises:
        ValueError: ``warmup_steps`` is below 1, or what is neither a number nor a schedule.
    """

    def __init__(self, target, warmup_steps, start=0.0, name="LinearWarmup"):
        self.target = _part(self, "target", target)
        self.warmup_steps = checks.integer(type(self).__name__, "warmup_steps", warmup_steps, least=1)
        self.start = self._number("start", start)
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        top = _at(self.target, np.zeros(()))
        up = self.start + (top - self.start) * step / self.warmup_steps
        return np.where(step < self.warmup_steps, up, _at(self.target, np.maximum(step - self.warmup_steps, 0)))

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        return {**vars(self), "target": _described(self.target)}


class Chained(_Formula):
    """Several schedules, one after the other; each counts from the step at which its turn comes.

    Args:
        schedules: numbers, schedules or functions of the step.
        steps: of all but the last, how many steps they govern, each at least 1.
        name: a name, kept in the config.

    Raises:
        ValueError: another number of steps, or what is no schedule.
    """

    def __init__(self, schedules, steps, name="Chained"):
        kind = type(self).__name__
        self.schedules = [_part(self, "schedules", schedule) for schedule in schedules]
        self.steps = list(checks.sizes(kind, "steps", steps))
        if len(self.steps) != len(self.schedules) - 1:
            raise invalid(f"{kind} expects `steps` of all `schedules` but the last.", steps=steps)
        self.name = checks.text(kind, "name", name)

    def _values(self, step):
        values, start = _at(self.schedules[0], step), 0
        for length, schedule in zip(self.steps, self.schedules[1:], strict=True):
            start += length
            values = np.where(step < start, values, _at(schedule, np.maximum(step - start, 0)))
        return values

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        return {**vars(self), "schedules": [_described(schedule) for schedule in self.schedules]}


class Product(_Formula):
    """The product of several schedules, as of a decay and a cycle; ``schedule * other`` is one.

    Args:
        schedules: numbers, schedules or functions of the step.
        name: a name, kept in the config.
    """

    def __init__(self, schedules, name="Product"):
        self.schedules = [_part(self, "schedules", schedule) for schedule in schedules]
        self.name = checks.text(type(self).__name__, "name", name)

    def _values(self, step):
        return math.prod((_at(schedule, step) for schedule in self.schedules), start=np.ones_like(step))

    def get_config(self) -> dict:
        """The arguments that make an equal schedule."""
        return {**vars(self), "schedules": [_described(schedule) for schedule in self.schedules]}


def _part(owner, argument: str, value):
    """A number, a schedule or a function of the step that another schedule is made of, maybe given by its config."""
    value = given(value)
    return value if callable(value) else checks.number(type(owner).__name__, argument, value)


def _described(part):
    """A part for a config."""
    return part if isinstance(part, float) else _registry.serialize(part)


def _at(part, step: np.ndarray) -> np.ndarray:
    """The values of a part at steps of any shape."""
    if isinstance(part, float) or type(part).__call__ is _Formula.__call__:
        return np.full(step.shape, part) if isinstance(part, float) else part._values(step)
    return _one_by_one(lambda number: part(int(number)), step, getattr(part, "__name__", type(part).__name__))


def _one_by_one(function: Callable, step: np.ndarray, name: str) -> np.ndarray:
    """The values of a function of single steps.

    Raises:
        TypeError: it returns no number.
    """
    values = np.empty(step.shape)
    for place, number in np.ndenumerate(step):
        value = function(number)
        try:
            values[place] = value
        except (TypeError, ValueError) as error:
            message = f"The schedule {name} must return a number. Received: {name}({int(number)})={value!r}"
            raise TypeError(message) from error
    return values


def evaluate(schedule: Callable | float, steps) -> np.ndarray:
    """The values of a hyperparameter at many steps.

    Args:
        schedule: a schedule, a function of the step, or a number.
        steps: integers, shape (n,).

    Returns:
        float64, shape (n,).

    Raises:
        TypeError: ``schedule`` is none of these, or a user's schedule returns no number.
    """
    steps = np.asarray(steps)
    if isinstance(schedule, numbers.Real):
        return np.full(steps.shape, schedule, dtype=np.float64)
    if not callable(schedule):
        raise TypeError(f"A hyperparameter must be a number or a Schedule. Received: {schedule!r}")
    if type(schedule).__call__ is _Formula.__call__:
        return schedule(steps)
    return _at(schedule, steps)


KNOWN = {
    schedule.__name__: schedule
    for schedule in (
        Chained,
        ConstantSchedule,
        CyclicSchedule,
        FunctionSchedule,
        LinearWarmup,
        OneCycle,
        Product,
        StepDecay,
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
    )
}


def serialize(learning_rate_schedule: Schedule) -> dict:
    """``{"class_name": ..., "config": {...}}`` of a schedule."""
    return _registry.serialize(learning_rate_schedule)


def given(value):
    """``value`` as it is, or the schedule, if it is what ``serialize`` wrote for a schedule or for a function."""
    if isinstance(value, dict) or (isinstance(value, str) and ">" in value):
        return deserialize(value)
    return value


def deserialize(config: dict, custom_objects: dict | None = None) -> Schedule:
    """The schedule that ``serialize`` wrote as ``config``; users' classes are looked up in ``custom_objects``."""
    return _registry.deserialize(config, KNOWN, custom_objects, "schedule")


__getattr__ = module_getattr(__name__, "schedule")
__dir__ = module_dir(__name__, without=("evaluate", "given"))
