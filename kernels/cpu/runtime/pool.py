"""The pool of threads in compiled code: its state, a launch of work for all, and the life of a worker.

Both compilers' code calls it by symbols: ``jitnet_launch(function, record, workers)`` calls ``function(0, record)`` and
lets workers help, by ``function(worker, record)``; ``jitnet_serve(number)`` is a worker's life.
"""

import functools
import hashlib
import platform
from pathlib import Path

import llvmlite.binding
import numpy as np
from llvmlite import ir

from ...compiler import machine, sections
from ...compiler.objects import Object, stored
from ...compiler.sources import compiler_hash
from . import cache, processor

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_POINTER = ir.PointerType()
WORK = ir.FunctionType(ir.VoidType(), [_INT, _POINTER])  # (number of the worker, record)
COUNTER_DISTANCE = 8  # in elements: every counter has a cache line of its own
LAUNCH = "jitnet_launch"
LAUNCH_TYPE = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _INT])
SERVE = "jitnet_serve"

# Elements of the pool's state; every part that several threads write has a cache line of its own.
REGION = 0  # number of the region << 32 | OPEN | number of workers inside
FUNCTION, RECORD, WORKERS = 8, 9, 10  # of the region: what to call, and how many workers may help
RUNNING, STOP = 16, 17  # how many steps are being run; whether the workers shall end
PATIENCE = 18  # turns of a waiting loop after which a worker that nobody uses falls asleep
BUSY = 24  # whether some thread has a region open
_STATE_SIZE = 32
_OPEN = 1 << 31
# turns of a waiting loop, of some 20 ns each, before other threads get the core: the caller soon lets the worker go on
# that it waits for; a worker keeps its place on its core as long as regions follow each other closely
_CALLER_TURNS, WORKER_TURNS = 2000, 50000
TURN = 20e-9  # seconds, about
MOST_PATIENCE = 52000

