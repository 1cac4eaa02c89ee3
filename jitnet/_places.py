"""Where a layer is in a model, and errors that say so: by notes, which leave their class and traceback as they are."""

from ._structures import flatten
from .core.operations.base import display

_INNER = "_jitnet_layer"  # at an error: the layer that its last note is of


class calling:
    """Around the call of a layer: an error inside gets a note that says which it is, and what it was called on.

    A layer or model that this happens within adds a note of its own, up to the outermost model.

    arguments: what the layer is called on, in any structure; names: whether the message of a ValueError begins with it.
    """

    __slots__ = ("_arguments", "_layer", "_names")

    def __init__(self, layer, arguments=(), names: bool = False):
        self._layer, self._arguments, self._names = layer, arguments, names

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if not isinstance(error, Exception):
            return
        layer, inner = self._layer, vars(error).get(_INNER)
        if inner is layer:
            return
        message = error.args[0] if type(error) is ValueError and len(error.args) == 1 else None
        if self._names and inner is None and isinstance(message, str) and not message.startswith("Layer "):
            error.args = (f"Layer {layer.name!r} ({type(layer).__name__}): {message}",)
        vars(error)[_INNER] = layer
        error.add_note(_note(layer, inner, self._arguments))


def _note(layer, inner, arguments) -> str:
    given = shapes(arguments)
    called = f", called on {given}" if given else ""
    if inner is not None:
        place = place_in(layer, inner)
        return f"{f'That is {place} of' if place else 'It was called by'} {described(layer)}{called}."
    weights = ", ".join(f"{v.name.rpartition('/')[2]} {display(v.shape)}" for v in layer._weights)
    return f"In {described(layer)}{called}{f'; its weights: {weights}' if weights else ''}."


def place_in(owner, layer) -> str:
    """Where ``owner`` holds a layer: as one of the ``layers`` of a model, or in an attribute; "" if it doesn't."""
    if hasattr(owner, "_sequence") or getattr(owner, "_connected", False):
        found = [f"layers[{i}]" for i, other in enumerate(owner.layers) if other is layer]
    else:
        found = []
        for name, value in vars(owner).items():
            parts = value.items() if isinstance(value, dict) else enumerate(value) if _is_list(value) else ()
            found += [name] if value is layer else [f"{name}[{key!r}]" for key, part in parts if part is layer]
    return found[0] if found else ""


def paths(model) -> dict:
    """{layer within a model, however deep: the names from the model's own layer down to it, joined by "/"}"""
    found, pending = {}, [(layer, layer.name) for layer in model.sublayers()]
    while pending:
        layer, path = pending.pop(0)
        if layer not in found:
            found[layer] = path
            pending = [(other, f"{path}/{other.name}") for other in layer.sublayers()] + pending
    return found


def paths_in_steps(model) -> dict[str, str]:
    """{name of a layer in a model's steps: its path}"""
    names, found = model._names_in_source(), {}
    for layer, path in paths(model).items():
        found.setdefault(names.get(layer.name, layer.name), path)
    return found


def _is_list(value) -> bool:
    return isinstance(value, list | tuple)


def described(layer) -> str:
    """A layer in prose."""
    kind = "model" if hasattr(layer, "_graph_inputs") else "layer"
    return f"the {kind} {layer.name!r} ({type(layer).__name__})"


def shapes(arguments) -> str:
    """The shapes and dtypes of the tensors and arrays in a structure, and the layers that they come from."""
    found = []
    for leaf in flatten(arguments):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            continue
        node = getattr(leaf, "history", None)
        source = f" from {node.layer.name!r}" if node is not None and node.inputs else ""
        found.append(f"{display(leaf.shape)} {leaf.dtype}{source}")
    return ", ".join(found)
