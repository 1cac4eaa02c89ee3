"""Evaluation at once: operations and functions on NumPy arrays, and their vector-Jacobian products."""

import copy

import numpy as np

from . import _seed
from ._fixed import KeepsSteps, fix, tracing
from ._registry import is_own
from .builder import Computation
from .config import conv_algorithm
from .core import trace
from .core.errors import invalid
from .core.locks import building
from .core.policy import floatx
from .core.values import DTYPES, SymbolicTensor, Variable, array_of_numbers, placeholder
from .step import Step

KEPT_SHAPES = 16  # for which ``Evaluated`` keeps its steps (a guess)
KEPT_OPERATIONS = 64  # and for which ``evaluate`` does, of all operations together (a guess)


def _numbers(x) -> np.ndarray:
    return array_of_numbers(x, "An operation takes symbolic tensors, arrays and numbers")


def _prepare(array):
    array = _numbers(array)
    if array.dtype.kind in "iub" and array.dtype.name not in DTYPES:
        array = array.astype(np.int64)
    elif array.dtype.kind == "f" and array.dtype not in (np.float32, np.float64):
        array = array.astype(floatx())
    return np.ascontiguousarray(array)


def _run(step: Step, batch: int, arrays: dict, iteration: int = 0, draw: int | None = None) -> None:
    seed, t = (_seed.global_seed(), _seed.next_draws()) if step.random and draw is None else (0, draw or 0)
    own = {"seed": seed, "t": t, "results": np.zeros(step.results)}
    step.run(batch, 1, {**arrays, **own}, compiled=False, iteration=iteration)


def vector_jacobian_product(function, arrays, output_gradient=None, variables=(), iteration=0, draw=None):
    """Outputs of ``function`` on ``arrays``, and gradients of sum(output * output_gradient).

    function: takes symbolic tensors, one per array, and returns one; a list of them only without ``output_gradient``.
    arrays: each with the batch as its first axis.
    output_gradient: array of the output's shape; None computes the output only.
    variables: Variables that the function reads.
    iteration: the step at which schedules of settings are read.
    draw: the step of random numbers that have seeds of their own; None: the next of the run's.
    Returns output, [gradient of each array], [gradient of each variable].
    """
    arrays = [_prepare(a) for a in arrays]
    inputs = {f"x_{i}": placeholder(f"x_{i}", a.shape[1:], str(a.dtype)) for i, a in enumerate(arrays)}
    with building:
        output = function(*inputs.values())
    several = output_gradient is None and isinstance(output, list | tuple)
    outputs = list(output) if several else [output]
    for tensor in outputs:
        if not isinstance(tensor, SymbolicTensor) or not (tensor.batched or output_gradient is None):
            raise TypeError(f"The function must return one tensor with a batch axis. Received: {output!r}")
    batch = len(arrays[0])
    data = dict(zip(inputs, arrays, strict=True))
    seeds, wanted = None, ()
    if output_gradient is not None:
        gradient = placeholder("output_gradient", output.shape[1:], output.dtype)
        seeds = {output: gradient}
        wanted = [v for v in inputs.values() if v.dtype.startswith("float")]
        data["output_gradient"] = np.ascontiguousarray(output_gradient, output.dtype)
        inputs = {**inputs, "output_gradient": gradient}
    computation = Computation(
        inputs, outputs, seeds=seeds or {}, trainable=list(variables) if seeds else [], wanted_inputs=list(wanted)
    )
    step = Step("An operation evaluated at once.", computation, fuse=False, regions=True)
    shapes = [(batch, *tensor.shape[1:]) if tensor.batched else tensor.shape for tensor in outputs]
    predictions = [np.empty(shape or (1,), tensor.dtype) for shape, tensor in zip(shapes, outputs, strict=True)]
    data.update(zip(step.output_arguments, predictions, strict=True))
    gradients = [np.empty_like(data[v.name]) for v in wanted]
    data.update(zip(step.gradient_arguments, gradients, strict=True))
    _run(step, batch, data, iteration, draw)
    predictions = [array.reshape(shape) for array, shape in zip(predictions, shapes, strict=True)]
    predictions = predictions if several else predictions[0]
    if seeds is None:
        return predictions, [], []
    found = step.variable_gradients()
    return predictions, gradients, [found[v].copy() for v in variables]


def evaluate_function(function, *arrays, iteration=0, draw=None):
    """``function`` of symbolic tensors, computed on arrays whose first axis is the batch; schedules are read at
    ``iteration``; draw: as of ``vector_jacobian_product``."""
    return vector_jacobian_product(function, arrays, iteration=iteration, draw=draw)[0]


