"""Steps: a computation made a program, handed to a target, and run."""

import contextlib

import numpy as np

from . import schedules
from .builder import Builder, Computation
from .config import choices, conv_algorithm, float32_matmul_precision
from .core.errors import invalid
from .core.locks import building
from .core.operations.effects import least_rows
from .core.operations.indexed import indices_of
from .core.rewrites.recompute import recompute
from .core.storage import gradient_layout, pack, pack_constants
from .running import interrupts
from .targets.base import Signature, Target, unchanged_data
from .targets.cpu.target import CPU


def target_of(device: str, few: bool = False) -> Target:
    """What makes steps for a device; few: for few images, which share out their rows."""
    if device == "cpu":
        return CPU(conv_algorithm(), few)
    from .targets.cuda.target import CUDA

    return CUDA(device, float32_matmul_precision())


class Step:
    """A computation over a batch, ready to run, by several threads at once.

    title: the first line of the generated source.
    fuse: rewrite the program for speed; regions: group calls into sections that share memory (True), give each call a
        section of its own (False), or write one function for all, in one chunk (None).  Default: True if fused.
    memory: "low": activations are computed again for the backward pass where that saves memory; the same bits.
    target: the machine; default: the CPU.
    """

    def __init__(
        self, title: str, computation: Computation, fuse: bool = True, regions: bool | None = None,
        target: Target | None = None, memory: str = "normal",
    ):  # fmt: skip
        self.inputs = dict(computation.inputs)
        self.gathered = computation.gathered
        self.fuse = fuse
        target = target or target_of("cpu")
        built = Builder(computation, fuse, target.reserved)
        self.random = built.random
        self._rows = least_rows(item.application for item in built.lowering.lowered)
        self.limits = built.limits  # {argument: (least, largest, layer)} of data that become indices
        self.variables = built.variables
        self.results, self.places = built.results, built.places
        self.first_results = np.zeros(self.results)  # what they are before the first batch
        self.has_loss = bool(computation.losses)
        self.logs: list = []  # how results are read, set by whoever made the computation
        self.compile_metrics = None  # likewise, of a model's: who is told what was read
        self.output_arguments, self.gradient_arguments = built.output_arguments, built.gradient_arguments
        self.program = built.program
        self._states = built.states
        self._settings = built.settings
        self.hyperparameters = list(self._settings)
        self.present = np.zeros(len(self.hyperparameters))  # their values in predictions, for ``QuickPrediction``
        self.states = built.updates.states
        self.optimizer = self.states[0].optimizer if self.states else None
        self._structures = [state.optimizer.structure for state in self.states]
        updated = [variable for state in self.states for variable in state.variables]
        self.trainable = list(dict.fromkeys([*computation.trainable, *built.lowering.first_gradients, *updated]))
        self.slots = [argument for state in self.states for argument in state.slots.values()]

        with building:
            pack(self.variables, target.zeros)
        storages = {id(v.storage): v.storage for v in self.variables}
        storage_names = self._name_storages(storages)
        fixed = {name: storages[key] for key, name in storage_names.items()}
        self.storages = dict(fixed)  # the flat arrays of variables, by their names in the source
        changes = {id(v.storage): v.changes for v in self.variables}
        written = {root.source for call in self.program.calls for root in call.writes if root.kind == "variable"}
        self._changes = list(changes.values())
        self._changed = list({id(v.storage): v.changes for v in written}.values())  # by each run
        constants: dict = {}
        if built.constants:
            fixed["constants"], constants = pack_constants(built.constants, target.zeros)
        data = [*self.inputs, *(["sample_weight"] if computation.sample_weight is not None else [])]
        data += [*(["order"] if self.gathered else []), *self.output_arguments, *self.gradient_arguments]
        self.layout = gradient_layout(self.trainable, storage_names)
        signature = Signature(
            title, data, storage_names, self.layout, self.slots, [state.iterations for state in self.states],
            constants, self.hyperparameters, self.gathered,
        )  # fmt: skip
        if fuse:
            target.rewrite(self.program)
        if memory == "low":
            recompute(self.program)
        together = (True if fuse else None) if regions is None else regions
        self.schedule = target.schedule(self.program, self.layout, together)
        self._source = target.write(self.schedule, signature)
        self.runner = target.load(self._source, fixed, {name: changes[key] for key, name in storage_names.items()})
        self.target = target
        self.seconds_per_step = 0.01  # a guess before the first run, so that a run returns often enough

    @property
    def source(self) -> str:
        """The step as text."""
        return self._source.text

    def kernel_source(self, name: str) -> str:
        """The source of the kernel that the step calls by this name; of a specialised one, of its whole module."""
        return self._source.kernel_source(name)

    def fits_optimizers(self) -> bool:
        """Whether its optimizers still are what the program was written from."""
        return self._structures == [state.optimizer.structure for state in self.states]

    def _name_storages(self, storages: dict) -> dict:
        names, counts = {}, {"parameters": 0, "state": 0}
        for key in storages:
            kind = "parameters" if any(id(v.storage) == key and v.trainable for v in self.variables) else "state"
            counts[kind] += 1
            names[key] = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
        return names

    # ---- running

    @contextlib.contextmanager
    def repeated(self, batch: int, arrays: dict):
        """Within the block, the function that is given runs the step on what is in ``arrays`` at that time.

        For steps without an optimizer that draw no random numbers; data that become indices are not checked.
        """
        values = {**arrays, "seed": 0, "t": 0, "results": np.zeros(self.results)}
        values["hyperparameters"] = self.hyperparameter_table(0, 1)[0]
        for changes in () if self.runner.own_memory else self._changes:
            changes.settle()
        changed = {name: arrays[name] for name in self.inputs} if self.runner.own_memory else {}
        with self.runner.running(batch, False, values, {}) as run:
            yield lambda: run.once(**changed)

    def check_indices(self, arrays: dict) -> None:
        """Raise ValueError for data that become indices and are outside of what there is; names may be missing."""
        for name, limits in self.limits.items():
            if name in arrays:
                check_indices(name, arrays[name], *limits)

    @property
    def checks_indices(self) -> bool:
        """Whether data are indices, and looked at before a run."""
        return bool(self.limits)

    @property
    def has_run(self) -> bool:
        """Whether it was loaded, in order to run."""
        return self.runner.has_run

    def run(
        self, batch: int, count: int, arrays: dict, compiled: bool, steps_per_result: int | None = None,
        iteration: int = 0,
    ) -> int:  # fmt: skip
        """Run ``count`` steps of ``batch`` samples from step ``t`` on; ``order`` has one part per step.

        Returns how many were run: fewer where Ctrl-C waits between two calls.

        compiled: all of them in one call of compiled code, where the target and the step can do that.
        steps_per_result: in compiled mode, ``results`` has one row for so many steps; None: one for all.
        iteration: without an optimizer, the step at which schedules are read.
        """
        self.check_indices(arrays)
        if self._rows is not None and batch > self._rows:
            raise invalid(f"A layer keeps the states of {self._rows} samples.", batch_size=batch)
        slots, slot_changes = self._states_of_optimizers()
        arrays = {**slots, **arrays}
        if not self.runner.own_memory:
            for changes in (*self._changes, *slot_changes.values()):
                changes.settle()
        arrays["hyperparameters"] = self.hyperparameter_table(arrays["t"], count, iteration)
        try:
            with self.runner.running(batch, compiled, arrays, slot_changes) as run:
                if (compiled or self.runner.always_many) and self.gathered:
                    run.many(count, steps_per_result or count)
                    return count
                return self._run_one_by_one(run, batch, count, arrays)
        finally:
            for changes in (*self._changed, *slot_changes.values()):
                changes.note()

    def _states_of_optimizers(self) -> tuple[dict, dict]:
        """Slots and counts of steps by their arguments' names, and the slots' changes.

        Another step may have moved them.
        """
        arrays, changes = {}, {}
        for state in self.states:
            found = state.optimizer.state_arguments(self.layout, state.variables, self.variables, self.target.zeros)
            arrays[state.iterations] = found.pop("iterations")
            arrays |= {state.slots[slot]: array for slot, array in found.items()}
            changes |= {state.slots[slot]: state.optimizer.changes_of(slot) for slot in found}
        return arrays, changes

    def _run_one_by_one(self, run, batch: int, count: int, arrays: dict) -> int:
        first = arrays["t"]
        states = [v.value for v in self._states]
        before = [value.copy() for value in states]
        changed = {}
        for i in range(count):
            if i and interrupts.waits():
                return i
            if self.gathered:
                changed["order"] = arrays["order"][i * batch : (i + 1) * batch]
            if self.hyperparameters:
                changed["hyperparameters"] = arrays["hyperparameters"][i]
            for copy, value in zip(before, states, strict=True):
                np.copyto(copy, value)
            counted = self.optimizer.iterations if states else None
            try:
                run.once(t=first + i, **changed)
            except BaseException:  # Ctrl-C among them: moving statistics belong to the steps that are counted
                if states and self.optimizer.iterations == counted:
                    for variable, copy in zip(self._states, before, strict=True):
                        variable.assign(copy)
                raise
        return count

    def hyperparameter_table(self, first: int, count: int, iteration: int = 0) -> np.ndarray:
        """(count, number of run-time scalars) float64: their values at steps first, first + 1, ...

        iteration: without an optimizer, the step at which all of them are read.
        """
        table = np.zeros((count, len(self.hyperparameters)))
        if not self.hyperparameters:
            return table
        steps = np.arange(first, first + count) if self.optimizer else np.full(count, iteration)
        for column, number in zip(table.T, self._settings.values(), strict=True):
            column[:] = number.values(steps, schedules.evaluate)
        return table

    def follows_schedules(self) -> bool:
        """Whether a setting changes without being assigned."""
        return any(setting.follows_schedule for setting in self._settings.values())

    def work(self, batch: int) -> float:
        """Operations of a step for a batch, the update included."""
        return self.runner.work(batch)

    def variable_gradients(self) -> dict:
        """{variable: gradient} of the last run."""
        return {variable: self.layout.part(self.runner.gradients, variable) for variable in self.trainable}


