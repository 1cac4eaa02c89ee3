"""The configuration of a model that is a graph of layers, and the model of one."""

import numpy as np

from .. import _registry
from .._layer_graph import described_input, input_of, numbered, place_of_weight
from .._structures import flatten, packed
from ..core import policy
from ..core.operations.base import REGISTRY as OPERATIONS
from ..core.operations.base import Operation
from ..core.values import Constant, SymbolicTensor, Variable
from ..files import schema
from ..layers.base import REGISTRY


def graph_config(model) -> dict:
    """What a model's ``get_config`` says of its inputs, layers and their uses."""
    places, nodes = {}, []
    tensors = {x: ["input", i] for i, x in enumerate(model.inputs)}

    def described(structure):
        if isinstance(structure, list):
            return [described(item) for item in structure]
        if isinstance(structure, tuple):
            return {"tuple": [described(item) for item in structure]}
        if isinstance(structure, dict):
            return {"dict": {key: described(item) for key, item in structure.items()}}
        if isinstance(structure, SymbolicTensor):
            return {"tensor": tensors[structure]}
        if isinstance(structure, Constant):
            return {"constant": structure.array.tolist(), "dtype": structure.dtype}
        if isinstance(structure, Variable):
            layer, number = place_of_weight(structure, places)
            if layer is not None:
                return {"weight": [places[layer], number]}
            raise TypeError(
                f"{model.name} cannot be saved: {structure!r} is used outside of its layer, before that layer is "
                "applied, or belongs to none."
            )
        if isinstance(structure, bool | int | float | str | None):
            return {"value": structure}
        raise TypeError(
            f"{model.name} cannot be saved: an argument of a layer is a tensor, an array, a number, a string, None, "
            f"or lists and dicts of them. Received: {structure!r}"
        )

    for index, node in enumerate(model._all_nodes()):
        if isinstance(node.layer, Operation):
            entry = {
                "inputs": [described(x) for x in node.arguments], "operation": _registry.serialize(node.layer),
            }  # fmt: skip
        else:
            first, *others = [described(x) for x in node.arguments] or [{"value": None}]
            entry = {"inputs": first}
            if others:
                entry["arguments"] = others
            if node.keywords:
                entry["keywords"] = {name: described(part) for name, part in node.keywords.items()}
            entry["layer"] = places.setdefault(node.layer, len(places))
            if node.training is not None:
                entry["training"] = node.training
        nodes.append(entry)
        for number, output in enumerate(node.outputs):
            tensors[output] = ["node", index, number]
    return {
        "name": model.name,
        "trainable": model.trainable,
        "inputs": [described_input(x) for x in model.inputs],
        "layers": [_registry.serialize(layer) for layer in places],
        "nodes": nodes,
        "outputs": [{"tensor": tensors[x]} for x in model._graph_outputs],
        "structures": [numbered(model._given_structure), numbered(model._output_structure)],
    }


def model_of_graph(cls: type, config: dict):
    """A model of a class, as ``graph_config`` described it, with new weights."""
    schema.functional(config, cls.__name__)
    inputs = [input_of(x) for x in config["inputs"]]
    layers = [_registry.deserialize(c, REGISTRY, kind="layer") for c in config["layers"]]
    results = []

    def rebuilt(structure):
        if isinstance(structure, list):
            return [rebuilt(item) for item in structure]
        match structure:
            case {"tuple": items}:
                return tuple(rebuilt(item) for item in items)
            case {"dict": items}:
                return {key: rebuilt(item) for key, item in items.items()}
            case {"value": value}:
                return value
            case {"weight": [layer, number]}:
                return layers[layer].weights[number]
            case {"constant": values}:
                array = np.asarray(values)
                dtype = "int64" if array.dtype.kind == "i" else policy.floatx()  # of format 2
                return Constant(array.astype(structure.get("dtype", dtype)))
            case {"tensor": ["input", number]}:
                return inputs[number]
            case {"tensor": ["node", node, number]}:
                return results[node][number]

    for node in config["nodes"]:
        first = rebuilt(node["inputs"])
        if "layer" in node:
            arguments = [first, *(rebuilt(part) for part in node.get("arguments", ()))]
            keywords = {name: rebuilt(part) for name, part in node.get("keywords", {}).items()}
            layer = layers[node["layer"]]
            results.append(flatten(layer(*arguments, **keywords, training=node.get("training"))))
        else:
            operation = _registry.deserialize(node["operation"], OPERATIONS, kind="operation")
            results.append(flatten(operation(*first)))
    outputs = [rebuilt(x) for x in config["outputs"]]
    structures = config.get("structures")
    if structures is None:  # of format 2
        both = zip((inputs, outputs), config["several"], strict=True)
        structures = [list(range(len(tensors))) if several else 0 for tensors, several in both]
    model = cls(packed(structures[0], inputs), packed(structures[1], outputs), name=config["name"])
    # the layers know for themselves whether they are trainable
    model._trainable = config["trainable"]
    return model
