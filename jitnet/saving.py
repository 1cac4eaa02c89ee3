"""Models and weights on disk: one safetensors file each, never pickle.

The tensors are ``weights/<layer>/<weight>`` and ``optimizer/<slot>/<layer>/<weight>``.  The file's metadata holds JSON
under "jitnet": the format's version, the weights' names in the order of ``get_weights``, a checksum and, for a whole
model, its configuration, how it was compiled, and where its optimizer and its random streams stand.
"""

import contextlib
import errno
import inspect
import json
import os
import secrets
import zlib

import numpy as np
import safetensors
import safetensors.numpy

from . import __version__, _compilation, _registry, graph, losses, metrics, optimizers
from ._registry import custom_object_scope, register_keras_serializable
from .layers.base import REGISTRY, Layer
from .steps import placeholder

__all__ = [
    "custom_object_scope", "load_model", "load_weights", "register_keras_serializable", "save_model", "save_weights",
]  # fmt: skip

FORMAT_VERSION = 1
_KEY = "jitnet"  # of the JSON in the file's metadata


def save_model(model, filepath, overwrite=True) -> None:
    """Write a model's weights, configuration, optimizer state and the arguments of ``compile`` into one file.

    filepath: of the safetensors file.  It is replaced at once when the new one is complete: whatever fails before
        leaves an earlier file as it was.
    overwrite: False raises if the file exists.

    Raises:
        FileExistsError: the file exists and ``overwrite`` is False.
        OSError: the file cannot be written.
        ValueError: a part of the model cannot be described, such as a lambda as a loss.
    """
    path = _target(filepath, overwrite)
    for layer in _walk(model):
        _check_config(layer)
    names = _weight_names(model)
    description = {
        "model": _registry.serialize(model),
        "compile": _described_compilation(model),
        "floatx": next((v.dtype for v in names if v.dtype.startswith("float")), graph.floatx()),
        "inputs": _described_inputs(model),
        "random_streams": [layer._stream for layer in _random_layers(model)],
    }
    tensors = _weight_tensors(names)
    if model.optimizer is not None:
        description["iterations"] = int(model.optimizer.iterations)
        for (slot, variable), value in model.optimizer.state().items():
            if variable in names:
                tensors[f"optimizer/{slot}/{names[variable]}"] = value
    _write(path, tensors, {"weights": list(names.values()), **description})


def save_weights(model, filepath, overwrite=True) -> None:
    """Write a model's weights alone; arguments and errors as of ``save_model``."""
    path = _target(filepath, overwrite)
    names = _weight_names(model)
    if not names:
        hint = "" if model.built else ": it is not built yet, because its input shape is unknown"
        raise ValueError(f"The model {model.name!r} has no weights to save{hint}.")
    _write(path, _weight_tensors(names), {"weights": list(names.values())})


def load_model(filepath, custom_objects=None, compile=True):
    """The model in a file that ``save_model`` wrote; training goes on as if it had not been interrupted.

    custom_objects: {name: class or function} for layers, losses, metrics and other parts of your own.
    compile: False leaves the losses, the metrics and the optimizer aside.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or not from jitnet, holds weights alone, comes from a newer version of jitnet,
            or names something unknown.
    """
    from .models import Model

    path, tensors, description = _read(filepath)
    if "model" not in description:
        raise ValueError(
            f"{path} holds weights alone, without the model's configuration. Build the model and call "
            f"model.load_weights({path!r}), or save it with model.save."
        )
    with custom_object_scope(custom_objects), _floatx(description["floatx"]):
        model = _registry.deserialize(description["model"], REGISTRY, kind="model")
        if not isinstance(model, Model):
            raise ValueError(f"{path} does not describe a model. Received: {model!r}")
        inputs = description["inputs"]
        if inputs is not None and model._graph_inputs is None:
            # a subclass with its own call is built by its first input, as it was before
            model._build_from_tensors([placeholder(x["name"], x["shape"], x["dtype"]) for x in inputs])
        variables = _assign(model, path, tensors, description["weights"])
        for layer, stream in zip(_random_layers(model), description["random_streams"], strict=True):
            layer._stream = stream
        if compile and description["compile"] is not None:
            _compile(model, description["compile"])
            model.optimizer.iterations = description["iterations"]
            model.optimizer.set_state(_optimizer_state(tensors, variables))
    return model


