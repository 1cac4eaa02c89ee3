"""The base of all optimizers: hyperparameters, options, the state, and what a step is told of an update."""

import copy
import inspect
import math
import re

import numpy as np

from .. import schedules
from .._fixed import Fixed, noticed, restructured
from ..core import checks, trace
from ..core.errors import NamesArguments, invalid, unknown_arguments, unknown_name
from ..core.operations.effects import Update
from ..core.settings import Number
from ..core.values import Changes, Value, Variable


class Hyperparameter(float):
    """A hyperparameter as a number, with Keras's ``assign`` and ``numpy``.

    What is computed with it follows later changes, as with Keras's variable; C code that takes the number out itself,
    such as ``json.dumps``, finds it as it was when it was asked for.
    """

    def __new__(cls, optimizer, key):
        return super().__new__(cls, optimizer._value(key))

    def __init__(self, optimizer, key):
        self._optimizer, self._key = optimizer, key

    def __reduce__(self):
        return float, (float(self),)

    def assign(self, value) -> None:
        """Set the optimizer's hyperparameter.

        Raises TypeError if a schedule governs it.
        """
        setattr(self._optimizer, self._key, value)

    def numpy(self) -> np.ndarray:
        """The value as a NumPy number."""
        return np.float64(self)

    def _delegated(name):
        def method(self, *others):
            return getattr(self._optimizer._value(self._key), name)(*others)

        return method

    for _name in (
        "__abs__", "__add__", "__bool__", "__ceil__", "__divmod__", "__eq__", "__float__", "__floor__", "__floordiv__",
        "__format__", "__ge__", "__gt__", "__hash__", "__int__", "__le__", "__lt__", "__mod__", "__mul__", "__ne__",
        "__neg__", "__pos__", "__pow__", "__radd__", "__rdivmod__", "__repr__", "__rfloordiv__", "__rmod__", "__rmul__",
        "__round__", "__rpow__", "__rsub__", "__rtruediv__", "__str__", "__sub__", "__truediv__", "__trunc__",
    ):  # fmt: skip
        locals()[_name] = _delegated(_name)
    del _name, _delegated


_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_NUMBERS = ("weight_decay", *_CLIPPING)  # options that are numbers, or schedules of them, or None
_OPTIONS = (
    *_NUMBERS, "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
    "learning_rate_multipliers",
)  # fmt: skip


class _Source(Number):
    """The values of an optimizer's hyperparameter."""

    follows_schedule = False  # an update reads all of them anew

    def __init__(self, optimizer, key):
        self._optimizer, self.name = optimizer, key

    def values(self, steps, evaluate):
        optimizer = self._optimizer
        updates = (steps - np.min(steps) + optimizer.iterations) // optimizer.accumulates
        found = evaluate(optimizer._hyperparameters[self.name], updates)
        # an average begins with the first parameters, as in Keras
        return np.where(updates == 0, 0.0, found) if self.name == "ema_momentum" else found


class _Steps(Number):
    """The steps that an optimizer has taken."""

    name, follows_schedule = "step", False

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def values(self, steps, evaluate):
        return steps - steps[0] + self._optimizer.iterations


