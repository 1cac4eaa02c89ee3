"""The types that the compiler gives numbers are Numba's."""

import operator

import numpy as np
import pytest
from numba import types as numba_types
from numba.core.registry import cpu_target

from jitnet.kernels import compiler
from jitnet.kernels.compiler import types

NAMES = list(types.LLVM)


def numba_type(name):
    return numba_types.boolean if name == "bool" else getattr(numba_types, name)


def name_of(type_):
    return {"boolean": "bool"}.get(str(type_), str(type_))


def test_every_pair_of_numbers():
    context = cpu_target.typing_context
    context.refresh()
    for a in NAMES:
        for b in NAMES:
            given = numba_type(a), numba_type(b)

            def resolved(function, given=given):
                return context.resolve_function_type(function, given, {})

            for function in (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod):
                assert types.arithmetic(a, b) == name_of(resolved(function).return_type), (function, a, b)
            assert types.unify(a, b) == name_of(context.unify_types(*given)), (a, b)
            assert types.compared(a, b) == name_of(resolved(operator.lt).args[0]), (a, b)
            if not (types.is_float(a) or types.is_float(b)):
                for function in (operator.lshift, operator.rshift):
                    assert types.shifted(a) == name_of(resolved(function).return_type), (a, b)
                if (a, b) != ("bool", "bool"):
                    assert types.arithmetic(a, b) == name_of(resolved(operator.and_).return_type), (a, b)


def test_types_of_arguments():
    array = np.zeros((2, 3), np.float32)
    assert compiler.type_of(array) == compiler.ArrayType("float32", 2)
    given = 1, 1.0, True, np.float32(1), np.uint8(3), (1, 2.0)
    expected = "int64", "float64", "bool", "float32", "uint8", ("int64", "float64")
    assert tuple(map(compiler.type_of, given)) == expected
    for wrong in (array.T, array.astype(complex), "text", None):
        with pytest.raises(TypeError, match="Received"):
            compiler.type_of(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_constants_wrap_like_numpys(name):
    if types.is_float(name):
        assert types.literal(name, 0.1) == types.literal("float64", float(np.dtype(name).type(0.1)))
    elif name != "bool":
        values = np.array([-1, 2**31, -(2**40) + 5, 300, -129])
        assert [types.wrapped(name, int(value)) for value in values] == values.astype(name).tolist()
