"""Copies between the user's data, the arena and per-chunk buffers, and typed views of flat storage."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .runtime.jit import kernel, kernel_attributes


@intrinsic
def view(typingctx, base, offset, shape, dtype):
    """C-contiguous array of ``shape`` and ``dtype`` over ``base`` (1-D, any dtype) from byte ``offset``.

    Nothing is copied, allocated or reference-counted: the caller keeps ``base`` alive.
    """
    array_type = types.Array(dtype.dtype, len(shape), "C")
    signature = array_type(base, types.intp, shape, dtype)

    def codegen(context, builder, signature, arguments):
        base_type, _, shape_type, _ = signature.args
        source = make_array(base_type)(context, builder, arguments[0])
        result = make_array(signature.return_type)(context, builder)
        address = builder.add(builder.ptrtoint(source.data, ir.IntType(64)), arguments[1])
        itemsize = context.get_constant(types.intp, dtype.dtype.bitwidth // 8)
        dimensions = [
            context.cast(builder, builder.extract_value(arguments[2], i), shape_type[i], types.intp)
            for i in range(len(shape_type))
        ]
        strides = [itemsize]
        for dimension in reversed(dimensions[1:]):
            strides.insert(0, builder.mul(strides[0], dimension))
        populate_array(
            result,
            data=builder.inttoptr(address, result.data.type),
            shape=dimensions,
            strides=strides,
            itemsize=itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return signature, codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of element ``index`` of a C-contiguous array."""
    signature = types.void(array, types.intp)

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        number = ir.IntType(32)
        pointer_type = ir.PointerType()
        function_type = ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), pointer_type)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return signature, codegen


@kernel
def gather(source, order, out):
    """out[i] = source[order[i]].  source: (samples, ...), order: (n,), out: (n, ...)"""
    kernel_attributes()
    flat = source.reshape(-1)
    out_flat = out.reshape(-1)
    size = out_flat.size // max(1, order.size)
    line = 64 // flat.itemsize
    if size == 1:
        for i in range(out_flat.size):
            out_flat[i] = flat[order[i]]
        return
    for i in range(order.size):
        # the next sample is on its way while this one is copied: samples lie anywhere in the main memory
        if i + 1 < order.size and size >= line:
            following = order[i + 1] * size
            for j in range(0, size, line):
                prefetch(flat, following + j)
        row = flat[order[i] * size : (order[i] + 1) * size]
        target = out_flat[i * size : (i + 1) * size]
        for j in range(size):
            target[j] = row[j]


@kernel
def gather_columns(source, order, out, first, last):
    """out[i, first:last] = source[order[i], first:last].  source: (samples, ...), order: (n,), out: (n, K)"""
    kernel_attributes()
    flat = source.reshape(-1)
    size = out.shape[1]
    line = 64 // flat.itemsize
    for i in range(order.size):
        if i + 1 < order.size:
            following = order[i + 1] * size
            for j in range(first, last, line):
                prefetch(flat, following + j)
        row = flat[order[i] * size + first : order[i] * size + last]
        target = out[i, first:last]
        for j in range(target.size):
            target[j] = row[j]