def check_indices(name: str, array: np.ndarray, least: int, largest: int, layer: str) -> None:
    """Raise ValueError for data that a layer takes for indices, and that are outside of what it has.

    Arrays that are known to keep their content are looked at once.
    """
    seen = unchanged_data()
    key = "indices", id(array), least, largest
    if not array.size or (seen is not None and key in seen):
        return
    values = np.asarray(array)  # one of a GPU is copied
    low, high = values.min(), values.max()
    if not (low > least - 1 and high < largest + 1):  # floats are cut off; NaN is none
        place = tuple(int(i) for i in np.argwhere(~((values > least - 1) & (values < largest + 1)))[0])
        raise invalid(indices_of(repr(name), least, largest, layer), index=values[place].item(), place=place)
    if seen is not None:
        seen[key] = array  # kept, so that no other array gets its id


class QuickPrediction:
    """A prediction step for arrays of one shape, with next to no work in Python: ``call`` takes such an array."""

    def __init__(self, step: Step, batch: int, call):
        (value,) = step.inputs.values()
        self._shape, self._dtype = (batch, *value.shape[1:]), np.dtype(value.dtype)
        self._choices = choices()
        self.call = call

    @classmethod
    def of(cls, step: Step, result) -> "QuickPrediction | None":
        """For batches of the size of ``result``; None where Python's share of the time doesn't matter.

        None also where every call draws new random numbers, or reads a schedule.  Whoever assigns a setting makes
        another one.
        """
        if not isinstance(result, np.ndarray) or len(step.inputs) != 1 or step.random or step.follows_schedules():
            return None
        if step.checks_indices:
            return None
        step.present[:] = step.hyperparameter_table(0, 1)[0]
        values = {"seed": 0, "t": 0, "results": np.zeros(step.results), "hyperparameters": step.present}
        call = step.runner.quick_call(result, values)
        return None if call is None else cls(step, len(result), call)

    def takes(self, x) -> bool:
        """Whether x needs neither a check nor a conversion."""
        return (
            type(x) is np.ndarray
            and x.shape == self._shape
            and x.dtype == self._dtype
            and x.flags.carray
            and choices() is self._choices
        )
