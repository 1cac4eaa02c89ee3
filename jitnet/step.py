"""Steps: a computation made a program, scheduled, written out, loaded, and bound to arrays."""

import contextlib
import re

import numpy as np

from . import _interrupts, schedules
from ._locks import building
from .builder import Builder, Computation
from .config import conv_algorithm
from .core.errors import unknown_name
from .kernels.cpu.runtime.threads import get_num_threads
from .targets.cpu import thresholds
from .targets.cpu.load import load
from .targets.cpu.memory import Workspace, pack, pack_constants
from .targets.cpu.parameters import gradient_layout
from .targets.cpu.schedule import Schedule
from .targets.cpu.source import RESERVED, StepWriter
from .targets.cpu.target import CPU


class Step:
    """A computation over a batch, ready to run, by several threads at once.

    title: the first line of the generated source.
    fuse: rewrite the program for speed; regions: group calls into sections that share memory (True), give each call a
        section of its own (False), or write one function for all, in one chunk (None).  Default: True if fused.
    """

    def __init__(self, title: str, computation: Computation, fuse: bool = True, regions: bool | None = None):
        self.inputs = dict(computation.inputs)
        self.gathered = computation.gathered
        self.fuse = fuse
        target = CPU(conv_algorithm())
        built = Builder(computation, fuse, RESERVED)
        self.random = built.random
        self.variables = built.variables
        self.results, self.places = built.results, built.places
        self.has_loss = bool(computation.losses)
        self.logs: list = []  # how results are read, set by whoever made the computation
        self.output_arguments, self.gradient_arguments = built.output_arguments, built.gradient_arguments
        self.program = built.program
        self._states = built.states
        self._settings = built.settings
        self.states = built.updates.states
        self.optimizer = self.states[0].optimizer if self.states else None
        self._structures = [state.optimizer.structure for state in self.states]
        updated = [variable for state in self.states for variable in state.variables]
        self.trainable = list(dict.fromkeys([*computation.trainable, *built.lowering.first_gradients, *updated]))
        with building:
            pack(self.variables)
        self.storages = {id(v.storage): v.storage for v in self.variables}
        self.storage_names = self._name_storages()
        self.layout = gradient_layout(self.trainable, self.storage_names)
        if fuse:
            target.rewrite(self.program)
        self.schedule = Schedule(self.program, self.layout, (True if fuse else None) if regions is None else regions)

        self._constants, constant_offsets = pack_constants(built.constants) if built.constants else (None, {})
        self.hyperparameters = list(self._settings)
        self.present = np.zeros(len(self.hyperparameters))  # their values in predictions, for ``QuickPrediction``
        self.slots = [argument for state in self.states for argument in state.slots.values()]
        self.arguments = self._name_arguments(computation)
        writer = StepWriter(
            self.schedule, title, self.arguments, self.storage_names, constant_offsets, self.hyperparameters
        )
        self.source = writer.source()
        self.arguments = writer.arguments  # but for those that nothing uses
        self._functions = writer.functions
        self._kernel_calls, self._function_calls = list(writer.kernel_calls), writer.function_calls
        self._specialised, self._kernels = writer.generated, writer.kernels
        self._module = None
        self._compiled = False
        self.free: list[Workspace] = []  # those that no thread is using
        self.seconds_per_step = 0.01  # a guess before the first run, so that a run returns often enough

    def fits_optimizers(self) -> bool:
        """Whether its optimizers still are what the program was written from."""
        return self._structures == [state.optimizer.structure for state in self.states]

    def _name_storages(self) -> dict:
        names, counts = {}, {"parameters": 0, "state": 0}
        for key in self.storages:
            kind = "parameters" if any(id(v.storage) == key and v.trainable for v in self.variables) else "state"
            counts[kind] += 1
            names[key] = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
        return names

    def _name_arguments(self, computation: Computation) -> list[str]:
        """The arguments of the step, in order."""
        parts = ["parts"] if any(section.count == "parts" for section in self.schedule.sections) else []
        names = ["batch", "chunks", "blocks", *parts, "threads", "update_threads", *self.inputs]
        names += ["sample_weight"] if computation.sample_weight is not None else []
        names += ["order"] if self.gathered else []
        names += [*self.output_arguments, *self.gradient_arguments, *self.storage_names.values(), *self.slots]
        names += ["gradients", "chunk_gradients"] if self.trainable else []
        names += ["arena"] + (["constants"] if self._constants is not None else [])
        names += ["hyperparameters"] if self.hyperparameters else []
        names += [state.iterations for state in self.states]
        return [*names, "seed", "t", "results"]

    def kernel_source(self, name: str) -> str:
        """The source of the kernel that the step calls by this name; of a specialised one, of its whole module."""
        if name in self._specialised:
            return self._specialised[name].source
        if name not in self._kernels:
            raise unknown_name("kernel of the step", name, [*self._kernels, *self._specialised])
        from importlib import import_module

        from .kernels.cpu.runtime.jit import kernel_source

        module, function = self._kernels[name]
        return kernel_source(getattr(import_module(f"jitnet.kernels.cpu.{module}"), function))

    # ---- running

    @property
    def has_run(self) -> bool:
        """Whether it was loaded, in order to run."""
        return self._module is not None

    @property
    def module(self):
        """The loaded module of the step."""
        if self._module is None:
            with building:
                if self._module is None:
                    module = load(self.source, self._functions, list(self._specialised.values()))
                    self._compile_functions(module)
                    self._module = module
        return self._module

    @contextlib.contextmanager
    def workspace(self):
        """A workspace that no other thread uses meanwhile."""
        try:
            taken = self.free.pop()
        except IndexError:
            taken = Workspace()
        try:
            yield taken
        finally:
            self.free.append(taken)

    def bind(self, workspace: Workspace, batch: int, compiled: bool = False, **arrays) -> list:
        """The step's positional arguments for a batch size; ``arrays`` are the data arguments by name."""
        workspace.reserve(self, batch)
        threads, update_threads = self._threads(batch, compiled)
        key = (batch, threads, update_threads)
        fixed = workspace.bound.get(key)
        if fixed is None:
            chunks = self.schedule.chunks(batch)
            fixed = {"batch": batch, "chunks": chunks, "threads": threads}
            fixed.update(blocks=self.schedule.blocks(), parts=thresholds.PARTS, update_threads=update_threads)
            fixed["arena"] = workspace.arena
            fixed["constants"] = self._constants
            for storage_id, name in self.storage_names.items():
                fixed[name] = self.storages[storage_id]
            if self.trainable:
                fixed["gradients"] = workspace.gradients
                fixed["chunk_gradients"] = workspace.chunk_gradients[:chunks]
            workspace.bound[key] = fixed
        for state in self.states:
            # another step may have moved the optimizer's state
            found = state.optimizer.state_arguments(self.layout, state.variables, self.variables)
            arrays = {**arrays, state.iterations: found.pop("iterations")}
            arrays |= {state.slots[slot]: array for slot, array in found.items()}
        return [arrays[a] if a in arrays else fixed[a] for a in self.arguments]

    def run(
        self, batch: int, count: int, arrays: dict, compiled: bool, steps_per_result: int | None = None,
        iteration: int = 0,
    ) -> None:  # fmt: skip
        """Run ``count`` steps of ``batch`` samples from step ``t`` on; ``order`` has one part per step.

        steps_per_result: in compiled mode, ``results`` has one row for so many steps; None: one for all.
        iteration: without an optimizer, the step at which schedules are read.
        """
        from .kernels.cpu.runtime import workers

        threads = max(self._threads(batch, compiled))
        arrays = {**arrays, "hyperparameters": self.hyperparameter_table(arrays["t"], count, iteration)}
        with self.workspace() as workspace, self.explained():
            arguments = self.bind(workspace, batch, compiled, **arrays)
            self._compile_once(arguments)
            if compiled and self.gathered:
                at = self.arguments.index("results")
                arguments[at] = np.atleast_2d(arguments[at])
                with workers.running(threads):
                    self.module.run_steps(count, steps_per_result or count, *arguments)
            else:
                with workers.running(threads):
                    self._run_plain(batch, count, arrays, arguments)

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

    @contextlib.contextmanager
    def explained(self):
        """An exception that a kernel raises inside says which one it was."""
        try:
            yield
        except Exception as error:
            self.explain(error)
            raise

    def _run_plain(self, batch: int, count: int, arrays: dict, arguments: list) -> None:
        """Call the functions of the step one after the other from Python."""
        step = self.module.step
        places = {name: i for i, name in enumerate(self.arguments)}
        first = arrays["t"]
        states = [v.value for v in self._states]
        before = [value.copy() for value in states]
        for i in range(count):
            if i:
                _interrupts.check()
            if self.gathered:
                arguments[places["order"]] = arrays["order"][i * batch : (i + 1) * batch]
            if self.hyperparameters:
                arguments[places["hyperparameters"]] = arrays["hyperparameters"][i]
            if "t" in places:
                arguments[places["t"]] = first + i
            for copy, value in zip(before, states, strict=True):
                np.copyto(copy, value)
            counted = self.optimizer.iterations if states else None
            try:
                step(*arguments)
            except BaseException:  # Ctrl-C among them: moving statistics belong to the steps that are counted
                if states and self.optimizer.iterations == counted:
                    for copy, value in zip(before, states, strict=True):
                        np.copyto(value, copy)
                raise

    def explain(self, error: Exception) -> None:
        """Note at an exception that compiled code raised which kernel it was."""
        from .kernels.cpu.runtime.jit import raised_by

        name = raised_by()
        if name in self._functions:
            error.add_note(f"Raised by {self._described(name)}.")
        elif name is not None:
            error.add_note(f"Raised by the kernel {name!r}.")

    def _described(self, name: str) -> str:
        """A user's own function, by its name in the source."""
        found = re.fullmatch(r"(.*)_(forward|backward)(_\d+)?", name)
        role, operation = (found[2], found[1]) if found else ("own", name)
        function = self._functions[name].py_func
        place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
        return f"{function.__name__!r}, the {role} function of CustomOperation {operation!r} ({place})"

    def _compile_functions(self, module) -> None:
        """Compile users' own functions, so that what is wrong with one is said of it alone."""
        if not self._functions:
            return
        from numba.core.errors import NumbaError

        from .kernels.cpu.runtime.jit import array_type

        for name, *arguments in self._kernel_calls:
            if name in self._functions:
                given = tuple(array_type(dtype, axes) for dtype, axes in arguments)
                try:
                    getattr(module, name).compile(given)
                except NumbaError as error:
                    received = ", ".join(map(str, given))
                    raise TypeError(
                        f"Numba cannot compile {self._described(name)}:\n{error}\nReceived: {received}"
                    ) from None

    def _compile_once(self, arguments) -> None:
        """Before the first run: what is not in the cache yet is compiled by several processes."""
        if self._compiled:
            return
        with building:
            if not self._compiled:
                self._compile(arguments)
                self._compiled = True

    def _compile(self, arguments) -> None:
        from .kernels.cpu.runtime import precompile

        # names that kernels' arguments use, with values of the right type
        scope = dict.fromkeys(["begin", "n", "first", "last", "chunk"], 1)
        scope |= dict(zip(self.arguments, arguments, strict=True))
        # those of one step
        scope |= {name: np.zeros(1) for name in ("hyperparameters", "results")}
        scope |= dict.fromkeys(self.hyperparameters, 1.0)
        # users' functions are not cached, nor what calls them
        kernel_calls = [call for call in self._kernel_calls if call[0] not in self._functions]
        precompile.compile_kernels(self.module, kernel_calls, scope)
        if not self._functions:
            precompile.compile_functions(self.module, self._function_calls, scope)

    def work(self, batch: int) -> float:
        """Operations of the regions and of the update for a batch."""
        return sum(self._works(batch))

    def _threads(self, batch: int, compiled: bool) -> tuple[int, int]:
        """Threads for the regions, and for the optimizer's update: one where more would not pay."""
        least = thresholds.SINGLE_CHUNK_WORK if compiled else thresholds.PARALLEL_WORK
        return tuple(get_num_threads() if work >= least else 1 for work in self._works(batch))

    def _works(self, batch: int) -> tuple[float, float]:
        """Operations of the regions, and of the update."""
        update = self.schedule.update_work_per_sample * batch + thresholds.UPDATE_WORK * self.layout.size
        return self.schedule.work_per_sample * batch, update

    def variable_gradients(self) -> dict:
        """{variable: gradient} of the last run."""
        found = {}
        for variable in self.trainable:
            start = self.layout.offsets[variable]
            # the workspace that was given back last
            found[variable] = self.free[-1].gradients[start : start + variable.size].reshape(variable.shape)
        return found


