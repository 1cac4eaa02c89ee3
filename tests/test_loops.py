"""Loops over time in a program: what they mean, their memory, and steps that do the same as the reference target."""

import contextlib
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
from naive.differences import gradient
from programs import GEOMETRY, Sketch

import jitnet
from jitnet.builder import Computation
from jitnet.core.liveness import lifetimes, place
from jitnet.core.program import Block, Buffer, Call, Loop, Out, Scalar, calls_of
from jitnet.core.values import Variable, placeholder
from jitnet.running.profile import profile
from jitnet.step import Step
from jitnet.targets.cpu import thresholds
from jitnet.targets.cpu.schedule import Schedule, schedule
from jitnet.targets.cpu.target import CPU
from jitnet.targets.reference import Reference

BATCH, STEPS, INPUTS, UNITS = 7, 5, 3, 4


# ---- a recurrent network, written by hand


class Recurrence:
    """h[t + 1] = tanh(x[t] w + b + h[t] u), and the gradients of the sum of dy * h.

    x: (batch, steps, inputs), dy and the result: (batch, steps, units).  The gradients of u and b are summed turn by
    turn, that of w is one product after the loop.
    """

    def __init__(self, steps=STEPS, dtype="float32", gathered=False):
        generator = np.random.default_rng(steps)
        self.steps, self.dtype, self.gathered = steps, dtype, gathered
        shapes = {"w": (INPUTS, UNITS), "u": (UNITS, UNITS), "b": (UNITS,)}
        self.weights = [Variable(generator.normal(size=s).astype(dtype) / 2, name) for name, s in shapes.items()]

    def draw(self, batch: int) -> dict:
        generator = np.random.default_rng(batch)
        x = generator.normal(size=(batch, self.steps, INPUTS)).astype(self.dtype)
        dy = generator.normal(size=(batch, self.steps, UNITS)).astype(self.dtype)
        order = {"order": generator.permutation(batch)} if self.gathered else {}
        return {"x": x, "dy": dy, "predictions": np.full(dy.shape, np.nan, self.dtype), "results": np.zeros(1), **order}

    def write(self, program: Sketch) -> None:
        steps, dtype = self.steps, self.dtype
        w, u, b = (Buffer(v.name, v.shape, dtype, "variable", source=v) for v in self.weights)
        x, dy = (self.given(program, name, steps * size) for name, size in (("x", INPUTS), ("dy", UNITS)))
        y = program.given("predictions", steps * UNITS, dtype=dtype)
        program.phase = "forward"

        def batch(name, size=UNITS, **options):
            return program.temporary(name, (size,), dtype, "batch", **options)

        h, xs = batch("h", steps=steps + 1), batch("xs", INPUTS, steps=steps)
        program.call("shape.fill", y=Out(h.at(0)), value=0.0)
        with program.loop("time", steps) as time:
            new, shifted, old, total = map(batch, ("new", "shifted", "old", "total"))
            widths = {"x_width": steps * INPUTS, "y_width": INPUTS}
            program.call("shape.slice_forward", x=x, y=Out(xs.at(time)), offset=time * INPUTS, **widths)
            program.call("dense.dense_forward", x=xs.at(time), kernel=w, y=Out(new), work=2 * w.size)
            program.bias(new, b, shifted)
            program.call("dense.dense_forward", x=h.at(time), kernel=u, y=Out(old), work=2 * u.size)
            program.add(shifted, old, total)
            program.call("elementwise.tanh_forward", x=total, y=Out(h.at(time + 1)))
            widths = {"x_width": UNITS, "y_width": steps * UNITS}
            program.call("shape.concatenate_forward", x=h.at(time + 1), y=Out(y), offset=time * UNITS, **widths)
        program.phase = "backward"
        partial = [program.temporary(f"d_{v.name}", v.shape, dtype, "partial") for v in self.weights]
        for variable, buffer in zip(self.weights, partial, strict=True):
            buffer.source = variable
        d_w, d_u, d_b = partial
        dh, dz = batch("dh"), batch("dz", steps=steps)
        program.call("shape.fill", y=Out(dh), value=0.0)
        program.clear(d_u)
        program.clear(d_b)
        with program.loop("time", steps, backwards=True) as time:
            offset, accumulate = time * UNITS, {"accumulate": True}
            program.call("shape.concatenate_backward", dy=dy, dx=Out(dh, True), offset=offset, **widths, **accumulate)
            now = dz.at(time)
            program.call("elementwise.tanh_backward", y=h.at(time + 1), dy=dh, dx=Out(now), accumulate=False)
            program.call("dense.bias_add_backward", dy=now, dbias=Out(d_b, True), **accumulate)
            program.call("dense.dense_backward_filter", x=h.at(time), dy=now, dkernel=Out(d_u, True), **accumulate)
            program.call("dense.dense_backward_data", dy=now, kernel=u, dx=Out(dh), accumulate=False)
        program.call("dense.dense_backward_filter", x=xs, dy=dz, dkernel=Out(d_w), accumulate=False)
        program.phase = "gradients"
        for variable, buffer in zip(self.weights, partial, strict=True):
            total = Buffer(f"{buffer.name}_total", variable.shape, dtype, "gradient", source=variable)
            program.call("training.sum_partials", partials=buffer, out=Out(total))

    def given(self, program: Sketch, name: str, size: int) -> Buffer:
        if not self.gathered:
            return program.given(name, size, dtype=self.dtype)
        source, found = Buffer(name, (0, size), self.dtype, "argument"), program.batch(f"{name}_batch", size)
        order = program.given("order", dtype="int64")
        program.call("memory.gather", source=source, order=order.viewed((), name="order_chunk"), out=Out(found))
        return found

    def program(self, reserved=()) -> Sketch:
        program = Sketch(reserved)
        self.write(program)
        return program

    def step(self, fuse=True, regions=None) -> Step:
        """A step of the CPU's whose program is this one."""
        computation = Computation(
            {"x": placeholder("x", (self.steps, INPUTS)), "dy": placeholder("dy", (self.steps, UNITS))},
            trainable=self.weights, gathered=self.gathered,
        )  # fmt: skip

        def build(computation, fuse, reserved):
            return SimpleNamespace(
                program=self.program([*reserved, "x", "dy"]), variables=self.weights, results=1, places=[], states=[],
                output_arguments=["predictions"], gradient_arguments=[], settings={}, constants=[], random=False,
                limits={}, updates=SimpleNamespace(states=[]),
                lowering=SimpleNamespace(first_gradients={}, lowered=[]),
            )  # fmt: skip

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("jitnet.step.Builder", build)
            return Step("A recurrent network, and its gradients.", computation, fuse, regions)

    def run(self, step: Step, batch: int, compiled=False) -> list:
        """The result and the gradients of a step of the CPU's."""
        arrays = self.draw(batch)
        step.run(batch, 1, {**arrays, "t": 0, "seed": 0}, compiled=compiled)
        gradients = step.variable_gradients()
        return [arrays["predictions"], *(gradients[v].copy() for v in self.weights)]

    def meant(self, batch: int) -> list:
        """The result and the gradients by the reference target."""
        arrays = self.draw(batch)
        memory = Reference().run(self.program(), batch, arrays)
        return [arrays["predictions"], *(memory.gradients[v] for v in self.weights)]


