"""``Model``, for any graph of layers."""

import json

from .. import _registry, data, ops, saving
from .._before_the_step import TakesData
from .._layer_graph import as_lists, batch_size_of, check_batched, link, nodes_between, place_of_weight
from .._places import calling, shapes
from .._structures import flatten, leaves_like, mapped, names_of, packed
from ..core import checks, lengths, trace
from ..core.errors import invalid, noted, unknown_name
from ..core.locks import building
from ..core.operations.base import Operation, display
from ..core.operations.elementwise import Cast
from ..core.values import SymbolicTensor, Value, Variable, is_integer, placeholder
from ..layers._calling import of_shapes, with_mask
from ..layers._quantized import quantize_layers
from ..layers.base import Layer, unique_layer_name
from ..pictures.described import Described
from ..running import compilation
from ..training import Trainer
from ._graph_config import graph_config, model_of_graph


class Model(TakesData, Trainer, Described, Layer):
    """A model from symbolic inputs to symbolic outputs, or a subclass with its own ``call``.

    Arguments:
        inputs: a tensor made by ``Input``, or a list or dict of them.
        outputs: a tensor that depends on them, or a list or dict.  Calls and predictions return the same structure.

    Example::

        x = jitnet.Input((28, 28, 1))
        y = jitnet.layers.Dense(10)(jitnet.layers.Flatten()(x))
        model = jitnet.Model(x, y)
    """

    def __init__(self, inputs=None, outputs=None, name=None, *, trainable=True, **kwargs):
        trainable = checks.boolean(type(self).__name__, "trainable", trainable)
        super().__init__(name=name or unique_layer_name("functional" if inputs is not None else "model"), **kwargs)
        self._graph_inputs = None
        self._nodes = []
        self._connected = False  # made from inputs and outputs, not by a call of its own
        self._shape_of_use = False  # whether the inputs' shapes were those of its first use, and not given
        self._forget_steps()
        if (inputs is None) != (outputs is None):
            raise ValueError("Model takes both inputs and outputs, or neither (a subclass with its own call).")
        if inputs is not None:
            self._connect(inputs, outputs)
        if not trainable:
            self.trainable = False

    # ---- the graph of layers

    def _connect(self, inputs, outputs) -> None:
        self._input_structure, self._output_structure = as_lists(inputs), as_lists(outputs)
        graph_inputs, self._graph_outputs = flatten(inputs), flatten(outputs)
        for x in [*graph_inputs, *self._graph_outputs]:
            if not isinstance(x, SymbolicTensor):
                raise TypeError(f"Model expects tensors made by Input and by layers. Received: {x!r}")
        for place, tensors in (("inputs", graph_inputs), ("outputs", self._graph_outputs)):
            check_batched(f"Model expects {place} with a batch axis.", tensors)
        sizes = [batch_size_of(x) for x in graph_inputs]
        if len(set(sizes) - {None}) > 1:
            raise invalid("Model expects inputs of one batch size.", batch_size=sizes)
        self._nodes, self._ordered_layers = nodes_between(graph_inputs, self._graph_outputs)
        graph_inputs = self._divide(graph_inputs)
        for node in self._nodes:
            if isinstance(node.layer, Operation):
                _check_lengths(node.layer)
        self._connected = self.built = True
        self._fixed_batch_size = max((size for size in sizes if size is not None), default=self._samples_kept())
        self._graph_inputs = graph_inputs  # last: with it the model is ready for other threads

    @property
    def layers(self) -> list[Layer]:
        """The layers in Keras's order, inputs included for a functional model."""
        return list(self._ordered_layers) if self._connected else super().sublayers()

    def sublayers(self):
        return self.layers if self._connected else super().sublayers()

    def get_layer(self, name=None, index=None) -> Layer:
        """A layer by its name or by its place in ``layers``.

        Raises ValueError where there is none, and without both.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise invalid(f"The model {self.name!r} has {len(self.layers)} layers.", index=index)
            return self.layers[index]
        if name is None:
            raise invalid("get_layer expects the layer's name, or its index in layers.", name=name, index=index)
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown_name("layer", str(name), [layer.name for layer in self.layers])

    @property
    def inputs(self) -> list[SymbolicTensor]:
        return self._input_tensors() if self._front is None else self._front.inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        self._input_tensors()  # raises if the model is not built
        return self._graph_outputs

    @property
    def input(self):
        """The model's input; a list or dict of several, as they were given."""
        return data.single(self._given_structure)

    @property
    def output(self):
        """The model's output; a list or dict of several, as they were given."""
        self._input_tensors()
        return data.single(self._output_structure)

    @property
    def input_shape(self):
        """The shape of the input, or the shapes in the structure of the inputs."""
        return data.single(mapped(lambda x: lengths.shown(x.shape), self._given_structure))

    @property
    def output_shape(self):
        """The shape of the output, or the shapes in the structure of the outputs."""
        self._input_tensors()
        return data.single(mapped(lambda x: lengths.shown(x.shape), self._output_structure))

    def _input_tensors(self) -> list[SymbolicTensor]:
        if self._graph_inputs is None:
            raise ValueError(
                f"The model {self.name!r} is not built: its input shape is unknown. Start it with Input(shape=...), "
                "or call fit or the model on data once."
            )
        return self._graph_inputs

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, by which they can be given: keys of the dict that the model takes, or their own."""
        return compilation.distinct(names_of(self._given_structure, lambda number, x: x.name))

    def build(self, input_shape=None) -> None:
        """Build a class with a ``call`` of its own, for inputs of this shape, with None for the batch.

        In Keras 3 that needs a ``build`` of the class's own, as well.

        input_shape: of the first argument of ``call``; a list or dict of shapes for one of tensors.
        """
        if self._graph_inputs is not None or trace.is_traced():  # a call builds the layers by itself
            return
        if input_shape is None:
            raise invalid(
                f"The model {self.name!r} needs an input shape, with None for the batch.", input_shape=input_shape
            )
        self._shape_of_use = self.built = True  # a build of the class's own that called this one is under way
        self._built_policy = self.dtype_policy
        structure = of_shapes(input_shape, lambda shape: placeholder("input", shape[1:]))
        names = names_of(structure, lambda number, x: x.name if number == 0 else f"{x.name}_{number}")
        for name, tensor in zip(names, flatten(structure), strict=True):
            tensor.name = name
        with building, trace.added_losses():
            self._build_from_tensors(structure)

    def _build_from_arrays(self, arrays) -> None:
        """Find the input shapes from the first data, a structure of arrays."""
        if self._graph_inputs is not None:
            return
        self._shape_of_use = True
        names = names_of(arrays, lambda number, array: "input" if number == 0 else f"input_{number}")
        found = [placeholder(n, a.shape[1:]) for n, a in zip(names, flatten(arrays), strict=True)]
        self._build_from_tensors(packed(arrays, found))

    def _build_from_tensors(self, tensors) -> None:
        """Call the model for the first time, on a structure of tensors."""
        outputs = self(tensors)
        found = flatten(outputs)
        check_batched(f"The model {self.name!r} must return tensors with a batch axis.", found)
        self._input_structure, self._output_structure, self._graph_outputs = tensors, as_lists(outputs), found
        self._fixed_batch_size = self._samples_kept()
        self._graph_inputs = flatten(tensors)

    def _take_shapes(self, shapes) -> None:
        """Make lengths that only the first use gave None, where inputs of these shapes, with the batch, have others.

        Where what is computed depends on such a length, it stays.
        """
        if not self._shape_of_use or len(shapes) != len(self._graph_inputs):
            return
        pairs = [(shape, x.shape) for shape, x in zip(shapes, self._graph_inputs, strict=True)]
        fit = all(lengths.fits(shape[1:], expected[1:]) for shape, expected in pairs)
        if fit or any(len(shape) != len(expected) for shape, expected in pairs):
            return
        opened = [
            (None, *(None if a != b or isinstance(b, lengths.Length) else b for a, b in zip(s[1:], e[1:], strict=True)))
            for s, e in pairs
        ]
        before = dict(vars(self))
        try:
            with building, trace.added_losses():
                self._build_with(opened)
        except (TypeError, ValueError):
            vars(self).update(before)
            return
        self._forget_steps()

    def _build_with(self, shapes) -> None:
        """Find outputs anew, of inputs of other shapes."""
        found = [placeholder(x.name, s[1:], x.dtype) for x, s in zip(self._graph_inputs, shapes, strict=True)]
        self._build_from_tensors(packed(self._input_structure, found))

    def reset_states(self) -> None:
        """Set the states of all layers in it with ``stateful=True`` to 0."""
        for layer in self._all_layers():
            if getattr(layer, "stateful", False):
                layer.reset_state()

    def _samples_kept(self) -> int | None:
        """Of how many samples layers in it keep states; None if none does."""
        kept = [getattr(layer, "states_batch_size", None) for layer in self._all_layers()]
        return max((size for size in kept if size is not None), default=None)

    def _all_layers(self) -> list[Layer]:
        """The layers, and those in them."""
        found, pending = [], self.sublayers()
        while pending:
            found.append(pending.pop(0))
            pending = found[-1].sublayers() + pending
        return found

    def _matched_inputs(self, given, place: str) -> list:
        """The parts of a structure of tensors or arrays that are this model's inputs, in their order."""
        owner, structure = f"the model {self.name!r}", self._input_structure
        if isinstance(structure, SymbolicTensor) and not isinstance(given, list | tuple | dict):
            return [given]
        if not isinstance(given, dict) and not isinstance(structure, dict):
            parts = list(given) if isinstance(given, list | tuple) else [given]
            expected = len(structure) if isinstance(structure, list) else 1
            if len(parts) != expected:
                raise ValueError(
                    f"The model {self.name!r} has {expected} inputs. Received: {len(parts)} arrays in {place}"
                )
            given = parts if isinstance(structure, list) else parts[0]
        return leaves_like(structure, given, self._step_input_names(), "input", owner, place)

    def _of_input_dtypes(self, arguments):
        first, *others = arguments
        if self._graph_inputs is None and others:
            return super()._of_input_dtypes(arguments)
        structure = data.as_structure(arguments[first], first)
        self._build_once_from(structure)
        pairs = zip(self._matched_inputs(structure, first), self._graph_inputs, strict=True)
        samples = len(flatten(structure)[0])
        self._check_batches(samples, samples)
        structure = packed(self._input_structure, [array.astype(x.dtype) for array, x in pairs])
        return {**super()._of_input_dtypes(arguments), first: structure}

    def call(self, inputs, training=None, mask=None):
        """Apply the graph of layers to new inputs; ``training`` is for layers that were not told when it was made.

        mask: those of the inputs, in their order, if they have others than their own.
        """
        values = {}
        given = self._matched_inputs(inputs, "inputs")
        self._take_shapes([x.shape for x in given if isinstance(x, Value) and x.batched])
        masks = [getattr(x, "mask", None) for x in given] if mask is None else flatten(mask)
        if len(masks) != len(given):
            raise ValueError(f"The model {self.name!r} has {len(given)} inputs. Received: {len(masks)} masks")
        for name, expected, x, own in zip(self._step_input_names(), self._graph_inputs, given, masks, strict=True):
            if not isinstance(x, Value):
                raise TypeError(f"The input {name!r} of the model {self.name!r} is a tensor. Received: {x!r}")
            x = _with_channels(_for_all_samples(x, given), expected)
            if not x.batched or not lengths.fits(x.shape[1:], expected.shape[1:]):
                raise ValueError(
                    f"{self.name} expects an input of shape {display(expected.shape)}. "
                    f"Received: shape={display(x.shape)}"
                )
            if is_integer(x) and x.dtype != expected.dtype:
                x = Cast(expected.dtype)(x)
            if x.dtype != expected.dtype:
                raise ValueError(f"{self.name} expects an input of dtype {expected.dtype}. Received: dtype={x.dtype}")
            values[expected] = x if x.mask is own else with_mask(x, own)

        self._apply_nodes(values, training)
        return packed(self._output_structure, [values[x] for x in self._graph_outputs])

    def _pass_masks(self, bound, outputs):
        if not self._connected:  # else its layers have done it
            super()._pass_masks(bound, outputs)

    def _apply_nodes(self, values: dict, training=None, layers=None) -> None:
        """Add to ``values``, {tensor of this model: its new counterpart}, all that depend on the inputs.

        layers: {layer: what is used in its place}; None: the layers themselves.
        """

        def replaced(leaf):
            if isinstance(leaf, Variable) and layers is not None:
                owner, number = place_of_weight(leaf, layers)
                if owner is None or len(layers[owner].weights) <= number:
                    raise ValueError(
                        f"The model {self.name!r} cannot be cloned: it uses {leaf.name!r} outside of its layer, before "
                        "that layer is applied, or it belongs to none."
                    )
                return layers[owner].weights[number]
            return values.get(leaf, leaf) if isinstance(leaf, SymbolicTensor) else leaf

        for node in self._nodes:
            arguments, keywords = mapped(replaced, node.arguments), mapped(replaced, node.keywords)
            if isinstance(node.layer, Operation):
                with noted(lambda a=arguments, o=node.layer: f"In the operation {o.name!r} on {shapes(a)}."):
                    results = node.layer(*arguments)
            else:
                layer = node.layer if layers is None else layers[node.layer]
                mode = training if node.training is None else node.training
                results = layer(*arguments, **keywords, training=mode)
            for old, new in zip(node.outputs, flatten(results), strict=True):
                values[old] = new

    # ---- copies

    _not_copied = (*Layer._not_copied, "_steps", "_quick", "_written_from", "_own_targets", "_own_trackers")

    def __getstate__(self):
        first = [node for node in self._nodes if vars(node.layer).get("_first_node") is node]
        return {**super().__getstate__(), "_first_nodes": first}

    def __setstate__(self, state):
        first = state.pop("_first_nodes")
        super().__setstate__(state)
        self._forget_steps()
        for node in self._all_nodes():
            link(node)
        for node in first:
            node.layer._first_node = node

    def _trace(self, training: bool, shapes=None):
        """New placeholders, and the outputs computed from them: (inputs, outputs).

        shapes: of the samples, where the inputs do not say all lengths.
        """
        tensors = self._input_tensors()
        shapes = [x.shape[1:] for x in tensors] if shapes is None else shapes
        inputs = [placeholder(x.name, shape, x.dtype) for x, shape in zip(tensors, shapes, strict=True)]
        with trace.training_mode(training):
            arguments = {"training": training} if self._accepts_training() else {}
            given = packed(self._input_structure, inputs)
            with calling(self, given), trace.assignments():
                outputs = flatten(self.call(given, **arguments))
                self._pass_masks(self._bind((given,), {})[0], outputs)
        return inputs, outputs

    def quantize(self, mode=None, config=None, filters=None, **kwargs) -> None:
        """Make the weights of layers integers of 8 bits, each channel with a scale: files are a quarter as large.

        Of Dense, EinsumDense, Conv1D and Conv2D that is the kernel, with a scale for every output, and of Embedding the
        table, with one for every row; biases and other layers stay as they are, and a warning names those of these that
        have matrices.  As in Keras, w becomes round(w s) with s = 127 / (max |w| + 1e-7), and counts as that over s.

        A prediction makes floats of them once, and keeps these until weights change: it is as fast as before and takes
        no less memory, and inputs are not rounded.  A layer that is quantised is not trained.

        mode: "int8"; config: None; filters: a regular expression, or several, one of which is found in a layer's name,
            or a function of a layer that says whether it is quantised; None: all; type_check: as of a layer's.

        Raises:
            ValueError: another mode, a config, a model that is not built, or no layer that can be quantised.
        """
        quantize_layers(self, mode, config, filters, **kwargs)

    # ---- weights on disk, configuration

    def save(self, filepath, overwrite=True) -> None:
        """Write weights, optimizer state and configuration into one safetensors file."""
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath, overwrite=True) -> None:
        """Write the weights into a safetensors file."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath, skip_mismatch=False) -> None:
        """Read weights that ``save_weights`` or ``save`` wrote; ``skip_mismatch``: those that fit by name and shape."""
        saving.load_weights(self, filepath, skip_mismatch)

    def get_config(self) -> dict:
        if not self._connected:
            return super().get_config()
        return graph_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that ``get_config`` described, with new weights.

        custom_objects: {name: class or function} of what is not jitnet's own in it.
        """
        if "nodes" not in config:
            return cls(**config)
        with _registry.custom_object_scope(custom_objects):
            return model_of_graph(cls, config)

    def saved_arguments(self):
        config = self.get_config()
        if type(self).from_config.__func__ is not Model.from_config.__func__:
            return super().saved_arguments()
        return (("inputs", "outputs"), {"name": self.name}) if "nodes" in config else ((), config)

    def to_json(self) -> str:
        """The configuration as JSON."""
        return json.dumps(_registry.serialize(self))


