"""LLVM's text of one function: blocks, values that meet at their beginnings, and the arithmetic of numbers."""

import contextlib

from . import types
from .types import ITEMSIZE, LLVM, TranslationError, is_float, is_signed
from .values import Array, Number, Static, Tuple, Undefined, integer

# reassociation and contraction let loops vectorise; NaN and inf keep their meaning (no nnan, no ninf)
FLAGS = "nsz arcp contract afn reassoc "
_INTEGER = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor"}
_FLOAT = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_FOLD = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "&": lambda a, b: a & b,
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


class Module:
    """What the functions of one of LLVM's modules share."""

    def __init__(self):
        self.declarations: dict[str, str] = {}  # by name
        self.functions: list[str] = []
        self.made: dict = {}  # (function, forms, fast) -> what ``Function`` wants to know of it
        self.parts: dict[str, None] = {}  # names of functions that are optimised on their own before

    def text(self) -> str:
        return "\n".join([*self.declarations.values(), *self.functions])


class Block:
    """A basic block.  ``incoming``: (block, variables, value) of every jump to it."""

    def __init__(self, name):
        self.name, self.phis, self.lines, self.end, self.incoming = name, [], [], None, []


# ---- the form of a value: what stays the same wherever it comes from


def form_of(value):
    if isinstance(value, Number):
        return ("number", value.type)
    if isinstance(value, Array):
        return ("array", value.dtype, len(value.shape), value.strides is not None)
    if isinstance(value, Tuple):
        return ("tuple", *(form_of(item) for item in value.items))
    return ("static", value)


def unify_forms(a, b):
    """The form that holds both, or None."""
    if a == b:
        return a
    if a[0] != b[0]:
        return None
    if a[0] == "number":
        return ("number", types.unify(a[1], b[1]))
    if a[0] == "array" and a[1:3] == b[1:3]:
        return (*a[:3], True)
    if a[0] == "tuple" and len(a) == len(b):
        parts = [unify_forms(x, y) for x, y in zip(a[1:], b[1:], strict=True)]
        return None if None in parts else ("tuple", *parts)
    return None


def part_types(form) -> list[str]:
    """LLVM's types of what a value of this form consists of."""
    if form[0] == "number":
        return [LLVM[form[1]]]
    if form[0] == "array":
        return ["ptr"] + ["i64"] * form[2] * (2 if form[3] else 1)
    if form[0] == "tuple":
        return [type_ for part in form[1:] for type_ in part_types(part)]
    return []


def parts(value) -> list[str]:
    """LLVM's names of what a value consists of."""
    if isinstance(value, Number):
        return [value.text]
    if isinstance(value, Array):
        return [value.pointer, *(n.text for n in (*value.shape, *(value.strides or ())))]
    if isinstance(value, Tuple):
        return [text for item in value.items for text in parts(item)]
    return []


def build(form, texts):
    """The value of this form from an iterator of names."""
    if form[0] == "number":
        return Number(form[1], next(texts))
    if form[0] == "array":
        pointer = next(texts)
        shape = tuple(Number("int64", next(texts)) for _ in range(form[2]))
        strides = tuple(Number("int64", next(texts)) for _ in range(form[2])) if form[3] else None
        return Array(form[1], pointer, shape, strides)
    if form[0] == "tuple":
        return Tuple(tuple(build(part, texts) for part in form[1:]))
    return form[1]


