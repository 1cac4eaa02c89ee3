"""The graph that tracing builds: applications of operations, and what layers may ask meanwhile."""

import itertools
from contextlib import contextmanager
from contextvars import ContextVar

from . import limits
from .policy import MIXED
from .values import SymbolicTensor, Variable


class Application:
    """One use of an operation: its inputs and the tensors that it produced."""

    counter = itertools.count()

    def __init__(self, operation, inputs, scope, bfloat16=False):
        self.operation = operation
        self.inputs = inputs
        self.scope = scope  # name of the layer that asked for it
        self.bfloat16 = bfloat16  # whether its products may round their operands, by that layer's policy
        self.outputs = []
        self.index = next(Application.counter)

    @property
    def batched(self) -> bool:
        return any(value.batched for value in [*self.inputs, *self.outputs])

    @property
    def batches(self) -> int:
        """How many batches what it computes joins, at most."""
        return max((value.batches for value in [*self.inputs, *self.outputs]), default=1)


# what layers may ask while they are traced, each thread its own
_training: ContextVar[bool | None] = ContextVar("training", default=None)  # None: nobody has said
_effects: ContextVar[list | None] = ContextVar("effects", default=None)  # applications without outputs
_added_losses: ContextVar[list | None] = ContextVar("added_losses", default=None)
_updated: ContextVar[dict | None] = ContextVar("updated", default=None)  # metrics, as keys
_assigned: ContextVar["Assignments | None"] = ContextVar("assigned", default=None)
_in_turn: ContextVar[bool] = ContextVar("in_turn", default=False)
_callers: ContextVar = ContextVar("callers", default=None)  # what layers are called by
_batch_size: ContextVar[int | None] = ContextVar("batch_size", default=None)  # None: any
_scopes: ContextVar[tuple] = ContextVar("scopes", default=())  # (name, policy) of each


@contextmanager
def training_mode(training: bool | None):
    """Trace with layers behaving as in training (dropout, batch statistics), as in inference, or (None) by default."""
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)


@contextmanager
def batch_of(size: int | None):
    """Trace for data of so many samples; None: of any number."""
    token = _batch_size.set(size)
    try:
        yield
    finally:
        _batch_size.reset(token)


def batch_size() -> int | None:
    """How many samples the data have that are traced for; None: that may vary."""
    return _batch_size.get()


@contextmanager
def effects():
    """What is asked for inside besides values: a list of applications, filled as they are made."""
    found: list[Application] = []
    token = _effects.set(found)
    try:
        yield found
    finally:
        _effects.reset(token)


def collects_effects() -> bool:
    """Whether a training step is being traced."""
    return _effects.get() is not None


def effects_so_far() -> list:
    """The applications without outputs that the step that is being traced has asked for."""
    return list(_effects.get() or [])


@contextmanager
def added_losses():
    """The losses that layers add inside, by ``add_loss``: a list, filled as they are added."""
    found: list = []
    token = _added_losses.set(found)
    try:
        yield found
    finally:
        _added_losses.reset(token)


def collects_losses() -> bool:
    """Whether a step is being traced that takes them."""
    return _added_losses.get() is not None


def losses_added() -> list:
    """Those that were added so far."""
    return _added_losses.get() or []


def add_loss(value) -> None:
    """Add a loss to those of the step that is being traced, if one is."""
    found = _added_losses.get()
    if found is not None:
        found.append(value)


@contextmanager
def updates():
    """The metrics that are updated inside with what a step computes, as keys of a dict; after it they forget that."""
    found: dict = {}
    token = _updated.set(found)
    try:
        yield found
    finally:
        _updated.reset(token)
        for metric in found:
            metric.forget_updates()


def takes_update(metric) -> bool:
    """Whether a step is being traced that reports a metric which is updated now."""
    found = _updated.get()
    if found is not None:
        found[metric] = None
    return found is not None


def updated_so_far() -> list:
    """The metrics that the step that is being traced has updated."""
    return list(_updated.get() or ())


