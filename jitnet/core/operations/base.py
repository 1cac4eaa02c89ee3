"""What an operation is."""

import re

import numpy as np

from ..lengths import Samples
from ..policy import floatx
from ..program import Out, Scalar
from ..settings import Number
from ..trace import apply
from ..values import Value, as_value, is_integer

REGISTRY: dict[str, type] = {}  # jitnet's own operations by class name: what a saved model may hold

CONVERTED, KEPT, REFUSED = "converted", "kept", "refused"  # what an operation does with integers alone


class Operation:
    """One differentiable step of a graph.

    A subclass gives ``infer`` (shapes and dtypes of the outputs, and the errors that a user should see), ``forward``
    (kernel calls) and ``backward`` (kernel calls that add to the gradients of the inputs).  Constructor arguments are
    kept under their own names, so that ``get_config`` finds them.

    A file may hold any arguments, and they reach kernels: the constructor checks each of them (see ``checks``), and
    ``infer`` every input's shape.  ``registered=False``: not to be made from a file, being no operation by itself.
    """

    differentiable = True
    random = False  # whether it draws random numbers
    whole_inputs: tuple = ()  # indices of inputs that have no batch axis, such as weights
    broadcasts = False  # whether inputs are repeated along missing axes, by NumPy's rules
    labels: tuple = ()  # indices of inputs that are integers by their meaning
    joins = True  # whether it takes tensors that join several batches
    keeps_booleans = True  # whether inputs that are all bool stay so; else they become int32
    integers = CONVERTED  # what becomes of inputs that are all integers: KEPT, CONVERTED to floatx first, or REFUSED

    def __init_subclass__(cls, registered: bool = True, **kwargs):
        super().__init_subclass__(**kwargs)
        if registered and cls.__module__.partition(".")[0] == "jitnet":
            other = REGISTRY.get(cls.__name__, cls)
            if other.__module__ != cls.__module__:  # a saved model would get the wrong one
                raise TypeError(f"{cls.__module__} and {other.__module__} both have an operation {cls.__name__}.")
            REGISTRY[cls.__name__] = cls
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __call__(self, *inputs):
        """Apply to symbolic tensors, variables, arrays or numbers: a symbolic tensor (or a tuple of them)."""
        return apply(self, *inputs)

    def prepare(self, inputs) -> tuple:
        """What it is applied to as values of one dtype, by Keras's rules of promotion."""
        return converted(self, inputs)

    def batches_of(self, inputs) -> int | list[int]:
        """How many batches its outputs with a batch axis join, or each of them: as many as its inputs.

        Raises:
            ValueError: these have different numbers of samples, or it takes no joined batches.
        """
        found = sorted({x.batches for x in inputs if x.batched})
        if len(found) > 1:
            counts = " and ".join(map(_counted, found))
            raise ValueError(
                f"{self.name} takes tensors of equally many samples; what was joined by jitnet.ops.concatenate(xs, "
                f"axis=0) is taken apart by jitnet.ops.split(x, {found[-1]}). Received: tensors of {counts}"
            )
        if found and found[0] > 1 and not self.joins:
            raise ValueError(
                f"{self.name} works on one batch, not on several that jitnet.ops.concatenate(xs, axis=0) has joined: "
                f"apply it to each of them before. Received: a tensor of {_counted(found[0])}"
            )
        return found[0] if found else 1

    def infer(self, *inputs) -> list[tuple]:
        """``[(shape, dtype), ...]`` of the outputs; raises ValueError for inputs that don't fit."""
        raise TypeError(f"{type(self).__name__} lacks an infer method")

    def forward(self, program, lowered) -> None:
        """Emit the calls that compute ``lowered.outputs`` from ``lowered.inputs``."""
        raise TypeError(f"{type(self).__name__} lacks a forward method")

    def backward(self, program, lowered) -> None:
        """Emit the calls that add to ``lowered.gradient(i)`` for every input that ``lowered.needs(i)``."""
        raise TypeError(f"{type(self).__name__} has no gradient")

    def get_config(self) -> dict:
        """The constructor's arguments, settings as the numbers that they are at present."""
        return {name: _present(value) for name, value in vars(self).items()}


def _counted(batches: int) -> str:
    return "1 batch" if batches == 1 else f"{batches} batches"


def _present_value(setting: Number, dtype: str) -> Value:
    return Present(setting, dtype)()


def _present(value):
    if isinstance(value, tuple):
        return tuple(_present(item) for item in value)
    return float(value) if isinstance(value, Number) else value


