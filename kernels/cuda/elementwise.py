"""Pointwise kernels, made from the scalar functions of ``scalar/activations.py`` and ``scalar/arithmetic.py``.

Names and arguments are those of ``kernels/cpu/elementwise.py``, where they are explained.
"""

from ..scalar import activations, arithmetic, real  # noqa: F401 (the templates name it)
from ._api import cuda, function, kernel, launch, over_rows  # noqa: F401 (the templates name them)
from ._blocks import Columns, column_sum  # noqa: F401 (the templates name it)
from ._loops import Loop

_ACTIVATION = '''
def {name}_forward(x, y{parameters}):
    """y = {name}(x{parameters}).  x, y: (...)"""
    _LOOPS["{name}_forward"]((x, y){parameters})


def {name}_backward({reads}, dy, dx{parameters}, accumulate):
    """dx = dy {name}'({reads}{parameters}), added to dx if accumulate.  all arrays: (...)"""
    _LOOPS["{name}_backward"](({reads}, dy, dx){parameters}, accumulate)
'''

FORWARD = '''
@kernel
def _{name}_forward(a, b, y, rows, shape, a_strides, b_strides):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        a_first, b_first = first_of_row(row, shape, a_strides), first_of_row(row, shape, b_strides)
        for j in range(first_column, shape[2], column_step):
            y[row * shape[2] + j] = {name}(a[a_first + j * a_strides[3]], b[b_first + j * b_strides[3]])


def {name}_forward(a, b, y, shape, a_strides, b_strides):
    """y = {name}(a, b), broadcast.  y: (d0, *shape)"""
    _over_rows(_{name}_forward, (a, b, y), y, shape, a_strides, b_strides)
'''

_BACKWARD = '''
@kernel
def _{name}_backward_a(a, b, dy, da, rows, shape, a_strides, b_strides, accumulate):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        a_first, b_first = first_of_row(row, shape, a_strides), first_of_row(row, shape, b_strides)
        for j in range(first_column, shape[2], column_step):
            i = a_first + j * a_strides[3]
            value = dy[row * shape[2] + j] * {name}_derivative_a(a[i], b[b_first + j * b_strides[3]])
            da[i] = da[i] + value if accumulate else value


@kernel
def _{name}_backward_b(a, b, dy, db, rows, shape, a_strides, b_strides, accumulate):
    first_column, first_row = cuda.grid(2)
    column_step, row_step = cuda.gridsize(2)
    for row in range(first_row, rows, row_step):
        a_first, b_first = first_of_row(row, shape, a_strides), first_of_row(row, shape, b_strides)
        for j in range(first_column, shape[2], column_step):
            i = b_first + j * b_strides[3]
            value = dy[row * shape[2] + j] * {name}_derivative_b(a[a_first + j * a_strides[3]], b[i])
            db[i] = db[i] + value if accumulate else value


@kernel
def _{name}_sum_a(a, b, dy, sums, kept, dy_kept, b_kept, outer, inner, accumulate):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total = real(0)
    if i < a.size:
        dy_first, b_first = position(i, kept, dy_kept), position(i, kept, b_kept)
        for j in range(cuda.grid(2)[1], inner[0], cuda.gridsize(2)[1]):
            for k in range(outer[0]):
                slope = {name}_derivative_a(a[i], b[b_first + j * inner[2] + k * outer[2]])
                total += dy[dy_first + j * inner[1] + k * outer[1]] * slope
    total = column_sum(total)
    if i < a.size and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * a.size + i
        sums[at] = sums[at] + total if accumulate else total


@kernel
def _{name}_sum_b(a, b, dy, sums, kept, dy_kept, a_kept, outer, inner, accumulate):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total = real(0)
    if i < b.size:
        dy_first, a_first = position(i, kept, dy_kept), position(i, kept, a_kept)
        for j in range(cuda.grid(2)[1], inner[0], cuda.gridsize(2)[1]):
            for k in range(outer[0]):
                slope = {name}_derivative_b(a[a_first + j * inner[2] + k * outer[2]], b[i])
                total += dy[dy_first + j * inner[1] + k * outer[1]] * slope
    total = column_sum(total)
    if i < b.size and cuda.threadIdx.y == 0:
        at = cuda.blockIdx.y * b.size + i
        sums[at] = sums[at] + total if accumulate else total


def {name}_backward_a(a, b, dy, da, shape, a_strides, b_strides, accumulate):
    """da = dy d{name}(a, b)/da, summed over repeats, added to da if accumulate.  dy: (d0, *shape)"""
    if _is_repeated(dy, shape, a_strides):
        _sum_repeats(_{name}_sum_a, (a, b), dy, da, shape, a_strides, b_strides, accumulate)
    else:
        _over_rows(_{name}_backward_a, (a, b, dy, da), dy, shape, a_strides, b_strides, accumulate)


def {name}_backward_b(a, b, dy, db, shape, a_strides, b_strides, accumulate):
    """db = dy d{name}(a, b)/db, summed over repeats, added to db if accumulate.  dy: (d0, *shape)"""
    if _is_repeated(dy, shape, b_strides):
        _sum_repeats(_{name}_sum_b, (a, b), dy, db, shape, b_strides, a_strides, accumulate)
    else:
        _over_rows(_{name}_backward_b, (a, b, dy, db), dy, shape, a_strides, b_strides, accumulate)
'''


