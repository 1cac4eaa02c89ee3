"""How a layer is called: on tensors, to which it adds its use, or on arrays, which it computes at once."""

import functools
import inspect
import warnings

import numpy as np

from .. import regularizers
from .._fixed import Fixed, noticed
from .._places import calling
from .._registry import is_own
from .._structures import flatten, mapped, packed
from ..core import checks, lengths, trace
from ..core.errors import invalid, unknown_arguments
from ..core.operations.base import BatchSize
from ..core.operations.batch import BatchSum
from ..core.operations.effects import carry_out
from ..core.operations.shape import Reshape
from ..core.values import Constant, SymbolicTensor, Value, Variable
from .input_spec import check_inputs


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


class Calling:
    """Calling and building a layer.  Mixed into ``Layer``."""

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
        from ..eager import Evaluated, evaluate_function

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

        def function(*tensors):
            remaining = iter(tensors)
            replaced = [next(remaining) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
            structure = packed(list(parts.values()), replaced)
            again = inspect.BoundArguments(bound.signature, dict(zip(parts, structure, strict=True)))
            with trace.added_losses() as losses:
                returned = self(*again.args, **again.kwargs, training=training)
            added = [BatchSum(mean=True)(x) if x.batched else x for x in losses]
            return [*flatten(returned), *added], (returned, len(added))

        own, iteration = self._own_parts(), self._iteration()
        others = [leaf for leaf in leaves if not isinstance(leaf, np.ndarray)]
        if own is not None and all(isinstance(leaf, bool | int | float | str | None) for leaf in others):
            structure = mapped(lambda leaf: ... if isinstance(leaf, np.ndarray) else leaf, list(parts.values()))
            key = repr([list(parts), structure, training, trace.is_training()]), *((p, p.trainable) for p in own)
            kept = vars(self).setdefault("_on_arrays", Evaluated(self.name))
            found, (returned, added) = kept(function, key, *arrays, iteration=iteration)
        else:
            described = []

            def once(*tensors):
                outputs, what = function(*tensors)
                described[:] = what
                return outputs

            found = evaluate_function(once, *arrays, iteration=iteration)
            returned, added = described
        vars(self)["_added_on_arrays"] = found[len(found) - added :]
        return packed(returned, found)

    def _own_parts(self) -> list | None:
        """The layer and all layers in it; None if a user's own code is among them, which may depend on anything."""
        found, pending = {}, [self]
        while pending:
            part = pending.pop()
            if part not in found:
                found[part] = None
                called = [value for value in vars(part).values() if callable(value)]
                if getattr(part, "stateful", False) or not all(map(is_own, [part, *called])):
                    return None
                pending.extend(part.sublayers())
        return list(found)

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


def _mask_of(value):
    return value.mask if isinstance(value, Value) else None


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
