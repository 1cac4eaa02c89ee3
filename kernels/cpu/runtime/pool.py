"""The pool of threads as LLVM sees it: its state, and how a region is opened and closed.

Imports no Numba.
"""

import platform

import llvmlite.binding
import numpy as np
from llvmlite import ir

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_POINTER = ir.PointerType()
WORK = ir.FunctionType(ir.VoidType(), [_INT, _POINTER])  # (number of the worker, record)
COUNTER_DISTANCE = 8  # in elements: every counter has a cache line of its own

# Elements of the pool's state; every part that several threads write has a cache line of its own.
REGION = 0  # number of the region << 32 | OPEN | number of workers inside
FUNCTION, RECORD, WORKERS = 8, 9, 10  # of the region: what to call, and how many workers may help
RUNNING, STOP = 16, 17  # how many steps are being run; whether the workers shall end
BUSY = 24  # whether some thread has a region open
_STATE_SIZE = 32
OPEN = 1 << 31
# turns of a waiting loop, of some 20 ns each, before other threads get the core: the caller soon lets the worker go on
# that it waits for; a worker keeps its place on its core as long as regions follow each other closely
CALLER_TURNS, WORKER_TURNS = 2000, 50000
PATIENCE = 52000  # turns after which a worker that nobody uses falls asleep

_memory = np.zeros(_STATE_SIZE + 8, np.int64)
state = _memory[-_memory.ctypes.data // 8 % 8 :][:_STATE_SIZE]  # from the start of a cache line
_STATE_SYMBOL = "jitnet_pool"
llvmlite.binding.add_symbol(_STATE_SYMBOL, state.ctypes.data)


def declared(module, function_type, name):
    """A function of this name, declared in the module unless it is there."""
    return module.globals.get(name) or ir.Function(module, function_type, name)


class Pool:
    """Emits accesses to the pool's state."""

    def __init__(self, builder):
        self.builder = builder
        module = builder.module
        found = module.globals.get(_STATE_SYMBOL)
        self.state = found or ir.GlobalVariable(module, ir.ArrayType(_INT, _STATE_SIZE), _STATE_SYMBOL)

    def at(self, element: int):
        start = self.builder.ptrtoint(self.state, _INT)
        return self.builder.inttoptr(self.builder.add(start, _INT(8 * element)), _INT.as_pointer())

    def load(self, element: int):
        return self.builder.load_atomic(self.at(element), "acquire", 8)

    def store(self, value, element: int):
        self.builder.store_atomic(value, self.at(element), "release", 8)

    def exchange(self, element: int, old, new):
        """Whether ``old`` was there and is now ``new``."""
        return self.builder.extract_value(self.builder.cmpxchg(self.at(element), old, new, "acq_rel", "acquire"), 1)

    def wait_a_little(self, turns, most: int):
        """Part of a waiting loop that has made so many turns; after ``most``, other threads get the core."""
        builder = self.builder
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            pause = declared(builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause")
            builder.call(pause, [])
        elif machine in ("aarch64", "arm64"):
            hint = declared(builder.module, ir.FunctionType(ir.VoidType(), [_INT32]), "llvm.aarch64.hint")
            builder.call(hint, [_INT32(1)])
        if platform.system() != "Windows":
            with builder.if_then(builder.icmp_signed(">", turns, _INT(most)), likely=False):
                give_up_core = declared(builder.module, ir.FunctionType(_INT32, []), "sched_yield")
                builder.call(give_up_core, [])


def share_start(builder, chunks, share, shares):
    """The first chunk of a share."""
    return builder.udiv(builder.mul(chunks, share), shares)


def counter_at(builder, following, share):
    """Where the next chunk of a share is counted."""
    return builder.gep(following, [builder.mul(share, _INT(COUNTER_DISTANCE))], source_etype=_INT)


def call(builder, address, arguments):
    """Call the ``WORK`` at an address."""
    builder.call(builder.inttoptr(address, WORK.as_pointer()), arguments)


def launch_function(module):
    """``launch(function, record, workers)``: call ``function(0, record)`` here and let the pool's workers help."""
    found = module.globals.get("jitnet_launch")
    if found is not None:
        return found
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _INT]), "jitnet_launch")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pool = Pool(builder)
    work, record, workers = function.args
    address = builder.ptrtoint(work, _INT)
    turns = builder.alloca(_INT)
    here = _INT(0)
    with builder.if_else(pool.exchange(BUSY, _INT(0), _INT(1))) as (free, occupied):
        with free:
            pool.store(address, FUNCTION)
            pool.store(builder.ptrtoint(record, _INT), RECORD)
            pool.store(workers, WORKERS)
            number = builder.add(builder.lshr(pool.load(REGION), _INT(32)), _INT(1))
            pool.store(builder.or_(builder.shl(number, _INT(32)), _INT(OPEN)), REGION)
            call(builder, address, [here, record])
            builder.atomic_rmw("and", pool.at(REGION), _INT(~OPEN), "acq_rel")
            # nobody can come in any more; wait for those who are inside
            check, wait, done = (function.append_basic_block(name) for name in ("check", "wait", "done"))
            builder.store(_INT(0), turns)
            builder.branch(check)
            builder.position_at_end(check)
            inside = builder.and_(pool.load(REGION), _INT(OPEN - 1))
            builder.cbranch(builder.icmp_signed("!=", inside, _INT(0)), wait, done)
            builder.position_at_end(wait)
            turn = builder.add(builder.load(turns), _INT(1))
            builder.store(turn, turns)
            pool.wait_a_little(turn, CALLER_TURNS)
            builder.branch(check)
            builder.position_at_end(done)
            pool.store(_INT(0), BUSY)
        with occupied:
            # another thread of the program has the workers
            call(builder, address, [here, record])
    builder.ret_void()
    return function
