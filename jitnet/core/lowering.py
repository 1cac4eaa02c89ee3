"""From graph to calls: every operation says in kernel calls what it computes."""

from .program import Buffer, Out, Program, Scalar
from .settings import Number
from .trace import Application
from .values import Constant, SymbolicTensor, Variable


class Lowering:
    """The buffers of a graph's values, and the calls that fill them.

    layer_names: {name of a layer: its name in the program}.
    settings: {name of a scalar: the setting that it is when a step runs}.
    """

    def __init__(self, program: Program, layer_names: dict | None = None):
        self.program = program
        self.settings: dict[str, Number] = {}
        self.gradients = None  # an ``autodiff.Gradients``, while some are computed
        self.first_gradients: dict = {}  # {variable: the ``Gradients`` that took its place among all gradients}
        self.updates = None  # an ``updates.Updates``
        self.lowered: list[Lowered] = []  # all so far, in order
        self._layer_names = layer_names or {}
        self._buffers: dict = {}

    def buffer(self, value) -> Buffer:
        """The buffer that holds ``value``."""
        found = self._buffers.get(value)
        if found is not None:
            return found
        program = self.program
        if isinstance(value, Variable):
            layer, _, name = value.name.rpartition("/")
            name = program.unique_name(f"{self._layer_names.get(layer, layer)}_{name}")
            found = Buffer(name, value.shape, value.dtype, "variable", source=value)
        elif isinstance(value, Constant):
            found = Buffer(program.unique_name("constant"), value.shape, value.dtype, "constant", source=value)
        else:
            kind = "batch" if value.batched else "whole"
            name = self._name_of(value)
            found = program.temporary(name, shape_of(value), value.dtype, kind, batches=value.batches)
        self._buffers[value] = found
        return found

    def values(self) -> list:
        """All values that have buffers."""
        return list(self._buffers)

    def _name_of(self, value: SymbolicTensor) -> str:
        application = value.producer
        if application is None or not application.scope:
            return value.name
        operation, layer = application.operation.name, self.layer_of(application)
        return layer if layer == operation else f"{layer}_{operation}"

    def layer_of(self, application: Application) -> str:
        """The name of the layer that asked for an operation, as the program has it."""
        return self._layer_names.get(application.scope, application.scope)

    def temporary(self, name: str, shape, dtype) -> Buffer:
        """Memory, batched, that the backward pass will find as the forward pass has left it."""
        return self.program.temporary(name, shape, dtype, "batch")

    def place(self, value, buffer: Buffer) -> None:
        """Let ``value`` live in a given buffer, for example an external one."""
        self._buffers[value] = buffer

    def alias(self, value, buffer: Buffer) -> None:
        """Let ``value`` be the memory of ``buffer`` under its own shape."""
        name = self.program.unique_name(self._name_of(value))
        self._buffers[value] = self.program.reshaped(buffer, shape_of(value), name=name)

    def setting(self, name: str, source: Number | float) -> Scalar | float:
        """A number that may change between steps, as the program has it; one that can't change is itself.

        source: a number, or one of ``settings``, of which equal ones have one name.
        """
        if not isinstance(source, Number):
            return source
        for known, other in self.settings.items():
            if other == source:
                return Scalar(known)
        name = self.program.unique_name(name)
        self.settings[name] = source
        return Scalar(name)

    def lower(self, applications: list[Application], phase: str = "forward") -> None:
        """Add the forward calls of ``applications``."""
        for application in applications:
            item = Lowered(self, application)
            with_context(self, application, phase)
            application.operation.forward(self.program, item)
            self.lowered.append(item)


def shape_of(value) -> tuple:
    """A value's shape without the batch axis."""
    return value.shape[1:] if value.batched else value.shape


def with_context(lowering: Lowering, application: Application, phase: str) -> None:
    """The program's next calls belong to ``application``."""
    attributes = {"bfloat16": True} if application.bfloat16 else {}
    lowering.program.next_calls(lowering.layer_of(application), phase, attributes, application.batches)


class Lowered:
    """An application while it is lowered: its buffers, what its forward pass saved, and where gradients go."""

    def __init__(self, lowering: Lowering, application: Application):
        self.lowering = lowering
        self.application = application
        self.saved = {}

    @property
    def inputs(self) -> list[Buffer]:
        return [self.lowering.buffer(value) for value in self.application.inputs]

    @property
    def outputs(self) -> list[Buffer]:
        return [self.lowering.buffer(value) for value in self.application.outputs]

    @property
    def output(self) -> Buffer:
        return self.outputs[0]

    def setting(self, name: str, source: Number | float) -> Scalar | float:
        """A number of the operation's that may change between steps, named after its layer."""
        layer = self.lowering.layer_of(self.application)
        return self.lowering.setting(f"{layer}_{name}" if layer else name, source)

    def save(self, name: str, shape, dtype) -> Buffer:
        """A batched buffer that the forward pass fills for the backward pass (shape without the batch axis)."""
        buffer = self.lowering.temporary(f"{self.output.name}_{name}", shape, dtype)
        self.saved[name] = buffer
        return buffer

    def alias_output(self) -> None:
        """The output is the first input's memory under another shape."""
        self.lowering.alias(self.application.outputs[0], self.lowering.buffer(self.application.inputs[0]))

    # ---- gradients

    @property
    def d_output(self) -> Buffer:
        """The gradient of the loss with respect to the first output."""
        return self.lowering.gradients.of(self.application.outputs[0])

    def needs(self, index: int) -> bool:
        """Whether the loss's gradient with respect to input ``index`` is wanted."""
        return self.application.inputs[index] in self.lowering.gradients.wanted

    def gradient(self, index: int) -> Out:
        """Where to write the gradient of input ``index``; its ``accumulate`` goes to the kernel."""
        return self.lowering.gradients.target(self.application.inputs[index], self.application.batched)

    def contribute(self, index: int, total: Buffer) -> None:
        """Add ``total``, summed over the batch, to the gradient of input ``index``, which has no batch axis."""
        self.lowering.gradients.contribute(self.application.inputs[index], total)

    def pass_gradient(self, index: int = 0) -> None:
        """The gradient of input ``index`` is the output's: the same memory where possible, else a copy.

        Call it after every other use of ``d_output`` in the same backward pass.
        """
        self.lowering.gradients.pass_on(self.application.inputs[index], self.application.batched, self.d_output)
