"""The base of all layers."""

import functools
import inspect
import re
import threading
from collections import defaultdict

import numpy as np

from jitnet.kernels.locks import across_forks

from .. import _registry, initializers, regularizers
from .._fixed import Fixed
from ..config import check_policy
from ..core import checks, limits, policy, trace
from ..core.errors import NamesArguments, invalid, unknown_arguments
from ..core.operations.shape import Reshape
from ..core.values import SymbolicTensor, Value, Variable

_counters: dict[str, int] = defaultdict(int)
_counting = across_forks(threading.Lock())
REGISTRY: dict[str, type] = {}


def clear_names() -> None:
    """Start the automatic layer names anew: dense, dense_1, ..."""
    _counters.clear()


def used_names() -> dict:
    """Where the automatic names stand, for ``set_used_names``."""
    return dict(_counters)


def set_used_names(before: dict) -> None:
    """Let the automatic names go on from where they stood."""
    _counters.clear()
    _counters.update(before)


def unique_layer_name(base: str) -> str:
    with _counting:
        number = _counters[base]
        _counters[base] += 1
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


class Layer(Fixed, NamesArguments):
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
            raise unknown_arguments(type(self).__name__, unknown, _constructor_arguments(type(self)))
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise invalid(f"{type(self).__name__} expects a name without '/'.", name=name)
        if name is not None and re.search("[\ud800-\udfff]", name):
            # half of a character: no file can hold it
            raise invalid(f"{type(self).__name__} expects a name of whole Unicode characters.", name=name)
        self.name = name or unique_layer_name(_registry.snake_case(type(self).__name__))
        self._trainable = checks.boolean(type(self).__name__, "trainable", trainable)
        check_policy(dtype)
        if dtype not in (None, "float32", "float64", policy.MIXED):
            expected = f'{type(self).__name__} expects dtype to be "float32", "float64", "{policy.MIXED}" or None.'
            raise invalid(expected, dtype=dtype)
        self._policy = dtype
        self._built_policy = None
        self.built = False
        kind = type(self).__name__
        self.input_spec_shape = None if input_shape is None else checks.sizes(kind, "input_shape", input_shape)
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
        if self._policy is not None or self._built_policy == policy.MIXED:
            config["dtype"] = self.dtype_policy
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Layer":
        return cls(**config)

    # ---- weights

    @property
    def dtype(self) -> str:
        """The dtype of the layer's weights and of what it returns."""
        return "float32" if self.dtype_policy == policy.MIXED else self.dtype_policy

    @property
    def dtype_policy(self) -> str:
        """Its dtype, or "mixed_bfloat16" if the operands of its products are rounded."""
        return self._policy or self._built_policy or policy.policy()

    def add_weight(
        self, shape=(), initializer="glorot_uniform", dtype=None, trainable=True, regularizer=None, name="weight"
    ) -> Variable:
        """Create a weight.

        shape: its shape; initializer: a name or an object of ``jitnet.initializers``; regularizer: likewise of
        ``jitnet.regularizers``; trainable=False: a state that the optimizer leaves alone.
        """
        initializer = initializers.get(initializer)
        limits.count_weight(f"{self.name}/{name}", tuple(shape))
        value = np.asarray(initializer(tuple(shape), dtype or self.dtype))
        variable = Variable(value, f"{self.name}/{name}", trainable, regularizers.get(regularizer))
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
        """All weights, layer by layer: a layer's own trainable ones, its own others, then those of layers in it."""
        found = sorted(self._weights, key=lambda v: not v.requested_trainable)
        for layer in self.sublayers():
            found.extend(layer.weights)
        return list(dict.fromkeys(found))

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if not v.trainable]

    variables = weights
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

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of ``weights``."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights) -> None:
        """Overwrite all weights, in the order of ``get_weights``."""
        weights = [np.asarray(w) for w in weights]
        variables = self.weights
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
        return sum(v.size for v in self.weights)

    # ---- copies, also pickled ones: attributes, and with them layers and weights, each once, as they are

    _not_copied: tuple = ("_first_node",)  # names of attributes; models link uses of layers again

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name not in self._not_copied}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        vars(self).setdefault("_first_node", None)

    # ---- calling

    def _build_once(self, shapes) -> None:
        if not self.built:
            self._built_policy = self.dtype_policy
            self.build(shapes)
            self.built = True

    def __call__(self, inputs, training=None):
        """Apply to symbolic tensors (adds to the graph) or to NumPy arrays (computes at once).

        training: whether the layer, and everything in it that is not told otherwise, behaves as in training; None: as
            the layer or model that calls it does.
        """
        flat = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if not any(isinstance(x, Value) for x in flat):
            return self._call_on_arrays(inputs, training)
        shapes = [x.shape for x in flat]
        shapes = shapes if isinstance(inputs, list | tuple) else shapes[0]
        mode = self._mode(training)
        arguments = {"training": mode} if self._accepts_training() else {}
        with trace.training_mode(mode), trace.scope(self.name, self.dtype_policy):
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
        node = Node(self, inputs, results, None if training is None else bool(training))
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
        return _training_parameter(getattr(self.call, "__func__", self.call)) is not None

    def _mode(self, training) -> bool | None:
        """``training`` as given, else of whoever calls this layer, else by default of ``call``."""
        if training is None:
            training = trace.is_training()
        if training is None and self._accepts_training():
            default = _training_parameter(getattr(self.call, "__func__", self.call)).default
            training = False if default is inspect.Parameter.empty else default
        return None if training is None else bool(training)

    def _call_on_arrays(self, inputs, training):
        from ..eager import evaluate_function

        several = isinstance(inputs, list | tuple)
        arrays = self._of_input_dtypes([np.asarray(x) for x in (inputs if several else [inputs])])

        def function(*tensors):
            return self(list(tensors) if several else tensors[0], training=training)

        return evaluate_function(function, *arrays, iteration=self._iteration())

    def _iteration(self) -> int:
        """The step at which schedules are read outside of training."""
        return 0

    def _of_input_dtypes(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """The arrays that the layer is called on, in the dtypes that it computes with; integers stay integers."""
        return [a.astype(self.dtype) if a.dtype.kind == "f" else a for a in arrays]

    def compute_output_shape(self, input_shape):
        """The output's shape for an input shape with None for the batch."""
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        tensors = [SymbolicTensor(s, self.dtype, f"{self.name}_input") for s in shapes]
        return self(tensors if isinstance(input_shape, list) else tensors[0]).shape

    def __setattr__(self, name, value):
        earlier = vars(self).get(name)
        if isinstance(earlier, Variable) and isinstance(value, np.ndarray | np.number | float):
            raise TypeError(
                f"{name} of the layer {self.name!r} is a weight: overwrite it with {name}.assign(...). "
                f"Received: {name}={type(value).__name__}"
            )
        super().__setattr__(name, value)
        if isinstance(value, Variable) and hasattr(self, "_weights") and all(v is not value for v in self._weights):
            places = [i for i, v in enumerate(self._weights) if v is earlier]
            if places:  # what is no longer used is no longer shown
                self._weights[places[0]] = value
            else:
                self._weights.append(value)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


@functools.lru_cache(1024)
def _training_parameter(call) -> inspect.Parameter | None:
    return inspect.signature(call).parameters.get("training")


def _constructor_arguments(cls: type) -> set[str]:
    """The names that ``cls`` and its bases take."""
    parameters = [p for base in cls.__mro__ for p in inspect.signature(base.__init__).parameters.values()]
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}


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
