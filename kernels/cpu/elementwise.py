"""Pointwise kernels, made from the scalar functions of ``scalar/activations.py`` and ``scalar/arithmetic.py``.

For an activation NAME with parameters p:

    NAME_forward(x, y, p...)                        y = NAME(x); y may be x's memory
    NAME_backward(x, y, dy, dx, p..., accumulate)   dx = dy NAME'(x); of x and y, takes what the derivative reads;
                                                    dx may be dy's memory where accumulate is false

For a binary operation NAME, with ``shape`` and strides from ``scalar/broadcasting.py``:

    NAME_forward(a, b, y, shape, a_strides, b_strides)
    NAME_backward_a(a, b, dy, da, shape, a_strides, b_strides, accumulate)     summed over where a was repeated
    NAME_backward_b(a, b, dy, db, shape, a_strides, b_strides, accumulate)

The kernels are written out by name from the templates below: Numba's disk cache tells functions apart by name, and
generated steps and tests read real argument names.
"""

from ..scalar import activations, arithmetic
from .runtime.jit import FASTMATH, kernel, kernel_attributes, written  # noqa: F401 (used by the templates)
from .runtime.vector_math import scalar_functions

# A loop over one array and a loop over two are the same arithmetic; the compiler only vectorises the second where the
# arrays don't overlap, so that work in place has a loop of its own.
_ACTIVATION = '''
def {name}_forward(x, y{parameters}):
    """y = {name}(x{parameters}).  x, y: (...)"""
    kernel_attributes()
    x = x.reshape(-1)
    y = y.reshape(-1)
    {forward_casts}
    if x.ctypes.data == y.ctypes.data:
        for i in range(y.size):
            y[i] = {name}(y[i]{parameters})
    else:
        for i in range(y.size):
            y[i] = {name}(x[i]{parameters})


def {name}_backward({reads}, dy, dx{parameters}, accumulate):
    """dx = dy {name}'({reads}{parameters}), added to dx if accumulate.  all arrays: (...)"""
    kernel_attributes()
    {flatten}
    dy = dy.reshape(-1)
    dx = dx.reshape(-1)
    {backward_casts}
    if accumulate:
        for i in range(dx.size):
            dx[i] += dy[i] * {name}_derivative({elements}{parameters})
    elif dx.ctypes.data == dy.ctypes.data:
        for i in range(dx.size):
            dx[i] *= {name}_derivative({elements}{parameters})
    else:
        for i in range(dx.size):
            dx[i] = dy[i] * {name}_derivative({elements}{parameters})
'''

# the innermost stride is 1, or 0 for one of the two operands: one loop for each case
BINARY = '''
def {name}_forward(a, b, y, shape, a_strides, b_strides):
    """y = {name}(a, b), broadcast.  y: (d0, *shape)"""
    kernel_attributes()
    a = a.reshape(-1)
    b = b.reshape(-1)
    y = y.reshape(-1)
    d1, d2, d3 = shape
    row = 0
    for i0 in range(y.size // (d1 * d2 * d3)):
        for i1 in range(d1):
            for i2 in range(d2):
                a_first = i0 * a_strides[0] + i1 * a_strides[1] + i2 * a_strides[2]
                b_first = i0 * b_strides[0] + i1 * b_strides[1] + i2 * b_strides[2]
                y_row = y[row : row + d3]
                if a_strides[3] == 0:
                    a_value = a[a_first]
                    b_row = b[b_first : b_first + d3]
                    for j in range(d3):
                        y_row[j] = {name}(a_value, b_row[j])
                elif b_strides[3] == 0:
                    a_row = a[a_first : a_first + d3]
                    b_value = b[b_first]
                    for j in range(d3):
                        y_row[j] = {name}(a_row[j], b_value)
                else:
                    a_row = a[a_first : a_first + d3]
                    b_row = b[b_first : b_first + d3]
                    for j in range(d3):
                        y_row[j] = {name}(a_row[j], b_row[j])
                row += d3
'''

