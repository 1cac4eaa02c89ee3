"""Steps: a traced computation, planned, written out, loaded, and bound to arrays."""

import contextlib
import re

import numpy as np

from . import _interrupts
from ._locks import building
from .config import conv_algorithm
from .core.errors import invalid
from .core.program import Buffer, Expression, Out, Program, dependents
from .core.trace import topological_order
from .core.values import Constant, SymbolicTensor, Variable
from .kernels.cpu.runtime.threads import get_num_threads
from .kernels.literals import identifier, literal
from .targets.cpu import sections as plan
from .targets.cpu import select as fusion
from .targets.cpu import source as codegen

# operations below which a second thread costs more than it gains: waking it up takes some 50 us between calls from
# Python, and 2 us within compiled code (see plan.SINGLE_CHUNK_WORK)
PARALLEL_WORK = 3e6
UPDATE_WORK = 20  # per parameter, memory traffic included

# names that the generated source uses itself
RESERVED = (
    "batch", "chunk", "chunks", "blocks", "parts", "threads", "update_threads", "begin", "n", "capacity", "base",
    "size", "block", "order", "gradients", "chunk_gradients", "arena", "constants", "hyperparameters", "iterations",
    "seed", "t", "results", "predictions", "sample_weight", "parameters", "state", "view", "parallel_for",
    "flush_denormals", "compile_function", "compile_part", "step", "step_compiled", "run_steps", "steps_per_result",
    "first", "last", "update", "count", "i", "arguments", "float32", "float64", "int32", "int64", "uint8",
)  # fmt: skip


def aligned_zeros(count: int, dtype) -> np.ndarray:
    """A 1-D array of zeros that starts on a cache line."""
    dtype = np.dtype(dtype)
    raw = np.zeros(count * dtype.itemsize + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + count * dtype.itemsize].view(dtype)


def pack(variables) -> None:
    """Move variables that have no flat storage yet into one: trainable ones together, the others together.

    Variables that another model packed stay where they are, so that models can share layers, and that steps which
    other threads are running keep their memory.
    """
    with building:
        _pack(variables)


def _pack(variables) -> None:
    for trainable in (True, False):
        group = [v for v in variables if v.storage is None and v.trainable == trainable]
        for dtype in sorted({v.dtype for v in group}):
            members = [v for v in group if v.dtype == dtype]
            storage = aligned_zeros(sum(map(plan.padded_elements, members)), dtype)
            offset = 0
            for variable in members:
                variable.move(storage, offset)
                offset += plan.padded_elements(variable)


class Workspace:
    """The memory that a step computes in: between two runs nothing in it counts but the last run's gradients.

    A step has as many as threads have run it at once.  A run takes one and gives it back, so that threads share the
    step and never its memory; taking and giving back are single operations on a list, and need no lock.

    arena, gradients, chunk_gradients: what the step's arguments of these names are; enough for ``capacity`` samples.
    bound: arguments that don't change from run to run, by what they depend on.
    """

    def __init__(self):
        self.capacity = 0
        self.arena = self.gradients = self.chunk_gradients = None
        self.bound: dict = {}

    def reserve(self, step: "Step", batch: int) -> None:
        """Have room for ``batch`` samples."""
        if batch > self.capacity:
            self.arena = aligned_zeros(step.plan.arena_bytes(batch), np.uint8)
            self.capacity = batch
            self.bound = {}
            if step.trainable:
                dtype = step.layout.dtype
                self.gradients = aligned_zeros(step.layout.size, dtype)
                chunks = step.plan.chunks(batch)
                flat = aligned_zeros(chunks * step.plan.partial_size, dtype)
                self.chunk_gradients = flat.reshape(chunks, step.plan.partial_size)


