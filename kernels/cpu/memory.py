"""Copies between the user's data, the arena and per-chunk buffers, and typed views of flat storage."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from ._jit import kernel, kernel_attributes


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


@kernel
def gather(source, order, out):
    """out[i] = source[order[i]].  source: (samples, ...), order: (n,), out: (n, ...)"""
    kernel_attributes()
    source_flat = source.reshape(source.shape[0], -1)
    out_flat = out.reshape(out.shape[0], -1)
    for i in range(out_flat.shape[0]):
        for j in range(out_flat.shape[1]):
            out_flat[i, j] = source_flat[order[i], j]
