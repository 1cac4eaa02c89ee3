"""What kernels call that is no function of theirs: built-in functions, types, ``math``, intrinsics, tiles."""

import builtins
import math

import numpy as np

from . import tiles, types
from .emitter import form_of
from .intrinsics import Tile
from .types import ITEMSIZE, LLVM, TranslationError, is_float
from .values import Array, Number, Static, Tuple, integer

_LLVM_MATH = {math.exp: "exp", math.log: "log", math.sin: "sin", math.cos: "cos", math.fabs: "fabs"}
_C_MATH = {
    math.sqrt: "sqrt", np.sqrt: "sqrt", math.expm1: "expm1", math.log1p: "log1p", math.tanh: "tanh",
    math.erf: "erf", math.erfc: "erfc", math.atan: "atan",
}  # fmt: skip
_TYPES = {int: "int64", float: "float64", bool: "bool"}
SCRATCH = 256  # elements of ``scratch``: 1 or 2 KiB, of which a kernel takes a few (a guess: not measured)


def real_power(base, exponent, one):
    """base to the power of an integer, in Numba's order of the products."""
    power = -exponent if exponent < 0 else exponent
    if power > 0x10000:
        return type(one)(base ** float(exponent))
    result = one
    while power != 0:
        if power & 1:
            result = result * base
        power = power >> 1
        base = base * base
    return type(one)(1.0 / result) if exponent < 0 else result


real_power.compiled_with = {}


