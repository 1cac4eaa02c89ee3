"""The graph of layers between a model's inputs and outputs."""

from ._structures import flatten, packed
from .core.lengths import shown
from .core.operations.base import Operation, display
from .core.trace import Application
from .core.values import SymbolicTensor, Value
from .layers._calling import Node
from .layers.base import Layer
from .layers.input import InputLayer


def described_input(tensor) -> dict:
    """An input as files have it."""
    size = batch_size_of(tensor)
    found = {"name": tensor.name, "shape": list(shown(tensor.shape[1:])), "dtype": tensor.dtype}
    return found if size is None else {**found, "batch_size": size}


def input_of(description: dict) -> SymbolicTensor:
    """The input that ``described_input`` described."""
    return InputLayer(
        tuple(description["shape"]), description.get("batch_size"), description["dtype"], name=description["name"]
    ).output


def place_of_weight(variable, layers) -> tuple:
    """(layer, number among its weights) of a weight; (None, None) if it is of none of the layers."""
    for layer in layers:
        for number, weight in enumerate(layer.weights):
            if weight is variable:
                return layer, number
    return None, None


def batch_size_of(tensor) -> int | None:
    """The batch size that an input was made for; None for any."""
    made_by = None if tensor.history is None else tensor.history.layer
    return made_by.batch_size if isinstance(made_by, InputLayer) else None


def check_batched(expected: str, tensors) -> None:
    """Raise ValueError, with what was ``expected``, for a tensor without a batch axis."""
    for x in tensors:
        if isinstance(x, Value) and not x.batched:
            raise ValueError(f"{expected} Received: {x.name!r} of shape={display(x.shape)}")


def as_lists(structure):
    """The structure with lists for tuples, as files have it."""
    if isinstance(structure, dict):
        return {key: as_lists(part) for key, part in structure.items()}
    return [as_lists(part) for part in structure] if isinstance(structure, list | tuple) else structure


def numbered(structure):
    """The structure with the numbers of its leaves."""
    return packed(structure, range(len(flatten(structure))))


def link(node) -> None:
    """Let the outputs of a copied node know where they come from."""
    if isinstance(node.layer, Operation):
        application = Application(node.layer, node.arguments, "")
        application.outputs = node.outputs
        for output in node.outputs:
            output.producer = output.producer or application
        return
    for output in node.outputs:
        output.history = output.history or node
    if vars(node.layer).get("_first_node") is None:
        node.layer._first_node = node


def nodes_between(inputs, outputs) -> tuple[list, list]:
    """Uses of layers between tensors, each after those that it reads from; and the layers in Keras's order."""
    made_by = {}  # tensor -> node
    for x in inputs:
        is_input = x.history is not None and isinstance(x.history.layer, InputLayer)
        made_by[x] = x.history if is_input else Node(None, (), {}, [x])

    def node_of(tensor):
        if tensor not in made_by:
            node = tensor.history
            if node is None or isinstance(node.layer, InputLayer):
                if tensor.producer is None:
                    raise ValueError(
                        f"The output depends on the input {tensor.name!r} of shape {display(tensor.shape)}, which is "
                        "not among the model's inputs."
                    )
                application = tensor.producer  # of a bare operation between layers, as in ``y = x1 * x2``
                node = Node(application.operation, application.inputs, {}, application.outputs)
            made_by.update(dict.fromkeys(node.outputs, node))
        return made_by[tensor]

    def parents(node):
        return [node_of(x) for x in node.inputs if isinstance(x, SymbolicTensor)]

    # depth first; long chains of layers must not exhaust Python's recursion: an explicit stack
    reached, finished = {}, {}
    stack = [node_of(x) for x in reversed(outputs)]
    while stack:
        node = stack[-1]
        if node not in reached:
            reached[node] = len(reached)
            stack.extend(x for x in reversed(parents(node)) if x not in reached)
        else:
            finished[stack.pop()] = None

    # Keras sorts layers by their longest distance from an output, then by when they were reached
    depths, layers = {}, {}
    for node in reversed(finished):
        depth = max(depths.get(node, 0), layers.get(node.layer, 0))
        layers[node.layer] = depth
        for parent in parents(node):
            depths[parent] = max(depth + 1, depths.get(parent, 0))
    first = {}
    for node in [*reached, *(made_by[x] for x in inputs)]:
        first.setdefault(node.layer, len(first))
    ordered = sorted((x for x in first if isinstance(x, Layer)), key=lambda x: (-layers.get(x, 0), first[x]))
    return [node for node in finished if all(made_by[x] is not node for x in inputs)], ordered
