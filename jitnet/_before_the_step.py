"""What data of a functional model go through before its step: lookups of words, which work on arrays."""

import numpy as np

from ._structures import flatten, leaves_like
from .core.errors import invalid
from .core.lengths import fits, opened
from .core.operations.base import display
from .core.values import SymbolicTensor, Value
from .data import with_channels
from .layers._calling import Node
from .layers.input import InputLayer


def is_of_data(tensor) -> bool:
    """Whether a symbolic tensor is known before the step: an ``Input``, or what lookups make of one."""
    node = tensor.history
    return node is not None and (isinstance(node.layer, InputLayer) or node.layer.before_the_step)


def applied(layer, inputs: SymbolicTensor) -> SymbolicTensor:
    """A layer that works on arrays, on a tensor of a functional model that is known before the step."""
    if not isinstance(inputs, SymbolicTensor) or not is_of_data(inputs):
        raise invalid(
            f"{layer._described()} works on arrays, before a model's step: it follows an Input, or layers of its kind, "
            "and nothing that the step computes. Call it on the data, and give its result to the model.",
            inputs=inputs,
        )
    # strings and numbers that any vocabulary may lack
    sizes = [2, *(1 if size is None or size > 1 << 12 else size for size in inputs.shape[1:])]
    sample = np.full(sizes, "x", object) if inputs.dtype == "string" else np.zeros(sizes, inputs.dtype)
    found = np.asarray(layer(sample))
    dtype = "string" if found.dtype.kind in "OUS" else str(found.dtype)
    output = SymbolicTensor((None, *opened(layer.result_shape(found))), dtype, layer.name)
    output.history = Node(layer, (inputs,), {}, [output])
    if vars(layer).get("_first_node") is None:
        layer._first_node = output.history
    return output


class BeforeTheStep:
    """The part of a functional model that works on arrays.

    structure, inputs: the model's inputs, as users give them, and one after the other; nodes: uses of layers that work
        on arrays, in order; needed: what the step is given of all these, its inputs.
    """

    def __init__(self, structure, inputs: list, nodes: list, needed: list):
        self.structure, self.inputs, self.nodes, self.needed = structure, inputs, nodes, needed

    @classmethod
    def of(cls, structure, inputs: list, nodes: list, outputs: list) -> "BeforeTheStep | None":
        """That of a model with these nodes; None where there is nothing to do before the step.

        Raises:
            ValueError: the step would be given strings.
        """
        early = [node for node in nodes if node.layer is not None and getattr(node.layer, "before_the_step", False)]
        if not early:
            return None
        known = dict.fromkeys([*inputs, *(output for node in early for output in node.outputs)])
        read = [x for node in nodes if node not in early for x in node.inputs] + outputs
        needed = list(dict.fromkeys(x for x in read if isinstance(x, SymbolicTensor) and x in known))
        for x in outputs:
            if x in known:
                raise invalid("A model's outputs are computed by its step, not before it.", output=x)
        return cls(structure, inputs, early, needed)

    def __call__(self, owner: str, names: list[str], given) -> list[np.ndarray]:
        """The arrays of the step's inputs; owner: whose data; names: of the model's inputs."""
        values = {}
        if isinstance(self.structure, SymbolicTensor) and not isinstance(given, dict):
            parts = [given]
        else:
            if not isinstance(given, dict | list | tuple):
                given = [given]
            parts = leaves_like(self.structure, given, names, "input", owner, "x")
        for name, tensor, part in zip(names, self.inputs, parts, strict=True):
            array = np.asarray(part)
            if array.ndim == 0:
                raise invalid(f"The input {name!r} of {owner} needs a batch axis.", x=part)
            if not fits(array.shape[1:], tensor.shape[1:]):
                array = with_channels(array, tensor.shape[1:])
            if not fits(array.shape[1:], tensor.shape[1:]):
                expected = display(tensor.shape)
                raise invalid(f"The input {name!r} of {owner} has the shape {expected}.", shape=array.shape)
            words = array.dtype.kind in "OUS"
            if words != (tensor.dtype == "string"):
                kind = "strings" if tensor.dtype == "string" else "numbers"
                raise invalid(f"The input {name!r} of {owner} takes {kind}.", dtype=array.dtype)
            values[tensor] = array
        counts = {len(array) for array in values.values()}
        if len(counts) > 1:
            raise invalid(f"All inputs of {owner} need the same number of samples.", lengths=sorted(counts))
        for node in self.nodes:
            (argument,) = node.inputs
            (output,) = node.outputs
            values[output] = np.asarray(node.layer(values[argument]))
        return [values[tensor] for tensor in self.needed]

    def samples(self, given) -> int:
        """How many samples data have."""
        structure = self.structure
        while not isinstance(structure, SymbolicTensor):
            given = next(iter(given.values())) if isinstance(given, dict) else given[0]
            structure = next(iter(structure.values())) if isinstance(structure, dict) else structure[0]
        return len(given)


class TakesData:
    """A model's side of it: the inputs of its step are others than those that users give, where it has such a part."""

    _front: BeforeTheStep | None = None

    def _divide(self, inputs: list) -> list:
        """Take the uses of layers that work on arrays out of a functional model's graph; the inputs of its step."""
        self._front = BeforeTheStep.of(self._input_structure, inputs, self._nodes, self._graph_outputs)
        if self._front is None:
            return inputs
        self._nodes = [node for node in self._nodes if node not in self._front.nodes]
        self._input_structure = self._front.needed
        return self._front.needed

    @property
    def _given_structure(self):
        """The structure of inputs in which users give data."""
        self._input_tensors()  # raises if the model is not built
        return self._input_structure if self._front is None else self._front.structure

    def _step_input_names(self) -> list[str]:
        return self.input_names if self._front is None else [x.name for x in self._front.needed]

    def _all_nodes(self) -> list:
        """Uses of layers, those before the step first."""
        return [*(self._front.nodes if self._front is not None else ()), *self._nodes]

    def _before_the_step(self, x):
        if self._front is None:
            return super()._before_the_step(x)
        return self._front(f"the model {self.name!r}", self.input_names, x)

    def _samples_of(self, x) -> int:
        return super()._samples_of(x) if self._front is None else self._front.samples(x)

    def __call__(self, *arguments, **keywords):
        if self._front is not None and arguments:
            first, *others = arguments
            if any(getattr(leaf, "history", None) is not None for leaf in flatten(first)):
                raise invalid(
                    f"The model {self.name!r} begins with {type(self._front.nodes[0].layer).__name__}, which works on "
                    "arrays: it can't be a part of another model.",
                    inputs=first,
                )
            if not any(isinstance(leaf, Value) for leaf in flatten(first)):
                arguments = self._before_the_step(first), *others
        return super().__call__(*arguments, **keywords)
