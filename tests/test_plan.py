"""The schedule: order, memory, regions, chunks, and steps that do the same however they are grouped."""

import itertools
import random
import re

import numpy as np
import pytest
import small_networks as networks

import jitnet
from jitnet import layers
from jitnet.core.program import Batch, Buffer, Call, Out
from jitnet.core.storage import ALIGNMENT
from jitnet.kernels.cpu.runtime import cache
from jitnet.kernels.cpu.runtime import threads as threads_of_the_process
from jitnet.targets.cpu import load
from jitnet.targets.cpu.schedule import plan_memory, schedule
from jitnet.targets.cpu.thresholds import MAXIMUM_CHUNKS

# ---- models


def lenet():
    model = jitnet.Sequential(
        [
            layers.Input((8, 8, 1), name="images"),
            layers.Conv2D(3, 3, padding="same", activation="relu", name="convolution_1"),
            layers.MaxPooling2D(2, name="pooling_1"),
            layers.Conv2D(4, 3, activation="relu", name="convolution_2"),
            layers.MaxPooling2D(2, name="pooling_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(6, "relu", name="dense_1"),
            layers.Dense(3, name="dense_2"),
        ],
        name="lenet",
    )
    model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def residual():
    """Branches, a shared layer, a value used several times, batch statistics, dropout."""
    x = layers.Input((5,), name="x")
    shared = layers.Dense(5, "tanh", name="shared")
    y = layers.Add(name="add")([x, shared(x)])
    y = layers.BatchNormalization(name="normalisation")(y)
    y = layers.Concatenate(name="concatenate")([shared(y), layers.Dropout(0.2, name="dropout")(y), y])
    model = jitnet.Model(x, layers.Dense(3, "softmax", name="probabilities")(y), name="residual")
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def convolutional():
    # a bias before batch normalisation has no gradient but rounding, which Adam would magnify
    return networks.convolutional(optimizer="sgd")


MODELS = {"lenet": lenet, "residual": residual, "convolutional": convolutional}
every_model = pytest.mark.parametrize("name", MODELS)
every_step = pytest.mark.parametrize(
    ("mode", "fuse"), list(itertools.product(("train", "evaluate", "predict"), (True, False)))
)


def schedule_of(name, mode="train", **options):
    return MODELS[name]()._step(mode, **options).schedule


def along_the_batch(section):
    return isinstance(section.axis, Batch)


# ---- order


def random_calls(generator):
    """Calls that read and write random buffers, batched or not."""
    batch = [Buffer(f"b{i}", (1,), "float32", "batch") for i in range(4)]
    others = [Buffer(f"w{i}", (1,), "float32", generator.choice(["whole", "partial", "variable"])) for i in range(4)]
    calls = []
    for number in range(generator.randrange(1, 14)):
        batched = generator.random() < 0.6
        pool = batch + others if batched else others
        arguments = generator.sample(pool, generator.randrange(3))
        arguments += [Out(b, generator.random() < 0.3) for b in generator.sample(pool, generator.randrange(1, 3))]
        calls.append(Call(f"test.call_{number}", {f"x{i}": argument for i, argument in enumerate(arguments)}))
    return calls


def depend(first, second):
    """Whether swapping the two calls could change a result."""
    return bool(first.writes & (second.reads | second.writes) or first.reads & second.writes)


def meet(first, second):
    """Whether ``second`` needs what all chunks wrote, or the other way round."""
    shared = (first.writes & (second.reads | second.writes)) | (first.reads & second.writes)
    return any(root.kind == "whole" for root in shared)


def test_schedule_keeps_the_order_of_dependent_calls():
    for seed in range(500):
        calls = random_calls(random.Random(seed))
        sections = schedule(calls)
        for section in sections:
            assert section.calls
            assert {call.batched for call in section.calls} == {along_the_batch(section)}
        place = {call: i for i, call in enumerate(c for s in sections for c in s.calls)}
        assert set(place) == set(calls)
        assert len(place) == len(calls)
        for first, second in itertools.combinations(calls, 2):
            if depend(first, second):
                assert place[first] < place[second], (seed, first.opcode, second.opcode)
        for section in sections:
            if along_the_batch(section):
                assert not any(meet(*pair) for pair in itertools.combinations(section.calls, 2)), seed


def test_schedule_does_not_cut_without_need():
    for seed in range(500):
        sections = schedule(random_calls(random.Random(seed)))
        for first, second in itertools.pairwise(s for s in sections if along_the_batch(s)):
            between = sections[sections.index(first) + 1 : sections.index(second)]
            serial = [call for section in between for call in section.calls]
            needed = any(depend(call, other) for call in serial for other in second.calls)
            assert needed or any(meet(call, other) for call in first.calls for other in second.calls)


# ---- memory


def lifetimes(sections):
    """{batch buffer: (first, last call)}, and {(input, output): call} of work in place."""
    first, last, shared = {}, {}, {}
    for index, call in enumerate(c for section in sections for c in section.calls):
        for root in {b.root for b in call.buffers if b.root.kind == "batch"}:
            first.setdefault(root, index)
            last[root] = index
        if call.in_place is not None:
            shared[tuple(call[name].root for name in call.in_place)] = index
    return {root: (first[root], last[root]) for root in first}, shared


def overlap(a, b):
    return a[0] < b[1] and b[0] < a[1]


@every_model
@every_step
def test_live_buffers_never_share_memory(name, mode, fuse):
    found = schedule_of(name, mode, fuse=fuse, regions=True)
    alive, shared = lifetimes(found.sections)
    memory = found.memory
    for (a, (a_first, a_last)), (b, (b_first, b_last)) in itertools.combinations(alive.items(), 2):
        places = [(memory.offsets[x], memory.offsets[x] + x.nbytes) for x in (a, b)]
        if a_first <= b_last and b_first <= a_last and overlap(*places):
            # only an input that dies where its output is born, and a kernel that may work in place
            assert a_last == b_first == shared.get((a, b)) or b_last == a_first == shared.get((b, a)), (a, b)
            assert memory.offsets[a] == memory.offsets[b]
    for buffer in alive:
        assert memory.offsets[buffer] % ALIGNMENT == 0
        assert memory.offsets[buffer] + buffer.nbytes <= memory.batch
    for kind in ("whole", "partial", "prepared", "preparing"):
        size = getattr(memory, kind)
        kinds = {b: "preparing" if b in found.temporary else b.kind for b in memory.offsets}
        kinds |= dict.fromkeys(found.prepared, "prepared")
        places = sorted((o, o + b.nbytes) for b, o in memory.offsets.items() if kinds[b] == kind)
        assert places or kind in ("whole", "prepared", "preparing") or mode == "predict"
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))
        assert not places or places[-1][1] <= size


