"""From a traced computation with losses, metrics and an optimizer to a program: all that a step does is a call."""

from dataclasses import dataclass, field

from .core.autodiff import Gradients, dependents
from .core.errors import invalid
from .core.lowering import Lowering
from .core.program import Buffer, Out, Program, Scalar
from .core.rewrites.pooling import pool_before_relu
from .core.trace import topological_order
from .core.values import Constant, SymbolicTensor, Variable
from .kernels.literals import identifier


@dataclass
class Computation:
    """What a step computes over a batch.

    inputs: {argument name: symbolic tensor}.  With ``gathered`` the arguments are whole datasets and ``order`` says
        which samples make the batch; without, they are the batch itself.
    outputs: symbolic tensors to return; argument names "predictions", "predictions_2", ...
    losses: [(values tensor (None,), weight)]: their weighted sum is differentiated and recorded as result 0.
    records: tensors (None,) whose sums are recorded as results 1, 2, ...
    seeds: for vector-Jacobian products: {output: symbolic tensor with the gradient}; an alternative to ``losses``.
    trainable: variables whose gradient is wanted; wanted_inputs: input tensors whose gradient is wanted.
    optimizer: updates ``trainable``; None only sums the gradients.
    penalties: [(variable, l1, l2)], numbers or settings, as the weights of losses are.
    sample_weight: symbolic tensor (None,), by which losses are weighed.
    layer_names: {name of a layer: its name in the source}.
    reductions: per loss, "sum_over_batch_size" (default) or "sum".
    """

    inputs: dict
    outputs: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    records: list = field(default_factory=list)
    seeds: dict = field(default_factory=dict)
    trainable: list = field(default_factory=list)
    wanted_inputs: list = field(default_factory=list)
    optimizer: object = None
    penalties: list = field(default_factory=list)
    reductions: list = field(default_factory=list)
    gathered: bool = False
    sample_weight: SymbolicTensor | None = None
    layer_names: dict | None = None


