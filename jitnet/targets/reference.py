"""The reference target: a program call by call, over NumPy arrays.

Nothing is rewritten, scheduled or compiled as a whole.  Every call runs the plain kernel that its opcode names, over
one chunk that is the whole batch, and every buffer has memory of its own.  What a program means is what comes out here;
tests hold the other targets to it.
"""

import contextlib
import functools
import importlib
import inspect
from dataclasses import dataclass

import numpy as np

from ..core.program import Buffer, Call, Out, Program, Scalar
from ..core.storage import Layout
from ..core.values import Variable
from .base import Run, Runner, Signature, Source, Target


class Reference(Target):
    """Runs programs whose calls are plain: without epilogues, chains and specialised kernels."""

    name = "reference"

    def run(self, program: Program, batch: int, arrays: dict, scalars: dict | None = None, slots: dict | None = None):
        """Run a program once: the ``Memory`` that it has written.

        arrays: the caller's, by name: inputs, outputs, results.
        scalars: numbers by name, such as ``t``, ``seed`` and ``learning_rate``, as far as the program asks for them.
        slots: {(name, variable): array} that the optimizer keeps; others start as zeros.

        Variables, slots, outputs and results are written where they lie.  Raises TypeError for a call whose arguments
        are not its kernel's, by name and order, or that is not plain.
        """
        memory = self.memory(batch, arrays, {} if slots is None else slots)
        names = {**(scalars or {}), "batch": batch, "begin": 0, "chunk": 0, "chunks": 1}
        for block in program.blocks:
            if block.condition is None or block.condition.value(names):
                for turn in block.turns():
                    for call in block.calls:
                        self.run_call(call, memory, {**names, **turn})
        return memory

    def memory(self, batch: int, arrays: dict, slots: dict) -> "Memory":
        """What a run works in."""
        return Memory(batch, arrays, slots)

    def run_call(self, call: Call, memory: "Memory", names: dict) -> None:
        """Run a call; names: the values of scalars."""
        self.kernel(call)(*(_value(a, call.batched, memory, names) for a in call.arguments.values()))

    def kernel(self, call: Call):
        """The function that a plain call means, whose arguments it has.

        Raises TypeError if it has others, or is not plain.
        """
        if call.kernel is not None or call.epilogue or "chain" in call.attributes:
            raise TypeError(f"The reference target runs plain calls only. Received: {call.opcode}, {call.attributes}")
        function = call.attributes.get("function")
        if function is not None:
            return _users(function)
        kernel, parameters = _plain(call.opcode)
        if tuple(call.arguments) != parameters:
            raise TypeError(f"{call.opcode} takes {', '.join(parameters)}. Received: {', '.join(call.arguments)}")
        return kernel

    # ---- as the target of a step

    def schedule(self, program: Program, layout: Layout, together: bool | None = True) -> Program:
        return program

    def write(self, schedule: Program, signature: Signature) -> "Listing":
        data = [*signature.data, *signature.storages.values(), *signature.slots, *signature.iterations]
        lines = [signature.title, "", *(f"{call.opcode}({', '.join(call.arguments)})" for call in schedule.calls)]
        return Listing("\n".join(lines) + "\n", ["batch", *data, "seed", "t", "results"], self, schedule, signature)

    def load(self, source: "Listing", fixed: dict, changes: dict) -> "Interpreter":
        return Interpreter(source)

    def zeros(self, count: int, dtype) -> np.ndarray:
        return np.zeros(count, dtype)


@dataclass
class Listing(Source):
    """The opcodes of a program, one below the other."""

    target: Reference
    program: Program
    signature: Signature

    def kernel_source(self, name: str) -> str:
        call = next((call for call in self.program.calls if call.opcode.endswith(f".{name}")), None)
        if call is None:
            raise ValueError(f"The step calls no kernel of this name. Received: {name!r}")
        return inspect.getsource(self.target.kernel(call).py_func)


class Interpreter(Runner):
    """Runs a step's program from Python; variables and constants are read where they are."""

    def __init__(self, source: Listing):
        self.source = source
        self.gradients = np.zeros(0)
        self.has_run = False

    def work(self, batch: int) -> float:
        return sum(call.work * (batch if call.batched else 1) for call in self.source.program.calls)

    @contextlib.contextmanager
    def running(self, batch: int, compiled: bool, arrays: dict, changes: dict):
        self.has_run = True
        yield Interpretation(self, batch, dict(arrays))


