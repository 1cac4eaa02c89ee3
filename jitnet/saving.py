"""Models and weights on disk: one safetensors file each, never pickle.

Here is what of a model is saved, and how a model is made of it again; ``model_file`` has the file and its checks.
"""

import contextlib
import inspect
import warnings

from . import _registry, _seed, activations, initializers, losses, metrics, optimizers, regularizers
from ._registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from ._settings import described
from ._structures import packed
from .core import limits, policy
from .core.errors import module_dir
from .core.lengths import shown
from .core.values import placeholder
from .files import model_file, saved_weights
from .layers import _quantized, base
from .layers.base import REGISTRY
from .running import compilation
from .training import Trainer

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects", "get_registered_name",
    "get_registered_object", "load_model", "load_weights", "register_keras_serializable", "save_model", "save_weights",
    "serialize_keras_object",
]  # fmt: skip


def serialize_keras_object(obj):
    """``{"class_name": ..., "config": {...}}`` of a layer, loss, metric, ...; a function as its name; None as None."""
    return _registry.serialize(obj)


def deserialize_keras_object(config, custom_objects=None):
    """What ``serialize_keras_object`` described: an object of jitnet, or of a class that is registered or given.

    Raises:
        ValueError: an unknown name, or a config of another form.
    """
    if config is None:
        return None
    known = {**initializers.KNOWN, **regularizers.KNOWN, **activations.KNOWN, **optimizers._KNOWN, **REGISTRY}
    # some names are those of a loss and of a metric: losses are reduced
    is_loss = isinstance(config, dict) and "reduction" in (config.get("config") or {})
    known |= {**metrics.KNOWN, **losses.KNOWN} if is_loss else {**losses.KNOWN, **metrics.KNOWN}
    return _registry.deserialize(config, known, custom_objects)


def save_model(model, filepath, overwrite=True) -> None:
    """Write a model's weights, configuration, optimizer state and the arguments of ``compile`` into one file.

    filepath: of the safetensors file, by convention with the suffix .safetensors.  An earlier file is replaced at once
        when the new one is complete: whatever fails before leaves it as it was.
    overwrite: False raises if the file exists.

    Raises:
        FileExistsError: the file exists and ``overwrite`` is False.
        OSError: the file cannot be written.
        ValueError: a part of the model cannot be described, such as a lambda as a loss; or the suffix is that of a
            format of Keras's (.keras, .h5).
    """
    path = model_file.target(filepath, overwrite)
    for layer in saved_weights.walk(model):
        _check_config(layer)
    names = saved_weights.weight_names(model)
    description = {
        "model": _registry.serialize(model),
        "compile": _described_compilation(model),
        "floatx": next((v.dtype for v in names if v.dtype.startswith("float")), policy.floatx()),
        **_described_inputs(model),
        "random_streams": [layer._stream for layer in saved_weights.random_layers(model)],
        "compressed": _quantized.compressions(saved_weights.walk(model)),
    }
    tensors = saved_weights.weight_tensors(names)
    if model.optimizer is not None:
        description["iterations"] = int(model.optimizer.iterations)
        for (slot, variable), value in model.optimizer.state().items():
            if variable in names:
                tensors[f"optimizer/{slot}/{names[variable]}"] = value
    model_file.write(path, tensors, {"weights": list(names.values()), **description})


def save_weights(model, filepath, overwrite=True) -> None:
    """Write a model's weights alone; arguments and errors as of ``save_model``."""
    path = model_file.target(filepath, overwrite)
    names = saved_weights.weight_names(model)
    if not names:
        hint = "" if model.built else ": it is not built yet, because its input shape is unknown"
        raise ValueError(f"The model {model.name!r} has no weights to save{hint}.")
    model_file.write(path, saved_weights.weight_tensors(names), {"weights": list(names.values())})


def load_model(filepath, custom_objects=None, compile=True):
    """The model in a file that ``save_model`` wrote; training goes on as if it had not been interrupted.

    custom_objects: {name: class or function} for layers, losses, metrics and other parts of your own.
    compile: False leaves the losses, the metrics and the optimizer aside.  So does a class with a ``compile`` of its
        own, which a warning says: call it after loading.

    A file holds no code, and makes jitnet ask for no more memory than in proportion to its size.  Whatever fails, the
    names, the random streams and the dtype policy of the process are as before.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: the file is damaged or not from jitnet, holds weights alone, comes from a newer version of jitnet,
            names something unknown, or describes a model that cannot be made.  What a class of your own raised is the
            error's ``__cause__``.
    """
    path, tensors, description = model_file.read(filepath)
    if "model" not in description:
        raise ValueError(
            f"{path} holds weights alone, without the model's configuration. Build the model and call "
            f"model.load_weights({path!r}), or save it with model.save."
        )
    elements = sum(tensors[f"weights/{name}"].size for name in description["weights"])
    try:
        with (
            _restored_on_failure(),
            custom_object_scope(custom_objects),
            policy.floatx_here(description["floatx"]),
            limits.limited_to(elements),
        ):
            return _made(path, tensors, description, compile)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        # a class is made from arguments that the file names: whatever it raises, they were wrong for it
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{path} describes a model that cannot be made. {kind}{error}") from error