class Builder:
    """Makes the program of a computation.

    fuse: whether the graph may be rewritten; reserved: names that the target uses itself.

    program, output_arguments, gradient_arguments: what the step's arguments are called; results: how many numbers it
    adds up; settings: {name: the setting that a run-time scalar is}; variables, constants: what it reads.
    """

    def __init__(self, computation: Computation, fuse: bool, reserved: tuple):
        self.computation = computation
        roots = [*computation.outputs, *(v for v, _ in computation.losses), *computation.records]
        applications = topological_order(roots)
        if fuse:
            applications = pool_before_relu(applications, roots)
        # what depends on nothing comes first: the calls along the batch stay together
        applications = sorted(applications, key=lambda application: len(application.inputs) > 0)
        self.random = any(a.operation.random for a in applications)  # whether its arguments seed and t matter
        leaves = [v for a in applications for v in a.inputs] + roots
        trainable = list(computation.trainable)
        self.variables = list(dict.fromkeys([v for v in leaves if isinstance(v, Variable)] + trainable))
        self.constants = list(dict.fromkeys(v for v in leaves if isinstance(v, Constant)))
        self.program = Program(self._names(reserved))
        self.lowering = Lowering(self.program, computation.layer_names)
        self.settings = self.lowering.settings
        wanted = dependents(applications, [*trainable, *computation.wanted_inputs])
        self.gradients = Gradients(self.lowering, wanted)
        self.results = 1 + len(computation.records)
        self._results = Buffer("results", (self.results,), "float64", "argument")

        self._add_inputs()
        targets = self._place_outputs()
        lowered = self.lowering.lower(applications)
        self.output_arguments = self._copy_outputs(targets)
        self.gradient_arguments: list[str] = []
        self._add_results()
        if trainable or computation.wanted_inputs:
            self._context("backward")
            for value, gradient in computation.seeds.items():
                target = self.gradients.target(value, batched=True)
                buffer = self.lowering.buffer(gradient)
                self.program.call("shape.copy_backward", dy=buffer, dx=target, accumulate=target.accumulate)
            self.gradients.differentiate(lowered)
            self._copy_input_gradients()
        written = (b for call in self.program.calls for b in call.writes if b.kind == "variable")
        # what a training step changes besides what it trains
        self.states = list(dict.fromkeys(b.source for b in written)) if computation.optimizer else []
        if trainable:
            self._update(self._sum_gradients(trainable))

    def _names(self, reserved: tuple) -> list[str]:
        """Names that buffers must not have."""
        names, optimizer = [*reserved, *self.computation.inputs], self.computation.optimizer
        for own in (*optimizer.hyperparameter_names, *optimizer.slot_names) if optimizer else ():
            if own in names or identifier(own) != own:
                kind = type(optimizer).__name__
                raise invalid(f"{kind} needs names of its own for hyperparameters and slots: identifiers.", name=own)
            names.append(own)
        return names

    def _context(self, phase: str) -> None:
        """The next calls are no layer's."""
        self.program.layer, self.program.phase, self.program.attributes = "", phase, {}

    def _add_inputs(self) -> None:
        self._context("input")
        values = dict(self.computation.inputs)
        if self.computation.sample_weight is not None:
            values["sample_weight"] = self.computation.sample_weight
        order = Buffer("order", (), "int64", "external")
        order = self.program.reshaped(order, (), name=self.program.unique_name("order_chunk"))
        for name, value in values.items():
            shape = value.shape[1:]
            if self.computation.gathered:
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
            targets.append(self._external("predictions" if index == 0 else f"predictions_{index + 1}", value))
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

    def _add_results(self) -> None:
        """Add the sums that are reported, and the gradients of the losses by their values."""
        self._context("result")
        losses, batch = self.computation.losses, Scalar("batch")
        reductions = self.computation.reductions or ["sum_over_batch_size"] * len(losses)
        means = [reduction == "sum_over_batch_size" for reduction in reductions]
        weights = self.lowering.buffer(self.computation.sample_weight) if losses else None
        for (values, weight), mean in zip(losses, means, strict=True):
            weight = self.lowering.setting("loss_weight", weight)
            # results are divided by the number of samples when they are read
            self._record(0, values, weights, weight if mean else weight * batch)
            if values in self.gradients.wanted:
                target = self.gradients.target(values, batched=True)
                self.program.call(
                    "training.loss_gradient", weights=weights, d_values=target,
                    scale=weight / batch if mean else weight, accumulate=target.accumulate,
                )  # fmt: skip
        for index, values in enumerate(self.computation.records, start=1):
            # the loss of one of several outputs
            mean = next((mean for (value, _), mean in zip(losses, means, strict=True) if value is values), None)
            factor = 1.0 * batch if mean is False else 1.0
            self._record(index, values, weights if mean is not None else None, factor)
        for variable, l1, l2 in self.computation.penalties:
            self.program.call(
                "training.l1_l2_penalty", **self._penalty(variable, l1, l2), results=Out(self._results, True), index=0,
                factor=batch,
            )  # fmt: skip

    def _penalty(self, variable: Variable, l1, l2) -> dict:
        """A variable and the factors of its penalty, named after it, as arguments."""
        parameter = self.lowering.buffer(variable)
        factors = {"l1": l1, "l2": l2}
        given = {name: self.lowering.setting(f"{parameter.name}_{name}", factors[name]) for name in factors}
        return {"parameter": parameter, **given}

    def _record(self, index: int, values, weights: Buffer | None, factor) -> None:
        """Add the sum of ``values``, weighted if there are weights, times ``factor`` to a result."""
        buffer = self.lowering.buffer(values)
        total = self.program.temporary(f"{buffer.name}_total", (1,), "float64", "partial")
        if weights is None:
            self.program.call("training.total", values=buffer, out=Out(total))
        else:
            self.program.call("training.weighted_total", values=buffer, weights=weights, out=Out(total))
        self.program.call(
            "training.add_result", totals=total, results=Out(self._results, True), index=index, factor=factor
        )

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

    def _update(self, gradients: dict[Variable, Buffer]) -> None:
        """Add the optimizer's update."""
        optimizer = self.computation.optimizer
        if optimizer is None:
            return
        self._context("update")
        scalars = {name: self.lowering.setting(name, value) for name, value in optimizer.update_arguments.items()}
        for variable, gradient in gradients.items():
            slots = {name: Out(self._slot(name, variable), True) for name in optimizer.slot_names}
            self.program.call(
                optimizer.kernel, parameters=Out(self.lowering.buffer(variable), True), gradients=gradient, **slots,
                **scalars,
            ).attributes["elementwise"] = True  # fmt: skip

    def _slot(self, name: str, variable: Variable) -> Buffer:
        """What the optimizer keeps for a variable in the step's argument ``name``."""
        buffer = Buffer(name, variable.shape, variable.dtype, "slot", source=variable)
        return buffer.viewed(variable.shape, name=f"{self.lowering.buffer(variable).name}_{name}")
