"""Gradients of large convolutions over the whole batch: right, the same bits from any number of threads, and small."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from small_networks import digest

import jitnet
from jitnet import layers, losses, optimizers
from jitnet.kernels.cpu.fast import winograd
from jitnet.targets.cpu import thresholds

BENCH = Path(__file__).resolve().parent.parent / "scripts" / "bench"
MIB = 2**20


@pytest.fixture
def no_copies(monkeypatch):
    """Every gradient of a convolution is shared, and falls into several pieces."""
    monkeypatch.setattr(thresholds, "COPIED_GRADIENTS", 0)
    monkeypatch.setattr(winograd, "_PIECE", 32)


@pytest.fixture(autouse=True)
def settings():
    yield
    jitnet.set_floatx("float32")
    jitnet.set_conv_algorithm("auto")


def model(optimizer="sgd", mode=False):
    """Direct and Winograd's convolutions, with uneven pieces, strides, groups, and normalisation between."""
    x = inputs = jitnet.Input((7, 6, 3), name="images")
    x = layers.Conv2D(37, (2, 3), activation="relu", name="first")(x)
    x = layers.Conv2D(34, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.BatchNormalization(name="normalisation")(x)
    x = layers.Conv2D(34, 3, padding="same", activation="relu", name="third")(x)
    x = layers.Conv2D(6, (3, 2), strides=(1, 2), groups=2, activation="tanh", name="fourth")(x)
    outputs = layers.Dense(3, name="logits")(layers.Flatten(name="flatten")(x))
    made = jitnet.Model(inputs, outputs, name="shared_gradients")
    made.compile(optimizer, losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=mode)
    return made


def data(samples, dtype="float32"):
    generator = np.random.default_rng(samples)
    return generator.normal(size=(samples, 7, 6, 3)).astype(dtype), generator.integers(0, 3, samples)


def test_gradients_are_those_of_central_differences(no_copies):
    jitnet.set_floatx("float64")
    jitnet.set_conv_algorithm("winograd")
    jitnet.utils.set_random_seed(1)
    trained = model(optimizers.SGD(1.0))
    assert trained.step_source().count("_pieces(") == 4
    x, y = data(9, "float64")
    before = trained.get_weights()
    trained.train_on_batch(x, y)
    after = trained.get_weights()
    generator = np.random.default_rng(0)
    for place, variable in enumerate(trained.weights):
        for _ in range(6 if variable.name.endswith("kernel") else 0):
            element = tuple(generator.integers(0, n) for n in variable.shape)
            found = []
            for sign in (1, -1):
                moved = [w.copy() for w in before]
                moved[place][element] += sign * 1e-5
                trained.set_weights(moved)
                found.append(trained.train_on_batch(x, y))  # the loss before the step, by the batch's own statistics
            slope = (found[0] - found[1]) / 2e-5
            assert (before[place] - after[place])[element] == pytest.approx(slope, rel=1e-5, abs=1e-8), variable.name


def test_the_same_bits_with_any_number_of_threads(no_copies, monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    x, y = data(45)
    digests = set()
    for mode, threads in ((False, 1), (True, 1), (False, 2), (True, 3), (False, 64)):
        jitnet.set_num_threads(threads)
        jitnet.utils.set_random_seed(5)
        trained = model("adam", mode)
        trained.fit(x, y, batch_size=33, epochs=2, verbose=0)
        digests.add(digest(trained))
    assert len(digests) == 1
    assert trained._step("train", ((),)).schedule.chunks(33) > 1


def test_the_largest_are_shared_until_the_rest_is_small(monkeypatch):
    monkeypatch.setattr(thresholds, "COPIED_GRADIENTS", 50_000)  # of some 92,000 bytes, 45,288 of the second layer
    shared = [line for line in model().step_source().splitlines() if "def " in line and "weight_gradient(" in line]
    assert len(shared) == 1
    assert "second_weight_gradient" in shared[0]
    monkeypatch.setattr(thresholds, "COPIED_GRADIENTS", 100_000)
    assert "weight_gradient" not in model().step_source()


@pytest.fixture(scope="module")
def workloads():
    """The benchmark's, whose modules find each other as they do when run.py is started."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    yield importlib.import_module("workloads").WORKLOADS
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def plan_of(workload):
    trained = importlib.import_module("peer_jitnet").Training(workload).model
    return trained._step("train", ((),)).schedule


def test_chunks_compute_enough_for_the_weights_that_they_read(workloads):
    """And a heavy image is a chunk of its own, where there are few; more samples never make fewer chunks."""
    expected = {"memory-vgg16": (16, 40), "memory-mlp": (8, 8), "vgg16-224-train": (2, 2), "vgg": (16, 16)}
    for name, (fewest, most) in expected.items():
        plan = plan_of(workloads[name])
        assert fewest <= plan.chunks(workloads[name].batch) <= most
        counts = [plan.chunks(batch) for batch in range(1, 600)]
        assert counts == sorted(counts) and counts[0] == 1 and counts[-1] <= thresholds.MAXIMUM_CHUNKS


def test_chunks_are_worth_their_copies_of_gradients():
    """Small dense networks: what one core writes and another adds up would take as long as what they compute."""
    counts = {}
    for units in (32, 48, 64, 128):
        model = jitnet.Sequential(
            [jitnet.Input((10,)), layers.Dense(units, "relu"), layers.Dense(units, "relu"), layers.Dense(10)]
        )
        model.compile("sgd", "mse")
        step = model._step("train", ((10,),))
        counts[units] = step.schedule.chunks(128)
        copied = 4 * step.schedule.flat.partial_size
        assert step.schedule.work_per_sample * 128 / counts[units] >= 0.8 * thresholds.WORK_PER_COPIED_BYTE * copied
    assert counts == {32: 4, 48: 4, 64: 4, 128: 8}


# MiB beside parameters, gradients and slots: planned 688, 1767 and 43
@pytest.mark.parametrize(("name", "arena"), [("memory-vgg16", 720), ("memory-resnet18", 1800), ("memory-mlp", 45)])
def test_planned_memory(workloads, name, arena):
    workload = workloads[name]
    plan = plan_of(workload)
    parameters = 4 * plan.layout.size
    copies = {batch: 4 * plan.flat.partial_size * plan.chunks(batch) for batch in (1, workload.batch, 5000)}
    # parameters, gradients and slots are three times the parameters
    assert 3 * parameters + copies[workload.batch] <= 1.5 * 3 * parameters
    assert max(copies.values()) <= max(parameters, 80 * MIB)
    assert plan.arena_bytes(workload.batch) <= arena * MIB