def load_weights(model, filepath) -> None:
    """Read weights that ``save_weights`` or ``save_model`` wrote into a built model.

    They are matched by name if all names agree, otherwise (automatic names depend on what was built before) by order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or not from jitnet, or its weights don't fit the model; nothing is changed then.
    """
    path, tensors, description = _read(filepath)
    if not model.built and not model.weights:
        raise ValueError(
            f"The model {model.name!r} is not built: its input shape is unknown. Start it with Input(shape=...), or "
            "call it on data once, before loading weights."
        )
    _assign(model, path, tensors, description["weights"])


# ---- what is saved


def _walk(layer):
    """``layer`` and all layers in it, each once."""
    found, stack = {}, [layer]
    while stack:
        current = stack.pop()
        if current not in found:
            found[current] = None
            stack.extend(reversed(current.sublayers()))
    return list(found)


def _random_layers(model):
    """Layers that draw random numbers: their streams must go on, or the training would."""
    return [layer for layer in _walk(model) if hasattr(layer, "_stream")]


def _weight_names(model) -> dict:
    """{variable: name in the file} in the order of ``get_weights``; a name that is taken gets a number."""
    names, taken = {}, set()
    for variable in model._weight_order():
        name, number = variable.name, 1
        while name in taken:
            number += 1
            name = f"{variable.name}_{number}"
        taken.add(name)
        names[variable] = name
    return names


def _weight_tensors(names) -> dict:
    return {f"weights/{name}": variable.numpy() for variable, name in names.items()}


def _check_config(layer) -> None:
    """Find out before hours of training are saved, not when they are loaded."""
    from .models import Model, Sequential

    cls, config = type(layer), layer.get_config()
    arguments = ()
    if cls.from_config.__func__ is Sequential.from_config.__func__:
        config = {"name": layer.name}
    elif cls.from_config.__func__ is Model.from_config.__func__ and "nodes" in config:
        arguments, config = ("inputs", "outputs"), {"name": layer.name}
    elif cls.from_config.__func__ not in (Layer.from_config.__func__, Model.from_config.__func__):
        return
    try:
        inspect.signature(cls).bind(*arguments, **config)
    except TypeError as error:
        raise ValueError(
            f"{layer.name!r} cannot be saved, because {cls.__name__} could not be made again from its get_config(): "
            f"{error}. Let get_config return {{**super().get_config(), ...}} with all arguments of __init__, and let "
            f"__init__ pass **kwargs on. Received: config={config!r}"
        ) from None


def _described_inputs(model):
    if model._graph_inputs is None:
        return None
    return [{"name": x.name, "shape": x.shape[1:], "dtype": x.dtype} for x in model._graph_inputs]


def _described_compilation(model):
    if model._compiled is None:
        return None
    compiled = _compilation.as_lists(model._compiled, model)

    def described_metric(metric):
        if isinstance(metric, list | tuple):
            return [described_metric(m) for m in metric]
        return metric if isinstance(metric, str) else metrics.serialize(metrics.get(metric))

    try:
        return {
            "optimizer": optimizers.serialize(model.optimizer),
            "losses": [losses.serialize(loss) for loss in compiled["losses"]],
            "metrics": described_metric(compiled["metrics"]),
            "loss_weights": compiled["loss_weights"],
            "jit_compile": compiled["jit_compile"],
        }
    except ValueError as error:
        raise ValueError(
            f"How the model {model.name!r} was compiled cannot be saved: {error}. Compile it with named functions or "
            "classes, or save its weights alone with save_weights."
        ) from None


def _compile(model, config) -> None:
    def metric(description):
        if isinstance(description, list):
            return [metric(m) for m in description]
        # a name stays a name: "accuracy" becomes what fits the loss
        return description if isinstance(description, str) else metrics.get(description)

    found = [losses.deserialize(loss) for loss in config["losses"]]
    model.compile(
        optimizers.deserialize(config["optimizer"]),
        loss=found[0] if len(found) == 1 else (found or None),
        metrics=metric(config["metrics"]),
        loss_weights=config["loss_weights"],
        jit_compile=config["jit_compile"],
    )


def _optimizer_state(tensors, variables) -> dict:
    state = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimizer":
            slot, _, name = rest.partition("/")
            state[slot, variables[name]] = value
    return state


