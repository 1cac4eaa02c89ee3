"""compile(memory="low"): less is kept for the backward pass, and every bit stays the same."""

import json

import numpy as np
import pytest
from small_networks import digest

import jitnet
from jitnet import layers, ops
from jitnet.core.rewrites import recompute
from jitnet.targets.cpu import thresholds
from jitnet.targets.reference import Reference

SHAPE, CLASSES, BATCH = (6, 5, 4), 3, 7


def convolution(x, activation, name):
    return layers.Conv2D(4, 3, padding="same", activation=activation, name=name)(x)


def model(memory="normal", mode=False):
    """Convolutions of one shape, alone, with normalisation, in a residual block; pooling, dropout, dense layers."""
    x = inputs = jitnet.Input(SHAPE, name="images")
    for number in range(6):
        x = convolution(x, "relu", f"plain_{number}")
    shortcut = x
    for number in range(2):
        x = layers.BatchNormalization(name=f"normalisation_{number}")(convolution(x, None, f"normalised_{number}"))
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.Dropout(0.3, name="dropout")(layers.Add(name="add")([x, shortcut]))
    x = layers.MaxPooling2D(2, name="pooling")(convolution(x, "tanh", "last"))
    outputs = layers.Dense(CLASSES, name="logits")(layers.Flatten(name="flatten")(x))
    made = jitnet.Model(inputs, outputs, name="recomputed")
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss, metrics=["accuracy"], jit_compile=mode, memory=memory)
    return made


def data(samples=40):
    generator = np.random.default_rng(samples)
    return generator.normal(size=(samples, *SHAPE)).astype("float32"), generator.integers(0, CLASSES, samples)


def repeated(program):
    """Opcodes of what runs again."""
    backward = [call for call in program.calls if call.phase == "backward"]
    return [call.opcode for call in backward if any("_again" in out.buffer.name for out in call.outputs)]


def test_the_same_bits_in_less_memory(monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    x, y = data()
    digests, plans = {}, {}
    for memory, mode, threads in (("normal", False, 1), ("low", False, 3), ("low", True, 2), ("low", False, 64)):
        jitnet.set_num_threads(threads)
        jitnet.utils.set_random_seed(4)
        trained = model(memory, mode)
        history = trained.fit(x, y, batch_size=36, epochs=2, verbose=0).history
        digests[memory, mode, threads] = digest(trained), json.dumps(history)
        plans[memory] = trained._step("train", ((),)).schedule
    assert len(set(digests.values())) == 1, digests
    assert plans["low"].chunks(36) == plans["normal"].chunks(36) > 1
    assert plans["low"].memory.batch < 0.7 * plans["normal"].memory.batch
    found = repeated(plans["low"].program)
    assert any(opcode.startswith("conv2d_forward") for opcode in found) and len(found) > 3
    assert not repeated(plans["normal"].program)


def test_the_same_bits_on_the_reference_target():
    jitnet.utils.set_random_seed(4)
    trained = model()
    step = trained._step("train", ((),), fuse=False)
    x, y = data(20)
    generator = np.random.default_rng(1)
    given = {"x": x, "y": y, "order": generator.integers(0, 20, BATCH), "sample_weight": np.ones(20, "float32")}
    names = dict(zip(step.hyperparameters, step.hyperparameter_table(3, 1)[0], strict=True))
    weights, found = trained.get_weights(), []
    before = recompute._peak(step.program.calls)
    for rewrite in (False, True):
        if rewrite:
            recompute.recompute(step.program)
        trained.set_weights(weights)
        arrays = {**given, "results": np.zeros(step.results)} | {s.iterations: np.array([3]) for s in step.states}
        memory = Reference().run(step.program, BATCH, arrays, {**names, "t": 3, "seed": 5})
        gradients = [memory.gradients[v].copy() for v in step.trainable]
        found.append([arrays["results"], *gradients, *trained.get_weights()])
    assert recompute._peak(step.program.calls) < 0.7 * before
    assert {"conv.conv2d_forward", "elementwise.relu_forward"} <= set(repeated(step.program))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    assert all(np.abs(gradient).max() > 0 for gradient in found[0][1:3])


def test_what_reads_what_changes_is_not_computed_again():
    """Moving statistics, which a later call of the same layer updates before the gradients come."""
    digests, (x, y) = set(), data(BATCH)
    for memory in ("normal", "low"):
        jitnet.utils.set_random_seed(4)
        inputs = jitnet.Input(SHAPE, name="images")
        shared = layers.BatchNormalization(momentum=0.5, name="shared")
        z = inputs
        for number in range(3):
            z = ops.tanh(shared(convolution(z, None, f"plain_{number}"), training=False))
            z = shared(convolution(z, None, f"last_{number}"), training=True)
        trained = jitnet.Model(inputs, layers.Dense(CLASSES, name="logits")(layers.Flatten(name="flatten")(z)))
        loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
        trained.compile(jitnet.optimizers.SGD(0.1), loss, memory=memory)
        digests.add((*(trained.train_on_batch(x, y) for _ in range(2)), digest(trained)))
    assert len(digests) == 1


def test_memory_is_checked_and_saved(tmp_path):
    with pytest.raises(ValueError, match=r"memory to be .*Received: memory='lo'"):
        model("lo")
    model("low").save(tmp_path / "model.safetensors")
    assert jitnet.load_model(tmp_path / "model.safetensors")._compiled["memory"] == "low"