def forward(x, w, u, b):
    h, found = np.zeros((len(x), UNITS)), []
    for step in range(x.shape[1]):
        h = np.tanh(x[:, step] @ w + b + h @ u)
        found.append(h)
    return np.stack(found, 1)


@pytest.mark.parametrize(("steps", "batch"), [(STEPS, 4), (1, 4), (STEPS, 1)])
def test_a_loop_and_its_backward_loop_compute_the_gradients(steps, batch):
    network = Recurrence(steps, "float64")
    arrays, weights = network.draw(batch), [v.value for v in network.weights]
    result, *gradients = network.meant(batch)
    np.testing.assert_allclose(result, forward(arrays["x"], *weights), rtol=0, atol=1e-14)
    for index, found in enumerate(gradients):

        def of_one(value, index=index):
            return forward(arrays["x"], *(value if i == index else w for i, w in enumerate(weights)))

        np.testing.assert_allclose(found, gradient(of_one, weights[index], arrays["dy"]), rtol=0, atol=1e-9)


# ---- steps of the CPU's


@pytest.fixture
def small_chunks(monkeypatch):
    """A batch of 7 is three chunks, which two threads share."""
    monkeypatch.setattr(thresholds, "WORK_PER_COPIED_BYTE", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "ROWS_PER_CHUNK", 2)


def test_the_unfused_step_has_the_bits_of_the_reference():
    network = Recurrence()
    step = network.step(fuse=False)
    for batch in (BATCH, 3, 1):
        for found, expected in zip(network.run(step, batch), network.meant(batch), strict=True):
            np.testing.assert_array_equal(found, expected)


