"""The reference target: what a program means, call by call; generated steps that rewrite nothing give the same bits."""

import numpy as np
import pytest
from operation_cases import suite

import jitnet
from jitnet import layers, regularizers
from jitnet.builder import Builder, Computation
from jitnet.core.program import Block, Buffer, Out, Program, Scalar
from jitnet.core.values import Variable, placeholder
from jitnet.targets.reference import Reference

BATCH = 7  # one chunk in the generated step, too, whatever a sample costs


# ---- every operation


@pytest.mark.parametrize("group", suite.groups)
def test_every_operation_has_the_bits_of_the_unfused_step(group):
    graphs = suite.graphs(group, "float32")
    assert graphs.step.schedule.chunks(BATCH) == 1
    drawn = graphs.draw(BATCH)
    expected, found = graphs.run(*drawn), graphs.run(*drawn, reference=True)
    for case in graphs.cases:
        np.testing.assert_array_equal(found[case].output, expected[case].output, err_msg=case.name)
        assert len(found[case].gradients) == len(expected[case].gradients) == len(case.draws)
        for one, two in zip(found[case].gradients, expected[case].gradients, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=case.name)


# ---- whole training steps


def lenet5():
    """Also a penalty, dropout and weights of the samples."""
    penalty = regularizers.L1L2(1e-3, 1e-2)
    hidden = [layers.Dense(120, "relu", kernel_regularizer=penalty), layers.Dropout(0.3), layers.Dense(84, "relu")]
    convolutions = [layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2)]
    convolutions += [layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
    return jitnet.Sequential([jitnet.Input((28, 28, 1)), *convolutions, *hidden, layers.Dense(10)])


def residual_block():
    x = jitnet.Input((9, 8, 6))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", use_bias=False)(x)))
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", use_bias=False)(y))
    y = layers.ReLU()(layers.Add()([x, y]))
    return jitnet.Model(x, layers.Dense(10)(layers.GlobalAveragePooling2D()(y)))


MOMENTUM = {"class_name": "SGD", "config": {"momentum": 0.9, "nesterov": True}}
NETWORKS = {"LeNet-5": (lenet5, "adam"), "residual block": (residual_block, MOMENTUM)}


@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_of_networks_have_the_bits_of_the_unfused_step(name):
    """Results, gradients, weights, moving statistics and the optimizer's slots, for three steps."""
    build, optimizer = NETWORKS[name]
    jitnet.utils.set_random_seed(2)
    model = build()
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((20, *model.input_shape[1:])), generator.integers(0, 10, 20)
    arrays, _, shapes = model._prepare(x, y, generator.uniform(0.5, 2, 20))
    step = model._step("train", shapes, fuse=False)
    weights, slots = model.get_weights(), {}
    found, expected = [], []
    for t in range(3):
        data = {**arrays, "order": generator.integers(0, 20, BATCH), "results": np.zeros(step.results)}
        numbers = dict(zip(step.hyperparameters, step.hyperparameter_table(t, 1)[0], strict=True))
        memory = Reference().run(step.program, BATCH, data, {**numbers, "t": t, "seed": 5}, slots)
        found.append((data, [memory.gradients[v].copy() for v in step.trainable], model.get_weights()))
    kept = {key: array.copy() for key, array in slots.items()}
    model.set_weights(weights)
    for t, (data, _, _) in enumerate(found):
        results = np.zeros(step.results)
        step.run(BATCH, 1, {**data, "t": t, "seed": 5, "results": results}, compiled=False)
        expected.append((results, [step.variable_gradients()[v].copy() for v in step.trainable], model.get_weights()))
    for (data, gradients, after), (results, *others) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(data["results"], results)
        for one, two in zip([*gradients, *after], [*others[0], *others[1]], strict=True):
            np.testing.assert_array_equal(one, two)
    state = model.optimizer.state()
    assert kept.keys() == state.keys() and kept
    for key, array in kept.items():
        np.testing.assert_array_equal(array, state[key])
    changed = [np.abs(new - old).max() for new, old in zip(model.get_weights(), weights, strict=True)]
    assert min(changed) > 0 and np.isfinite(changed).all()


# ---- arguments are the kernels' own


def programs():
    """Of every operation forward and backward, of losses, penalties, metrics and optimizers."""
    yield from (suite.graphs(group, "float32").step.program for group in suite.groups)
    for build, optimizer in ((residual_block, "sgd"), *NETWORKS.values()):
        model = build()
        model.compile(optimizer, jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        yield model._step("train", ((),), fuse=False).program


def test_every_call_has_its_kernels_arguments_by_name_and_order():
    seen = {call.opcode for program in programs() for call in program.calls if Reference().kernel(call)}
    families = {opcode.partition(".")[0] for opcode in seen if "." in opcode}
    assert len(seen) > 100 and {"conv", "training", "optimizers", "memory", "random", "metrics"} <= families


def program_of(*arguments, opcode="shape.copy_forward", **attributes):
    """A program of one call."""
    program = Program()
    names = ("x", "y", "z")
    program.call(opcode, **dict(zip(names, arguments, strict=False))).attributes.update(attributes)
    return program


def buffers(*names, shape=(3,)):
    return [Buffer(name, shape, "float32", "external") for name in names]


def test_other_arguments_are_refused_before_the_kernel_runs():
    x, y, z = buffers("x", "y", "z")
    arrays = {name: np.ones((2, 3), "float32") for name in "xyz"}
    for program in (program_of(x), program_of(x, Out(y), z)):
        with pytest.raises(TypeError, match=r"shape.copy_forward takes x, y\. Received: x"):
            Reference().run(program, 2, arrays)
    swapped = Program()
    swapped.call("shape.copy_forward", y=Out(y), x=x)
    with pytest.raises(TypeError, match=r"takes x, y\. Received: y, x"):
        Reference().run(swapped, 2, arrays)
    for attributes in ({"epilogue": "bias"}, {"chain": object()}):
        with pytest.raises(TypeError, match=r"plain calls only\. Received: shape.copy_forward"):
            Reference().run(program_of(x, Out(y), **attributes), 2, arrays)


# ---- buffers, scalars, blocks


def test_a_condition_decides_whether_a_block_runs():
    x, y = buffers("x", "y")
    program = Program()
    program.call("shape.copy_forward", x=x, y=Out(y))
    program.blocks.append(Block((Scalar("t") % 3).equals(2)))
    program.call("shape.fill", y=Out(y), value=Scalar("factor") * 2.0 + Scalar("batch"))
    given, ran = np.ones((4, 3), "float32"), []
    for t in range(6):
        found = np.full((4, 3), np.nan, "float32")
        Reference().run(program, 4, {"x": given, "y": found}, {"t": t, "factor": 1.5})
        assert np.ptp(found) == 0
        ran.append(found[0, 0])
    assert ran == [1, 1, 7, 1, 1, 7]


def test_what_nothing_wrote_is_nan():
    """So that a call which reads too early shows in every result."""
    program = Program()
    (y,) = buffers("y")
    hidden = program.temporary("hidden", (3,), "float32", "batch")
    program.call("shape.copy_forward", x=hidden, y=Out(y))
    found = np.zeros((2, 3), "float32")
    Reference().run(program, 2, {"y": found})
    assert np.isnan(found).all()


def test_views_share_memory_and_partial_sums_have_one_part():
    """A gradient of a weight by hand: rows of all pixels, one part per chunk, its sum."""
    x = placeholder("x", (5, 2))
    weight = Variable(np.arange(6, dtype="float32").reshape(2, 3), "w")
    dy = placeholder("dy", (5, 3))
    output = jitnet.ops.matmul(x, weight)
    built = Builder(Computation({"x": x, "dy": dy}, [output], seeds={output: dy}, trainable=[weight]), False, ())
    kinds = {buffer.kind for call in built.program.calls for buffer in call.buffers}
    assert {"external", "variable", "partial", "gradient"} <= kinds
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.integers(-3, 4, (4, 5, size)).astype("float32")
        for name, size in (("x", 2), ("dy", 3), ("predictions", 3))
    }
    memory = Reference().run(built.program, 4, arrays)
    np.testing.assert_array_equal(arrays["predictions"], arrays["x"] @ weight.value)
    expected = arrays["x"].reshape(-1, 2).T @ arrays["dy"].reshape(-1, 3)
    np.testing.assert_array_equal(memory.gradients[weight], expected)
