"""From a kernel's Python to LLVM's text: statements, and which functions become part of which module."""

import ast
import builtins
import hashlib
from dataclasses import dataclass, field

from . import sources
from .emitter import FLAGS, Emitter, Module, build, form_of, part_types, parts, unify_forms
from .expressions import Expressions
from .sources import options_of, python_function
from .types import ArrayType, TranslationError, in_memory, is_float
from .values import Array, Number, Static, Tuple, Undefined, integer

_KIND = "KIND OF RESULT"


@dataclass
class Translation:
    """LLVM's text of one kernel, and what else it takes.

    parts: (name, text, names of the parts that it calls) of functions that are optimised before they become part of
    what calls them; called_parts: names of those that the kernel calls; apart: of those that become part of the kernel
    when it has had its passes, too.  calls: symbol -> (function, types) of other kernels.  tiles: name -> text of their
    modules.  errors: status -> (class, message).
    """

    symbol: str
    text: str = ""
    parts: list[tuple] = field(default_factory=list)
    called_parts: tuple = ()
    apart: list[str] = field(default_factory=list)
    calls: dict = field(default_factory=dict)
    tiles: dict[str, str] = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    made: dict = field(default_factory=dict)  # (function, forms, fast) -> the part


def symbol_of(function, types_) -> str:
    """The symbol of a kernel for arguments of these types: a hash of its source and them."""
    digest = hashlib.sha256(sources.compiler_hash() + sources.source_hash(function) + repr(types_).encode())
    return f"{function.__name__}_{digest.hexdigest()[:24]}"


def status_of(symbol: str, kind: str, message: str) -> int:
    """What a function returns where it fails: its own number for each error."""
    return 1 + int(hashlib.sha256(f"{symbol} {kind} {message}".encode()).hexdigest()[:7], 16)


def flat(type_) -> list:
    """The arrays and numbers that an argument consists of."""
    if isinstance(type_, tuple) and not isinstance(type_, ArrayType):
        return [part for item in type_ for part in flat(item)]
    return [type_]


def signature(types_) -> list[str]:
    """LLVM's types of a kernel's arguments: pointers, then dimensions, then numbers, each in the arguments' order."""
    given = [part for type_ in types_ for part in flat(type_)]
    arrays = [part for part in given if isinstance(part, ArrayType)]
    numbers = [in_memory(part) for part in given if not isinstance(part, ArrayType)]
    return ["ptr"] * len(arrays) + ["i64"] * sum(array.axes for array in arrays) + numbers


def translate(kernel, types_, symbol=None) -> Translation:
    """Translate a kernel for arguments of these types.

    Raises:
        TranslationError: the kernel does what the compiler doesn't know.
    """
    function = python_function(kernel)
    translation = Translation(symbol or symbol_of(function, types_))
    writer = Function(translation)
    pointers, dimensions, numbers = [], [], []

    def value_of(type_):
        if isinstance(type_, ArrayType):
            name = f"%a{len(pointers)}"
            pointers.append(f"ptr {name}")
            shape = tuple(Number("int64", f"{name}.{axis}") for axis in range(type_.axes))
            dimensions.extend(f"i64 {n.text}" for n in shape)
            return Array(type_.dtype, name, shape)
        if isinstance(type_, tuple):
            return Tuple(tuple(value_of(part) for part in type_))
        name = f"%n{len(numbers)}"
        numbers.append(f"{in_memory(type_)} {name}")
        return Number(type_, writer.let(f"icmp ne i8 {name}, 0")) if type_ == "bool" else Number(type_, name)

    values = [value_of(type_) for type_ in types_]
    result = writer.run(function, values)
    if not (isinstance(result, Static) and result.value is None):
        raise TranslationError(f"{function.__qualname__} returns something")
    writer.leave_function("ret i32 0")
    if writer.separate:
        pointers = [pointer.replace("ptr", "ptr noalias") for pointer in pointers]
    parameters = ", ".join(pointers + dimensions + numbers)
    writer.finish(f"define i32 @{translation.symbol}({parameters}) nounwind{writer.attributes}")
    translation.text, translation.called_parts = writer.module.text(), tuple(writer.module.parts)
    return translation


def assigned(body) -> list[str]:
    """The names that statements may set, in the order of the text."""
    names = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = None
    return list(names)


