"""A loop over time: a body that is applied to one step of a sequence after the other, and hands on what it carries."""

from ..autodiff import Gradients, dependents
from ..errors import invalid
from ..lowering import Lowering, shape_of
from ..program import Buffer, Out, Scalar
from ..trace import topological_order
from ..values import SymbolicTensor
from .base import Operation, display, elements


class Body:
    """What a turn computes, traced once.

    carried, steps: the symbolic tensors that it was traced with; new: what the first ones become; results: what is
    stacked; applications: those that depend on them, in order; captured: all other values that these read.
    """

    def __init__(self, carried: list, steps: list, new: list, results: list):
        self.carried, self.steps, self.new, self.results = carried, steps, new, results
        inside = {*carried, *steps}
        self.applications, captured = [], {}
        for application in topological_order([*new, *results]):
            if not any(value in inside for value in application.inputs):
                continue
            if isinstance(application.operation, Scan):
                raise invalid("A scan can't be in the function of another one.", layer=application.scope)
            if not all(value.batched for value in application.outputs):
                raise _meets(application.operation.name, application.scope)
            inside.update(application.outputs)
            self.applications.append(application)
        read = [value for application in self.applications for value in application.inputs]
        for value in [*read, *new, *results]:
            if value not in inside:
                captured[value] = None
        self.captured = list(captured)
        self.inside = inside


def _meets(name: str, layer: str) -> ValueError:
    return invalid(
        f"The function of a scan works on each sample by itself: {name} needs the whole batch. Use it before or after "
        "the scan.",
        layer=layer,
    )


