"""The step as source: a schedule written out as one Python module.

The same source runs in both modes: *plain*, where Python calls one compiled function per section, and *compiled*,
where ``run_steps`` is compiled as a whole and runs many minibatches in one call.
"""

import math
import re
from dataclasses import dataclass

from ...core.errors import unknown_name
from ...core.program import Batch, Buffer, Call, Loop, Out, Scalar, calls_of
from ...core.storage import ALIGNMENT
from ...core.values import ITEMSIZE
from ...kernels.cpu.runtime.generated import module_name
from ...kernels.literals import docstring, identifier, literal
from ...kernels.literals import name as checked_name
from ..axes import Elements, ImageRows, Rows, Shares
from ..base import Signature, Source
from .names import name_sections
from .schedule import Schedule, Section

LINE = 118
# names that the source uses itself
RESERVED = (
    "batch", "chunk", "chunks", "blocks", "parts", "shares", "threads", "update_threads", "begin", "n",
    "capacity", "base", "size", "order", "gradients", "chunk_gradients", "arena", "constants", "hyperparameters",
    "seed", "t", "results", "predictions", "sample_weight", "parameters", "state", "view", "parallel_for",
    "flush_denormals", "compile_function", "compile_part", "step", "step_compiled", "run_steps", "steps_per_result",
    "prepare", "prepared", "preparing", "portions", "block", "column",
    "first", "last", "count", "i", "arguments", "float32", "float64", "int32", "int64", "int8", "uint8",
)  # fmt: skip
# not every step needs them
_OPTIONAL = ("blocks", "parts", "shares", "update_threads", "constants", "seed", "t", "results")
# what launchers take besides
_COUNTS = ("chunks", "blocks", "parts", "shares", "portions", "threads", "update_threads")


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


def _sum(*terms) -> str:
    """A sum of (factor, name) pairs and numbers as source, without what is zero."""
    found, constant = [], 0
    for term in terms:
        if isinstance(term, int):
            constant += term
        elif isinstance(term, str):
            found.append(term)
        elif term[0]:
            found.append(term[1] if term[0] == 1 else f"{term[0]} * {term[1]}")
    return " + ".join([str(constant), *found] if constant or not found else found)


@dataclass
class StepSource(Source):
    """The module of a step, and what it calls.

    kernels: {name in the source: (module, function)}; generated: specialised kernels; functions: users' own.
    kernel_calls: [(name, what decides the type of each argument)]; function_calls: [(name, argument names)] of the
        functions that the step calls.
    prepare_text, prepare_arguments: of the function ``prepare`` and what it calls; empty where there is none.
    decorator: of the functions that Numba compiles: which one is imported as compile_function.
    """

    schedule: Schedule
    hyperparameters: list[str]
    kernels: dict[str, tuple]
    generated: dict[str, object]
    functions: dict[str, object]
    kernel_calls: list[tuple]
    function_calls: list[tuple]
    prepare_text: str
    prepare_arguments: list[str]
    decorator: str

    def kernel_source(self, name: str) -> str:
        """The source of a kernel; of a specialised one, of its whole module."""
        if name in self.generated:
            return self.generated[name].source
        if name not in self.kernels:
            raise unknown_name("kernel of the step", name, [*self.kernels, *self.generated])
        from importlib import import_module

        from ...kernels.cpu.runtime.jit import kernel_source

        module, function = self.kernels[name]
        return kernel_source(getattr(import_module(f"jitnet.kernels.cpu.{module}"), function))


def arguments_of(schedule: Schedule, signature: Signature) -> list[str]:
    """The step's arguments, in order."""
    counts = {section.count for section in schedule.sections}
    parts = [name for name in ("parts", "shares") if name in counts]
    names = ["batch", "chunks", "blocks", *parts, "threads", "update_threads", *signature.data]
    names += [*signature.storages.values(), *signature.slots]
    names += ["gradients", "chunk_gradients"] if signature.layout.offsets else []
    names += (["prepared"] if schedule.preparing else []) + ["arena"] + (["constants"] if signature.constants else [])
    names += ["hyperparameters"] if signature.hyperparameters else []
    return [*names, *signature.iterations, "seed", "t", "results"]


