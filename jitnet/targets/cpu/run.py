"""A written step at work: loaded, compiled, bound to arrays, and run by several threads at once."""

import contextlib
import functools
import re

import numpy as np

from ...core.locks import building
from ...core.values import Changes
from ...kernels.cpu.runtime.threads import get_num_threads
from ..base import Run, Runner
from . import thresholds
from .few_images import can_split
from .load import load
from .memory import Workspace, aligned_zeros
from .prepared import PreparedWeights, shared_weights
from .source import StepSource


class StepRunner(Runner):
    """Runs the functions of a step's module.

    fixed: arguments that are the same in every run: weights, states, constants.
    changes: of the variables in them.
    free: workspaces that no thread is using.
    weights: prepared copies of weights, shared with steps that prepare the same; None where the step needs none.
    """

    def __init__(self, source: StepSource, fixed: dict[str, np.ndarray], changes: dict[str, Changes]):
        self.source = source
        self.schedule = source.schedule
        self.places = {name: i for i, name in enumerate(source.arguments)}
        self.free: list[Workspace] = []
        self.fixed = fixed
        self.changes = changes
        self.weights = self._prepared_weights() if source.prepare_text else None
        self._module = None
        self._compiled = False
        self._entries: dict = {}  # of jitnet's own compiler: {name of a function of the step: native.Entry}
        self._threads: dict = {}  # {(batch, compiled, most): threads}
        self.by_section = False  # whether each section is called from Python

    @property
    def has_run(self) -> bool:
        return self._module is not None or bool(self._entries)

    @property
    def gradients(self) -> np.ndarray:
        return self.free[-1].gradients  # the workspace that was given back last

    # ---- loading and compiling

    @property
    def module(self):
        """The loaded module of the step."""
        if self._module is None:
            with building:
                if self._module is None:
                    source = self.source
                    module = load(source.text, source.functions, list(source.generated.values()))
                    self._compile_functions(module)
                    self._module = module
        return self._module

    def _compile_functions(self, module) -> None:
        """Compile users' own functions, so that what is wrong with one is said of it alone."""
        functions = self.source.functions
        if not functions:
            return
        from numba.core.errors import NumbaError

        from ...kernels.cpu.runtime.dispatchers import array_type

        for name, *arguments in self.source.kernel_calls:
            if name in functions:
                given = tuple(array_type(dtype, axes) for dtype, axes in arguments)
                try:
                    getattr(module, name).compile(given)
                except NumbaError as error:
                    received = ", ".join(map(str, given))
                    raise TypeError(
                        f"Numba cannot compile {self._described(name)}:\n{error}\nReceived: {received}"
                    ) from None

    def entry(self, name: str, arguments: list, before=(), objects: tuple = ()):
        """A function of the step by jitnet's own compiler; None where Numba compiles the step.

        before: {name: value} of arguments that come before ``arguments``.
        objects: names of arrays of which the record has the address of NumPy's object.
        """
        key = name, objects
        if key not in self._entries:
            with building:
                if key not in self._entries:
                    self._entries[key] = self._compiled_by_us(name, arguments, dict(before), objects)
        return self._entries[key]

    def _compiled_by_us(self, name: str, arguments: list, before: dict, objects: tuple):
        from ...kernels.compiler import TranslationError, type_of
        from ...kernels.cpu.runtime import native

        if native.compiler() == "numba" or self.source.functions:
            return None
        names = self.source.prepare_arguments if name == "prepare" else [*before, *self.source.arguments]
        types = [type_of(value) for value in (*before.values(), *arguments)]
        try:
            return native.entry(name, lambda: self.python(name), self.source.text, names, types, objects, self.tell)
        except TranslationError as error:
            native.note_fallback(error)
            return None

    def bound(self, entry, arguments: list, before=()):
        """An entry with its arguments, see ``entry``."""
        from ...kernels.cpu.runtime.native import Bound

        return Bound(entry, {**dict(before), **dict(zip(self.source.arguments, arguments, strict=True))})

    def python(self, name: str):
        """A function of the step as Python."""
        function = getattr(self.module, name)
        return getattr(function, "py_func", function)

    def compile(self, arguments) -> None:
        """Before the first run by Numba: what is not in the cache yet is compiled by several processes."""
        if self._compiled:
            return
        with building:
            if not self._compiled:
                self._compile(arguments)
                self._compiled = True

    def _compile(self, arguments) -> None:
        from ...kernels.cpu.runtime import precompile

        source = self.source
        # names that kernels' arguments use, with values of the right type
        scope = dict.fromkeys(["begin", "n", "first", "last", "chunk"], 1)
        scope |= dict(zip(source.arguments, arguments, strict=True))
        # those of one step
        scope |= {name: np.zeros(1) for name in ("hyperparameters", "results")}
        scope |= {**dict.fromkeys(source.hyperparameters, 1.0), "portions": 1, "preparing": np.zeros(0, np.uint8)}
        # users' functions are not cached, nor what calls them
        kernel_calls = [call for call in source.kernel_calls if call[0] not in source.functions]
        precompile.compile_kernels(self.module, kernel_calls, scope)
        if not source.functions:
            precompile.compile_functions(self.module, source.function_calls, scope)

    # ---- running

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

    def bind(self, workspace: Workspace, batch: int, threads: tuple[int, int], arrays: dict) -> list:
        """The step's positional arguments: ``arrays``, by name, and what depends on the batch size alone."""
        workspace.reserve(self.schedule, batch)
        key = (batch, threads)
        bound = workspace.bound.get(key)
        if bound is None:
            chunks = self.schedule.chunks(batch)
            bound = {**self.fixed, "batch": batch, "chunks": chunks, "threads": threads[0]}
            bound.update(blocks=self.schedule.blocks(), shares=thresholds.SHARES)
            bound["parts"] = thresholds.PARTS_OF_FEW if self.schedule.few else thresholds.PARTS
            bound["update_threads"] = threads[1]
            bound["arena"] = workspace.arena
            if workspace.gradients is not None:
                bound["gradients"] = workspace.gradients
                bound["chunk_gradients"] = workspace.chunk_gradients[:chunks]
            workspace.bound[key] = bound
        return [arrays[a] if a in arrays else bound[a] for a in self.source.arguments]

    @contextlib.contextmanager
    def running(self, batch: int, compiled: bool, arrays: dict, changes: dict):
        from ...kernels.cpu.runtime import workers

        threads = self.threads(batch, compiled)
        with self.explained(), self._prepared(arrays["hyperparameters"]) as prepared, self.workspace() as workspace:
            arrays = {**arrays, **prepared}
            run = StepRun(self, self.bind(workspace, batch, threads, arrays), compiled and "order" in self.places)
            run.compile()
            with workers.running(max(threads)):
                yield run

    # ---- prepared weights

    def _prepared_weights(self) -> PreparedWeights:
        source, schedule = self.source, self.schedule
        kernels = tuple(k.source for name, k in sorted(source.generated.items()) if name in source.prepare_text)
        read = [name for name in source.prepare_arguments if name in self.fixed]
        key = source.prepare_text, kernels, schedule.memory.prepared, *(id(self.fixed[name]) for name in read)
        words = set(re.findall(r"\w+", source.prepare_text))
        numbers = [i for i, name in enumerate(source.hyperparameters) if name in words]
        return shared_weights(key, schedule.memory.prepared, self.changes_of_prepared(), numbers)

    def changes_of_prepared(self) -> list[Changes]:
        """Of the variables that ``prepare`` reads."""
        return [self.changes[name] for name in self.source.prepare_arguments if name in self.changes]

    def compile_prepare(self, hyperparameters: np.ndarray) -> None:
        """Have ``prepare`` compiled by our own compiler, or its module loaded."""
        nothing = np.zeros(0, np.uint8)
        if self.entry("prepare", list(self._given_to_prepare(nothing, nothing, hyperparameters).values())) is None:
            self.module  # noqa: B018

    def prepare(self, memory: np.ndarray, hyperparameters: np.ndarray) -> None:
        """Write the prepared copies of the present weights."""
        from ...kernels.cpu.runtime import workers
        from ...kernels.cpu.runtime.native import Bound

        temporaries = aligned_zeros(self.schedule.memory.preparing, np.uint8)  # not kept
        given = self._given_to_prepare(memory, temporaries, hyperparameters)
        with workers.running(given.get("threads", 1)):
            entry = self.entry("prepare", list(given.values()))
            if entry is None:
                self.module.prepare(*given.values())
            else:
                Bound(entry, given)()

    def _given_to_prepare(self, memory, temporaries, hyperparameters) -> dict:
        given = {**self.fixed, "prepared": memory, "preparing": temporaries, "hyperparameters": hyperparameters}
        given["threads"] = get_num_threads() if len(memory) >= thresholds.PARALLEL_BYTES else 1
        given["portions"] = thresholds.PREPARED_PORTIONS
        return {name: given[name] for name in self.source.prepare_arguments}

    @contextlib.contextmanager
    def _prepared(self, hyperparameters: np.ndarray):
        """The argument ``prepared`` by its name, unless the step needs none, for as long as a run reads it.

        hyperparameters: of each step, or of all: without an optimizer they are the same.
        """
        if self.weights is None:
            yield {}
            return
        made = self.weights.take(self, np.atleast_2d(hyperparameters)[0])
        try:
            yield {"prepared": made.memory}
        finally:
            made.users.pop()

    @functools.cached_property
    def _can_be_few(self) -> bool:
        program = self.schedule.program
        pays = program.has_early_products or can_split(program)
        return self.schedule.work_per_sample >= thresholds.HEAVY_WORK and pays

    def suits_few(self, batch: int) -> bool:
        early = self.schedule.program.has_early_products
        most = thresholds.ROWS_PER_CHUNK_OF_LOOPS if early else thresholds.FEW_IMAGES
        return batch < most and self._can_be_few

    def quick_call(self, result: np.ndarray, arrays: dict) -> "QuickCall | None":
        return QuickCall(self, result, arrays) if len(result) else None

    def jitted(self, batch: int, given: dict, written: list[str], values: dict):
        from .jitted import jitted

        return jitted(self, batch, given, written, values)

    def library(self, *arguments):
        from .library import step_library

        return step_library(self, *arguments)

    def threads(self, batch: int, compiled: bool) -> tuple[int, int]:
        """Threads for the sections, and for the optimizer's update: no more than have something to do.

        All wait while others work: together they take ``MOST_WASTE`` times what one thread would, at most.
        """
        most = get_num_threads()
        key = batch, compiled, most
        if key not in self._threads:
            least = max(1, thresholds.SINGLE_CHUNK_WORK if compiled else thresholds.PARALLEL_WORK / 2)
            works, shared = self._works(batch), self.schedule.shared_work_per_sample * batch
            of_parts = [  # (work, in so many parts)
                (works[0] - shared, self.schedule.chunks(batch)), (shared, thresholds.SHARES),
                (works[1], self.schedule.blocks()),
            ]  # fmt: skip
            times = {1: sum(works)}  # by the number of threads
            for threads in range(2, min(most, int(sum(works) / least)) + 1):
                time = sum(-(-count // threads) / count * work for work, count in of_parts)
                if threads * time <= thresholds.MOST_WASTE * sum(works):
                    times[threads] = time
            chosen = min(times, key=times.get)
            self._threads[key] = tuple(min(chosen, max(1, int(work / least))) for work in works)
        return self._threads[key]

    def work(self, batch: int) -> float:
        return sum(self._works(batch))

    def _works(self, batch: int) -> tuple[float, float]:
        """Operations of the sections, and of the update."""
        schedule = self.schedule
        update = schedule.update_work_per_sample * batch + thresholds.UPDATE_WORK * schedule.layout.size
        return schedule.work_per_sample * batch, update

    # ---- exceptions of compiled code

    @contextlib.contextmanager
    def explained(self):
        """An exception that a kernel raises inside says which one it was."""
        try:
            yield
        except Exception as error:
            self.explain(error)
            raise

    def explain(self, error: Exception) -> None:
        """Note at an exception that Numba's code raised which kernel it was; our own compiler's has its note."""
        if not (self._compiled or self.by_section):
            return
        from ...kernels.cpu.runtime.dispatchers import raised_by

        name = raised_by()
        if name in self.source.functions:
            error.add_note(f"Raised by {self._described(name)}.")
        elif name is not None:
            error.add_note(f"Raised by the kernel {name!r}.")

    def _described(self, name: str) -> str:
        """A user's own function, by its name in the source."""
        found = re.fullmatch(r"(.*)_(forward|backward)(_\d+)?", name)
        role, operation = (found[2], found[1]) if found else ("own", name)
        given = self.source.functions[name]
        function = given.py_func
        place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
        calls = [call for call in self.schedule.program.calls if call.attributes.get("function") is given]
        used = "".join(f", in the layer {name!r} of the step" for name in dict.fromkeys(c.layer for c in calls) if name)
        return f"{function.__name__!r}, the {role} function of CustomOperation {operation!r} ({place}){used}"


class StepRun(Run):
    """A step with its arguments.

    many: whether ``many`` will be called, and not ``once``: what has a row for each step then, and what hasn't.
    """

    def __init__(self, runner: StepRunner, arguments: list, many: bool):
        self._runner, self._arguments, self._many = runner, arguments, many
        self._bound = None
        if many:
            place = runner.places["results"]
            arguments[place] = np.atleast_2d(arguments[place])
        elif "hyperparameters" in runner.places:
            place = runner.places["hyperparameters"]
            arguments[place] = np.atleast_2d(arguments[place])[0]

    def compile(self) -> None:
        """Before workers look out for work, which takes time from those who compile."""
        if not self._runner.by_section and self._entry() is None:
            self._runner.compile(self._arguments)

    def _entry(self):
        if self._many:
            return self._runner.entry("run_steps", self._arguments, {"count": 1, "steps_per_result": 1})
        return self._runner.entry("step", self._arguments)

    def once(self, **changed) -> None:
        runner = self._runner
        changed = {name: value for name, value in changed.items() if name in runner.places}  # that the step needs
        for name, value in changed.items():
            self._arguments[runner.places[name]] = value
        entry = None if runner.by_section else self._entry()
        if entry is None:
            runner.module.step(*self._arguments)
            return
        if self._bound is None:
            self._bound = runner.bound(entry, self._arguments)
        else:
            for name, value in changed.items():
                self._bound.put(name, value)
        self._bound()

    def many(self, count: int, steps_per_result: int) -> None:
        runner, arguments = self._runner, self._arguments
        before = {"count": count, "steps_per_result": steps_per_result}
        entry = self._entry()
        if entry is None:
            runner.module.run_steps(*before.values(), *arguments)
        else:
            runner.bound(entry, arguments, before)()


_ONE = 1, 1  # thread for the sections, and for the update


class QuickCall:
    """A step bound to one shape of its only input: one call of compiled code.

    values: every other argument of a run, by name; result: an array like the output.
    """

    def __init__(self, runner: StepRunner, result: np.ndarray, values: dict):
        self._runner, self._free, self._values = runner, runner.free, values
        self._batch, self._output = len(result), (result.shape, result.dtype)
        self._alone = runner.work(len(result)) < thresholds.PARALLEL_WORK

    def __call__(self, x: np.ndarray) -> np.ndarray:
        weights = self._runner.weights
        threads = _ONE if self._alone else self._runner.threads(self._batch, False)
        if weights is None:
            return self._run(x, None, threads)
        made = weights.take(self._runner, self._values["hyperparameters"])
        try:
            return self._run(x, made.memory, threads)
        finally:
            made.users.pop()

    def _run(self, x: np.ndarray, prepared, threads: tuple[int, int]) -> np.ndarray:
        try:
            workspace = self._free.pop()
        except IndexError:
            workspace = Workspace()
        try:
            found = workspace.bound.get(self._batch)
            if found is None or found[1] is not prepared or found[2] != threads:
                found = self._bind(workspace, x, prepared, threads)
            call = found[0]
            result = np.empty(*self._output)
            if threads == _ONE:
                call(x, result)
            else:
                from ...kernels.cpu.runtime import workers

                with workers.running(max(threads)):
                    call(x, result)
        except Exception as error:
            self._runner.explain(error)
            raise
        finally:
            self._free.append(workspace)
        return result

    def _bind(self, workspace: Workspace, x: np.ndarray, prepared, threads: tuple[int, int]) -> tuple:
        """(function of the input and the output, the prepared weights that it reads, its threads)."""
        runner = self._runner
        given = {"x": x, "predictions": np.empty(*self._output)}
        values = {**self._values, **given, "prepared": prepared}
        arguments = runner.bind(workspace, self._batch, threads, values)
        entry = runner.entry("step", arguments, objects=tuple(given))
        if entry is None:
            runner.compile(arguments)
            function, at = runner.module.step_compiled.dispatcher, runner.places["x"]
            before, after = arguments[:at], arguments[at + 2 :]  # "predictions" comes next

            def call(x, result):
                function(*before, x, result, *after)

        else:
            bound = runner.bound(entry, arguments)
            places, run = bound.places, entry.run
            inside, outside = entry.places["x"], entry.places["predictions"]

            def call(x, result):
                places[inside], places[outside] = id(x), id(result)
                run(bound.address)

        workspace.bound[self._batch] = found = call, prepared, threads
        return found
