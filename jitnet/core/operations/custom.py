"""An operation given by a user as two ``@njit`` functions."""

import inspect

from ...kernels.literals import identifier
from .. import checks
from ..errors import invalid
from ..program import Out
from ..values import Value, as_value
from .base import Operation


class CustomOperation(Operation, registered=False):
    """A user's own operation: ``forward`` and ``backward`` compiled by Numba.

    forward(x1, ..., xk, y) writes the output y; backward(x1, ..., xk, y, dy, dx1, ..., dxk) writes the gradients of
    all inputs.  All arrays start with the batch axis, a chunk of the batch; inputs without one (weights) come whole,
    and their gradients are those of the chunk.  The functions are called from several threads at once, each with its
    own chunk, and must not allocate.  What they raise reaches the caller of fit or predict, with a note that names the
    operation; of several chunks that raise, the first counts.  Where ``njit`` isn't told otherwise, dividing by zero
    gives inf or NaN, as in NumPy.

    forward, backward: functions decorated with ``numba.njit``; ``backward=None``: no gradient flows.
    output_shape: a function from the input shapes to the output's, None for the batch axis; default: the first input's.
    name: a string, for the step's source and for errors.

    Example::

        @njit
        def forward(x, y):
            y[...] = x * x

        @njit
        def backward(x, y, dy, dx):
            dx[...] = 2 * x * dy

        square = jitnet.ops.CustomOperation(forward, backward)
        y = square(x)
    """

    def __init__(self, forward, backward=None, output_shape=None, name="custom"):
        for role, function in (("forward", forward), ("backward", backward)):
            if function is not None and not hasattr(function, "py_func"):
                raise TypeError(
                    f"CustomOperation expects {role} to be decorated with numba.njit. Received: {role}={function!r}"
                )
        if output_shape is not None and not callable(output_shape):
            raise invalid("CustomOperation expects output_shape to be a function or None.", output_shape=output_shape)
        self.forward_function = forward
        self.backward_function = backward
        self.output_shape = output_shape
        self._name = checks.text("CustomOperation", "name", name)
        self.differentiable = backward is not None

    @property
    def name(self):
        return self._name

    def prepare(self, inputs):
        # what a user's functions make of integers is theirs to know
        dtype = next((x.dtype for x in inputs if isinstance(x, Value) and x.dtype.startswith("float")), None)
        return tuple(as_value(x, dtype) for x in inputs)

    def infer(self, *inputs):
        self._check_parameters("forward", self.forward_function, ["x"] * len(inputs), ["y"])
        self._check_parameters("backward", self.backward_function, ["x"] * len(inputs), ["y", "dy"], ["dx"])
        shapes = [x.shape for x in inputs]
        if self.output_shape is None:
            return [(shapes[0], inputs[0].dtype)]
        shape = tuple(self.output_shape(*shapes))
        batch = shape[:1] if shape[:1] == (None,) else ()
        sizes = checks.sizes(f"The custom operation {self._name!r}", "output_shape", shape[len(batch) :], least=0)
        return [((*batch, *sizes), inputs[0].dtype)]

    def _check_parameters(self, role, function, inputs, outputs, gradients=()) -> None:
        """Raise TypeError if a function doesn't take the arrays that it will be given."""
        if function is None:
            return
        several = [[f"{n}{i + 1}" for i, n in enumerate(x)] for x in (inputs, [*gradients] * len(inputs))]
        expected = [*several[0], *outputs, *several[1]]
        signature = inspect.signature(function.py_func)
        try:
            signature.bind(*expected)
        except TypeError:
            raise TypeError(
                f"CustomOperation {self._name!r} expects {role}({', '.join(expected)}) for {len(inputs)} inputs. "
                f"Received: {role}={function.py_func.__name__}{signature}"
            ) from None

    def _call(self, program, role, function, arguments):
        # an identifier has no dot: no name makes it one of jitnet's kernels
        names = {f"argument_{i + 1}": argument for i, argument in enumerate(arguments)}
        program.call(identifier(f"{self._name}_{role}"), **names).attributes["function"] = function

    def forward(self, program, lowered):
        self._call(program, "forward", self.forward_function, [*lowered.inputs, Out(lowered.output)])

    def backward(self, program, lowered):
        application = lowered.application
        gradients, additions = [], []
        for index, value in enumerate(application.inputs):
            buffer = lowered.inputs[index]
            kind = "batch" if value.batched else "partial"
            scratch = program.temporary(f"{lowered.output.name}_d{index}", buffer.shape, value.dtype, kind)
            gradients.append(Out(scratch))
            if lowered.needs(index):
                additions.append((scratch, index))
        arguments = [*lowered.inputs, lowered.output, lowered.d_output, *gradients]
        self._call(program, "backward", self.backward_function, arguments)
        for scratch, index in additions:
            if application.inputs[index].batched:
                target = lowered.gradient(index)
                program.call("shape.copy_backward", dy=scratch, dx=target, accumulate=target.accumulate)
            else:
                total = program.temporary(f"{scratch.name}_sum", scratch.shape, scratch.dtype, "whole")
                program.call("training.sum_partials", partials=scratch, out=Out(total))
                lowered.contribute(index, total)

    def get_config(self):
        raise TypeError(f"The custom operation {self._name!r} cannot be saved: wrap it in a Layer of your own.")
