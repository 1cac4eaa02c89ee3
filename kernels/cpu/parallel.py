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
_COUNTER_DISTANCE = 8  # in elements: every counter has a cache line of its own


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


def _share_start(builder, chunks, share, shares):
    """The first chunk of a share."""
    return builder.udiv(builder.mul(chunks, share), shares)


def _counter(builder, following, share):
    """Where the next chunk of a share is counted."""
    return builder.gep(following, [builder.mul(share, ir.Constant(_INT, _COUNTER_DISTANCE))], source_etype=_INT)


@intrinsic
def parallel_for(typingctx, function, chunks, threads, arguments):
    """Call ``function(chunk, chunks, *arguments)`` for every chunk in ``range(chunks)``.

    ``function`` is an ``@njit`` function without a result, ``arguments`` a tuple.  With ``threads == 1`` the chunks
    run in order in the calling thread.  Otherwise Numba's threading layer starts ``threads`` workers.  Each has a
    share of the chunks, the same one each time, so that its data are in its core's cache; when it is done it takes
    over what others have not begun, so that a core that is slow or busy elsewhere holds up nobody.  Which thread runs
    a chunk never changes what the chunk computes, so results do not depend on ``threads``.

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

        # what every worker needs, as one record on the stack: (chunks, threads, next chunk of each share, arguments)
        record_type = ir.LiteralStructType([_INT, _INT, _POINTER, packed.type])
        record = cgutils.alloca_once(builder, record_type)

        # a function of the threading layer's signature: void(char **args, intp *dimensions, intp *steps, void *data)
        outlined_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 4)
        outlined = ir.Function(builder.module, outlined_type, f"chunks_of_{compiled.fndesc.mangled_name}")
        outlined.linkage = "internal"
        inner = ir.IRBuilder(outlined.append_basic_block("entry"))
        restore = _flush_denormals(inner)
        # args[0] starts at address 0 and advances by 1 per worker, so the pointer is the number of the first worker
        first = inner.ptrtoint(inner.load(outlined.args[0], typ=_POINTER), _INT)
        workers = inner.load(outlined.args[1], typ=_INT)
        loaded = inner.load(outlined.args[3], typ=record_type)
        total, shares, following, tuple_value = (inner.extract_value(loaded, i) for i in range(4))
        values = [inner.extract_value(tuple_value, i) for i in range(len(arguments))]
        one = ir.Constant(_INT, 1)
        with (
            cgutils.for_range_slice(inner, first, inner.add(first, workers), one) as (worker, _),
            cgutils.for_range(inner, shares) as loop,
        ):
            share = inner.urem(inner.add(worker, loop.index), shares)
            end = _share_start(inner, total, inner.add(share, one), shares)
            counter = _counter(inner, following, share)
            condition = inner.append_basic_block("next_chunk")
            body = inner.append_basic_block("chunk")
            after = inner.append_basic_block("share_done")
            inner.branch(condition)
            inner.position_at_end(condition)
            chunk = inner.atomic_rmw("add", counter, one, "monotonic")
            inner.cbranch(inner.icmp_signed("<", chunk, end), body, after)
            inner.position_at_end(body)
            context.call_internal_no_propagate(inner, compiled.fndesc, call_signature, [chunk, total, *values])
            inner.branch(condition)
            inner.position_at_end(after)
        restore()
        inner.ret_void()

        following = builder.alloca(_INT, size=builder.mul(threads, ir.Constant(_INT, _COUNTER_DISTANCE)))
        with cgutils.for_range(builder, threads) as loop:
            start = _share_start(builder, chunks, loop.index, threads)
            builder.store(start, _counter(builder, following, loop.index))
        value = ir.Constant(record_type, ir.Undefined)
        for i, part in enumerate((chunks, threads, following, packed)):
            value = builder.insert_value(value, part, i)
        builder.store(value, record)

        dimensions = cgutils.alloca_once(builder, _INT)
        steps = cgutils.alloca_once(builder, _INT)
        starts = cgutils.alloca_once(builder, _POINTER)
        builder.store(threads, dimensions)
        builder.store(one, steps)
        builder.store(builder.inttoptr(ir.Constant(_INT, 0), _POINTER), starts)
        with builder.if_else(builder.icmp_signed(">", threads, one)) as (parallel, serial):
            with parallel:
                launch_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 5 + [_INT] * 3)
                launch = cgutils.get_or_insert_function(builder.module, launch_type, "numba_parallel_for")
                builder.call(launch, [outlined, starts, dimensions, steps, record, one, one, threads])
            with serial:
                builder.call(outlined, [starts, dimensions, steps, record])
        return context.get_dummy_value()

    return signature, codegen
