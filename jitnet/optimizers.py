"""Optimizers: element updates of kernels/cpu/optimizers.py over all parameters in one pass.

Every hyperparameter may be a number or a schedule (``jitnet.optimizers.schedules``), a function of the step number.
"""

import copy
import inspect
import sys

import numpy as np

from . import _registry, schedules
from ._fixed import Fixed, noticed, restructured
from ._settings import Adjustable, described
from .core import checks
from .core.errors import NamesArguments, invalid, module_dir, module_getattr, unknown_arguments, unknown_name
from .core.operations.effects import Update
from .core.settings import Number, Setting
from .core.values import Changes, Value

# Keras's name of the module of schedules, importable although this is no package
sys.modules[f"{__name__}.schedules"] = schedules

__all__ = ["SGD", "Adam", "Optimizer", "deserialize", "get", "schedules", "serialize"]


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


_OPTIONS = ("gradient_accumulation_steps", "use_ema", "ema_momentum", "ema_overwrite_frequency")


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

    gradient_accumulation_steps: update once in so many steps, by the mean of their gradients.
    use_ema, ema_momentum, ema_overwrite_frequency: keep moving averages of the parameters in the slot ``average``,
        which replace the parameters once in so many steps.

    An optimizer belongs to the model that it first trains: weights of another one are refused, as in Keras, because
    the steps taken and the slots say nothing about them.
    """

    function: str | None = None
    own_slots: tuple = ()
    hyperparameter_names: tuple = ()

    def __init__(
        self, name: str | None = None, gradient_accumulation_steps=None, use_ema=False, ema_momentum=0.99,
        ema_overwrite_frequency=None, **hyperparameters,
    ):  # fmt: skip
        kind = type(self).__name__
        every = gradient_accumulation_steps
        self.accumulates = 1 if every is None else checks.integer(kind, "gradient_accumulation_steps", every, least=2)
        self.averages = checks.boolean(kind, "use_ema", use_ema)
        often = ema_overwrite_frequency
        self.overwrites = None if often is None else checks.integer(kind, "ema_overwrite_frequency", often, least=1)
        self.name = checks.text(type(self).__name__, "name", name or type(self).__name__.lower())
        self._hyperparameters = {}
        unknown = {key: value for key, value in hyperparameters.items() if key not in self.hyperparameter_names}
        if unknown:
            raise unknown_arguments(type(self).__name__, unknown, ["name", *_OPTIONS, *self.hyperparameter_names])
        missing = [key for key in self.hyperparameter_names if key not in hyperparameters]
        if missing:
            raise TypeError(f"{kind} passes its hyperparameters to Optimizer.__init__. Missing: {', '.join(missing)}")
        for key in self.hyperparameter_names:
            self._set(key, hyperparameters[key])
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

    def _set(self, key, value):
        # from a config: a schedule, or the name of a user's function
        if isinstance(value, dict) or (isinstance(value, str) and ">" in value):
            value = schedules.deserialize(value)
        if not isinstance(value, schedules.Schedule) and not callable(value):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise ValueError(
                    f"{type(self).__name__} expects {key} to be a number or a schedule. Received: {key}={value!r}"
                )
            value = float(value)
            if not np.isfinite(value) or value < 0:
                raise ValueError(
                    f"{type(self).__name__} expects {key} to be finite and not negative. Received: {key}={value!r}"
                )
        self._hyperparameters[key] = value

    def __getattr__(self, key):
        if key in self.__dict__.get("_hyperparameters", {}):
            return Hyperparameter(self, key)
        raise AttributeError(f"{type(self).__name__} has no attribute {key!r}")

    def _value(self, key) -> float:
        """A hyperparameter at the next step."""
        value = self._hyperparameters[key]
        return value if isinstance(value, float) else float(value(self.iterations // self.accumulates))

    def __setattr__(self, key, value):
        if key not in vars(self).get("_hyperparameters", type(self).hyperparameter_names):
            made = "_hyperparameters" in vars(self) and type(self).__module__ == __name__
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
        return function, self.slot_names, self.accumulates, self.averages, self.overwrites

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

    def traced_update(self, parameter, gradient, slots: dict, numbers: dict, loss) -> dict:
        """``update`` with what it asks for: {"parameter" or slot: new value}."""
        wanted = inspect.signature(self.update).parameters
        known = {**numbers, **slots}
        if self.needs_loss:
            if loss is None:
                raise invalid(f"{type(self).__name__} needs the loss: optimizer.apply(..., loss=loss).", loss=loss)
            known["loss"] = loss
        everything = any(p.kind is p.VAR_KEYWORD for p in wanted.values())
        given = {name: value for name, value in known.items() if everything or name in wanted}
        new = self.update(parameter, gradient, **given)
        new = new if isinstance(new, tuple) else (new,)
        names = ["parameter", *self.own_slots]
        if len(new) != len(names):
            raise ValueError(
                f"{type(self).__name__}.update returns {len(names)} values: {', '.join(names)}. Received: {len(new)}"
            )
        for name, value in zip(names, new, strict=True):
            if not isinstance(value, Value) or value.shape != parameter.shape:
                shape = value.shape if isinstance(value, Value) else type(value).__name__
                raise ValueError(
                    f"{type(self).__name__}.update returns {name} of shape {parameter.shape}. Received: shape={shape}"
                )
        return dict(zip(names, new, strict=True))

    def apply(self, gradients, trainable_variables=None, loss=None) -> None:
        """In a ``train_step``: update variables by their gradients, both lists, whenever the step runs.

        loss: what the gradients are taken of, for optimizers that ask for it.
        """
        variables = list(self._variables if trainable_variables is None else trainable_variables)
        gradients = list(gradients)
        if len(gradients) != len(variables):
            raise ValueError(
                f"apply needs a gradient for each of {len(variables)} variables. Received: {len(gradients)} gradients"
            )
        noticed(self)
        Update(self, len(variables))(*variables, *gradients, *(() if loss is None else (loss,)))

    def apply_gradients(self, grads_and_vars) -> None:
        """``apply`` with pairs (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])

    # ---- state

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
        return {**vars(self), **started, "_iterations": self._iterations.copy()}

    def state(self) -> dict:
        """{(slot name, variable): array} of the current state."""
        found = {key: value.copy() for key, value in self._waiting.items()}
        if self._layout is not None:
            for name, flat in self._slots.items():
                self._slot_changes[name].settle()
                for variable in self._variables:
                    start = self._layout.offsets[variable]
                    found[name, variable] = flat[start : start + variable.size].reshape(variable.shape).copy()
        return found

    def set_state(self, state: dict) -> None:
        """Overwrite the slots of the variables in ``state``; others keep what they have.

        State of variables that are not being trained is kept for the step that trains them.
        """
        for (name, variable), value in state.items():
            if name in self._slots and variable in self._layout.offsets:
                start = self._layout.offsets[variable]
                self._slot_changes[name].settle()
                self._slot_changes[name].note()
                self._slots[name][start : start + variable.size] = np.asarray(value).reshape(-1)
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
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Optimizer":
        return cls(**config)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov momentum (Sutskever et al. 2013).

    velocity = momentum * velocity - learning_rate * gradient; parameter += velocity.  With ``nesterov``:
    parameter += momentum * velocity - learning_rate * gradient.

    learning_rate, momentum: numbers or schedules.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, *, name="SGD", **options):
        self.nesterov = nesterov
        self._plain = True  # no velocity is kept until there is momentum; a schedule may leave zero later
        super().__init__(name=name, learning_rate=learning_rate, momentum=momentum, **options)

    hyperparameter_names = ("learning_rate", "momentum")
    nesterov = Adjustable(checks.boolean)

    def scalar_sources(self):
        return super().scalar_sources() | ({} if self._plain else {"nesterov": Setting(self, "nesterov")})

    def _set(self, key, value):
        super()._set(key, value)
        value = self._hyperparameters[key]
        if key == "momentum" and value != 0.0:
            if isinstance(value, float) and value > 1:
                raise ValueError(f"SGD expects momentum from 0 to 1. Received: momentum={value}")
            if self._plain:
                self._plain = False
                restructured(self)

    @property
    def function(self):
        return "sgd" if self._plain else "sgd_momentum"

    @property
    def own_slots(self):
        return () if self._plain else ("velocity",)

    def get_config(self):
        return {**super().get_config(), "nesterov": described(self.nesterov)}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), algorithm 1 in its efficient form, as Keras has it.

    alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t); parameter -= alpha * m / (sqrt(v) + epsilon).
    """

    function = "adam"
    own_slots = ("m", "v")
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, name="adam", **options):
        numbers = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)


_KNOWN = _registry.by_name([SGD, Adam])


def serialize(optimizer: Optimizer) -> dict:
    """``{"class_name": ..., "config": {...}}``"""
    return _registry.serialize(optimizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Optimizer:
    """The optimizer that ``serialize`` described."""
    return _registry.deserialize(config, _KNOWN, custom_objects, kind="optimizer")


def get(identifier) -> Optimizer:
    """An optimizer from an instance, a class, a config or a name such as "adam"."""
    return _registry.get(identifier, _KNOWN, kind="optimizer", base=Optimizer)


__getattr__ = module_getattr(__name__, "optimizer")
__dir__ = module_dir(__name__)
