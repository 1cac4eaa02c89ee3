"""Optimizers' updates as calls of the program."""

from dataclasses import dataclass, field

from ..kernels.scalar import optimizers as scalar_functions
from .errors import invalid
from .program import Block, Buffer, Out, Scalar
from .trace import topological_order
from .values import SymbolicTensor, Value, Variable


@dataclass
class State:
    """What a step is given of an optimizer: its arguments for the slots and for the steps taken.

    slots: {slot: argument}; variables: those that it updates.
    """

    optimizer: object
    slots: dict[str, str]
    iterations: str
    scalars: dict[str, Scalar]
    step: Scalar
    variables: list[Variable] = field(default_factory=list)


class Updates:
    """The updates of a program, by one or more optimizers.

    states: in the order of their first updates; ``t`` of the program are the steps that the first one has taken.
    """

    def __init__(self, lowering):
        self.lowering, self.program = lowering, lowering.program
        self.states: list[State] = []
        self._numbers: dict = {}  # {(scalar, dtype): a value}: what updates in operations have read so far

    def state(self, optimizer) -> State:
        """What the program has of an optimizer."""
        for state in self.states:
            if state.optimizer is optimizer:
                return state
        name = self.program.unique_name
        slots = {slot: name(slot) for slot in optimizer.slot_names}
        scalars = {
            key: self.lowering.setting(key, source) for key, source in optimizer.scalar_sources().items()
        }
        step = Scalar("t") if not self.states else self.lowering.setting("step", optimizer.step_source())
        self.states.append(State(optimizer, slots, name("iterations"), scalars, step))
        return self.states[-1]

    def add(self, optimizer, gradients: dict[Variable, Buffer], loss=None) -> None:
        """Add the update of variables by their gradients.

        loss: the value that they are gradients of, for optimizers that ask for it.
        """
        state, program = self.state(optimizer), self.program
        program.next_calls("", "update")
        state.variables += [v for v in gradients if v not in state.variables]
        self._numbers = {}  # others may run in other steps
        every, step = optimizer.accumulates, state.step
        if every > 1:
            factor = 1.0 / every
            for variable, gradient in gradients.items():
                accumulator = self._slot(state, "accumulator", variable)
                self._elementwise("accumulate", gradient=gradient, accumulator=Out(accumulator, True), factor=factor)
                gradients = {**gradients, variable: accumulator}
            program.blocks.append(Block(((step + 1) % every).equals(0)))
            step = step // every
        self._clip(state, gradients)
        for variable, gradient in gradients.items():
            rate = self._rate(state, variable)
            decay = optimizer.decay_of(variable)
            if decay is not None:
                parameter, factor = self.lowering.buffer(variable), state.scalars[decay]
                given = {"learning_rate": rate, "weight_decay": factor}
                self._elementwise("decay", parameter=Out(parameter, True), **given)
            self._update(state, variable, gradient, {**state.scalars, "learning_rate": rate}, step + 1, loss)
            if optimizer.averages:
                average = self._slot(state, "average", variable)
                parameter, momentum = self.lowering.buffer(variable), state.scalars["ema_momentum"]
                self._elementwise(
                    "moving_average", parameter=parameter, average=Out(average, True), momentum=momentum
                )
            if every > 1:
                program.call("shape.fill", y=Out(gradient), value=0.0).attributes["elementwise"] = True
            self._prune(variable)
        if every > 1:
            program.blocks.append(Block())
        if optimizer.averages and optimizer.overwrites:
            program.blocks.append(Block(((state.step + 1) % optimizer.overwrites).equals(0)))
            for variable in gradients:
                parameter, average = self.lowering.buffer(variable), self._slot(state, "average", variable)
                self._elementwise("overwrite", parameter=Out(parameter, True), average=average)
                self._prune(variable)
            program.blocks.append(Block())
        for variable in gradients:
            if variable.constraint is not None:  # what it measures is pruned already
                self._assign({variable: checked_constraint(variable)}, {variable: self.lowering.buffer(variable)})
                self._prune(variable)

    def _prune(self, variable: Variable) -> None:
        """Let what its mask takes away from a variable, if it has one, be 0 again."""
        if variable.kept is not None:
            parameter, mask = self.lowering.buffer(variable), self.lowering.buffer(variable.kept)
            self._elementwise("prune", parameter=Out(parameter, True), mask=mask)

    def _rate(self, state: State, variable: Variable):
        """The learning rate of a variable; None for an optimizer without one."""
        rate, factor = state.scalars.get("learning_rate"), state.optimizer.learning_rate_multiplier(variable)
        return rate if factor == 1 else rate * factor

    def _clip(self, state: State, gradients: dict[Variable, Buffer]) -> None:
        """Change gradients as the optimizer's clipping says: their elements, the norm of each, or that of all."""
        program, scalars = self.program, state.scalars
        if "clipvalue" in scalars:
            for gradient in gradients.values():
                self._elementwise("clip", gradient=Out(gradient, True), clipvalue=scalars["clipvalue"])
        limit = scalars.get("clipnorm", scalars.get("global_clipnorm"))
        if limit is None:
            return
        groups = [[g] for g in gradients.values()] if "clipnorm" in scalars else [list(gradients.values())]
        for group in groups:
            squares = program.temporary("sum_of_squares", (1,), "float64", "whole")
            factor = program.temporary("clip_factor", (1,), group[0].dtype, "whole")
            for index, gradient in enumerate(group):
                out = Out(squares, index > 0)
                program.call("training.sum_of_squares", values=gradient, out=out, accumulate=index > 0)
            program.call("training.limit_norm", squares=squares, factor=Out(factor), limit=limit)
            for gradient in group:
                flat = Out(program.reshaped(gradient, (gradient.size,)), True)
                program.call("training.scale_by", values=flat, factor=factor).attributes["elementwise"] = True

    def finish(self) -> None:
        """Add the counting of steps, after everything else."""
        self.program.next_calls("", "update")
        for state in self.states:
            iterations = Buffer(state.iterations, (1,), "int64", "argument")
            self.program.call("training.count_step", iterations=Out(iterations, True))

    def _slot(self, state: State, slot: str, variable: Variable) -> Buffer:
        """What the optimizer keeps for a variable, at most as much as the variable has elements."""
        shape = state.optimizer.slot_shape(slot, variable.shape)
        buffer = Buffer(state.slots[slot], shape, variable.dtype, "slot", source=variable)
        return buffer.viewed(shape, name=f"{self.lowering.buffer(variable).name}_{slot}")

    def _elementwise(self, function: str, **arguments) -> None:
        """Add the call of a function of single elements, whose kernel takes flat arrays."""

        def flat(argument):
            if isinstance(argument, Out):
                return Out(flat(argument.buffer), argument.accumulate)
            is_buffer = isinstance(argument, Buffer)
            return self.program.reshaped(argument, (argument.size,)) if is_buffer else argument

        given = {name: flat(argument) for name, argument in arguments.items()}
        self.program.call(f"optimizers.{function}_update", **given).attributes["elementwise"] = True

    def _update(self, state: State, variable: Variable, gradient: Buffer, numbers: dict, step: Scalar, loss) -> None:
        optimizer = state.optimizer
        slots = {slot: self._slot(state, slot, variable) for slot in optimizer.own_slots}
        if optimizer.function is not None:
            function = getattr(scalar_functions, optimizer.function)
            known = {"parameter": self.lowering.buffer(variable), "gradient": gradient, **slots}
            written = scalar_functions.UPDATES[optimizer.function]
            arrays = {n: Out(known[n], True) if n in written else known[n] for n in scalar_functions.arrays(function)}
            numbers = {**numbers, "t": step}
            given = {name: numbers[name] for name in scalar_functions.hyperparameters(function)}
            self._elementwise(optimizer.function, **arrays, **given)
        else:
            self._traced(state, variable, gradient, slots, {**numbers, "step": step}, loss)

    def _traced(self, state: State, variable: Variable, gradient: Buffer, slots: dict, numbers: dict, loss) -> None:
        """An update that the optimizer writes in operations."""

        def placed(name: str, shape, buffer: Buffer) -> SymbolicTensor:
            value = SymbolicTensor(shape, variable.dtype, name)
            self.lowering.place(value, buffer)
            return value

        def number(name: str, scalar) -> SymbolicTensor:
            key = scalar, variable.dtype
            if key not in self._numbers:
                buffer = self.program.temporary(name, (), variable.dtype, "whole")
                self.program.call("shape.fill", y=Out(buffer), value=scalar)
                self._numbers[key] = placed(name, (), buffer)
            return self._numbers[key]

        given = {n: s for n, s in numbers.items() if s is not None and state.optimizer.takes(n)}
        numbers = {name: number(name, scalar) for name, scalar in given.items()}
        arrays = {slot: placed(slot, buffer.shape, buffer) for slot, buffer in slots.items()}
        value = placed("gradient", variable.shape, gradient)
        new = state.optimizer.traced_update(variable, value, arrays, numbers, loss)
        self._assign(new, {"parameter": self.lowering.buffer(variable), **slots})

    def _assign(self, new: dict, targets: dict[object, Buffer]) -> None:
        """Write what operations compute of the old values to its targets: all at once."""
        applications = topological_order(new.values())
        known = {item.application for item in self.lowering.lowered}
        self.lowering.lower([a for a in applications if a not in known], "update")
        self.program.next_calls("", "update")
        for name, value in new.items():
            if self.lowering.buffer(value).root is not targets[name].root:
                self.program.call("shape.copy_forward", x=self.lowering.buffer(value), y=Out(targets[name]))


def checked_constraint(variable: Variable) -> Value:
    """What a variable's constraint makes of it.

    Raises:
        ValueError: it is no value of the variable's shape.
    """
    found = variable.constraint(variable)
    if not isinstance(found, Value) or found.shape != variable.shape:
        shape = found.shape if isinstance(found, Value) else type(found).__name__
        expected = f"The constraint of {variable.name} returns a value of shape {variable.shape}, made with jitnet.ops."
        raise invalid(expected, shape=shape)
    return found
