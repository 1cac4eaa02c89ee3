"""The step as source: a plan written out as one Python module, and that module made.

The same source runs in both modes: *plain*, where Python calls one compiled function per section, and *compiled*,
where ``run_steps`` is compiled as a whole and runs many minibatches in one call.
"""

import hashlib
import linecache
import re
import sys
import weakref

from ...core.program import Buffer, Call, Expression, Out, Split
from ...core.values import ITEMSIZE
from ...kernels.cpu.runtime.generated import generated_module, module_name, specialised_module
from ...kernels.literals import docstring, identifier, literal
from ...kernels.literals import name as checked_name
from .sections import ALIGNMENT, Plan, Section

_MODULES = weakref.WeakValueDictionary()  # what steps use; a module ends with the last of them
LINE = 118


def _wrapped(prefix: str, names: list[str], suffix: str, indent: str) -> list[str]:
    """A call or a signature on one line, or folded onto several."""
    line = f"{indent}{prefix}({', '.join(names)}){suffix}"
    if len(line) <= LINE:
        return [line]
    lines, current = [f"{indent}{prefix}("], indent + "   "
    for name in names:
        if len(current) + len(name) + 2 > LINE:
            lines.append(current)
            current = indent + "   "
        current += f" {name},"
    return [*lines, current, f"{indent}){suffix}"]


def _unique(table: dict, name: str, value) -> str:
    """Enter ``value`` under ``name``, or under name_2, name_3, ... where other values have the name."""
    wanted, number = name, 1
    while table.setdefault(name, value) != value:
        number += 1
        name = f"{wanted}_{number}"
    return name


