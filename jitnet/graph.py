"""The graph that tracing builds: values (tensors, variables, constants) and applications of operations.

A symbolic tensor whose first axis is the batch has ``shape[0] is None``: one graph, one plan and one step source serve
every batch size.  Tensors without a batch axis (a penalty, a normalised weight) have an ordinary shape.
"""

import itertools
import math
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from . import _limits

MIXED = "mixed_bfloat16"

_policy = "float32"
_policy_here: ContextVar[str | None] = ContextVar("policy", default=None)  # instead of _policy


def floatx() -> str:
    """The dtype of new weights and activations: ``"float32"`` (default) or ``"float64"``."""
    found = policy()
    return "float32" if found == MIXED else found


def policy() -> str:
    """The dtype policy of new layers: the name of their float type, or "mixed_bfloat16"."""
    return _policy_here.get() or _policy


def set_policy(policy: str) -> None:
    """Set the policy of all threads, which ``config.set_dtype_policy`` has checked."""
    global _policy
    _policy = policy


@contextmanager
def floatx_here(dtype: str):
    """``set_floatx`` for what is inside and for this thread alone."""
    token = _policy_here.set(_checked_floatx(dtype))
    try:
        yield
    finally:
        _policy_here.reset(token)


def set_floatx(dtype: str) -> None:
    """Choose the dtype of layers built from now on.

    dtype: "float32", or "float64" for gradient checks.
    """
    set_policy(_checked_floatx(dtype))


def _checked_floatx(dtype: str) -> str:
    if dtype not in ("float32", "float64"):
        raise ValueError(f'set_floatx expects "float32" or "float64". Received: dtype={dtype!r}')
    return dtype


class Value:
    """Something that an operation can read: it has a ``shape``, a ``dtype`` and a ``name``."""

    shape: tuple
    dtype: str
    name: str

    @property
    def batched(self) -> bool:
        """Whether the first axis is the batch."""
        return len(self.shape) > 0 and self.shape[0] is None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self):
        raise TypeError(f"{self!r} is symbolic and has no length; use its .shape")

    def __bool__(self):
        raise TypeError(
            f"{self!r} is symbolic: its value is not known while the model is traced, so it cannot steer an `if`. "
            "Express the choice with jitnet.ops, for example ops.maximum."
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(f"{self!r} is symbolic and cannot become a NumPy array; use jitnet.ops instead of numpy.")


def _operator(name, reflected=False):
    def method(self, other):
        from . import ops

        function = getattr(ops, name)
        return function(other, self) if reflected else function(self, other)

    return method


class _Operators:
    """Python operators on values, spelled with jitnet.ops."""

    __add__ = _operator("add")
    __radd__ = _operator("add", reflected=True)
    __sub__ = _operator("subtract")
    __rsub__ = _operator("subtract", reflected=True)
    __mul__ = _operator("multiply")
    __rmul__ = _operator("multiply", reflected=True)
    __truediv__ = _operator("divide")
    __rtruediv__ = _operator("divide", reflected=True)
    __pow__ = _operator("power")
    __matmul__ = _operator("matmul")
    __array_priority__ = 100
    __array_ufunc__ = None

    def __neg__(self):
        from . import ops

        return ops.negative(self)


class SymbolicTensor(_Operators, Value):
    """The result of an operation, or an input, while a model is traced.

    shape: tuple of ints, None first when the first axis is the batch.
    producer: the Application that computes it, or None for an input.
    """

    def __init__(self, shape, dtype, name, producer=None):
        self.shape = tuple(shape)
        self.dtype = dtype
        self.name = name
        self.producer = producer
        self.history = None  # the layers.base.Node of the layer that returned it; how Model finds its layers

    def __getstate__(self) -> dict:
        # a copy is linked again by the model that it belongs to: chains of producers may be longer than the stack
        is_input = self.history is not None and self.history.inputs == []
        return {**vars(self), "producer": None, "history": self.history if is_input else None}

    def __repr__(self):
        return f"<SymbolicTensor {self.name}, shape={self.shape}, dtype={self.dtype}>"


class Constant(Value):
    """An array that never changes, such as the 2.0 of ``x * 2.0``."""

    def __init__(self, array):
        self.array = np.atleast_1d(np.ascontiguousarray(array))
        self.shape = self.array.shape
        self.dtype = str(self.array.dtype)
        self.name = "constant"

    def __repr__(self):
        return f"<Constant shape={self.shape}, dtype={self.dtype}>"


class Variable(_Operators, Value):
    """A weight or a state: a NumPy array with a name.

    ``value`` is a view of the memory that steps read and write; assigning to it writes there, as ``assign`` does.  Once
    a plan was made that memory is part of one flat storage array, so that the optimizer updates all parameters in one
    pass.  A copy, also a pickled one, has memory of its own.
    """

    def __init__(self, value, name="variable", trainable=True, regularizer=None):
        self._value = np.array(value, order="C")
        self.shape = self._value.shape
        self.dtype = str(self._value.dtype)
        self.name = name
        self.trainable = trainable
        self.requested_trainable = trainable  # what ``trainable`` returns to when its layer is no longer frozen
        self.regularizer = regularizer
        self.storage = None  # the flat array that ``value`` is a view of
        self.storage_offset = 0  # in elements

    @property
    def batched(self) -> bool:
        return False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def value(self) -> np.ndarray:
        """The current value, not a copy."""
        return self._value

    @value.setter
    def value(self, value) -> None:
        self.assign(value)

    def move(self, storage: np.ndarray, offset: int) -> None:
        """Let the value live in ``storage``, a flat array, from element ``offset`` on."""
        view = storage[offset : offset + self.size].reshape(self.shape)
        view[...] = self._value
        self._value, self.storage, self.storage_offset = view, storage, offset

    def numpy(self) -> np.ndarray:
        """A copy of the current value."""
        return self._value.copy()

    def assign(self, value) -> None:
        """Overwrite the value; the shape must match, the dtype becomes the variable's."""
        value = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise TypeError(f"Variable {self.name!r} holds numbers. Received: dtype={value.dtype}")
        if value.shape != self.shape:
            raise ValueError(f"Variable {self.name!r} has shape {self.shape}. Received: shape={value.shape}")
        self._value[...] = value

    def __getstate__(self) -> dict:
        return {**vars(self), "_value": self.numpy(), "storage": None, "storage_offset": 0}

    def __repr__(self):
        return f"<Variable {self.name}, shape={self.shape}, dtype={self.dtype}, trainable={self.trainable}>"

    def __array__(self, dtype=None, copy=None):
        return np.array(self._value, dtype=dtype)


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


# what layers may ask while they are traced, each thread its own
_training: ContextVar[bool | None] = ContextVar("training", default=None)  # None: nobody has said
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
def scope(name: str, policy: str = "float32"):
    """Operations applied inside belong to the layer ``name``, whose dtype policy is ``policy``."""
    token = _scopes.set((*_scopes.get(), (name, policy)))
    try:
        yield
    finally:
        _scopes.reset(token)


def is_training() -> bool | None:
    """What ``training`` is for whoever is called without it; None where no caller has said."""
    return _training.get()


def current_scope() -> tuple[str, str]:
    """Name and policy of the layer that is traced."""
    scopes = _scopes.get()
    return scopes[-1] if scopes else ("", "float32")


def as_value(x, dtype=None) -> Value:
    """``x`` itself if symbolic; numbers and arrays become constants of ``dtype`` (default: floatx)."""
    if isinstance(x, Value):
        return x
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"An operation takes symbolic tensors, arrays and numbers. Received: {x!r}")
    return Constant(array.astype(dtype or floatx()))


