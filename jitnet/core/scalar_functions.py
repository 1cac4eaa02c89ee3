"""Users' scalar functions: read as a tree of known parts, differentiated, and written in the language of kernels.

Nothing of a user's text gets into the source that is written: numbers do as literals, names are given anew, and all
else is one of the parts that are known here.  What isn't is refused with its line.
"""

import ast
import functools
import hashlib
import inspect
import math
import textwrap
import types
from typing import NamedTuple

from ..kernels.literals import identifier, literal

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_CALLED = ("cos", "erf", "erfc", "exp", "expm1", "log", "log1p", "sin", "sqrt", "tanh")  # what kernels know of math
_MOST_FACTORS = 8  # of a power that is written as a product
_BUILTINS = {"abs": abs, "min": min, "max": max, "float": float}
_LONGEST = 60_000  # characters of what is written


# Expressions are tuples: ("number", value), ("name", name), ("-", a), (an operator, a, b), ("call", function,
# *arguments), ("choice", condition, a, b); conditions ("compare", operator, a, b), ("and" or "or", *conditions),
# ("not", condition).  Statements: ("let", name, expression), ("branch", condition, statements, statements),
# ("return", expression).


def number(value) -> tuple:
    return "number", float(value)


def _is(expression, value) -> bool:
    return expression == ("number", float(value))


def _sum(a, b):
    """a + b, where None stands for 0."""
    return b if a is None else a if b is None else ("+", a, b)


def _negative(a):
    return None if a is None else ("-", a)


def _product(a, b):
    """a * b of a derivative b, None for 0."""
    return None if b is None else b if _is(a, 1) else a if _is(b, 1) else ("*", a, b)


def _call(name, *arguments):
    return "call", name, *arguments


def _power(base, exponent):
    """base ** exponent; whole numbers up to 8 are products."""
    if exponent[0] == "number" and exponent[1].is_integer() and 0 <= abs(exponent[1]) <= _MOST_FACTORS:
        count = int(abs(exponent[1]))
        if count == 0:
            return number(1)
        if base[0] in ("name", "number") or count == 1:
            result = functools.reduce(lambda a, b: ("*", a, b), [base] * count)
            return result if exponent[1] > 0 else ("/", number(1), result)
    return "**", base, exponent


_SLOPES = {
    "exp": lambda u: _call("exp", u),
    "expm1": lambda u: _call("exp", u),
    "log": lambda u: ("/", number(1), u),
    "log1p": lambda u: ("/", number(1), ("+", number(1), u)),
    "sqrt": lambda u: ("/", number(0.5), _call("sqrt", u)),
    "sin": lambda u: _call("cos", u),
    "cos": lambda u: ("-", _call("sin", u)),
    "tanh": lambda u: ("-", number(1), ("*", _call("tanh", u), _call("tanh", u))),
    "erf": lambda u: ("*", number(2 / math.sqrt(math.pi)), _call("exp", ("-", ("*", u, u)))),
    "erfc": lambda u: ("*", number(-2 / math.sqrt(math.pi)), _call("exp", ("-", ("*", u, u)))),
    "abs": lambda u: (
        "choice", ("compare", ">", u, number(0)), number(1),
        ("choice", ("compare", "<", u, number(0)), number(-1), number(0)),
    ),
}  # fmt: skip
_COMPOSED = {
    "fabs": lambda u: _call("abs", u),
    "exp2": lambda u: _call("exp", ("*", u, number(math.log(2)))),
    "log2": lambda u: ("*", _call("log", u), number(1 / math.log(2))),
    "log10": lambda u: ("*", _call("log", u), number(1 / math.log(10))),
    "tan": lambda u: ("/", _call("sin", u), _call("cos", u)),
    "sinh": lambda u: ("*", number(0.5), ("-", _call("expm1", u), _call("expm1", ("-", u)))),
    "cosh": lambda u: ("*", number(0.5), ("+", _call("exp", u), _call("exp", ("-", u)))),
    "pow": lambda u, v: _power(u, v),
}
_KNOWN = ", ".join(sorted({*_CALLED, *_COMPOSED}))


class _Helper(NamedTuple):
    """A function that a user's function calls: its name in what is written, and how many arguments it takes."""

    name: str
    count: int


