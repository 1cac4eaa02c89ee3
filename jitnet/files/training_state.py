"""Everything that a training needs to go on, to the bit, as if it had not been interrupted.

Beside the weights: optimizers, random numbers, what callbacks have assigned, the callbacks' own state.  Here it is
gathered, and put back; ``_course`` says where in the training, ``_checkpoints`` keeps it in files.

A state consists of None, truth values, numbers, strings, arrays, and lists and dicts of states; in a file's description
``{"__array__": name}`` stands for a tensor.
"""

import functools
import numbers
import random
import reprlib
import sys

import numpy as np

from .. import _seed
from .._settings import Adjustable
from .._structures import flatten, mapped
from ..core.errors import invalid
from ..core.values import Variable
from ..optimizers.base import Optimizer
from . import saved_weights, schema

_PREFIX, _ARRAY = "training/", "__array__"


# ---- states, and what is in files


def encoded(state, tensors: dict, place: str):
    """``state`` as JSON values; its arrays go into ``tensors``, named after ``place``.

    Raises TypeError for what has no place in a file.
    """
    match state:
        case np.ndarray() if state.dtype.kind in "biuf":
            name = f"{_PREFIX}{place}"
            while name in tensors:  # a key may have a slash
                name += "_"
            tensors[name] = np.array(state, order="C")
            return {_ARRAY: name}
        case np.generic():
            return encoded(state.item(), tensors, place)
        case None | bool() | str():
            return state
        case int() | float():  # also an optimizer's hyperparameter
            return float(state) if isinstance(state, float) else int(state)
        case list() | tuple():
            return [encoded(part, tensors, f"{place}/{number}") for number, part in enumerate(state)]
        case dict() if _ARRAY not in state and all(isinstance(key, str) for key in state):
            return {key: encoded(part, tensors, f"{place}/{key}") for key, part in state.items()}
    raise TypeError(
        "A state consists of None, truth values, numbers, strings, arrays, and lists and dicts of them (with strings "
        f"other than {_ARRAY!r} as keys). Received: {place}={reprlib.repr(state)}"
    )


def decoded(value, tensors: dict):
    """The state of JSON values."""
    if isinstance(value, list):
        return [decoded(part, tensors) for part in value]
    if isinstance(value, dict):
        if _ARRAY in value:
            return tensors[value[_ARRAY]]
        return {key: decoded(part, tensors) for key, part in value.items()}
    return value


def _any(value, place):
    pass


def _array(value, place):
    schema.record(**{_ARRAY: schema.text})(value, place)


_count = schema.whole(0, 2**62)
_generators = schema.record(
    python=schema.record(key=_array, gauss=schema.optional(schema.number)),
    numpy=schema.record(
        key=_array, position=schema.whole(0, 624), has_gauss=schema.whole(0, 1), gauss=schema.number
    ),
)  # fmt: skip
_position = schema.record(
    epoch=_count, done=_count, seen=_count, first=schema.optional(_count), steps=_count, logs=schema.record(),
    results=schema.optional(_array), stopped=schema.flag, finished=schema.flag,
)  # fmt: skip


def _slot(value, place):
    """The name of a slot, that of a weight, and an array."""
    if not isinstance(value, list) or len(value) != 3:
        raise schema.wrong(place, "a list of three", value)
    for check, part in zip((schema.text, schema.text, _array), value, strict=True):
        check(part, place)


_optimizer = schema.record(
    iterations=schema.whole(0, 2**47 - 1), hyperparameters=schema.record(), slots=schema.items(_slot)
)


def _named(value, place):
    """A dict of optimizers."""
    schema.record()(value, place)
    for name, part in value.items():
        _optimizer(part, f"{place}.{name}")


_data = schema.record(
    in_pass=schema.optional(_count), first=_count, begun=schema.optional(_generators), epochs=_count,
    ended=schema.flag,
)  # fmt: skip
_checked = schema.record(
    run=schema.record(), position=_position, optimizers=_named, generators=_generators,
    seed=schema.record(seed=schema.whole(0, 2**32 - 1), streams=_count, draws=schema.whole(0, 2**46)),
    random_streams=schema.items(schema.items(_count)), variables=schema.items(_array),
    settings=schema.items(schema.record()), trainable=schema.items(schema.items(schema.flag)),
    loss_weights=schema.items(_any),
    callbacks=schema.items(schema.record(kind=schema.text, state=schema.record())),
    data=schema.items(_data),
)  # fmt: skip


