"""The base of all layers: names, weights, configuration; what calls them is in ``_calling``."""

import functools
import inspect
import re
import threading
from collections import defaultdict

import numpy as np

from jitnet.kernels.locks import across_forks

from .. import _masks, _registry, constraints, initializers, regularizers
from .._fixed import Fixed
from .._structures import flatten
from ..activations import linear
from ..config import check_policy
from ..core import checks, lengths, limits, policy, trace
from ..core.errors import NamesArguments, invalid, unknown_arguments
from ..core.operations.base import display
from ..core.values import Value, Variable, array_of_numbers
from . import _quantized
from ._calling import Calling, Node, _signature

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


class Layer(Calling, Fixed, NamesArguments):
    """A part of a model: weights and a function of tensors.

    A subclass creates weights in ``build(input_shape)`` with ``add_weight`` and composes operations of ``jitnet.ops``
    in ``call(inputs)``; the gradient is automatic.  ``call`` may take more arguments, each of them a tensor or a list,
    tuple or dict of tensors, an array, a number or None, and ``training``; it may return such a structure of tensors.

    Arguments:
        name: a name unique in the model; by default made from the class.
        trainable: whether the optimizer updates the layer's weights.
        dtype: "float32", "float64" or "mixed_bfloat16" (see ``jitnet.config.set_dtype_policy``); by default
            ``jitnet.config.dtype_policy()`` when the layer is built.
        input_shape: for the first layer of a ``Sequential``: the shape without the batch axis.
        input_dim: the same for samples of one axis, its length.
        activity_regularizer: a name, an object or None: its penalty of each of the layer's outputs, divided by the
            batch, is added to the loss.
    """

    # whether outputs get a mask, by ``compute_mask``; True also for a class that has that method
    supports_masking = False
    input_spec = None  # an InputSpec, or a list of them
    quantized_weight: str | None = None  # the attribute of what ``quantize`` makes integers
    example: dict | None = None  # {"arguments": {...}, "input_shape": (...)} for the tests of all layers
    before_the_step = False  # whether it works on arrays alone

    def __new__(cls, *arguments, **keywords):
        layer = super().__new__(cls)
        if not cls.__module__.startswith("jitnet."):
            vars(layer)["_given"] = arguments, keywords  # for the configuration of a class that has none
        return layer

    def __init__(
        self, *, name=None, trainable=True, dtype=None, input_shape=None, input_dim=None, activity_regularizer=None,
        **unknown,
    ):  # fmt: skip
        if "batch_input_shape" in unknown:
            raise TypeError(
                f"{type(self).__name__} has no argument 'batch_input_shape'. Begin the Sequential with "
                f"Input(batch_shape={unknown['batch_input_shape']!r})."
            )
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
        if input_dim is not None:
            if input_shape is not None:
                raise invalid(f"{kind} takes one of both.", input_shape=input_shape, input_dim=input_dim)
            input_shape = (checks.integer(kind, "input_dim", input_dim, least=1),)
        self.input_spec_shape = None if input_shape is None else checks.input_shape(kind, "input_shape", input_shape)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._weights: list[Variable] = []
        self._first_node: Node | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # bases that several layers share are no layers by themselves
        if cls.__module__.partition(".")[0] == "jitnet" and not cls.__name__.startswith("_"):
            REGISTRY[cls.__name__] = cls
        if "build" in cls.__dict__:
            cls.build = _marks_built(cls.build)
        if "compute_mask" in cls.__dict__ and "supports_masking" not in cls.__dict__:
            cls.supports_masking = True

    # ---- to be overridden

    def build(self, input_shape) -> None:
        """Create weights.

        input_shape: of the first argument of ``call``, with None for the batch; a list or dict of shapes for one of
            tensors.  A build of several parameters gets the shapes of the arguments that it names, as
            ``build(self, query_shape, value_shape)`` for ``call(self, query, value)``.

        A layer without a ``build`` of its own builds the layers in it: on being called, or here by a call.
        """
        if type(self).build is Layer.build and not trace.is_traced() and self.sublayers():
            self.compute_output_shape(input_shape)

    def call(self, inputs):
        """The layer's output, a symbolic tensor, from symbolic inputs."""
        raise TypeError(f"{type(self).__name__} lacks a call method")

    def compute_mask(self, inputs, previous_mask):
        """Which steps of the output count, (batch, steps, ...), or None: all; of several outputs a list.

        inputs: the first argument of ``call``; previous_mask: its masks, in its structure, or what was given as
            ``mask``.  By default that is the output's, too.
        """
        return previous_mask

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = {"name": self.name, "trainable": self.trainable}
        if self._policy is not None or self._built_policy == policy.MIXED:
            config["dtype"] = self.dtype_policy
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        is_own = "_given" in vars(self) and type(self).get_config is Layer.get_config
        return self._with_given(config) if is_own else config

    def _with_given(self, config: dict) -> dict:
        """The configuration of a class of one's own without a ``get_config``, as in Keras: what the constructor was
        given, where that is made of numbers and texts alone.
        """
        signature = _signature(type(self).__init__)
        arguments, keywords = self._given
        try:
            given = signature.bind(self, *arguments, **keywords).arguments
        except TypeError:  # made by something else than its constructor
            return config
        own = {}
        for parameter in list(signature.parameters.values())[1:]:
            if parameter.name in given:
                named = parameter.kind is not parameter.VAR_KEYWORD
                own |= {parameter.name: given[parameter.name]} if named else given[parameter.name]
        if any(type(leaf) not in (bool, float, int, str, type(None)) for leaf in flatten(own)):
            return config
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        return {**{name: v for name, v in config.items() if takes_any or name in signature.parameters}, **own}

    @classmethod
    def from_config(cls, config: dict) -> "Layer":
        return cls(**config)

    def saved_arguments(self) -> tuple[tuple, dict] | None:
        """The arguments that ``from_config`` gives the constructor, positional and named; None: only it knows."""
        own = type(self).from_config.__func__ is not Layer.from_config.__func__
        return None if own else ((), self.get_config())

    # ---- weights

    @property
    def dtype(self) -> str:
        """The dtype of the layer's weights and of what it returns."""
        return "float32" if self.dtype_policy == policy.MIXED else self.dtype_policy

    # with Keras's mixed policies the first is another than ``dtype``; here what layers return has that of weights
    compute_dtype = variable_dtype = dtype

    @property
    def dtype_policy(self) -> str:
        """Its dtype, or "mixed_bfloat16" if the operands of its products are rounded."""
        return self._policy or self._built_policy or policy.policy()

    def add_weight(
        self, shape=(), initializer="glorot_uniform", dtype=None, trainable=True, regularizer=None, constraint=None,
        name="weight",
    ) -> Variable:  # fmt: skip
        """Create a weight.

        shape: its shape; initializer: a name or an object of ``jitnet.initializers``; regularizer, constraint: likewise
        of ``jitnet.regularizers`` and ``jitnet.constraints``; trainable=False: a state that the optimizer leaves alone.
        """
        initializer = initializers.get(initializer)
        lengths.check_known(f"The layer {self.name!r}", f"its weight {name!r}", shape)
        limits.count_weight(f"{self.name}/{name}", tuple(shape))
        value = np.asarray(initializer(tuple(shape), dtype or self.dtype))
        demands = {"regularizer": regularizers.get(regularizer), "constraint": constraints.get(constraint)}
        variable = Variable(value, trainable=trainable, name=f"{self.name}/{name}", **demands)
        variable.trainable = trainable and self.trainable
        self._weights.append(variable)
        return variable

    @property
    def quantization_mode(self) -> str | None:
        """ "int8" once the layer is quantised, else None."""
        return _quantized.mode_of(self)

    def quantize(self, mode=None, type_check=True, config=None) -> None:
        """Make the weight that has most elements integers of 8 bits: see ``Model.quantize``.

        mode: "int8"; type_check=False: also of a user's own class, derived from one that can do with them, whose call
            does not read the weight itself.

        Raises:
            NotImplementedError: the layer has no quantised form.
            ValueError: another mode, a config, or a layer that is not built, or quantised already.
        """
        _quantized.quantize(self, mode, type_check, config)

    def add_loss(self, loss) -> None:
        """In ``call``: add to the loss that the model is trained with.

        loss: a single number, or values (batch, ...), of which the mean is taken.  Sample weights don't count in it.
        """
        if not isinstance(loss, Value) or not (loss.batched or loss.shape == ()):
            raise invalid(f"{self._described()}: add_loss takes what operations made of tensors.", loss=loss)
        trace.add_loss(loss)

    @property
    def losses(self) -> list:
        """What it and the layers in it added to the loss when it was called on arrays last, and penalties of trained
        weights: numbers.  In a ``train_step`` those are the model's: see ``Model.losses``.
        """
        penalties = [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]
        return [*vars(self).get("_added_on_arrays", ()), *penalties]

    def sublayers(self) -> list["Layer"]:
        """Layers held in attributes, in order of assignment."""
        return [layer for layer in self._attributes_of(Layer) if layer is not self]

    def _attributes_of(self, kind: type) -> list:
        """Objects of a class in attributes, and in lists, tuples and dicts that are attributes."""
        found = []
        for value in vars(self).values():
            if isinstance(value, kind):
                found.append(value)
            elif isinstance(value, list | tuple | dict):
                found.extend(v for v in (value.values() if isinstance(value, dict) else value) if isinstance(v, kind))
        return list(dict.fromkeys(found))

    @property
    def metrics(self) -> list:
        """The metrics in its attributes, and in those of layers in it that are no models.

        A model's step reports those that ``call`` has updated with ``update_state``.
        """
        from ..metrics import Metric

        found, pending = {}, [self]
        while pending:
            layer = pending.pop(0)
            found |= dict.fromkeys(layer._attributes_of(Metric))
            pending += [other for other in layer.sublayers() if not hasattr(other, "compile")]
        return list(found)

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
        weights = [array_of_numbers(w, f"Weights of {self.name} are arrays of numbers") for w in weights]
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
        for variable, value in _masks.masks_first(zip(variables, weights, strict=True)):
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

    def __setattr__(self, name, value):
        earlier = vars(self).get(name)
        if isinstance(earlier, Variable) and isinstance(value, np.ndarray | np.number | float):
            raise TypeError(
                f"{name} of the layer {self.name!r} is a weight: overwrite it with {name}.assign(...). "
                f"Received: {name}={type(value).__name__}"
            )
        if name == "activation" and value is None and type(self).__module__.startswith("jitnet."):
            value = linear  # as users take it away from a layer that is there
        super().__setattr__(name, value)
        if isinstance(value, Variable) and hasattr(self, "_weights") and all(v is not value for v in self._weights):
            places = [i for i, v in enumerate(self._weights) if v is earlier]
            if places:  # what is no longer used is no longer shown
                self._weights[places[0]] = value
            else:
                self._weights.append(value)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def check_mask(layer: Layer, mask, inputs) -> None:
    """Raise ValueError for a mask that is not (batch, steps), of the first axes of the inputs (batch, steps, ...)."""
    expected = inputs.shape[:2]
    if mask.shape != expected:
        raise invalid(
            f"{type(layer).__name__} expects a mask (batch, steps) of shape {display(expected)}.",
            mask=display(mask.shape),
        )


def _constructor_arguments(cls: type) -> set[str]:
    """The names that ``cls`` and its bases take."""
    parameters = [p for base in cls.__mro__ for p in inspect.signature(base.__init__).parameters.values()]
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}


def serialize(layer: Layer) -> dict:
    """``{"class_name": ..., "config": {...}}``"""
    return _registry.serialize(layer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Layer:
    """The layer that ``serialize`` described."""
    return _registry.deserialize(config, REGISTRY, custom_objects, kind="layer")


def get(identifier) -> Layer:
    """A layer from an instance, a class, a config or a name."""
    return _registry.get(identifier, REGISTRY, kind="layer", base=Layer)