class Step:
    """A computation over a batch, ready to run, by several threads at once.

    title: the first line of the generated source.
    inputs: {argument name: symbolic tensor}.  With ``gathered`` the arguments are whole datasets and ``order`` says
        which samples make the batch; without, they are the batch itself.
    outputs: symbolic tensors to return; argument names "predictions", "predictions_2", ...
    losses: [(values tensor (None,), weight)]: their weighted sum is differentiated and recorded as result 0.
    records: tensors (None,) whose sums are recorded as results 1, 2, ...
    seeds: for vector-Jacobian products: {output: symbolic tensor with the gradient}; an alternative to ``losses``.
    trainable: variables whose gradient is wanted; wanted_inputs: input tensors whose gradient is wanted.
    optimizer: updates ``trainable``; None only sums the gradients.
    penalties: [(variable, l1, l2)].
    fuse: use generated kernels and fuse calls; regions: group calls into regions that share memory (default: fuse).
    layer_names: {name of a layer: its name in the source}.
    reductions: per loss, "sum_over_batch_size" (default) or "sum".
    """

    def __init__(
        self, title, inputs, outputs=(), losses=(), records=(), seeds=None, trainable=(), wanted_inputs=(),
        optimizer=None, penalties=(), reductions=(), gathered=False, sample_weight=None, fuse=True, regions=None,
        layer_names=None,
    ):  # fmt: skip
        self.inputs = dict(inputs)
        self.optimizer = optimizer
        self.gathered = gathered
        self.trainable = list(trainable)
        self.fuse = fuse
        roots = [*outputs, *(v for v, _ in losses), *records]
        applications = topological_order(roots)
        if fuse:
            applications = fusion.pool_before_relu(applications, roots)
        self.random = any(a.operation.random for a in applications)  # whether its arguments seed and t matter
        leaves = [v for a in applications for v in a.inputs] + roots
        variables = list(dict.fromkeys([v for v in leaves if isinstance(v, Variable)] + self.trainable))
        constants = list(dict.fromkeys(v for v in leaves if isinstance(v, Constant)))
        pack(variables)
        self.variables = variables
        self.storages = {id(v.storage): v.storage for v in variables}
        self.storage_names = self._name_storages()
        self.layout = plan.gradient_layout(self.trainable, self.storage_names)

        wanted = dependents(applications, [*self.trainable, *wanted_inputs])
        names = [*RESERVED, *self.inputs]
        for own in (*optimizer.hyperparameter_names, *optimizer.slot_names) if optimizer else ():
            if own in names or identifier(own) != own:
                kind = type(optimizer).__name__
                raise invalid(f"{kind} needs names of its own for hyperparameters and slots: identifiers.", name=own)
            names.append(own)
        program = Program(wanted, names, layer_names)
        self.program = program
        names = list(self.inputs)
        self._emit_inputs(program, sample_weight)
        targets = self._place_outputs(program, outputs)
        lowered = program.lower(applications)
        self.output_arguments = self._emit_outputs(program, outputs, targets)
        self.results = self._emit_results(program, losses, records, penalties, sample_weight, reductions)
        if self.trainable or wanted_inputs:
            for value, gradient in (seeds or {}).items():
                target = program.gradient_target(value, batched=True)
                program.call("shape.copy_backward", program.buffer(gradient), target, target.accumulate)
            program.differentiate(lowered)
            self.gradient_arguments = self._emit_input_gradients(program, wanted_inputs)
            for variable, l1, l2 in penalties:
                if variable in self.layout.offsets:
                    out = program.gradient_target(variable, batched=False)
                    program.call("training.l1_l2_gradient", program.buffer(variable), out, l1, l2)
                    program.deferred.append(program.calls.pop())
        else:
            self.gradient_arguments = []
        if fuse:
            fusion.optimise(program)
        written = {b.source: None for call in program.calls for b in call.writes if b.kind == "variable"}
        self._states = list(written) if optimizer else []  # what a training step changes besides what it trains
        self.plan = plan.Plan(program, self.layout, fuse if regions is None else regions)

        self._constants, constant_offsets = _pack_constants(constants)
        slots = list(optimizer.slot_names) if optimizer else []
        self.slots = slots
        parts = ["parts"] if any(call.split for call in program.calls) else []
        self.arguments = ["batch", "chunks", "blocks", *parts, "threads", "update_threads", *names]
        self.arguments += ["sample_weight"] if sample_weight is not None else []
        self.arguments += ["order"] if gathered else []
        self.arguments += [*self.output_arguments, *self.gradient_arguments, *self.storage_names.values()]
        self.arguments += slots
        self.arguments += ["gradients", "chunk_gradients"] if self.trainable else []
        self.arguments += ["arena"] + (["constants"] if constants else [])
        self.arguments += ["hyperparameters", "iterations"] if optimizer else []
        self.arguments += ["seed", "t", "results"]
        update = (optimizer.kernel, slots, optimizer.update_arguments) if optimizer else None
        hyperparameters = optimizer.hyperparameter_names if optimizer else []
        writer = codegen.StepWriter(
            self.plan, title, self.arguments, self.storage_names, constant_offsets, hyperparameters, update
        )
        self.source = writer.source()
        self._functions = writer.functions
        self._kernel_calls, self._function_calls = list(writer.kernel_calls), writer.function_calls
        self._generated = list(writer.generated.values())
        self._module = None
        self._compiled = False
        self.free: list[Workspace] = []  # those that no thread is using
        self.seconds_per_step = 0.01  # a guess before the first run, so that a run returns often enough

    # ---- tracing to calls

    def _name_storages(self) -> dict:
        names, counts = {}, {"parameters": 0, "state": 0}
        for key in self.storages:
            kind = "parameters" if any(id(v.storage) == key and v.trainable for v in self.variables) else "state"
            counts[kind] += 1
            names[key] = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
        return names

    def _emit_inputs(self, program, sample_weight):
        values = dict(self.inputs)
        if sample_weight is not None:
            values["sample_weight"] = sample_weight
        for name, value in values.items():
            buffer_kind = "batch" if self.gathered else "external"
            shape = value.shape[1:]
            if self.gathered:
                buffer = program.temporary(f"{name}_batch", shape, value.dtype, buffer_kind)
                order = Expression("order[begin : begin + n]")
                program.call("memory.gather", Expression(name), order, Out(buffer))
            else:
                buffer = Buffer(name, shape, value.dtype, "external")
                # a view of the argument under its own name
                buffer = program.reshaped(buffer, shape, name=program.unique_name(f"{name}_chunk"))
            program.place(value, buffer)

    def _place_outputs(self, program, outputs) -> list[Buffer]:
        """The callers' arrays as buffers; what is computed as an output is computed there."""
        targets = []
        for index, value in enumerate(outputs):
            name = "predictions" if index == 0 else f"predictions_{index + 1}"
            external = Buffer(name, value.shape[1:], value.dtype, "external")
            targets.append(program.reshaped(external, value.shape[1:], name=program.unique_name(f"{name}_chunk")))
            first = all(value is not earlier for earlier in outputs[:index])
            if isinstance(value, SymbolicTensor) and value.producer is not None and first:
                program.place(value, targets[-1])
        return targets

    def _emit_outputs(self, program, outputs, targets) -> list[str]:
        """Copies of the outputs that lie elsewhere, being another tensor's memory; the argument names."""
        for value, target in zip(outputs, targets, strict=True):
            if program.buffer(value) is not target:
                program.call("shape.copy_forward", program.buffer(value), Out(target))
        return [target.root.name for target in targets]

    def _emit_input_gradients(self, program, wanted_inputs):
        names = []
        for value in wanted_inputs:
            name = program.unique_name(f"gradient_of_{value.name}")
            external = Buffer(name, value.shape[1:], value.dtype, "external")
            target = program.reshaped(external, value.shape[1:], name=program.unique_name(f"{name}_chunk"))
            gradient = program.gradient_of(value)
            if gradient is None:
                program.call("shape.fill", Out(target), 0.0)
            else:
                program.call("shape.copy_forward", gradient, Out(target))
            names.append(name)
        return names

    def _emit_results(self, program, losses, records, penalties, sample_weight, reductions):
        """Emit the sums that are reported, and seed the gradients of the losses."""
        means = [reduction == "sum_over_batch_size" for reduction in reductions] or [True] * len(losses)
        for (values, weight), mean in zip(losses, means, strict=True):
            buffer = program.buffer(values)
            weights = program.buffer(sample_weight)
            total = program.temporary(f"{buffer.name}_total", (1,), "float64", "chunk")
            program.call("training.weighted_total", buffer, weights, Out(total))
            # results are divided by the number of samples when they are read
            weight = literal(float(weight))
            factor = Expression(weight if mean else f"{weight} * batch")
            program.call("training.add_result", total, Expression("results"), 0, factor)
            if values in program.differentiated:
                target = program.gradient_target(values, batched=True)
                scale = Expression(f"{weight} / batch" if mean else weight)
                program.call("training.loss_gradient", weights, target, scale, target.accumulate)
        for index, values in enumerate(records, start=1):
            buffer = program.buffer(values)
            total = program.temporary(f"{buffer.name}_total", (1,), "float64", "chunk")
            # the loss of one of several outputs
            mean = next((mean for (value, _), mean in zip(losses, means, strict=True) if value is values), None)
            if mean is not None:
                program.call("training.weighted_total", buffer, program.buffer(sample_weight), Out(total))
            else:
                program.call("training.total", buffer, Out(total))
            factor = Expression("1.0 * batch") if mean is False else 1.0
            program.call("training.add_result", total, Expression("results"), index, factor)
        for variable, l1, l2 in penalties:
            program.call(
                "training.l1_l2_penalty", program.buffer(variable), l1, l2, Expression("results"), 0,
                Expression("batch"),
            )  # fmt: skip
        return 1 + len(records)

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
                    module = codegen.load(self.source, self._functions, self._generated)
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
            chunks = self.plan.chunks(batch)
            fixed = {"batch": batch, "chunks": chunks, "threads": threads}
            fixed.update(blocks=self.plan.blocks(), parts=plan.PARTS, update_threads=update_threads)
            fixed["arena"] = workspace.arena
            fixed["constants"] = self._constants
            for storage_id, name in self.storage_names.items():
                fixed[name] = self.storages[storage_id]
            if self.trainable:
                fixed["gradients"] = workspace.gradients
                fixed["chunk_gradients"] = workspace.chunk_gradients[:chunks]
            workspace.bound[key] = fixed
        if self.optimizer is not None:
            # another step may have moved the optimizer's state
            arrays = {**arrays, **self.optimizer.state_arguments(self.layout, self.trainable, self.variables)}
        return [arrays[a] if a in arrays else fixed[a] for a in self.arguments]

    def run(self, batch: int, count: int, arrays: dict, compiled: bool, steps_per_result: int | None = None) -> None:
        """Run ``count`` steps of ``batch`` samples; ``order`` and ``hyperparameters`` have one part per step.

        steps_per_result: in compiled mode, ``results`` has one row for so many steps; None: one for all.
        """
        from .kernels.cpu.runtime import workers

        threads = max(self._threads(batch, compiled))
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
            if self.optimizer is not None:
                arguments[places["hyperparameters"]] = arrays["hyperparameters"][i]
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
        scope |= dict.fromkeys(self.optimizer.hyperparameter_names if self.optimizer else (), 1.0)
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
        least = plan.SINGLE_CHUNK_WORK if compiled else PARALLEL_WORK
        return tuple(get_num_threads() if work >= least else 1 for work in self._works(batch))

    def _works(self, batch: int) -> tuple[float, float]:
        """Operations of the regions, and of the update."""
        update = self.plan.update_work_per_sample * batch + UPDATE_WORK * self.layout.size
        return self.plan.work_per_sample * batch, update

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
        self._input = (batch, *value.shape[1:]), np.dtype(value.dtype), conv_algorithm()
        self._output = result.shape, result.dtype
        self._batch = batch
        self._step, self._free = step, step.free
        self._function = step.module.step_compiled

    @classmethod
    def of(cls, step: Step, result) -> "QuickPrediction | None":
        """For batches of the size of ``result``; None where Python's share of the time doesn't matter.

        None also where every call draws new random numbers.
        """
        small = isinstance(result, np.ndarray) and len(step.inputs) == 1 and step.work(len(result)) < PARALLEL_WORK
        return cls(step, result) if small and len(result) and not step.random else None

    def takes(self, x) -> bool:
        """Whether x needs neither a check nor a conversion."""
        return type(x) is np.ndarray and (x.shape, x.dtype, conv_algorithm()) == self._input and x.flags.carray

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
        arguments = step.bind(workspace, self._batch, **values)
        at = step.arguments.index("x")  # "predictions" comes next
        bound = workspace.bound[self._batch] = tuple(arguments[:at]), tuple(arguments[at + 2 :])
        return bound


def _pack_constants(constants):
    """All constants in one byte array, and where each lies."""
    offsets, size = {}, 0
    for constant in constants:
        offsets[constant] = size
        size += plan.aligned(constant.array.nbytes)
    packed = aligned_zeros(max(size, 64), np.uint8)
    for constant, offset in offsets.items():
        raw = constant.array.reshape(-1).view(np.uint8)
        packed[offset : offset + raw.size] = raw
    return packed, offsets