_BINARY_BACKWARD = '''
def {name}_backward_{of}(a, b, dy, d{of}, shape, a_strides, b_strides, accumulate):
    """d{of} = dy d{name}(a, b)/d{of}, summed over repeats, added to d{of} if accumulate.  dy: (d0, *shape)"""
    kernel_attributes()
    a = a.reshape(-1)
    b = b.reshape(-1)
    dy = dy.reshape(-1)
    d{of} = d{of}.reshape(-1)
    if not accumulate:
        d{of}[:] = 0
    d1, d2, d3 = shape
    row = 0
    for i0 in range(dy.size // (d1 * d2 * d3)):
        for i1 in range(d1):
            for i2 in range(d2):
                a_first = i0 * a_strides[0] + i1 * a_strides[1] + i2 * a_strides[2]
                b_first = i0 * b_strides[0] + i1 * b_strides[1] + i2 * b_strides[2]
                dy_row = dy[row : row + d3]
                if {of}_strides[3] == 0:
                    {of}_value = {of}[{of}_first]
                    {other}_row = {other}[{other}_first : {other}_first + d3]
                    total = dy.dtype.type(0)
                    for j in range(d3):
                        total += dy_row[j] * {name}_derivative_{of}({at_repeated})
                    d{of}[{of}_first] += total
                elif {other}_strides[3] == 0:
                    {of}_row = {of}[{of}_first : {of}_first + d3]
                    {other}_value = {other}[{other}_first]
                    d{of}_row = d{of}[{of}_first : {of}_first + d3]
                    for j in range(d3):
                        d{of}_row[j] += dy_row[j] * {name}_derivative_{of}({at_other_repeated})
                else:
                    a_row = a[a_first : a_first + d3]
                    b_row = b[b_first : b_first + d3]
                    d{of}_row = d{of}[{of}_first : {of}_first + d3]
                    for j in range(d3):
                        d{of}_row[j] += dy_row[j] * {name}_derivative_{of}(a_row[j], b_row[j])
                row += d3
'''


def _define(template, **words):
    """Run a filled-in template in this module and make kernels of its functions."""
    source = template.format(**words)
    exec(compile(source, __file__, "exec"), globals())
    for function in source.split("\ndef ")[1:]:
        name = function[: function.index("(")]
        globals()[name] = written(kernel(globals()[name]), f"def {function}")


def _define_activation(name):
    parameters = activations.parameters(name)
    reads = activations.derivative_arguments(name)
    _define(
        _ACTIVATION,
        name=name,
        parameters="".join(f", {parameter}" for parameter in parameters),
        forward_casts="\n    ".join(f"{parameter} = y.dtype.type({parameter})" for parameter in parameters),
        backward_casts="\n    ".join(f"{parameter} = dx.dtype.type({parameter})" for parameter in parameters),
        reads=", ".join(reads),
        flatten="\n    ".join(f"{array} = {array}.reshape(-1)" for array in reads),
        elements=", ".join(f"{array}[i]" for array in reads),
    )


def _define_binary(name):
    _define(BINARY, name=name)
    a_one, b_one = "a_value, b_row[j]", "a_row[j], b_value"
    _define(_BINARY_BACKWARD, name=name, of="a", other="b", at_repeated=a_one, at_other_repeated=b_one)
    _define(_BINARY_BACKWARD, name=name, of="b", other="a", at_repeated=b_one, at_other_repeated=a_one)


# activations are compiled in one way wherever they are called; arithmetic as the kernel around it, since a chain of a
# user's own operations (kernels/cpu/fast/pointwise.py) must not be contracted or reassociated
globals().update(scalar_functions(activations, fastmath=FASTMATH))
globals().update(scalar_functions(arithmetic))
for _name in activations.NAMES:
    _define_activation(_name)
for _name in arithmetic.NAMES:
    _define_binary(_name)


def __getattr__(name):
    """Functions and kernels of activations that were added, which are written when they are first asked for."""
    added = activations.defined_by(name)
    if added is None or added in globals():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals().update(scalar_functions(activations.functions_of(added), fastmath=FASTMATH))
    _define_activation(added)
    return globals()[name]