def is_integer(x) -> bool:
    """Whether a value, an array or a number is one of integers."""
    return not x.dtype.startswith("float") if isinstance(x, Value) else np.asarray(x).dtype.kind in "iub"


CONVERTED, KEPT, REFUSED = "converted", "kept", "refused"  # what an operation does with integers alone


def _common_dtype(operation, inputs) -> str:
    """The dtype in which ``operation`` computes: as in Keras, a float type unless all are integers that may stay so."""
    dtypes = dict.fromkeys(x.dtype for x in inputs if isinstance(x, Value))
    floats = [dtype for dtype in dtypes if dtype.startswith("float")]
    if floats:
        return floats[0]
    if operation.integers == CONVERTED or not all(map(is_integer, inputs)):
        return floatx()
    if operation.integers == REFUSED:
        raise TypeError(
            f"{operation.name} needs a tensor of floating-point numbers: turn one into them with "
            f"jitnet.ops.cast(x, {floatx()!r}). Received: dtype={', '.join(dtypes)}"
        )
    return next(iter(dtypes)) if len(dtypes) == 1 else "int64"


def converted(operation, inputs) -> tuple:
    """``inputs`` as values of one dtype; labels as integers."""
    from .operations.elementwise import Cast

    dtype = _common_dtype(operation, [x for i, x in enumerate(inputs) if i not in operation.labels])
    found = []
    for i, x in enumerate(inputs):
        wanted = "int64" if i in operation.labels else dtype
        value = as_value(x, wanted)
        if value.dtype != wanted and not value.dtype.startswith("float"):
            value = Cast(wanted)(value)
        found.append(value)
    for x in found:
        if x.dtype.startswith("float") and x.dtype != dtype:
            raise TypeError(
                f"{operation.name} mixes {dtype} and {x.dtype} ({x!r}). Build all layers under one jitnet.set_floatx."
            )
    return tuple(found)


def apply(operation, *inputs):
    """Add ``operation`` to the graph; the symbolic result (a tensor, or a tuple for several)."""
    _limits.count_operation()
    inputs = operation.prepare(inputs)
    name, policy = current_scope()
    application = Application(operation, inputs, name, policy == MIXED)
    specifications = operation.infer(*inputs)
    base = application.scope or operation.name
    for shape, dtype in specifications:
        application.outputs.append(SymbolicTensor(shape, dtype, base, application))
    return application.outputs[0] if len(application.outputs) == 1 else tuple(application.outputs)


def topological_order(outputs) -> list:
    """All applications that ``outputs`` depend on, each after those that it reads from."""
    found = {}
    stack = [value.producer for value in outputs if isinstance(value, SymbolicTensor) and value.producer]
    while stack:
        application = stack.pop()
        if application.index in found:
            continue
        found[application.index] = application
        stack.extend(v.producer for v in application.inputs if isinstance(v, SymbolicTensor) and v.producer)
    # an application is created after those whose outputs it reads
    return [found[index] for index in sorted(found)]