class Scan(Operation, registered=False):
    """The new carries after all turns, and the results of every turn, stacked along the axis after the batch.

    Inputs: the carries at the beginning (None, ...), or the same for all samples (...); the sequences
    (None, turns, ...); then what the body captures.
    reverse: from the last step to the first.
    """

    name = "scan"

    def __init__(self, body: Body, turns: int, reverse: bool):
        self.body, self.turns, self.reverse = body, turns, reverse

    @property
    def random(self):
        return any(application.operation.random for application in self.body.applications)

    def prepare(self, inputs):
        return tuple(inputs)

    def infer(self, *inputs):
        for old, new in zip(self.body.carried, self.body.new, strict=True):
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                raise ValueError(
                    "scan expects its function to return a carry of the shape and dtype that it was given, "
                    f"{display(old.shape)} of {old.dtype}. Received: {display(new.shape)} of {new.dtype}"
                )
        stacked = [((None, self.turns, *value.shape[1:]), value.dtype) for value in self.body.results]
        return [*((value.shape, value.dtype) for value in self.body.carried), *stacked]

    def _parts(self, values: list) -> tuple[list, list, list]:
        """Values in the order of the inputs, as carries, sequences and captured ones."""
        first, second = len(self.body.carried), len(self.body.carried) + len(self.body.steps)
        return values[:first], values[first:second], values[second:]

    def forward(self, program, lowered):
        body, turns = self.body, self.turns
        initial, sequences, _ = self._parts(lowered.inputs)
        finals, stacks = lowered.outputs[: len(body.carried)], lowered.outputs[len(body.carried) :]
        begin, end = (turns, 0) if self.reverse else (0, turns)
        name = lowered.output.name if lowered.outputs else self.name
        carries = [
            program.temporary(f"{name}_carry", shape_of(value), value.dtype, "batch", steps=turns + 1)
            for value in body.carried
        ]
        for start, carry in zip(initial, carries, strict=True):
            _spread(program, start, carry.at(begin))
        with program.loop("time", turns, backwards=self.reverse) as time:
            turn = lowered.saved["turn"] = _Turn(lowered.lowering, body, time, turns)
            old, new = (time + 1, time) if self.reverse else (time, time + 1)
            for value, carry in zip(body.carried, carries, strict=True):
                turn.place(value, carry.at(old))
            for value, sequence in zip(body.steps, sequences, strict=True):
                width = elements(value.shape)
                program.call(
                    "shape.slice_forward", x=sequence, y=Out(turn.buffer(value)), offset=time * width,
                    x_width=turns * width, y_width=width,
                )  # fmt: skip
            targets = [carry.at(new) for carry in carries]
            own = {value for application in body.applications for value in application.outputs}
            for value, target in zip(body.new, targets, strict=True):
                if value in own and body.new.count(value) == 1:
                    turn.place(value, target)
            turn.lower(body.applications)
            for value, target in zip(body.new, targets, strict=True):
                if turn.buffer(value) is not target:
                    _spread(program, turn.buffer(value), target)
            for value, stack in zip(body.results, stacks, strict=True):
                width = elements(value.shape)
                source = turn.buffer(value)
                if not value.batched:
                    spread = program.temporary(f"{source.name}_spread", value.shape, value.dtype, "batch")
                    _spread(program, source, spread)
                    source = spread
                program.call(
                    "shape.concatenate_forward", x=source, y=Out(stack), offset=time * width, x_width=width,
                    y_width=turns * width,
                )  # fmt: skip
            _check_and_number(program.blocks[-1].calls, time)
        for carry, final in zip(carries, finals, strict=True):
            program.call("shape.copy_forward", x=carry.at(end), y=Out(final))

    def backward(self, program, lowered):
        body, turns, turn = self.body, self.turns, lowered.saved["turn"]
        outer, count = lowered.lowering.gradients, len(body.carried)
        outputs = lowered.application.outputs
        d_carries = [
            program.temporary(f"d_{value.name}", shape_of(value), value.dtype, "batch") for value in body.carried
        ]
        for value, d_carry in zip(outputs[:count], d_carries, strict=True):
            _copy_or_clear(program, outer.of(value), d_carry)
        d_stacks = [outer.of(value) for value in outputs[count:]]
        # what every turn adds to is zero before the first
        summed = _targets(program, lowered, body.captured, count + len(body.steps))
        d_sequences = _targets(program, lowered, body.steps, count)
        wanted = [*summed, *(v for v in body.carried if v.dtype.startswith("float")), *d_sequences]
        with program.loop("time", turns, backwards=not self.reverse) as time:
            inner = _TurnGradients(turn, dependents(body.applications, wanted), summed)
            for value, d_stack in zip(body.results, d_stacks, strict=True):
                if d_stack is not None and value in inner.wanted:
                    width = elements(value.shape)
                    inner.take(
                        value, "shape.concatenate_backward", d_stack, offset=time * width, x_width=width,
                        y_width=turns * width,
                    )  # fmt: skip
            for value, d_carry in zip(body.new, d_carries, strict=True):
                if value in inner.wanted:
                    inner.take(value, "shape.copy_backward", d_carry)
            inner.differentiate()
            for value, d_carry in zip(body.carried, d_carries, strict=True):
                _copy_or_clear(program, inner.of(value) if value in inner.wanted else None, d_carry)
            for value, d_sequence in d_sequences.items():
                found = inner.of(value)
                if found is not None:
                    width = elements(value.shape)
                    program.call(
                        "shape.slice_backward", dy=found, dx=Out(d_sequence, True), offset=time * width,
                        x_width=turns * width, y_width=width, accumulate=True,
                    )  # fmt: skip
        for index, d_carry in enumerate(d_carries):
            if lowered.needs(index):
                _gather(program, d_carry, lowered.gradient(index))

    def get_config(self):
        raise TypeError("A scan cannot be saved by itself: use it in the call of a layer of your own.")


def _spread(program, source: Buffer, target: Buffer) -> None:
    """Copy a value into a batched buffer, to each sample if it has no batch axis."""
    if source.batched:
        program.call("shape.copy_forward", x=source, y=Out(target))
        return
    zeros = program.temporary(f"{source.name}_zeros", (target.size,), target.dtype, "batch")
    program.call("shape.fill", y=Out(zeros), value=0.0)
    flat = program.reshaped(source, (source.size,))
    program.call("dense.bias_add_forward", x=zeros, bias=flat, y=Out(program.reshaped(target, (target.size,))))


