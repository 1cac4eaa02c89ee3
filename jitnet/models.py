"""Models: ``Sequential``, and ``Model`` for any graph of layers."""

import itertools
import json

import numpy as np

from . import _registry, data, ops, saving
from ._before_the_step import TakesData
from ._layer_graph import (
    as_lists,
    batch_size_of,
    check_batched,
    described_input,
    input_of,
    link,
    nodes_between,
    numbered,
    place_of_weight,
)
from ._places import calling, shapes
from ._structures import flatten, leaves_like, mapped, names_of, packed
from .core import checks, lengths, policy, trace
from .core.errors import invalid, module_dir, module_getattr, noted
from .core.locks import building
from .core.operations.base import REGISTRY as OPERATIONS
from .core.operations.base import Operation, display
from .core.operations.elementwise import Cast
from .core.values import Constant, SymbolicTensor, Value, Variable, is_integer, placeholder
from .files import schema
from .layers._calling import of_shapes, with_mask
from .layers._quantized import quantize_layers
from .layers.base import REGISTRY, Layer, unique_layer_name
from .layers.input import InputLayer
from .pictures.described import Described
from .running import compilation
from .training import Trainer


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
        raise _registry_unknown("layer", name, [layer.name for layer in self.layers])

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
                raise ValueError(
                    f"{self.name} expects an input of dtype {expected.dtype}. Received: dtype={x.dtype}"
                )
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
        places, nodes = {}, []
        tensors = {x: ["input", i] for i, x in enumerate(self.inputs)}

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
                    f"{self.name} cannot be saved: {structure!r} is used outside of its layer, before that layer is "
                    "applied, or belongs to none."
                )
            if isinstance(structure, bool | int | float | str | None):
                return {"value": structure}
            raise TypeError(
                f"{self.name} cannot be saved: an argument of a layer is a tensor, an array, a number, a string, None, "
                f"or lists and dicts of them. Received: {structure!r}"
            )

        for index, node in enumerate(self._all_nodes()):
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
            "name": self.name,
            "trainable": self.trainable,
            "inputs": [described_input(x) for x in self.inputs],
            "layers": [_registry.serialize(layer) for layer in places],
            "nodes": nodes,
            "outputs": [{"tensor": tensors[x]} for x in self._graph_outputs],
            "structures": [numbered(self._given_structure), numbered(self._output_structure)],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that ``get_config`` described, with new weights.

        custom_objects: {name: class or function} of what is not jitnet's own in it.
        """
        if "nodes" not in config:
            return cls(**config)
        with _registry.custom_object_scope(custom_objects):
            return cls._from_graph(config)

    @classmethod
    def _from_graph(cls, config):
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

    def saved_arguments(self):
        config = self.get_config()
        if type(self).from_config.__func__ is not Model.from_config.__func__:
            return super().saved_arguments()
        return (("inputs", "outputs"), {"name": self.name}) if "nodes" in config else ((), config)

    def to_json(self) -> str:
        """The configuration as JSON."""
        return json.dumps(_registry.serialize(self))

    # ---- description


def _leading(layers) -> list:
    """The layers at the start of a list that work on arrays."""
    return list(itertools.takewhile(lambda layer: layer.before_the_step, layers))


class Sequential(Model):
    """Layers one after the other.

    It may begin with layers of texts and tables (TextVectorization, StringLookup, ...), which work on arrays, before
    the step: then its data are what they take. An Input before them says nothing, one after them what they return.

    Arguments:
        layers: a list, the first one optionally ``Input(shape=...)``; or add them with ``add``.
        trainable: False freezes all layers.
    """

    def __init__(self, layers=None, trainable=True, name=None):
        trainable = checks.boolean("Sequential", "trainable", trainable)
        super().__init__(name=name or unique_layer_name("sequential"))
        self._sequence: list[Layer] = []
        self._start: SymbolicTensor | None = None
        for layer in layers or []:
            self._append(layer)
        self._rebuild()
        if not trainable:
            self.trainable = False

    def add(self, layer) -> None:
        """Append a layer."""
        self._append(layer)
        self._rebuild()

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self._sequence:
            raise invalid("The model has no layers.", layers=[])
        layer = self._sequence.pop()
        self._rebuild()
        return layer

    def _append(self, layer) -> None:
        if isinstance(layer, SymbolicTensor) and layer.history is not None:
            layer = layer.history.layer
        if isinstance(layer, InputLayer):
            if len(self._sequence) > len(self._leading()) or self._start is not None:
                raise ValueError("Sequential takes Input only at its start.")
            self._start = layer.output
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential expects layers. Received: {layer!r} of type {type(layer).__name__}")
        if any(layer.name == other.name for other in self._sequence if other is not layer):
            raise ValueError(f"All layers of a model need different names. Received: two named {layer.name!r}")
        at_start = len(self._leading()) == len(self._sequence)
        if layer.before_the_step and at_start:
            self._start = None  # an Input before it says nothing of what it returns
        elif at_start and self._start is None:
            if layer.input_spec_shape is not None:
                self._start = InputLayer(layer.input_spec_shape).output
            elif isinstance(layer, Model) and layer._graph_inputs is not None:
                first = layer._graph_inputs[0]
                self._start = InputLayer(first.shape[1:], dtype=first.dtype).output
        self._sequence.append(layer)

    def _assemble(self, start, layers) -> None:
        """Of layers, with an input, or None, after those that work on arrays."""
        count = len(_leading(layers))
        for part in [*layers[:count], *([] if start is None else [start]), *layers[count:]]:
            self._append(part)
        self._rebuild()

    def _rebuild(self) -> None:
        self._graph_inputs, self._nodes = None, []
        self._forget_steps()
        if self._start is not None and self._sequence:
            x = self._start
            with calling(self):
                for layer in self._sequence[len(self._leading()) :]:
                    x = layer(x)
            self._connect(self._start, x)

    def _leading(self):
        return _leading(self._sequence)

    @property
    def layers(self):
        return list(self._sequence)

    def sublayers(self):
        return list(self._sequence)

    def build(self, input_shape=None) -> None:
        """Build for inputs of ``input_shape``, with None for the batch."""
        if self._start is None:
            if input_shape is None:
                raise invalid("Sequential needs an input shape, with None for the batch.", input_shape=input_shape)
            self._shape_of_use = True
            self._start = InputLayer(tuple(input_shape)[1:]).output
            self._rebuild()

    def _build_with(self, shapes):
        self._start = InputLayer(shapes[0][1:], dtype=self._start.dtype, name=self._start.name).output
        self._rebuild()

    def _build_from_arrays(self, arrays):
        if self._graph_inputs is None:
            if not self._sequence:
                raise invalid(f"The model {self.name!r} has no layers: add some first.", layers=[])
            if leading := self._leading():
                dtype = "int64" if arrays.dtype.kind in "iub" else None
                self._start = InputLayer(leading[-1].result_shape(arrays), dtype=dtype).output
                self._rebuild()
            self.build((None, *flatten(arrays)[0].shape[1:]))

    def _build_from_tensors(self, tensors):
        self.build(flatten(tensors)[0].shape)

    def __call__(self, inputs, training=None, mask=None):
        leading = self._leading()
        if leading and getattr(inputs, "history", None) is not None:
            raise invalid(
                f"The model {self.name!r} begins with {type(leading[0]).__name__}, which works on arrays: it can't be "
                "a part of another model.",
                inputs=inputs,
            )
        if self._graph_inputs is None and self._sequence and isinstance(inputs, Value):
            self.build(inputs.shape)
        if not isinstance(inputs, Value):
            inputs = self._before_the_step(inputs)
        masks = {} if mask is None else {"mask": mask}
        return super().__call__(inputs, training=training, **masks)

    def saved_arguments(self):
        if type(self).from_config.__func__ is not Sequential.from_config.__func__:
            return super().saved_arguments()
        return (), {"name": self.name}

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "input": None if self._start is None else described_input(self._start),
            "layers": [_registry.serialize(layer) for layer in self._sequence],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that ``get_config`` described, with new weights; custom_objects as in ``Model.from_config``."""
        schema.sequential(config, cls.__name__)
        model = cls(name=config["name"])
        with _registry.custom_object_scope(custom_objects):
            layers = [_registry.deserialize(layer, REGISTRY, kind="layer") for layer in config["layers"]]
        model._assemble(None if config["input"] is None else input_of(config["input"]), layers)
        # the layers know for themselves whether they are trainable
        model._trainable = config["trainable"]
        return model


