"""What the compiler doesn't know it refuses, and says where."""

import inspect

import numpy as np
import pytest

from jitnet.kernels import compiler
from jitnet.kernels.compiler import ArrayType
from jitnet.kernels.cpu.runtime import arrays
from jitnet.kernels.cpu.runtime.jit import scalar

VECTOR, MATRIX = ArrayType("float32", 1), ArrayType("float32", 2)


@scalar
def _keyword_only(x, *, y=2):
    return x


@scalar
def _recursive(x):
    return _recursive(x - 1) if x > 0 else x


@scalar
def _either(x):
    if x > 0:
        return 1
    return (1, 2)


@scalar
def _two(x, y):
    return x


def _unmarked(x):
    return x


# lines of a function of (x, y, n): a vector, a matrix, an integer -> what is said of the last one
LINES = {
    "x[-1] = 0": "negative index -1",
    "x[n] = x[-2]": "negative index -2",
    "x[1.5] = 0": "index must be an integer",
    "x[0, 1] = 0": "2 indices of an array with 1 axes",
    "y[0] += 1": "a single element",
    "y[:, 0] = 1": "index after a slice",
    "y[:, :] = 1": "2 indices of an array with 2 axes",
    "y[0] = x[::2][:2][0:1, 0]": "index after a slice",
    "x[:2] = y": "one axis",
    "x[::0] = 1": "step of a slice",
    "x.sort()": "no .sort",
    "n.real": "no .real",
    "np.missing": "no .missing",
    "missing": "missing is not always set",
    "[n]": "List is not known",
    "{n: 1}": "Dict is not known",
    "f'{n}'": "JoinedStr is not known",
    "[i for i in range(n)]": "ListComp is not known",
    "lambda: n": "Lambda is not known",
    "~n": "Invert is not known",
    "x[0] @ x[1]": "MatMult is not known",
    "x[0] // x[1]": "// of floats",
    "x[0] % 2": "% of floats",
    "x[0] & 1": "& of floats",
    "x[0] << 1": "<< of floats",
    "n ** n": r"\*\* of integers",
    "x + 1": "takes numbers",
    "-x": "takes a number",
    "x < y": "takes numbers",
    "n is n": "Is is not known",
    "n in (1, 2)": "In is not known",
    "1 if x else 2": "condition must be a number",
    "print(n)": "print is not known",
    "sum(x)": "sum is not known",
    "math.gamma(n)": "gamma is not known",
    "min(n, key=n)": "keywords are not known",
    "len(n)": "tuple is expected",
    "np.float32(x)": "a number is expected",
    "float('inf')": "a number is expected",
    "n(1)": "only functions can be called",
    "_unmarked(n)": "_unmarked is not a scalar function",
    "_keyword_only(n)": "other than ordinary parameters",
    "_recursive(n)": "calls itself",
    "_either(n)": "the result of _either",
    "_two(n)": "_two needs y",
    "_two(n, 1, 2)": "_two has the parameters x, y",
    "_two(n, **x)": r"\*\* is not known",
    "arrays.stack_array(np.float32, n)": "size of a stack_array must be known",
    "arrays.scratch(n)": "a type of numbers is expected",
    "(1, 2)[5]": "a tuple of 2 has no item 5",
    "(1, 2.5)[n]": "items of one type",
    "(1, 2)[:n]": "a part of a tuple must be known",
    "a, b = 1, 2, 3": "2 variables for 3 values",
    "a, *b = 1, 2, 3": "2 variables for 3 values",
    "x.size = 3": "only variables and elements can be set",
    "n.real += 3": "only variables and elements can be changed",
    "del n": "Delete is not known",
    "assert n": "Assert is not known",
    "with n: pass": "With is not known",
    "for i in x: pass": "only ``for name in range",
    "for i in range(2.5): pass": "range takes integers",
    "for i in range(0, n, 0): pass": "step must not be 0",
    "for i, j in range(n): pass": "only ``for name in range",
    "raise n": "only a built-in exception",
    "raise ValueError(n)": "only a built-in exception",
    "18446744073709551616 + n": "more than 64 bits",
    "x.reshape(-1, -1)": "one -1",
    "y[0, ::2].reshape(-1)": "not contiguous",
    "x[::2].view(np.int32)": "not contiguous",
    "return n": "returns something",
    "yield n": "Yield is not known",
    "if n: z = 1\n    n + z": "z is not always set",
    "for i in range(n): z = 1\n    n + z": "z is not always set",
    "if n: z = x\n    else: z = y\n    z[0]": "z is",
    "z = x\n    for i in range(n): z = y": "z changes from",
    "for z in (1, 2): break": "break in a loop over a tuple",
    "while n: break\n    else: n": "else is not known",
}


@pytest.mark.parametrize("line", LINES)
def test_refusals(line):
    source = f"def refused(x, y, n):\n    {line}\n"
    scope = {"np": np, "math": __import__("math"), "arrays": arrays, **{
        name: globals()[name] for name in ("_unmarked", "_keyword_only", "_recursive", "_either", "_two")
    }}  # fmt: skip
    exec(source, scope)
    function = scope["refused"]
    function.source = source
    with pytest.raises(compiler.TranslationError, match=LINES[line]) as caught:
        compiler.translate(function, (VECTOR, MATRIX, "int64"))
    last = source.count("\n", 0, source.rstrip().rindex("\n") + 1) + 1
    if line != "return n" and not line.startswith("_"):
        assert any(f"<string> (refused):{number}: " in str(caught.value) for number in range(2, last + 1))


def somewhere(x):
    x[0] = 1
    x[1] = _inner(x)


@scalar
def _inner(x):
    return x[-1]


def test_the_place_is_that_of_the_line():
    line = inspect.getsourcelines(_inner)[1] + 2
    with pytest.raises(compiler.TranslationError, match=rf"{__file__}:{line}: the negative index -1"):
        compiler.translate(somewhere, (VECTOR,))


def test_a_source_that_is_not_there():
    scope = {}
    exec("def gone(x):\n    pass\n", scope)
    with pytest.raises(compiler.TranslationError, match="the source of gone is not there"):
        compiler.translate(scope["gone"], (VECTOR,))