class Translation:
    """A user's function and those that it calls, as functions of what is written.

    root: how the names of the helpers begin.
    """

    def __init__(self, root: str):
        self.root = root
        self.lines: list[str] = []  # of the helpers
        self._helpers: dict = {}

    def function(self, name: str, function, parameters) -> str:
        """``function`` under another name and with names of its own for parameters."""
        body = _Body(self, function, parameters)
        return _definition(name, parameters, _written(body.statements, None))

    def derivative(self, name: str, function, parameters, of: str) -> str:
        """The derivative of ``function`` by its parameter ``of``."""
        body = _Body(self, function, parameters)
        return _definition(name, parameters, _written(body.statements, _active(body.statements, {of})))

    def helper(self, function, refuse) -> _Helper:
        """The helper that a function which is called becomes, with a derivative by each of its parameters."""
        if function in self._helpers:
            if self._helpers[function] is None:
                refuse("a function that calls itself can't be differentiated")
            return self._helpers[function]
        self._helpers[function] = None
        name = f"{self.root}_part_{len(self._helpers)}"
        count = len(inspect.signature(function).parameters)
        parameters = [f"x{i}" for i in range(count)]
        self.lines.append(self.function(name, function, parameters))
        for i, parameter in enumerate(parameters):
            self.lines.append(self.derivative(f"{name}_by_{i}", function, parameters, parameter))
        self._helpers[function] = _Helper(name, count)
        return self._helpers[function]


