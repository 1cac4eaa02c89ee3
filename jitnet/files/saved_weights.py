"""A model's weights by names, as they are in files, and back again."""

import warnings

import numpy as np

from .._masks import masks_first


def walk(layer):
    """``layer`` and all layers in it, each once."""
    found, stack = {}, [layer]
    while stack:
        current = stack.pop()
        if current not in found:
            found[current] = None
            stack.extend(reversed(current.sublayers()))
    return list(found)


def random_layers(model):
    """Layers that draw random numbers: their streams must go on, or the training would."""
    return [layer for layer in walk(model) if hasattr(layer, "_stream")]


def weight_names(model) -> dict:
    """{variable: name in the file} in the order of ``get_weights``; a name that is taken gets a number."""
    names, taken = {}, set()
    for variable in model.weights:
        name, number = variable.name, 1
        while name in taken:
            number += 1
            name = f"{variable.name}_{number}"
        taken.add(name)
        names[variable] = name
    return names


def weight_tensors(names) -> dict:
    return {f"weights/{name}": variable.numpy() for variable, name in names.items()}


def optimizer_state(tensors, variables) -> dict:
    state = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimizer":
            slot, _, name = rest.partition("/")
            state[slot, variables[name]] = value
    return state


def assign(model, path, tensors, description) -> dict:
    """Set the model's weights, all or none; returns {name in the file: variable}."""
    variables = matched(model, path, tensors, description)
    for variable, source in masks_first((variable, source) for source, variable in variables.items()):
        variable.assign(tensors[f"weights/{source}"])
    return variables


def matched(model, path, tensors, description) -> dict:
    """{name in the file: variable}, of which each fits the other; ValueError if they don't."""
    names, saved_names = weight_names(model), description["weights"]
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
    order = list(names)
    if sources is saved_names and description["format_version"] < 2:
        order.sort(key=lambda variable: not variable.requested_trainable)
    variables = dict(zip(sources, order, strict=True))
    for source, variable in variables.items():
        value = tensors[f"weights/{source}"]
        if value.shape != variable.shape:
            raise ValueError(
                f"{variable.name} of the model {model.name!r} expects shape {variable.shape}. "
                f"Received: {source} in {path} with shape={value.shape}"
            )
        if not _fits(value.dtype, variable.dtype):
            raise ValueError(
                f"{variable.name} of the model {model.name!r} expects values of dtype {variable.dtype}. "
                f"Received: {source} in {path} with dtype={value.dtype}"
            )
    return variables


def assign_fitting(model, path, tensors) -> None:
    left = []
    for variable, name in masks_first(weight_names(model).items()):
        value = tensors.get(f"weights/{name}")
        if value is None or value.shape != variable.shape or not _fits(value.dtype, variable.dtype):
            left.append(name)
        else:
            variable.assign(value)
    if left:
        warnings.warn(f"{path} has nothing that fits these weights of {model.name!r}: {_few(left)}.", stacklevel=4)


def _fits(dtype, variable_dtype: str) -> bool:
    """Whether values of a file are taken for a variable: integers of a quantised model are no weights of another."""
    return np.can_cast(dtype, variable_dtype, "same_kind") and (dtype != "int8" or variable_dtype == "int8")


def _few(names) -> str:
    return (", ".join(names[:4]) + (", ..." if len(names) > 4 else "")) or "none"
