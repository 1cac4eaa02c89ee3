"""What the functions of a step do besides calling kernels: chunks for several threads, the floating-point mode."""

from .emitter import form_of, part_types, parts
from .intrinsics import Intrinsic
from .sources import python_function
from .types import TranslationError
from .values import Number, Static, integer

_FLUSH = 0x8000 | 0x0040  # flush to zero, denormals are zero: bits of the MXCSR register
_COUNTER_DISTANCE = 8  # elements from one counter to the next: every one has a cache line of its own
_FAILURE = "{ i64, i64, i32 }"  # a lock, the chunk, its status

# the status of the lowest chunk that fails is kept, whoever is the first to fail
_KEEP_FIRST = f"""define internal void @jitnet_keep_first(ptr %failure, i64 %chunk, i32 %status) noinline nounwind {{
entry:
br label %wait
wait:
%taken = cmpxchg ptr %failure, i64 0, i64 1 acq_rel acquire
%free = extractvalue {{ i64, i1 }} %taken, 1
br i1 %free, label %locked, label %wait
locked:
%place = getelementptr {_FAILURE}, ptr %failure, i32 0, i32 1
%first = load i64, ptr %place
%lower = icmp slt i64 %chunk, %first
br i1 %lower, label %keep, label %done
keep:
store i64 %chunk, ptr %place
%code = getelementptr {_FAILURE}, ptr %failure, i32 0, i32 2
store i32 %status, ptr %code
br label %done
done:
store atomic i64 0, ptr %failure release, align 8
ret void
}}
"""


class ParallelFor(Intrinsic):
    """``parallel_for``.  launch: writes ``launch(function, record, workers)`` into a module of llvmlite's."""

    def __init__(self, definition, launch):
        super().__init__(definition.__name__, definition)
        self.launch = launch


