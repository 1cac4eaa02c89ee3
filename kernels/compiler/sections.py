"""Steps: functions that call each other and kernels, in one module without passes; loops over chunks run in parallel.

A step is called with the address of a record: of 8 bytes each the address of its numbers (see ``numbers``), and the
address and the dimensions of each array, and each number, in the order of the arguments.
"""

import ast
import hashlib
from dataclasses import dataclass, field

from .emitter import Module, build, form_of, part_types, parts
from .intrinsics import Intrinsic
from .numbers import CALLS, RUN, Described, Lifted, Numbers, described, is_number, pattern_of
from .sources import python_function
from .translation import Function, Translation, assigned
from .types import ArrayType, TranslationError
from .values import Array, Number, Static, Tuple

PARALLEL = "jitnet_parallel"  # (run, record, chunks, threads) -> status: of the pool
HEADER = 5  # of the 8 bytes in a record of a parallel loop: what comes before the arguments is the pool's
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x0040  # bits of the MXCSR register
DATA = object.__basicsize__  # bytes from the beginning of an array object of NumPy's to the address of its data
_SLOTS = ("ptr", "i64", "double")
_NAME, _SIZE = "NAME OF FUNCTION", "SIZE OF ENVIRONMENT"


@dataclass
class StepTranslation(Translation):
    """LLVM's text of a step, whose ``symbol`` is made of that and takes a record.

    numbers: what the step's integers are.  triple: of the system that it is for.
    """

    triple: str = ""
    numbers: list[int] = field(default_factory=list)
    sections: dict = field(default_factory=dict)  # (function, forms) -> (name, numbers)
    names: dict = field(default_factory=dict)  # text of a function -> its name: equal ones are one
    patterns: dict = field(default_factory=dict)  # key of a call -> text of its pattern
    environment: dict = field(default_factory=dict)  # (variable, form) -> its place in what patterns are given
    size: int = 1  # of that
    module: Module = field(default_factory=Module)

    def slot(self, name: str, form) -> int:
        """Where patterns find a variable."""
        key = name, form
        if key not in self.environment:
            self.environment[key] = self.size - 1
            self.size += len(part_types(form))
        return self.environment[key]

    def add(self, text: str, name: str) -> str:
        """Enter a function in whose text its name is missing; the name of that which has this text."""
        if text not in self.names:
            self.names[text] = name = f"{name}.{len(self.names)}"
            self.module.functions.append(text.replace(_NAME, name))
        return self.names[text]

    def finish(self, numbers: Numbers) -> None:
        """All functions are there: the table of patterns, the text, its symbol, the numbers."""
        texts = sorted(set(self.patterns.values()))
        names = [f"pattern.{at}" for at in range(len(texts))]
        table = ", ".join(f"ptr @{name}" for name in names)
        self.module.functions += [
            *(text.replace(_NAME, name) for text, name in zip(texts, names, strict=True)),
            *([f"@patterns = internal constant [{len(texts)} x ptr] [{table}]", RUN] if texts else []),
        ]
        self.numbers = numbers.flat({text: code for code, text in enumerate(texts)})
        text = self.module.text().replace(_SIZE, str(self.size))
        self.symbol = f"{self.symbol}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        self.text = text.replace(_NAME, self.symbol)


def flush_text(triple: str) -> tuple[list[str], list[str]]:
    """Lines that let denormal numbers count as zero, and those that restore what was before.

    On x86-64 alone: elsewhere denormal numbers are not slow.
    """
    if not triple.startswith("x86_64"):
        return [], []
    bits = FLUSH_TO_ZERO | DENORMALS_ARE_ZERO
    store, load = (f"call void @llvm.x86.sse.{name}mxcsr(ptr %mode)" for name in ("st", "ld"))
    begin = [
        "%mode = alloca i32", store, "%mode.before = load i32, ptr %mode", f"%mode.flush = or i32 %mode.before, {bits}",
        "store i32 %mode.flush, ptr %mode", load,
    ]  # fmt: skip
    return begin, ["store i32 %mode.before, ptr %mode", load]


FLUSH_DECLARATIONS = {f"llvm.x86.sse.{n}mxcsr": f"declare void @llvm.x86.sse.{n}mxcsr(ptr)" for n in ("st", "ld")}


