"""Masks of weights: elements that are 0 and stay it."""

import numpy as np

from ._fixed import restructured
from .core.errors import invalid
from .core.values import Variable


def weight_of(layer, name: str) -> Variable:
    """The weight that a layer has in its attribute ``name``.

    Raises:
        ValueError: there is none, it is not of floats, or the layer is not built.
    """
    found = vars(layer).get(name) if isinstance(name, str) else None
    if not isinstance(found, Variable) or not found.dtype.startswith("float"):
        own = [key for key, value in vars(layer).items() if isinstance(value, Variable) and value.dtype[0] == "f"]
        hint = f"its weights are {', '.join(own)}" if own else "it has none" if layer.built else "it is not built yet"
        raise invalid(f"Layer {layer.name!r} ({type(layer).__name__}) has no such weight of floats; {hint}.", name=name)
    return found


def mask_of(layer, name: str) -> Variable:
    """The mask of a weight, bool; made anew where it has none: all elements stay."""
    weight = weight_of(layer, name)
    if weight.kept is None:
        restructured(layer)
        mask = Variable(np.ones(weight.shape, bool), name=f"{layer.name}/{name}_mask", trainable=False)
        setattr(layer, f"{name}_mask", mask)  # so that it is one of the layer's weights
        weight.kept = mask
    return weight.kept


def drop_mask(layer, name: str) -> None:
    """Let a weight have no mask any more; its value stays as it is."""
    restructured(layer)
    weight, mask = vars(layer)[name], vars(layer).pop(f"{name}_mask")
    layer._weights = [v for v in layer._weights if v is not mask]
    weight.kept = None


def masked_names(layer) -> list[str]:
    """The names of the layer's own weights that have masks."""
    return [name for name, value in vars(layer).items() if isinstance(value, Variable) and value.kept is not None]


def masks_first(pairs) -> list:
    """Tuples that begin with variables, as these are to be assigned: a mask holds for what comes after it."""
    return sorted(pairs, key=lambda pair: pair[0].dtype != "bool")
