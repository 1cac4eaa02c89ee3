"""Every rewrite on programs with loops: random calls that share temporaries, steps, and what a turn leaves to the next.

What they compute is compared by the reference target, before and after.
"""

import random

import numpy as np
import pytest
from programs import Sketch, opcodes, run

from jitnet.core.program import Buffer, Loop, Out, Scalar, Together
from jitnet.core.rewrites.copies import remove_copies
from jitnet.core.rewrites.epilogues import fuse_epilogues
from jitnet.core.rewrites.loops import simplify_loops
from jitnet.core.rewrites.pointwise import fuse_pointwise

SIZE, STEPS, TURNS = 6, 5, 3
CALLS = ("dense", "dense", "data", "data", "copy", "copy", "bias", "relu", "add", "tanh", "square", "mask")
# what a rewrite may join with a call
NEXT = {"dense": "bias", "bias": "relu", "data": "mask"}


class RandomProgram(Sketch):
    """Blocks and loops of random calls; some of what they write is copied to the caller in the end."""

    def __init__(self, seed: int):
        super().__init__()
        self.random = random.Random(seed)
        self.kept = [self.batch(f"kept_{number}", SIZE) for number in range(2)]
        self.sequences = [self.temporary("sequence", (SIZE,), "float32", "batch", steps=STEPS)]
        self.inputs = [self.given(name, SIZE) for name in ("x", "y")]
        self.kernel, self.shift = self.weight("kernel", SIZE, SIZE), self.weight("shift", SIZE)
        for buffer in (*self.kept, *self.sequences):
            self.call("shape.fill", y=Out(buffer), value=0.1 * len(self.calls) + 0.3)
        self.written: list[Buffer] = []  # that others may read, in order
        for number in range(self.random.randrange(1, 4)):
            if self.random.random() < 0.3:
                self.some_calls([0, 1, 2])
                continue
            with self.loop("time", TURNS, self.random.random() < 0.5) as time:
                self.some_calls([time, time + 1, time + 2, time * -1 + 2, time * -1 + 3])
                self.put(self.random.choice(self.kept), self.given(f"turns_{number}", TURNS * SIZE), time, TURNS)
        for buffer in (*self.kept, *self.sequences):
            if self.random.random() < 0.7:
                self.copy(buffer, self.given(f"last_{buffer.name}", buffer.size))

    def some_calls(self, steps) -> None:
        """steps: which of the sequences they may view."""
        kind = None
        for _ in range(self.random.randrange(2, 8)):
            follows = kind in NEXT and self.random.random() < 0.6
            kind = NEXT[kind] if follows else self.random.choice(CALLS)
            self.some_call(kind, steps, [self.calls[-1].outputs[0].buffer] if follows else [])

    def some_call(self, kind: str, steps, first: list[Buffer]) -> None:
        """first: what it reads, if it can."""
        fresh = self.random.random() < 0.5
        others = self.random.choice([self.kept, self.steps(steps), self.written[-2:] or self.kept])
        out = self.batch("fresh", SIZE) if fresh else self.random.choice(others)

        def read(in_place=True) -> Buffer:
            while True:
                others = self.random.choice([self.kept, self.inputs, self.steps(steps), self.written[-2:] or self.kept])
                found = first.pop() if first else self.random.choice(others)
                if not found.overlaps(out) or (in_place and found.step == out.step):
                    return found

        accumulate = not fresh and self.random.random() < 0.5
        added = {"dx": Out(out, accumulate), "accumulate": accumulate}
        if kind == "dense":
            self.dense(read(False), self.kernel, out)
        elif kind == "data":
            self.call("dense.dense_backward_data", dy=read(False), kernel=self.kernel, **added)
        elif kind == "bias":
            self.bias(read(), self.shift, out)
        elif kind == "relu":
            self.relu(read(), out)
        elif kind == "mask":
            dy = read()
            self.call("elementwise.relu_backward", y=read(), dy=dy, **added)
        elif kind == "add":
            self.add(read(), read(), out)
        elif kind == "copy":
            self.call("shape.copy_backward", dy=read(False), **added)
        else:
            self.call(f"elementwise.{kind}_forward", x=read(), y=Out(out))
        if out.step is None:
            self.written.append(out)

    def steps(self, steps) -> list[Buffer]:
        return [sequence.at(step) for sequence in self.sequences for step in steps]