def _made(path: str, tensors: dict, description: dict, compile: bool):
    """The model of a file."""
    model = _registry.deserialize(description["model"], REGISTRY, kind="model")
    if not isinstance(model, Trainer):
        raise ValueError(f"What it describes is no model: {model!r}")
    inputs = description["inputs"]
    if inputs is not None and model._graph_inputs is None:
        # a subclass with its own call is built by its first input, as it was before
        found = [placeholder(x["name"], x["shape"], x["dtype"]) for x in inputs]
        # format 2 has no structure
        structure = description.get("input_structure", list(range(len(found))) if len(found) > 1 else 0)
        model._build_from_tensors(packed(structure, found))
    _quantized.compress(saved_weights.walk(model), description.get("compressed", []))  # older files don't say
    variables = saved_weights.assign(model, path, tensors, description)
    for layer, stream in zip(saved_weights.random_layers(model), description["random_streams"], strict=True):
        layer._stream = stream
    if compile and description["compile"] is not None and type(model).compile is not Trainer.compile:
        warnings.warn(
            f"The model {model.name!r} has a compile of its own, whose arguments no file knows: call it, to go on "
            "training. Its optimizer starts anew.",
            stacklevel=4,
        )
    elif compile and description["compile"] is not None:
        _compile(model, description["compile"])
        if model.optimizer is None:
            return model
        model.optimizer.iterations = description["iterations"]
        model.optimizer.set_state(saved_weights.optimizer_state(tensors, variables))
    return model


def load_weights(model, filepath, skip_mismatch=False) -> None:
    """Read weights that ``save_weights`` or ``save_model`` wrote into a built model.

    They are matched by name if all names agree, otherwise (automatic names depend on what was built before) by order.
    skip_mismatch: take those whose name and shape agree, leave all others as they are, and name these in a warning.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: the file is damaged or not from jitnet, or its weights don't fit the model.

    Whatever fails, nothing is changed.
    """
    path, tensors, description = model_file.read(filepath)
    if not model.built and not model.weights:
        raise ValueError(
            f"The model {model.name!r} is not built: its input shape is unknown. Start it with Input(shape=...), or "
            "call it on data once, before loading weights."
        )
    if skip_mismatch:
        saved_weights.assign_fitting(model, path, tensors)
    else:
        saved_weights.assign(model, path, tensors, description)


# ---- what is saved


def _check_config(layer) -> None:
    """Find out before hours of training are saved, not when they are loaded."""
    saved = layer.saved_arguments()
    if saved is None:
        return
    arguments, config = saved
    cls = type(layer)
    try:
        inspect.signature(cls).bind(*arguments, **config)
    except TypeError as error:
        raise ValueError(
            f"{layer.name!r} cannot be saved, because {cls.__name__} could not be made again from its get_config(): "
            f"{error}. Let get_config return {{**super().get_config(), ...}} with all arguments of __init__, and let "
            f"__init__ pass **kwargs on. Received: config={config!r}"
        ) from None


def _described_inputs(model) -> dict:
    if model._graph_inputs is None:
        return {"inputs": None}
    inputs = [{"name": x.name, "shape": shown(x.shape[1:]), "dtype": x.dtype} for x in model._graph_inputs]
    return {"inputs": inputs, "input_structure": packed(model._input_structure, range(len(inputs)))}


def _described_compilation(model):
    if model._compiled is None:
        return None
    compiled = compilation.as_lists(model._compiled, model)

    def described_weights(weights):
        return [described(w) for w in weights] if isinstance(weights, list | tuple) else described(weights)

    def described_metric(metric):
        if isinstance(metric, list | tuple):
            return [described_metric(m) for m in metric]
        return metric if isinstance(metric, str) else metrics.serialize(metrics.get(metric))

    try:
        return {
            "optimizer": optimizers.serialize(model.optimizer),
            "losses": [None if loss is None else losses.serialize(loss) for loss in compiled["losses"]],
            "metrics": described_metric(compiled["metrics"]),
            "weighted_metrics": described_metric(compiled["weighted_metrics"]),
            "loss_weights": described_weights(compiled["loss_weights"]),
            "jit_compile": compiled["jit_compile"],
            "memory": compiled["memory"],
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

    found = [None if loss is None else losses.deserialize(loss) for loss in config["losses"]]
    model.compile(
        optimizers.get(config["optimizer"]),
        loss=found[0] if len(found) == 1 else (found or None),
        metrics=metric(config["metrics"]),
        weighted_metrics=metric(config.get("weighted_metrics", [])),  # older files don't say
        loss_weights=config["loss_weights"],
        jit_compile=config["jit_compile"],
        memory=config.get("memory", "normal"),  # older files don't say
    )


@contextlib.contextmanager
def _restored_on_failure():
    """A load that fails takes no automatic names and no random streams from what is made after it."""
    names, streams = base.used_names(), _seed.streams()
    try:
        yield
    except BaseException:
        base.set_used_names(names)
        _seed.set_streams(streams)
        raise


__dir__ = module_dir(__name__)
