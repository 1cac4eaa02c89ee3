"""Steps: functions that call each other and kernels, in one module without passes; loops over chunks run in parallel.

A step is called with the address of a record: 8 bytes for each address and dimension of an array, and for each number,
in the order of the arguments.
"""

import hashlib
from dataclasses import dataclass, field

from .emitter import Module, build, form_of, part_types, parts
from .sources import python_function
from .translation import Function, Translation
from .types import ArrayType, TranslationError
from .values import Static

PARALLEL = "jitnet_parallel"  # (run, record, chunks, threads) -> status: of the pool
HEADER = 5  # of the 8 bytes in a record of a parallel loop: what comes before the arguments is the pool's
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x0040  # bits of the MXCSR register
DATA = object.__basicsize__  # bytes from the beginning of an array object of NumPy's to the address of its data
_SLOTS = ("ptr", "i64", "double")


@dataclass
class StepTranslation(Translation):
    """LLVM's text of a step: ``symbol`` takes a record.  triple: of the system that it is for."""

    triple: str = ""
    sections: dict = field(default_factory=dict)  # (function, forms) or ("run", name of a function) -> name
    module: Module = field(default_factory=Module)


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


def translate_step(function, types_, symbol: str, triple: str, objects=()) -> StepTranslation:
    """Translate a function of a step for arguments of these types; ``symbol`` takes a record of them.

    objects: the numbers of the arrays of which the record has the address of NumPy's object.

    Raises:
        TranslationError: it does what the compiler doesn't know.
    """
    translation = StepTranslation(symbol, triple=triple)
    forms = []
    for type_ in types_:
        is_array = isinstance(type_, ArrayType)
        forms.append(("array", type_.dtype, type_.axes, False) if is_array else ("number", type_))
    name = _section(translation, function, tuple(forms))
    places = [sum(len(part_types(form)) for form in forms[:number]) for number in objects]
    lines, given = loads([part for form in forms for part in part_types(form)], 0, places)
    lines += [f"%status = call i32 @{name}({given})", "ret i32 %status"]
    module = translation.module
    module.functions.append(_function(f"define i32 @{symbol}(ptr %record) nounwind", lines))
    translation.text = module.text()
    return translation


def _function(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *lines, "}\n"])


def _section(translation: StepTranslation, function, forms: tuple) -> str:
    """The name of a function of the step, which is written when it is first called."""
    key = function, forms
    if key not in translation.sections:
        translation.sections[key] = name = f"{function.__name__}.{len(translation.sections)}"
        writer = Section(translation, translation.module)
        types_ = [type_ for form in forms for type_ in part_types(form)]
        texts = iter([f"%a{i}" for i in range(len(types_))])
        result = writer.run(function, [build(form, texts) for form in forms])
        if not (isinstance(result, Static) and result.value is None):
            raise TranslationError(f"{function.__qualname__} returns something")
        writer.leave_function("ret i32 0")
        given = ", ".join(f"{type_} %a{i}" for i, type_ in enumerate(types_))
        writer.finish(f"define internal i32 @{name}({given}) nounwind")
    return translation.sections[key]


class Section(Function):
    """Writes one function of a step."""

    def call_kernel(self, function, arguments) -> None:
        """Call a kernel by its symbol, or another function of the step."""
        if hasattr(function, "compiled_with"):
            super().call_kernel(function, arguments)
            return
        forms = tuple(map(form_of, arguments))
        name = _section(self.translation, function, forms)
        given = [f"{t} {text}" for argument in arguments for t, text in _typed_parts(argument)]
        self.pass_on(self.let(f"call i32 @{name}({', '.join(given)})"))

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
        python = python_function(function.value)
        forms = tuple(map(form_of, items))
        number = ("number", "int64")
        name = _section(self.translation, python, (number, number, *forms))
        run = f"run.{name}"
        types_ = [type_ for form in forms for type_ in part_types(form)]
        if ("run", name) not in self.translation.sections:
            self.translation.sections["run", name] = run
            lines, given = loads(types_, HEADER)
            given = ", ".join(["i64 %chunk", "i64 %chunks", *([given] if given else [])])
            lines = [*lines, f"%status = call i32 @{name}({given})", "ret i32 %status"]
            head = f"define internal i32 @{run}(i64 %chunk, i64 %chunks, ptr %record) nounwind"
            self.module.functions.append(_function(head, lines))
        record = self.allocate("i64", HEADER + len(types_))
        texts = [text for item in items for text in parts(item)]
        for at, (type_, text) in enumerate(zip(types_, texts, strict=True), HEADER):
            place = self.let(f"getelementptr i64, ptr {record}, i64 {at}")
            self.emit(f"store {type_} {text}, ptr {place}")
        chunks, threads = (self.cast(n, "int64").text for n in (chunks, threads))
        self.declare(PARALLEL, "i32", ["ptr", "ptr", "i64", "i64"])
        self.pass_on(self.let(f"call i32 @{PARALLEL}(ptr @{run}, ptr {record}, i64 {chunks}, i64 {threads})"))
        return Static(None)


def _typed_parts(value):
    return zip(part_types(form_of(value)), parts(value), strict=True)


def step_symbol(source: str, name: str, types_, objects, compiler: bytes) -> str:
    """The symbol of a step's function: a hash of its module's source, of its arguments and of the compiler."""
    digest = hashlib.sha256(compiler + source.encode() + repr((name, types_, objects)).encode())
    return f"{name}_{digest.hexdigest()[:24]}"
