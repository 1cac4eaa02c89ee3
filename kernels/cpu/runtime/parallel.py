"""``parallel_for``: one function run over fixed chunks, serially or by several threads, from one compilation."""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ...compiler import intrinsic
from ...compiler.sections import ParallelFor
from . import exceptions
from .pool import (
    COUNTER_DISTANCE,
    FUNCTION,
    OPEN,
    PATIENCE,
    RECORD,
    REGION,
    RUNNING,
    STOP,
    WORK,
    WORKER_TURNS,
    WORKERS,
    Pool,
    call,
    counter_at,
    launch_function,
    share_start,
)

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
def work_for_others(typingctx, number):
    """The life of worker ``number`` (from 1 on): help in every region, until there is nothing to do for a while."""
    signature = types.void(types.intp)

    def codegen(context, builder, signature, arguments):
        worker = arguments[0]
        pool = Pool(builder)
        last = cgutils.alloca_once_value(builder, _INT(0))
        turns = cgutils.alloca_once_value(builder, _INT(0))
        names = ("look", "enter", "inside", "idle", "rest", "leave")
        look, enter, inside, idle, rest, leave = (builder.append_basic_block(name) for name in names)
        builder.branch(look)

        builder.position_at_end(look)
        region = pool.load(REGION)
        number = builder.lshr(region, _INT(32))
        is_open = builder.icmp_signed("!=", builder.and_(region, _INT(OPEN)), _INT(0))
        is_new = builder.icmp_signed("!=", number, builder.load(last))
        builder.cbranch(builder.and_(is_open, is_new), enter, idle)

        builder.position_at_end(enter)
        builder.cbranch(pool.exchange(REGION, region, builder.add(region, _INT(1))), inside, look)

        builder.position_at_end(inside)
        with builder.if_then(builder.icmp_signed("<=", worker, pool.load(WORKERS))):
            record = builder.inttoptr(pool.load(RECORD), _POINTER)
            call(builder, pool.load(FUNCTION), [worker, record])
        builder.atomic_rmw("sub", pool.at(REGION), _INT(1), "acq_rel")
        builder.store(number, last)
        builder.store(_INT(0), turns)
        builder.branch(look)

        builder.position_at_end(idle)
        turn = builder.add(builder.load(turns), _INT(1))
        builder.store(turn, turns)
        pool.wait_a_little(turn, WORKER_TURNS)
        stop = builder.icmp_signed("!=", pool.load(STOP), _INT(0))
        builder.cbranch(stop, leave, rest)

        builder.position_at_end(rest)
        unused = builder.icmp_signed("==", pool.load(RUNNING), _INT(0))
        tired = builder.icmp_signed(">", turn, _INT(PATIENCE))
        builder.cbranch(builder.and_(unused, tired), leave, look)

        builder.position_at_end(leave)
        return context.get_dummy_value()

    return signature, codegen


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

    return types.void(), codegen


def _work_function(context, module, descriptor, call_signature, record_type):
    """``work(worker, record)``: the chunks of one function that a thread runs; another call of it finds it made."""
    name = f"chunks_of_{descriptor.mangled_name}"
    if name in module.globals:
        return module.globals[name]
    outlined = ir.Function(module, WORK, name)
    outlined.linkage = "internal"
    inner = ir.IRBuilder(outlined.append_basic_block("entry"))
    restore = _flush_denormals(inner)
    worker = outlined.args[0]
    loaded = inner.load(outlined.args[1], typ=record_type)
    total, shares, following, failure, *values = (inner.extract_value(loaded, i) for i in range(len(record_type)))
    with cgutils.for_range(inner, shares) as loop:
        share = inner.urem(inner.add(worker, loop.index), shares)
        end = share_start(inner, total, inner.add(share, _INT(1)), shares)
        counter = counter_at(inner, following, share)
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
    call_signature = function.get_call_type(typingctx, (types.intp, types.intp, *arguments), {})
    signature = types.void(function, types.intp, types.intp, arguments)

    def codegen(context, builder, signature, llvm_arguments):
        _, chunks, threads, packed = llvm_arguments
        compiled = function.dispatcher.overloads[tuple(call_signature.args)]
        context.add_linking_libs([compiled.library])

        # what every thread needs, as one record on the stack: (chunks, threads, next chunk of each share,
        # the exception to be raised, arguments...)
        values = cgutils.unpack_tuple(builder, packed)
        fields = [_INT, _INT, _POINTER, exceptions.FAILURE.as_pointer(), *(value.type for value in values)]
        record_type = ir.LiteralStructType(fields)
        record = cgutils.alloca_once(builder, record_type)

        work = _work_function(context, builder.module, compiled.fndesc, call_signature, record_type)
        following = builder.alloca(_INT, size=builder.mul(threads, _INT(COUNTER_DISTANCE)))
        following = builder.bitcast(following, _POINTER)
        with cgutils.for_range(builder, threads) as loop:
            start = share_start(builder, chunks, loop.index, threads)
            builder.store(start, counter_at(builder, following, loop.index))
        failure = exceptions.no_failure(builder, chunks)
        value = ir.Constant(record_type, ir.Undefined)
        for i, part in enumerate((chunks, threads, following, failure, *values)):
            value = builder.insert_value(value, part, i)
        builder.store(value, record)

        with builder.if_else(builder.icmp_signed(">", threads, _INT(1))) as (parallel, serial):
            with parallel:
                workers = builder.sub(threads, _INT(1))
                builder.call(launch_function(builder.module), [work, record, workers])
            with serial:
                builder.call(work, [_INT(0), record])
        exceptions.propagate_first(context, builder, failure)
        return context.get_dummy_value()

    return signature, codegen


parallel_for = ParallelFor(parallel_for, launch_function)
