"""Tables with a ``class``: checked against its constructor, completed with its defaults, and made into objects.

They are made as those of a saved model are, from their class's name and config, by the same checks.
"""

import contextlib
import importlib
import inspect

from jitnet.configuration import values

# kind: (module, base class, what can't be described by values, or belongs elsewhere)
_KINDS = {
    "callback": ("callbacks", "Callback", (
        "BackupAndRestore", "CallbackList", "History", "LambdaCallback", "LearningRateScheduler", "ProgbarLogger",
    )),
    "constraint": ("constraints", "Constraint", ()),
    "initializer": ("initializers", "Initializer", ()),
    "layer": ("layers", "Layer", ("InputLayer", "Lambda")),
    "loss": ("losses", "Loss", ()),
    "metric": ("metrics", "Metric", ("MeanMetricWrapper",)),
    "optimizer": ("optimizers", "Optimizer", ()),
    "regularizer": ("regularizers", "Regularizer", ()),
    "schedule": ("schedules", "Schedule", ("FunctionSchedule",)),
}  # fmt: skip

_AUGMENTING = ("augmentation", "colour_augmentation", "random_augment")  # files of layers
_PREPARING = ("CenterCrop", "Rescaling", "Resizing")
_MIXING = ("CutMix", "MixUp")

# arguments that take layers; others that take a table are recognised by their ends, or take a schedule
_OF_LAYERS = ("backward_layer", "block", "cell", "cells", "layer", "layers", "shortcut")
_ENDS = ("constraint", "initializer", "regularizer")
_SHAPES = {"input_shape", "output_shape"}  # in which "none" is a length that is open
_DICTS = ("learning_rate_multipliers",)  # of factors by names

# lengths of schedules in steps, and what they are called in epochs
_EPOCHS = {
    "boundaries": "boundary_epochs",
    "decay_steps": "decay_epochs",
    "first_decay_steps": "first_decay_epochs",
    "step_size": "epochs_per_half_cycle",
    "steps": "epochs",
    "total_steps": "total_epochs",
    "warmup_steps": "warmup_epochs",
}
_STEPS_TO_TRY = 1000  # per epoch, where lengths are checked before the data are there


def known(kind: str) -> dict[str, type]:
    """The classes of a kind by their public names, aliases included."""
    if kind == "augmentation":
        layers = known("layer")
        files = {f"jitnet.layers.{file}" for file in _AUGMENTING}
        mixing = _MIXING
        return {n: c for n, c in layers.items() if n not in mixing and (c.__module__ in files or n in _PREPARING)}
    module, base, others = _KINDS[kind]
    module = importlib.import_module(f"jitnet.{module}")
    base = getattr(module, base)
    found = {name: getattr(module, name) for name in dir(module)}
    return {
        name: value
        for name, value in found.items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base and value.__name__ not in others
    }


def completed(key: str, table: dict, kind: str) -> dict:
    """The table of an object with every default that TOML can say; the object is made once, so that it is checked.

    key: the table's in the configuration, for messages.

    Raises ValueError for an unknown class or argument, with the nearest known one, for one that is missing, and for
    what the class refuses.
    """
    found = _completed(key, values.table(key, table), kind)
    with _nothing_left_behind():
        make(key, found, kind, _STEPS_TO_TRY)
    return found


def make(key: str, table: dict, kind: str, steps_per_epoch: int):
    """The object that a completed table describes."""
    from jitnet import _registry

    config = _described(key, table, steps_per_epoch)
    try:
        return _registry.deserialize(config, known(kind), kind=kind)
    except (AttributeError, ImportError, KeyError, OSError, OverflowError, TypeError, ValueError) as error:
        # a TypeError of the registry's repeats the whole config
        cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ is not None else error
        raise ValueError(f"{key}: {cause}") from error


@contextlib.contextmanager
def _nothing_left_behind():
    """What is made within the block to be checked takes no automatic name from what is made later."""
    from jitnet.layers import base

    before = base.used_names()
    try:
        yield
    finally:
        base.set_used_names(before)


def _completed(key: str, table: dict, kind: str) -> dict:
    cls = _class(key, table, kind)
    parameters = _parameters(cls)
    in_epochs = {_EPOCHS[name]: name for name in parameters if name in _EPOCHS} if _is_schedule(cls) else {}
    found = {"class": cls.__name__}
    for name, value in table.items():
        place = f"{key}.{name}"
        if name == "class":
            continue
        if name in in_epochs:
            if in_epochs[name] in table:
                raise values.wrong(f"{key} takes {in_epochs[name]} or {name}, not both.", place, value)
            found[name] = _epochs(place, value)
        elif name in parameters:
            _check_kind(place, value, parameters[name].default)
            found[name] = _plain(place, name, value)
        else:
            raise values.unknown_key(place, [f"{key}.{known}" for known in (*parameters, *in_epochs)])
    given_otherwise = {steps for epochs, steps in in_epochs.items() if epochs in found}
    for name, parameter in _with_defaults(cls).items():
        if name in found or name in given_otherwise:
            continue
        if parameter.default is parameter.empty:
            names = [name, *(epochs for epochs, steps in in_epochs.items() if steps == name)]
            raise ValueError(f"{key} lacks {' or '.join(names)}, which {cls.__name__} needs.")
        # what is None is left out: TOML has no such value; a name says nothing
        if parameter.default is not None and name != "name":
            found[name] = _as_toml(parameter.default)
    return found


