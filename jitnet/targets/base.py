"""What a target is: a machine that runs programs.

A step goes through a target in this order: ``rewrite`` its program to what there are kernels for, ``schedule`` the
calls, ``write`` them as source, ``load`` that, and then run it as often as wanted.
"""

import contextlib
import threading
from dataclasses import dataclass, field

import numpy as np

from ..core.program import Call, Program
from ..core.storage import Layout
from ..core.values import Changes

_data = threading.local()


@contextlib.contextmanager
def data_unchanged():
    """Within it the arrays that this thread's steps are given as data keep their content.

    A target with memory of its own needs to copy them but once.
    """
    before = unchanged_data()
    _data.scope = {} if before is None else before
    try:
        yield
    finally:
        _data.scope = before


def forget_data(arrays) -> None:
    """What was noted of these arrays, and keeps them, is forgotten: they will not come again."""
    scope = unchanged_data() or {}
    for key in [key for key, value in scope.items() if any(value is array for array in arrays)]:
        del scope[key]


def unchanged_data() -> dict | None:
    """Where a target notes what it has copied, or None where data may change from run to run."""
    return getattr(_data, "scope", None)


@dataclass
class Signature:
    """What a step is given, by name; a target adds arguments of its own.

    title: what it says of itself.
    data: what differs from run to run: inputs, sample weights, the order of samples, outputs, gradients of inputs.
    storages: flat arrays of variables: {id: name}.
    slots: flat arrays that optimizers keep; iterations: their counts of steps.
    constants: {Constant: byte offset in the argument ``constants``}.
    hyperparameters: run-time scalars, in the order of the argument ``hyperparameters``.
    layout: of the trainable variables in flat arrays.
    gathered: whether ``order`` says which samples make the batch.
    """

    title: str
    data: list[str]
    storages: dict[int, str]
    layout: Layout
    slots: list[str] = field(default_factory=list)
    iterations: list[str] = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    hyperparameters: list[str] = field(default_factory=list)
    gathered: bool = False


@dataclass
class Source:
    """A step written out: its ``text``, and the ``arguments`` that it has in the end."""

    text: str
    arguments: list[str]

    def kernel_source(self, name: str) -> str:
        """The source of the kernel that the step calls by this name; ValueError if there is none."""
        raise NotImplementedError


class Runner:
    """A step that is ready to run, by several threads at once.

    gradients: the flat gradients of the last run.
    has_run: whether it was loaded, in order to run.
    always_many: whether steps run without Python in between, whoever asks.
    own_memory: whether it writes variables in memory of its own, from where they are fetched when they are read.
    tell: while it is compiled, called with (how many kernels are made, how many there are to make).
    """

    gradients: np.ndarray
    has_run: bool
    always_many = False
    own_memory = False
    tell = None

    def work(self, batch: int) -> float:
        """Operations for a batch."""
        raise NotImplementedError

    def running(
        self, batch: int, compiled: bool, arrays: dict, changes: dict[str, Changes]
    ) -> contextlib.AbstractContextManager["Run"]:
        """Within the block the step is bound to ``arrays``, by name, and to memory that no other thread uses.

        An exception of a kernel says which one it was.  compiled: whether ``many`` will be called.
        changes: of the slots, by name.
        """
        raise NotImplementedError

    def outside_array(self, shape: tuple, dtype):
        """Memory of the machine, for outputs that stay there."""
        raise ValueError("Outputs of the CPU are NumPy arrays: as_numpy=False is for device='cuda'.")

    def suits_few(self, batch: int) -> bool:
        """Whether a step of the same computation that is made for few images were faster for this batch."""
        return False

    def quick_call(self, result: np.ndarray, arrays: dict):
        """A function of the only input that returns a new array like ``result``; None where that gains nothing.

        arrays: the other arguments of a run, by name.
        """
        return None

    def jitted(self, batch: int, given: dict[str, tuple[str, tuple]], written: list[str], values: dict):
        """``(function, state)`` for callers' own ``@njit`` functions: ``function(state, *arrays)`` runs a step.

        given: {argument: (dtype, shape)} of the caller's arrays, in their order; written: those that the step writes.
        values: the other arrays and numbers of a run, by name.
        """
        raise ValueError("Compiled code of the CPU can't call a step of this target.")

    def library(
        self, name: str, title: str, names: dict[str, str], limits: dict[str, tuple[int, int, str]], batch: int,
        given: dict[str, tuple[str, tuple]], written: list[str], values: dict,
    ):  # fmt: skip
        """The step for programs without Python, whose functions' names begin with ``name``: its code and its header.

        title: what the header says of it; names: of arrays, what the user calls them; limits: {array: (least,
        largest, layer)} of those that hold indices; the others as in ``jitted``.

        Raises:
            ValueError: the step calls what only a process with Python has.
        """
        raise ValueError("C libraries are for the CPU: set_device('cpu') before the export.")


class Run:
    """A step that is bound to arrays."""

    def once(self, **changed) -> None:
        """One step; arguments that differ from the last one's, by name."""
        raise NotImplementedError

    def many(self, count: int, steps_per_result: int) -> None:
        """So many steps; ``order``, ``hyperparameters`` have one part per step, ``results`` one row for so many."""
        raise NotImplementedError


class Target:
    """A machine that runs programs, which mean the same on every target.

    reserved: names that its steps use themselves.
    """

    name: str
    reserved: tuple[str, ...] = ()

    def fuses(self, call: Call, epilogue: str) -> bool:
        """Whether ``epilogue`` can be part of the kernel of ``call`` (see ``core.rewrites.epilogues``)."""
        return False

    def rewrite(self, program: Program) -> None:
        """Rewrite ``program`` for speed."""

    def schedule(self, program: Program, layout: Layout, together: bool | None = True):
        """Where calls run together, and where their temporaries lie: what ``write`` wants to know.

        together: True: calls share sections; False: a section for each call; None: one for all, in one part.
        """
        raise NotImplementedError

    def write(self, schedule, signature: Signature) -> Source:
        """The step as source."""
        raise NotImplementedError

    def load(self, source: Source, fixed: dict[str, np.ndarray], changes: dict[str, Changes]) -> Runner:
        """What runs it.

        fixed: the arguments that are the same in every run, by name; changes: of the variables in them, by name.
        """
        raise NotImplementedError

    def zeros(self, count: int, dtype) -> np.ndarray:
        """Memory of the machine for variables, slots and constants."""
        raise NotImplementedError
