"""Exceptions in compiled code: on their way to the caller, and which kernel raised them.

A compiled function returns a status; that of an exception is 1 or more (Numba's own code always says 1).  A kernel's
callers add the kernel's number, which says in Python who it was.
"""

import ctypes
import threading

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils
from numba.core.callconv import ALLOC_FLAG_IDX, HASH_BUF_IDX, RETCODE_USEREXC, errcode_t, excinfo_ptr_t

_INT = ir.IntType(64)
_REPORT = "jitnet_raised"
# the exception of the lowest chunk: (lock, its chunk, status, what Numba knows of it)
FAILURE = ir.LiteralStructType([_INT, _INT, errcode_t, excinfo_ptr_t])
_LOCK, _CHUNK, _CODE, _INFORMATION = range(4)

_last = threading.local()


@ctypes.CFUNCTYPE(None, ctypes.c_int32)
def _report(code):
    _last.code = code


llvmlite.binding.add_symbol(_REPORT, ctypes.cast(_report, ctypes.c_void_p).value)


def number_of(symbol: str) -> int:
    """What the status of an exception is that comes from the kernel of this symbol; the same in every process."""
    return RETCODE_USEREXC.constant + 1 + int(symbol[-7:], 16)


def take_last() -> int | None:
    """The status of the last exception in this thread, once."""
    return _last.__dict__.pop("code", None)


def propagate(context, builder, status, symbol: str | None = None) -> None:
    """Emit: where ``status`` is an exception's, the function that is being built returns with it.

    symbol: of the kernel that was called.
    """
    with cgutils.if_unlikely(builder, status.is_error):
        code = status.code
        if symbol is not None:
            code = builder.select(status.is_user_exc, errcode_t(number_of(symbol)), code)
        function_type = ir.FunctionType(ir.VoidType(), [errcode_t])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, _REPORT), [code])
        # not Numba's return_status_propagate: without the mark, arrays would stay in memory and the usual path count
        # references; and generated code has no ``try``
        store = builder.store(status.excinfoptr, context.call_conv._get_excinfo_argument(builder.function))
        store.set_metadata("numba_exception_output", builder.module.add_metadata([ir.IntType(1)(1)]))
        builder.ret(code)


# ---- several chunks, of which more than one may raise


def no_failure(builder, chunks):
    """Emit a ``FAILURE`` on the stack; where it is."""
    failure = cgutils.alloca_once(builder, FAILURE)
    for field, value in ((_LOCK, _INT(0)), (_CHUNK, chunks), (_CODE, errcode_t(0))):
        builder.store(value, _field(builder, failure, field))
    return failure


def keep_first(context, builder, failure, chunk, status) -> None:
    """Emit: the exception of the lowest chunk is kept, whoever is the first to raise one."""
    with cgutils.if_unlikely(builder, status.is_error):
        builder.call(_keep_function(context, builder.module), [failure, chunk, status.code, status.excinfoptr])


def propagate_first(context, builder, failure) -> None:
    """Emit: the function returns with the exception that was kept, if there is one."""
    code, information = (_load(builder, failure, field) for field in (_CODE, _INFORMATION))
    propagate(context, builder, context.call_conv._get_return_status(builder, code, information))


def _field(builder, failure, field: int):
    return builder.gep(failure, [ir.IntType(32)(0), ir.IntType(32)(field)])


def _load(builder, failure, field: int):
    return builder.load(_field(builder, failure, field))


def _keep_function(context, module):
    """``keep(failure, chunk, code, information)``"""
    name = "jitnet_keep_first"
    if name in module.globals:
        return module.globals[name]
    function_type = ir.FunctionType(ir.VoidType(), [FAILURE.as_pointer(), _INT, errcode_t, excinfo_ptr_t])
    function = ir.Function(module, function_type, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    failure, chunk, code, information = function.args
    lock = _field(builder, failure, _LOCK)
    wait, locked = (function.append_basic_block(name) for name in ("wait", "locked"))
    builder.branch(wait)
    builder.position_at_end(wait)
    taken = builder.cmpxchg(lock, _INT(0), _INT(1), "acq_rel", "acquire")
    builder.cbranch(builder.extract_value(taken, 1), locked, wait)
    builder.position_at_end(locked)
    with builder.if_else(builder.icmp_signed("<", chunk, _load(builder, failure, _CHUNK))) as (first, later):
        with first:
            _forget(context, builder, *(_load(builder, failure, field) for field in (_CODE, _INFORMATION)))
            for field, value in ((_CHUNK, chunk), (_CODE, code), (_INFORMATION, information)):
                builder.store(value, _field(builder, failure, field))
        with later:
            _forget(context, builder, code, information)
    builder.store_atomic(_INT(0), lock, "release", 8)
    builder.ret_void()
    return function


def _forget(context, builder, code, information) -> None:
    """Emit: an exception that nobody will see gives back its memory; it has some if it was made of runtime values."""
    with builder.if_then(builder.icmp_signed(">=", code, RETCODE_USEREXC)):
        parts = builder.load(information)
        values = builder.extract_value(parts, ALLOC_FLAG_IDX)
        with builder.if_then(builder.icmp_signed(">", values, values.type(0))):
            context.nrt.free(builder, builder.extract_value(parts, HASH_BUF_IDX))
            context.nrt.free(builder, builder.bitcast(information, cgutils.voidptr_t))
