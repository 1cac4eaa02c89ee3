"""From a kernel's Python to LLVM's text: expressions."""

import ast
import builtins
import inspect
import types as python

import numpy as np

from .calls import Calls
from .intrinsics import Intrinsic
from .sources import python_function
from .types import LLVM, TranslationError, is_float
from .values import Array, Method, Number, Static, Tuple, Undefined, integer

_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


class Expressions(Calls):
    """The methods ``of_...`` give the value of an expression of that class."""

    def expression(self, node):
        method = getattr(self, f"of_{type(node).__name__}", None)
        if method is None:
            raise TranslationError(f"{type(node).__name__} is not known")
        return method(node)

    def known(self, value):
        """A value of Python's that is known now."""
        if isinstance(value, (bool, np.bool_)):
            return Number("bool", None, bool(value))
        if isinstance(value, np.generic) and value.dtype.name in LLVM:
            return Number(value.dtype.name, None, value.item())
        if isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise TranslationError(f"{value} has more than 64 bits")
            return Number("int64" if value < 2**63 else "uint64", None, value)
        if isinstance(value, float):
            return Number("float64", None, value)
        if isinstance(value, tuple):
            return Tuple(tuple(self.known(part) for part in value))
        return Static(value)

    def items(self, value) -> tuple:
        if not isinstance(value, Tuple):
            raise TranslationError("a tuple is expected")
        return value.items

    def arguments(self, nodes) -> list:
        found = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found += self.items(self.expression(node.value))
            else:
                found.append(self.expression(node))
        return found

    # ---- names and constants

    def of_Constant(self, node):
        return self.known(node.value)

    def of_Tuple(self, node):
        return Tuple(tuple(self.arguments(node.elts)))

    def name_value(self, node):
        return self.of_Name(node)

    def of_Name(self, node):
        name = node.id
        if name in self.variables:
            value = self.variables[name]
            if isinstance(value, Undefined):
                raise TranslationError(f"{name} {value.reason}")
            return value
        if name == "real" and "real" in self.frame.globals and self.frame.real is not None:
            return Static(np.dtype(self.frame.real.type).type)
        if name in self.frame.globals:
            return self.known(self.frame.globals[name])
        if hasattr(builtins, name):
            return Static(getattr(builtins, name))
        raise TranslationError(f"{name} is not always set")

    def of_Attribute(self, node):
        value, name = self.expression(node.value), node.attr
        if isinstance(value, Array):
            if name == "shape":
                return Tuple(value.shape)
            if name == "size":
                return self.product(value.shape)
            if name == "ndim":
                return integer(len(value.shape))
            if name == "itemsize":
                return integer(value.itemsize)
            if name == "dtype":
                return Static(np.dtype(value.dtype))
            if name == "strides":
                size = integer(value.itemsize)
                return Tuple(tuple(self.binary("*", stride, size) for stride in self.strides(value)))
            if name in ("reshape", "view"):
                return Method(value, name)
            if name == "ctypes":
                return Static(value)
        if isinstance(value, Static):
            if isinstance(value.value, Array) and name == "data":
                return Number("int64", self.let(f"ptrtoint ptr {value.value.pointer} to i64"))
            if isinstance(value.value, np.dtype) and name == "type":
                return Static(value.value.type)
            if isinstance(value.value, python.ModuleType) and hasattr(value.value, name):
                return self.known(getattr(value.value, name))
        raise TranslationError(f"there is no .{name}")

    # ---- operators

    def operate(self, operator, a, b):
        name = _OPERATORS.get(type(operator))
        if name is None:
            raise TranslationError(f"{type(operator).__name__} is not known")
        if name == "**" and isinstance(a, Number) and isinstance(b, Number) and not is_float(b.type):
            return self.integer_power(a, b)
        return self.binary(name, a, b)

    def of_BinOp(self, node):
        return self.operate(node.op, self.expression(node.left), self.expression(node.right))

    def of_UnaryOp(self, node):
        value = self.expression(node.operand)
        if isinstance(node.op, ast.USub):
            return self.negative(value)
        if isinstance(node.op, ast.Not):
            return self.invert(self.truth(value))
        raise TranslationError(f"{type(node.op).__name__} is not known")

    def of_Compare(self, node):
        values = [self.expression(node.left)]
        results = []
        end = self.block("compared") if len(node.ops) > 1 else None
        for at, (operator, other) in enumerate(zip(node.ops, node.comparators, strict=True)):
            values.append(self.expression(other))
            result = self._compare(operator, *values[-2:])
            if end is None:
                return result
            if at + 1 < len(node.ops):
                following = self.block("compare")
                end.incoming.append((self.here, None, Number("bool", None, False)))
                following.incoming.append((self.here, None, None))
                self.leave(f"br i1 {result.text}, label %{following.name}, label %{end.name}")
                self.here = following
            else:
                self.jump(end, None, result)
            results.append(result)
        return self.value_at(end)

    def _compare(self, operator, a, b):
        if isinstance(a, Static) or isinstance(b, Static):
            if not isinstance(operator, (ast.Is, ast.Eq, ast.IsNot, ast.NotEq)):
                raise TranslationError("only numbers have an order")
            same = isinstance(operator, (ast.Is, ast.Eq))
            equal = isinstance(a, Static) and isinstance(b, Static) and a.value == b.value
            return Number("bool", None, equal == same)
        name = _OPERATORS.get(type(operator))
        if name is None:
            raise TranslationError(f"{type(operator).__name__} is not known")
        return self.compare(name, a, b)

    def of_BoolOp(self, node):
        stops = isinstance(node.op, ast.Or)  # the truth that makes the rest unnecessary
        end = None
        for at, part in enumerate(node.values):
            value = self.expression(part)
            if at + 1 == len(node.values):
                break
            condition = self.truth(value)
            if condition.known:
                if condition.constant == stops:
                    break
                continue
            end = end or self.block("decided")
            following = self.block("or" if stops else "and")
            end.incoming.append((self.here, None, value))
            following.incoming.append((self.here, None, None))
            targets = (end, following) if stops else (following, end)
            self.leave(f"br i1 {condition.text}, label %{targets[0].name}, label %{targets[1].name}")
            self.here = following
        if end is None:
            return value
        self.jump(end, None, value)
        return self.value_at(end)

    def of_IfExp(self, node):
        condition = self.truth(self.expression(node.test))
        if condition.known:
            return self.expression(node.body if condition.constant else node.orelse)
        then, otherwise, after = self.block("if"), self.block("otherwise"), self.block("chosen")
        self.branch(condition, then, otherwise)
        for block, part in ((then, node.body), (otherwise, node.orelse)):
            self.here = block
            self.jump(after, None, self.expression(part))
        value = self.value_at(after)
        if isinstance(value, Undefined):
            raise TranslationError(f"the expression {value.reason}")
        return value

    # ---- elements and parts

    def of_Subscript(self, node):
        place = self.subscript(node)
        if isinstance(place, tuple):
            return self.load(place[0].dtype, self.offset(*place))
        return place

    def element(self, node):
        """The array and the indices of a single element."""
        place = self.subscript(node, to_store=True)
        if not isinstance(place, tuple):
            raise TranslationError("a single element is expected")
        return place

    def subscript(self, node, to_store=False):
        """A part of a value; (array, indices) of a single element."""
        value = self.expression(node.value)
        if isinstance(value, Tuple) and not to_store:
            return self._item(value, node.slice)
        if not isinstance(value, Array):
            raise TranslationError("only arrays and tuples have elements")
        nodes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        indices, slices = [], []
        for part in nodes:
            if isinstance(part, ast.Slice):
                slices.append(part)
                continue
            index = self.expression(part)
            if slices:
                raise TranslationError("an index after a slice is not known")
            if isinstance(index, Tuple):
                indices += index.items
            else:
                indices.append(index)
        if len(indices) + len(slices) > len(value.shape) or len(slices) > 1:
            raise TranslationError(f"{len(nodes)} indices of an array with {len(value.shape)} axes")
        indices = [self._index(index) for index in indices]
        if not slices and len(indices) == len(value.shape):
            return value, indices
        if value.strides is not None and (indices or len(value.shape) > 1):
            raise TranslationError("a part of an array that is not contiguous")
        if indices:
            value = Array(value.dtype, self.offset(value, indices), value.shape[len(indices) :])
        return self._slice(value, slices[0]) if slices else value

    def _index(self, value) -> Number:
        if not isinstance(value, Number) or is_float(value.type):
            raise TranslationError("an index must be an integer")
        if value.known and value.constant < 0:
            raise TranslationError(f"the negative index {value.constant} of an array")
        return self.cast(value, "int64")

    def _slice(self, array, node) -> Array:
        """A part along the first axis; what lies past its end is cut off, as Python does."""
        size = array.shape[0]
        start = integer(0) if node.lower is None else self._index(self.expression(node.lower))
        stop = size if node.upper is None else self._index(self.expression(node.upper))
        if node.lower is not None and not (start.known and start.constant == 0):
            start = self._inside(start, size)
        if node.upper is not None:
            stop = self._inside(stop, size)
        length = self.binary("-", stop, start)
        if node.lower is not None:
            length = self.select(self.compare("<", length, integer(0)), integer(0), length)
        pointer = self.offset(array, [start])
        if node.step is None:
            return Array(array.dtype, pointer, (length, *array.shape[1:]), array.strides)
        step = self._index(self.expression(node.step))
        if len(array.shape) > 1 or (step.known and step.constant == 0):
            raise TranslationError("a step of a slice in several dimensions, or of 0")
        count = self.divide(self.binary("-", self.binary("+", length, step), integer(1)), step)[0]
        stride = self.binary("*", self.strides(array)[0], step)
        return Array(array.dtype, pointer, (count,), (stride,))

    def _inside(self, place, size) -> Number:
        """A limit of a slice: below 0 it counts from the end, and it never lies outside."""
        if not place.known:
            from_end = self.binary("+", place, size)
            place = self.select(self.compare("<", place, integer(0)), from_end, place)
            place = self.select(self.compare("<", place, integer(0)), integer(0), place)
        return self.select(self.compare(">", place, size), size, place)

    def _item(self, value, node):
        if isinstance(node, ast.Slice):
            limits = [None if part is None else self.expression(part) for part in (node.lower, node.upper, node.step)]
            if not all(limit is None or limit.known for limit in limits):
                raise TranslationError("a part of a tuple must be known")
            return Tuple(value.items[slice(*(None if limit is None else limit.constant for limit in limits))])
        index = self.expression(node)
        if not isinstance(index, Number) or is_float(index.type):
            raise TranslationError("an index must be an integer")
        if index.known:
            if not -len(value.items) <= index.constant < len(value.items):
                raise TranslationError(f"a tuple of {len(value.items)} has no item {index.constant}")
            return value.items[index.constant]
        return self.chosen_item(value, self.cast(index, "int64"))

    # ---- calls

    def of_Call(self, node):
        keywords = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise TranslationError("** is not known in calls")
            keywords[keyword.arg] = self.expression(keyword.value)
        called = self.expression(node.func)
        arguments = self.arguments(node.args)
        if isinstance(called, Method):
            return self.call_method(called, arguments)
        if not isinstance(called, Static):
            raise TranslationError("only functions can be called")
        called = called.value
        if isinstance(called, Intrinsic):
            return self.call_intrinsic(called, arguments)
        function = python_function(called)
        if function is None:
            return self.call_builtin(called, arguments, keywords)
        if function is not called:
            if keywords:
                raise TranslationError("kernels take no keywords")
            return self.call_kernel(function, arguments)
        if inspect.isfunction(function) and not hasattr(function, "compiled_with"):
            raise TranslationError(f"{function.__qualname__} is not a scalar function of the kernels")
        single = getattr(function, "single", None)
        if single is not None and getattr(arguments[0], "type", None) == "float32":
            function = single
        return self.call_function(function, arguments, keywords)