def _class(key: str, table: dict, kind: str) -> type:
    found = known(kind)
    name = table.get("class")
    if name is None:
        raise ValueError(f"{key} has no class, the name of its {kind}.")
    if not isinstance(name, str):
        raise values.wrong(f"{key}.class must be the name of its {kind}.", f"{key}.class", name)
    if name not in found:
        if kind == "augmentation" and name in _MIXING:
            raise ValueError(f"{key}: {name} mixes labels, too, which no model does. Received: class={name!r}")
        unknown = values.unknown_name(kind, name, found)
        raise ValueError(f"{key}.class: {unknown}")
    return found[name]


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What the constructor takes by name, with what it passes on to those of its bases."""
    found = {}
    for number, signature in enumerate(_signatures(cls)):
        for parameter in signature:
            # what a base needs, the class gives it
            if not number or parameter.default is not parameter.empty:
                found.setdefault(parameter.name, parameter)
    return found


def _with_defaults(cls: type) -> dict[str, inspect.Parameter]:
    """The parameters that are written out: the class's own, and those of all of its kind.

    A class may itself set what a base between them takes.
    """
    own, *bases = list(_signatures(cls)) or [[]]
    shared = [parameter for parameter in bases[-1] if parameter.default is not parameter.empty] if bases else []
    return {parameter.name: parameter for parameter in [*shared, *own]}


def _signatures(cls: type):
    """The named parameters of each constructor that takes part, from the class to the last of its bases."""
    for base in cls.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        own = list(inspect.signature(base.__init__).parameters.values())[1:]
        yield [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            return


def _is_schedule(cls: type) -> bool:
    from jitnet.schedules import Schedule

    return issubclass(cls, Schedule)


def _check_kind(key: str, value, default) -> None:
    """Raise ValueError for a value that no argument with such a default takes; its class checks the rest."""
    if isinstance(default, bool):
        values.boolean(key, value)
    elif isinstance(default, int | float | tuple | list) and isinstance(value, bool | str):
        expected = "a number" if isinstance(default, int | float) else "a list of numbers"
        raise values.wrong(f"{key} must be {expected}.", key, value)


def _epochs(key: str, value):
    """A number of epochs, or a list of them."""
    if isinstance(value, list):
        return [values.number(key, item) for item in value]
    return values.number(key, value)


def _plain(key: str, argument: str, value):
    """A value of an argument, in which tables with a class are completed."""
    if isinstance(value, list):
        return [_plain(f"{key}.{index}", argument, item) for index, item in enumerate(value)]
    if isinstance(value, dict):
        if argument not in _DICTS:
            return _completed(key, value, _kind(argument))
        return {name: _plain(f"{key}.{name}", argument, item) for name, item in value.items()}
    if not isinstance(value, bool | int | float | str):
        raise values.wrong(f"{key} must be a number, a string, true, false, a list or a table.", key, value)
    if isinstance(value, int) and abs(value) > 2**63:
        raise values.wrong(f"{key} must be a number of up to 64 bits.", key, value)
    return value


def _kind(argument: str) -> str:
    """What a table stands for, by the argument that it is given for."""
    if argument in _OF_LAYERS:
        return "layer"
    return next((end for end in _ENDS if argument.endswith(end)), "schedule")


def _as_toml(default):
    return [_as_toml(item) for item in default] if isinstance(default, tuple | list) else default


def _described(key: str, value, steps_per_epoch: int):
    """A completed value as configs of saved models have it."""
    if isinstance(value, list):
        return [_described(f"{key}.{index}", item, steps_per_epoch) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    found = {name: _described(f"{key}.{name}", item, steps_per_epoch) for name, item in value.items()}
    for name in _SHAPES & found.keys():
        if isinstance(found[name], list):
            found[name] = [None if length == "none" else length for length in found[name]]
    if "class" not in found:  # one of _DICTS
        return found
    name = found.pop("class")
    in_steps = {epochs: steps for steps, epochs in _EPOCHS.items()}
    config = {in_steps.get(n, n): _steps(v, steps_per_epoch) if n in in_steps else v for n, v in found.items()}
    return {"class_name": name, "config": config}


def _steps(epochs, steps_per_epoch: int):
    if isinstance(epochs, list):
        return [_steps(number, steps_per_epoch) for number in epochs]
    return max(1, round(epochs * steps_per_epoch)) if epochs else 0