class Assignments:
    """What layers have assigned to variables, in a graph that is being traced.

    values: {variable: what it is from here on}; readers: {trained variable: the applications that read it before}.
    """

    def __init__(self):
        self.values, self.readers = {}, {}

    def reads(self, application) -> tuple:
        """The inputs of an application, new values for variables that were assigned."""
        for x in application.inputs:
            if isinstance(x, Variable) and x.trainable:
                self.readers.setdefault(x, []).append(application)
        return tuple(self.values.get(x, x) if isinstance(x, Variable) else x for x in application.inputs)


@contextmanager
def assignments():
    """Layers may assign to variables inside: those of the outermost graph, of which it is a part."""
    found = _assigned.get()
    token = None if found is not None else _assigned.set(Assignments())
    try:
        yield _assigned.get()
    finally:
        if token is not None:
            _assigned.reset(token)


def assigned_so_far() -> "Assignments | None":
    """What layers have assigned in the graph that is being traced; None where none is."""
    return _assigned.get()


def is_traced() -> bool:
    """Whether this is within the ``call`` of a layer or a ``train_step``."""
    return bool(_scopes.get()) or collects_effects()


@contextmanager
def scope(name: str, policy: str = "float32"):
    """Operations applied inside belong to the layer ``name``, whose dtype policy is ``policy``."""
    token = _scopes.set((*_scopes.get(), (name, policy)))
    try:
        yield
    finally:
        _scopes.reset(token)


@contextmanager
def turn():
    """Operations applied inside are those of one turn of a loop."""
    token = _in_turn.set(True)
    try:
        yield
    finally:
        _in_turn.reset(token)


def in_turn() -> bool:
    """Whether one turn of a loop is being traced."""
    return _in_turn.get()


@contextmanager
def calling_by(caller):
    """Inside, what a layer does is ``caller(layer)`` instead of ``layer.call``."""
    token = _callers.set(caller)
    try:
        yield
    finally:
        _callers.reset(token)


def call_of(layer):
    """What is called for a layer: its ``call``, as a rule."""
    caller = _callers.get()
    return layer.call if caller is None else caller(layer)


def is_training() -> bool | None:
    """What ``training`` is for whoever is called without it; None where no caller has said."""
    return _training.get()


def current_scope() -> tuple[str, str]:
    """Name and policy of the layer that is traced."""
    scopes = _scopes.get()
    return scopes[-1] if scopes else ("", "float32")


def apply(operation, *inputs):
    """Add ``operation`` to the graph; the symbolic result (a tensor, or a tuple for several)."""
    limits.count_operation()
    for x in inputs:
        if getattr(x, "dtype", None) == "string":
            raise ValueError(
                "A model's step has no strings: StringLookup, Hashing and TextVectorization make numbers of them, "
                f"right after the Input. Received: {operation.name} of {x!r}"
            )
    inputs = operation.prepare(inputs)
    name, policy = current_scope()
    application = Application(operation, inputs, name, policy == MIXED)
    if (assigned := _assigned.get()) is not None:
        application.inputs = inputs = assigned.reads(application)
    specifications = operation.infer(*inputs)
    batches = operation.batches_of(inputs)
    base = application.scope or operation.name
    for place, (shape, dtype) in enumerate(specifications):
        of_output = batches if isinstance(batches, int) else batches[place]
        joined = of_output if shape[:1] == (None,) else 1
        application.outputs.append(SymbolicTensor(shape, dtype, base, application, joined))
    if not specifications:
        effects = _effects.get()
        if effects is None:
            raise ValueError(
                f"{operation.name} changes something when a step runs: it belongs into a model's train_step or into "
                "the call of a layer."
            )
        effects.append(application)
    return application.outputs[0] if len(application.outputs) == 1 else tuple(application.outputs)


def topological_order(outputs, effects=()) -> list:
    """``effects`` and all applications that they and ``outputs`` depend on, each after those that it reads from."""
    found = {}
    stack = [value.producer for value in outputs if isinstance(value, SymbolicTensor) and value.producer]
    stack.extend(effects)
    while stack:
        application = stack.pop()
        if application.index in found:
            continue
        found[application.index] = application
        stack.extend(v.producer for v in application.inputs if isinstance(v, SymbolicTensor) and v.producer)
    # an application is created after those whose outputs it reads
    return [found[index] for index in sorted(found)]