def _assign(model, path, tensors, saved_names) -> dict:
    """Set the model's weights, all or none; returns {name in the file: variable}."""
    names = _weight_names(model)
    if len(names) != len(saved_names):
        missing = [n for n in names.values() if n not in saved_names]
        surplus = [n for n in saved_names if n not in names.values()]
        raise ValueError(
            f"The weights in {path} are not those of the model {model.name!r}, which has {len(names)} weights. "
            f"Only in the model: {_few(missing)}; only in the file: {_few(surplus)}. "
            f"Received: {len(saved_names)} weights"
        )
    # layers that a user's own layer makes get other automatic names every time: then the order counts
    sources = names.values() if set(names.values()) == set(saved_names) else saved_names
    variables = dict(zip(sources, names, strict=True))
    for source, variable in variables.items():
        shape = tensors[f"weights/{source}"].shape
        if shape != variable.shape:
            raise ValueError(
                f"{variable.name} of the model {model.name!r} expects shape {variable.shape}. "
                f"Received: {source} in {path} with shape={shape}"
            )
    for source, variable in variables.items():
        variable.assign(tensors[f"weights/{source}"])
    return variables


def _few(names) -> str:
    return (", ".join(names[:4]) + (", ..." if len(names) > 4 else "")) or "none"


@contextlib.contextmanager
def _floatx(dtype: str):
    before = graph.policy()
    graph.set_floatx(dtype)
    try:
        yield
    finally:
        graph.set_policy(before)


# ---- the file


def _target(filepath, overwrite: bool) -> str:
    """The path to write to, links followed, so that a link stays one."""
    path = os.path.realpath(os.fspath(filepath))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "A model is saved into a file, and this is a directory: add a name", path)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(errno.EEXIST, "The file exists: choose another name or pass overwrite=True", path)
    return path


def _write(path: str, tensors: dict, description: dict) -> None:
    description = {
        "format_version": FORMAT_VERSION,
        "jitnet_version": __version__,
        "checksum": _checksum(tensors),
        **description,
    }
    try:
        text = json.dumps(description, default=_plain)
    except TypeError as error:
        raise ValueError(
            f"The model's configuration must consist of numbers, strings, lists and dicts: {error}. Correct the "
            "get_config of your own layers."
        ) from None
    content = safetensors.numpy.save(tensors, metadata={_KEY: text})
    # in the same directory, because only within a file system one file can replace another at once
    temporary = os.path.join(os.path.dirname(path), f".jitnet-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, _advice(error, path), path) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _plain(value):
    """NumPy's numbers and arrays as Python's, for JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in JSON")


def _advice(error: OSError, path: str) -> str:
    directory = os.path.dirname(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        problem = f"no space is left in {directory}: free some, or save elsewhere"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        problem = f"{directory} cannot be written to: change its permissions, or save elsewhere"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        problem = f"the directory {directory} does not exist: make it first"
    else:
        problem = f"{error.strerror or error}"
    return f"Saving failed, {problem}. An earlier file is unchanged"


def _checksum(tensors: dict) -> int:
    """CRC-32 over all values, in the order of the names."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8), value)
    return value


def _read(filepath) -> tuple[str, dict, dict]:
    """(path, tensors, description) of a file, checked."""
    path = os.fspath(filepath)
    expected = "a safetensors file written by jitnet's model.save or model.save_weights"
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, f"There is no such file; expected {expected}", path)
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a file. Expected {expected}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()} if _KEY in metadata else {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or of another format. Expected {expected}. "
            f"Received: {os.path.getsize(path)} bytes ({error})"
        ) from None
    if _KEY not in metadata:
        raise ValueError(
            f"{path} is a safetensors file, but not from jitnet: its metadata lack the entry {_KEY!r}. "
            f"Expected {expected}."
        )
    try:
        description = json.loads(metadata[_KEY])
        version = description["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ValueError(
                f"{path} was written by jitnet {description.get('jitnet_version')} in format {version}; this is jitnet "
                f"{__version__}, which reads formats up to {FORMAT_VERSION}. Upgrade jitnet."
            )
        complete = all(f"weights/{name}" in tensors for name in description["weights"])
        sound = complete and description["checksum"] == _checksum(tensors)
    except (json.JSONDecodeError, KeyError, TypeError):
        sound = False
    if not sound:
        raise ValueError(f"{path} is damaged: its values do not match their checksum. Expected {expected}.")
    return path, tensors, description
