"""Every rewrite on programs with loops: random calls that share temporaries, steps, and what a turn leaves to the next.

What they compute is compared by the reference target, before and after.
"""

import random

import numpy as np
import pytest
from programs import Sketch, opcodes, run

from jitnet.core.program import Buffer, Out
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


def everything(program):
    simplify_loops(program)
    fuse_epilogues(program, lambda call, epilogue: True)
    remove_copies(program)
    fuse_pointwise(program)


def steps(program) -> list:
    """How long its sequences are."""
    return [buffer.root.steps for call in program.calls for buffer in call.buffers]


REWRITES = {
    "epilogues": lambda program: fuse_epilogues(program, lambda call, epilogue: True),
    "copies": remove_copies, "pointwise": fuse_pointwise, "loops": simplify_loops,
    "loops of few": lambda program: simplify_loops(program, few=True), "all": everything,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_no_rewrite_changes_a_result():
    rewritten = dict.fromkeys(REWRITES, 0)
    for make, seed in [(RandomProgram, seed) for seed in range(300)] + [(RandomTurns, seed) for seed in range(150)]:
        before = make(seed)
        wanted = run(before)
        for name, rewrite in REWRITES.items():
            after = make(seed)
            rewrite(after)
            if opcodes(after) == opcodes(before) and steps(after) == steps(before):
                continue
            rewritten[name] += 1
            found = run(after)
            for array in wanted.keys() & found.keys():
                size = np.abs(wanted[array][np.isfinite(wanted[array])]).max(initial=1)
                message = f"{name} of program {seed}: {array}"
                np.testing.assert_allclose(found[array], wanted[array], rtol=1e-3, atol=1e-4 * size, err_msg=message)
    assert min(rewritten.values()) >= 20, rewritten
