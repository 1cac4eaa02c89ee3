"""The base of all layers."""

import functools
import inspect
import re
import threading
import warnings
from collections import defaultdict

import numpy as np

from jitnet.kernels.locks import across_forks

from .. import _masks, _registry, constraints, initializers, regularizers
from .._fixed import Fixed, noticed
from .._places import calling
from .._structures import flatten, mapped, packed
from ..activations import linear
from ..config import check_policy
from ..core import checks, lengths, limits, policy, trace
from ..core.errors import NamesArguments, invalid, unknown_arguments
from ..core.operations.base import BatchSize, display
from ..core.operations.batch import BatchSum
from ..core.operations.effects import carry_out
from ..core.operations.shape import Reshape
from ..core.values import Constant, SymbolicTensor, Value, Variable
from . import _quantized
from .input_spec import check_inputs

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
    """One use of a layer, or of an operation between layers: what it was applied to, and what it returned.

    arguments, keywords: those of ``call`` as given, but for ``training``: structures of tensors, constants and other
        values; outputs: the tensors in what it returned, in the order of ``flatten``.
    training: as given by the caller; None: as the model is run.
    """

    def __init__(self, layer, arguments, keywords, outputs, training=None):
        self.layer = layer
        self.arguments = tuple(arguments)
        self.keywords = keywords
        self.outputs = outputs
        self.training = training

    @property
    def inputs(self) -> list[Value]:
        """The values that it was applied to, one after the other."""
        return [x for x in flatten([*self.arguments, *self.keywords.values()]) if isinstance(x, Value)]