@function
def first_of_row(row, shape, strides):
    """Where the first operand of a row of the result lies."""
    rest = row // shape[1]
    return row % shape[1] * strides[2] + rest % shape[0] * strides[1] + rest // shape[0] * strides[0]


@function
def position(i, sizes, strides):
    """Where element i of an array of four dimensions lies in another one that has ``strides`` over these."""
    found = i % sizes[3] * strides[3]
    i //= sizes[3]
    found += i % sizes[2] * strides[2]
    i //= sizes[2]
    return found + i % sizes[1] * strides[1] + i // sizes[1] * strides[0]


def _over_rows(launched, arrays, whole, shape, a_strides, b_strides, *flags) -> None:
    """Launch a kernel over the rows of ``whole``; where nothing is repeated, they are one."""
    if a_strides == b_strides:
        shape = (1, 1, whole.size)
        a_strides = b_strides = (whole.size, whole.size, whole.size, 1)
    rows = whole.size // max(1, shape[2])
    flat = (array.reshape(-1) for array in arrays)
    launch(launched, *over_rows(rows, shape[2]), *flat, rows, shape, a_strides, b_strides, *flags)


def _sizes(whole, shape) -> tuple[int, ...]:
    """All four dimensions."""
    d1, d2, d3 = shape
    return (whole.size // max(1, d1 * d2 * d3), *shape)


def _is_repeated(whole, shape, strides) -> bool:
    return any(size != 1 and stride == 0 for size, stride in zip(_sizes(whole, shape), strides, strict=True))


def _sum_repeats(launched, operands, dy, out, shape, strides, other_strides, accumulate) -> None:
    """Launch a kernel that sums for each element of an operand (``strides``) over where it is repeated."""
    sizes = _sizes(dy, shape)
    _, d1, d2, d3 = sizes
    dy_strides = (d1 * d2 * d3, d2 * d3, d3, 1)
    kept, dy_kept, other_kept, repeats = [], [], [], []
    for size, stride, dy_stride, other in zip(sizes, strides, dy_strides, other_strides, strict=True):
        if stride == 0:
            if repeats and repeats[-1][1:] == (size * dy_stride, size * other):  # two dimensions are like one
                repeats[-1] = (repeats[-1][0] * size, dy_stride, other)
            elif size != 1:
                repeats.append((size, dy_stride, other))
        kept.append(1 if stride == 0 else size)
        dy_kept.append(0 if stride == 0 else dy_stride)
        other_kept.append(0 if stride == 0 else other)
    # an operand is repeated along two stretches of the others' dimensions at most; threads share the longer
    outer, inner = sorted(repeats + [(1, 0, 0)] * (2 - len(repeats)))
    columns = Columns(out.size, inner[0], kept[3])
    sums = columns.target(out.reshape(-1))
    flat = (array.reshape(-1) for array in (*operands, dy))
    where = tuple(kept), tuple(dy_kept), tuple(other_kept), outer, inner
    launch(launched, columns.grid, columns.block, *flat, sums, *where, accumulate and columns.shares == 1)
    columns.finish(sums, out.reshape(-1), accumulate)


def _define(template, **words):
    """Run a filled-in template in this module."""
    exec(compile(template.format(**words), __file__, "exec"), globals())


def _define_activation(name):
    parameters = activations.parameters(name)
    reads = activations.derivative_arguments(name)
    listed = "".join(f", {parameter}" for parameter in parameters)
    casts = [f"{parameter} = real({parameter}[0])" for parameter in parameters]
    slope = f"{name}_derivative"
    _LOOPS[f"{name}_forward"] = Loop(
        __name__, f"_{name}_forward", ("x", "y"), parameters, casts, [f"y[i] = {name}(x[i]{listed})"], _FUNCTIONS
    )
    elements = ", ".join(f"{array}[i]" for array in reads)
    statements = (
        f"gradient = dy[i] * {slope}({elements}{listed})",
        "dx[i] = dx[i] + gradient if accumulate else gradient",
    )
    arrays, others = (*reads, "dy", "dx"), (*parameters, "accumulate")
    _LOOPS[f"{name}_backward"] = Loop(
        __name__, f"_{name}_backward", arrays, others, casts, statements, _FUNCTIONS, {"dx": "accumulate"}
    )
    _define(_ACTIVATION, name=name, parameters=listed, reads=", ".join(reads))


_LOOPS = {}  # of activations
_FUNCTIONS = {
    function: getattr(module, function)
    for module in (activations, arithmetic)
    for name in module.NAMES
    for function in (name, *(f"{name}_derivative{side}" for side in ("", "_a", "_b")))
    if hasattr(module, function)
}
globals().update(_FUNCTIONS)
for _name in activations.NAMES:
    _define_activation(_name)
for _name in arithmetic.NAMES:
    _define(FORWARD, name=_name)
    _define(_BACKWARD, name=_name)


def __getattr__(name):
    """Functions and kernels of activations that were added, which are written when they are first asked for."""
    added = activations.defined_by(name)
    if added is None or added in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for called in (added, f"{added}_derivative"):
        _FUNCTIONS[called] = globals()[called] = getattr(activations, called)
    _define_activation(added)
    return globals()[name]