def check(description: dict) -> None:
    """Raise ValueError unless the description of a file is that of a training."""
    if "training" not in description:
        raise ValueError("it holds a model, not the state of a training")
    _checked(description["training"], "training")
    epochs = description["training"]["position"]["epoch"] + 1
    for part in description["training"]["data"]:
        schema.whole(0, epochs)(part["epochs"], "training.data.epochs")
    known = set(description["arrays"])
    pending = [description["training"]]
    while pending:
        value = pending.pop()
        if isinstance(value, dict) and _ARRAY in value:
            if set(value) != {_ARRAY} or not isinstance(value[_ARRAY], str) or value[_ARRAY] not in known:
                raise schema.wrong("training", "made of arrays that it has", value)
        elif isinstance(value, dict | list):
            pending.extend(value.values() if isinstance(value, dict) else value)


# ---- the parts of a state


def generators() -> dict:
    """Where Python's, NumPy's and, if it is used, PyTorch's global generators stand."""
    _, key, gauss = random.getstate()
    state = np.random.get_state(legacy=False)
    found = {
        "python": {"key": np.array(key, np.uint32), "gauss": gauss},
        "numpy": {
            "key": state["state"]["key"], "position": int(state["state"]["pos"]), "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        },
    }  # fmt: skip
    if "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].random.get_rng_state().numpy()
    return found


def set_generators(state: dict) -> None:
    """Let them go on from there."""
    python, numpy = state["python"], state["numpy"]
    if numpy["key"].shape != (624,) or python["key"].shape != (625,):
        raise ValueError("a generator's state is of another size")
    random.setstate((3, tuple(int(word) for word in python["key"]), python["gauss"]))
    key = {"key": numpy["key"].astype(np.uint32), "pos": numpy["position"]}
    gauss = {"has_gauss": numpy["has_gauss"], "gauss": float(numpy["gauss"])}
    np.random.set_state({"bit_generator": "MT19937", "state": key, **gauss})
    if "torch" in state and "torch" in sys.modules:
        torch = sys.modules["torch"]
        if state["torch"].shape != tuple(torch.random.get_rng_state().shape):
            raise ValueError("the state of PyTorch's generator is of another size: of another version of PyTorch?")
        torch.random.set_rng_state(torch.from_numpy(np.array(state["torch"], np.uint8)))


def _optimizers(model) -> dict:
    """{name of the model's attribute: optimizer}."""
    found = {name: value for name, value in vars(model).items() if isinstance(value, Optimizer)}
    for step in model._steps.values():
        for state in step.states:
            if not any(state.optimizer is optimizer for optimizer in found.values()):
                raise invalid(
                    f"A checkpoint names the optimizers of the model {model.name!r} after its attributes: assign each "
                    "to one.",
                    optimizer=state.optimizer.name,
                )  # fmt: skip
    return found


def _numbers(optimizer) -> dict:
    return {key: value for key, value in optimizer._hyperparameters.items() if isinstance(value, float)}


def _variables(value):
    """The variables in an attribute."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _variables(part)


def _other_variables(model, names: dict) -> list:
    """The variables that layers keep without counting them among their weights: states of recurrent layers, say."""
    found = {}
    for layer in saved_weights.walk(model):
        found.update(dict.fromkeys(v for value in vars(layer).values() for v in _variables(value)))
    return [variable for variable in found if variable not in names]


@functools.cache
def _adjustable(cls) -> tuple:
    return tuple(name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, Adjustable))


def _settings(part) -> dict:
    """The numbers of a layer or a loss that may be assigned during a training."""
    found = {name: vars(part).get(name) for name in _adjustable(type(part))}
    if not type(part).__module__.startswith("jitnet."):
        found |= {k: v for k, v in vars(part).items() if isinstance(v, float) and not k.startswith("_")}
    return {k: v for k, v in found.items() if isinstance(v, numbers.Real) and not isinstance(v, bool)}


def _adjusted(model) -> list:
    losses = model._compiled["losses"] if model._compiled else []
    losses = list(losses.values()) if isinstance(losses, dict) else list(losses)
    return [*saved_weights.walk(model), *(loss for loss in losses if loss is not None)]


def _loss_weights(model) -> list:
    """The loss weights that are numbers, None for the others."""
    given = flatten(model.loss_weights)
    return [w if isinstance(w, numbers.Real) else None for w in given]


def _random_streams(model) -> list:
    layers = saved_weights.walk(model)
    return [[*([x._stream] if hasattr(x, "_stream") else []), *getattr(x, "_streams", ())] for x in layers]


# ---- a training's state


def rest(model, callbacks, streams: int) -> dict:
    """The state apart from the weights and slots: what a validation could change, and what takes little room.

    streams: where the random streams stood when the training began.  Steps that are traced take their streams from
        there, before or after the training goes on.
    """
    names = saved_weights.weight_names(model)
    states = [(type(callback).__name__, callback.get_state()) for callback in callbacks]
    layers = saved_weights.walk(model)
    return {
        "seed": {**_seed.state(), "streams": streams},
        "generators": generators(),
        "random_streams": _random_streams(model),
        "variables": [variable.numpy() for variable in _other_variables(model, names)],
        "settings": [_settings(part) for part in _adjusted(model)],
        "loss_weights": _loss_weights(model),
        "trainable": [[layer.trainable for layer in layers], [bool(v.trainable) for v in names]],
        "callbacks": [{"kind": kind, "state": state} for kind, state in states if state],
    }


def check_kept(model, rest: dict) -> None:
    """Raise now rather than after hours what ``captured`` would."""
    _optimizers(model)
    encoded(rest["callbacks"], {}, "callbacks")


def captured(model, rest: dict, overriding: dict, **parts) -> tuple[dict, dict]:
    """(tensors, description) of a file.

    rest: as of the function of that name; overriding: {variable: value} of weights that are to have other values than
    they have now; parts: more entries of the state.
    """
    names = saved_weights.weight_names(model)
    tensors = saved_weights.weight_tensors(names)
    tensors |= {f"weights/{names[variable]}": value for variable, value in overriding.items()}
    optimizers = {}
    for key, optimizer in _optimizers(model).items():
        slots = [[slot, names[variable], value] for (slot, variable), value in optimizer.state().items()]
        optimizers[key] = {
            "iterations": optimizer.iterations, "hyperparameters": _numbers(optimizer), "slots": slots
        }  # fmt: skip
    arrays: dict = {}
    training = {}
    for key, value in {**rest, **parts, "optimizers": optimizers}.items():
        training[key] = encoded(value, arrays, key)
    description = {"weights": list(names.values()), "arrays": list(arrays), "training": training}
    return {**tensors, **arrays}, description


def check_fits(model, callbacks, path: str, tensors: dict, description: dict) -> None:
    """Raise ValueError if a file is of another model, or has the state of another optimizer or other callbacks."""
    state = decoded(description["training"], tensors)
    variables = saved_weights.matched(model, path, tensors, description)
    _check_optimizers(model, path, state, variables)
    names = saved_weights.weight_names(model)
    others = _other_variables(model, names)
    layers, streams = saved_weights.walk(model), _random_streams(model)
    lengths = [*map(len, streams), len(_adjusted(model)), len(_loss_weights(model)), len(layers), len(names)]
    found = [*map(len, state["random_streams"]), len(state["settings"]), len(state["loss_weights"])]
    found += map(len, state["trainable"])
    shapes = [v.shape for v in others] == [value.shape for value in state["variables"]]
    if lengths != found or not shapes:
        raise ValueError(f"{path} is of a model with other layers than {model.name!r}.")
    _matched_callbacks(callbacks, path, state["callbacks"])


def restore(model, callbacks, path: str, tensors: dict, description: dict) -> None:
    """Put everything back that is in a file that fits, but for what the loop keeps."""
    state = decoded(description["training"], tensors)
    variables = saved_weights.assign(model, path, tensors, description)
    _restore_optimizers(model, state, variables)
    names = saved_weights.weight_names(model)
    others = _other_variables(model, names)
    layers, parts = saved_weights.walk(model), _adjusted(model)
    for variable, value in zip(others, state["variables"], strict=True):
        variable.assign(value)
    _restore_streams(model, layers, state["random_streams"])
    for part, settings in zip(parts, state["settings"], strict=True):
        for name, value in settings.items():
            if name in _settings(part) and _settings(part)[name] != value:
                setattr(part, name, value)
    if state["loss_weights"] != _loss_weights(model):
        given = iter(state["loss_weights"])
        model.loss_weights = mapped(lambda w: w if (n := next(given)) is None else n, model.loss_weights)
    for layer, flag in zip(layers, state["trainable"][0], strict=True):
        layer._trainable = flag
    for variable, flag in zip(names, state["trainable"][1], strict=True):
        variable.trainable = flag
    _seed.set_state(state["seed"])
    set_generators(state["generators"])
    _restore_callbacks(callbacks, path, state["callbacks"])


def _check_optimizers(model, path: str, state: dict, variables: dict) -> None:
    optimizers = _optimizers(model)
    if set(optimizers) != set(state["optimizers"]):
        raise ValueError(
            f"{path} has the state of the optimizers {sorted(state['optimizers'])}, the model {model.name!r} has "
            f"{sorted(optimizers)}."
        )
    for key, optimizer in optimizers.items():
        saved = state["optimizers"][key]
        unknown = [name for name in saved["hyperparameters"] if name not in optimizer._hyperparameters]
        unknown = [name for name in unknown if name in optimizer.hyperparameter_names or not hasattr(optimizer, name)]
        slots = {slot for slot, *_ in saved["slots"]}
        if unknown or (slots and slots != set(optimizer.slot_names)):
            raise ValueError(
                f"{path} has the state of another optimizer, with {sorted(saved['hyperparameters'])} and slots "
                f"{sorted(slots)}. Expected {type(optimizer).__name__}, with slots {sorted(optimizer.slot_names)}."
            )
        for slot, name, value in saved["slots"]:
            if name not in variables or value.shape != optimizer.slot_shape(slot, variables[name].shape):
                raise ValueError(f"{path} has a slot {slot!r} of {name!r} that does not fit the weight.")


def _restore_optimizers(model, state: dict, variables: dict) -> None:
    for key, optimizer in _optimizers(model).items():
        saved, now = state["optimizers"][key], _numbers(optimizer)
        for name in now.keys() - saved["hyperparameters"].keys():
            setattr(optimizer, name, None)  # an option that was none
        for name, value in saved["hyperparameters"].items():
            if now.get(name) != value:
                setattr(optimizer, name, value)
        fresh = {key: np.full_like(value, optimizer.first_value(key[0])) for key, value in optimizer.state().items()}
        optimizer.set_state({**fresh, **{(slot, variables[name]): value for slot, name, value in saved["slots"]}})
        optimizer.iterations = saved["iterations"]


def _restore_streams(model, layers: list, streams: list) -> None:
    if streams == _random_streams(model):
        return
    for layer, own in zip(layers, streams, strict=True):
        if hasattr(layer, "_stream"):
            layer._stream, *own = own
        if hasattr(layer, "_streams"):
            layer._streams = tuple(own)
    model._forget_steps()  # they are written from them


def _matched_callbacks(callbacks, path: str, states: list) -> list:
    """[(callback, state)]: each kind of callbacks has its states in order."""
    waiting, found = list(callbacks), []
    for saved in states:
        match = next((c for c in waiting if type(c).__name__ == saved["kind"]), None)
        if match is None:
            raise ValueError(
                f"{path} has the state of a {saved['kind']}, which is not among the callbacks. Go on with the same "
                f"callbacks. Received: callbacks={[type(callback).__name__ for callback in callbacks]}"
            )
        waiting.remove(match)
        found.append((match, saved["state"]))
    return found


def _restore_callbacks(callbacks, path: str, states: list) -> None:
    for callback, state in _matched_callbacks(callbacks, path, states):
        try:
            callback.set_state(state)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            kind, problem = type(callback).__name__, f"{type(error).__name__}: {error}"
            raise ValueError(f"{path} has a state of {kind} that it does not take. {problem}") from error
