"""From a traced computation with losses, metrics and an optimizer to a program: all that a step does is a call."""

from dataclasses import dataclass, field

from .core.autodiff import Gradients, dependents
from .core.errors import invalid
from .core.lowering import Lowering
from .core.operations.base import elements
from .core.operations.effects import Gradient
from .core.operations.elementwise import Cast
from .core.operations.indexed import Take, TakeAlongAxis
from .core.operations.shape import Reshape
from .core.program import Buffer, Out, Program, Scalar
from .core.rewrites.pooling import pool_before_relu
from .core.trace import topological_order
from .core.updates import Updates
from .core.values import Constant, SymbolicTensor, Variable


@dataclass
class Computation:
    """What a step computes over a batch.

    inputs: {argument name: symbolic tensor}.  With ``gathered`` the arguments are whole datasets and ``order`` says
        which samples make the batch; without, they are the batch itself.
    outputs: symbolic tensors to return; argument names "predictions", "predictions_2", ...
    losses: [(values tensor (None,), weight)]: their weighted sum is differentiated and recorded as result 0; or single
        numbers (), of the reduction "number", which the weights of samples are in already.
    added: single numbers () that are added to the losses.
    records: what is added up as results: tensors (None,), over their samples; single numbers (), each step's once per
        sample of its batch; other tensors without a batch axis, each of their elements.
    largest: those of the records without a batch axis of which the largest is kept, not the sum.
    effects: applications without outputs that a ``train_step`` traced: updates and assignments.
    seeds: for vector-Jacobian products: {output: symbolic tensor with the gradient}; an alternative to ``losses``.
    trainable: variables whose gradient is wanted; wanted_inputs: input tensors whose gradient is wanted.
    optimizer: updates ``trainable``; None only sums the gradients.
    penalties: [(variable, l1, l2)], numbers or settings, as the weights of losses are.
    sample_weight: symbolic tensor (None,), by which losses are weighed.
    layer_names: {name of a layer: its name in the source}.
    reductions: per loss, "sum_over_batch_size" (default), "sum" or "number".
    any_size: whether others like it, of other sizes, are to run the same kernels.
    """

    inputs: dict
    outputs: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    added: list = field(default_factory=list)
    records: list = field(default_factory=list)
    largest: list = field(default_factory=list)
    effects: list = field(default_factory=list)
    seeds: dict = field(default_factory=dict)
    trainable: list = field(default_factory=list)
    wanted_inputs: list = field(default_factory=list)
    optimizer: object = None
    penalties: list = field(default_factory=list)
    reductions: list = field(default_factory=list)
    gathered: bool = False
    sample_weight: SymbolicTensor | None = None
    layer_names: dict | None = None
    any_size: bool = False