class _Body:
    """The statements of a user's function."""

    def __init__(self, translation: Translation, function, parameters):
        self._translation, self._function = translation, function
        self._file = function.__code__.co_filename
        try:
            lines, self._first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            raise ValueError(
                f"The source of {function.__name__} is not there to be read: write it as a function of a file or a "
                f"notebook. Received: {function!r}"
            ) from None
        text = textwrap.dedent("".join(lines))
        try:
            (self._tree,) = ast.parse(text).body
        except SyntaxError:
            self._tree = None
        if not isinstance(self._tree, ast.FunctionDef):
            raise ValueError(
                f"A scalar function is written as `def {identifier(function.__name__)}(x): ...`. "
                f"Received: {function!r}"
            )
        self._lines = text.splitlines()
        given = self._tree.args
        if given.vararg or given.kwarg or given.kwonlyargs or len(given.args) != len(parameters):
            self._refuse(self._tree, f"it must take {len(parameters)} argument{'s' * (len(parameters) > 1)}")
        self._names = {argument.arg: name for argument, name in zip(given.args, parameters, strict=True)}
        self._scope = {**_BUILTINS, **function.__globals__, **inspect.getclosurevars(function).nonlocals}
        self.statements, ends = self._block(self._tree.body, set(parameters))
        if not ends:
            self._refuse(self._tree, "it may end without returning a number")

    def _refuse(self, node, reason: str):
        line = getattr(node, "lineno", 1)
        shown = self._lines[line - 1].strip()
        raise ValueError(
            f"{self._function.__name__} can't become a function of single elements: {reason} "
            f"({self._file}, line {self._first + line - 1}). Received: {shown}"
        )

    # ---- statements

    def _block(self, nodes, defined: set) -> tuple[list, bool]:
        """The statements, and whether they return in any case; ``defined`` grows by what they assign in any case."""
        found = []
        for node in nodes:
            if isinstance(node, ast.Return) and node.value is not None:
                return [*found, ("return", self._expression(node.value, defined))], True
            if isinstance(node, ast.If):
                condition = self._condition(node.test, defined)
                after, otherwise = set(defined), set(defined)
                first, first_ends = self._block(node.body, after)
                second, second_ends = self._block(node.orelse, otherwise)
                found.append(("branch", condition, first, second))
                if first_ends and second_ends:
                    return found, True
                defined |= otherwise if first_ends else after if second_ends else after & otherwise
            elif isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                continue
            else:
                found.append(self._assignment(node, defined))
        return found, False

    def _assignment(self, node, defined: set) -> tuple:
        target = value = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        elif isinstance(node, ast.AugAssign):
            target = node.target
            value = ast.copy_location(ast.BinOp(ast.Name(getattr(target, "id", "")), node.op, node.value), node)
            ast.fix_missing_locations(value)
        if not isinstance(target, ast.Name):
            self._refuse(node, "known statements are assignments to a name, if and return")
        expression = self._expression(value, defined)
        name = self._names.setdefault(target.id, f"v{len(self._names)}")
        defined.add(name)
        return "let", name, expression

    # ---- expressions

    def _expression(self, node, defined) -> tuple:
        def inner(part):
            return self._expression(part, defined)

        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return number(node.value)
        if isinstance(node, ast.Name) and node.id in self._names:
            name = self._names[node.id]
            if name not in defined:
                self._refuse(node, f"{node.id} may have no value here")
            return "name", name
        if isinstance(node, ast.Name | ast.Attribute):
            value = self._value(node)
            if type(value) in (int, float):
                return number(value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            return inner(node.operand)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = inner(node.operand)
            return number(-value[1]) if value[0] == "number" else ("-", value)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            a, b = inner(node.left), inner(node.right)
            return _power(a, b) if isinstance(node.op, ast.Pow) else (_BINARY[type(node.op)], a, b)
        if isinstance(node, ast.IfExp):
            return "choice", self._condition(node.test, defined), inner(node.body), inner(node.orelse)
        if isinstance(node, ast.Call) and not node.keywords:
            return self._called(node, [inner(argument) for argument in node.args])
        return self._refuse(node, "this is no arithmetic of numbers that can be differentiated")

    def _called(self, node, arguments) -> tuple:
        function = self._value(node.func)
        if function in (min, max) and len(arguments) > 1:
            sign = "<=" if function is min else ">="
            return functools.reduce(lambda a, b: ("choice", ("compare", sign, a, b), a, b), arguments)
        if function is float and len(arguments) == 1:
            return arguments[0]
        name = "abs" if function is abs else getattr(function, "__name__", None)
        own = function is abs or getattr(math, name or "", None) is function
        if own and name in (*_CALLED, "abs") and len(arguments) == 1:
            return _call(name, *arguments)
        if own and name in _COMPOSED and len(arguments) == 1 + (name == "pow"):
            return _COMPOSED[name](*arguments)
        if isinstance(function, types.FunctionType):
            function = getattr(function, "scalar_function", function)
            helper = self._translation.helper(function, functools.partial(self._refuse, node))
            if helper.count == len(arguments):
                return _call(helper.name, *arguments)
        return self._refuse(node, f"known functions are abs, min, max, those of math: {_KNOWN}, and your own")

    def _value(self, node):
        """What a name, or an attribute of a module, stands for in the user's program."""
        if isinstance(node, ast.Name) and node.id in self._scope and node.id not in self._names:
            return self._scope[node.id]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = self._scope.get(node.value.id)
            if isinstance(owner, types.ModuleType):
                return getattr(owner, node.attr, None)
        return None

    def _condition(self, node, defined) -> tuple:
        if isinstance(node, ast.BoolOp):
            name = "and" if isinstance(node.op, ast.And) else "or"
            return name, *(self._condition(value, defined) for value in node.values)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return "not", self._condition(node.operand, defined)
        if isinstance(node, ast.Compare) and all(type(op) in _COMPARED for op in node.ops):
            values = [self._expression(value, defined) for value in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            found = [("compare", _COMPARED[type(op)], a, b) for op, a, b in pairs]
            return found[0] if len(found) == 1 else ("and", *found)
        return self._refuse(node, "a condition compares numbers")


# ---- derivatives


def _names_in(part) -> set[str]:
    if not isinstance(part, tuple | list):
        return set()
    if part and part[0] == "name":
        return {part[1]}
    return set().union(*map(_names_in, part)) if part else set()


def _active(statements, active: set) -> set[str]:
    """The names whose values depend on those of ``active``."""
    before = None
    while before != active:
        before = set(active)
        for name, expression in _assignments(statements):
            if _names_in(expression) & active:
                active = active | {name}
    return active


def _assignments(statements):
    for statement in statements:
        if statement[0] == "let":
            yield statement[1], statement[2]
        elif statement[0] == "branch":
            yield from _assignments([*statement[2], *statement[3]])


def _slope(expression, active):
    """The derivative of an expression, None for 0; that of a name is d_name."""
    kind, *parts = expression
    if kind == "name":
        return ("name", f"d_{parts[0]}") if parts[0] in active else None
    if kind == "number":
        return None
    if kind == "choice":
        condition, a, b = parts
        da, db = _slope(a, active), _slope(b, active)
        return None if da is None and db is None else ("choice", condition, da or number(0), db or number(0))
    if kind == "call":
        name, *arguments = parts
        slopes = [_slope(argument, active) for argument in arguments]
        if name in _SLOPES:
            return _product(_SLOPES[name](*arguments), slopes[0])
        terms = [_product(_call(f"{name}_by_{i}", *arguments), slope) for i, slope in enumerate(slopes)]
        return functools.reduce(_sum, terms, None)
    if kind == "-" and len(parts) == 1:
        return _negative(_slope(parts[0], active))
    a, b = parts
    da, db = _slope(a, active), _slope(b, active)
    if kind == "+":
        return _sum(da, db)
    if kind == "-":
        return da if db is None else ("-", db) if da is None else ("-", da, db)
    if kind == "*":
        return _sum(_product(b, da), _product(a, db))
    if kind == "/":
        first = None if da is None else ("/", da, b)
        second = None if db is None else ("-", ("/", ("*", a, db), ("*", b, b)))
        return _sum(first, second)
    lower = _power(a, number(b[1] - 1)) if b[0] == "number" else ("**", a, ("-", b, number(1)))
    return _sum(_product(("*", b, lower), da), _product(("*", expression, _call("log", a)), db))


# ---- text


def _text(part) -> str:
    kind, *rest = part
    if kind == "number":
        return f"real({literal(rest[0])})"
    if kind == "name":
        return rest[0]
    if kind == "call":
        name, *arguments = rest
        return f"{f'math.{name}' if name in _CALLED else name}({', '.join(map(_text, arguments))})"
    if kind == "choice":
        condition, a, b = rest
        return f"({_text(a)} if {_text(condition)} else {_text(b)})"
    if kind == "compare":
        operator, a, b = rest
        return f"{_text(a)} {operator} {_text(b)}"
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(map(_text, rest)) + ")"
    if kind == "not":
        return f"(not ({_text(rest[0])}))"
    if len(rest) == 1:
        return f"(-{_text(rest[0])})"
    return f"({_text(rest[0])} {kind} {_text(rest[1])})"


def _written(statements, active, indent: str = "    ") -> list[str]:
    """Lines of a function, or of its derivative by what ``active`` depends on."""
    lines = []
    for statement in statements:
        kind, *parts = statement
        if kind == "return":
            value = parts[0] if active is None else _slope(parts[0], active) or number(0)
            lines.append(f"{indent}return {_text(value)}")
        elif kind == "let":
            name, expression = parts
            if active is not None and name in active:
                slope = _slope(expression, active) or number(0)
                # both from the old values, if it is assigned to itself
                lines.append(f"{indent}d_{name}, {name} = {_text(slope)}, {_text(expression)}")
            else:
                lines.append(f"{indent}{name} = {_text(expression)}")
        else:
            condition, first, second = parts
            lines.append(f"{indent}if {_text(condition)}:")
            lines += _written(first, active, indent + "    ") or [f"{indent}    pass"]
            if second:
                lines += [f"{indent}else:", *_written(second, active, indent + "    ")]
    if active is not None and indent == "    ":
        start = [name for name in sorted(active) if name.startswith("x")]
        lines[:0] = [f"    d_{name} = real(1)" for name in start if any(f"d_{name}" in line for line in lines)]
    if sum(map(len, lines)) > _LONGEST:
        raise ValueError(f"A scalar function is short: its derivative has {sum(map(len, lines))} characters.")
    return lines


def _definition(name: str, parameters, lines) -> str:
    return "\n".join([f"def {name}({', '.join(parameters)}):", *lines]) + "\n"


# ---- activations


def source_of(function, derivative=None) -> tuple[str, str]:
    """(name, source) of an activation and its derivative, which is derived where it isn't given.

    The name says what it is called, and what it computes.
    """
    shown = identifier(function.__name__)[:40]
    text = _activation(shown, function, derivative)
    name = f"{shown}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return name, _activation(name, function, derivative)


def _activation(name: str, function, derivative) -> str:
    translation = Translation(name)
    parts = [translation.function(name, function, ["x"])]
    if derivative is None:
        parts.append(translation.derivative(f"{name}_derivative", function, ["x"], "x"))
    else:
        names = list(inspect.signature(derivative).parameters)
        parameters = names if names in (["y"], ["x", "y"]) else ["x"]
        parts.append(translation.function(f"{name}_derivative", derivative, parameters))
    return "\n\n".join([*translation.lines, *parts])