class Evaluated(KeepsSteps):
    """Evaluation on arrays again and again: a step is made once for shapes and dtypes, and run then.

    The steps are made anew when an attribute of a part that they were traced from is assigned.

    kept: how many steps there are at most: those that were used last.
    """

    def __init__(self, name: str, kept: int = KEPT_SHAPES):
        self.name, self._kept = name, kept
        self._forget_steps()

    def __reduce__(self):
        return Evaluated, (self.name, self._kept)  # a copy makes steps of its own

    def __call__(self, trace, key, *arrays, iteration: int = 0) -> tuple:
        """(arrays, what else it is) of ``trace``, a function of symbolic tensors that returns (outputs, anything).

        key: what else than the arrays' shapes decides what ``trace`` returns; iteration: at which schedules are read.
        """
        arrays = [_prepare(a) for a in arrays]
        key = key, floatx(), conv_algorithm(), *((a.shape[1:], str(a.dtype)) for a in arrays)
        steps = self._steps  # which may be forgotten meanwhile
        step = steps.pop(key, None)
        if step is None:
            with building, tracing():
                inputs = {f"x_{i}": placeholder(f"x_{i}", a.shape[1:], str(a.dtype)) for i, a in enumerate(arrays)}
                outputs, found = trace(*inputs.values())
                step = Step("A function evaluated at once.", Computation(inputs, outputs), fuse=False, regions=True)
                step.outputs, step.found = outputs, found
                fix(self)
                steps = self._steps
        steps[key] = step  # at the end
        for oldest in list(steps)[: -self._kept]:
            steps.pop(oldest, None)
        batch = len(arrays[0])
        shapes = [(batch, *tensor.shape[1:]) if tensor.batched else tensor.shape for tensor in step.outputs]
        results = [np.empty(shape or (1,), x.dtype) for shape, x in zip(shapes, step.outputs, strict=True)]
        data = dict(zip((f"x_{i}" for i in range(len(arrays))), arrays, strict=True))
        data |= zip(step.output_arguments, results, strict=True)
        if any(array.size for array in results):
            _run(step, batch, data, iteration)
        return [array.reshape(shape) for array, shape in zip(results, shapes, strict=True)], step.found


_operations, _losses = Evaluated("operations", KEPT_OPERATIONS), Evaluated("losses", KEPT_OPERATIONS)


def _described(part) -> tuple | None:
    """What an operation or a loss of jitnet computes, for a key; None if the text of its attributes doesn't say all."""
    values = vars(part)
    own = is_own(part) and all(map(_is_plain, values.values()))
    return (type(part), repr(values)) if own else None


def _is_plain(value) -> bool:
    """Whether its text says all about it."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def evaluate(operation, *inputs):
    """An operation on arrays whose first axis is the batch, but for those that it takes whole, such as weights."""
    arrays = [_numbers(x) for x in inputs]
    # as in symbolic calls, Python's numbers take on the type of the arrays
    floats = [x.dtype for x in inputs if isinstance(x, np.ndarray | np.generic) and x.dtype in (np.float32, np.float64)]
    dtype = str(np.result_type(*floats)) if floats else floatx()
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    if operation.broadcasts:
        arrays = np.broadcast_arrays(*arrays)
    if arrays[0].ndim == 0:
        return evaluate(operation, *(a.reshape(1) for a in arrays)).reshape(())
    described = _described(operation)
    if described is not None and not operation.random and not operation.whole_inputs:

        def once(*tensors):
            outputs = operation(*tensors)
            several = isinstance(outputs, list | tuple)
            return outputs if several else [outputs], several

        found, several = _operations(once, described, *arrays)
        return found if several else found[0]

    def function(*tensors):
        remaining = iter(tensors)
        return operation(
            *(
                Variable(_prepare(a), trainable=False) if i in operation.whole_inputs else next(remaining)
                for i, a in enumerate(arrays)
            )
        )

    return evaluate_function(function, *(a for i, a in enumerate(arrays) if i not in operation.whole_inputs))


def evaluate_loss(loss, y_pred, y_true) -> list:
    """[values of a loss on arrays, and its mask if it has one]"""
    described = _described(loss)
    if described is not None:
        loss = copy.copy(loss)  # whose numbers nobody assigns later

    def once(predictions, targets):
        values = loss.compared(targets, predictions)
        mask = loss._mask(targets, predictions, values)
        return [values] if mask is None else [values, mask], None

    if described is None:
        return evaluate_function(lambda *tensors: once(*tensors)[0], y_pred, y_true)
    return _losses(once, described, y_pred, y_true)[0]


class AppliedUpdate(KeepsSteps):
    """An optimizer's updates by gradients that are arrays: a step for each list of variables."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self._forget_steps()

    def __call__(self, variables, gradients, loss=None) -> None:
        """Update ``variables`` by arrays of their shapes; loss: a number."""
        gradients = [np.asarray(gradient) for gradient in gradients]
        for variable, gradient in zip(variables, gradients, strict=True):
            if gradient.shape != variable.shape or gradient.dtype.kind != "f":
                raise invalid(
                    f"The gradient of {variable.name} is an array of its shape, {variable.shape}.",
                    shape=gradient.shape, dtype=gradient.dtype,
                )  # fmt: skip
        key = (*variables, loss is not None)
        if key not in self._steps or not self._steps[key].fits_optimizers():
            with building, tracing(), trace.effects() as effects:
                given = {f"gradient_{i}": SymbolicTensor(v.shape, v.dtype, v.name) for i, v in enumerate(variables)}
                if loss is not None:
                    given["loss"] = SymbolicTensor((), variables[0].dtype, "loss")
                tensors = list(given.values())
                self._optimizer.apply(tensors[: len(variables)], variables, *tensors[len(variables) :])
                self._steps[key] = Step("An optimizer's update.", Computation(given, effects=effects))
                fix(self, [self._optimizer])
        step = self._steps[key]
        arrays = [*gradients, *([] if loss is None else [loss])]
        arrays = {
            name: np.ascontiguousarray(array, tensor.dtype).reshape(tensor.shape or (1,))
            for (name, tensor), array in zip(step.inputs.items(), arrays, strict=True)
        }
        arrays |= {"seed": _seed.global_seed(), "t": self._optimizer.iterations, "results": np.zeros(step.results)}
        step.run(1, 1, arrays, compiled=False, iteration=self._optimizer.iterations)