class StepWriter:
    """Writes the module of a plan.

    arguments: the step's argument names, in order.
    storage_names: id(storage) -> argument name, for variables.
    constant_offsets: Constant -> byte offset in the ``constants`` argument.
    hyperparameters: names, in the order of the ``hyperparameters`` argument.
    """

    def __init__(self, plan: Plan, title: str, arguments, storage_names, constant_offsets, hyperparameters, update):
        self.plan = plan
        self.title = title
        self.arguments = [checked_name(a) for a in arguments]
        self.storage_names = storage_names
        self.constant_offsets = constant_offsets
        self.hyperparameters = [checked_name(n) for n in hyperparameters]
        self.update = update  # None, or the optimizer's (kernel, slot names, scalar arguments)
        self.kernels: dict[str, tuple] = {}  # name in the source -> (module, function)
        self.functions: dict[str, object] = {}  # users' own @njit functions
        self.generated: dict[str, object] = {}  # plans of generated kernels by name
        self.kernel_calls: dict[tuple, None] = {}  # (name, what decides the type of each argument), in order
        self.function_calls: list[tuple] = []  # (name, argument names) of the functions that the step calls
        self._name_sections()
        own = [*plan.program.reserved, *self.arguments, *self.hyperparameters, "block_gradients"]
        own += [f"block_{slot}" for slot in (update[1] if update else ())]
        functions = [section.name for section in plan.sections] + ["sum_chunk_gradients", "whole_gradients", "update"]
        own += [*functions, *(f"{function}_chunk" for function in functions)]
        self._names: dict[str, object] = {name: name for name in own}  # name in the source -> what has it
        self._buffer_names: dict[Buffer, str] = {}
        sections = [call for section in plan.sections for call in section.calls]
        for call in [*sections, *plan.program.products, *plan.program.deferred]:
            self._kernel(call)  # before the buffers get their names
        self.kernel_names = set(self._names).difference(own)

    # ---- one buffer, one argument, one call

    def _place(self, buffer: Buffer, serial: bool) -> tuple[str, str, tuple]:
        """(argument that holds it, byte offset, shape with the batch axis), as source."""
        memory, root = self.plan.memory, buffer.root
        sizes, dtype = tuple(map(literal, buffer.shape)), buffer.dtype
        shape = sizes or ("1",)  # kernels take arrays of at least one axis
        if buffer.kind in ("batch", "external"):
            samples = "batch" if serial else "n"
            shape = (samples if buffer.rows == 1 else f"{samples} * {literal(buffer.rows)}", *sizes)
        if buffer.kind == "batch" and root.in_one_piece:
            offset = f"{memory.whole} + {memory.offsets[root]} * batch"
            return "arena", offset if serial else f"{offset} + begin * {root.nbytes}", shape
        if buffer.kind == "batch":
            return "arena", f"base + {memory.offsets[root]} * capacity", shape
        if buffer.kind == "external":
            return checked_name(root.name), "0" if serial else f"begin * {root.nbytes}", shape
        if buffer.kind == "whole":
            return "arena", f"{memory.offsets[root]}", shape
        if buffer.kind == "chunk":
            offset = f"{self._after_whole()} + {memory.offsets[root]} * chunks"
            if serial:
                return "arena", offset, ("chunks", *sizes)
            return "arena", f"{offset} + chunk * {root.nbytes}", shape
        if buffer.kind == "variable":
            variable = buffer.source
            return self.storage_names[id(variable.storage)], f"{variable.storage_offset * ITEMSIZE[dtype]}", shape
        if buffer.kind == "gradient" and serial:
            return "gradients", f"{self.plan.layout.offsets[buffer.source] * ITEMSIZE[dtype]}", shape
        if buffer.kind == "gradient":
            partial = self.plan.partials[buffer.source] * ITEMSIZE[dtype]
            return "chunk_gradients", f"chunk * {self.plan.partial_size * ITEMSIZE[dtype]} + {partial}", shape
        return "constants", f"{self.constant_offsets[buffer.source]}", shape

    def _view(self, buffer: Buffer, serial: bool) -> str:
        base, offset, shape = self._place(buffer, serial)
        inside = ", ".join(shape) + ("," if len(shape) == 1 else "")
        return f"view({base}, {offset}, ({inside}), {checked_name(buffer.dtype)})"

    def _after_whole(self) -> str:
        """Where the part of the arena starts that depends on the number of chunks."""
        memory = self.plan.memory
        return f"{memory.whole} + {memory.in_one_piece} * batch" if memory.in_one_piece else f"{memory.whole}"

    def _argument(self, argument) -> str:
        if isinstance(argument, Out):
            return self._name(argument.buffer)
        if isinstance(argument, Buffer):
            return self._name(argument)
        if isinstance(argument, Expression):
            return argument.source
        return literal(argument)

    def _name(self, buffer: Buffer) -> str:
        """Buffers of one name are told apart by what they view."""
        if buffer not in self._buffer_names:
            wanted = identifier(buffer.name)
            wanted = f"{wanted}_values" if wanted in self.kernel_names else wanted
            view = buffer.root, buffer.shape, buffer.rows, buffer.dtype
            self._buffer_names[buffer] = _unique(self._names, wanted, view)
        return self._buffer_names[buffer]

    def _kernel(self, call: Call) -> str:
        """The name of what a call calls, which is imported or defined under it."""
        if call.function is not None:
            name = _unique(self._names, identifier(call.kernel), call.function)
            self.functions[name] = call.function
        elif call.plan is not None:
            name = _unique(self._names, checked_name(call.plan.name), call.plan)
            self.generated[name] = call.plan
        else:
            name = self._library_kernel(call.kernel)
        return name

    def _library_kernel(self, kernel: str) -> str:
        module, function = map(checked_name, kernel.split("."))
        name = _unique(self._names, function, (module, function))
        self.kernels[name] = module, function
        return name

    def _calls(self, calls: list[Call], serial: bool) -> list[str]:
        lines, seen = [], set()
        for call in calls:
            for buffer in call.buffers:
                name = self._name(buffer)
                if name not in seen:
                    seen.add(name)
                    lines.append(f"    {name} = {self._view(buffer, serial)}")
            arguments = [self._argument(a) for a in call.arguments]
            name = self._kernel(call)
            lines += _wrapped(name, arguments, "", "    ")
            self.kernel_calls[name, *(self._kind(a, serial) for a in call.arguments)] = None
        return lines

    def _kind(self, argument, serial: bool):
        """What decides the type of an argument: an expression, or (dtype, axes) of an array."""
        buffer = argument.buffer if isinstance(argument, Out) else argument
        if isinstance(buffer, Buffer):
            return buffer.dtype, len(self._place(buffer, serial)[2])
        return self._argument(argument)

    # ---- functions

    def _used(self, lines: list[str]) -> list[str]:
        words = set(re.findall(r"\w+", "\n".join(lines)))
        return [a for a in self.arguments if a in words]

    def _hyperparameters(self, lines: list[str]) -> list[str]:
        words = set(re.findall(r"\w+", "\n".join(lines)))
        return [f"    {n} = hyperparameters[{i}]" for i, n in enumerate(self.hyperparameters) if n in words]

    def _chunked(
        self, name: str, head: list[str], body: list[str], counts: tuple, after=()
    ) -> tuple[list[str], str]:
        """A function over chunks, its launcher, and the line of the step that calls the launcher.

        after: what the launcher does when all chunks have run.
        """
        lines = self._hyperparameters(body) + head + body
        used = [a for a in self._used(lines) if a not in ("chunks", "blocks", "parts", "threads", "update_threads")]
        source = ["@compile_part"]
        source += _wrapped(f"def {name}_chunk", ["chunk", "chunks", *used], ":", "")
        source += [*lines, "", "", "@compile_function"]
        whole = [*used, *(a for a in self._used(after) if a not in used)]
        source += _wrapped(f"def {name}", ["chunks", "threads", *whole], ":", "")
        source += _wrapped("arguments = ", used, "", "    ")
        source += [f"    parallel_for({name}_chunk, chunks, threads, arguments)", *after, "", ""]
        return source, self._step_line(name, [*counts, *whole])

    def _step_line(self, name: str, arguments: list[str]) -> str:
        """The line of the step that calls one of its functions."""
        self.function_calls.append((name, arguments))
        return "\n".join(_wrapped(name, arguments, "", "    "))

    def _split(self, section: Section) -> tuple[list[str], str]:
        """A function over parts of a weight's rows, for the whole batch."""
        head = self._rows(section.split)
        return self._chunked(section.name, head, self._calls(section.calls, serial=True), ("parts", "threads"))

    def _rows(self, split: Split) -> list[str]:
        """Lines that set the first and the last row of a part."""
        groups = -(-split.rows // split.together)
        last = f"min({groups} * (chunk + 1) // chunks * {split.together}, {split.rows})"
        return [f"    first = {groups} * chunk // chunks * {split.together}", f"    last = {last}"]

    def _region(self, section: Section) -> tuple[list[str], str]:
        memory = self.plan.memory
        head = [
            "    begin = batch * chunk // chunks",
            "    n = batch * (chunk + 1) // chunks - begin",
        ]
        body = self._calls(section.calls, serial=False)
        if any("capacity" in line for line in body):
            head += [
                "    capacity = (batch + chunks - 1) // chunks",
                f"    base = {self._after_whole()} + {memory.chunk} * chunks + chunk * {memory.batch} * capacity",
            ]
        return self._chunked(section.name, head, body, ("chunks", "threads"))

    def _serial(self, section: Section) -> tuple[list[str], str]:
        lines = self._calls(section.calls, serial=True)
        lines = self._hyperparameters(lines) + lines
        used = self._used(lines)
        source = ["@compile_function", *_wrapped(f"def {section.name}", used, ":", "")]
        source += ["    flush_denormals()", *lines, "", ""]
        return source, self._step_line(section.name, used)

    def _update(self, name: str, sums: bool, optimizer: bool) -> tuple[list[str], str]:
        """Get the whole batch's gradients and let the optimizer update the parameters, block by block."""
        body = []
        dtype = self.plan.layout.dtype
        itemsize = ITEMSIZE[dtype]
        line = ALIGNMENT // itemsize  # elements of a cache line: blocks start on one

        def block(array, start):
            return f"view({array}, ({start} + begin) * {itemsize}, (size,), {dtype})"

        for piece in self.plan.pieces:
            if piece.product is not None:
                body += self._product(piece.product, compute=sums)
            else:
                body += [
                    f"    begin = {piece.length // line} * chunk // chunks * {line}",
                    f"    size = {piece.length // line} * (chunk + 1) // chunks * {line} - begin",
                ]
            body.append(f"    block_gradients = {block('gradients', piece.gradient)}")
            if sums and piece.product is None:
                function = self._library_kernel("training.sum_gradients")
                body.append(f"    {function}(chunk_gradients, {piece.partial} + begin, block_gradients)")
                self.kernel_calls[function, (dtype, 2), "begin", (dtype, 1)] = None
            if optimizer:
                kernel, slots, scalars = self.update
                body.append(f"    block = {block(piece.storage, piece.start)}")
                body += [f"    block_{slot} = {block(slot, piece.gradient)}" for slot in slots]
                function = self._library_kernel(kernel)
                names = [f"block_{slot}" for slot in slots]
                scalars = [self._argument(s) for s in scalars]
                body += _wrapped(function, ["block", "block_gradients", *names, *scalars], "", "    ")
                self.kernel_calls[function, *[(dtype, 1)] * (2 + len(slots)), *scalars] = None
        # counted here, so that no interruption comes between the weights and their count
        after = ["    iterations[0] += 1"] if optimizer else []
        return self._chunked(name, [], body, ("blocks", "update_threads"), after)

    def _product(self, call: Call, compute: bool) -> list[str]:
        """Which rows of a weight's gradient make the block, and the call that computes them."""
        columns = call.arguments[2].buffer.shape[1]
        lines = self._rows(call.split)
        lines += self._calls([call], serial=True) if compute else []
        return [*lines, f"    begin = first * {columns}", f"    size = (last - first) * {columns}"]

    def source(self) -> str:
        """The module's source."""
        functions, step = [], []

        def add(part):
            functions.extend(part[0])
            step.append(part[1])

        for section in self.plan.sections:
            write = self._region if section.batched else self._split if section.split else self._serial
            add(write(section))
        if self.plan.layout.size:
            deferred = self.plan.program.deferred
            if deferred or self.update is None:
                add(self._update("sum_chunk_gradients", sums=True, optimizer=False))
            if deferred:
                add(self._serial(Section(deferred, False, "whole_gradients")))
            if self.update is not None:
                add(self._update("update", sums=not deferred, optimizer=True))

        signature = _wrapped("def step", self.arguments, ":", "")
        functions += [*signature, *step, "", "", "step_compiled = compile_function(step)", "", ""]
        functions += self._run_steps()
        body = "\n".join(functions)
        used = set(re.findall(r"\w+", body))
        dtypes = [d for d in ITEMSIZE if d != "bool" and d in used]
        imports = [f"from numpy import {', '.join(dtypes)}", ""] if dtypes else []
        decorator = "compile_uncached as compile_function" if self.functions else "compile_function"
        decorators = [decorator, "compile_part"] if "@compile_part" in body else [decorator]
        parallel = [name for name in ("flush_denormals", "parallel_for") if name in used]
        modules: dict[str, list] = {"runtime.jit": decorators, "memory": ["view"], "runtime.parallel": parallel}
        for name, (module, function) in self.kernels.items():
            modules.setdefault(module, []).append(function if name == function else f"{function} as {name}")
        for module, names in sorted(modules.items()):
            imports.append(f"from jitnet.kernels.cpu.{module} import {', '.join(sorted(set(names)))}")
        for name, plan in sorted(self.generated.items()):
            alias = "" if name == plan.name else f" as {name}"
            imports.append(f"from {module_name(plan.source)} import {plan.name}{alias}")
        # another source of a kernel makes another module, since Numba caches a section with the kernels' symbols
        from ...kernels.cpu.runtime.jit import module_hash

        hashes = ", ".join(f"{m} {module_hash(m)}" for m in sorted(modules))
        return "\n".join([docstring(self.title), f"# kernels: {hashes}", "", *imports, "", "", body]) + "\n"

    def _name_sections(self):
        sections = self.plan.sections
        if not self.plan.regions:
            # one call each: named by what it computes
            for number, section in enumerate(sections, start=1):
                kernel = section.calls[0].kernel.rpartition(".")[2]
                section.name = f"call_{number}_{identifier(kernel)}"
            return
        regions = [s for s in sections if s.batched]
        whole = "forward_backward" if self.plan.layout.size else "forward"
        for number, section in enumerate(regions, start=1):
            section.name = whole if len(regions) == 1 else f"region_{number}"
        for number, section in enumerate((s for s in sections if s.split), start=1):
            section.name = f"product_{number}"
        for number, section in enumerate((s for s in sections if not s.batched and not s.split), start=1):
            section.name = f"between_{number}"

    def _run_steps(self) -> list[str]:
        """The compiled driver: many minibatches of a shuffled epoch in one call."""
        if "order" not in self.arguments:
            return []
        replaced = {
            "order": "order[i * batch : (i + 1) * batch]",
            "hyperparameters": "hyperparameters[i]",
            "t": "t + i",
            "results": "results[i // steps_per_result]",
        }
        signature = ["count", "steps_per_result", *self.arguments]
        source = ["@compile_function", *_wrapped("def run_steps", signature, ":", "")]
        source += ["    for i in range(count):"]
        source += _wrapped("step_compiled", [replaced.get(a, a) for a in self.arguments], "", "        ")
        return source


def load(source: str, functions: dict, plans) -> object:
    """The module of ``source``; what Numba compiles of it is kept in the user's cache.

    functions: users' own @njit functions by name; plans: of the generated kernels that the source imports.
    """
    for plan in plans:
        specialised_module(plan.source)
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    key = (digest, tuple(sorted((name, id(f)) for name, f in functions.items())))
    module = _MODULES.get(key)
    if module is None:
        module = generated_module(f"jitnet_step_{digest}", source)
        if functions:
            from ...kernels.cpu.runtime.jit import user_kernel

            module.functions = functions  # whose identities are in the key
            for function_name, function in functions.items():
                setattr(module, function_name, user_kernel(function, function_name))
        _end_with_last_use(module)
        _MODULES[key] = module
    return module


def _end_with_last_use(module) -> None:
    """Let ``sys.modules``, where Numba looks, not keep a module alive."""
    from ...kernels.cpu.runtime.jit import forget_functions

    name, file, contents, weak = module.__name__, module.__file__, module.__dict__, weakref.proxy(module)

    def forget():
        if sys.modules.get(name) is weak:
            del sys.modules[name]
            linecache.cache.pop(file, None)
        forget_functions(contents)

    sys.modules[name] = weak
    weakref.finalize(module, forget).atexit = False