@pytest.mark.parametrize("batch", [1, 15, 16, 33, 50, 1000, 5000])
@every_model
def test_the_arena_holds_every_chunk(name, batch):
    found = schedule_of(name)
    chunks, memory = found.chunks(batch), found.memory
    for smaller in {batch, batch - batch // 3, 1}:
        count = found.chunks(smaller)
        capacity = -(-smaller // count)
        sizes = [smaller * (i + 1) // count - smaller * i // count for i in range(count)]
        assert sum(sizes) == smaller
        assert max(sizes) <= capacity
        end = memory.whole + memory.in_one_piece * smaller + (memory.partial + memory.batch * capacity) * count
        assert end <= memory.nbytes(batch, chunks), "a smaller batch must fit into the arena of a greater one"


@every_model
def test_reuse_makes_the_arena_smaller(name):
    sections = schedule_of(name).sections
    assert plan_memory(sections, reuse=True).batch < 0.9 * plan_memory(sections, reuse=False).batch


# ---- regions and chunks


def regions(found):
    return [section for section in found.sections if along_the_batch(section)]


def test_a_network_without_batch_statistics_is_one_region():
    for mode in ("train", "evaluate", "predict"):
        assert len(regions(schedule_of("lenet", mode))) == 1
        assert len(regions(schedule_of("convolutional", mode))) == (1 if mode != "train" else 3)


def test_regions_are_cut_only_at_the_statistics():
    for name in ("convolutional", "residual"):
        found = regions(schedule_of(name))
        assert len(found) == 3  # up to the batch's statistics, up to those of the gradient, the rest
        for region, statistics in zip(found, ("batch_norm_statistics", "batch_norm_backward_statistics"), strict=False):
            assert any(call.opcode.endswith(statistics) for call in region.calls)


def test_chunks_depend_on_the_batch_alone(monkeypatch):
    found = schedule_of("lenet")
    counts = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(threads_of_the_process, "_threads", threads)
        counts.append([found.chunks(batch) for batch in range(1, 3000)])
    assert counts[0] == counts[1] == counts[2]
    assert counts[0] == sorted(counts[0])
    assert counts[0][0] == 1
    assert counts[0][-1] == MAXIMUM_CHUNKS
    assert all(count <= batch for batch, count in enumerate(counts[0], start=1))


def wide():
    """Two weights of 256 x 256, whose gradients are products over the whole batch, and normalisation between them."""
    model = jitnet.Sequential(
        [
            layers.Input((256,), name="x"),
            layers.Dense(256, name="dense_1"),
            layers.LayerNormalization(name="normalisation"),
            layers.Dense(256, name="dense_2"),
            layers.Dense(3, name="dense_3"),
        ],
        name="wide",
    )
    model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_an_update_takes_turns_with_large_weights():
    (update,) = (s for s in wide()._step("train").schedule.sections if s.count == "blocks")
    large = [[c.outputs[0].buffer.shape for _, calls in turn for c in calls if c.axis] for turn in update.turns]
    assert large == [[(256, 256)], [(256, 256)]]
    assert [part for turn in update.turns for part in turn] == update.parts
    for name in MODELS:  # nothing large, nothing to wait for
        assert all(section.turns == [section.parts] for section in schedule_of(name).sections)


def test_gradients_of_a_normalisation_are_summed_with_the_others():
    source = wide()._step("train").source
    assert len(re.findall(r"d_normalisation_(gamma|beta)_partial = view\(chunk_gradients", source)) == 2
    assert "copy_backward" not in source and "normalisation_beta_block" in source


def test_a_normalisation_that_is_used_twice():
    def change_of(shared):
        inputs = layers.Input((6,))
        first = layers.LayerNormalization(name="first")
        second = first if shared else layers.LayerNormalization(name="second")
        model = jitnet.Model(inputs, layers.Dense(3, name="dense")(second(layers.ReLU()(first(inputs)))))
        model.compile(jitnet.optimizers.SGD(0.5), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
        generator = np.random.default_rng(0)
        for name in {"first", second.name}:
            gamma_and_beta = np.random.default_rng(1).normal(size=(2, 6)).astype("float32")
            model.get_layer(name).set_weights(list(gamma_and_beta))
        model.get_layer("dense").set_weights([generator.normal(size=(6, 3)), np.zeros(3)])
        model.train_on_batch(generator.normal(size=(40, 6)).astype("float32"), generator.integers(0, 3, 40))
        changes = [np.array(model.get_layer(n).get_weights()) - gamma_and_beta for n in {"first", second.name}]
        return np.sum(changes, axis=0)

    np.testing.assert_allclose(change_of(shared=True), change_of(shared=False), rtol=1e-4, atol=1e-6)


# ---- the same results however calls are grouped


def images_for(name, count=50):
    generator = np.random.default_rng(count)
    shape = MODELS[name]().input_shape[1:]
    return generator.normal(size=(count, *shape)).astype("float32"), generator.integers(0, 3, count)


def trained(name, **options):
    """Losses and weights after some steps of uneven batches, and predictions."""
    jitnet.utils.set_random_seed(4)
    model = MODELS[name]()
    make = model._step
    model._step = lambda *arguments, **named: make(*arguments, **named, **options)
    x, y = images_for(name)
    losses = model.fit(x, y, batch_size=33, epochs=3, verbose=0).history["loss"]
    return [np.array(losses), *model.get_weights(), model.predict(x, batch_size=33)]


@pytest.mark.parametrize("name", ["residual", "convolutional"])
def test_regions_give_the_same_bits_as_one_call_after_the_other(name):
    for grouped, single in zip(trained(name), trained(name, regions=False), strict=True):
        np.testing.assert_array_equal(grouped, single)


@every_model
def test_fusion_gives_the_same_results(name):
    fused = trained(name)
    # one function over the whole batch; for one network also a function for every call, which takes long to compile
    for regions in (None, False) if name == "lenet" else (None,):
        for found, expected in zip(fused, trained(name, fuse=False, regions=regions), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_turns_give_the_same_bits_with_any_number_of_threads(monkeypatch):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(90, 256)).astype("float32"), generator.integers(0, 3, 90)

    def weights(threads, compiled):
        monkeypatch.setattr(threads_of_the_process, "_threads", threads)
        jitnet.utils.set_random_seed(4)
        model = wide()
        model._compiled["jit_compile"] = compiled
        model.fit(x, y, batch_size=40, epochs=2, verbose=0)
        return model.get_weights()

    expected = weights(1, False)
    for threads, compiled in ((2, False), (1, True), (2, True)):
        for found, array in zip(weights(threads, compiled), expected, strict=True):
            np.testing.assert_array_equal(found, array)


def test_one_module_serves_every_batch_size(monkeypatch):
    model = lenet()
    x, y = images_for("lenet")
    for compiled in (True, False):  # to compile both modes
        model._compiled["jit_compile"] = compiled
        model.fit(x[:20], y[:20], batch_size=8, verbose=0)  # batches of 8 and 4
    step = model._step("train", ((),))
    module = step.runner.module  # which is not loaded where its machine code comes from the cache
    loaded, written = len(load._MODULES), []
    monkeypatch.setattr(cache, "write", lambda name, content: written.append(name))
    model._compiled["jit_compile"] = "auto"
    model.fit(x, y, batch_size=33, verbose=0)
    model.fit(x, y, batch_size=50, verbose=0)
    assert model._step("train", ((),)) is step
    assert step.runner.module is module
    assert len(load._MODULES) == loaded
    assert written == [], "nothing is compiled"


@every_model
def test_float32_steps_hold_float64_in_totals_only(name):
    for mode in ("train", "evaluate", "predict"):
        source = MODELS[name]()._step(mode).source
        doubles = [line.strip() for line in source.splitlines() if re.search(r"view\(.*float64\)", line)]
        assert all(re.match(r"\w+_total(_\d+)? = ", line) for line in doubles), doubles
        assert "float32" in source