class StepWriter:
    """Writes the module of a schedule."""

    def __init__(self, schedule: Schedule, signature: Signature):
        self.schedule = schedule
        self.title = signature.title
        self.arguments = [checked_name(a) for a in arguments_of(schedule, signature)]
        self.storage_names = signature.storages
        self.constant_offsets = signature.constants
        self.hyperparameters = [checked_name(n) for n in signature.hyperparameters]
        self.gathered = signature.gathered
        self.kernels: dict[str, tuple] = {}  # name in the source -> (module, function)
        self.functions: dict[str, object] = {}  # users' own @njit functions
        self.decorator = "compile_function"
        self.generated: dict[str, object] = {}  # specialised kernels by name
        self.kernel_calls: dict[tuple, None] = {}  # (name, what decides the type of each argument), in order
        self.calls_of_functions: dict[str, list[str]] = {}  # the arguments that ``step`` gives them
        self.function_calls: list[tuple] = []  # (name, argument names) of the functions that the step calls
        name_sections(schedule)
        own = [*schedule.program.reserved, *self.arguments, *self.hyperparameters]
        every = [*schedule.preparing, *schedule.sections]
        for section in every:
            own += [section.name, *(_of_turn(f"{section.name}_chunk", n) for n, _ in enumerate(section.turns, 1))]
        self._indices = {item.index for s in schedule.sections for item in s.items if isinstance(item, Loop)}
        own += sorted(self._indices)
        self._names: dict[str, object] = {name: name for name in own}  # name in the source -> what has it
        self._buffer_names: dict[Buffer, str] = {}
        for section in every:
            for call in section.calls:
                self._kernel(call)  # before the buffers get their names
        self.kernel_names = set(self._names).difference(own)

    # ---- one buffer, one argument, one call

    def _place(self, buffer: Buffer, axis, alone: bool) -> tuple[str, str, tuple]:
        """(argument that holds it, byte offset, shape with the batch axis), as source.

        axis: of the section's part; alone: of a partial buffer, whether only the chunk's own part is seen.
        """
        memory, root = self.schedule.memory, buffer.root
        sizes, dtype = tuple(map(literal, buffer.shape)), buffer.dtype
        shape = sizes or ("1",)  # kernels take arrays of at least one axis
        chunked = isinstance(axis, Batch | ImageRows)
        itemsize = ITEMSIZE[dtype]
        rows: tuple = (0, "first")  # bytes before those of a part
        if buffer.part:
            count = "(last - first)" if buffer.part == 1 else f"{buffer.part} * (last - first)"
            line = itemsize * math.prod(buffer.shape if buffer.rows > 1 else buffer.shape[1:])
            rows = buffer.part * line, "first"
            shape = (count, *sizes) if buffer.rows > 1 else ("n", count, *sizes[1:])
        elif buffer.batched:
            samples = "n" if chunked else "batch"
            samples = samples if buffer.batches == 1 else f"{samples} * {buffer.batches}"
            single = buffer.rows == 1 and not self.schedule.program.any_size
            shape = (samples if single else f"{samples} * {literal(buffer.rows)}", *sizes)
        if buffer.kind == "batch" and root.in_one_piece:
            begin = (root.nbytes, "begin") if chunked else 0
            return "arena", _sum(memory.whole, (memory.offsets[root], "batch"), begin, rows), shape
        if buffer.kind == "batch" and self.schedule.regions is None:
            return "arena", _sum(*self._after_whole(), memory.partial, (memory.offsets[root], "batch")), shape
        if buffer.kind == "batch":
            return "arena", f"base + {memory.offsets[root]} * capacity", shape  # 0, too: other sizes have the same form
        if buffer.kind == "external":
            return checked_name(root.name), _sum((root.nbytes, "begin") if chunked else 0, rows), shape
        if buffer.kind == "argument":
            return checked_name(root.name), "0", shape
        if buffer.kind == "whole":
            schedule = self.schedule
            where = "prepared" if root in schedule.prepared else "preparing" if root in schedule.temporary else "arena"
            return where, f"{memory.offsets[root]}", shape
        if buffer.kind == "partial" and root.source is not None:
            offset = self.schedule.flat.partials[root.source] * itemsize
            chunk = (self.schedule.flat.partial_size * itemsize, "chunk") if chunked else 0
            return "chunk_gradients", _sum(chunk, offset), shape if alone else ("chunks", *sizes)
        if buffer.kind == "partial":
            chunk = (root.nbytes, "chunk") if chunked else 0
            offset = _sum(*self._after_whole(), (memory.offsets[root], "chunks"), chunk)
            return "arena", offset, shape if alone else ("chunks", *sizes)
        if buffer.kind == "variable":
            variable = buffer.source
            return self.storage_names[id(variable.storage)], f"{variable.storage_offset * itemsize}", shape
        if buffer.kind in ("gradient", "slot"):
            argument = "gradients" if buffer.kind == "gradient" else root.name
            return argument, f"{self.schedule.layout.offsets[buffer.source] * itemsize}", shape
        if buffer.kind == "flat":
            place = buffer.source
            start = f"{place.start} + begin" if place.start else "begin"
            start = start if itemsize == 1 else f"({start}) * {itemsize}" if place.start else f"{start} * {itemsize}"
            return checked_name(place.argument), start, ("size",)
        return "constants", f"{self.constant_offsets[buffer.source]}", shape

    def _view(self, buffer: Buffer, axis, alone: bool) -> str:
        argument, offset, shape = self._place(buffer, axis, alone)
        if buffer.step is not None:
            offset = _sum(int(offset) if offset.isdigit() else offset, self._step_offset(buffer, axis))
        if buffer.column:
            offset = _sum(int(offset) if offset.isdigit() else offset, (buffer.column, "column"))
        inside = ", ".join(shape) + ("," if len(shape) == 1 else "")
        return f"view({argument}, {offset}, ({inside}), {checked_name(buffer.dtype)})"

    def _step_offset(self, buffer: Buffer, axis):
        """Bytes from the first step to that of a view, as a term of ``_sum``."""
        samples = "n" if isinstance(axis, Batch) else "batch"
        if not isinstance(buffer.step, Scalar):
            size = buffer.step_bytes * buffer.step
            return f"{size} * {samples}" if buffer.batched else size  # 0, too: other lengths have the same form
        step = f"({self.scalar(buffer.step)})" if buffer.step.operands else self.scalar(buffer.step)
        return " * ".join([f"{buffer.step_bytes}", *([samples] if buffer.batched else []), step])

    def _after_whole(self) -> tuple:
        """Where the part of the arena starts that depends on the number of chunks, as terms of ``_sum``."""
        memory = self.schedule.memory
        return memory.whole, (memory.in_one_piece, "batch")

    def scalar(self, argument, axis=None) -> str:
        """A number, or arithmetic of names, as source."""
        if not isinstance(argument, Scalar):
            return literal(argument)
        if not argument.operands:
            if argument.operator == "begin" and not isinstance(axis, Batch | ImageRows | Elements | Rows):
                return "0"
            return checked_name(argument.operator)
        left, right = (
            f"({text})" if isinstance(operand, Scalar) and operand.operands else text
            for operand, text in zip(argument.operands, (self.scalar(o, axis) for o in argument.operands), strict=True)
        )
        if argument.operator == "+" and "0" in (left, right):
            return right if left == "0" else left
        return f"{left} {argument.operator} {right}"

    def _argument(self, argument, axis, alone: bool) -> str:
        buffer = argument.buffer if isinstance(argument, Out) else argument
        return self._name(buffer, alone) if isinstance(buffer, Buffer) else self.scalar(argument, axis)

    def _name(self, buffer: Buffer, alone: bool) -> str:
        """Buffers of one name are told apart by what they view."""
        if buffer.kind == "partial" and not alone and self.schedule.regions is None:
            return f"{self._name(buffer, True)}_of_chunks"  # the only function where both are seen
        if _is_given(buffer):
            return checked_name(buffer.name)
        if buffer not in self._buffer_names:
            wanted = identifier(buffer.name)
            wanted = f"{wanted}_values" if wanted in self.kernel_names else wanted
            root = buffer.root if buffer.kind != "flat" else buffer.source
            view = root, buffer.step, buffer.shape, buffer.rows, buffer.dtype, buffer.part, buffer.column
            self._buffer_names[buffer] = _unique(self._names, wanted, view)
        return self._buffer_names[buffer]

    def _kernel(self, call: Call) -> str:
        """The name of what a call calls, which is imported or defined under it."""
        function = call.attributes.get("function")
        if function is not None:
            name = _unique(self._names, identifier(call.opcode), function)
            self.functions[name] = function
        elif call.kernel is not None:
            name = _unique(self._names, checked_name(call.kernel.name), call.kernel)
            self.generated[name] = call.kernel
        else:
            *folders, function = map(checked_name, call.opcode.split("."))
            module = ".".join(folders)
            name = _unique(self._names, function, (module, function))
            self.kernels[name] = module, function
        return name

    def _calls(self, items: list[Call | Loop], axis) -> list[str]:
        """Views of all that the calls touch, and then the calls, each with its layer and the shape that it writes.

        What a loop views a step of by its index is viewed in each turn.
        """
        views, lines = {}, []
        for item in items:
            if isinstance(item, Call):
                lines += self._call(item, axis, "    ", views, views)
                continue
            steps: dict[str, str] = {}
            body = [line for call in item.calls for line in self._call(call, axis, "        ", views, steps)]
            turns = f"range({item.count - 1}, -1, -1)" if item.backwards else f"range({item.count})"
            lines += [f"    for {checked_name(item.index)} in {turns}:"]
            lines += [f"        {name} = {view}" for name, view in steps.items()] + body
        return [f"    {name} = {view}" for name, view in views.items()] + lines

    def _call(self, call: Call, axis, indent: str, views: dict, steps: dict) -> list[str]:
        """The lines of a call; what it views is entered in ``views``, or ``steps`` if it depends on the turn."""
        alone = isinstance(axis, Batch | ImageRows) or (self.schedule.regions is None and call.batched)
        for buffer in call.buffers:
            if not _is_given(buffer):
                table = steps if isinstance(buffer.step, Scalar) else views
                table.setdefault(self._name(buffer, alone), self._view(buffer, axis, alone))
        arguments = [self._argument(a, axis, alone) for a in call.arguments.values()]
        name = self._kernel(call)
        self.kernel_calls[name, *(self._kind(a, axis, alone) for a in call.arguments.values())] = None
        return _commented(_wrapped(name, arguments, "", indent), call, indent)

    def _kind(self, argument, axis, alone: bool):
        """What decides the type of an argument: an expression, or (dtype, axes) of an array."""
        buffer = argument.buffer if isinstance(argument, Out) else argument
        if not isinstance(buffer, Buffer):
            expression = self.scalar(argument, axis)
            for index in self._indices:  # of whose type any integer is
                expression = re.sub(rf"\b{index}\b", "1", expression)
            return expression
        if _is_given(buffer):
            return buffer.dtype, max(1, len(buffer.shape)) + (buffer.name == "chunk_gradients")
        return buffer.dtype, len(self._place(buffer, axis, alone)[2])

    # ---- functions

    def _used(self, lines: list[str]) -> list[str]:
        words = set(re.findall(r"\w+", "\n".join(line.partition("  # ")[0] for line in lines)))
        return [a for a in (*self.arguments, "preparing") if a in words]

    def _hyperparameters(self, lines: list[str]) -> list[str]:
        words = set(re.findall(r"\w+", "\n".join(line.partition("  # ")[0] for line in lines)))
        return [f"    {n} = hyperparameters[{i}]" for i, n in enumerate(self.hyperparameters) if n in words]

    def _function(self, section: Section) -> list[str]:
        """The function of a section; of one that runs in parts also its launcher."""
        after = self._calls(section.after, None)
        if section.axis is None:
            body = self._body(section.parts)
            used = self._used(body + after)
            source = ["@compile_function", *_wrapped(f"def {section.name}", used, ":", "")]
            self.calls_of_functions[section.name] = used
            self.function_calls.append((section.name, used))
            return [*source, "    flush_denormals()", *body, *after, "", ""]
        source, launches, whole = [], [], []
        for number, parts in enumerate(section.turns, 1):
            name, body = _of_turn(f"{section.name}_chunk", number), self._body(parts)
            used = [a for a in self._used(body) if a not in _COUNTS]
            source += ["@compile_part", *_wrapped(f"def {name}", ["chunk", "chunks", *used], ":", ""), *body, "", ""]
            launches += _wrapped("arguments = ", used if len(used) > 1 else [f"{n}," for n in used], "", "    ")
            launches.append(f"    parallel_for({name}, chunks, threads, arguments)")
            whole += [a for a in used if a not in whole]
        whole += [a for a in self._used(after) if a not in whole]
        source += ["@compile_function", *_wrapped(f"def {section.name}", ["chunks", "threads", *whole], ":", "")]
        self.calls_of_functions[section.name] = [section.count, section.threads, *whole]
        count = section.count if section.count in _COUNTS else "chunks"  # of the same type
        self.function_calls.append((section.name, [count, section.threads, *whole]))
        return [*source, *launches, *after, "", ""]

    def _body(self, parts: list) -> list[str]:
        """The lines of the parts of a section, one after the other."""
        lines = [self._part(axis, items) for axis, items in parts]
        body = [line for number, part in enumerate(lines) for line in ([""] if number else []) + part]
        return self._hyperparameters(body) + body

    def _part(self, axis, items: list[Call | Loop]) -> list[str]:
        """The lines of a part of a section: where it begins and ends, the views, and the calls."""
        body, calls = self._calls(items, axis), list(calls_of(items))
        if isinstance(axis, Batch):
            memory = self.schedule.memory
            head = ["    begin = batch * chunk // chunks", "    n = batch * (chunk + 1) // chunks - begin"]
            if any(b.kind == "batch" and not b.root.in_one_piece for call in calls for b in call.buffers):
                base = _sum(*self._after_whole(), (memory.partial, "chunks"), (memory.batch, "chunk * capacity"))
                head += ["    capacity = (batch + chunks - 1) // chunks", f"    base = {base}"]
            return head + body
        if isinstance(axis, ImageRows):
            return [*_rows_of_image(axis), *body]
        if isinstance(axis, Rows):
            groups = -(-axis.rows // axis.tile)
            last = f"min({groups} * (chunk + 1) // chunks * {axis.tile}, {axis.rows})"
            head = [f"    first = {groups} * chunk // chunks * {axis.tile}", f"    last = {last}"]
            if any(buffer.kind == "flat" for call in calls for buffer in call.buffers):
                columns = next(c.outputs[0].buffer.shape[1] for c in calls if c.axis is not None)
                head += [f"    begin = first * {columns}", f"    size = (last - first) * {columns}"]
            return head + body
        if isinstance(axis, Shares):
            head = [f"    first = {axis.pieces} * chunk // chunks", f"    last = {axis.pieces} * (chunk + 1) // chunks"]
            return head + body
        if isinstance(axis, Elements):
            line = ALIGNMENT // axis.itemsize  # elements of a cache line: blocks start on one
            lines = axis.length // line
            head = [
                f"    begin = {lines} * chunk // chunks * {line}",
                f"    size = {lines} * (chunk + 1) // chunks * {line} - begin",
            ]
            return head + body
        return body

    def source(self) -> StepSource:
        """The module."""
        functions, step = self._prepare(), []
        prepare_arguments = self.function_calls[-1][1] if functions else []
        prepare_text = "\n".join(functions)
        for section in self.schedule.sections:
            functions += self._function(section)
            name, arguments = section.name, self.calls_of_functions[section.name]
            indent = "    "
            if section.condition is not None:
                step.append(f"    if {self.scalar(section.condition)}:")
                indent = "        "
            step += _wrapped(name, arguments, "", indent)
        step += [] if step else ["    pass"]
        head = self._hyperparameters(step)
        if not self.gathered:  # called from Python for each batch: every argument costs time there
            used = self._used([*functions, *step])
            self.arguments = [a for a in self.arguments if a in used or a not in _OPTIONAL]
        signature = _wrapped("def step", self.arguments, ":", "")
        functions += [*signature, *head, *step, "", "", "step_compiled = compile_function(step)", "", ""]
        functions += self._run_steps()
        body = "\n".join(functions)
        text = "\n".join([docstring(self.title), *self._imports(body), "", "", body]) + "\n"
        return StepSource(
            text, self.arguments, self.schedule, self.hyperparameters, self.kernels, self.generated, self.functions,
            list(self.kernel_calls), self.function_calls, prepare_text, prepare_arguments, self.decorator,
        )  # fmt: skip

    def _prepare(self) -> list[str]:
        """What runs when weights have changed; nothing, where no copies of them are needed."""
        functions, body = [], []
        for section in self.schedule.preparing:
            functions += self._function(section)
            body += _wrapped(section.name, self.calls_of_functions[section.name], "", "    ")
        if not body:
            return []
        words = set(re.findall(r"\w+", " ".join(body)))
        arguments = [*(["portions"] if "portions" in words else []), *self._used(body)]
        self.function_calls.append(("prepare", arguments))
        return [*functions, "@compile_function", *_wrapped("def prepare", arguments, ":", ""), *body, "", ""]

    def _imports(self, body: str) -> list[str]:
        used = set(re.findall(r"\w+", body))
        dtypes = [d for d in ITEMSIZE if d != "bool" and d in used]
        imports = [f"from numpy import {', '.join(dtypes)}", ""] if dtypes else []
        identities = self._identities()
        decorators = [self.decorator, *(["compile_part"] if "@compile_part" in body else [])]
        parallel = [name for name in ("flush_denormals", "parallel_for") if name in used]
        modules: dict[str, list] = {"runtime.jit": decorators, "runtime.arrays": ["view"], "runtime.parallel": parallel}
        for name, (module, function) in self.kernels.items():
            modules.setdefault(module, []).append(function if name == function else f"{function} as {name}")
        for module, names in sorted(modules.items()):
            if names:
                imports.append(f"from jitnet.kernels.cpu.{module} import {', '.join(sorted(set(names)))}")
        for name, kernel in sorted(self.generated.items()):
            alias = "" if name == kernel.name else f" as {name}"
            file = type(kernel).__module__.removeprefix("jitnet.").replace(".", "/")
            imports.append(f"from {module_name(kernel.source)} import {kernel.name}{alias}  # written by {file}.py")
        # another source of a kernel makes another module, since Numba caches a section with the kernels' symbols
        from ...kernels.cpu.runtime.hashes import module_hash

        hashes = ", ".join(f"{m} {module_hash(m)}" for m in sorted(modules))
        return [f"# kernels: {hashes}", *identities, "", *imports]

    def _identities(self) -> list[str]:
        """What users' own functions are made of, so that others make another module; without it, nothing is cached."""
        if not self.functions:
            return []
        from ...kernels.cpu.runtime.users import identity_of

        identities = {name: identity_of(function) for name, function in sorted(self.functions.items())}
        if None in identities.values():
            self.decorator = "compile_uncached as compile_function"
        return [f"# {name}: {identity}" for name, identity in identities.items()]

    def _run_steps(self) -> list[str]:
        """The compiled driver: many minibatches of a shuffled epoch in one call."""
        if not self.gathered:
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


def _rows_of_image(axis: ImageRows) -> list[str]:
    """Lines that say which image, rows and filters a part does: those of the same filters follow each other."""
    groups, tile = -(-axis.rows // axis.tile), f" * {axis.tile}" if axis.tile > 1 else ""
    image = f"chunk // {axis.blocks}" if axis.blocks > 1 else "chunk"
    lines = [f"    begin, n, block = {image}{' % batch' if axis.filters > 1 else ''}, 1, chunk % {axis.blocks}"]
    if axis.filters > 1:
        lines.append(f"    column = chunk // (batch * {axis.blocks}) * {axis.size}")
    last = f"{groups} * (block + 1) // {axis.blocks}{tile}"
    last = f"min({last}, {axis.rows})" if axis.rows % axis.tile else last
    return [*lines, f"    first = {groups} * block // {axis.blocks}{tile}", f"    last = {last}"]


def _of_turn(name: str, number: int) -> str:
    """The name of what belongs to a turn of a section, counted from 1."""
    return name if number == 1 else f"{name}_{number}"


def _is_given(buffer: Buffer) -> bool:
    """Whether a buffer is the caller's array itself, of which no view is needed."""
    return buffer.kind == "argument" and buffer.root is buffer


def _commented(lines: list[str], call: Call, indent: str) -> list[str]:
    """A call with a comment that says whose it is and the shape that it writes."""
    written = [out.buffer for out in call.outputs if out.buffer.kind != "argument"]
    if not written or written[0].kind == "flat":
        return lines
    buffer = written[0]
    samples = "N" if buffer.batches == 1 else f"{buffer.batches} N"
    batch = ([f"{samples} * {buffer.rows}" if buffer.rows > 1 else samples]) if buffer.batched else []
    sizes = [*batch, *map(str, buffer.shape)]
    shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    comment = f"  # {identifier(call.layer)} {shape}" if call.layer else f"  # {shape}"
    if len(lines[-1]) + len(comment) <= LINE:
        return [*lines[:-1], lines[-1] + comment]
    return [f"{indent}{comment.strip()}", *lines]