_memory = np.zeros(_STATE_SIZE + 8, np.int64)
state = _memory[-_memory.ctypes.data // 8 % 8 :][:_STATE_SIZE]  # from the start of a cache line
_STATE_SYMBOL = "jitnet_pool"
llvmlite.binding.add_symbol(_STATE_SYMBOL, state.ctypes.data)
_loaded: list[machine.Code] = []


def declared(module, name: str, function_type):
    """The function of this name and type in a module."""
    return module.globals.get(name) or ir.Function(module, function_type, name)


class _Pool:
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
            pause = declared(builder.module, "llvm.x86.sse2.pause", ir.FunctionType(ir.VoidType(), []))
            builder.call(pause, [])
        elif machine in ("aarch64", "arm64"):
            hint = declared(builder.module, "llvm.aarch64.hint", ir.FunctionType(ir.VoidType(), [_INT32]))
            builder.call(hint, [_INT32(1)])
        if platform.system() != "Windows":
            with builder.if_then(builder.icmp_signed(">", turns, _INT(most)), likely=False):
                give_up_core = declared(builder.module, "sched_yield", ir.FunctionType(_INT32, []))
                builder.call(give_up_core, [])


def _call(builder, address, arguments):
    """Call the ``WORK`` at an address."""
    builder.call(builder.inttoptr(address, WORK.as_pointer()), arguments)


def _write_launch(module) -> None:
    function = ir.Function(module, LAUNCH_TYPE, LAUNCH)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pool = _Pool(builder)
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
            pool.store(builder.or_(builder.shl(number, _INT(32)), _INT(_OPEN)), REGION)
            _call(builder, address, [here, record])
            builder.atomic_rmw("and", pool.at(REGION), _INT(~_OPEN), "acq_rel")
            # nobody can come in any more; wait for those who are inside
            check, wait, done = (function.append_basic_block(name) for name in ("check", "wait", "done"))
            builder.store(_INT(0), turns)
            builder.branch(check)
            builder.position_at_end(check)
            inside = builder.and_(pool.load(REGION), _INT(_OPEN - 1))
            builder.cbranch(builder.icmp_signed("!=", inside, _INT(0)), wait, done)
            builder.position_at_end(wait)
            turn = builder.add(builder.load(turns), _INT(1))
            builder.store(turn, turns)
            pool.wait_a_little(turn, _CALLER_TURNS)
            builder.branch(check)
            builder.position_at_end(done)
            pool.store(_INT(0), BUSY)
        with occupied:
            # another thread of the program has the workers
            _call(builder, address, [here, record])
    builder.ret_void()


def _write_serve(module) -> None:
    """The life of worker ``number`` (from 1 on): help in every region, until there is nothing to do for a while."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT]), SERVE)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    (worker,) = function.args
    pool = _Pool(builder)
    last, turns = builder.alloca(_INT), builder.alloca(_INT)
    builder.store(_INT(0), last)
    builder.store(_INT(0), turns)
    names = ("look", "enter", "inside", "idle", "rest", "leave")
    look, enter, inside, idle, rest, leave = (builder.append_basic_block(name) for name in names)
    builder.branch(look)

    builder.position_at_end(look)
    region = pool.load(REGION)
    number = builder.lshr(region, _INT(32))
    is_open = builder.icmp_signed("!=", builder.and_(region, _INT(_OPEN)), _INT(0))
    is_new = builder.icmp_signed("!=", number, builder.load(last))
    builder.cbranch(builder.and_(is_open, is_new), enter, idle)

    builder.position_at_end(enter)
    builder.cbranch(pool.exchange(REGION, region, builder.add(region, _INT(1))), inside, look)

    builder.position_at_end(inside)
    with builder.if_then(builder.icmp_signed("<=", worker, pool.load(WORKERS))):
        record = builder.inttoptr(pool.load(RECORD), _POINTER)
        _call(builder, pool.load(FUNCTION), [worker, record])
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
    tired = builder.icmp_signed(">", turn, pool.load(PATIENCE))
    builder.cbranch(builder.and_(unused, tired), leave, look)

    builder.position_at_end(leave)
    builder.ret_void()


# A record of the compiler's (``sections.HEADER``) begins with: number of chunks, number of shares, address of the next
# chunk of each share, the lowest chunk that failed << 32 | its status, and what runs a chunk.
_PARALLEL = """
define internal void @work(i64 %worker, ptr %record) nounwind {{
entry:
  {flush}
  %chunks = load i64, ptr %record
  %shares.at = getelementptr i64, ptr %record, i64 1
  %shares = load i64, ptr %shares.at
  %following.at = getelementptr i64, ptr %record, i64 2
  %following = load ptr, ptr %following.at
  %failure = getelementptr i64, ptr %record, i64 3
  %run.at = getelementptr i64, ptr %record, i64 4
  %run = load ptr, ptr %run.at
  br label %look
look:
  %index = phi i64 [0, %entry], [%index.next, %done]
  %more = icmp slt i64 %index, %shares
  br i1 %more, label %share, label %leave
share:
  %sum = add i64 %worker, %index
  %number = urem i64 %sum, %shares
  %number.next = add i64 %number, 1
  %scaled = mul i64 %chunks, %number.next
  %end = udiv i64 %scaled, %shares
  %place = mul i64 %number, {distance}
  %counter = getelementptr i64, ptr %following, i64 %place
  br label %next
next:
  %chunk = atomicrmw add ptr %counter, i64 1 monotonic
  %inside = icmp slt i64 %chunk, %end
  br i1 %inside, label %chunk.run, label %done
chunk.run:
  %status = call i32 %run(i64 %chunk, i64 %chunks, ptr %record)
  %wrong = icmp ne i32 %status, 0
  br i1 %wrong, label %failed, label %next
failed:
  %high = shl i64 %chunk, 32
  %low = zext i32 %status to i64
  %key = or i64 %high, %low
  %before = atomicrmw umin ptr %failure, i64 %key monotonic
  br label %next
done:
  %index.next = add i64 %index, 1
  br label %look
leave:
  {restore}
  ret void
}}

define i32 @{parallel}(ptr %run, ptr %record, i64 %chunks, i64 %threads) nounwind {{
entry:
  %size = mul i64 %threads, {distance}
  %following = alloca i64, i64 %size, align 64
  store i64 %chunks, ptr %record
  %shares.at = getelementptr i64, ptr %record, i64 1
  store i64 %threads, ptr %shares.at
  %following.at = getelementptr i64, ptr %record, i64 2
  store ptr %following, ptr %following.at
  %failure = getelementptr i64, ptr %record, i64 3
  store i64 -1, ptr %failure
  %run.at = getelementptr i64, ptr %record, i64 4
  store ptr %run, ptr %run.at
  br label %share
share:
  %number = phi i64 [0, %entry], [%number.next, %start]
  %more = icmp slt i64 %number, %threads
  br i1 %more, label %start, label %begin
start:
  %scaled = mul i64 %chunks, %number
  %first = udiv i64 %scaled, %threads
  %place = mul i64 %number, {distance}
  %counter = getelementptr i64, ptr %following, i64 %place
  store i64 %first, ptr %counter
  %number.next = add i64 %number, 1
  br label %share
begin:
  %several = icmp sgt i64 %threads, 1
  br i1 %several, label %parallel, label %serial
parallel:
  %workers = sub i64 %threads, 1
  call void @{launch}(ptr @work, ptr %record, i64 %workers)
  br label %end
serial:
  call void @work(i64 0, ptr %record)
  br label %end
end:
  %key = load i64, ptr %failure
  %right = icmp eq i64 %key, -1
  %status = trunc i64 %key to i32
  %result = select i1 %right, i32 0, i32 %status
  ret i32 %result
}}
"""


def _parallel_text() -> str:
    """``jitnet_parallel``: a loop over chunks for the compiler's steps, as ``parallel_for`` says."""
    flush, restore = sections.flush_text(processor.machine().triple)
    text = _PARALLEL.format(
        flush="\n  ".join(flush), restore="\n  ".join(restore), distance=COUNTER_DISTANCE, launch=LAUNCH,
        parallel=sections.PARALLEL,
    )  # fmt: skip
    return "\n".join(sections.FLUSH_DECLARATIONS.values() if flush else []) + text


_LAUNCH_OF_ONE = f"""
define internal void @{LAUNCH}(ptr %work, ptr %record, i64 %workers) nounwind {{
  call void %work(i64 0, ptr %record)
  ret void
}}
"""


def text_without_threads() -> str:
    """``jitnet_parallel`` for programs that have no pool: the thread that calls it does all, in the same order."""
    return _parallel_text() + _LAUNCH_OF_ONE


@functools.cache
def load() -> dict[str, int]:
    """The addresses of the functions, by their symbols, which compiled code finds from now on."""
    host = processor.machine()
    written_by = (Path(__file__).read_bytes(), compiler_hash(), platform.machine(), platform.system())
    name = f"pool_{hashlib.sha256(repr(written_by).encode()).hexdigest()[:24]}"

    def make():
        module = ir.Module("pool")
        _write_launch(module)
        _write_serve(module)
        return Object(name, machine.object_of(f"{module}\n{_parallel_text()}", host), {}, [])

    code = machine.Code(stored(name, host, cache, make).code, LAUNCH, host)
    _loaded.append(code)
    return {symbol: code.publish(symbol) for symbol in (LAUNCH, SERVE, sections.PARALLEL)}
