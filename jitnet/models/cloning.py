"""Models of the same architecture as others."""

from .._layer_graph import described_input, input_of
from .._structures import flatten, packed
from ..core.errors import invalid
from ..core.values import SymbolicTensor
from ..layers.base import Layer
from .model import Model
from .sequential import Sequential


def clone_model(model, input_tensors=None, clone_function=None, call_function=None, recursive=False) -> Model:
    """A model of the same architecture, with layers and weights of its own, which start anew; it is not compiled.

    input_tensors: a tensor made by ``Input``, or a list of them, to build the new model on; by default new ones.
    clone_function: a function from a layer to the one that takes its place; by default a new one of the same
        configuration.  A layer that is used several times is cloned once.
    call_function, recursive: accepted for Keras's sake; must be None and False.
    For a model with a ``call`` of its own neither is possible: it is made anew from its configuration, and not built.

    Raises:
        TypeError: ``model`` is no model, or ``clone_function`` returned no layer.
        ValueError: the arguments don't fit the model.

    Source: ``keras.models.clone_model``.
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model expects a model. Received: {model!r}")
    if call_function is not None or recursive:
        raise invalid(
            "clone_model calls the clones as the model calls its layers, and gives models within it to clone_function "
            "whole: call_function must be None, recursive False.",
            call_function=call_function, recursive=recursive,
        )  # fmt: skip
    sequential = isinstance(model, Sequential)
    whole = None  # why it is cloned without looking at its layers
    if not model._connected and not sequential:
        whole = "has a call of its own: it is cloned from its configuration alone."
    elif model._front is not None:
        whole = "begins with layers that work on arrays: it is cloned as it is."
    if whole is not None:
        if input_tensors is not None or clone_function is not None:
            raise invalid(
                f"The model {model.name!r} {whole}", input_tensors=input_tensors, clone_function=clone_function
            )
        return type(model).from_config(model.get_config())

    def cloned(layer):
        new = type(layer).from_config(layer.get_config()) if clone_function is None else clone_function(layer)
        if not isinstance(new, Layer):
            raise TypeError(f"clone_function must return a layer. Received: {new!r} for {layer.name!r}")
        return new

    used = model._sequence if sequential else [n.layer for n in model._nodes if isinstance(n.layer, Layer)]
    layers = {layer: cloned(layer) for layer in dict.fromkeys(used)}
    given = None if input_tensors is None else flatten(input_tensors)
    if sequential:
        start = None if model._start is None else _new_input(model._start)
        clone = Sequential(name=model.name)
        clone._assemble(start if given is None else given[0], [layers[layer] for layer in used])
    else:
        inputs = [_new_input(x) for x in model._graph_inputs] if given is None else given
        if len(inputs) != len(model._graph_inputs):
            raise ValueError(f"{model.name} has {len(model._graph_inputs)} inputs. Received: {len(inputs)} tensors")
        values = dict(zip(model._graph_inputs, inputs, strict=True))
        model._apply_nodes(values, layers=layers)
        outputs = [values[x] for x in model._graph_outputs]
        structures = packed(model._input_structure, inputs), packed(model._output_structure, outputs)
        clone = Model(*structures, name=model.name)
    clone._trainable = model.trainable  # the layers know for themselves
    return clone


def _new_input(tensor) -> SymbolicTensor:
    return input_of(described_input(tensor))