class Emitter:
    """Writes one function; ``here`` is the block that is being written, None where nothing gets to."""

    def __init__(self, module):
        self.module = module
        self.blocks: list[Block] = []
        self.allocations: list[str] = []
        self.flags = FLAGS  # of floating-point arithmetic
        self._count = 0
        self.here = self.block("entry")

    # ---- text

    def block(self, name) -> Block:
        block = Block(f"{name}{len(self.blocks)}" if self.blocks else name)
        self.blocks.append(block)
        return block

    def name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def emit(self, line) -> None:
        self.here.lines.append(line)

    def let(self, instruction) -> str:
        """A new name for the result of an instruction."""
        name = self.name()
        self.here.lines.append(f"{name} = {instruction}")
        return name

    def declare(self, name, result, arguments, attributes="") -> str:
        self.module.declarations[name] = f"declare {result} @{name}({', '.join(arguments)}) {attributes}"
        return f"@{name}"

    def allocate(self, type_, count: int, align: int = 64) -> str:
        """Memory on the stack."""
        name = self.name()
        self.allocations.append(f"{name} = alloca [{count} x {type_}], align {align}")
        return name

    def body(self) -> str:
        lines = []
        for block in self.blocks:
            if block.end is None:
                continue
            lines.append(f"{block.name}:")
            if block is self.blocks[0]:
                lines += self.allocations
            lines += [*block.phis, *block.lines, block.end]
        return "\n".join(lines)

    # ---- blocks

    def leave(self, end) -> None:
        self.here.end = end
        self.here = None

    def jump(self, block, variables=None, value=None) -> None:
        if self.here is not None:
            block.incoming.append((self.here, variables, value))
            self.leave(f"br label %{block.name}")

    def branch(self, condition, then, otherwise, variables=None) -> None:
        then.incoming.append((self.here, variables, None))
        otherwise.incoming.append((self.here, variables, None))
        self.leave(f"br i1 {condition.text}, label %{then.name}, label %{otherwise.name}")

    @contextlib.contextmanager
    def at_end_of(self, block):
        here, self.here = self.here, block
        yield
        self.here = here

    def phi(self, block, edges):
        """The value in ``block`` that is one of several (block, value)."""
        first = edges[0][1]
        if all(value is first for _, value in edges):
            return first
        form = form_of(first)
        for _, value in edges[1:]:
            form = form and unify_forms(form, form_of(value))
        if form is None:
            kinds = " or ".join(dict.fromkeys(str(form_of(value)[:3]) for _, value in edges))
            return Undefined(f"is {kinds}")
        if form[0] == "static":
            return first
        if form[0] == "number" and first.known and len({(value.type, value.text) for _, value in edges}) == 1:
            return first
        columns = []
        for source, value in edges:
            with self.at_end_of(source):
                columns.append(parts(self.convert(value, form)))
        texts = []
        for type_, *column in zip(part_types(form), *columns, strict=True):
            if len(set(column)) == 1:
                texts.append(column[0])
            else:
                name = self.name()
                pairs = ", ".join(f"[{t}, %{e[0].name}]" for t, e in zip(column, edges, strict=True))
                block.phis.append(f"{name} = phi {type_} {pairs}")
                texts.append(name)
        return build(form, iter(texts))

    def enter(self, block):
        """Go on in a block, all jumps to which are known: the variables there, None if nothing gets there."""
        edges = block.incoming
        self.here = block if edges else None
        if not edges:
            return None
        if len(edges) == 1:
            return dict(edges[0][1]) if edges[0][1] is not None else None
        first = edges[0][1]
        if first is None:
            return None
        met = {}
        for name in first:
            values = [(source, variables.get(name)) for source, variables, _ in edges]
            if all(value is not None for _, value in values):
                wrong = next((v for _, v in values if isinstance(v, Undefined)), None)
                met[name] = wrong or self.phi(block, values)
            else:
                met[name] = Undefined("is not always set")
        return met

    def value_at(self, block):
        """The value that the jumps to the block bring, which is entered."""
        self.here = block if block.incoming else None
        return self.phi(block, [(source, value) for source, _, value in block.incoming])

    # ---- numbers

    def convert(self, value, form):
        """The same value in another form that holds it."""
        if form[0] == "number":
            return self.cast(value, form[1])
        if form[0] == "array" and form[3] and value.strides is None:
            return Array(value.dtype, value.pointer, value.shape, self.strides(value))
        if form[0] == "tuple":
            return Tuple(tuple(self.convert(item, part) for item, part in zip(value.items, form[1:], strict=True)))
        return value

    def cast(self, number: Number, to: str) -> Number:
        """A number as another type."""
        if not isinstance(number, Number):
            raise TranslationError("a number is expected")
        source = number.type
        if source == to:
            return number
        if number.known and (is_float(to) or not is_float(source)):
            value = bool(number.constant) if to == "bool" else number.constant
            if not is_float(to) and to != "bool":
                value = types.wrapped(to, int(value))
            elif is_float(to):
                value = float(value) if to == "float64" else float(types.np.float32(value))
            return Number(to, None, value)
        if to == "bool":
            return self.truth(number)
        a, b, text = LLVM[source], LLVM[to], number.text
        if source == "bool":
            if is_float(to):
                return Number(to, self.let(f"uitofp i1 {text} to {b}"))
            return Number(to, self.let(f"zext i1 {text} to {b}"))
        if is_float(source):
            if is_float(to):
                return Number(to, self.let(f"{'fpext' if to == 'float64' else 'fptrunc'} {a} {text} to {b}"))
            return Number(to, self.let(f"fpto{'s' if is_signed(to) else 'u'}i {a} {text} to {b}"))
        if is_float(to):
            return Number(to, self.let(f"{'s' if is_signed(source) else 'u'}itofp {a} {text} to {b}"))
        if ITEMSIZE[to] == ITEMSIZE[source]:
            return Number(to, text)
        if ITEMSIZE[to] < ITEMSIZE[source]:
            return Number(to, self.let(f"trunc {a} {text} to {b}"))
        return Number(to, self.let(f"{'sext' if is_signed(source) else 'zext'} {a} {text} to {b}"))

    def truth(self, value) -> Number:
        """Whether a number is not 0, as a bool."""
        if isinstance(value, Static):
            return Number("bool", None, bool(value.value))
        if not isinstance(value, Number):
            raise TranslationError("a condition must be a number")
        if value.type == "bool":
            return value
        if value.known:
            return Number("bool", None, bool(value.constant))
        if is_float(value.type):
            return Number("bool", self.let(f"fcmp {self.flags}une {LLVM[value.type]} {value.text}, 0.0"))
        return Number("bool", self.let(f"icmp ne {LLVM[value.type]} {value.text}, 0"))

    def binary(self, operator: str, a: Number, b: Number) -> Number:
        if not (isinstance(a, Number) and isinstance(b, Number)):
            raise TranslationError(f"{operator} takes numbers")
        if operator in ("<<", ">>"):
            return self._shift(operator, a, b)
        if operator == "**":
            return self._power(a, b)
        if operator in "&|^" and a.type == b.type == "bool":
            type_ = "bool"
        elif operator == "/":
            type_ = types.arithmetic(a.type, b.type)
            type_ = type_ if is_float(type_) else "float64"
            if not is_float(a.type) and not is_float(b.type):  # by way of integers of 64 bits
                a, b = (self.cast(n, types.shifted(n.type)) for n in (a, b))
        else:
            type_ = types.arithmetic(a.type, b.type)
        if is_float(type_) and operator not in _FLOAT:
            raise TranslationError(f"{operator} of floats")
        a, b = self.cast(a, type_), self.cast(b, type_)
        if is_float(type_):
            return Number(type_, self.let(f"{_FLOAT[operator]} {self.flags}{LLVM[type_]} {a.text}, {b.text}"))
        if operator in ("//", "%"):
            return self.divide(a, b)[operator == "%"]
        if a.known and b.known:
            value = _FOLD[operator](a.constant, b.constant)
            return Number(type_, None, bool(value) if type_ == "bool" else types.wrapped(type_, value))
        for one, other in ((a, b), (b, a)):
            if one.known and one.constant == {"*": 1, "+": 0}.get(operator):
                return other
        if operator == "-" and b.known and b.constant == 0:
            return a
        return Number(type_, self.let(f"{_INTEGER[operator]} {LLVM[type_]} {a.text}, {b.text}"))

    def _shift(self, operator, a, b) -> Number:
        if is_float(a.type) or is_float(b.type):
            raise TranslationError(f"{operator} of floats")
        type_ = types.shifted(a.type)
        a, b = self.cast(a, type_), self.cast(b, type_)
        if a.known and b.known:
            shift = a.constant << b.constant if operator == "<<" else a.constant >> b.constant
            return Number(type_, None, types.wrapped(type_, shift))
        name = "shl" if operator == "<<" else "ashr" if is_signed(type_) else "lshr"
        return Number(type_, self.let(f"{name} i64 {a.text}, {b.text}"))

    def _power(self, a, b) -> Number:
        if not is_float(b.type):
            raise TranslationError("** of an integer")
        type_ = types.arithmetic(a.type, b.type)
        a, b = self.cast(a, type_), self.cast(b, type_)
        return self.call(f"llvm.pow.{'f32' if type_ == 'float32' else 'f64'}", type_, a, b)

    def call(self, name, type_, *arguments, attributes="") -> Number:
        """Call a function of floats of one type, of LLVM or of C."""
        text = LLVM[type_]
        function = self.declare(name, text, [text] * len(arguments), attributes)
        given = ", ".join(f"{text} {argument.text}" for argument in arguments)
        return Number(type_, self.let(f"call {self.flags}{text} {function}({given})"))

    def divide(self, a: Number, b: Number):
        """Quotient and remainder of integers of one type, rounded down as Python does; 0 where b is 0."""
        type_ = a.type
        if a.known and b.known:
            both = divmod(a.constant, b.constant) if b.constant else (0, 0)
            return tuple(Number(type_, None, n) for n in both)
        if b.known and b.constant == 1:
            return a, Number(type_, None, 0)
        if b.known and b.constant > 0 and b.constant & (b.constant - 1) == 0:
            shift, mask = b.constant.bit_length() - 1, b.constant - 1
            quotient = f"{'ashr' if is_signed(type_) else 'lshr'} i64 {a.text}, {shift}"
            return Number(type_, self.let(quotient)), Number(type_, self.let(f"and i64 {a.text}, {mask}"))
        divisor, zero = b.text, None
        if not b.known or b.constant == 0:
            zero = self.let(f"icmp eq i64 {b.text}, 0")
            divisor = self.let(f"select i1 {zero}, i64 1, i64 {b.text}")
        if not is_signed(type_):
            quotient, rest = (self.let(f"{name} i64 {a.text}, {divisor}") for name in ("udiv", "urem"))
        else:
            if not b.known or b.constant == -1:  # the least integer by -1 would end the process
                least = self.let(f"icmp eq i64 {a.text}, {-(2**63)}")
                both = self.let(f"and i1 {least}, {self.let(f'icmp eq i64 {divisor}, -1')}")
                zero = both if zero is None else self.let(f"or i1 {zero}, {both}")
                divisor = self.let(f"select i1 {both}, i64 1, i64 {divisor}")
            quotient, rest = (self.let(f"{name} i64 {a.text}, {divisor}") for name in ("sdiv", "srem"))
            signs = self.let(f"icmp slt i64 {self.let(f'xor i64 {rest}, {divisor}')}, 0")
            lower = self.let(f"and i1 {signs}, {self.let(f'icmp ne i64 {rest}, 0')}")
            quotient = self.let(f"add i64 {quotient}, {self.let(f'sext i1 {lower} to i64')}")
            rest = self.let(f"add i64 {rest}, {self.let(f'select i1 {lower}, i64 {divisor}, i64 0')}")
        if zero is not None:
            quotient, rest = (self.let(f"select i1 {zero}, i64 0, i64 {n}") for n in (quotient, rest))
        return Number(type_, quotient), Number(type_, rest)

    def compare(self, operator: str, a: Number, b: Number) -> Number:
        if not (isinstance(a, Number) and isinstance(b, Number)):
            raise TranslationError(f"{operator} takes numbers")
        type_ = types.compared(a.type, b.type)
        a, b = self.cast(a, type_), self.cast(b, type_)
        if a.known and b.known:
            return Number("bool", None, _FOLD[operator](a.constant, b.constant))
        name = _COMPARE[operator]
        if is_float(type_):
            name = "une" if name == "ne" else f"o{name}"
            return Number("bool", self.let(f"fcmp {self.flags}{name} {LLVM[type_]} {a.text}, {b.text}"))
        if name not in ("eq", "ne"):
            name = f"{'s' if is_signed(type_) and type_ != 'bool' else 'u'}{name}"
        return Number("bool", self.let(f"icmp {name} {LLVM[type_]} {a.text}, {b.text}"))

    def negative(self, a: Number) -> Number:
        if not isinstance(a, Number):
            raise TranslationError("- takes a number")
        if is_float(a.type):
            if a.known:
                return Number(a.type, None, -a.constant)
            return Number(a.type, self.let(f"fneg {LLVM[a.type]} {a.text}"))
        if a.type == "bool":
            a = self.cast(a, "int64")
        if a.known:
            return self.cast(Number(a.type, None, types.wrapped(a.type, -a.constant)), types.shifted(a.type))
        text = self.let(f"sub {LLVM[a.type]} 0, {a.text}")  # before it gets wider, as Numba does
        return self.cast(Number(a.type, text), types.shifted(a.type))

    def invert(self, condition: Number) -> Number:
        if condition.known:
            return Number("bool", None, not condition.constant)
        return Number("bool", self.let(f"xor i1 {condition.text}, true"))

    def select(self, condition: Number, a: Number, b: Number) -> Number:
        """One of two numbers of one type."""
        if condition.known:
            return a if condition.constant else b
        type_ = LLVM[a.type]
        return Number(a.type, self.let(f"select i1 {condition.text}, {type_} {a.text}, {type_} {b.text}"))

    def least(self, a: Number, b: Number, largest: bool = False) -> Number:
        """Python's min, or max: the first where both are equal or one is no number."""
        type_ = types.unify(a.type, b.type)
        a, b = self.cast(a, type_), self.cast(b, type_)
        return self.select(self.compare(">" if largest else "<", b, a), b, a)

    # ---- arrays

    def product(self, numbers) -> Number:
        result = integer(1)
        for number in numbers:
            result = self.binary("*", result, number)
        return result

    def strides(self, array: Array) -> tuple:
        """Distances between neighbours along each axis, in elements."""
        if array.strides is not None:
            return array.strides
        found = [integer(1)]
        for size in reversed(array.shape[1:]):
            found.insert(0, self.binary("*", found[0], size))
        return tuple(found[: len(array.shape)])

    def offset(self, array: Array, indices) -> str:
        """The address of an element, or of the first one of a part."""
        total = integer(0)
        if array.strides is None:
            for axis, size in enumerate(array.shape):
                if not (total.known and total.constant == 0):
                    total = self.binary("*", total, size)
                if axis < len(indices):
                    total = self.binary("+", total, indices[axis])
        else:
            for index, stride in zip(indices, array.strides, strict=False):
                total = self.binary("+", total, self.binary("*", index, stride))
        if total.known and total.constant == 0:
            return array.pointer
        return self.let(f"getelementptr {types.in_memory(array.dtype)}, ptr {array.pointer}, i64 {total.text}")

    def load(self, dtype: str, pointer: str) -> Number:
        text = self.let(f"load {types.in_memory(dtype)}, ptr {pointer}, align {ITEMSIZE[dtype]}")
        if dtype == "bool":
            text = self.let(f"icmp ne i8 {text}, 0")
        return Number(dtype, text)

    def store(self, dtype: str, pointer: str, value: Number) -> None:
        text = self.cast(value, dtype).text
        if dtype == "bool":
            text = self.let(f"zext i1 {text} to i8")
        self.emit(f"store {types.in_memory(dtype)} {text}, ptr {pointer}, align {ITEMSIZE[dtype]}")
