"""Gradients as values: of any function made of ``jitnet.ops``, layers and models, in a ``train_step`` or on arrays."""

import numpy as np

from . import _seed
from ._fixed import KeepsSteps, fix, tracing
from ._structures import flatten, mapped
from .builder import Computation
from .config import conv_algorithm
from .core import trace
from .core.errors import invalid, module_dir
from .core.locks import building
from .core.operations.effects import Gradient
from .core.policy import floatx
from .core.values import SymbolicTensor, Value, Variable, placeholder
from .step import Step


def value_and_grad(function, argnums=None, has_aux=False, variables=None, whole_argnums=()):
    """A function that returns the value of ``function`` and its gradients, as JAX's does.

    function: from arrays to a single number, ``jitnet.ops.mean(...)`` over the batch say; with ``has_aux`` to a pair of
        it and anything else, which is returned beside it.  It may use layers and models.
    argnums: the position of the argument by which gradients are taken, or a tuple of them; 0 by default, none where
        there are ``variables``.
    variables: a list of variables, or a layer or model for its trainable ones; their gradients are a list like it.
    whole_argnums: positions of arguments without a batch axis; all others start with it, but for plain numbers.

    The result takes what ``function`` takes: symbolic tensors in a ``train_step``, where value and gradients are
    symbolic, too; or arrays and numbers, for which it is compiled once per shapes and dtypes.  It returns
    (value, gradients), or ((value, aux), gradients): with both argnums and variables, gradients is a pair.

    Which pixels a class's score rests on (saliency, Simonyan et al. 2014), of a model whose softmax is a layer:

        scores = Model(model.input, model.get_layer("scores").output)
        call = value_and_grad(lambda images, labels: ops.sum(ops.one_hot(labels, 10) * scores(images)))
        saliency = np.abs(call(images, labels)[1]).max(axis=-1)

    Raises ValueError if the value is no single number, or if a gradient of a gradient is asked for.
    """
    if not callable(function):
        raise invalid("value_and_grad takes a function.", function=function)
    return _ValueAndGrad(function, argnums, has_aux, variables, whole_argnums)


class _ValueAndGrad(KeepsSteps):
    def __init__(self, function, argnums, has_aux, variables, whole_argnums):
        self._function, self._has_aux, self._variables = function, has_aux, variables
        self._argnums = 0 if argnums is None and variables is None else argnums
        self._whole = set(whole_argnums)
        self.name = getattr(function, "__name__", "function")
        self._forget_steps()

    def __call__(self, *arguments):
        if trace.collects_effects() or any(isinstance(a, Value) for a in arguments):
            return self._traced(arguments)
        return self._computed(arguments)

    def _traced(self, arguments):
        """Value and gradients, symbolic, as they are returned."""
        result = self._function(*arguments)
        if self._has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise ValueError(f"With has_aux the function returns a pair (value, aux). Received: {result!r}")
        loss = result[0] if self._has_aux else result
        several = isinstance(self._argnums, tuple | list)
        numbers = [] if self._argnums is None else (list(self._argnums) if several else [self._argnums])
        if any(n not in range(len(arguments)) for n in numbers):
            raise invalid(
                f"value_and_grad's argnums are positions of the {len(arguments)} arguments.", argnums=self._argnums
            )
        variables = self._listed_variables()
        targets = [*(arguments[n] for n in numbers), *variables]
        found = Gradient()(loss, *targets)
        found = list(found) if isinstance(found, tuple) else [found]
        by_arguments, by_variables = found[: len(numbers)], found[len(numbers) :]
        gradients = tuple(by_arguments) if several else (by_arguments[0] if numbers else None)
        if self._variables is not None:
            gradients = by_variables if self._argnums is None else (gradients, by_variables)
        return result, gradients

    def _listed_variables(self) -> list[Variable]:
        given = self._variables
        if given is None:
            return []
        return list(given.trainable_variables if hasattr(given, "trainable_variables") else given)

    def _computed(self, arguments):
        """Value and gradients of arrays."""
        arrays = [_array(a) for a in arguments]
        batched = [a.ndim > 0 and i not in self._whole for i, a in enumerate(arrays)]
        lengths = {len(a) for a, b in zip(arrays, batched, strict=True) if b}
        if len(lengths) > 1:
            raise ValueError(
                "Arguments start with the batch axis, all of one length (name the others in whole_argnums). "
                f"Received: lengths {sorted(lengths)}"
            )
        batch = lengths.pop() if lengths else 1
        shapes = tuple((a.shape[1:] if b else a.shape, str(a.dtype), b) for a, b in zip(arrays, batched, strict=True))
        key = shapes, tuple(self._listed_variables()), conv_algorithm()
        if key not in self._steps:
            with building, tracing():
                self._steps[key] = self._make_step(shapes)
        step = self._steps[key]
        structure = step.structure
        values = {
            name: a if b else a.reshape(a.shape or (1,))
            for name, a, b in zip(step.inputs, arrays, batched, strict=True)
        }
        outputs = [np.empty((batch, *x.shape[1:]) if x.batched else x.shape or (1,), x.dtype) for x in structure[1]]
        values |= dict(zip(step.output_arguments, outputs, strict=True))
        values["seed"], values["t"] = (_seed.global_seed(), _seed.next_draws()) if step.random else (0, 0)
        step.run(batch, 1, {**values, "results": np.zeros(step.results)}, compiled=False)
        found = [o if x.shape else o[0] for o, x in zip(outputs, structure[1], strict=True)]
        known = dict(zip(structure[1], found, strict=True))
        return mapped(lambda leaf: known[leaf] if isinstance(leaf, Value) else leaf, structure[0])

    def _make_step(self, shapes):
        inputs = {}
        for i, (shape, dtype, batched) in enumerate(shapes):
            name = f"x_{i}"
            inputs[name] = placeholder(name, shape, dtype) if batched else SymbolicTensor(shape, dtype, name)
        with trace.effects() as effects:
            structure = self._traced(list(inputs.values()))
        if effects:
            raise ValueError("A function to be differentiated assigns nothing: do that in a model's train_step.")
        outputs = list(dict.fromkeys(x for x in flatten(structure) if isinstance(x, Value)))
        fix(self)
        step = Step(f"Value and gradients of {self.name}.", Computation(inputs, outputs))
        step.structure = structure, outputs
        return step


def _array(argument) -> np.ndarray:
    array = np.asarray(argument)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Arguments are arrays and numbers. Received: {type(argument).__name__}")
    if array.dtype.kind in "iub" and array.ndim:
        return np.asarray(array, np.int64, order="C")
    keeps = array.ndim and array.dtype in (np.float32, np.float64)
    return np.asarray(array, array.dtype if keeps else floatx(), order="C")


__dir__ = module_dir(__name__)