def loads(types_: list[str], first: int, objects=()) -> tuple[list[str], str]:
    """Lines that load values of these types from a record, from its place ``first`` on, and them as arguments.

    objects: the numbers of those where the record has the address of NumPy's object instead of its data's.
    """
    lines, given = [], []
    for at, type_ in enumerate(types_):
        if type_ not in _SLOTS:
            raise TranslationError(f"a record holds no {type_}")
        lines += [f"%p{at} = getelementptr i64, ptr %record, i64 {first + at}", f"%v{at} = load {type_}, ptr %p{at}"]
        if at in objects:
            lines += [f"%o{at} = getelementptr i8, ptr %v{at}, i64 {DATA}", f"%d{at} = load ptr, ptr %o{at}"]
        given.append(f"{type_} %{'d' if at in objects else 'v'}{at}")
    return lines, ", ".join(given)


def translate_step(function, types_, triple: str, objects=()) -> StepTranslation:
    """Translate a function of a step for arguments of these types; its symbol takes a record of them.

    objects: the numbers of the arrays of which the record has the address of NumPy's object.

    Raises:
        TranslationError: it does what the compiler doesn't know.
    """
    translation = StepTranslation("step", triple=triple)
    forms = []
    for type_ in types_:
        is_array = isinstance(type_, ArrayType)
        forms.append(("array", type_.dtype, type_.axes, False) if is_array else ("number", type_))
    name, numbers = _section(translation, function, tuple(forms))
    places = [1 + sum(len(part_types(form)) for form in forms[:number]) for number in objects]
    lines, given = loads(["ptr", *(part for form in forms for part in part_types(form))], 0, places)
    lines += [f"%status = call i32 @{name}({given})", "ret i32 %status"]
    translation.module.functions.append(_function(f"define i32 @{_NAME}(ptr %record) nounwind", lines))
    translation.finish(numbers)
    return translation


def _function(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *lines, "}\n"])


def _section(translation: StepTranslation, function, forms: tuple) -> tuple[str, Numbers]:
    """The name of a function of the step, which is written when it is first called, and its numbers."""
    key = function, forms
    if key not in translation.sections:
        writer = Section(translation, translation.module)
        types_ = [type_ for form in forms for type_ in part_types(form)]
        texts = iter([f"%a{i}" for i in range(len(types_))])
        result = writer.run(function, [build(form, texts) for form in forms])
        if not (isinstance(result, Static) and result.value is None):
            raise TranslationError(f"{function.__qualname__} returns something")
        writer.leave_function("ret i32 0")
        given = ", ".join(["ptr %numbers", *(f"{type_} %a{i}" for i, type_ in enumerate(types_))])
        text = f"define internal i32 @{_NAME}({given}) nounwind {{\n{writer.body()}\n}}\n"
        translation.sections[key] = translation.add(text, "section"), writer.numbers
    return translation.sections[key]