def require_rank(operation, x, rank: int, meaning: str) -> None:
    """Raise unless ``x`` has ``rank`` axes, the batch included."""
    if x.ndim != rank:
        raise ValueError(
            f"{operation} expects an input of rank {rank} with axes {meaning}. "
            f"Received: shape={display(x.shape)} (rank {x.ndim})"
        )


def display(shape) -> str:
    """A shape as users write it: the batch axis is None."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def elements(shape) -> int:
    """Elements of a shape without its batch axis."""
    size = 1
    for dimension in shape:
        if dimension is not None:
            size *= dimension
    return size


def normalize_axis(operation: str, axis: int, x) -> int:
    """A non-negative axis, checked; the batch axis is not allowed."""
    if not isinstance(axis, int) or isinstance(axis, bool) or not -x.ndim <= axis < x.ndim:
        raise ValueError(f"{operation} expects an axis from {-x.ndim} to {x.ndim - 1}. Received: axis={axis!r}")
    given, axis = axis, axis % x.ndim
    if axis == 0 and x.batched:
        raise ValueError(
            f"{operation} cannot run along the batch axis (axis 0) of shape {display(x.shape)}: pass another one, such "
            f"as axis=-1. Received: axis={given}"
        )
    return axis


def canonical_axis(x, axis: int) -> tuple[int, int]:
    """``(axis_size, inner)`` as the kernels take them: elements along ``axis``, and after it."""
    return x.shape[axis], elements(x.shape[axis + 1 :])


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
    if dtypes.keys() == {"bool"}:
        stay = operation.keeps_booleans and all(isinstance(x, Value) or np.asarray(x).dtype.kind == "b" for x in inputs)
        return "bool" if stay else "int32"
    dtypes.pop("bool", None)
    return next(iter(dtypes)) if len(dtypes) == 1 else "int64"


def converted(operation, inputs) -> tuple:
    """``inputs`` as values of one dtype; labels as integers."""
    dtype = _common_dtype(operation, [x for i, x in enumerate(inputs) if i not in operation.labels])
    found = []
    for i, x in enumerate(inputs):
        wanted = "int64" if i in operation.labels else dtype
        if isinstance(x, Samples):
            found.append(number_of(x, wanted))
            continue
        value = _present_value(x, wanted) if isinstance(x, Number) else as_value(x, wanted)
        if value.dtype != wanted and not value.dtype.startswith("float"):
            value = REGISTRY["Cast"](wanted)(value)
        found.append(value)
    for x in found:
        if x.dtype.startswith("float") and x.dtype != dtype:
            raise TypeError(
                f"{operation.name} mixes {dtype} and {x.dtype} ({x!r}). Build all layers under one jitnet.set_floatx."
            )
    return tuple(found)


def samples_of(x) -> Samples | None:
    """What ``number_of`` made a number of, also where it was cast; None for anything else."""
    while getattr(x, "producer", None) is not None:
        operation = x.producer.operation
        if not isinstance(operation, BatchSize | REGISTRY["Cast"]):
            return None
        (x,) = x.producer.inputs
        if isinstance(operation, BatchSize):
            return Samples(x, operation.batches or x.batches)
    return None


class BatchSize(Operation, registered=False):
    """The number of samples in a tensor with a batch axis, or in ``batches`` like it, as a number () of its dtype."""

    differentiable = False

    def __init__(self, batches: int | None = None):
        self.batches = batches

    def infer(self, x):
        return [((), x.dtype)]

    def forward(self, program, lowered):
        batches = self.batches or lowered.application.inputs[0].batches
        program.call("shape.fill", y=Out(lowered.output), value=1.0 * (Scalar("batch") * batches))


def number_of(samples: Samples, dtype: str) -> Value:
    """A number of samples as a value () of ``dtype``."""
    x = samples.tensor
    found = BatchSize(samples.batches)(x if x.dtype.startswith("float") else REGISTRY["Cast"](floatx())(x))
    return found if found.dtype == dtype else REGISTRY["Cast"](dtype)(found)


class Present(Operation, registered=False):
    """A setting as a single number (): what it is when the step runs."""

    differentiable = False

    def __init__(self, setting: Number, dtype: str):
        self.setting, self.dtype = setting, dtype

    @property
    def name(self):
        return f"{self.setting.name}_value"

    def prepare(self, inputs):
        return ()

    def infer(self):
        return [((), self.dtype)]

    def forward(self, program, lowered):
        program.call("shape.fill", y=Out(lowered.output), value=lowered.setting(self.setting.name, self.setting))

    def get_config(self):
        raise TypeError(f"The setting {self.setting.name!r} cannot be saved outside of a layer: use it in a call.")
