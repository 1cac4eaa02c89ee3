"""Numbers of a step that are data, not code: steps that differ in nothing else share their machine code.

Every integer of a step's source is read from an array: sizes, offsets, counts.  Calls of kernels that follow each
other are data, too: entries that a loop reads, of which each says which *pattern* it is, how long it is, and which
numbers go with it.  A pattern is a function that calls one kernel with views and numbers.
"""

import ast
import copy
from dataclasses import dataclass, field

CALLS = "calls"  # the function that runs entries

RUN = f"""\
define internal i32 @{CALLS}(ptr %environment, ptr %first, i64 %count) nounwind {{
entry:
br label %head
head:
%i = phi i64 [0, %entry], [%next.i, %again]
%at = phi ptr [%first, %entry], [%next, %again]
%more = icmp slt i64 %i, %count
br i1 %more, label %body, label %done
body:
%code = load i64, ptr %at
%place = getelementptr ptr, ptr @patterns, i64 %code
%pattern = load ptr, ptr %place
%numbers = getelementptr i64, ptr %at, i64 2
%status = call i32 %pattern(ptr %environment, ptr %numbers)
%wrong = icmp ne i32 %status, 0
br i1 %wrong, label %failed, label %again
again:
%length.at = getelementptr i64, ptr %at, i64 1
%length = load i64, ptr %length.at
%next = getelementptr i64, ptr %at, i64 %length
%next.i = add nsw i64 %i, 1
br label %head
failed:
ret i32 %status
done:
ret i32 0
}}
"""


class Numbers:
    """The numbers of one function, in the order in which its code reads them; lists of numbers come after them."""

    def __init__(self):
        self.values: list = []  # a number, or a list or Numbers, for which its distance from here stands
        self._places: dict[int, int] = {}

    def place(self, key: int, value) -> int:
        """Where the value is; what is written twice, as a loop can be, has one place by its ``key``."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]

    def flat(self, codes: dict) -> list[int]:
        """All as integers; codes: which number stands for what else is among them."""
        own, following = [], []
        for value in self.values:
            if isinstance(value, Numbers | list):
                own.append(len(self.values) + len(following))
                following += value.flat(codes) if isinstance(value, Numbers) else [codes.get(n, n) for n in value]
            else:
                own.append(value)
        return own + following


@dataclass(frozen=True)
class Lifted:
    """Stands in a pattern's tree for the number at this place."""

    place: int


@dataclass
class Described:
    """A call, of a kernel or of ``view``: what it has in common with others, and what not.

    key: the same for calls of one pattern; numbers: what they differ in; names: of variables, in order.
    """

    call: ast.Call
    key: str = ""
    numbers: list[int] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)


def is_number(node) -> bool:
    """Whether a node is an integer that can be data."""
    return isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 2**63


def described(call: ast.Call, views: dict[str, Described], name_of) -> Described:
    """The call, in which the names of views stand for what they view.

    name_of: what a name means to a pattern, and whether it is a variable.  Raises KeyError if it can't be described.
    """
    found = Described(call)

    def key(node) -> str:
        if isinstance(node, ast.Constant):
            if is_number(node):
                found.numbers.append(node.value)
                return "#"
            return repr(node.value)
        if isinstance(node, ast.Name):
            if node.id in views:
                view = views[node.id]
                found.numbers += view.numbers
                found.names |= view.names
                return view.key
            meaning, is_variable = name_of(node.id)
            if is_variable:
                found.names[node.id] = None
            return meaning
        if isinstance(node, ast.Subscript):  # of a tuple the item must be known
            raise KeyError(node)
        parts = [getattr(node, field) for field in node._fields if field != "ctx"]
        inside = ",".join(
            ",".join(map(key, part)) if type(part) is list else part if type(part) is str else key(part)
            for part in parts
        )
        return f"{type(node).__name__}({inside})"

    found.key = key(call)
    return found


def pattern_of(call: ast.Call, views: dict[str, Described]) -> ast.Call:
    """The tree of a call with views in it and numbers as ``Lifted``, counted in the order of ``described``."""
    count = 0

    def tree(node):
        nonlocal count
        if is_number(node):
            count += 1
            return ast.copy_location(ast.Constant(Lifted(count - 1)), node)
        if isinstance(node, ast.Name) and node.id in views:
            return tree(views[node.id].call)
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                setattr(new, name, tree(value))
            elif isinstance(value, list):
                setattr(new, name, [tree(part) for part in value])
        return new

    return tree(call)