class Interpretation(Run):
    """An interpreted step with its arrays."""

    def __init__(self, runner: Interpreter, batch: int, arrays: dict):
        self._runner, self._batch, self._arrays = runner, batch, arrays

    def once(self, **changed) -> None:
        self._arrays.update(changed)
        source, arrays = self._runner.source, self._arrays
        signature, layout = source.signature, source.signature.layout
        scalars = {"seed": arrays["seed"], "t": arrays["t"]}
        scalars.update(zip(signature.hyperparameters, np.ravel(arrays["hyperparameters"]), strict=True))
        slots = {(name, v): layout.part(arrays[name], v) for name in signature.slots for v in layout.offsets}
        memory = source.target.run(source.program, self._batch, arrays, scalars, slots)
        self._runner.gradients = flat = np.zeros(layout.size, layout.dtype)
        for variable, gradient in memory.gradients.items():
            layout.part(flat, variable)[...] = gradient

    def many(self, count: int, steps_per_result: int) -> None:
        first, given = self._arrays["t"], dict(self._arrays)
        results = np.atleast_2d(given["results"])
        for i in range(count):
            order = given["order"][i * self._batch : (i + 1) * self._batch]
            numbers = given["hyperparameters"][i]
            self.once(t=first + i, order=order, hyperparameters=numbers, results=results[i // steps_per_result])


@functools.cache
def _plain(opcode: str) -> tuple:
    """The reference kernel of an opcode, and the names of its parameters."""
    family, _, name = opcode.rpartition(".")
    kernel = getattr(importlib.import_module(f"..kernels.cpu.{family}", __package__), name)
    return kernel, tuple(inspect.signature(kernel.py_func).parameters)


@functools.cache
def _users(function):
    """A user's own function as the CPU's steps call it."""
    from ..kernels.cpu.runtime.dispatchers import user_kernel

    return user_kernel(function, function.__name__)


class Memory:
    """The arrays of a run.  What nothing has written is NaN, or as large as its type allows: see ``unwritten``."""

    def __init__(self, batch: int, arrays: dict, slots: dict):
        self.batch = batch
        self.slots: dict[tuple, np.ndarray] = slots
        self.gradients: dict[Variable, np.ndarray] = {}
        self._arrays = arrays
        self._temporaries: dict[Buffer, np.ndarray] = {}

    def array(self, buffer: Buffer, names: dict) -> np.ndarray:
        """What a buffer views; names: the values of scalars."""
        if buffer.kind == "argument" and buffer.root is buffer:
            return self._arrays[buffer.name]
        leading = (self.batch * buffer.batches * buffer.rows,) if buffer.batched else ()
        array = self._root(buffer.root)
        if buffer.step is not None:
            step = buffer.step.value(names) if isinstance(buffer.step, Scalar) else buffer.step
            array = array.reshape(buffer.root.steps, -1)[step : step + buffer.viewed_steps]
        return array.reshape((*leading, *buffer.shape) or (1,))  # kernels take arrays of an axis

    def _root(self, root: Buffer) -> np.ndarray:
        if root.kind in ("external", "argument"):
            return self._arrays[root.name]
        if root.kind == "variable":
            return root.source.value
        if root.kind == "constant":
            return root.source.array
        if root.kind == "slot":
            slot = self.slots.setdefault((root.name, root.source), np.zeros(root.shape, root.dtype))
            return slot.reshape(-1)[: root.size].reshape(root.shape)
        table, key = (self.gradients, root.source) if root.kind == "gradient" else (self._temporaries, root)
        if key not in table:
            size = root.size * (self.batch * root.batches if root.batched else 1)
            array = np.full(size, self.unwritten(root.dtype), root.dtype)
            table[key] = array.reshape(-1 if root.batched else root.shape)
        return table[key]

    @staticmethod
    def unwritten(dtype: str):
        """What elements are before anything has written them."""
        return np.nan if dtype.startswith("float") else True if dtype == "bool" else np.iinfo(dtype).max


def _value(argument, batched: bool, memory: Memory, names: dict):
    """What a kernel is given; batched: whether its call runs along the batch, and sees its own part of partial sums."""
    if isinstance(argument, Scalar):
        return argument.value(names)
    buffer = argument.buffer if isinstance(argument, Out) else argument
    if not isinstance(buffer, Buffer):
        return argument
    array = memory.array(buffer, names)
    return array.reshape(1, *buffer.shape) if buffer.kind == "partial" and not batched else array