class Sections:
    """A part of ``Calls``."""

    def flush(self) -> str | None:
        """Change the floating-point mode; the name of the memory that holds the one before, None where there is none.

        On x86-64 alone: elsewhere denormal numbers are not slow.
        """
        if not self.translation.triple.startswith("x86_64"):
            return None
        for name in ("stmxcsr", "ldmxcsr"):
            self.declare(f"llvm.x86.sse.{name}", "void", ["ptr"])
        before, now = self.allocate("i32", 1, 4), self.allocate("i32", 1, 4)
        self.emit(f"call void @llvm.x86.sse.stmxcsr(ptr {before})")
        mode = self.let(f"load i32, ptr {before}")
        self.emit(f"store i32 {self.let(f'or i32 {mode}, {_FLUSH}')}, ptr {now}")
        self.emit(f"call void @llvm.x86.sse.ldmxcsr(ptr {now})")
        return before

    def _do_flush_denormals(self):
        """Until the function returns, which may be with an error."""
        if self.blocks[0] is not self.here:
            raise TranslationError("flush_denormals() must be the first that a function does")
        if (before := self.flush()) is not None:
            self.before_return = f"call void @llvm.x86.sse.ldmxcsr(ptr {before})"
        return Static(None)

    def _do_parallel_for(self, intrinsic, function, chunks, threads, arguments):
        """Call ``function(chunk, chunks, *arguments)`` for all chunks, see the definition for Numba."""
        arguments = self.items(arguments)
        work, fields = self._work_function(python_function(function.value), [form_of(a) for a in arguments])
        launch = intrinsic.launch(self.module.tiles)
        chunks, threads = self.cast(chunks, "int64"), self.cast(threads, "int64")
        failure = self.let(f"alloca {_FAILURE}")
        self.emit(f"store {_FAILURE} {{ i64 0, i64 0, i32 0 }}, ptr {failure}")
        place = self.let(f"getelementptr {_FAILURE}, ptr {failure}, i32 0, i32 1")
        self.emit(f"store i64 {chunks.text}, ptr {place}")
        size = self.binary("*", threads, integer(_COUNTER_DISTANCE))
        following = self.let(f"alloca i64, i64 {size.text}, align 64")
        self._count_shares(chunks, threads, following)
        record = self.let(f"alloca {{ {', '.join(fields)} }}")
        values = [chunks.text, threads.text, following, failure, *(text for a in arguments for text in parts(a))]
        for at, (type_, value) in enumerate(zip(fields, values, strict=True)):
            place = self.let(f"getelementptr {{ {', '.join(fields)} }}, ptr {record}, i32 0, i32 {at}")
            self.emit(f"store {type_} {value}, ptr {place}")
        several, alone, done = (self.block(name) for name in ("several", "alone", "done"))
        self.branch(self.compare(">", threads, integer(1)), several, alone)
        self.here = several
        workers = self.binary("-", threads, integer(1))
        self.emit(f'call void @"{launch.name}"(ptr {work}, ptr {record}, i64 {workers.text})')
        self.jump(done)
        self.here = alone
        self.emit(f"call void {work}(i64 0, ptr {record})")
        self.jump(done)
        self.here = done
        place = self.let(f"getelementptr {_FAILURE}, ptr {failure}, i32 0, i32 2")
        self.pass_on(self.let(f"load i32, ptr {place}"))
        return Static(None)

    def _share_start(self, chunks, share, shares) -> Number:
        product = self.binary("*", chunks, share)
        return Number("int64", self.let(f"udiv i64 {product.text}, {shares.text}"))

    def _counter(self, following, share) -> str:
        place = self.binary("*", share, integer(_COUNTER_DISTANCE))
        return self.let(f"getelementptr i64, ptr {following}, i64 {place.text}")

    def _counted(self, count, body) -> None:
        """``body(index)`` for every index below ``count``."""
        before, head, inside, after = self.here, self.block("head"), self.block("inside"), self.block("after")
        index = Number("int64", self.name())
        self.leave(f"br label %{head.name}")
        self.here = head
        more = self.let(f"icmp slt i64 {index.text}, {count.text}")
        self.leave(f"br i1 {more}, label %{inside.name}, label %{after.name}")
        self.here = inside
        body(index)
        following, end = self.let(f"add i64 {index.text}, 1"), self.here
        self.leave(f"br label %{head.name}")
        head.phis.append(f"{index.text} = phi i64 [0, %{before.name}], [{following}, %{end.name}]")
        self.here = after

    def _count_shares(self, chunks, threads, following) -> None:
        """Where each thread's share of the chunks begins."""

        def count(share):
            start = self._share_start(chunks, share, threads)
            self.emit(f"store i64 {start.text}, ptr {self._counter(following, share)}")

        self._counted(threads, count)

    def _work_function(self, function, forms):
        """``work(worker, record)``: the chunks that a thread runs.  Its name, and LLVM's types of the record."""
        number = ("number", "int64")
        name, kind, _, _ = self.inner(function, (number, number, *forms))
        fields = ["i64", "i64", "ptr", "ptr", *(type_ for form in forms for type_ in part_types(form))]
        if ("work", name) in self.module.made:
            return self.module.made["work", name], fields
        work = type(self)(self.translation, self.module)
        before = work.flush()
        record = f"{{ {', '.join(fields)} }}"
        values = []
        for at, type_ in enumerate(fields):
            place = work.let(f"getelementptr {record}, ptr %record, i32 0, i32 {at}")
            values.append(work.let(f"load {type_}, ptr {place}"))
        chunks, shares, (following, failure) = Number("int64", values[0]), Number("int64", values[1]), values[2:4]
        arguments = "".join(f", {type_} {value}" for type_, value in zip(fields[4:], values[4:], strict=True))

        def share_of(index):
            place = work.binary("+", Number("int64", "%worker"), index)
            share = Number("int64", work.let(f"urem i64 {place.text}, {shares.text}"))
            end = work._share_start(chunks, work.binary("+", share, integer(1)), shares)
            counter = work._counter(following, share)
            next_chunk, run, failed, done = (work.block(n) for n in ("next", "chunk", "failed", "share_done"))
            work.leave(f"br label %{next_chunk.name}")
            work.here = next_chunk
            chunk = work.let(f"atomicrmw add ptr {counter}, i64 1 monotonic")
            more = work.let(f"icmp slt i64 {chunk}, {end.text}")
            work.leave(f"br i1 {more}, label %{run.name}, label %{done.name}")
            work.here = run
            got = work.let(f"call {kind} @{name}(i64 {chunk}, i64 {chunks.text}{arguments})")
            status = work.let(f"extractvalue {kind} {got}, 0")
            bad = work.let(f"icmp ne i32 {status}, 0")
            work.leave(f"br i1 {bad}, label %{failed.name}, label %{next_chunk.name}")
            work.here = failed
            work.emit(f"call void @jitnet_keep_first(ptr {failure}, i64 {chunk}, i32 {status})")
            work.leave(f"br label %{next_chunk.name}")
            work.here = done

        work._counted(shares, share_of)
        if before is not None:
            work.emit(f"call void @llvm.x86.sse.ldmxcsr(ptr {before})")
        work.leave("ret void")
        if "keep_first" not in self.module.made:
            self.module.made["keep_first"] = True
            self.module.functions.append(_KEEP_FIRST)
        symbol = f"@work.{name}"
        work.finish(f"define internal void {symbol}(i64 %worker, ptr %record) nounwind")
        self.module.made["work", name] = symbol
        return symbol, fields
