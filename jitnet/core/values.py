"""Values, which operations read: tensors that are being traced, variables, constants.

A symbolic tensor whose first axis is the batch has ``shape[0] is None``: one graph, one plan and one step source serve
every batch size.  Tensors without a batch axis (a penalty, a normalised weight) have an ordinary shape.
"""

import itertools
import math
import opcode
import sys

import numpy as np

from . import checks
from .errors import invalid
from .policy import floatx

ITEMSIZE = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "int8": 1, "uint8": 1, "bool": 1}
DTYPES = tuple(dtype for dtype in ITEMSIZE if dtype != "int8")  # of tensors: int8 is of weights alone


class Value:
    """Something that an operation can read: it has a ``shape``, a ``dtype`` and a ``name``."""

    shape: tuple
    dtype: str
    name: str
    mask: "Value | None" = None  # (batch, steps, ...), bool: which of its steps count; None: all
    batches: int = 1  # how many batches its first axis joins, of tensors with a batch axis

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
        if "is_same" in vars(self):  # of a comparison: see ``_compared``
            return vars(self)["is_same"]
        raise TypeError(
            f"{self!r} is symbolic: its value is not known while the model is traced, so it cannot steer an `if`. "
            "Express the choice with jitnet.ops, for example ops.maximum."
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(f"{self!r} is symbolic and cannot become a NumPy array; use jitnet.ops instead of numpy.")

    def __float__(self):
        return float(np.asarray(self))


_OPERATORS: dict = {}  # Python's operators on values, by the names of functions of jitnet.ops


def _operator(name, reflected=False):
    def method(self, *other):
        function = _OPERATORS[name]
        return function(*other, self) if reflected else function(self, *other)

    return method


class _Operators:
    """Python operators on values."""

    __add__ = _operator("add")
    __radd__ = _operator("add", reflected=True)
    __sub__ = _operator("subtract")
    __rsub__ = _operator("subtract", reflected=True)
    __mul__ = _operator("multiply")
    __rmul__ = _operator("multiply", reflected=True)
    __truediv__ = _operator("divide")
    __rtruediv__ = _operator("divide", reflected=True)
    __pow__ = _operator("power")
    __rpow__ = _operator("power", reflected=True)
    __matmul__ = _operator("matmul")
    __neg__ = _operator("negative")
    __abs__ = _operator("absolute")
    __floordiv__ = _operator("floor_divide")
    __rfloordiv__ = _operator("floor_divide", reflected=True)
    __mod__ = _operator("mod")
    __rmod__ = _operator("mod", reflected=True)
    __hash__ = object.__hash__

    def __eq__(self, other):
        return _compared("equal", self, other)

    def __ne__(self, other):
        return _compared("not_equal", self, other)

    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")
    __and__ = _operator("logical_and")
    __rand__ = _operator("logical_and", reflected=True)
    __or__ = _operator("logical_or")
    __ror__ = _operator("logical_or", reflected=True)
    __xor__ = _operator("logical_xor")
    __rxor__ = _operator("logical_xor", reflected=True)
    __invert__ = _operator("logical_not")
    __getitem__ = _operator("index")

    def __iter__(self):
        if self.batched or not self.shape:
            raise TypeError(f"{self!r} has no parts to go through: the size of its first axis is the batch's.")
        return (self[place] for place in range(self.shape[0]))

    __array_priority__ = 100
    __array_ufunc__ = None


class _Incomparable:
    """The comparison of values whose shapes differ: whether they are the same object, and nothing else."""

    def __init__(self, truth: bool, error: Exception):
        self._truth, self._error = truth, error

    def __bool__(self):
        return self._truth

    def __array__(self, dtype=None, copy=None):
        raise self._error


def _compared(name: str, x, other):
    """``x == other`` and ``x != other``: element by element where a user's code says so.

    Values are keys of dicts and stand in lists, and jitnet's own code asks for identity: there, and wherever only the
    truth of the comparison counts, it says whether both are the same object.
    """
    truth = (x is other) == (name == "equal")
    frame = sys._getframe(2)
    if str(frame.f_globals.get("__name__")).startswith("jitnet."):
        return truth
    if frame.f_code.co_code[frame.f_lasti] != opcode.opmap["COMPARE_OP"]:
        return truth
    if not isinstance(other, Value | np.ndarray | np.generic | int | float):
        return truth
    try:
        found = _OPERATORS[name](x, other)
    except (TypeError, ValueError) as error:
        return _Incomparable(truth, error)
    vars(found)["is_same"] = truth
    return found


def operators(**functions) -> None:
    """Let Python's operators on values mean these functions; ``jitnet.ops`` installs its own."""
    _OPERATORS.update(functions)


class SymbolicTensor(_Operators, Value):
    """The result of an operation, or an input, while a model is traced.

    shape: tuple of ints, None first when the first axis is the batch.
    producer: the Application that computes it, or None for an input.
    """

    def __init__(self, shape, dtype, name, producer=None, batches=1):
        self.shape = tuple(shape)
        self.dtype = dtype
        self.name = name
        self.producer = producer
        self.batches = batches
        self.history = None  # the layers._calling.Node of the layer that returned it; how Model finds its layers

    def __array__(self, dtype=None, copy=None):
        if self._is_of_weights():
            raise TypeError(
                f"{self!r} is computed of variables, whenever a step runs: for its value now, compute it of "
                "variable.numpy()."
            )
        return super().__array__(dtype, copy)

    def _is_of_weights(self) -> bool:
        """Whether it is computed of variables and constants alone."""
        pending, producers = [self], {}
        while pending:
            value = pending.pop()
            if isinstance(value, SymbolicTensor):
                if value.producer is None:
                    return False
                if value.producer not in producers:
                    producers[value.producer] = None
                    pending += value.producer.inputs
        return True

    def __getstate__(self) -> dict:
        # a copy is linked again by the model that it belongs to: chains of producers may be longer than the stack
        is_input = self.history is not None and self.history.inputs == []
        return {**vars(self), "producer": None, "mask": None, "history": self.history if is_input else None}

    def __repr__(self):
        return f"<SymbolicTensor {self.name}, shape={self.shape}, dtype={self.dtype}>"


class Constant(_Operators, Value):
    """An array that never changes, such as the 2.0 of ``x * 2.0``."""

    def __init__(self, array):
        self.array = np.array(array, order="C")
        self.shape = self.array.shape
        self.dtype = str(self.array.dtype)
        self.name = "constant"

    def __repr__(self):
        return f"<Constant shape={self.shape}, dtype={self.dtype}>"


class Changes:
    """A number that is another one after each change of some variables: what is made of them knows by it.

    memory: the number, as compiled code reads it; number: the same for Python, which reads ``number[0]``.
    elsewhere: what has newer values, to be fetched before they are read, such as a device that has trained them.
    """

    _numbers = itertools.count(1)  # taken by several threads at once, none twice

    def __init__(self):
        self.memory = np.zeros(1, np.int64)
        self.number = memoryview(self.memory)
        self.elsewhere = None

    def settle(self) -> None:
        """Fetch what is newer elsewhere."""
        newer = self.elsewhere
        if newer is not None:
            newer.fetch()

    def note(self) -> None:
        """Say that the variables have changed: after they have."""
        self.number[0] = next(self._numbers)


class Variable(_Operators, Value):
    """A weight or a state: a NumPy array with a name.

    ``value`` is a view of the memory that steps read and write, only to be read; assigning to it writes there, as
    ``assign`` does.  Once a plan was made that memory is part of one flat storage array, so that the optimizer updates
    all parameters in one pass.  A copy, also a pickled one, has memory of its own.

    initializer: the first value, an array or a number; or an initializer or its name, of the sizes ``shape``.
    dtype: by default the array's own; floatx for an initializer and for Python's floats, int32 for its ints.
    autocast, aggregation, synchronization: accepted for Keras's sake: there is one device, and nothing is cast.
    kept: None, or a variable of True and False of its shape: where that is False the value is 0, whatever is assigned
        and however it is updated.
    """

    kept: "Variable | None" = None

    def __init__(
        self, initializer, shape=None, dtype=None, trainable=True, autocast=True, aggregation="none",
        synchronization="auto", name="variable", *, regularizer=None, constraint=None,
    ):  # fmt: skip
        self._live_in(_first_value(initializer, shape, dtype))
        self.shape = self._value.shape
        self.dtype = str(self._value.dtype)
        self.name = name
        self.trainable = trainable
        self.requested_trainable = trainable  # what ``trainable`` returns to when its layer is no longer frozen
        self.regularizer = regularizer
        self.constraint = constraint  # what an update is followed by
        self.storage = None  # the flat array that ``value`` is a view of
        self.storage_offset = 0  # in elements
        self.changes = None  # of that array

    @property
    def batched(self) -> bool:
        return False

    @property
    def path(self) -> str:
        """The name, which begins with that of the layer, as does Keras's path."""
        return self.name

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def value(self) -> np.ndarray:
        """The current value, not a copy: what it shows changes with it.  Only ``assign`` writes there.

        What a GPU has changed is fetched whenever ``value`` is read.
        """
        self._settle()
        return self._seen

    @value.setter
    def value(self, value) -> None:
        self.assign(value)

    def _settle(self) -> None:
        if self.changes is not None:
            self.changes.settle()

    def _live_in(self, memory: np.ndarray) -> None:
        self._value = memory
        self._seen = memory.view()  # what is made of weights would not learn of a write through it
        self._seen.flags.writeable = False

    def move(self, storage: np.ndarray, offset: int, changes: Changes) -> None:
        """Let the value live in ``storage``, a flat array, from element ``offset`` on."""
        view = storage[offset : offset + self.size].reshape(self.shape)
        view[...] = self._value
        self._live_in(view)
        self.storage, self.storage_offset, self.changes = storage, offset, changes

    def numpy(self) -> np.ndarray:
        """A copy of the current value."""
        return self.value.copy()

    def assign(self, value) -> None:
        """Overwrite the value; the shape must match, the dtype becomes the variable's.

        In a ``train_step`` and in a layer's ``call``, a symbolic value is assigned whenever the step runs, and what
        is read of the variable after that is the new value.
        """
        if isinstance(value, Value):
            _OPERATORS["assign"](self, value)
            return
        value = array_of_numbers(value, f"Variable {self.name!r} holds numbers")
        if value.shape != self.shape:
            raise ValueError(f"Variable {self.name!r} has shape {self.shape}. Received: shape={value.shape}")
        if self.dtype == "int8" and not np.can_cast(value.dtype, np.int8):  # floats would be cut off, others wrapped
            raise invalid(f"Variable {self.name!r} holds integers of 8 bits.", dtype=str(value.dtype))
        if self.kept is not None:
            value = np.where(self.kept.value, value, 0)
        self._settle()
        self._value[...] = value
        if self.changes is not None:
            self.changes.note()

    def assign_add(self, value) -> None:
        """Add to the value: at once, or in a ``train_step`` and in a layer's ``call`` whenever the step runs."""
        self._assign_changed("add", value)

    def assign_sub(self, value) -> None:
        """Subtract from the value; as ``assign_add``."""
        self._assign_changed("subtract", value)

    def _assign_changed(self, change: str, value) -> None:
        if isinstance(value, Value) or _OPERATORS["is_traced"]():
            self.assign(_OPERATORS[change](self, value))
        else:
            self.assign(getattr(np, change)(self.value, value))

    def __getstate__(self) -> dict:
        kept = {name: value for name, value in vars(self).items() if name != "_seen"}
        return {**kept, "_value": self.numpy(), "storage": None, "storage_offset": 0, "changes": None}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._live_in(self._value)

    def __repr__(self):
        return f"<Variable {self.name}, shape={self.shape}, dtype={self.dtype}, trainable={self.trainable}>"

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=dtype)


