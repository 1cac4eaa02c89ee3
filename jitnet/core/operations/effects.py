"""What a training step does besides computing values: gradients of a loss, assignments and optimizers' updates.

They are part of the graph that a ``train_step`` traces, in the order in which it asked for them.
"""

from ..autodiff import Gradients, dependents
from ..errors import invalid
from ..program import Out, Scalar
from ..trace import assigned_so_far, collects_effects, effects_so_far, topological_order
from ..values import SymbolicTensor, Value, Variable
from .base import Operation, display
from .elementwise import Cast


class _Effect(Operation, registered=False):
    differentiable = False

    def prepare(self, inputs) -> tuple:
        return inputs


class Gradient(_Effect, registered=False):
    """The gradients of a loss, a single number, by other values: inputs (loss, *values), one output per value."""

    def infer(self, loss, *values):
        if not isinstance(loss, SymbolicTensor) or loss.shape != ():
            shape = display(loss.shape) if isinstance(loss, Value) else type(loss).__name__
            raise ValueError(
                "A loss to be differentiated is a single number, such as jitnet.ops.mean(values) over the batch. "
                f"Received: shape={shape}"
            )
        for value in values:
            if not isinstance(value, Value) or not value.dtype.startswith("float"):
                raise invalid("Gradients are taken by variables and by tensors of floating-point numbers.", value=value)
        applications = topological_order([loss])
        reached = dependents(applications, values)
        if any(isinstance(a.operation, Gradient) and not reached.isdisjoint(a.inputs) for a in applications):
            raise ValueError("A loss depends on a gradient of its own variables: jitnet has first derivatives only.")
        for application in applications:
            if not reached.isdisjoint(application.inputs):
                _check_unchanged(application)
        return [(value.shape, value.dtype) for value in values]

    def batches_of(self, inputs):
        return [value.batches for value in inputs[1:]]

    def forward(self, program, lowered):
        loss, *values = lowered.application.inputs
        lowering = lowered.lowering
        applications = [item.application for item in lowering.lowered]  # all that were asked for before
        gradients = Gradients(lowering, dependents(applications, values))
        if loss in gradients.wanted:
            seed = gradients.target(loss, batched=False)
            program.call("shape.fill", y=seed, value=1.0)
            gradients.differentiate()
        variables = list(dict.fromkeys(value for value in values if isinstance(value, Variable)))
        found = gradients.sum_up(variables)
        for value, output in zip(values, lowered.application.outputs, strict=True):
            gradient = found[value] if isinstance(value, Variable) else gradients.of(value)
            if gradient is None:
                program.call("shape.fill", y=Out(lowering.buffer(output)), value=0.0)
            else:
                lowering.place(output, gradient)
        lowering.gradients = None


def _check_unchanged(application) -> None:
    """Raise ValueError if variables that an application read were written since: backward passes read them again."""
    for effect in effects_so_far():
        if effect.index < application.index:
            continue
        for variable in effect.operation.written(effect.inputs):
            if any(variable is x for x in application.inputs):
                raise ValueError(
                    f"{variable.name} has changed since the loss was computed with it: compute the loss again, or take "
                    f"all gradients before the first update. Received: a result of {application.operation.name}"
                )


class Assign(_Effect, registered=False):
    """Overwrites a variable: inputs (variable, value), no output."""

    def written(self, inputs) -> tuple:
        return inputs[:1]

    def infer(self, variable, value):
        if not isinstance(value, Value) or value.shape != variable.shape or value.dtype != variable.dtype:
            given = f"{display(value.shape)}, {value.dtype}" if isinstance(value, Value) else type(value).__name__
            raise ValueError(
                f"{variable.name} is assigned a value of shape {display(variable.shape)} and dtype {variable.dtype}. "
                f"Received: {given}"
            )
        return []

    def forward(self, program, lowered):
        variable, value = lowered.inputs
        program.call("shape.copy_forward", x=value, y=Out(variable))


def assign(variable: Variable, value: Value) -> None:
    """Overwrite a variable when the graph runs, as a ``train_step`` or the ``call`` of a layer asks for it."""
    if value.dtype != variable.dtype and not value.dtype.startswith("float"):
        value = Cast(variable.dtype)(value)
    found = assigned_so_far()
    if found is None or collects_effects():
        Assign()(variable, value)
        return
    Assign().infer(variable, value)  # raises for another shape or dtype
    # what the value is made of has no backward pass of its own, unless it is of the samples
    made_of = {a.index for a in topological_order([value]) if not a.batched}
    readers = [a.operation.name for a in found.readers.get(variable, ()) if a.index not in made_of]
    if readers:
        raise ValueError(
            f"{variable.name} is trained, and was read before it is assigned: its gradient would be that of the new "
            f"value. Assign to it first. Received: a result of {readers[0]}"
        )
    found.values[variable] = Replaced()(value, variable)