class Optimizer(Fixed, NamesArguments):
    """Base of all optimizers.

    A subclass names its hyperparameters and its slots, arrays of the parameters' size that it keeps between steps, and
    says how it updates: by the name of a ``function`` of single elements in ``kernels.scalar.optimizers``, or in a
    method ``update`` of operations.

    Options of every optimizer:

    weight_decay: before each update, parameters shrink by learning_rate * weight_decay of themselves, apart from the
        gradient (Loshchilov and Hutter 2019); see ``exclude_from_weight_decay``.  L2 as a part of the gradient is a
        regularizer's.
    clipvalue: the most that an element of a gradient may be; clipnorm: the largest norm of each variable's gradient;
        global_clipnorm: of all together (Pascanu et al. 2013).  One of them.
    gradient_accumulation_steps: update once in so many steps, by the mean of their gradients, which is then clipped.
    use_ema, ema_momentum, ema_overwrite_frequency: keep moving averages of the parameters in the slot ``average``,
        which replace the parameters once in so many steps.
    learning_rate_multipliers: {pattern: factor}: variables in whose name, such as "conv/kernel", the regular expression
        is found learn with so many times the learning rate; the first pattern that is found counts.
    loss_scale_factor: None; nothing is computed in float16, whose small gradients it would save.

    Weight decay and limits are numbers or schedules, which may be assigned at any time.

    An optimizer belongs to the model that it first trains: weights of another one are refused, as in Keras, because
    the steps taken and the slots say nothing about them.
    """

    function: str | None = None
    own_slots: tuple = ()
    hyperparameter_names: tuple = ()
    bounds: dict = {}  # {hyperparameter: bounds of ``core.checks.number``}, where they aren't at least 0

    def __init__(
        self, name: str | None = None, weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None,
        use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None, loss_scale_factor=None,
        gradient_accumulation_steps=None, learning_rate_multipliers=None, **hyperparameters,
    ):  # fmt: skip
        kind = type(self).__name__
        every = gradient_accumulation_steps
        self.accumulates = 1 if every is None else checks.integer(kind, "gradient_accumulation_steps", every, least=2)
        self.averages = checks.boolean(kind, "use_ema", use_ema)
        often = ema_overwrite_frequency
        self.overwrites = None if often is None else checks.integer(kind, "ema_overwrite_frequency", often, least=1)
        self.learning_rate_multipliers = _multipliers(kind, learning_rate_multipliers)
        if loss_scale_factor is not None:
            raise invalid(
                f"{kind} computes nothing in float16, whose small gradients a scaled loss would save: "
                "loss_scale_factor must be None.",
                loss_scale_factor=loss_scale_factor,
            )  # fmt: skip
        self.name = checks.text(kind, "name", name or kind.lower())
        self._hyperparameters = {}
        self._undecayed: tuple = (), ()  # variables, and patterns of names
        if "weight_decay" in self.hyperparameter_names and weight_decay is not None:
            hyperparameters["weight_decay"], weight_decay = weight_decay, None  # which it applies itself
        unknown = {key: value for key, value in hyperparameters.items() if key not in self.hyperparameter_names}
        if unknown:
            raise unknown_arguments(type(self).__name__, unknown, ["name", *_OPTIONS, *self.hyperparameter_names])
        missing = [key for key in self.hyperparameter_names if key not in hyperparameters]
        if missing:
            raise TypeError(f"{kind} passes its hyperparameters to Optimizer.__init__. Missing: {', '.join(missing)}")
        for key in self.hyperparameter_names:
            self._set(key, hyperparameters[key])
        for key, value in zip(_NUMBERS, (weight_decay, clipnorm, clipvalue, global_clipnorm), strict=True):
            if value is not None:
                self._set(key, value)
        if self.averages:
            self._set("ema_momentum", ema_momentum)
        self._forget_state()

    @property
    def iterations(self) -> int:
        """Steps taken: the compiled step counts them as it updates the weights."""
        return int(self._iterations[0])

    @iterations.setter
    def iterations(self, value) -> None:
        self._iterations[0] = value

    def _forget_state(self):
        self._iterations = np.zeros(1, np.int64)
        self._slots: dict[str, np.ndarray] = {}
        self._slot_changes: dict[str, Changes] = {}  # of each slot
        self._layout = None
        self._variables: list = []
        self._owned: set = set()  # all variables, frozen ones too, of the model that it trains
        self._waiting: dict = {}  # state of variables that the layout does not have: not yet, or not while frozen
        self._applied_to_arrays = None  # what applies gradients that are arrays

    def _set(self, key, value):
        # from a config: a schedule, or the name of a user's function
        if isinstance(value, dict) or (isinstance(value, str) and ">" in value):
            value = schedules.deserialize(value)
        bounds = {"ema_momentum": {"least": 0, "most": 1}, **self.bounds}.get(key, {})
        if key in _CLIPPING:
            given = [other for other in _CLIPPING if other in self._hyperparameters and other != key]
            if given:
                limits = {other: self._hyperparameters[other] for other in given} | {key: value}
                raise invalid(f"{type(self).__name__} takes one of {', '.join(_CLIPPING)}.", **limits)
        if not isinstance(value, schedules.Schedule) and not callable(value):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise ValueError(
                    f"{type(self).__name__} expects {key} to be a number or a schedule. Received: {key}={value!r}"
                )
            value = float(value)
            if bounds:
                checks.number(type(self).__name__, key, value, **bounds)
            elif key in _CLIPPING:
                checks.positive(type(self).__name__, key, value)
            elif not np.isfinite(value) or value < 0:
                raise ValueError(
                    f"{type(self).__name__} expects {key} to be finite and not negative. Received: {key}={value!r}"
                )
        self._hyperparameters[key] = value

    def __getattr__(self, key):
        if key in self.__dict__.get("_hyperparameters", {}):
            return Hyperparameter(self, key)
        if key in _NUMBERS:
            return None
        raise AttributeError(f"{type(self).__name__} has no attribute {key!r}")

    def _value(self, key) -> float:
        """A hyperparameter at the next step."""
        value = self._hyperparameters[key]
        return value if isinstance(value, float) else float(value(self.iterations // self.accumulates))

    def __setattr__(self, key, value):
        if key in _NUMBERS and "_hyperparameters" in vars(self):
            self._set_option(key, value)
        elif key not in vars(self).get("_hyperparameters", type(self).hyperparameter_names):
            made = "_hyperparameters" in vars(self) and type(self).__module__.startswith("jitnet.")
            if made and not key.startswith("_") and key not in vars(self) and not hasattr(type(self), key):
                public = [name for name in vars(self) if not name.startswith("_")]
                known = [*self.hyperparameter_names, "iterations", *public]
                raise AttributeError(str(unknown_name(f"attribute of {type(self).__name__}", key, known)))
            super().__setattr__(key, value)
        elif isinstance(self._hyperparameters[key], float) or callable(value):
            self._set(key, value)
        else:
            raise TypeError(
                f"{type(self).__name__} was made with a schedule for {key}, which a number cannot replace: make the "
                f"optimizer with a number, or assign another schedule. Received: {key}={value!r}"
            )

    def _set_option(self, key, value):
        """Assign an option that is a number, a schedule or None; steps are made anew where there was none before."""
        before = self._hyperparameters.pop(key, None)
        if value is not None:
            try:
                self._set(key, value)
            except ValueError:
                self._hyperparameters |= {} if before is None else {key: before}
                raise
        if (before is None) != (value is None):
            restructured(self)

    def exclude_from_weight_decay(self, var_list=None, var_names=None) -> None:
        """Choose variables that weight decay leaves alone; a later call replaces an earlier one.

        It is no part of the configuration, as in Keras: call it again for an optimizer that was loaded or made of one.

        var_list: variables; var_names: regular expressions, of which one is found in a variable's name, "dense/bias".

        Raises ValueError once a model has been trained with it.
        """
        if self._owned:
            raise invalid("exclude_from_weight_decay comes before the first step of the training.", optimizer=self.name)
        kind = type(self).__name__
        variables = list(var_list or ())
        if not all(isinstance(variable, Variable) for variable in variables):
            raise invalid(f"{kind} expects var_list to be a list of variables.", var_list=var_list)
        if isinstance(var_names, str):
            raise invalid(f"{kind} expects var_names to be a list of regular expressions.", var_names=var_names)
        patterns = tuple(_pattern(kind, "var_names", name) for name in var_names or ())
        self._undecayed = tuple(variables), patterns

    def decay_of(self, variable) -> str | None:
        """Which hyperparameter is a variable's weight decay; None: it has none."""
        asked = "weight_decay" in self._hyperparameters and "weight_decay" not in self.hyperparameter_names
        return "weight_decay" if asked and not self._is_undecayed(variable) else None

    def _is_undecayed(self, variable) -> bool:
        variables, patterns = self._undecayed
        listed = any(variable is other for other in variables)
        return listed or any(re.search(pattern, variable.name) for pattern in patterns)

    def learning_rate_multiplier(self, variable) -> float:
        """By what the learning rate of a variable is multiplied."""
        found = (f for pattern, f in self.learning_rate_multipliers.items() if re.search(pattern, variable.name))
        return next(found, 1.0)

    def scheduled(self, iterations: int) -> dict[str, float]:
        """The hyperparameters that schedules govern, as they are after so many steps."""
        return {
            key: float(schedules.evaluate(value, [iterations // self.accumulates])[0])
            for key, value in self._hyperparameters.items()
            if not isinstance(value, float)
        }

    # ---- the update

    @property
    def slot_names(self) -> tuple:
        """All arrays of the parameters' size that it keeps: ``own_slots``, and what its options need."""
        accumulator = ("accumulator",) if self.accumulates > 1 else ()
        return (*self.own_slots, *accumulator, *(("average",) if self.averages else ()))

    @property
    def structure(self) -> tuple:
        """What a step's program depends on besides numbers."""
        function = self.function or self._traces()
        options = tuple(key for key in _NUMBERS if key in self._hyperparameters)
        return function, self.slot_names, self.accumulates, self.averages, self.overwrites, options

    def slot_shape(self, slot: str, shape: tuple) -> tuple:
        """The shape of what a slot keeps for a variable of a shape, of at most as many elements."""
        return shape

    def first_value(self, slot: str) -> float:
        """What the elements of a slot are before the first update."""
        return 0.0

    def scalar_sources(self) -> dict:
        """{name: what gives its values} of the hyperparameters."""
        return {name: _Source(self, name) for name in self._hyperparameters}

    def step_source(self):
        """What gives the steps taken, to a program whose ``t`` are another optimizer's."""
        return _Steps(self)

    def _traces(self) -> bool:
        return type(self).update is not Optimizer.update

    @property
    def needs_loss(self) -> bool:
        """Whether ``update`` has an argument ``loss``."""
        return self._traces() and "loss" in inspect.signature(self.update).parameters

    def update(self, parameter, gradient, **numbers_and_slots):
        """The new value of ``parameter``, or a tuple of it and the new values of the slots, in operations.

        For optimizers that are no function of single elements (else see ``function``).  All are symbolic: ``parameter``
        and ``gradient``, the slots by their names, the hyperparameters by theirs as single numbers (), ``step``, the
        number of this update from 1, and ``loss``, if the method has an argument of that name.
        """
        raise TypeError(f"{type(self).__name__} needs a function or an update method")

    def takes(self, name: str) -> bool:
        """Whether ``update`` has an argument of this name, or one for all that there is."""
        parameters = inspect.signature(self.update).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def traced_update(self, parameter, gradient, slots: dict, numbers: dict, loss) -> dict:
        """``update`` with what it asks for: {"parameter" or slot: new value}."""
        known = {**numbers, **slots}
        if self.needs_loss:
            if loss is None:
                raise invalid(f"{type(self).__name__} needs the loss: optimizer.apply(..., loss=loss).", loss=loss)
            known["loss"] = loss
        given = {name: value for name, value in known.items() if self.takes(name)}
        new = self.update(parameter, gradient, **given)
        new = new if isinstance(new, tuple) else (new,)
        names = ["parameter", *self.own_slots]
        if len(new) != len(names):
            raise ValueError(
                f"{type(self).__name__}.update returns {len(names)} values: {', '.join(names)}. Received: {len(new)}"
            )
        for name, value in zip(names, new, strict=True):
            expected = parameter.shape if name == "parameter" else self.slot_shape(name, parameter.shape)
            if not isinstance(value, Value) or value.shape != expected:
                shape = value.shape if isinstance(value, Value) else type(value).__name__
                raise ValueError(
                    f"{type(self).__name__}.update returns {name} of shape {expected}. Received: shape={shape}"
                )
        return dict(zip(names, new, strict=True))

    def apply(self, gradients, trainable_variables=None, loss=None) -> None:
        """Update variables by their gradients, both lists: in a ``train_step`` whenever the step runs.

        Gradients that are arrays, as ``value_and_grad`` returns of arrays, are applied at once, and without a
        ``train_step``: in a loop of a script's own, say.

        loss: what the gradients are taken of, for optimizers that ask for it.
        """
        variables = list(self._variables if trainable_variables is None else trainable_variables)
        gradients = list(gradients)
        if len(gradients) != len(variables):
            raise ValueError(
                f"apply needs a gradient for each of {len(variables)} variables. Received: {len(gradients)} gradients"
            )
        if not trace.collects_effects() and not any(isinstance(x, Value) for x in (*gradients, loss)):
            if self._applied_to_arrays is None:
                from ..eager import AppliedUpdate

                self._applied_to_arrays = AppliedUpdate(self)
            self._applied_to_arrays(variables, gradients, loss)
            return
        noticed(self)
        Update(self, len(variables))(*variables, *gradients, *(() if loss is None else (loss,)))

    def apply_gradients(self, grads_and_vars, loss=None) -> None:
        """``apply`` with pairs (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs], loss)

    # ---- state

    def build(self, variables) -> None:
        """Let ``apply`` be called without variables: these are meant.  Slots are made with the first step."""
        self.check_owner(variables)
        if self._layout is None:
            self._variables = list(variables)

    @property
    def variables(self) -> list[Variable]:
        """Copies of what a checkpoint needs, in Keras's order: the steps taken, the learning rate, and all slots."""
        found = [Variable(np.int64(self.iterations), trainable=False, name="iteration")]
        if isinstance(self._hyperparameters.get("learning_rate"), float):
            found.append(Variable(np.float64(self.learning_rate), trainable=False, name="learning_rate"))
        state = self.state()
        order = sorted(state, key=lambda key: self._variables.index(key[1]) if key[1] in self._variables else 0)
        names = [f"{v.name.replace('/', '_')}_{slot}" for slot, v in order]
        found += [Variable(state[key], trainable=False, name=name) for key, name in zip(order, names, strict=True)]
        return found

    def state_arguments(self, layout, trainable, variables, zeros) -> dict[str, np.ndarray]:
        """What a step changes, by its arguments' names: the flat slots for a gradient layout, and the count of steps.

        Earlier state follows its variables into a new layout.

        trainable: the variables in the layout; variables: all of the model, which may be trained later;
        zeros: the target's memory.
        """
        known = self._layout is not None and self._layout.offsets == layout.offsets
        if not known or tuple(self._slots) != tuple(self.slot_names):
            self.check_owner(trainable)
            self._owned.update(variables)
            earlier = self.state()
            self._slots = {name: zeros(layout.size, layout.dtype) for name in self.slot_names}
            for name, flat in self._slots.items():
                if self.first_value(name) != 0:
                    flat[...] = self.first_value(name)
            self._slot_changes = {name: Changes() for name in self.slot_names}
            self._layout, self._variables = layout, list(trainable)
            self.set_state(earlier)
        return {**self._slots, "iterations": self._iterations}

    def changes_of(self, slot: str) -> Changes:
        """Of the flat array of a slot."""
        return self._slot_changes[slot]

    def check_owner(self, trainable) -> None:
        """Raise ValueError if it has trained a model that lacks some of these variables."""
        if self._owned and not self._owned.issuperset(trainable):
            raise invalid(
                f"This {type(self).__name__} has trained other weights, which its state belongs to. Make a new one for "
                f"each model, for example optimizers.{type(self).__name__}.from_config(optimizer.get_config()).",
                optimizer=self.name,
            )

    def without_state(self) -> "Optimizer":
        """An optimizer with the same hyperparameters that has not updated anything."""
        other = copy.copy(self)
        other._forget_state()
        return other

    def __getstate__(self) -> dict:
        # a copy, also a pickled one, keeps its state for the variables that are copied with it
        started = {"_slots": {}, "_slot_changes": {}, "_layout": None, "_variables": [], "_waiting": self.state()}
        return {**vars(self), **started, "_iterations": self._iterations.copy(), "_applied_to_arrays": None}

    def state(self) -> dict:
        """{(slot name, variable): array} of the current state."""
        found = {key: value.copy() for key, value in self._waiting.items()}
        if self._layout is not None:
            for name, flat in self._slots.items():
                self._slot_changes[name].settle()
                for variable in self._variables:
                    start, shape = self._layout.offsets[variable], self.slot_shape(name, variable.shape)
                    found[name, variable] = flat[start : start + math.prod(shape)].reshape(shape).copy()
        return found

    def set_state(self, state: dict) -> None:
        """Overwrite the slots of the variables in ``state``; others keep what they have.

        State of variables that are not being trained is kept for the step that trains them.
        """
        for (name, variable), value in state.items():
            if name in self.slot_names and np.shape(value) != self.slot_shape(name, variable.shape):
                shapes = {"shape": np.shape(value), "slot_shape": self.slot_shape(name, variable.shape)}
                raise invalid(f"The slot {name!r} of {variable.name} has another shape.", **shapes)
            if name in self._slots and variable in self._layout.offsets:
                start, size = self._layout.offsets[variable], math.prod(self.slot_shape(name, variable.shape))
                self._slot_changes[name].settle()
                self._slot_changes[name].note()
                self._slots[name][start : start + size] = np.asarray(value).reshape(-1)
                self._waiting.pop((name, variable), None)
            elif name in self.slot_names:
                self._waiting[name, variable] = np.array(value)

    # ---- configuration

    def get_config(self) -> dict:
        """Constructor arguments; a schedule as its serialised form."""
        config = {"name": self.name}
        for key, value in self._hyperparameters.items():
            config[key] = value if isinstance(value, float) else schedules.serialize(value)
        if self.accumulates > 1:
            config["gradient_accumulation_steps"] = self.accumulates
        if self.averages:
            config |= {"use_ema": True, "ema_overwrite_frequency": self.overwrites}
        if self.learning_rate_multipliers:
            config["learning_rate_multipliers"] = dict(self.learning_rate_multipliers)
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Optimizer":
        return cls(**config)


def _pattern(kind: str, argument: str, pattern) -> str:
    """A regular expression, as it was given."""
    try:
        re.compile(pattern)
    except (re.error, TypeError):
        raise invalid(f"{kind} expects {argument} to be regular expressions.", **{argument: pattern}) from None
    return pattern


def _multipliers(kind: str, given) -> dict[str, float]:
    argument = "learning_rate_multipliers"
    if given is not None and not isinstance(given, dict):
        raise invalid(f"{kind} expects {argument} to be a dict of factors by patterns of names.", **{argument: given})
    return {
        _pattern(kind, argument, pattern): checks.number(kind, argument, factor, least=0)
        for pattern, factor in (given or {}).items()
    }


class WithMomentum(Optimizer):
    """Base of optimizers that keep no velocity until there is a momentum; a schedule may leave zero later."""

    _plain = True

    def _set(self, key, value):
        super()._set(key, value)
        value = self._hyperparameters[key]
        if key == "momentum" and value != 0.0:
            if isinstance(value, float) and value > 1:
                raise ValueError(f"{type(self).__name__} expects momentum from 0 to 1. Received: momentum={value}")
            if self._plain:
                self._plain = False
                restructured(self)
