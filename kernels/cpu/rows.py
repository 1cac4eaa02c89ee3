"""Arrays (M, C) of few channels as longer rows of several times C elements, which fill vectors whatever C is.

What is left in the end is a shorter row, of the first elements.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .runtime.jit import scalar

SCRATCH = 256  # elements, the longest such row


def _on_the_stack(dtype, elements, *others):
    array_type = types.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        element = context.get_data_type(dtype.dtype)
        with builder.goto_entry_block():  # not cgutils.alloca_once, which writes zeros
            memory = builder.alloca(ir.ArrayType(element, elements))
        memory.align = 64
        result = make_array(array_type)(context, builder)
        populate_array(
            result,
            data=builder.bitcast(memory, result.data.type),
            shape=[context.get_constant(types.intp, elements)],
            strides=[context.get_constant(types.intp, dtype.dtype.bitwidth // 8)],
            itemsize=context.get_constant(types.intp, dtype.dtype.bitwidth // 8),
            meminfo=None,
        )
        return result._getvalue()

    return array_type(dtype, *others), codegen


@intrinsic
def scratch(typingctx, dtype):
    """Uninitialised array of SCRATCH elements of ``dtype`` on the stack of the function that calls this."""
    return _on_the_stack(dtype, SCRATCH)


@intrinsic(prefer_literal=True)
def stack_array(typingctx, dtype, elements):
    """Uninitialised array of so many ``elements``, a constant, of ``dtype`` on the stack of the calling function."""
    return _on_the_stack(dtype, elements.literal_value, elements)


@scalar
def rows_together(rows, channels):
    """How many rows are taken as one: up to 16, or 1 where channels are many or rows few."""
    times = min(16, SCRATCH // max(1, channels))
    return times if times > 1 and rows >= 2 * times else 1


@scalar
def repeated(vector, times, space):
    """``vector`` ``times`` times over, in ``space``."""
    if times == 1:
        return vector
    channels = vector.size
    for i in range(times):
        part = space[i * channels : (i + 1) * channels]
        for c in range(channels):
            part[c] = vector[c]
    return space[: times * channels]


@scalar
def zeros_for(total, times, space):
    """Where to sum ``times`` rows at a time: zeros in ``space``, or ``total`` itself for one."""
    if times == 1:
        return total
    sums = space[: times * total.size]
    for j in range(sums.size):
        sums[j] = 0
    return sums


@scalar
def fold(sums, times, total):
    """total += the sums of ``zeros_for``, in order."""
    if times > 1:
        for i in range(times):
            part = sums[i * total.size : (i + 1) * total.size]
            for c in range(total.size):
                total[c] += part[c]