def check_chunks(network, step) -> list:
    """What the batches of several sizes come to, the same with one thread and with two."""
    found = []
    for batch, chunks in ((BATCH, 3), (3, 1), (1, 1)):
        assert step.schedule.chunks(batch) == chunks
        results = []
        for threads in (1, 2):
            jitnet.config.set_num_threads(threads)
            results.append(network.run(step, batch))
        for one, two, expected in zip(*results, network.meant(batch), strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
        found += results[0]
    return found


def test_chunks_run_all_turns_on_their_own(small_chunks):
    network = Recurrence()
    together, alone = network.step(), network.step(regions=False)
    assert [s.name for s in together.schedule.preparing] == ["prepare_weights"]
    assert [s.name for s in together.schedule.sections] == ["forward_backward", "sum_gradients"]
    for one, two in zip(check_chunks(network, together), check_chunks(network, alone), strict=True):
        np.testing.assert_array_equal(one, two)
    rows = profile(alone, lambda: network.run(alone, BATCH), BATCH, 2, lambda line: None)
    done = {row.function: row.operations for row in rows}
    calls = next(s.calls for s in alone.schedule.sections if s.name == "forward")
    assert [c.work for c in calls if "matrix" in c.opcode] == [STEPS * 2 * n * UNITS for n in (INPUTS, UNITS)]
    assert done["forward"] == pytest.approx(BATCH * sum(call.work for call in calls))


def test_one_turn(small_chunks):
    network = Recurrence(1)
    check_chunks(network, network.step())


def test_compiled_steps_have_the_bits_of_plain_ones(small_chunks):
    network = Recurrence(gathered=True)
    step = network.step()
    plain, compiled = (network.run(step, BATCH, compiled) for compiled in (False, True))
    for one, two, expected in zip(plain, compiled, network.meant(BATCH), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_a_product_after_the_loop_in_the_optimizers_parts(small_chunks, monkeypatch):
    """All steps of the whole batch, in one piece."""
    monkeypatch.setattr(thresholds, "SMALL_KERNEL", INPUTS * UNITS)
    monkeypatch.setattr(thresholds, "SPLIT_KERNEL", 1)
    monkeypatch.setattr(thresholds, "COPIED_PRODUCTS", 0)
    network = Recurrence()
    step = network.step()
    assert {b.root.name for c in step.program.calls for b in c.buffers if b.root.in_one_piece} == {"xs", "dz"}
    check_chunks(network, step)


def test_the_source_has_a_loop_of_any_number_of_turns():
    source = Recurrence().step().source
    assert "    for time in range(5):\n" in source and "    for time in range(4, -1, -1):\n" in source
    (inside,) = re.findall(r"    for time in range\(5\):\n((?:        .*\n)+)", source)
    (before,) = re.findall(r"def forward_backward_chunk.*?    for time", source, re.DOTALL)
    # what depends on the turn is viewed in it, anything else before; and what can be is one kernel
    assert re.findall(r"(\w+) = view", inside) == ["xs_at_time", "h_at_time", "h_at_time_plus_1"]
    assert {"w", "u", "b", "total", "predictions_2"} <= set(re.findall(r"(\w+) = view", before))
    calls = re.findall(r"^ +(\w+)\(", inside, re.MULTILINE)
    assert [re.sub(r"_narrow\d+", "", name) for name in calls] == [
        "slice_forward", "matrix_multiply_bias", "matrix_multiply_accumulate", "tanh_forward", "concatenate_forward",
    ]  # fmt: skip
    for options in ({}, {"fuse": False}, {"regions": False}):
        few, many = (Recurrence(steps).step(**options) for steps in (5, 500))
        assert len(few.source.splitlines()) == len(many.source.splitlines())
        assert many.schedule.work_per_sample > 50 * few.schedule.work_per_sample


def test_steps_of_one_name_are_told_apart():
    class Strides(Recurrence):
        def write(self, program):
            h = program.temporary("h", (UNITS,), "float32", "batch", steps=8)
            with program.loop("time", 3) as time:
                program.copy(h.at(time * 2), h.at(time * 3 + 1))
                program.copy(h.at(time * 3), h.at(time * 2 + 1))
            rows = [program.reshaped(h.at(step), (1, UNITS)) for step in (0, 1, 0)]
            assert rows[0] is rows[2] and rows[0] is not rows[1]

    source = Strides().step(fuse=False).source
    views = dict(re.findall(r"(\w+) = view\(arena, (.*), \(batch, 4\), float32\)", source))
    assert len(views) == 4
    found = [[views[name] for name in pair] for pair in re.findall(r"copy_forward\((\w+), (\w+)\)", source)]
    assert found == [
        ["16 * batch * (time * 2)", "16 * batch * ((time * 3) + 1)"],
        ["16 * batch * (time * 3)", "16 * batch * ((time * 2) + 1)"],
    ]


# ---- what is refused


def test_what_no_loop_has():
    program = Sketch()
    h, x = program.temporary("h", (2,), "float32", "batch", steps=3), program.batch("x", 2)
    for count in (0, -1):
        with pytest.raises(ValueError, match=rf"at least one turn\. Received: count={count}"):
            program.loop("time", count).__enter__()
    with pytest.raises(ValueError, match=r"Only a buffer with steps .* Received: buffer='x'"):
        x.at(0)
    with pytest.raises(ValueError, match=r"batch and whole have steps\. Received: name='s', kind='partial'"):
        program.temporary("s", (2,), "float32", "partial", steps=3)
    with pytest.raises(ValueError, match=r"copy_forward views a step of h, from 0 to 2\. Received: step=3"):
        program.copy(h.at(3), x)
    with program.loop("time", 3) as time:
        program.copy(h.at(time), x)
        with pytest.raises(ValueError, match=r"copy_forward views a step of h, from 0 to 2\. Received: step=3"):
            program.copy(x, h.at(time + 1))
        with pytest.raises(ValueError, match=r"views a step of h, from 0 to 2\. Received: step=-1"):
            program.copy(x, h.at(time - 1))
        with pytest.raises(ValueError, match=r"no loops\. Received: index='inner', inside='time'"):
            program.loop("inner", 2).__enter__()
    with pytest.raises(ValueError, match=r"index of its own loop says\. Received: step=\{'time'\}"):
        program.copy(h.at(time), x)
    with program.loop("layer", 3), pytest.raises(ValueError, match="index of its own loop"):
        program.copy(h.at(time), x)


def test_turns_that_need_what_all_chunks_did_are_refused():
    def of_a_sum(program, x, total):
        program.call("training.total", values=x, out=Out(program.temporary("t", (1,), "float64", "partial")))
        program.call("shape.fill", y=Out(total), value=1.0)

    def of_parts(program, x, total):
        program.call("test.part", x=x, y=Out(total))
        program.call("test.whole", x=total, y=Out(x))

    for write in (of_a_sum, of_parts):
        program = Sketch()
        total = program.temporary("total", (2,), "float32", "whole")
        with program.loop("time", 3):
            write(program, program.batch("x", 2), total)
        with pytest.raises(ValueError, match=r"what all chunks did a part of\. Received: loop='time', call='"):
            schedule([program.blocks[1]])

    program = Sketch()  # nothing along the batch
    total = program.temporary("total", (2,), "float32", "whole", steps=3)
    with program.loop("time", 3) as time:
        program.call("shape.fill", y=Out(total.at(time)), value=time * 1.0)
    (section,) = schedule([program.blocks[1]])
    assert section.axis is None
    with pytest.raises(ValueError, match=r"Received: buffer='rows'"):
        program.reshaped(total, (6,), name="rows").at(0)
    memory = Reference().run(program, 1, {})
    np.testing.assert_array_equal(memory.array(total, {}), [[0, 0], [1, 1], [2, 2]])


def test_a_loop_in_steps_where_a_condition_holds():
    program = Sketch()
    y = program.given("y", 2)
    program.call("shape.fill", y=Out(y), value=0.0)
    program.blocks.append(Block((Scalar("t") % 2).equals(0)))
    with program.loop("time", 3) as time:
        program.call("shape.fill", y=Out(y), value=time + Scalar("t"))
    with program.loop("nothing", 2):
        pass
    program.call("shape.fill", y=Out(program.given("z", 2)), value=1.0)
    for t, expected in ((0, 2), (1, 0), (4, 6)):
        arrays = {"y": np.ones((3, 2), "float32"), "z": np.zeros((3, 2), "float32")}
        Reference().run(program, 3, arrays, {"t": t})
        assert (arrays["y"] == expected).all() and (arrays["z"] == (t % 2 == 0)).all()
    sections = Schedule(program).sections
    assert [(len(s.items), s.condition is None) for s in sections] == [(1, True), (2, False)]


# ---- what the CPU's rewrites leave as it is


def rewritten(program: Sketch) -> Sketch:
    CPU().rewrite(program)
    return program


def test_copies_of_weights_are_made_before_a_loop():
    """Of weights that are computed; those of which each turn has others get none."""
    for steps in (None, 3):
        program = Sketch()
        kernel = program.temporary("kernel", (4, 6), "float32", "whole", steps=steps)
        program.call("shape.fill", y=Out(kernel), value=0.5)
        with program.loop("time", 3) as time:
            given = {"dy": program.given("dy", 6), "kernel": kernel if steps is None else kernel.at(time)}
            dx = Out(program.given("dx", 4))
            program.call("dense.dense_backward_data", **given, dx=dx, accumulate=False)
        schedule([program.blocks[1]])
        calls = [[c.opcode.rpartition(".")[2] for c in block.calls] for block in rewritten(program).blocks]
        copy = [["transpose_kernel"]] if steps is None else []
        assert [calls[0], *calls[1:-2]] == [["fill"], *copy] and len(calls[-2]) == 1
        assert (program.blocks[-2].calls[0].kernel is None) == bool(steps)


def test_no_product_of_a_loop_or_of_one_step_is_left_to_the_optimizers_parts(monkeypatch):
    monkeypatch.setattr(thresholds, "SMALL_KERNEL", 1)
    weight = Variable(np.ones((4, 6), "float32"), "w")
    for inside in (True, False):
        program = Sketch()
        h, dy = (program.temporary(name, (size,), "float32", "batch", steps=3) for name, size in (("h", 4), ("dy", 6)))
        partial = program.temporary("d_w", (4, 6), "float32", "partial")
        partial.source = weight
        total = Buffer("total", (4, 6), "float32", "gradient", source=weight)
        given = {"dkernel": Out(partial), "accumulate": False}
        if inside:
            with program.loop("time", 3) as time:
                x, d = program.batch("x", 4), program.batch("d", 6)
                program.copy(h.at(time), x)
                program.copy(dy.at(time), d)
                program.call("dense.dense_backward_filter", x=x, dy=d, **given)
        else:
            program.call("dense.dense_backward_filter", x=h.at(2), dy=dy.at(2), **given)
        program.call("training.sum_partials", partials=partial, out=Out(total))
        assert rewritten(program).calls[-1].opcode == "training.sum_partials"
        assert partial in program.calls[-2].writes


def test_pooling_in_a_loop_keeps_its_gradients():
    """What they are computed from would have to be copied in every turn."""

    def write(where):
        program = Sketch()
        image, features = (28, 28, 1), (24, 24, 6)
        dy, spread = program.given("dy", 12, 12, 6), program.batch("spread", *features)
        window = {f"{name}_{side}": 2 for name in ("window", "stride") for side in "hw"} | dict(pad_top=0, pad_left=0)
        geometry = {**GEOMETRY, "pad_top": 0, "pad_left": 0}
        argmax = program.given("argmax", 12, 12, 6, dtype="uint8")
        partial = program.temporary("d_kernel", (5, 5, 1, 6), "float32", "partial")
        pooled = {"dy": dy, "argmax": argmax, "dx": Out(spread), **window, "accumulate": False}
        if where == "before":
            program.call("pool.max_pool2d_backward", **pooled)
        with contextlib.nullcontext() if where is None else program.loop("time", 2):
            if where != "before":
                program.call("pool.max_pool2d_backward", **pooled)
            given = {"x": program.given("x", *image), "dy": spread, "dkernel": Out(partial)}
            program.call("conv.conv2d_backward_filter", **given, **geometry, accumulate=False)
        return [call.opcode for call in rewritten(program).calls]

    (once,) = write(None)
    assert "pooled" in once
    for where in ("before", "inside"):
        pool, product = write(where)
        assert "pool" in pool and "pooled" not in product


# ---- order and memory


def test_what_outlives_a_turn_lives_for_the_whole_loop():
    program = Sketch()
    h = program.temporary("h", (2,), "float32", "batch", steps=3)
    before, once, then, state, parts, last = map(
        lambda name: program.batch(name, 2), ("before", "once", "then", "state", "parts", "last")
    )
    program.copy(before, state)  # 0
    with program.loop("time", 3) as time:  # 1
        program.copy(before, once)  # 2
        program.copy(once, then)  # 3
        program.put(then, parts, time, 3)  # 4: a part in each turn
        program.copy(parts, h.at(time))  # 5
        program.copy(state, last)  # 6
        program.copy(last, state)  # 7
    program.copy(last, program.given("y", 2))  # 9
    found = lifetimes([*program.blocks[0].calls, program.blocks[1], *program.blocks[2].calls])
    assert {root.name: interval for root, interval in found.items()} == {
        "before": (0, 8), "state": (0, 8), "once": (2, 3), "then": (3, 4), "parts": (1, 8), "h": (1, 8),
        "last": (1, 9), "y": (9, 9),
    }  # fmt: skip


def random_items(generator, kinds):
    """Calls and loops over random buffers."""
    batch = [Buffer(f"b{i}", (1,), "float32", "batch") for i in range(5)]
    others = [Buffer(f"w{i}", (1,), "float32", generator.choice(kinds)) for i in range(3)]

    def call(number):
        pool = batch + others if generator.random() < 0.8 else others
        pool = pool or batch
        arguments = generator.sample(pool, generator.randrange(min(3, len(pool))))
        arguments += [Out(b, generator.random() < 0.3) for b in generator.sample(pool, 1)]
        return Call(f"test.call_{number}", {f"x{i}": argument for i, argument in enumerate(arguments)})

    items = []
    for number in range(generator.randrange(2, 9)):
        if generator.random() < 0.4:
            items.append(Loop("time", generator.randrange(1, 4), generator.random() < 0.5))
            items[-1].calls = [call(f"{number}_{i}") for i in range(generator.randrange(1, 5))]
        else:
            items.append(call(number))
    return items


def each_turn(items):
    """Calls as they run: [(call, turn)]"""
    for item in items:
        for turn in item.turns() if isinstance(item, Loop) else [{}]:
            yield from ((call, tuple(turn.values())) for call in calls_of([item]))


def test_memory_is_shared_only_by_what_does_not_need_it_at_once():
    """Programs run in memory of their own and in shared memory, on values that say how they came about."""
    shared = 0
    for seed in range(2000):
        generator = random.Random(seed)
        items = random_items(generator, ["batch"])
        for call in calls_of(items):
            inputs = [name for name, argument in call.arguments.items() if isinstance(argument, Buffer)]
            if inputs and not call.outputs[0].accumulate and generator.random() < 0.5:
                call.in_place = inputs[0], next(n for n, a in call.arguments.items() if isinstance(a, Out))
        roots = list(lifetimes(items))
        offsets, size = place(items, roots, lambda root: 1)
        assert size <= len(roots)
        shared += size < len(roots)
        own, together = {}, {}
        for call, turn in each_turn(items):
            read = [own.get(root) for root in sorted(call.reads, key=roots.index)]
            given = [together.get(offsets[root]) for root in sorted(call.reads, key=roots.index)]
            for value, other in zip(read, given, strict=True):
                assert value in (None, other), (seed, call.opcode, turn)  # None: nothing was written
            result = None if None in read else (call.opcode, turn, hash(tuple(read)))
            for root in call.writes:
                own[root] = together[offsets[root]] = result
    assert shared > 500


CHUNKS = range(3)


def perform(memory, call, turn, chunks):
    """Let ``chunks``, which don't see each other's work, do their part of a call that runs along the batch, or all."""
    roots = list(dict.fromkeys(b.root for b in call.buffers if b.root in call.reads))
    new = {}
    for chunk in chunks if call.batched else CHUNKS:
        own = {root: [chunk] if call.batched and root.kind != "whole" else CHUNKS for root in roots}
        seen = tuple(memory.get((root, c)) for root in roots for c in own[root])
        new.update({(root, chunk): hash((call.opcode, turn, chunk * call.batched, seen)) for root in call.writes})
    memory.update(new)


def test_schedules_with_loops_keep_every_result():
    """Sections chunk by chunk, or call by call for all chunks, on values that say how they came about."""
    refused, loops = 0, 0
    for seed in range(2000):
        items = random_items(random.Random(seed), ["whole", "partial"])
        calls = list(calls_of(items))
        if any(c.batched and any(root.kind == "whole" for root in c.writes & c.reads) for c in calls):
            continue  # its chunks meet in the call itself
        try:
            sections = schedule(items)
        except ValueError:
            refused += 1
            continue
        assert sorted(c.opcode for s in sections for c in s.calls) == sorted(c.opcode for c in calls)
        loops += any(isinstance(item, Loop) and item.batched for item in items)
        expected, found = {}, {}
        for call, turn in each_turn(items):
            perform(expected, call, turn, CHUNKS)
        for section in sections:
            for chunks in [CHUNKS] if section.axis is None else [[chunk] for chunk in CHUNKS]:
                for call, turn in each_turn(section.items):
                    perform(found, call, turn, chunks)
        assert found == expected, seed
    assert refused > 100 and loops > 100