def _for_all_samples(x: Value, given: list) -> Value:
    """A tensor (1, ...) without a batch axis beside others that have one: the same for each sample, as in Keras."""
    batched = [other for other in given if isinstance(other, SymbolicTensor) and other.batched]
    if x.batched or x.shape[:1] != (1,) or not batched:
        return x
    return ops.broadcast_to(x[0], (ops.shape(batched[0])[0], *x.shape[1:]))


def _with_channels(x: Value, expected: Value) -> Value:
    """The tensor with or without a last axis of one element, where that is all that it lacks, as in Keras."""
    if expected.shape[-1:] == (1,) and lengths.fits(x.shape[1:], expected.shape[1:-1]):
        return ops.expand_dims(x, -1)
    if x.ndim > 2 and x.shape[-1] == 1 and lengths.fits(x.shape[1:-1], expected.shape[1:]):
        return ops.squeeze(x, -1)
    return x


def _check_lengths(operation: Operation) -> None:
    """Raise ValueError for an operation between layers that was told a length which was not known."""
    for name, value in vars(operation).items():
        if lengths.unknown(value if isinstance(value, tuple) else (value,)):
            raise invalid(
                f"The operation {operation.name!r} between layers depends on a length of the input that is None. Give "
                "-1 for it, or compute it in the call of a layer of your own.",
                **{name: value},
            )
