"""``parallel_for``: one function run over fixed chunks, serially or by several threads, from one compilation."""

import platform

from llvmlite import ir

from ...compiler import intrinsic
from ...compiler.sections import DENORMALS_ARE_ZERO, FLUSH_TO_ZERO
from . import pool
from .lazily import numba

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_POINTER = ir.PointerType()


def _flush_denormals(builder):
    """Emit the change of the processor's floating-point mode; returns what emits its restoration."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return lambda: None
    slot = numba.core.cgutils.alloca_once(builder, _INT32)
    control_type = ir.FunctionType(ir.VoidType(), [_POINTER])
    store = numba.core.cgutils.get_or_insert_function(builder.module, control_type, "llvm.x86.sse.stmxcsr")
    load = numba.core.cgutils.get_or_insert_function(builder.module, control_type, "llvm.x86.sse.ldmxcsr")
    builder.call(store, [slot])
    before = builder.load(slot)
    builder.store(builder.or_(before, _INT32(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO)), slot)
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
    return builder.gep(following, [builder.mul(share, _INT(pool.COUNTER_DISTANCE))], source_etype=_INT)


@intrinsic
def flush_denormals(typingctx):
    """Denormal numbers count as zero from here until the function returns, be it by an exception (on x86-64).

    The caller's setting is restored then.
    """

    def codegen(context, builder, signature, arguments):
        restore = _flush_denormals(builder)
        leave = builder.ret

        def restore_and_leave(value):
            restore()
            return leave(value)

        builder.ret = restore_and_leave  # every return of the function is emitted by this builder
        return context.get_dummy_value()

    return numba.types.void(), codegen


def _work_function(context, module, descriptor, call_signature, record_type):
    """``work(worker, record)``: the chunks of one function that a thread runs; another call of it finds it made."""
    from . import exceptions

    name = f"chunks_of_{descriptor.mangled_name}"
    if name in module.globals:
        return module.globals[name]
    outlined = ir.Function(module, pool.WORK, name)
    outlined.linkage = "internal"
    inner = ir.IRBuilder(outlined.append_basic_block("entry"))
    restore = _flush_denormals(inner)
    worker = outlined.args[0]
    loaded = inner.load(outlined.args[1], typ=record_type)
    total, shares, following, failure, *values = (inner.extract_value(loaded, i) for i in range(len(record_type)))
    with numba.core.cgutils.for_range(inner, shares) as loop:
        share = inner.urem(inner.add(worker, loop.index), shares)
        end = _share_start(inner, total, inner.add(share, _INT(1)), shares)
        counter = _counter(inner, following, share)
        condition, body, after = (inner.append_basic_block(name) for name in ("next_chunk", "chunk", "share_done"))
        inner.branch(condition)
        inner.position_at_end(condition)
        chunk = inner.atomic_rmw("add", counter, _INT(1), "monotonic")
        inner.cbranch(inner.icmp_signed("<", chunk, end), body, after)
        inner.position_at_end(body)
        chunk_arguments = [chunk, total, *values]
        status, _ = context.call_internal_no_propagate(inner, descriptor, call_signature, chunk_arguments)
        exceptions.keep_first(context, inner, failure, chunk, status)
        inner.branch(condition)
        inner.position_at_end(after)
    restore()
    inner.ret_void()
    return outlined


@intrinsic
def parallel_for(typingctx, function, chunks, threads, arguments):
    """Call ``function(chunk, chunks, *arguments)`` for every chunk in ``range(chunks)``.

    ``function`` is an ``@njit`` function without a result, ``arguments`` a tuple.  With ``threads == 1`` the chunks
    run in order in the calling thread.  Otherwise the pool's workers help.  Each thread has a share of the chunks, the
    same one each time, so that its data are in its core's cache; when it is done it takes over what others have not
    begun.  So the caller never waits for a worker to come: where other programs keep the cores busy, it does the work
    itself.  Which thread runs a chunk never changes what the chunk computes, so results do not depend on ``threads``.

    Denormal numbers count as zero inside (flush-to-zero and denormals-are-zero, on x86-64), because arithmetic on them
    is a hundred times slower; the caller's setting is restored after.

    Numba's own ``prange`` costs seconds of compilation for a body of this size, and its regions end when the last
    thread of the pool has come and gone, which takes a scheduler's time slice when a core is busy.

    An exception in a chunk is raised when all chunks have run; of several, that of the lowest chunk.
    """
    call_signature = function.get_call_type(typingctx, (numba.types.intp, numba.types.intp, *arguments), {})
    signature = numba.types.void(function, numba.types.intp, numba.types.intp, arguments)

    def codegen(context, builder, signature, llvm_arguments):
        from . import exceptions

        _, chunks, threads, packed = llvm_arguments
        compiled = function.dispatcher.overloads[tuple(call_signature.args)]
        context.add_linking_libs([compiled.library])

        # what every thread needs, as one record on the stack: (chunks, threads, next chunk of each share,
        # the exception to be raised, arguments...)
        values = numba.core.cgutils.unpack_tuple(builder, packed)
        fields = [_INT, _INT, _POINTER, exceptions.FAILURE.as_pointer(), *(value.type for value in values)]
        record_type = ir.LiteralStructType(fields)
        record = numba.core.cgutils.alloca_once(builder, record_type)

        work = _work_function(context, builder.module, compiled.fndesc, call_signature, record_type)
        following = builder.alloca(_INT, size=builder.mul(threads, _INT(pool.COUNTER_DISTANCE)))
        following = builder.bitcast(following, _POINTER)
        with numba.core.cgutils.for_range(builder, threads) as loop:
            start = _share_start(builder, chunks, loop.index, threads)
            builder.store(start, _counter(builder, following, loop.index))
        failure = exceptions.no_failure(builder, chunks)
        value = ir.Constant(record_type, ir.Undefined)
        for i, part in enumerate((chunks, threads, following, failure, *values)):
            value = builder.insert_value(value, part, i)
        builder.store(value, record)

        with builder.if_else(builder.icmp_signed(">", threads, _INT(1))) as (parallel, serial):
            with parallel:
                workers = builder.sub(threads, _INT(1))
                pool.load()
                builder.call(pool.declared(builder.module, pool.LAUNCH, pool.LAUNCH_TYPE), [work, record, workers])
            with serial:
                builder.call(work, [_INT(0), record])
        exceptions.propagate_first(context, builder, failure)
        return context.get_dummy_value()

    return signature, codegen