def carry_out(before: dict, outputs: list) -> list:
    """The outputs of a layer, on which what it has assigned depends, so that it is done wherever they are computed.

    before: what was assigned when it was called.
    """
    made = {v: value for v, value in assigned_so_far().values.items() if before.get(v) is not value}
    if not made or not outputs:
        return outputs
    needed = topological_order(outputs)
    for variable, value in made.items():
        if all(value.producer is not application for application in needed):
            outputs = [Assigned()(outputs[0], value, variable), *outputs[1:]]
    return outputs


class Replaced(Operation, registered=False):
    """Overwrites variables when the graph runs: inputs (*values, *variables), output the first value.

    The gradient of the output is the first variable's, which is this value from there on.
    """

    def infer(self, *inputs):
        first = inputs[len(inputs) // 2]
        return [(first.shape, first.dtype)]

    def forward(self, program, lowered):
        count = len(lowered.inputs) // 2
        program.call("shape.copy_forward", x=lowered.inputs[0], y=Out(lowered.output))
        for value, variable in zip(lowered.inputs[:count], lowered.inputs[count:], strict=True):
            program.call("shape.copy_forward", x=value, y=Out(variable))

    def backward(self, program, lowered):
        lowered.pass_gradient(len(lowered.inputs) // 2)


class Assigned(Operation, registered=False):
    """Overwrites variables when the graph runs, and changes nothing else: inputs (x, *values, *variables), output x."""

    def infer(self, x, *inputs):
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        count = (len(lowered.inputs) - 1) // 2
        for value, variable in zip(lowered.inputs[1 : count + 1], lowered.inputs[count + 1 :], strict=True):
            program.call("shape.copy_forward", x=value, y=Out(variable))
        lowered.alias_output()

    def backward(self, program, lowered):
        lowered.pass_gradient(0)


class Rows(Operation, registered=False):
    """A variable (batch, ...) as a tensor with a batch axis: each sample gets the row of its place in the batch."""

    differentiable = False
    whole_inputs = (0,)

    def infer(self, variable):
        return [((None, *variable.shape[1:]), variable.dtype)]

    def forward(self, program, lowered):
        offset = Scalar("begin") * lowered.output.size
        program.call("shape.part_forward", x=lowered.inputs[0], y=Out(lowered.output), offset=offset)


class AssignedRows(Operation, registered=False):
    """Overwrites the rows of variables when the graph runs, and changes nothing else.

    Inputs (*outputs, *values (None, ...), *variables (batch, ...)), as many values as variables; outputs as they are.
    """

    joins = False

    def __init__(self, count: int):
        self.count = count

    def prepare(self, inputs):
        return inputs

    def infer(self, *inputs):
        return [(x.shape, x.dtype) for x in inputs[: self.count]]

    def forward(self, program, lowered):
        inputs = lowered.inputs[self.count :]
        for value, variable in zip(inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :], strict=True):
            widths = {"x_width": value.size, "y_width": value.size}
            offset = Scalar("begin") * value.size
            program.call("shape.concatenate_forward", x=value, y=Out(variable), offset=offset, **widths)
        for x, y in zip(lowered.inputs[: self.count], lowered.application.outputs, strict=True):
            lowered.lowering.alias(y, x)

    def backward(self, program, lowered):
        gradients = lowered.lowering.gradients
        for x, y in zip(lowered.application.inputs, lowered.application.outputs, strict=False):
            d_output = gradients.of(y)
            if d_output is not None and x in gradients.wanted:
                gradients.pass_on(x, True, d_output)


def least_rows(applications) -> int | None:
    """How many rows variables have at least of which each sample has one; None where there are none."""
    found = [a for a in applications if isinstance(a.operation, Rows | AssignedRows)]
    return min((x.shape[0] for a in found for x in a.inputs if isinstance(x, Variable)), default=None)


class Update(_Effect, registered=False):
    """An optimizer's update: inputs (*variables, *gradients), or with the loss after them; no output."""

    def __init__(self, optimizer, variables: int):
        self.optimizer, self.variables = optimizer, variables

    def written(self, inputs) -> tuple:
        return inputs[: self.variables]

    def infer(self, *inputs):
        variables, gradients = inputs[: self.variables], inputs[self.variables : 2 * self.variables]
        for variable, gradient in zip(variables, gradients, strict=True):
            if not isinstance(gradient, Value) or gradient.shape != variable.shape:
                shape = display(gradient.shape) if isinstance(gradient, Value) else type(gradient).__name__
                raise ValueError(
                    f"The gradient of {variable.name} has its shape, {display(variable.shape)}. Received: shape={shape}"
                )
        return []

    def forward(self, program, lowered):
        count = self.variables
        gradients = dict(zip(lowered.application.inputs[:count], lowered.inputs[count : 2 * count], strict=True))
        loss = lowered.application.inputs[2 * count] if len(lowered.inputs) > 2 * count else None
        lowered.lowering.updates.add(self.optimizer, gradients, loss)
