"""Weights of 8 bits: how layers make them of floats, and compute with them."""

import re
import warnings

import numpy as np

from .. import _masks, ops
from .._fixed import restructured
from ..core import checks, trace
from ..core.errors import invalid, unknown_arguments, unknown_name
from ..core.values import Variable

_EPSILON = 1e-7  # Keras's, beside the largest weight
_REFUSED = {
    "int4": "two weights in a byte, which no kernel here takes apart",
    "float8": "products of float8, which CPUs lack",
    "gptq": "weights that are rounded by what data they will meet, for large language models",
    "awq": "weights that are rounded by what data they will meet, for large language models",
}


def checked_mode(owner: str, mode, config=None) -> None:
    """Raise ValueError for a mode that there isn't, or a ``config``."""
    if config is not None:
        raise invalid(f"{owner} quantises as its mode says; config is None.", config=type(config).__name__)
    if mode in _REFUSED:
        raise invalid(f"{owner} has no mode {mode!r} ({_REFUSED[mode]}): it is \"int8\".", mode=mode)
    if mode != "int8":
        raise unknown_name("quantisation mode", mode, ["int8"])


def is_quantizable(layer, type_check: bool = True) -> bool:
    """Whether a layer can do with weights of int8; type_check: one of a user's own, whose call is not known, can't."""
    own = type(layer).__module__.startswith("jitnet.")
    return getattr(layer, "quantized_weight", None) is not None and (own or not type_check)


def quantize(layer, mode, type_check=True, config=None) -> None:
    """What ``Layer.quantize`` does."""
    described = f"Layer {layer.name!r} ({type(layer).__name__})"
    checked_mode(described, mode, config)
    type_check = checks.boolean(described, "type_check", type_check)
    if not is_quantizable(layer, type_check):
        raise NotImplementedError(f"{described} has no quantised form: Dense, EinsumDense, Conv1D, Conv2D, Embedding.")
    if not layer.built:
        raise ValueError(f"{described} is not built: call it or its model once before quantize.")
    if layer.quantization_mode is not None:
        raise ValueError(f"{described} is quantised already. Received: mode={mode!r}")
    replace(layer)


def mode_of(layer) -> str | None:
    """ "int8" for a layer that is quantised."""
    weight = vars(layer).get(layer.quantized_weight)
    return "int8" if getattr(weight, "dtype", None) == "int8" else None


def compressions(layers) -> list[list]:
    """What was done to weights of layers: [[which layer, the weight's name, "mask" or "int8"]], as a file has it."""
    masks = [[i, name, "mask"] for i, layer in enumerate(layers) for name in _masks.masked_names(layer)]
    return masks + [[i, layer.quantized_weight, "int8"] for i, layer in enumerate(layers) if mode_of(layer)]


def compress(layers, description) -> None:
    """Do to the weights of new layers what ``compressions`` described; the values come later.

    Raises:
        ValueError: a description of another form, or of other layers.
    """
    for entry in description if isinstance(description, list) else [description]:
        match entry:
            case [int(place), str(name), "mask"] if 0 <= place < len(layers):
                _masks.mask_of(layers[place], name)
            case [int(place), str(name), "int8"] if 0 <= place < len(layers) and _has(layers[place], name):
                replace(layers[place])
            case _:
                raise invalid("A compressed weight is a layer's place, a name, and 'mask' or 'int8'.", weight=entry)


def _has(layer, name: str) -> bool:
    """Whether this weight of floats of the layer can become integers."""
    return layer.quantized_weight == name and getattr(vars(layer).get(name), "dtype", "int8") != "int8"


def replace(layer) -> None:
    """Put integers and their scale in the place of a built layer's weight of floats."""
    name = layer.quantized_weight
    weight = getattr(layer, name)
    if weight.kept is not None:  # what is pruned stays 0
        _masks.drop_mask(layer, name)
    restructured(layer)
    values, axes = weight.numpy(), layer.quantized_axes()
    scale = (127 / (np.abs(values).max(axis=axes, keepdims=True) + _EPSILON)).astype(values.dtype)
    integers = np.clip(np.round(values * scale), -127, 127).astype(np.int8)
    if axes == tuple(range(len(axes))) or axes == (values.ndim - 1,):
        scale = scale.squeeze(axes)
    setattr(layer, name, Variable(integers, trainable=False, name=weight.name))
    setattr(layer, f"{name}_scale", Variable(scale, trainable=False, name=f"{weight.name}_scale"))


def check_untrained(layer) -> None:
    """Raise ValueError where a quantised layer is to be trained."""
    if trace.is_training() and layer.trainable:
        raise ValueError(
            "quantised weights are integers, which are not trained: train before quantize, or set trainable = False "
            "of this layer and train the others. Received: trainable=True"
        )


def floats(layer):
    """The layer's weight for its products: of one that is quantised, floats made of its integers.

    A prediction makes them once and keeps them, until the weight changes.
    """
    weight = getattr(layer, layer.quantized_weight)
    if weight.dtype != "int8":
        return weight
    check_untrained(layer)
    return ops.cast(weight, layer.dtype) / getattr(layer, f"{layer.quantized_weight}_scale")


def quantize_layers(model, mode, config=None, filters=None, type_check=True, **unknown) -> None:
    """What ``Model.quantize`` does."""
    described = f"The model {model.name!r}"
    if unknown:
        raise unknown_arguments("Model.quantize", unknown, ["mode", "config", "filters", "type_check"])
    checked_mode(described, mode, config)
    if not model.built:
        raise ValueError(f"{described} is not built: its input shape is unknown. Call it on data once before quantize.")
    patterns = [filters] if isinstance(filters, str) else filters
    if isinstance(patterns, list | tuple) and all(isinstance(pattern, str) for pattern in patterns):
        chosen = lambda layer: any(re.search(pattern, layer.name) for pattern in patterns)  # noqa: E731
    elif filters is None or callable(filters):
        chosen = filters or (lambda layer: True)
    else:
        raise invalid("Model.quantize takes a regular expression, several, or a function as filters.", filters=filters)
    layers = [layer for layer in dict.fromkeys(model._all_layers()) if not layer.sublayers() and chosen(layer)]
    found = [layer for layer in layers if is_quantizable(layer, type_check) and layer.quantization_mode is None]
    if not found:
        raise invalid(f"{described} has no layer to quantise that filters choose.", filters=filters)
    for layer in found:
        quantize(layer, mode, type_check)
    floats = [layer for layer in layers if layer.quantization_mode is None]
    left = [layer for layer in floats if any(len([size for size in v.shape if size > 1]) > 1 for v in layer.weights)]
    if left:
        names = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in left[:4]) + ", ..." * (len(left) > 4)
        warnings.warn(f"{described}: these layers have no quantised form, and stay as they are: {names}.", stacklevel=3)