def _gather(program, d_source: Buffer, target: Out) -> None:
    """Add the gradient of what ``_spread`` copied."""
    if target.buffer.batched:
        program.call("shape.copy_backward", dy=d_source, dx=target, accumulate=target.accumulate)
        return
    flat = program.reshaped(target.buffer, (target.buffer.size,))
    dy = program.reshaped(d_source, (d_source.size,))
    program.call("dense.bias_add_backward", dy=dy, dbias=Out(flat, target.accumulate), accumulate=target.accumulate)


def _copy_or_clear(program, found: Buffer | None, target: Buffer) -> None:
    """Let a batched gradient be ``found``, or zero where there is none."""
    if found is None:
        program.call("shape.fill", y=Out(target), value=0.0)
    else:
        program.call("shape.copy_forward", x=found, y=Out(target))


def _targets(program, lowered, values: list, first: int) -> dict:
    """{value: the gradient that every turn adds to} of the inputs from ``first`` on that want one."""
    found = {}
    for index, value in enumerate(values, first):
        if lowered.needs(index):
            target = lowered.gradient(index)
            found[value] = target.buffer
            if target.accumulate:
                continue
            if target.buffer.kind == "partial":
                program.clear(target.buffer)
            else:
                program.call("shape.fill", y=Out(target.buffer), value=0.0)
    return found


def _check_and_number(calls: list, time: Scalar) -> None:
    """Refuse calls in which the whole batch meets; let each turn draw random numbers of its own."""
    for call in calls:
        if not call.batched:
            raise _meets(call.opcode, call.layer)
        first = call.arguments.get("first")
        if isinstance(first, Scalar):  # of which samples random numbers are
            first = first + time * (Scalar("batch") * next(out.buffer.batches for out in call.outputs))
            call.arguments = {**call.arguments, "first": first}


class _Turn(Lowering):
    """The buffers of a body's values: one part for each turn, because the backward pass reads them."""

    def __init__(self, outer: Lowering, body: Body, time: Scalar, turns: int):
        super().__init__(outer.program)
        self.outer, self._body, self._time, self._turns = outer, body, time, turns
        self.settings, self.first_gradients = outer.settings, outer.first_gradients

    def layer_of(self, application):
        return self.outer.layer_of(application)

    def buffer(self, value) -> Buffer:
        if value not in self._body.inside:
            return self.outer.buffer(value)
        if value not in self._buffers:
            name = self._name_of(value) if isinstance(value, SymbolicTensor) else value.name
            self._buffers[value] = self.temporary(name, shape_of(value), value.dtype)
        return self._buffers[value]

    def temporary(self, name: str, shape, dtype) -> Buffer:
        return self.program.temporary(name, shape, dtype, "batch", steps=self._turns).at(self._time)


class _TurnGradients(Gradients):
    """The gradients in a turn: those of the body's own values, and what it adds to those of captured ones."""

    def __init__(self, turn: _Turn, wanted: set, summed: dict):
        super().__init__(turn, wanted)
        self._summed = summed

    def of(self, value):
        return None if value in self._summed else super().of(value)

    def target(self, value, batched):
        if value in self._summed:
            return Out(self._summed[value], True)
        return super().target(value, batched)

    def pass_on(self, value, batched, d_output):
        if value in self._summed:
            self.take(value, "shape.copy_backward", d_output)
        else:
            super().pass_on(value, batched, d_output)

    def contribute(self, value, total):
        raise invalid("In a scan, an operation adds to the gradients of weights chunk by chunk.", value=value)

    def take(self, value, opcode: str, dy: Buffer, **scalars) -> None:
        """Add a call that adds ``dy`` to the gradient of ``value``."""
        target = self.target(value, True)
        if not value.batched:
            _gather(self.program, dy, target)
            return
        self.program.call(opcode, dy=dy, dx=target, **scalars, accumulate=target.accumulate)