def _first_value(initializer, shape, dtype) -> np.ndarray:
    """What a variable begins with."""
    if dtype is not None:
        dtype = checks.one_of("Variable", "dtype", {"int": "int32", "float": "float32"}.get(dtype, str(dtype)), DTYPES)
    if isinstance(initializer, str):
        initializer = _OPERATORS["initializer"](initializer)
    if callable(initializer):
        if shape is None:
            raise invalid("Variable needs a shape beside an initializer.", shape=shape)
        return np.array(initializer(tuple(shape), dtype=dtype or floatx()), order="C")
    if isinstance(initializer, Value) and not isinstance(initializer, Variable):
        raise invalid("Variable begins with an array, a number or what an initializer draws.", initializer=initializer)
    array_of_numbers(initializer, "Variable begins with numbers")
    value = np.array(initializer, dtype, order="C")
    if dtype is None and not hasattr(initializer, "dtype") and value.dtype.kind in "fi":
        value = value.astype(floatx() if value.dtype.kind == "f" else "int32")
    if shape is not None and value.shape != tuple(shape):
        raise invalid(f"Variable begins with an array of shape {value.shape}.", shape=tuple(shape))
    return value


def as_value(x, dtype=None) -> Value:
    """``x`` itself if symbolic; numbers and arrays become constants of ``dtype`` (default: floatx)."""
    if isinstance(x, Value):
        return x
    array = array_of_numbers(x, "An operation takes symbolic tensors, arrays and numbers")
    return Constant(array.astype(dtype or floatx()))


def array_of_numbers(x, expected: str) -> np.ndarray:
    """``x`` as an array; TypeError, which begins with ``expected``, if it holds none."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        # NumPy takes it for an object, where its library doesn't say more
        hint = ": copy an array on a GPU to the host first" if hasattr(x, "__cuda_array_interface__") else ""
        raise TypeError(f"{expected}{hint}. Received: {f'dtype={array.dtype}' if array.ndim else repr(x)}")
    return array


def is_integer(x) -> bool:
    """Whether a value, an array or a number is one of integers."""
    return not x.dtype.startswith("float") if isinstance(x, Value) else np.asarray(x).dtype.kind in "iub"


def placeholder(name: str, shape, dtype=None) -> SymbolicTensor:
    """A symbolic input; ``shape`` is without the batch axis."""
    dtype = checks.one_of("an input", "dtype", dtype or floatx(), DTYPES)
    return SymbolicTensor((None, *checks.input_shape("An input", "shape", shape, least=0)), dtype, name)