class Builder:
    """Makes the program of a computation.

    fuse: whether the graph may be rewritten; reserved: names that the target uses itself.

    program, output_arguments, gradient_arguments: what the step's arguments are called; results: how many numbers it
    adds up; settings: {name: the setting that a run-time scalar is}; variables, constants: what it reads.
    """

    def __init__(self, computation: Computation, fuse: bool, reserved: tuple):
        self.computation = computation
        losses = [*(v for v, _ in computation.losses), *computation.added]
        roots = [*computation.outputs, *losses, *computation.records]
        _check_batches([*computation.outputs, *(value for value, _ in computation.losses)])
        applications = topological_order(roots, computation.effects)
        if fuse:
            applications = pool_before_relu(applications, roots)
        # what depends on nothing comes first: the calls along the batch stay together
        applications = sorted(applications, key=lambda application: len(application.inputs) > 0)
        self.limits = _limits(applications, computation.inputs)
        early, late = _at_gradients(applications)
        self.random = any(a.operation.random for a in applications)  # whether its arguments seed and t matter
        leaves = [v for a in applications for v in a.inputs] + roots
        trainable = list(computation.trainable)
        self.variables = list(dict.fromkeys([v for v in leaves if isinstance(v, Variable)] + trainable))
        self.program = Program([*reserved, *computation.inputs], computation.any_size)
        self.lowering = Lowering(self.program, computation.layer_names)
        self.settings = self.lowering.settings
        self.updates = self.lowering.updates = Updates(self.lowering)
        if computation.optimizer is not None:
            self.updates.state(computation.optimizer)  # whose names come first
        wanted = dependents(applications, [*trainable, *computation.wanted_inputs])
        self.results = self._place_records()
        self._results = Buffer("results", (self.results,), "float64", "argument")

        self._add_inputs()
        targets = self._place_outputs()
        self._totals: dict = {}  # {values that are recorded: their sums, where these come before the results}
        self.lowering.lower(early)
        if late:
            known = {value for application in early for value in application.outputs}
            for value in computation.records:
                if value.batched and value in known and value not in self._totals:
                    self._context("result")
                    self._totals[value] = self._total(value)
            self.lowering.lower(late)
        self.output_arguments = self._copy_outputs(targets)
        self.gradient_arguments: list[str] = []
        self.gradients = Gradients(self.lowering, wanted)
        self._add_results()
        if trainable or computation.wanted_inputs:
            self._context("backward")
            for value, gradient in computation.seeds.items():
                target = self.gradients.target(value, batched=True)
                buffer = self.lowering.buffer(gradient)
                self.program.call("shape.copy_backward", dy=buffer, dx=target, accumulate=target.accumulate)
            self.gradients.differentiate()
            self._copy_input_gradients()
        written = (
            b for call in self.program.calls if call.phase != "update" for b in call.writes if b.kind == "variable"
        )
        # what a training step changes besides what it trains
        self.states = list(dict.fromkeys(b.source for b in written)) if self.updates.states else []
        if trainable:
            gradients = self._sum_gradients(trainable)
            if computation.optimizer is not None:
                self.updates.add(computation.optimizer, gradients)
        self.updates.finish()
        used = [*leaves, *self.lowering.values()]  # an optimizer's update, too, may have constants
        self.constants = list(dict.fromkeys(v for v in used if isinstance(v, Constant)))
        # and what a weight's mask or constraint reads
        self.variables = list(dict.fromkeys([*self.variables, *(v for v in used if isinstance(v, Variable))]))

    def _context(self, phase: str) -> None:
        """The next calls are no layer's."""
        self.program.next_calls("", phase)

    def _add_inputs(self) -> None:
        self._context("input")
        values = dict(self.computation.inputs)
        if self.computation.sample_weight is not None:
            values["sample_weight"] = self.computation.sample_weight
        order = Buffer("order", (), "int64", "external")
        order = self.program.reshaped(order, (), name=self.program.unique_name("order_chunk"))
        for name, value in values.items():
            shape = value.shape[1:]
            if not value.batched:
                buffer = Buffer(name, value.shape or (1,), value.dtype, "argument")
            elif self.computation.gathered:
                buffer = self.program.temporary(f"{name}_batch", shape, value.dtype, "batch")
                source = Buffer(name, (0, *shape), value.dtype, "argument")
                self.program.call("memory.gather", source=source, order=order, out=Out(buffer))
            else:
                buffer = Buffer(name, shape, value.dtype, "external")
                # a view of the argument under its own name
                buffer = self.program.reshaped(buffer, shape, name=self.program.unique_name(f"{name}_chunk"))
            self.lowering.place(value, buffer)

    def _external(self, name: str, value) -> Buffer:
        """A view of the caller's array ``name``, for a value."""
        buffer = Buffer(name, value.shape[1:], value.dtype, "external")
        return self.program.reshaped(buffer, value.shape[1:], name=self.program.unique_name(f"{name}_chunk"))

    def _place_outputs(self) -> list[Buffer]:
        """The callers' arrays as buffers; what is computed as an output is computed there."""
        targets, outputs = [], self.computation.outputs
        for index, value in enumerate(outputs):
            name = "predictions" if index == 0 else f"predictions_{index + 1}"
            if not value.batched:
                targets.append(Buffer(name, value.shape or (1,), value.dtype, "argument"))
                continue
            targets.append(self._external(name, value))
            first = all(value is not earlier for earlier in outputs[:index])
            if isinstance(value, SymbolicTensor) and value.producer is not None and first:
                self.lowering.place(value, targets[-1])
        return targets

    def _copy_outputs(self, targets) -> list[str]:
        """Copies of the outputs that lie elsewhere, being another tensor's memory; the argument names."""
        self._context("forward")
        for value, target in zip(self.computation.outputs, targets, strict=True):
            if self.lowering.buffer(value) is not target:
                self.program.call("shape.copy_forward", x=self.lowering.buffer(value), y=Out(target))
        return [target.root.name for target in targets]

    def _copy_input_gradients(self) -> None:
        self._context("backward")
        for value in self.computation.wanted_inputs:
            name = self.program.unique_name(f"gradient_of_{value.name}")
            target = Out(self._external(name, value))
            gradient = self.gradients.of(value)
            if gradient is None:
                self.program.call("shape.fill", y=target, value=0.0)
            else:
                self.program.call("shape.copy_forward", x=gradient, y=target)
            self.gradient_arguments.append(name)

    # ---- losses and metrics

    def _place_records(self) -> int:
        """Where each record starts among the results, as ``places``; the number of results."""
        self.places, size = [], 1 if self.computation.losses else 0
        for value in self.computation.records:
            self.places.append(size)
            size += 1 if value.batched else elements(value.shape)
        return size

    def _add_results(self) -> None:
        """Add the sums that are reported, and the gradients of the losses by their values."""
        self._context("result")
        losses, batch = self.computation.losses, Scalar("batch")
        reductions = self.computation.reductions or ["sum_over_batch_size"] * len(losses)
        means = [reduction == "sum_over_batch_size" for reduction in reductions]
        weights = self.lowering.buffer(self.computation.sample_weight) if losses else None
        for (values, weight), mean in zip(losses, means, strict=True):
            weight = self.lowering.setting("loss_weight", weight)
            if not values.batched:
                self._add_to_loss(values, weight)
                continue
            # results are divided by the number of samples when they are read
            self._record(0, values, weights, weight if mean else weight * batch)
            if values in self.gradients.wanted:
                target = self.gradients.target(values, batched=True)
                self.program.call(
                    "training.loss_gradient", weights=weights, d_values=target,
                    scale=weight / batch if mean else weight, accumulate=target.accumulate,
                )  # fmt: skip
        for value in self.computation.added:
            self._add_to_loss(value)
        for index, values in zip(self.places, self.computation.records, strict=True):
            # the loss of one of several outputs
            mean = next((mean for (value, _), mean in zip(losses, means, strict=True) if value is values), None)
            factor = 1.0 * batch if mean is False else 1.0 / values.batches  # of the data's samples
            if any(values is largest for largest in self.computation.largest):
                numbers, results = self.lowering.buffer(values), Out(self._results, True)
                self.program.call("training.keep_largest", numbers=numbers, results=results, index=index)
            elif values.batched:
                self._record(index, values, weights if mean is not None else None, factor)
            else:
                numbers, results = self.lowering.buffer(values), Out(self._results, True)
                factor = batch if values.shape == () else 1.0
                self.program.call(
                    "training.add_numbers", numbers=numbers, results=results, index=index, factor=factor
                )
        for variable, l1, l2 in self.computation.penalties:
            self.program.call(
                "training.l1_l2_penalty", **self._penalty(variable, l1, l2), results=Out(self._results, True), index=0,
                factor=batch,
            )  # fmt: skip

    def _add_to_loss(self, value, weight=1.0) -> None:
        """Count a single number in the loss and, with the slope ``weight``, in its gradients."""
        number, results = self.lowering.buffer(value), Out(self._results, True)
        self.program.call(
            "training.add_numbers", numbers=number, results=results, index=0, factor=Scalar("batch") * weight
        )
        if value in self.gradients.wanted:
            target = self.gradients.target(value, batched=False)
            one = self.program.temporary("one", value.shape, value.dtype, "whole")
            self.program.call("shape.fill", y=Out(one), value=weight)
            self.program.call("shape.copy_backward", dy=one, dx=target, accumulate=target.accumulate)

    def _penalty(self, variable: Variable, l1, l2) -> dict:
        """A variable and the factors of its penalty, named after it, as arguments."""
        parameter = self.lowering.buffer(variable)
        factors = {"l1": l1, "l2": l2}
        given = {name: self.lowering.setting(f"{parameter.name}_{name}", factors[name]) for name in factors}
        return {"parameter": parameter, **given}

    def _record(self, index: int, values, weights: Buffer | None, factor) -> None:
        """Add the sum of ``values``, weighted if there are weights, times ``factor`` to a result."""
        total = self._totals.get(values) if weights is None else None
        total = total or self._total(values, weights)
        self.program.call(
            "training.add_result", totals=total, results=Out(self._results, True), index=index, factor=factor
        )

    def _total(self, values, weights: Buffer | None = None) -> Buffer:
        """The sum of ``values``, weighted if there are weights."""
        buffer = self.lowering.buffer(values)
        total = self.program.temporary(f"{buffer.name}_total", (1,), "float64", "partial")
        if weights is None:
            self.program.call("training.total", values=buffer, out=Out(total))
        else:
            self.program.call("training.weighted_total", values=buffer, weights=weights, out=Out(total))
        return total

    # ---- the update

    def _sum_gradients(self, trainable) -> dict[Variable, Buffer]:
        """Add the sums of the chunks' gradients and the gradients of penalties: {variable: its gradient}."""
        gradients = self.gradients.sum_up(trainable)
        for variable, l1, l2 in self.computation.penalties:
            if variable in gradients:
                penalty = self._penalty(variable, l1, l2)
                parameter, gradient = penalty.pop("parameter"), Out(gradients[variable], True)
                self.program.call("training.l1_l2_gradient", parameter=parameter, gradient=gradient, **penalty)
        return gradients