class Layer(Fixed, NamesArguments):
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

    # ---- calling

    def __call__(self, *arguments, **keywords):
        """Apply to symbolic tensors (adds to the graph) or to NumPy arrays (computes at once).

        arguments, keywords: those of ``call``: tensors, or lists, tuples and dicts of them, arrays, numbers, None.
            Beside a symbolic tensor an array is a constant, which has no batch axis; with arrays alone, the first axis
            of each is the batch.
        training: whether the layer, and everything in it that is not told otherwise, behaves as in training; None: as
            the layer or model that calls it does.
        mask: for a ``call`` that takes it: the mask of the only argument of tensors, unless it is given; beside others,
            ``query_mask`` is that of ``query``.  Arrays have none.

        Raises TypeError for arguments that ``call`` doesn't take.
        """
        with calling(self, [*arguments, *keywords.values()], names=True):
            bound, training = self._bind(arguments, keywords)
            given = flatten([*bound.arguments.values()])
            if _computes_at_once(given):
                sizes = {len(leaf) for leaf in given if isinstance(leaf, np.ndarray) and leaf.ndim}
                with trace.batch_of(sizes.pop() if len(sizes) == 1 else None):
                    return self._call_on_arrays(bound, training)
            return self._call_on_tensors(bound, training, given)

    def _call_on_tensors(self, bound: inspect.BoundArguments, training, given: list):
        if not all(isinstance(leaf, Value) for leaf in given):
            bound.arguments = {name: mapped(self._as_argument, part) for name, part in bound.arguments.items()}
        arguments, keywords = bound.args, bound.kwargs
        noticed(self)
        masked = self._with_masks(bound)
        mode = self._mode(training)
        told = {"training": mode} if self._accepts_training() else {}
        with trace.training_mode(mode), trace.scope(self.name, self.dtype_policy):
            if self.input_spec is not None:
                check_inputs(self.input_spec, flatten(next(iter(bound.arguments.values()), [])))
            self._build_once(bound)
            with trace.assignments() as assigned:
                before = dict(assigned.values)
                returned = trace.call_of(self)(*masked.args, **masked.kwargs, **told)
                if assigned.values != before:
                    returned = mapped(lambda x: assigned.values.get(x, x) if isinstance(x, Variable) else x, returned)
                    returned = packed(returned, carry_out(before, flatten(returned)))

        def result(output):
            if not isinstance(output, SymbolicTensor):
                raise TypeError(
                    f"{self._described()}: call must return symbolic tensors made with jitnet.ops. Received: {output!r}"
                )
            if not any(output is x for x in given):
                return output
            # a layer that passes its input on gives it a new name, so that it shows in the model
            return with_mask(output, output.mask)

        results = mapped(result, returned)
        self._pass_masks(masked, flatten(results))
        if self.activity_regularizer is not None:
            self._add_activity(flatten(results))
        node = Node(self, arguments, keywords, flatten(results), training)
        if self._first_node is None:
            self._first_node = node
        for output in node.outputs:
            output.history = node
        return results

    def _with_masks(self, bound: inspect.BoundArguments) -> inspect.BoundArguments:
        """The arguments of ``call``, with the masks that tensors have for those that it takes and was not given."""
        known = _signature(self.call).parameters
        tensors = [k for k, part in bound.arguments.items() if any(isinstance(x, Value) for x in flatten(part))]
        names = {f"{k}_mask": k for k in tensors} if len(tensors) > 1 else dict.fromkeys(["mask"], *tensors)
        wanted = {name: k for name, k in names.items() if name in known and bound.arguments.get(name) is None}
        found = {name: mapped(_mask_of, bound.arguments[k]) for name, k in wanted.items()}
        found = {name: masks for name, masks in found.items() if any(mask is not None for mask in flatten(masks))}
        return inspect.BoundArguments(bound.signature, {**bound.arguments, **found})

    def _pass_masks(self, bound: inspect.BoundArguments, outputs: list) -> None:
        """Give the outputs of ``call`` their masks; bound: its arguments."""
        first = next(iter(bound.arguments.values()), None)
        given = bound.arguments.get("mask")
        own = mapped(_mask_of, first)
        if self.supports_masking:
            if all(output.mask is not None for output in outputs):
                return
            with trace.scope(self.name, self.dtype_policy):
                found = flatten(self.compute_mask(first, own if given is None else given))
            for output, mask in zip(outputs, found, strict=False):
                if not isinstance(mask, Value | None):
                    raise TypeError(f"{self._described()}: compute_mask returns tensors or None. Received: {mask!r}")
                output.mask = mask if output.mask is None else output.mask
        elif all(output.mask is None for output in outputs) and any(mask is not None for mask in flatten(own)):
            warnings.warn(
                f"{self._described()} supports no masks: what comes after it takes all steps into account. Its input "
                "has a mask; supports_masking = True passes it on.",
                stacklevel=4,
            )

    def _add_activity(self, outputs) -> None:
        """Add the penalties of outputs to the loss, each divided by the batch."""
        if isinstance(self.activity_regularizer, Fixed):
            noticed(self.activity_regularizer)
        for output in outputs:
            found = regularizers.penalty(self.activity_regularizer, output)
            if output.batched:
                found = found / BatchSize()(output)
            self.add_loss(found)

    def _described(self) -> str:
        return f"Layer {self.name!r} ({type(self).__name__})"

    def _bind(self, arguments: tuple, keywords: dict) -> tuple[inspect.BoundArguments, bool | None]:
        """The arguments of ``call`` by their names, without ``training``; and ``training`` as given."""
        signature = _signature(self.call)
        accepts, told = self._accepts_training(), None
        if accepts:
            place = list(signature.parameters).index("training")
            by_place = signature.parameters["training"].kind is not inspect.Parameter.KEYWORD_ONLY
            if not by_place or place >= len(arguments):
                keywords.setdefault("training", None)
        else:
            told = keywords.pop("training", None)
        try:
            bound = signature.bind(*arguments, **keywords)
        except TypeError as error:
            named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
            known = [p.name for p in signature.parameters.values() if p.kind in named]
            unknown = {name: _brief(value) for name, value in keywords.items() if name not in known}
            if unknown:
                raise unknown_arguments(self._described(), unknown, known) from None
            names = ", ".join(name for name in keywords if name != "training")
            raise TypeError(
                f"{self._described()} takes the arguments {signature} of its call: {error}. "
                f"Received: {len(arguments)} positional arguments{', ' * bool(names)}{names}"
            ) from None
        if accepts:
            told = bound.arguments.pop("training", None)
        return bound, None if told is None else checks.boolean(self._described(), "training", told)

    def _as_argument(self, value):
        """What ``call`` gets for an array: a constant."""
        if isinstance(value, Value) or not hasattr(value, "__array__"):
            return value
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{self._described()} takes tensors and arrays of numbers. Received: dtype={array.dtype}")
        if array.ndim == 0:
            return array.item()
        if array.dtype.kind == "f":
            return Constant(array.astype(self.dtype))
        return Constant(array.astype("int32" if array.dtype == np.int32 else "int64"))

    def _build_once(self, bound: inspect.BoundArguments) -> None:
        if self.built:
            return
        self._built_policy = self.dtype_policy
        parameters = list(_signature(self.build).parameters.values())
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        shapes = {f"{name}_shape": _shapes(part) for name, part in bound.arguments.items()}
        if any(p.name in shapes or p.default is p.empty for p in named[1:]):
            missing = [p.name for p in named if p.default is p.empty and p.name not in shapes]
            if missing:
                raise ValueError(
                    f"build takes the shape of one argument, or those of several by the names <argument>_shape. "
                    f"Missing: {', '.join(missing)}. Received: {', '.join(shapes)}"
                )
            self.build(**{p.name: shapes[p.name] for p in named if p.name in shapes})
        else:
            self.build(*[next(iter(shapes.values()), None) for p in parameters[:1]])
        self.built = True

    @property
    def input(self):
        """The symbolic input of the layer's first use; a list if it has several."""
        inputs = self._require_node().inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self):
        """The symbolic output of the layer's first use, as for ``Model(model.inputs, layer.output)``, or a list."""
        outputs = self._require_node().outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _require_node(self) -> Node:
        if self._first_node is None:
            raise AttributeError(f"The layer {self.name!r} has not been applied to a tensor yet.")
        return self._first_node

    def _takes(self, argument: str) -> bool:
        """Whether ``call`` has an argument of this name."""
        return argument in _signature(self.call).parameters

    def _accepts_training(self) -> bool:
        return self._takes("training")

    def _mode(self, training) -> bool | None:
        """``training`` as given, else of whoever calls this layer, else by default of ``call``."""
        if training is None:
            training = trace.is_training()
        if training is None and self._accepts_training():
            default = _signature(self.call).parameters["training"].default
            training = False if default is inspect.Parameter.empty else default
        return None if training is None else bool(training)

    def _call_on_arrays(self, bound: inspect.BoundArguments, training):
        from ..eager import evaluate_function

        parts = {name: mapped(_number_or_array, part) for name, part in bound.arguments.items()}
        for first in list(parts)[:1]:
            parts[first] = _nested_arrays(parts[first])
        if not any(isinstance(leaf, np.ndarray) for leaf in flatten(list(parts.values()))):
            raise TypeError(f"{self._described()} is called on tensors or arrays. Received: {bound.arguments}")
        parts = self._of_input_dtypes(parts)
        most = max((len(leaf) for leaf in flatten(list(parts.values())) if isinstance(leaf, np.ndarray)), default=1)
        parts |= {name: mapped(lambda x: _repeated(x, most), part) for name, part in parts.items() if "mask" in name}
        leaves = flatten(list(parts.values()))
        arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]
        lengths = sorted({len(array) for array in arrays})
        if len(lengths) > 1:
            raise ValueError(
                f"{self._described()}: called on arrays, it needs the same number of samples in each; what has no "
                f"batch axis is passed as a jitnet.Variable. Received: lengths={lengths}"
            )
        returned, added = None, []

        def function(*tensors):
            nonlocal returned, added
            remaining = iter(tensors)
            replaced = [next(remaining) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
            structure = packed(list(parts.values()), replaced)
            again = inspect.BoundArguments(bound.signature, dict(zip(parts, structure, strict=True)))
            with trace.added_losses() as losses:
                returned = self(*again.args, **again.kwargs, training=training)
            added = [BatchSum(mean=True)(x) if x.batched else x for x in losses]
            return [*flatten(returned), *added]

        found = evaluate_function(function, *arrays, iteration=self._iteration())
        vars(self)["_added_on_arrays"] = found[len(found) - len(added) :]
        return packed(returned, found)

    def _iteration(self) -> int:
        """The step at which schedules are read outside of training."""
        return 0

    def _of_input_dtypes(self, arguments: dict) -> dict:
        """The arguments that the layer is called with, arrays in the dtypes that it computes with."""

        def converted(value):
            return value.astype(self.dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

        return mapped(converted, arguments)

    def compute_output_shape(self, input_shape=None, *shapes, **named_shapes):
        """The output's shape for shapes of the arguments of ``call``, with None for the batch.

        input_shape: of the first argument; shapes: of those after it; named_shapes: by their names, as
            ``mask_shape=(None, 3)``.  Lists and dicts of shapes stand for lists and dicts of tensors.
        """

        def tensors(shapes):
            return of_shapes(shapes, lambda shape: SymbolicTensor(opened(shape), self.dtype, f"{self.name}_input"))

        def opened(shape):
            return *shape[:1], *lengths.opened(shape[1:])

        keywords = {name.removesuffix("_shape"): tensors(shape) for name, shape in named_shapes.items()}
        given = shapes if input_shape is None else (input_shape, *shapes)
        first = self._first_node
        try:
            return _shapes(self(*map(tensors, given), **keywords), lengths.shown)
        finally:
            self._first_node = first  # ``output`` is that of a use in a model

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


def _mask_of(value):
    return value.mask if isinstance(value, Value) else None


def check_mask(layer: Layer, mask, inputs) -> None:
    """Raise ValueError for a mask that is not (batch, steps), of the first axes of the inputs (batch, steps, ...)."""
    expected = inputs.shape[:2]
    if mask.shape != expected:
        raise invalid(
            f"{type(layer).__name__} expects a mask (batch, steps) of shape {display(expected)}.",
            mask=display(mask.shape),
        )


def with_mask(tensor: SymbolicTensor, mask) -> SymbolicTensor:
    """The tensor under another name, with a mask of its own."""
    renamed = Reshape(tensor.shape[tensor.batched :])(tensor)
    renamed.mask = mask
    return renamed


def _signature(method) -> inspect.Signature:
    """The parameters of a method, without ``self``."""
    function = getattr(method, "__func__", None)
    return _signature_of(method if function is None else function, function is not None)


@functools.lru_cache(1024)
def _signature_of(function, is_method: bool) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[is_method:])


def of_shapes(shapes, made):
    """The structure of ``made(shape)`` for a shape, a tuple or list of sizes, or for lists and dicts of shapes."""
    if isinstance(shapes, dict):
        return {key: of_shapes(part, made) for key, part in shapes.items()}
    if not isinstance(shapes, list | tuple):
        raise invalid("A shape is a tuple of integers, with None for the batch.", shape=shapes)
    if any(isinstance(part, list | tuple | dict) for part in shapes):
        return [of_shapes(part, made) for part in shapes]
    return made(tuple(shapes))


def _shapes(structure, form=tuple):
    """The shapes of the tensors in a structure, each by ``form``, lists for tuples; None for what is no tensor."""
    if isinstance(structure, dict):
        return {key: _shapes(part, form) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return [_shapes(part, form) for part in structure]
    return form(structure.shape) if hasattr(structure, "shape") else None


def _number_or_array(value):
    """``value``; what NumPy takes for an array, as an array or a number."""
    if isinstance(value, Value) or not hasattr(value, "__array__"):
        return value
    array = np.asarray(value)
    return array if array.ndim else array.item()


def _repeated(mask, samples: int):
    """A mask (1, ...) of all samples as one of each, as in Keras."""
    return np.repeat(mask, samples, axis=0) if isinstance(mask, np.ndarray) and len(mask) == 1 else mask


def _brief(value):
    """``value``; of an array or the like, its class."""
    return value if isinstance(value, Value | int | float | str | None) else type(value)


def _nested_arrays(structure):
    """The structure with an array for each list of nothing but numbers."""
    if isinstance(structure, list | tuple):
        numbers = all(isinstance(leaf, int | float) for leaf in flatten(structure))
        items = [_nested_arrays(item) for item in structure]
        structure = np.asarray(structure) if numbers and len(structure) else items
    elif isinstance(structure, dict):
        structure = {key: _nested_arrays(part) for key, part in structure.items()}
    return structure


def _computes_at_once(leaves) -> bool:
    """Whether a layer is called on arrays; within a ``call``, arrays beside weights are constants."""
    if any(isinstance(leaf, SymbolicTensor) for leaf in leaves):
        return False
    values = any(isinstance(leaf, Value) for leaf in leaves)
    arrays = any(hasattr(x, "__array__") and not isinstance(x, Value) for x in leaves)
    return not (arrays and _traced()) and (arrays or not values)


def _traced() -> bool:
    """Whether this is within the ``call`` of a layer."""
    return bool(trace.current_scope()[0])


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
