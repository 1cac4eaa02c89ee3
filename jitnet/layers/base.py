"""The base of all layers."""

import functools
import inspect
import itertools
import re
from collections import defaultdict

import numpy as np

from .. import _checks, _registry, graph, initializers, regularizers
from .._errors import invalid
from ..config import check_policy
from ..graph import SymbolicTensor, Value, Variable
from ..operations.shape import Reshape

_counters: dict = defaultdict(itertools.count)
REGISTRY: dict[str, type] = {}


def clear_names() -> None:
    """Start the automatic layer names anew: dense, dense_1, ..."""
    _counters.clear()


def unique_layer_name(base: str) -> str:
    number = next(_counters[base])
    return base if number == 0 else f"{base}_{number}"


def _marks_built(build):
    """``build``, after which the layer counts as built, also when a user calls it."""

    @functools.wraps(build)
    def build_once(self, *arguments, **keywords):
        build(self, *arguments, **keywords)
        self.built = True

    return build_once


class Node:
    """One use of a layer: what it was applied to, and what it returned."""

    def __init__(self, layer, inputs, outputs, training=None):
        self.layer = layer
        self.inputs = inputs
        self.outputs = outputs
        self.training = training  # as given by the caller; None: as the model is run


class Layer:
    """A part of a model: weights and a function of tensors.

    A subclass creates weights in ``build(input_shape)`` with ``add_weight`` and composes operations of ``jitnet.ops``
    in ``call(inputs)``; the gradient is automatic.  ``call`` may take ``training``.

    Arguments:
        name: a name unique in the model; by default made from the class.
        trainable: whether the optimizer updates the layer's weights.
        dtype: "float32", "float64" or "mixed_bfloat16" (see ``jitnet.config.set_dtype_policy``); by default
            ``jitnet.config.dtype_policy()`` when the layer is built.
        input_shape: for the first layer of a ``Sequential``: the shape without the batch axis.
    """

    example: dict | None = None  # {"arguments": {...}, "input_shape": (...)} for the tests of all layers

    def __init__(self, *, name=None, trainable=True, dtype=None, input_shape=None, **unknown):
        if unknown:
            raise TypeError(
                f"{type(self).__name__} got arguments it does not know: {', '.join(sorted(unknown))}. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in unknown.items())}"
            )
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise invalid(f"{type(self).__name__} expects a name without '/'.", name=name)
        if name is not None and re.search("[\ud800-\udfff]", name):
            # half of a character: no file can hold it
            raise invalid(f"{type(self).__name__} expects a name of whole Unicode characters.", name=name)
        self.name = name or unique_layer_name(_registry.snake_case(type(self).__name__))
        self._trainable = _checks.boolean(type(self).__name__, "trainable", trainable)
        check_policy(dtype)
        self._policy = dtype
        self._built_policy = None
        self.built = False
        kind = type(self).__name__
        self.input_spec_shape = None if input_shape is None else _checks.sizes(kind, "input_shape", input_shape)
        self._weights: list[Variable] = []
        self._first_node: Node | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # bases that several layers share are no layers by themselves
        if cls.__module__.partition(".")[0] == "jitnet" and not cls.__name__.startswith("_"):
            REGISTRY[cls.__name__] = cls
        if "build" in cls.__dict__:
            cls.build = _marks_built(cls.build)

    # ---- to be overridden

    def build(self, input_shape) -> None:
        """Create weights.  input_shape: with None for the batch; a list of shapes for several inputs."""

    def call(self, inputs):
        """The layer's output, a symbolic tensor, from symbolic inputs."""
        raise TypeError(f"{type(self).__name__} lacks a call method")

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = {"name": self.name, "trainable": self.trainable}
        if self._policy is not None or self._built_policy == graph.MIXED:
            config["dtype"] = self.dtype_policy
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Layer":
        return cls(**config)

    # ---- weights

    @property
    def dtype(self) -> str:
        """The dtype of the layer's weights and of what it returns."""
        return "float32" if self.dtype_policy == graph.MIXED else self.dtype_policy

    @property
    def dtype_policy(self) -> str:
        """Its dtype, or "mixed_bfloat16" if the operands of its products are rounded."""
        return self._policy or self._built_policy or graph.policy()

    def add_weight(
        self, shape=(), initializer="glorot_uniform", dtype=None, trainable=True, regularizer=None, name="weight"
    ) -> Variable:
        """Create a weight.

        shape: its shape; initializer: a name or an object of ``jitnet.initializers``; regularizer: likewise of
        ``jitnet.regularizers``; trainable=False: a state that the optimizer leaves alone.
        """
        initializer = initializers.get(initializer)
        value = np.asarray(initializer(tuple(shape), dtype or self.dtype))
        variable = Variable(value, f"{self.name}/{name}", trainable, regularizers.get(regularizer))
        variable.requested_trainable = trainable
        variable.trainable = trainable and self.trainable
        self._weights.append(variable)
        return variable

    def sublayers(self) -> list["Layer"]:
        """Layers held in attributes, in order of assignment."""
        found = []
        for value in vars(self).values():
            candidates = value if isinstance(value, list | tuple) else [value]
            if isinstance(value, dict):
                candidates = list(value.values())
            found.extend(v for v in candidates if isinstance(v, Layer) and v is not self)
        return list(dict.fromkeys(found))

    @property
    def weights(self) -> list[Variable]:
        """All weights: the trainable ones first, then the others."""
        return self.trainable_weights + self.non_trainable_weights

    variables = weights

    def _all_weights(self) -> list[Variable]:
        found = list(self._weights)
        for layer in self.sublayers():
            found.extend(layer._all_weights())
        return list(dict.fromkeys(found))

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self._all_weights() if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [v for v in self._all_weights() if not v.trainable]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether the optimizer updates the weights.  After changing it, ``compile`` the model again."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._weights:
            variable.trainable = self._trainable and variable.requested_trainable
        for layer in self.sublayers():
            layer.trainable = value

    def _weight_order(self) -> list[Variable]:
        """Keras's order for get_weights: trainable by request first, so that freezing doesn't reorder."""
        found = self._all_weights()
        asked = [v for v in found if getattr(v, "requested_trainable", True)]
        return asked + [v for v in found if not getattr(v, "requested_trainable", True)]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in Keras's order."""
        return [v.numpy() for v in self._weight_order()]

    def set_weights(self, weights) -> None:
        """Overwrite all weights, in the order of ``get_weights``."""
        weights = [np.asarray(w) for w in weights]
        variables = self._weight_order()
        if len(weights) != len(variables):
            hint = "" if self.built else " (the layer is not built yet: call it or its model once)"
            raise ValueError(
                f"{self.name} has {len(variables)} weights{hint}. Received: {len(weights)} arrays"
            )
        for variable, value in zip(variables, weights, strict=True):
            if value.shape != variable.shape:
                raise ValueError(
                    f"{variable.name} expects an array of shape {variable.shape}. Received: shape={value.shape}"
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of weights' elements."""
        return sum(v.size for v in self._all_weights())

    # ---- calling

    def _build_once(self, shapes) -> None:
        if not self.built:
            self._built_policy = self.dtype_policy
            self.build(shapes)
            self.built = True

    def __call__(self, inputs, training=None):
        """Apply to symbolic tensors (adds to the graph) or to NumPy arrays (computes at once)."""
        flat = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if not any(isinstance(x, Value) for x in flat):
            return self._call_on_arrays(inputs, bool(training))
        shapes = [x.shape for x in flat]
        shapes = shapes if isinstance(inputs, list | tuple) else shapes[0]
        arguments = {}
        if self._accepts_training():
            arguments["training"] = graph.is_training() if training is None else bool(training)
        with graph.scope(self.name, self.dtype_policy):
            try:
                self._build_once(shapes)
                outputs = self.call(inputs, **arguments)
            except ValueError as error:
                if str(error).startswith("Layer "):
                    raise
                raise ValueError(f"Layer {self.name!r} ({type(self).__name__}): {error}") from None
        several = isinstance(outputs, list | tuple)
        results = []
        for output in outputs if several else [outputs]:
            if not isinstance(output, SymbolicTensor):
                raise TypeError(
                    f"Layer {self.name!r} ({type(self).__name__}): call must return symbolic tensors made with "
                    f"jitnet.ops. Received: {output!r}"
                )
            # a layer that passes its input on gives it a new name, so that it shows in the model
            results.append(Reshape(output.shape[1:])(output) if any(output is x for x in flat) else output)
        node = Node(self, inputs, results, training)
        if self._first_node is None:
            self._first_node = node
        for output in results:
            output.history = node
        return results if several else results[0]

    @property
    def input(self):
        """The symbolic input of the layer's first use."""
        return self._require_node().inputs

    @property
    def output(self):
        """The symbolic output of the layer's first use, as for ``Model(model.inputs, layer.output)``."""
        outputs = self._require_node().outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _require_node(self) -> Node:
        if self._first_node is None:
            raise AttributeError(f"The layer {self.name!r} has not been applied to a tensor yet.")
        return self._first_node

    def _accepts_training(self) -> bool:
        return "training" in inspect.signature(self.call).parameters

    def _call_on_arrays(self, inputs, training: bool):
        from ..eager import evaluate_function

        several = isinstance(inputs, list | tuple)
        arrays = [np.asarray(x) for x in (inputs if several else [inputs])]
        if any(a.dtype.kind == "f" for a in arrays):
            arrays = [a.astype(self.dtype) if a.dtype.kind in "fiub" else a for a in arrays]

        def function(*tensors):
            return self(list(tensors) if several else tensors[0], training=training)

        return evaluate_function(function, *arrays)

    def compute_output_shape(self, input_shape):
        """The output's shape for an input shape with None for the batch."""
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        tensors = [SymbolicTensor(s, self.dtype, f"{self.name}_input") for s in shapes]
        return self(tensors if isinstance(input_shape, list) else tensors[0]).shape

    def __setattr__(self, name, value):
        if isinstance(value, Variable) and hasattr(self, "_weights") and all(v is not value for v in self._weights):
            value.requested_trainable = value.trainable
            self._weights.append(value)
        super().__setattr__(name, value)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def check_channels_last(layer: str, data_format) -> None:
    if data_format not in (None, "channels_last"):
        raise invalid(
            f'{layer} takes tensors as (batch, height, width, channels): data_format="channels_last".',
            data_format=data_format,
        )


def serialize(layer: Layer) -> dict:
    """``{"class_name": ..., "config": {...}}``"""
    return _registry.serialize(layer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Layer:
    """The layer that ``serialize`` described."""
    return _registry.deserialize(config, REGISTRY, custom_objects, kind="layer")


def get(identifier) -> Layer:
    """A layer from an instance, a class, a config or a name."""
    return _registry.get(identifier, REGISTRY, kind="layer", base=Layer)