def _loops(node) -> bool:
    return any(isinstance(part, (ast.For, ast.While)) for part in ast.walk(node))


class Frame:
    """One function while it is written, be it into another."""

    def __init__(self, function, file, exit_block):
        outer = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.globals = {**function.__globals__, **{name: cell.cell_contents for name, cell in outer.items()}}
        self.file, self.exit, self.loops = file, exit_block, []
        self.real = None


class Function(Expressions, Emitter):
    """Writes one function of LLVM's: a kernel, or a scalar function with loops of its own."""

    def __init__(self, translation, module=None):
        super().__init__(module or Module())
        self.translation = translation
        self.frame, self.variables, self.within = None, {}, ()
        self.attributes, self.separate, self.can_fail = "", False, False
        self.before_return = None  # an instruction
        self.kind = "i32"  # LLVM's type of what is returned: of a part it is known at its end

    def finish(self, head) -> None:
        """The function is written: it becomes part of its module."""
        self.module.functions.append(f"{head} {{\n{self.body().replace(_KIND, self.kind)}\n}}\n")

    # ---- functions

    def run(self, function, arguments, keywords=None):
        """Write the body of a function with these arguments here; its result."""
        if function in self.within:
            raise TranslationError(f"{function.__qualname__} calls itself")
        node, file = sources.tree_of(function)
        outer = self.frame, self.variables, self.flags, self.within
        self.within = (*self.within, function)
        fast = options_of(function).get("fastmath")
        if fast is not None:
            self.flags = FLAGS if fast else ""
        self.variables = self._bind(function, node, arguments, keywords or {})
        self.frame = Frame(function, file, self.block("exit"))
        floats = [v for v in self.variables.values() if isinstance(v, Number) and is_float(v.type)]
        first = next(iter(self.variables.values()), None)
        self.frame.real = (floats or [first])[0]
        self.statements(node.body)
        self.jump(self.frame.exit, None, Static(None))
        result = self.value_at(self.frame.exit)
        self.frame, self.variables, self.flags, self.within = outer
        if isinstance(result, Undefined):
            raise TranslationError(f"the result of {function.__qualname__} {result.reason}")
        return result

    def _bind(self, function, node, arguments, keywords) -> dict:
        if node.args.vararg or node.args.kwarg or node.args.kwonlyargs:
            raise TranslationError(f"{function.__qualname__} has other than ordinary parameters")
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        bound = dict(zip(names, arguments, strict=False))
        if len(arguments) > len(names) or bound.keys() & keywords.keys() or not keywords.keys() <= {*names}:
            raise TranslationError(f"{function.__qualname__} has the parameters {', '.join(names)}")
        bound |= keywords
        defaults = function.__defaults__ or ()
        for name, value in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            bound.setdefault(name, self.known(value))
        missing = [name for name in names if name not in bound]
        if missing:
            raise TranslationError(f"{function.__qualname__} needs {', '.join(missing)}")
        return {name: bound[name] for name in names}

    def call_function(self, function, arguments, keywords):
        """The result of a scalar function: written here or, with loops, optimised on its own before."""
        node, _ = sources.tree_of(function)
        arguments = list(self._bind(function, node, arguments, keywords).values())
        alone = _loops(node) and not options_of(function).get("inline")
        forms = tuple(form_of(argument) for argument in arguments)
        name, kind, form, can_fail = self._part(function, forms, alone)
        given = ", ".join(
            f"{type_} {text}"
            for argument in arguments
            for type_, text in zip(part_types(form_of(argument)), parts(argument), strict=True)
        )
        types_ = [type_ for argument in arguments for type_ in part_types(form_of(argument))]
        if alone:
            self.declare(name, kind, types_)
            if name not in self.translation.apart:
                self.module.parts[name] = None
        got = self.let(f"call {kind} @{name}({given})")
        if can_fail:
            self.pass_on(self.let(f"extractvalue {kind} {got}, 0"))
        texts = [self.let(f"extractvalue {kind} {got}, {i}") for i in range(1, len(part_types(form)) + 1)]
        return build(form, iter(texts))

    def _part(self, function, forms, alone):
        """A function of its own: its name, the type and form of its result, whether it can fail.

        As by Numba, its passes come before those of what calls it: all if it is ``alone``, in a module of its own.
        """
        key = function, forms, bool(self.flags)
        made = self.translation.made if alone else self.module.made
        if key in made:
            if made[key] is None:
                raise TranslationError(f"{function.__qualname__} calls itself")
            return made[key]
        name = f"{function.__name__}.{'part' if alone else 'inner'}{len(made)}"
        made[key] = None
        part = Function(self.translation, None if alone else self.module)
        part.flags, part.within, part.kind = self.flags, self.within, _KIND
        types_ = [type_ for form in forms for type_ in part_types(form)]
        texts = [f"%a{i}" for i in range(len(types_))]
        names = iter(texts)
        result = part.run(function, [build(form, names) for form in forms])
        form = form_of(result)
        part.kind = kind = f"{{ {', '.join(['i32', *part_types(form)])} }}"
        whole = f"{{ {', '.join(['i32 0', *(f'{type_} poison' for type_ in part_types(form))])} }}"
        for at, (type_, text) in enumerate(zip(part_types(form), parts(result), strict=True), 1):
            whole = part.let(f"insertvalue {kind} {whole}, {type_} {text}, {at}")
        part.leave_function(f"ret {kind} {whole}")
        inline = " alwaysinline" if options_of(function).get("inline") else ""
        given = ", ".join(f"{t} {n}" for t, n in zip(types_, texts, strict=True))
        linkage = "" if alone else "internal "
        part.finish(f"define {linkage}{kind} @{name}({given}) nounwind{inline}{part.attributes}")
        if alone:
            self.translation.parts.append((name, part.module.text(), tuple(part.module.parts)))
            if options_of(function).get("inline") is False:
                self.translation.apart.append(name)
        made[key] = name, kind, form, part.can_fail
        return made[key]

    def call_kernel(self, function, arguments) -> None:
        """Call another kernel by its symbol."""
        types_ = tuple(self._type_of(argument) for argument in arguments)
        symbol = symbol_of(function, types_)
        self.translation.calls[symbol] = function, types_
        pointers, dimensions, numbers = [], [], []

        def add(value):
            if isinstance(value, Array):
                pointers.append(f"ptr {value.pointer}")
                dimensions.extend(f"i64 {n.text}" for n in value.shape)
            elif isinstance(value, Tuple):
                for item in value.items:
                    add(item)
            else:
                text = self.let(f"zext i1 {value.text} to i8") if value.type == "bool" else value.text
                numbers.append(f"{in_memory(value.type)} {text}")

        for argument in arguments:
            add(argument)
        self.declare(symbol, "i32", signature(types_))
        self.pass_on(self.let(f"call i32 @{symbol}({', '.join(pointers + dimensions + numbers)})"))

    def _type_of(self, value):
        if isinstance(value, Array):
            if value.strides is not None:
                raise TranslationError("kernels take C-contiguous arrays")
            return ArrayType(value.dtype, len(value.shape))
        if isinstance(value, Tuple):
            return tuple(self._type_of(item) for item in value.items)
        if isinstance(value, Number):
            return value.type
        raise TranslationError("kernels take arrays and numbers")

    # ---- errors

    def fail(self, kind: str, message: str) -> None:
        """Return with an error."""
        self.can_fail = True
        status = status_of(self.translation.symbol, kind, message)
        self.translation.errors[status] = kind, message
        self._return_with(status)

    def _return_with(self, status) -> None:
        if self.kind == "i32":
            self.leave_function(f"ret i32 {status}")
        else:
            self.leave_function(f"ret {_KIND} {self.let(f'insertvalue {_KIND} poison, i32 {status}, 0')}")

    def leave_function(self, end) -> None:
        if self.before_return is not None:
            self.emit(self.before_return)
        self.leave(end)

    def fail_if(self, condition: Number, kind: str, message: str) -> None:
        if condition.known and not condition.constant:
            return
        wrong, right = self.block("wrong"), self.block("right")
        self.branch(condition, wrong, right)
        self.here = wrong
        self.fail(kind, message)
        self.here = right

    def pass_on(self, status: str) -> None:
        """Return with the status of a call where that is an error's."""
        self.can_fail = True
        wrong, right = self.block("wrong"), self.block("right")
        self.branch(Number("bool", self.let(f"icmp ne i32 {status}, 0")), wrong, right)
        self.here = wrong
        self._return_with(status)
        self.here = right

    # ---- statements

    def statements(self, body) -> None:
        for statement in body:
            if self.here is None:
                return
            method = getattr(self, f"do_{type(statement).__name__}", None)
            try:
                if method is None:
                    raise TranslationError(f"{type(statement).__name__} is not known")
                method(statement)
            except TranslationError as error:
                if error.placed:
                    raise
                raise TranslationError(f"{self.frame.file}:{statement.lineno}: {error}", placed=True) from None

    def do_Pass(self, node) -> None:
        pass

    def do_Expr(self, node) -> None:
        if not isinstance(node.value, ast.Constant):
            self.expression(node.value)

    def do_Return(self, node) -> None:
        value = Static(None) if node.value is None else self.expression(node.value)
        self.jump(self.frame.exit, None, value)

    def do_Raise(self, node) -> None:
        call = node.exc
        known = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords
        kind = getattr(builtins, call.func.id, None) if known else None
        texts = [getattr(argument, "value", None) for argument in call.args] if known else ()
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or not all(isinstance(t, str) for t in texts):
            raise TranslationError("only a built-in exception with a constant text can be raised")
        self.fail(kind.__name__, "".join(texts))

    def do_Assign(self, node) -> None:
        value = self.expression(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_AugAssign(self, node) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            self.assign(target, self.operate(node.op, self.name_value(target), self.expression(node.value)))
        elif isinstance(target, ast.Subscript):
            array, indices = self.element(target)
            pointer = self.offset(array, indices)
            value = self.operate(node.op, self.load(array.dtype, pointer), self.expression(node.value))
            self.store(array.dtype, pointer, value)
        else:
            raise TranslationError("only variables and elements can be changed")

    def assign(self, target, value) -> None:
        if isinstance(target, ast.Name):
            self.variables[target.id] = value
        elif isinstance(target, ast.Tuple):
            items = self.items(value)
            if any(isinstance(part, ast.Starred) for part in target.elts) or len(items) != len(target.elts):
                raise TranslationError(f"{len(target.elts)} variables for {len(items)} values")
            for part, item in zip(target.elts, items, strict=True):
                self.assign(part, item)
        elif isinstance(target, ast.Subscript):
            place = self.subscript(target, to_store=True)
            if isinstance(place, Array):
                self.fill(place, value)
            else:
                array, indices = place
                self.store(array.dtype, self.offset(array, indices), value)
        else:
            raise TranslationError("only variables and elements can be set")

    def do_If(self, node) -> None:
        condition = self.truth(self.expression(node.test))
        if condition.known:
            self.statements(node.body if condition.constant else node.orelse)
            return
        then, otherwise, after = self.block("then"), self.block("else"), self.block("after")
        before = self.variables
        self.branch(condition, then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            self.here, self.variables = block, dict(before)
            self.statements(body)
            self.jump(after, self.variables)
        self.variables = self.enter(after) or before

    def do_Continue(self, node) -> None:
        self.jump(self.frame.loops[-1][0], self.variables)

    def do_Break(self, node) -> None:
        if self.frame.loops[-1][1] is None:
            raise TranslationError("break in a loop over a tuple is not known")
        self.jump(self.frame.loops[-1][1], self.variables)

    def do_For(self, node) -> None:
        if isinstance(node.iter, ast.Tuple) and not node.orelse:
            self._for_each(node)
            return
        call = node.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not is_range or call.keywords or not isinstance(node.target, ast.Name) or node.orelse:
            raise TranslationError("only ``for name in range(...)`` is known")
        limits = self.arguments(call.args)
        if not all(isinstance(n, Number) and not is_float(n.type) and n.type != "uint64" for n in limits):
            raise TranslationError("range takes integers that fit into int64")
        limits = [self.cast(n, "int64") for n in limits]
        start, stop, step = {1: (integer(0), *limits, integer(1)), 2: (*limits, integer(1)), 3: limits}[len(limits)]
        if not step.known:
            self.fail_if(self.compare("==", step, integer(0)), "ValueError", "range() arg 3 must not be zero")
            count = self._count_of(start, stop, step)
        elif step.constant == 0:
            raise TranslationError("a range's step must not be 0")

        def begin(index):
            if step.known:
                return self.compare("<" if step.constant > 0 else ">", index, stop)
            return self.compare("<", index, count)

        def inside(index):
            if not step.known:
                index = self.binary("+", start, self.binary("*", index, step))
            self.variables[node.target.id] = index

        def following(index):
            return self.let(f"add nsw i64 {index.text}, {step.text if step.known else '1'}")

        first = start if step.known else integer(0)
        self._loop(node.body, [node.target.id], first, begin, inside, following)

    def _for_each(self, node) -> None:
        """A loop over a tuple that is written out."""
        for value in self.arguments(node.iter.elts):
            following = self.block("following")
            self.frame.loops.append((following, None))
            self.assign(node.target, value)
            self.statements(node.body)
            self.frame.loops.pop()
            self.jump(following, self.variables)
            self.variables = self.enter(following) or self.variables

    def _count_of(self, start, stop, step) -> Number:
        """How many numbers a range has."""
        up = self.compare(">", step, integer(0))
        distance = self.select(up, self.binary("-", stop, start), self.binary("-", start, stop))
        size = self.select(up, step, self.negative(step))
        rounded = self.binary("-", self.binary("+", distance, size), integer(1))
        count = Number("int64", self.let(f"udiv i64 {rounded.text}, {size.text}"))
        return self.select(self.compare(">", distance, integer(0)), count, integer(0))

    def do_While(self, node) -> None:
        if node.orelse:
            raise TranslationError("a loop's else is not known")
        self._loop(node.body, [], None, lambda _: self.truth(self.expression(node.test)), None, None)

    def _loop(self, body, targets, first, begin, inside, following) -> None:
        """A loop.  first: the start of its counter; begin: whether it goes on; following: the counter's next value."""
        before, entry = self.here, self.variables
        names = [name for name in assigned(body) + targets if name in entry]
        forms = {name: form_of(entry[name]) for name in names if not isinstance(entry[name], Undefined)}
        mark = len(self.blocks), len(before.lines)
        while True:
            head, loop_body, again, after = (self.block(name) for name in ("head", "body", "again", "after"))
            self.here = before
            self.variables = {name: value for name, value in entry.items() if name not in names}
            texts, started = {}, {}
            for name, form in forms.items():
                started[name] = parts(self.convert(entry[name], form))
                texts[name] = [self.name() for _ in part_types(form)]
            counter = None if first is None else Number("int64", self.name())
            self.leave(f"br label %{head.name}")
            self.here = head
            for name, form in forms.items():
                self.variables[name] = build(form, iter(texts[name]))
            condition = begin(counter)
            self.branch(condition, loop_body, after, self.variables)
            self.here, self.variables = loop_body, dict(self.variables)
            if inside is not None:
                inside(counter)
            self.frame.loops.append((again, after))
            self.statements(body)
            self.frame.loops.pop()
            self.jump(again, self.variables)
            variables = self.enter(again)
            wider = {}
            for name, form in forms.items() if variables is not None else ():
                value = variables.get(name)
                new = None if isinstance(value, Undefined) else unify_forms(form, form_of(value))
                if new is None:
                    raise TranslationError(f"{name} changes from {form} to {value} in a loop")
                if new != form:
                    wider[name] = new
            if not wider:
                break
            forms |= wider
            self._undo(mark, before)
        ends = {}
        if variables is not None:
            step = None if first is None else following(counter)
            ends = {name: parts(self.convert(variables[name], form)) for name, form in forms.items()}
            source = self.here
            self.leave(f"br label %{head.name}")
        else:
            source = None

        def phi(type_, name, start, end):
            back = f", [{end}, %{source.name}]" if source is not None else ""
            head.phis.append(f"{name} = phi {type_} [{start}, %{before.name}]{back}")

        if counter is not None:
            phi("i64", counter.text, first.text, step if source is not None else None)
        for name, form in forms.items():
            for at, type_ in enumerate(part_types(form)):
                phi(type_, texts[name][at], started[name][at], ends[name][at] if source is not None else None)
        self.variables = self.enter(after) or entry

    def _undo(self, mark, before) -> None:
        """Take back a loop that was written with types which turned out to be too narrow."""
        gone = set(map(id, self.blocks[mark[0] :]))
        del self.blocks[mark[0] :], before.lines[mark[1] :]
        before.end = None
        for block in self.blocks:
            block.incoming = [edge for edge in block.incoming if id(edge[0]) not in gone]