def _registry_unknown(kind, name, known):
    from .core.errors import unknown_name

    return unknown_name(kind, str(name), known)


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
    if not model._connected and not sequential:
        if input_tensors is not None or clone_function is not None:
            raise invalid(
                f"The model {model.name!r} has a call of its own: it is cloned from its configuration alone.",
                input_tensors=input_tensors, clone_function=clone_function,
            )  # fmt: skip
        return type(model).from_config(model.get_config())
    if model._front is not None:
        if input_tensors is not None or clone_function is not None:
            raise invalid(
                f"The model {model.name!r} begins with layers that work on arrays: it is cloned as it is.",
                input_tensors=input_tensors, clone_function=clone_function,
            )  # fmt: skip
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


def _new_input(tensor) -> SymbolicTensor:
    return input_of(described_input(tensor))


load_model = saving.load_model
save_model = saving.save_model


def model_from_json(json_string: str, custom_objects=None) -> Model:
    """The model that ``to_json`` described, with new weights.

    Raises:
        ValueError: what is no such description, or an unknown name in it.
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model_from_json expects what to_json returned: {error}. Received: {json_string!r}") from None
    model = saving.deserialize_keras_object(config, custom_objects)
    if not isinstance(model, Model):
        raise invalid("model_from_json expects the description of a model.", json_string=json_string)
    return model


__getattr__ = module_getattr(__name__, "name")
__dir__ = module_dir(__name__, also=("load_model",))