class QuickPrediction:
    """A prediction step bound to one shape of its only input: one call of compiled code, in the caller's thread."""

    def __init__(self, step: Step, result: np.ndarray):
        (value,) = step.inputs.values()
        batch = len(result)
        self._shape, self._dtype, self._algorithm = (batch, *value.shape[1:]), np.dtype(value.dtype), conv_algorithm()
        self._output = result.shape, result.dtype
        self._batch = batch
        self._step, self._free = step, step.free
        self._function = step.module.step_compiled
        step.present[:] = step.hyperparameter_table(0, 1)[0]

    @classmethod
    def of(cls, step: Step, result) -> "QuickPrediction | None":
        """For batches of the size of ``result``; None where Python's share of the time doesn't matter.

        None also where every call draws new random numbers, or reads a schedule.  Whoever assigns a setting makes
        another one.
        """
        if not isinstance(result, np.ndarray) or len(step.inputs) != 1 or step.random or step.follows_schedules():
            return None
        return cls(step, result) if len(result) and step.work(len(result)) < thresholds.PARALLEL_WORK else None

    def takes(self, x) -> bool:
        """Whether x needs neither a check nor a conversion."""
        return (
            type(x) is np.ndarray
            and x.shape == self._shape
            and x.dtype == self._dtype
            and x.flags.carray
            and conv_algorithm() == self._algorithm
        )

    def __call__(self, x):
        try:
            workspace = self._free.pop()
        except IndexError:
            workspace = Workspace()
        try:
            before, after = workspace.bound.get(self._batch) or self._bind(workspace)
            result = np.empty(*self._output)
            self._function(*before, x, result, *after)
        except Exception as error:
            self._step.explain(error)
            raise
        finally:
            self._free.append(workspace)
        return result

    def _bind(self, workspace: Workspace) -> tuple:
        """The arguments before and after the input and the output."""
        step = self._step
        values = dict(x=None, seed=0, t=0, results=np.zeros(step.results), predictions=None)
        arguments = step.bind(workspace, self._batch, **values, hyperparameters=step.present)
        at = step.arguments.index("x")  # "predictions" comes next
        bound = workspace.bound[self._batch] = tuple(arguments[:at]), tuple(arguments[at + 2 :])
        return bound
