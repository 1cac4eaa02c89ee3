"""``parallel_for``: one function run over fixed chunks, serially or on Numba's thread pool, from one compilation."""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_FLUSH_TO_ZERO, _DENORMALS_ARE_ZERO = 0x8000, 0x0040  # bits of the MXCSR register
_POINTER = ir.PointerType()


def _flush_denormals(builder):
    """Emit the change of the processor's floating-point mode; returns what emits its restoration."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return lambda: None
    slot = cgutils.alloca_once(builder, _INT32)
    control_type = ir.FunctionType(ir.VoidType(), [_POINTER])
    store = cgutils.get_or_insert_function(builder.module, control_type, "llvm.x86.sse.stmxcsr")
    load = cgutils.get_or_insert_function(builder.module, control_type, "llvm.x86.sse.ldmxcsr")
    builder.call(store, [slot])
    before = builder.load(slot)
    builder.store(builder.or_(before, _INT32(_FLUSH_TO_ZERO | _DENORMALS_ARE_ZERO)), slot)
    builder.call(load, [slot])

    def restore():
        builder.store(before, slot)
        builder.call(load, [slot])

    return restore


@intrinsic
def parallel_for(typingctx, function, chunks, threads, arguments):
    """Call ``function(chunk, chunks, *arguments)`` for every chunk in ``range(chunks)``.

    ``function`` is an ``@njit`` function without a result, ``arguments`` a tuple.  With ``threads == 1`` the chunks
    run in order in the calling thread; otherwise Numba's threading layer shares them out.  Which thread runs a chunk
    never changes what the chunk computes, so results do not depend on ``threads``.

    Denormal numbers count as zero inside (flush-to-zero and denormals-are-zero, on x86-64), because arithmetic on them
    is a hundred times slower; the caller's setting is restored after.

    Numba's own ``prange`` would do the same but costs seconds of compilation for a body of this size.
    """
    call_signature = function.get_call_type(typingctx, (types.intp, types.intp, *arguments), {})
    signature = types.void(function, types.intp, types.intp, arguments)

    def codegen(context, builder, signature, llvm_arguments):
        _, chunks, threads, packed = llvm_arguments
        compiled = function.dispatcher.overloads[tuple(call_signature.args)]
        context.add_linking_libs([compiled.library])

        # what every chunk needs, as one record on the stack: (chunks, arguments)
        record_type = ir.LiteralStructType([_INT, packed.type])
        record = cgutils.alloca_once(builder, record_type)
        value = builder.insert_value(ir.Constant(record_type, ir.Undefined), chunks, 0)
        builder.store(builder.insert_value(value, packed, 1), record)

        # a function of the threading layer's signature: void(char **args, intp *dimensions, intp *steps, void *data)
        outlined_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 4)
        outlined = ir.Function(builder.module, outlined_type, f"chunks_of_{compiled.fndesc.mangled_name}")
        outlined.linkage = "internal"
        inner = ir.IRBuilder(outlined.append_basic_block("entry"))
        restore = _flush_denormals(inner)
        # args[0] starts at address 0 and advances by 1 per chunk, so the pointer is the index of the first chunk
        first = inner.ptrtoint(inner.load(outlined.args[0], typ=_POINTER), _INT)
        count = inner.load(outlined.args[1], typ=_INT)
        loaded = inner.load(outlined.args[3], typ=record_type)
        total = inner.extract_value(loaded, 0)
        tuple_value = inner.extract_value(loaded, 1)
        values = [inner.extract_value(tuple_value, i) for i in range(len(arguments))]
        with cgutils.for_range_slice(inner, first, inner.add(first, count), ir.Constant(_INT, 1)) as (chunk, _):
            context.call_internal_no_propagate(inner, compiled.fndesc, call_signature, [chunk, total, *values])
        restore()
        inner.ret_void()

        dimensions = cgutils.alloca_once(builder, _INT)
        steps = cgutils.alloca_once(builder, _INT)
        starts = cgutils.alloca_once(builder, _POINTER)
        builder.store(chunks, dimensions)
        builder.store(ir.Constant(_INT, 1), steps)
        builder.store(builder.inttoptr(ir.Constant(_INT, 0), _POINTER), starts)
        one = ir.Constant(_INT, 1)
        with builder.if_else(builder.icmp_signed(">", threads, one)) as (parallel, serial):
            with parallel:
                launch_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 5 + [_INT] * 3)
                launch = cgutils.get_or_insert_function(builder.module, launch_type, "numba_parallel_for")
                builder.call(launch, [outlined, starts, dimensions, steps, record, one, one, threads])
            with serial:
                builder.call(outlined, [starts, dimensions, steps, record])
        return context.get_dummy_value()

    return signature, codegen