class Section(Function):
    """Writes one function of a step.

    views: {name: what it views}, which is written where it is used.
    """

    def __init__(self, translation, module):
        super().__init__(translation, module)
        self.numbers = Numbers()
        self.views: dict[str, Described] = {}
        self._dependent: dict[str, set[str]] = {}  # of views on each name
        self._environment = None
        self._call = None  # the node that is being written

    # ---- numbers

    def number(self, key: int, value, type_: str = "i64") -> str:
        """A number of the step that is data."""
        return self.number_at(self.numbers.place(key, value), type_)

    def number_at(self, place: int, type_: str = "i64") -> str:
        address = self.let(f"getelementptr i64, ptr %numbers, i64 {place}")
        return self.let(f"load {type_}, ptr {address}")

    def _part_of_numbers(self, key: int, value) -> str:
        """The address of numbers that are a part of these."""
        return self.let(f"getelementptr i64, ptr %numbers, i64 {self.number(key, value)}")

    def of_Constant(self, node):
        if isinstance(node.value, Lifted):
            return Number("int64", self.number_at(node.value.place))
        return Number("int64", self.number(id(node), node.value)) if is_number(node) else super().of_Constant(node)

    def of_UnaryOp(self, node):
        if isinstance(node.op, ast.USub) and is_number(node.operand):  # the step of a range, say, that counts down
            return self.negative(self.known(node.operand.value))
        return super().of_UnaryOp(node)

    def _item(self, value, node):
        if is_number(node):
            return value.items[node.value]
        return super()._item(value, node)

    # ---- views

    def do_Assign(self, node) -> None:
        view = self._view(node)
        if view is None:
            super().do_Assign(node)
            return
        name = node.targets[0].id
        self._forget([name])
        self.variables.pop(name, None)
        self.views[name] = view
        for used in view.names:
            self._dependent.setdefault(used, set()).add(name)

    def _view(self, node) -> Described | None:
        """What a statement views and gives a name, None if it does anything else."""
        if not isinstance(node, ast.Assign) or len(node.targets) > 1 or not isinstance(node.targets[0], ast.Name):
            return None
        called = node.value.func if isinstance(node.value, ast.Call) else None
        meant = self.frame.globals.get(called.id) if isinstance(called, ast.Name) else None
        return self._description(node.value) if isinstance(meant, Intrinsic) and meant.name == "view" else None

    def _description(self, call) -> Described | None:
        """None if it is no call with views, numbers and variables."""
        try:
            return described(call, self.views, self._meaning)
        except KeyError:
            return None

    def _forget(self, names) -> None:
        """These variables change: views that depend on them are no longer known."""
        for name in names:
            self.views.pop(name, None)
            for view in self._dependent.pop(name, ()):
                self.views.pop(view, None)

    def assign(self, target, value) -> None:
        if isinstance(target, ast.Name):
            self._forget([target.id])
        super().assign(target, value)

    def of_Name(self, node):
        return self.expression(self.views[node.id].call) if node.id in self.views else super().of_Name(node)

    def do_If(self, node) -> None:
        views = dict(self.views)
        super().do_If(node)
        self.views = {name: view for name, view in views.items() if self.views.get(name) is view}  # of either branch

    def do_For(self, node) -> None:
        self._loop_over(super().do_For, node)

    def do_While(self, node) -> None:
        self._loop_over(super().do_While, node)

    def _loop_over(self, write, node) -> None:
        changed = assigned([node])
        self._forget(changed)
        write(node)
        self._forget(changed)

    # ---- calls of kernels

    def statements(self, body) -> None:
        waiting: list[Described] = []
        for statement in body:
            if self.here is None:
                return
            found = self._kernel_call(statement)
            if found is not None:
                waiting.append(found)
                continue
            if waiting and self._view(statement) is None:
                self._run(waiting)
                waiting = []
            super().statements([statement])
        if waiting:
            self._run(waiting)

    def _kernel_call(self, statement) -> Described | None:
        """A call of a kernel with views, numbers and variables; None if the statement is anything else."""
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            return None
        called = self.frame.globals.get(call.func.id)
        function = python_function(called)
        if function is None or function is called or not hasattr(function, "compiled_with"):
            return None
        return self._description(call)

    def _meaning(self, name: str) -> tuple[str, bool]:
        """What a name means to a pattern, and whether it is a variable; KeyError if it is neither here."""
        value = self.variables.get(name)
        if value is None:
            return f"{name}:{id(self.frame.globals[name])}", False
        if not isinstance(value, Number | Array | Tuple):
            raise KeyError(name)
        return f"{name}:{form_of(value)}", True

    def _run(self, calls: list[Described]) -> None:
        """Calls that follow each other: what they need of the variables, and entries for a loop."""
        translation = self.translation
        data = []
        for call in calls:
            if call.key not in translation.patterns:
                translation.patterns[call.key] = self._pattern(call)
            data += [translation.patterns[call.key], 2 + len(call.numbers), *call.numbers]
        if self._environment is None:
            self._environment = self.allocate("i64", _SIZE)
        for name in dict.fromkeys(name for call in calls for name in call.names):
            value = self.variables[name]
            first = translation.slot(name, form_of(value))
            for at, (type_, text) in enumerate(_typed_parts(value), first):
                place = self.let(f"getelementptr i64, ptr {self._environment}, i64 {at}")
                self.emit(f"store {type_} {text}, ptr {place}")
        key = id(calls[0].call)
        count, entries = self.number(-key, len(calls)), self._part_of_numbers(key, data)
        self.pass_on(self.let(f"call i32 @{CALLS}(ptr {self._environment}, ptr {entries}, i64 {count})"))

    def _pattern(self, call: Described) -> str:
        """The text of the function that makes such a call."""
        writer = Section(self.translation, self.module)
        writer.frame, writer.flags, writer.within = self.frame, self.flags, self.within
        for name in call.names:
            form = form_of(self.variables[name])
            first = self.translation.slot(name, form)
            texts = []
            for at, type_ in enumerate(part_types(form), first):
                place = writer.let(f"getelementptr i64, ptr %environment, i64 {at}")
                texts.append(writer.let(f"load {type_}, ptr {place}"))
            writer.variables[name] = build(form, iter(texts))
        try:
            writer.expression(pattern_of(call.call, self.views))
        except TranslationError as error:
            raise TranslationError(f"{self.frame.file}:{call.call.lineno}: {error}", placed=True) from None
        writer.leave_function("ret i32 0")
        head = f"define internal i32 @{_NAME}(ptr %environment, ptr %numbers) nounwind"
        return f"{head} {{\n{writer.body()}\n}}\n"

    def of_Call(self, node):
        self._call = node
        return super().of_Call(node)

    def call_kernel(self, function, arguments) -> None:
        """Call a kernel by its symbol, or another function of the step."""
        if hasattr(function, "compiled_with"):
            super().call_kernel(function, arguments)
            return
        forms = tuple(map(form_of, arguments))
        name, numbers = _section(self.translation, function, forms)
        given = [f"{t} {text}" for argument in arguments for t, text in _typed_parts(argument)]
        own = self._part_of_numbers(id(self._call), numbers)
        self.pass_on(self.let(f"call i32 @{name}({', '.join([f'ptr {own}', *given])})"))

    # ---- what sections do besides

    def _do_flush_denormals(self):
        """Until the function returns, be it with an error."""
        if self.blocks[0] is not self.here:
            raise TranslationError("flush_denormals() must be the first that a function does")
        begin, end = flush_text(self.translation.triple)
        self.module.declarations |= FLUSH_DECLARATIONS if begin else {}
        for line in begin:
            self.emit(line)
        self.before_return = "\n".join(end) or None
        return Static(None)

    def _do_parallel_for(self, function, chunks, threads, arguments):
        items = self.items(arguments)
        number = ("number", "int64")
        name, numbers = _section(
            self.translation, python_function(function.value), (number, number, *map(form_of, items))
        )
        own = self._part_of_numbers(id(self._call), numbers)
        given = [("ptr", own), *(part for item in items for part in _typed_parts(item))]
        lines, texts = loads([type_ for type_, _ in given], HEADER)
        first, _, rest = texts.partition(", ")
        arguments = ", ".join([first, "i64 %chunk", "i64 %chunks", *([rest] if rest else [])])
        lines = [*lines, f"%status = call i32 @{name}({arguments})", "ret i32 %status"]
        head = f"define internal i32 @{_NAME}(i64 %chunk, i64 %chunks, ptr %record) nounwind"
        run = self.translation.add(_function(head, lines), "run")
        record = self.allocate("i64", HEADER + len(given))
        for at, (type_, text) in enumerate(given, HEADER):
            place = self.let(f"getelementptr i64, ptr {record}, i64 {at}")
            self.emit(f"store {type_} {text}, ptr {place}")
        chunks, threads = (self.cast(n, "int64").text for n in (chunks, threads))
        self.declare(PARALLEL, "i32", ["ptr", "ptr", "i64", "i64"])
        self.pass_on(self.let(f"call i32 @{PARALLEL}(ptr @{run}, ptr {record}, i64 {chunks}, i64 {threads})"))
        return Static(None)


def _typed_parts(value):
    return zip(part_types(form_of(value)), parts(value), strict=True)


def step_key(source: str, name: str, types_, objects, compiler: bytes) -> str:
    """What tells a step's function from others: a hash of its module's source, its arguments and the compiler."""
    digest = hashlib.sha256(compiler + source.encode() + repr((name, types_, objects)).encode())
    return f"step_{digest.hexdigest()[:24]}"
