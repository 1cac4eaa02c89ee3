"""Reverse-mode differentiation of a lowered graph: backward calls, and where gradients are summed."""

from .lowering import Lowering, shape_of, with_context
from .program import Buffer, Call, Out
from .values import Variable


class Gradients:
    """The gradients of a loss by the values of a graph.

    A gradient of several contributions is summed where it lies, by calls that accumulate.  What a batched call adds to
    a value without a batch axis, a weight say, is one part per chunk of the batch; the parts are summed by a call.

    wanted: values whose gradient is wanted, and all values between them and the loss (see ``dependents``).
    """

    def __init__(self, lowering: Lowering, wanted: set):
        self.lowering, self.program = lowering, lowering.program
        self.wanted = wanted
        self._complete: dict = {}
        self._partial: dict = {}
        self._totals: dict[Variable, Buffer] = {}
        self._later: list[Call] = []  # what is added to the gradients of variables after the sums of their parts
        lowering.gradients = self

    def of(self, value) -> Buffer | None:
        """The complete gradient of ``value``, no variable; None where the loss doesn't depend on it."""
        partial = self._partial.pop(value, None)
        if partial is not None:
            total = self.program.temporary(f"{partial.name}_sum", value.shape, value.dtype, "whole")
            self.program.call("training.sum_partials", partials=partial, out=Out(total))
            earlier = self._complete.get(value)
            if earlier is None:
                self._complete[value] = total
            else:
                self.program.call("shape.copy_backward", dy=total, dx=Out(earlier, True), accumulate=True)
        return self._complete.get(value)

    def target(self, value, batched: bool) -> Out:
        """Where a backward call writes its contribution to the gradient of ``value``.

        batched: whether the call runs along the batch; then the gradient of an unbatched value is one part per chunk.
        """
        table, kind, source = self._complete, "batch" if value.batched else "whole", None
        if batched and not value.batched:
            table, kind = self._partial, "partial"
            source = value if isinstance(value, Variable) and self._is_first(value) else None
        elif isinstance(value, Variable):
            return Out(self.of_variable(value), True)
        if value in table:
            return Out(table[value], True)
        name = f"d_{self.lowering.buffer(value).name}{'_partial' if kind == 'partial' else ''}"
        buffer = self.program.temporary(name, shape_of(value), value.dtype, kind, batches=value.batches)
        buffer.source = source
        table[value] = buffer
        return Out(buffer, False)

    def of_variable(self, variable: Variable) -> Buffer:
        """The buffer with the whole gradient of a variable, once all is summed."""
        if variable not in self._totals:
            name = self.program.unique_name(f"d_{self.lowering.buffer(variable).name}")
            kind = "gradient" if self._is_first(variable) else "whole"
            self._totals[variable] = Buffer(name, variable.shape, variable.dtype, kind, source=variable)
        return self._totals[variable]

    def _is_first(self, variable: Variable) -> bool:
        """Whether these are the program's first gradients of a variable: others get memory of their own."""
        return self.lowering.first_gradients.setdefault(variable, self) is self

    def contribute(self, value, total: Buffer) -> None:
        """Add an already summed, unbatched ``total`` to the gradient of ``value``."""
        target = self.target(value, batched=False)
        self.program.call("shape.copy_backward", dy=total, dx=target, accumulate=target.accumulate)
        if isinstance(value, Variable):
            self._later.append(self.program.blocks[-1].calls.pop())

    def pass_on(self, value, batched: bool, d_output: Buffer) -> None:
        """Let the gradient of ``value`` be ``d_output``: the same memory where nothing else is added to it."""
        if value.batched and d_output.kind == "batch" and value not in self._complete:
            name = f"d_{self.lowering.buffer(value).name}"
            self._complete[value] = d_output.viewed(value.shape[1:], name=name, batches=value.batches)
        else:
            target = self.target(value, batched)
            self.program.call("shape.copy_backward", dy=d_output, dx=target, accumulate=target.accumulate)

    def differentiate(self) -> None:
        """Add the backward calls, from the gradients that are there already back to what is wanted."""
        for item in reversed(self.lowering.lowered.copy()):
            application = item.application
            if not any(value in self.wanted for value in application.inputs):
                continue
            with_context(self.lowering, application, "backward")
            if all(self.of(value) is None for value in application.outputs):
                continue
            calls = self.program.blocks[-1].calls
            start = len(calls)
            application.operation.backward(self.program, item)
            if not application.batched:
                # contributions to variables from calls without a batch come after the sums over the chunks
                emitted = calls[start:]
                totals = set(self._totals.values())
                sinks = [c for c in emitted if c.writes and c.writes <= totals]
                calls[start:] = [c for c in emitted if c not in sinks]
                self._later.extend(sinks)

    def sum_up(self, variables) -> dict[Variable, Buffer]:
        """Add the calls that complete the gradients of ``variables``: {variable: its gradient}."""
        program = self.program
        program.next_calls("", "gradients")
        for variable in variables:
            total, partial = self.of_variable(variable), self._partial.pop(variable, None)
            if partial is None:
                program.call("shape.fill", y=Out(total), value=0.0)
            else:
                program.call("training.sum_partials", partials=partial, out=Out(total))
        for call in self._later:
            call.phase = "gradients"
        program.blocks[-1].calls.extend(self._later)
        self._later = []
        return {variable: self._totals[variable] for variable in variables}


def dependents(applications: list, wanted) -> set:
    """``wanted`` and every value that depends on one of them."""
    found = set(wanted)
    for application in applications:
        if application.operation.differentiable and any(value in found for value in application.inputs):
            found.update(v for v in application.outputs if v.dtype.startswith("float"))
    return found