class Calls:
    """A part of ``Expressions``."""

    def call_builtin(self, called, arguments, keywords):
        try:
            name = _TYPES.get(called) or (np.dtype(called).name if isinstance(called, type) else None)
        except TypeError:
            name = None
        if name in LLVM and called is not type and not keywords and len(arguments) == 1:
            return self.cast(self._number(arguments[0]), name)
        if keywords:
            raise TranslationError("keywords are not known here")
        if called is builtins.type and len(arguments) == 1:
            return Static(np.dtype(self._number(arguments[0]).type).type)
        if called in (builtins.min, builtins.max):
            arguments = self.items(arguments[0]) if len(arguments) == 1 else arguments
            result = self._number(arguments[0])
            for other in arguments[1:]:
                result = self.least(result, self._number(other), called is builtins.max)
            return result
        if called is builtins.abs and len(arguments) == 1:
            return self._absolute(self._number(arguments[0]))
        if called is builtins.len and len(arguments) == 1:
            if isinstance(arguments[0], Array):
                return arguments[0].shape[0]
            return integer(len(self.items(arguments[0])))
        if called is builtins.divmod and len(arguments) == 2:
            a, b = (self._number(argument) for argument in arguments)
            type_ = types.arithmetic(a.type, b.type)
            if is_float(type_):
                raise TranslationError("divmod of floats")
            return Tuple(self.divide(self.cast(a, type_), self.cast(b, type_)))
        if called in _LLVM_MATH or called in _C_MATH:
            value = self._number(*arguments)
            value = value if is_float(value.type) else self.cast(value, "float64")
            if called in _LLVM_MATH:
                bits = 8 * ITEMSIZE[value.type]
                return self.call(f"llvm.{_LLVM_MATH[called]}.f{bits}", value.type, value)
            name = _C_MATH[called] + ("f" if value.type == "float32" else "")
            return self.call(name, value.type, value, attributes="readonly nounwind")
        if called is math.copysign and len(arguments) == 2:
            a, b = (self._number(argument) for argument in arguments)
            type_ = types.arithmetic(a.type, b.type)
            bits = 8 * ITEMSIZE[type_]
            return self.call(f"llvm.copysign.f{bits}", type_, self.cast(a, type_), self.cast(b, type_))
        raise TranslationError(f"{getattr(called, '__name__', called)} is not known")

    @staticmethod
    def _number(value) -> Number:
        if not isinstance(value, Number):
            raise TranslationError("a number is expected")
        return value

    def _absolute(self, value) -> Number:
        if is_float(value.type):
            return self.call(f"llvm.fabs.f{8 * ITEMSIZE[value.type]}", value.type, value)
        if not types.is_signed(value.type):
            return value
        if value.type == "bool":
            return self.cast(value, "int8")
        zero = Number(value.type, None, 0)
        return self.select(self.compare("<", value, zero), self.cast(self.negative(value), value.type), value)

    def integer_power(self, base, exponent) -> Number:
        """base ** exponent for an exponent that is an integer."""
        if not is_float(base.type):
            if base.known and exponent.known and exponent.constant >= 0:
                return integer(base.constant**exponent.constant)
            raise TranslationError("** of integers")
        if exponent.known and abs(exponent.constant) <= 0x10000:
            result, factor, power = Number(base.type, None, 1.0), base, abs(exponent.constant)
            while power:
                if power & 1:
                    result = self.binary("*", result, factor)
                power >>= 1
                factor = self.binary("*", factor, factor)
            return self.binary("/", Number(base.type, None, 1.0), result) if exponent.constant < 0 else result
        return self.run(real_power, [base, exponent, Number(base.type, None, 1.0)])

    def chosen_item(self, value, index):
        """The item of a tuple at an index that is not known before."""
        if len({form_of(item) for item in value.items}) != 1:
            raise TranslationError("a tuple of items of one type is expected")
        end, wrong = self.block("item"), self.block("no_item")
        blocks = [self.block("item") for _ in value.items]
        count = len(blocks)
        cases = [f"i64 {place + at}, label %{block.name}" for at in (0, -count) for place, block in enumerate(blocks)]
        self.leave(f"switch i64 {index.text}, label %{wrong.name} [{' '.join(cases)}]")
        self.here = wrong
        self.fail("IndexError", "tuple index out of range")
        for block, item in zip(blocks, value.items, strict=True):
            self.here = block
            self.jump(end, None, item)
        return self.value_at(end)

    # ---- arrays

    def call_method(self, method, arguments):
        array = method.array
        if array.strides is not None:
            raise TranslationError(f"{method.name} of an array that is not contiguous")
        if method.name == "view":
            return self._viewed_as(array, self._dtype(*arguments))
        if len(arguments) == 1 and isinstance(arguments[0], Tuple):
            arguments = self.items(arguments[0])
        shape = [self.cast(self._number(argument), "int64") for argument in arguments]
        size = self.product(array.shape)
        rest = [axis for axis, number in enumerate(shape) if number.known and number.constant == -1]
        if len(rest) > 1:
            raise TranslationError("reshape takes one -1")
        if rest:
            others = self.product(number for axis, number in enumerate(shape) if axis not in rest)
            shape[rest[0]], left = self.divide(size, others)
            if not (others.known and others.constant == 1):
                wrong = self.compare("!=", left, integer(0))
                self.fail_if(wrong, "ValueError", "total size of new array must be unchanged")
        else:
            wrong = self.compare("!=", self.product(shape), size)
            self.fail_if(wrong, "ValueError", "total size of new array must be unchanged")
        return Array(array.dtype, array.pointer, tuple(shape))

    def _viewed_as(self, array, dtype):
        factor, last = ITEMSIZE[dtype], array.shape[-1]
        if array.itemsize != factor:
            size = self.binary("*", last, integer(array.itemsize))
            last, left = self.divide(size, integer(factor))
            wrong = self.compare("!=", left, integer(0))
            self.fail_if(wrong, "ValueError", "the last axis must have a whole number of new elements")
        return Array(dtype, array.pointer, (*array.shape[:-1], last))

    def _dtype(self, value) -> str:
        try:
            name = np.dtype(value.value).name
        except (AttributeError, TypeError):
            name = None
        if name not in LLVM:
            raise TranslationError("a type of numbers is expected")
        return name

    def fill(self, array, value) -> None:
        """array[...] = value, a number or an array of one axis."""
        if isinstance(value, Array):
            if len(value.shape) != 1 or len(array.shape) != 1:
                raise TranslationError("only arrays of one axis can be copied")
            wrong = self.compare("!=", value.shape[0], array.shape[0])
            self.fail_if(wrong, "ValueError", "cannot assign slice from input of different size")
        else:
            value = self.cast(self._number(value), array.dtype)
        if array.strides is None:
            array = Array(array.dtype, array.pointer, (self.product(array.shape),))
        before, head, body, after = self.here, self.block("fill"), self.block("element"), self.block("filled")
        index = Number("int64", self.name())
        self.leave(f"br label %{head.name}")
        self.here = head
        more = self.let(f"icmp slt i64 {index.text}, {array.shape[0].text}")
        self.leave(f"br i1 {more}, label %{body.name}, label %{after.name}")
        self.here = body
        element = self.load(value.dtype, self.offset(value, [index])) if isinstance(value, Array) else value
        self.store(array.dtype, self.offset(array, [index]), element)
        following = self.let(f"add nsw i64 {index.text}, 1")
        self.leave(f"br label %{head.name}")
        head.phis.append(f"{index.text} = phi i64 [0, %{before.name}], [{following}, %{body.name}]")
        after.incoming.append((head, None, None))
        self.here = after

    # ---- intrinsics

    def call_intrinsic(self, called, arguments):
        if isinstance(called, Tile):
            return self._call_tile(called, arguments)
        method = getattr(self, f"_do_{called.name.lstrip('_')}", None)
        if method is None:
            raise TranslationError(f"{called.name} is not known")
        return method(*arguments)

    def _call_tile(self, tile, arguments):
        dtype = arguments[0].dtype if tile.typed else None
        name, text = tiles.written(tile, dtype)
        self.translation.tiles[name] = text
        self.declare(name, "void", ["i64"] * tile.arguments, "nounwind")
        numbers = [self.cast(self._number(item), "int64") for item in self.items(arguments[-1])]
        if len(numbers) != tile.arguments:
            raise TranslationError(f"{tile.name} takes {tile.arguments} numbers")
        self.emit(f'call void @{name}({", ".join(f"i64 {number.text}" for number in numbers)})')
        return Static(None)

    def _do_kernel_attributes(self):
        self.attributes = ' "prefer-vector-width"="512"'
        return Static(None)

    def _do_separate_arrays(self):
        self.separate = True  # noalias
        return Static(None)

    def _do_flat(self, array):
        return Array(array.dtype, array.pointer, (self.product(array.shape),))

    def _do_address(self, array, offset):
        place = self.let(f"ptrtoint ptr {array.pointer} to i64")
        distance = self.binary("*", self.cast(offset, "int64"), integer(array.itemsize))
        return self.binary("+", Number("int64", place), distance)

    def _do_view(self, base, offset, shape, dtype):
        place = self.let(f"getelementptr i8, ptr {base.pointer}, i64 {self.cast(offset, 'int64').text}")
        return Array(self._dtype(dtype), place, tuple(self.cast(n, "int64") for n in self.items(shape)))

    def _do_prefetch(self, array, index):
        function = self.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
        place = self.offset(Array(array.dtype, array.pointer, (integer(0),)), [self.cast(index, "int64")])
        self.emit(f"call void {function}(ptr {place}, i32 0, i32 3, i32 1)")
        return Static(None)

    def _do_scratch(self, dtype):
        return self._do_stack_array(dtype, integer(SCRATCH))

    def _do_stack_array(self, dtype, elements):
        if not elements.known:
            raise TranslationError("the size of a stack_array must be known")
        name = self._dtype(dtype)
        return Array(name, self.allocate(types.in_memory(name), elements.constant), (elements,))

    def _do_multiply_add(self, a, b, c):
        return self.call("llvm.fmuladd.f32", "float32", *(self.cast(n, "float32") for n in (a, b, c)))

    def _do_nearest(self, x):
        return self.call("llvm.rint.f32", "float32", self.cast(x, "float32"))

    def _do_bits(self, x):
        return Number("int32", self.let(f"bitcast float {self.cast(x, 'float32').text} to i32"))

    def _do_from_bits(self, x):
        return Number("float32", self.let(f"bitcast i32 {self.cast(x, 'int32').text} to float"))