def _check_batches(values: list) -> None:
    """Raise ValueError if an output or a loss has other numbers of samples than the data."""
    for value in values:
        if value.batches > 1:
            raise invalid(
                f"An output or a loss has a sample for each of the data's, and {value.name} joins several batches: "
                "take apart what jitnet.ops.concatenate(xs, axis=0) has joined, with jitnet.ops.split.",
                batches=value.batches,
            )


def _limits(applications: list, inputs: dict) -> dict[str, tuple[int, int, str]]:
    """{input: (least, largest, layer)} of data that become indices as they are, or cast, or under another shape."""
    names = {value: name for name, value in inputs.items()}
    found: dict[str, tuple[int, int, str]] = {}
    for application in applications:
        if not isinstance(application.operation, Take | TakeAlongAxis):
            continue
        x, value = application.inputs
        while isinstance(value, SymbolicTensor) and value.producer is not None:
            if not isinstance(value.producer.operation, Cast | Reshape):
                break
            (value,) = value.producer.inputs
        if value in names:
            low, high = application.operation.limits(x)
            earlier = found.get(names[value], (low, high, ""))
            found[names[value]] = (max(low, earlier[0]), min(high, earlier[1]), application.scope)
    return found


def _at_gradients(applications: list) -> tuple[list, list]:
    """What comes before the first gradients of a ``train_step``, and from these on.

    Before them comes what it asks for later, too, metrics say, if that needs no weights: it runs in the same section as
    the forward pass.
    """
    first = next((i for i, a in enumerate(applications) if isinstance(a.operation, Gradient)), len(applications))
    early, late, waiting = applications[:first], [], set()
    for application in applications[first:]:
        waits = isinstance(application.operation, Gradient) or not application.outputs
        if waits or any(isinstance(x, Variable) or x in waiting for x in application.inputs):
            late.append(application)
            waiting.update(application.outputs)
        else:
            early.append(application)
    return early, late