class RandomTurns(Sketch):
    """Loops whose turns hand on a state, add to sums, and keep what a later loop may read."""

    def __init__(self, seed: int):
        super().__init__()
        self.random = random.Random(seed)
        self.inputs = [self.given(name, SIZE) for name in ("x", "y")]
        self.kernel, self.kept = self.weight("kernel", SIZE, SIZE), self.batch("kept", SIZE)
        self.call("shape.fill", y=Out(self.kept), value=0.7)
        backwards = self.random.random() < 0.5
        states = [self.temporary("state", (SIZE,), "float32", "batch", steps=TURNS + 1) for _ in range(2)]
        begin, end = (TURNS, 0) if backwards else (0, TURNS)
        for state in states:
            self.copy(self.inputs[0], state.at(begin))
        self.sums = [self.temporary("sum", shape, "float32", "partial") for shape in ((SIZE, SIZE), (SIZE,))]
        for partial in self.sums:
            self.clear(partial)
        own = [self.temporary("own", (SIZE,), "float32", "batch", steps=TURNS) for _ in range(3)]
        with self.loop("time", TURNS, backwards) as time:
            old, new = (time + 1, time) if backwards else (time, time + 1)
            there = [*self.inputs, self.kept, *(state.at(old) for state in states)]
            series, widths = self.given("series", TURNS * SIZE), {"x_width": TURNS * SIZE, "y_width": SIZE}
            step = self.temporary("step", (SIZE,), "float32", "batch", steps=TURNS).at(time)
            self.call("shape.slice_forward", x=series, y=Out(step), offset=time * SIZE, **widths)
            products = [self.temporary("product", (SIZE,), "float32", "batch", steps=TURNS).at(time) for _ in range(3)]
            for source, product in zip((step, self.random.choice([*there, step]), products[0]), products, strict=True):
                self.dense(source, self.kernel, product)
            there += [step, *products]
            self.some_calls(there, [buffer.at(time) for buffer in own])
            for state in states:
                self.call("elementwise.tanh_forward", x=self.random.choice(there), y=Out(state.at(new)))
                if self.random.random() < 0.5:
                    there.append(state.at(new))
            self.some_calls(there, [])
        if self.random.random() < 0.5:
            with self.loop("time", TURNS, not backwards) as time:
                there = [self.kept, *(buffer.at(time) for buffer in own if self.random.random() < 0.5)]
                there += [state.at(time + self.random.randrange(2)) for state in states if self.random.random() < 0.5]
                self.some_calls(there, [])
        for number, state in enumerate(states):
            if self.random.random() < 0.7:
                self.copy(state.at(end), self.given(f"last_{number}", SIZE))
        self.copy(self.kept, self.given("last_kept", SIZE))
        for partial, out in zip(self.sums, ("last_matrix", "last_column"), strict=True):
            whole = self.temporary("whole", (SIZE * partial.size // SIZE // SIZE or 1, SIZE), "float32", "whole")
            self.call("training.sum_partials", partials=partial, out=Out(whole.viewed(partial.shape)))
            if partial.size > SIZE:
                self.dense(self.inputs[1], whole, self.given(out, SIZE))
            else:
                self.bias(self.inputs[1], whole.viewed((SIZE,)), self.given(out, SIZE))

    def some_calls(self, there: list[Buffer], first: list[Buffer]) -> None:
        """there: what can be read, to which what they write is added; first: what they write first."""
        outs = [*first, *(None for _ in range(self.random.randrange(3, 8)))]
        fresh: list[Buffer] = []
        for out in outs:
            kind = "tanh" if out else self.random.choice(("tanh", "add", "add", "filter", "filter", "column", "more"))
            x, y = (self.random.choice(there) for _ in range(2))
            if kind == "filter":
                total = Out(self.sums[0], True)
                self.call("dense.dense_backward_filter", x=x, dy=y, dkernel=total, accumulate=True)
            elif kind == "column":
                self.call("dense.bias_add_backward", dy=y, dbias=Out(self.sums[1], True), accumulate=True)
            elif kind == "more" and fresh:
                target = self.random.choice([self.kept, *fresh])
                if target is not x:
                    self.call("shape.copy_backward", dy=x, dx=Out(target, True), accumulate=True)
            else:
                out = out or self.batch("fresh", SIZE)
                fresh += [out] if out.step is None else []
                there.append(out)
                if kind == "add":
                    self.add(x, y, out)
                else:
                    self.call("elementwise.tanh_forward", x=x, y=Out(out))


class RandomSums(Sketch):
    """A loop of sums, of what it reads in any order: before or after it is written, of other turns, of no turn."""

    def __init__(self, seed: int):
        super().__init__()
        self.random = random.Random(seed)
        backwards = self.random.random() < 0.5
        self.inputs = [self.given("x", SIZE), self.given("y", SIZE)]
        self.kept = [self.batch(f"kept_{number}", SIZE) for number in range(2)]
        self.sequence = self.temporary("sequence", (SIZE,), "float32", "batch", steps=TURNS + 2)
        self.sums = [self.temporary("sum", shape, "float32", "partial") for shape in ((SIZE, SIZE), (SIZE,))]
        self.whole = self.temporary("shared", (SIZE,), "float32", "whole")
        for buffer in (*self.kept, self.sequence):
            self.call("shape.fill", y=Out(buffer), value=0.1 * len(self.calls) + 0.3)
        for partial in self.sums:
            self.clear(partial)
        with self.loop("time", TURNS, backwards) as time:
            self.fresh = []
            for _ in range(self.random.randrange(3, 8)):
                self.some_call([time, time + 1, time * -1 + 2])
        for buffer in (*self.kept, self.sequence):
            if self.random.random() < 0.3:
                self.copy(buffer, self.given(f"last_{buffer.name}", buffer.size))
        for partial in self.sums:
            whole = self.temporary("total", (partial.size // SIZE, SIZE), "float32", "whole")
            self.call("training.sum_partials", partials=partial, out=Out(whole.viewed(partial.shape)))
            if partial.size > SIZE:
                self.dense(self.inputs[1], whole, self.given("last_matrix", SIZE))
            else:
                self.bias(self.inputs[1], whole.viewed((SIZE,)), self.given("last_column", SIZE))

    def some_call(self, steps) -> None:
        views = [self.sequence.at(self.random.choice(steps)) for _ in range(3)]
        x, y = (self.random.choice([*self.inputs, *self.kept, *views, *self.fresh]) for _ in range(2))
        kind = self.random.choice(("filter", "filter", "column", "square", "square", "again", "read"))
        adds = kind != "again"  # and begins anew in every turn otherwise
        if kind in ("filter", "again"):
            target = Out(self.sums[0], adds)
            self.call("dense.dense_backward_filter", x=x, dy=y, dkernel=target, accumulate=adds)
        elif kind == "column":
            self.call("dense.bias_add_backward", dy=y, dbias=Out(self.sums[1], True), accumulate=True)
        elif kind == "read" and self.random.random() < 0.5:
            self.fresh.append(self.batch("fresh", SIZE))
            self.bias(x, self.sums[1], self.fresh[-1])
        else:
            out = self.random.choice([*self.kept, views[0], None])
            if out is None:
                out = self.batch("fresh", SIZE)
                self.fresh.append(out)
            if not out.overlaps(x):
                self.call("elementwise.tanh_forward", x=x, y=Out(out))


class RandomProducts(Sketch):
    """A loop of products and slices, of and into what is theirs in a turn, others', or no turn's."""

    def __init__(self, seed: int):
        super().__init__()
        self.random = random.Random(seed)
        self.inputs, self.kept = [self.given("x", SIZE), self.given("y", SIZE)], self.batch("kept", SIZE)
        self.series = self.given("series", 2 * TURNS * SIZE)
        self.kernel = self.weight("kernel", SIZE, SIZE)
        self.shared = self.temporary("shared", (SIZE, SIZE), "float32", "whole")
        self.matrices = self.temporary("matrices", (SIZE, SIZE), "float32", "whole", steps=TURNS)
        self.wide = self.temporary("wide", (TURNS * SIZE,), "float32", "batch", steps=TURNS)
        self.own = [self.temporary("own", (SIZE,), "float32", "batch", steps=TURNS) for _ in range(4)]
        self.own.append(self.temporary("own", (SIZE,), "float32", "batch", steps=TURNS + 1))
        self.written: set[Buffer] = set()
        for buffer in (self.kept, self.shared, self.matrices, self.wide, *self.own):
            self.call("shape.fill", y=Out(buffer), value=0.1 * len(self.calls) + 0.3)
        with self.loop("time", TURNS, self.random.random() < 0.5) as time:
            product = self.random.randrange(4)
            for number in range(self.random.randrange(4, 8)):
                if number == product:
                    self.slice(self.own[0].at(time), time * SIZE)
                    self.dense(self.own[0].at(time), self.kernel, self.own[1].at(time))
                    self.written |= set(self.own[:2])
                self.some_call(time, time * -1 + TURNS - 1)
        for buffer in (self.kept, self.wide, *self.own):
            if self.random.random() < 0.5:
                self.copy(buffer, self.given(f"last_{buffer.name}", buffer.size))

    def slice(self, out, offset) -> None:
        widths = {"x_width": self.series.size, "y_width": SIZE}
        self.call("shape.slice_forward", x=self.series, y=Out(out), offset=offset, **widths)

    def some_call(self, time, other) -> None:
        def likely(most, least):
            return self.random.choice(most if most and self.random.random() < 0.8 else least)

        views = [buffer.at(likely([time], [other, time + (buffer.steps > TURNS)])) for buffer in self.own]
        fresh = [view for view in views if view.root not in self.written]
        out = likely(fresh, [*views, self.kept])
        x = likely([*self.inputs, *(view for view in views if view.root in self.written)], [self.kept, *views])
        self.written.add(out.root)
        kind = self.random.choice(("dense", "dense", "slice", "tanh", "more", "more", "put", "rows", "weights"))
        if kind == "slice":
            self.slice(out, likely([time * SIZE], [SIZE]))
        elif kind == "weights" and self.random.random() < 0.3:
            self.call("elementwise.tanh_forward", x=self.shared, y=Out(self.shared))
        elif out.overlaps(x):
            return
        elif kind == "more":
            self.call("shape.copy_backward", dy=x, dx=Out(out, True), accumulate=True)
        elif kind == "tanh":
            self.call("elementwise.tanh_forward", x=x, y=Out(out))
        elif kind == "put":
            self.put(x, self.wide.at(time), time, TURNS)
        elif kind == "rows":
            self.dense(x, self.matrices.at(time), out)
        else:
            self.dense(x, likely([self.kernel], [self.shared]), out)


def everything(program):
    simplify_loops(program)
    fuse_epilogues(program, lambda call, epilogue: True)
    remove_copies(program)
    fuse_pointwise(program)


def steps(program) -> list:
    """How long its sequences are."""
    return [buffer.root.steps for call in program.calls for buffer in call.buffers]


def calls_of_blocks(program) -> list:
    """How many calls they have."""
    return [len(block.calls) for block in program.blocks if block.calls]


MAKERS = [(RandomProgram, 300), (RandomTurns, 150), (RandomSums, 150), (RandomProducts, 300)]
REWRITES = {
    "epilogues": lambda program: fuse_epilogues(program, lambda call, epilogue: True),
    "copies": remove_copies, "pointwise": fuse_pointwise, "loops": simplify_loops,
    "loops of few": lambda program: simplify_loops(program, few=True), "all": everything,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_no_rewrite_changes_a_result():
    rewritten = dict.fromkeys(REWRITES, 0)
    for make, seed in [(make, seed) for make, count in MAKERS for seed in range(count)]:
        before = make(seed)
        wanted = run(before)
        for name, rewrite in REWRITES.items():
            after = make(seed)
            rewrite(after)
            if all(look(after) == look(before) for look in (opcodes, steps, calls_of_blocks)):
                continue
            rewritten[name] += 1
            found = run(after)
            for array in wanted.keys() & found.keys():
                size = np.abs(wanted[array][np.isfinite(wanted[array])]).max(initial=1)
                message = f"{name} of program {seed}: {array}"
                np.testing.assert_allclose(found[array], wanted[array], rtol=1e-3, atol=1e-4 * size, err_msg=message)
    assert min(rewritten.values()) >= 20, rewritten


def changes(program, few: bool) -> np.ndarray:
    """What becomes of a program: sums and other calls that leave loops, views of sequences of one turn, and of two."""
    looped = [call for block in program.blocks if isinstance(block, Loop) for call in block.calls]
    views = [(call, name, call[name].root.steps) for call in program.calls for name in call.arguments
             if isinstance(call[name], Buffer)]  # fmt: skip
    simplify_loops(program, few)
    still = {call for block in program.blocks if isinstance(block, Loop) for call in block.calls}
    left = ["accumulate" in call.arguments for call in looped if call not in still]
    after = [(steps, call[name].root.steps) for call, name, steps in views]
    one = sum(was is not None and now is None for was, now in after)
    two = sum(was not in (None, 2) and now == 2 for was, now in after)
    return np.array([sum(left), len(left) - sum(left), one, two])


def test_what_can_be_simplified_is():
    """In these programs so much, no more and no less: a condition that is lost or too strict changes the sums."""
    for few, expected in ((False, [467, 0, 1640, 817]), (True, [467, 521, 592, 817])):
        found = sum(changes(make(seed), few) for make, count in MAKERS for seed in range(count))
        np.testing.assert_array_equal(found, expected)


class OneSum(Sketch):
    """A sum of what each turn makes, by a call with ``more`` arguments, of a function of the program and the turn."""

    def __init__(self, more=lambda program, time: {}):
        super().__init__()
        self.sums = [self.temporary("sum", (SIZE,), "float32", "partial") for _ in range(2)]
        self.shared = self.temporary("shared", (SIZE,), "float32", "whole")
        self.rows = self.temporary("rows", (SIZE,), "float32", "whole", steps=TURNS)
        self.sequence = self.temporary("sequence", (SIZE,), "float32", "batch", steps=TURNS)
        for buffer in (*self.sums, self.shared, self.rows, self.sequence):
            self.call("shape.fill", y=Out(buffer), value=0.0)
        with self.loop("time", TURNS) as time:
            fresh = self.batch("fresh", SIZE)
            self.call("elementwise.tanh_forward", x=self.given("x", SIZE), y=Out(fresh))
            arguments = {"dy": fresh, "dbias": Out(self.sums[0], True), "accumulate": True, **more(self, time)}
            self.sum = self.call("dense.bias_add_backward", **{n: a for n, a in arguments.items() if a is not None})
            self.product = self.call(  # for which what turns make is kept
                "dense.dense_backward_filter", x=fresh, dy=fresh, accumulate=True,
                dkernel=Out(self.temporary("sum", (SIZE, SIZE), "float32", "partial"), True),
            )  # fmt: skip

    def stays(self, call) -> bool:
        return any(call in block.calls for block in self.blocks if isinstance(block, Loop))


def of_what_turns_write(program, time):
    program.call("elementwise.tanh_forward", x=program.shared, y=Out(program.shared))
    return {"scale": program.shared}


STAYS = {
    "it is told the turn": lambda program, time: {"offset": time},
    "it is told where the chunk begins": lambda program, time: {"offset": Scalar("begin")},
    "it cannot begin anew": lambda program, time: {"accumulate": None},
    "it reads what turns write": of_what_turns_write,
    "it reads a turn's weights": lambda program, time: {"scale": program.rows.at(time)},
    "it reads all steps": lambda program, time: {"scale": program.sequence},
}


@pytest.mark.parametrize("why", STAYS)
def test_a_sum_stays_in_its_loop_where(why):
    program = OneSum(STAYS[why])
    simplify_loops(program)
    assert program.stays(program.sum) and not program.stays(program.product)


def test_a_sum_stays_in_its_loop_that_is_a_users_or_runs_once():
    for change in ({"attributes": {"function": len}}, {"axis": Together()}, {}):
        program = OneSum()
        for name, value in change.items():
            setattr(program.sum, name, value)
        simplify_loops(program)
        assert program.stays(program.sum) == bool(change)


def test_what_adds_to_two_sums_needs_both_cleared():
    for more, cleared in (({}, 4), ({"other": 1}, 5)):
        program = OneSum(lambda program, time, more=more: {name: Out(program.sums[1], True) for name in more})
        simplify_loops(program)
        assert not program.stays(program.sum)
        assert opcodes(program).count("fill") == cleared


def another_sum(program, time):
    program.call("dense.bias_add_backward", dy=program.sequence.at(time), dbias=Out(program.sums[0], True),
                 accumulate=True, offset=time)  # fmt: skip
    return {}


@pytest.mark.parametrize("case", ["cleared for it", "another sum stays", "it goes on with another's"])
def test_the_first_sum_begins_only_where_nothing_was_before(case):
    program = OneSum(another_sum if case == "another sum stays" else lambda program, time: {})
    first = next(call for call in program.calls if program.sums[0] in call.writes)
    if case == "it goes on with another's":
        first.opcode = "shape.something"
    simplify_loops(program)
    assert not program.stays(program.sum)
    begins = case == "cleared for it"
    assert (first in program.calls) == (program.sum.outputs[0].accumulate) == program.sum["accumulate"] == (not begins)


def test_nothing_is_kept_for_a_sum_alone():
    program = OneSum()
    program.loops()[program.product].calls.remove(program.product)
    simplify_loops(program)
    assert program.stays(program.sum)


class OneProduct(Sketch):
    """A turn's part of a row, its product with weights, and a call after it, a function of the program and the turn."""

    def __init__(self, more):
        super().__init__()
        self.own = [self.temporary("own", (SIZE,), "float32", "batch", steps=TURNS) for _ in range(3)]
        self.matrices = self.temporary("matrices", (SIZE, SIZE), "float32", "whole", steps=TURNS)
        series, widths = self.given("series", TURNS * SIZE), {"x_width": TURNS * SIZE, "y_width": SIZE}
        with self.loop("time", TURNS) as time:
            part, self.found, self.after = (buffer.at(time) for buffer in self.own)
            self.call("shape.slice_forward", x=series, y=Out(part), offset=time * SIZE, **widths)
            self.kernel = self.weight("kernel", SIZE, SIZE)
            self.product = self.dense(part, self.kernel, self.found)
            self.other = more(self, time)
        for buffer in self.own:
            self.copy(buffer, self.given(f"last_{buffer.name}", TURNS * SIZE))

    def tanh(self, **arguments):
        return self.call("elementwise.tanh_forward", **{"x": self.found, "y": Out(self.after), **arguments})


def of_a_user(program, time):
    call = program.tanh()
    call.attributes = {"function": len}
    return call


def of_all_samples(program, time):
    call = program.tanh()
    call.axis = Together()
    return call


IN_TURN = {
    "it is a user's": of_a_user,
    "it takes all samples together": of_all_samples,
    "it is told where the chunk begins": lambda program, time: program.tanh(offset=Scalar("begin")),
    "it is told the turn": lambda program, time: program.tanh(offset=time),
    "it writes no sequence": lambda program, time: program.tanh(y=Out(program.batch("fresh", SIZE))),
    "it writes another turn's step": lambda program, time: program.tanh(y=Out(program.own[2].at(time * -1 + 2))),
    "it adds to what is there": lambda program, time: program.call(
        "shape.copy_backward", dy=program.found, dx=Out(program.after, True), accumulate=True
    ),
    "it reads a turn's weights": lambda program, time: program.dense(
        program.found, program.matrices.at(time), program.after
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", [None, *IN_TURN])
def test_what_follows_a_product_stays_in_its_loop_where(why):
    program = OneProduct(IN_TURN.get(why, lambda program, time: program.tanh()))
    simplify_loops(program, few=True)
    still = [call for block in program.blocks if isinstance(block, Loop) for call in block.calls]
    assert program.product not in still and (program.other in still) == (why is not None)
    assert all(block.calls for block in program.blocks if isinstance(block, Loop))
    assert program.product["kernel"] is program.kernel  # which has no turns
    assert program.product["x"].rows == program.product["y"].rows == TURNS


class OneSequence(Sketch):
    """Calls with a sequence in a loop, before and after it: lists of functions of the program and the turn."""

    def __init__(self, loop, before=(), after=(), steps=TURNS, backwards=False, kind="batch"):
        super().__init__()
        self.x, self.y = self.given("x", SIZE), self.given("y", SIZE)
        self.sequence = self.temporary("sequence", (SIZE,), "float32", kind, steps=steps)
        for make in before:
            make(self, None)
        with self.loop("time", TURNS, backwards) as time:
            for make in loop:
                make(self, time)
        for make in after:
            make(self, None)

    def length(self):
        """How many steps the sequence has then; None: memory for one."""
        place = next(i for i, c in enumerate(self.calls) if any(b.root is self.sequence for b in c.buffers))
        call = self.calls[place]
        name = next(n for n in call.arguments if isinstance(call[n], Buffer) and call[n].root is self.sequence)
        simplify_loops(self)
        return self.calls[place][name].root.steps


def seen(program, time, shift):
    """A step, counted from the turn; outside of the loop from 0."""
    return program.sequence.at(shift if time is None else time + shift if shift else time)


def write(shift=0, accumulate=False):
    def make(program, time):
        out = Out(seen(program, time, shift), accumulate)
        program.call("shape.copy_backward", dy=program.x, dx=out, accumulate=accumulate)

    return make


def read(shift=0):
    def make(program, time):
        program.call("elementwise.tanh_forward", x=seen(program, time, shift), y=Out(program.y))

    return make


def whole(program, time):
    program.copy(program.sequence, program.given("all", program.sequence.size))


def read_backwards(program, time):
    program.call("elementwise.tanh_forward", x=program.sequence.at(time * -1 + 2), y=Out(program.y))


def told(opcode, place=None, shift=0):
    """A write by a call that is told the turn, or always the same place."""

    def make(program, time):
        widths = {"x_width": SIZE, "y_width": SIZE, "offset": time if place is None else place}
        program.call(f"shape.{opcode}", x=program.x, y=Out(seen(program, time, shift)), **widths)

    return make


STATE = {"before": [write(0)], "after": [read(TURNS)], "steps": TURNS + 1}
REVERSED = {"before": [write(TURNS)], "after": [read(0)], "steps": TURNS + 1, "backwards": True}
LENGTHS = {
    "written and read in a turn": (None, [write(), read()], {}),
    "told the turn, but written as a whole": (None, [told("slice_forward"), read()], {}),
    "a part is written in a turn": (TURNS, [told("concatenate_forward"), read()], {}),
    "the same part is written in every turn": (None, [told("concatenate_forward", 0), read()], {}),
    "read before it is written": (TURNS, [read(), write()], {}),
    "added to": (TURNS, [write(accumulate=True), read()], {}),
    "seen as a whole after the loop": (TURNS, [write(), read()], {"after": [whole]}),
    "one step seen after the loop": (TURNS, [write(), read()], {"after": [read(1)]}),
    "no batch": (TURNS, [write(), read()], {"kind": "whole"}),
    "three steps seen": (TURNS + 2, [read(), read(1), write(2)], {**STATE, "steps": TURNS + 2}),
    "two steps apart": (TURNS + 2, [read(), write(2)], {**STATE, "steps": TURNS + 2}),
    "a state": (2, [read(), write(1)], STATE),
    "a state, backwards": (2, [read(1), write()], REVERSED),
    "a state of more steps": (TURNS + 2, [read(), write(1)], {**STATE, "steps": TURNS + 2}),
    "a state seen before its end": (TURNS + 1, [read(), write(1)], {**STATE, "after": [read(1)]}),
    "a state of another beginning": (TURNS + 1, [read(), write(1)], {**STATE, "before": [write(1)]}),
    "a state that is read first": (TURNS + 1, [read(1), read(), write(1)], STATE),
    "a state that is added to": (TURNS + 1, [read(), write(1, accumulate=True)], STATE),
    "a state of which other steps are read": (TURNS + 1, [read(), read_backwards, write(1)], STATE),
    "a state that is written in parts": (TURNS + 1, [read(), told("concatenate_forward", shift=1)], STATE),
    "a state whose old step is written": (TURNS + 1, [read(), write(1), write(0)], STATE),
    "a state that is read alone": (TURNS + 1, [read()], STATE),
}  # fmt: skip


@pytest.mark.parametrize("case", LENGTHS)
def test_how_many_steps_of_a_sequence_are_kept(case):
    expected, calls, more = LENGTHS[case]
    assert OneSequence(calls, **more).length() == expected


@pytest.mark.parametrize("few", [False, True])
def test_a_loop_of_which_nothing_leaves_stays_alone(few):
    program = OneSequence([read(), write(1)], steps=TURNS + 1)  # after a block of no calls
    count = len(program.blocks)
    simplify_loops(program, few)
    assert len(program.blocks) == count
