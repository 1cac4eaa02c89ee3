"""Arrays in kernels without allocation: views of memory, arrays on the stack, addresses, and promises to LLVM."""

from llvmlite import ir

from ...compiler import intrinsic
from ...compiler.calls import SCRATCH
from .lazily import numba

_INT = ir.IntType(64)


@intrinsic
def view(typingctx, base, offset, shape, dtype):
    """C-contiguous array of ``shape`` and ``dtype`` over ``base`` (1-D, any dtype) from byte ``offset``.

    Nothing is copied, allocated or reference-counted: the caller keeps ``base`` alive.
    """
    element = getattr(dtype, "dtype", numba.types.boolean)  # to Numba, Python's bool is a function
    array_type = numba.types.Array(element, len(shape), "C")
    signature = array_type(base, numba.types.intp, shape, dtype)

    def codegen(context, builder, signature, arguments):
        base_type, _, shape_type, _ = signature.args
        source = numba.np.arrayobj.make_array(base_type)(context, builder, arguments[0])
        result = numba.np.arrayobj.make_array(signature.return_type)(context, builder)
        address = builder.add(builder.ptrtoint(source.data, ir.IntType(64)), arguments[1])
        itemsize = context.get_constant(numba.types.intp, context.get_abi_sizeof(context.get_data_type(element)))
        dimensions = [
            context.cast(builder, builder.extract_value(arguments[2], i), shape_type[i], numba.types.intp)
            for i in range(len(shape_type))
        ]
        strides = [itemsize]
        for dimension in reversed(dimensions[1:]):
            strides.insert(0, builder.mul(strides[0], dimension))
        numba.np.arrayobj.populate_array(
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
    signature = numba.types.void(array, numba.types.intp)

    def codegen(context, builder, signature, arguments):
        data = numba.np.arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        number = ir.IntType(32)
        pointer_type = ir.PointerType()
        function_type = ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number])
        function = numba.core.cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), pointer_type)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return signature, codegen


def _on_the_stack(dtype, elements, *others):
    array_type = numba.types.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        element = context.get_data_type(dtype.dtype)
        with builder.goto_entry_block():  # not numba.core.cgutils.alloca_once, which writes zeros
            memory = builder.alloca(ir.ArrayType(element, elements))
        memory.align = 64
        result = numba.np.arrayobj.make_array(array_type)(context, builder)
        numba.np.arrayobj.populate_array(
            result,
            data=builder.bitcast(memory, result.data.type),
            shape=[context.get_constant(numba.types.intp, elements)],
            strides=[context.get_constant(numba.types.intp, dtype.dtype.bitwidth // 8)],
            itemsize=context.get_constant(numba.types.intp, dtype.dtype.bitwidth // 8),
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


@intrinsic
def address(typingctx, array, offset):
    """Address of element ``offset`` (in elements from the first) of a C-contiguous array."""
    signature = numba.types.intp(array, numba.types.intp)
    itemsize = array.dtype.bitwidth // 8

    def codegen(context, builder, signature, arguments):
        data = numba.np.arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.add(builder.ptrtoint(data, _INT), builder.mul(arguments[1], _INT(itemsize)))

    return signature, codegen


@intrinsic
def flat(typingctx, array):
    """A C-contiguous array as one row of all its elements; LLVM still sees that it is the argument's memory."""
    result_type = numba.types.Array(array.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        given = numba.np.arrayobj.make_array(signature.args[0])(context, builder, arguments[0])
        result = numba.np.arrayobj.make_array(result_type)(context, builder)
        size = given.itemsize
        numba.np.arrayobj.populate_array(
            result, data=given.data, shape=[given.nitems], strides=[size], itemsize=size, meminfo=None
        )
        return result._getvalue()

    return result_type(array), codegen


@intrinsic
def separate_arrays(typingctx):
    """Promises that the arrays which the kernel that calls this was given do not overlap, so that its loop vectorises.

    LLVM would compare their addresses when the loop runs, but only those of few arrays.
    """

    def codegen(context, builder, signature, arguments):
        for argument in builder.function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return numba.types.void(), codegen
