"""The reference target: what a program means, call by call; generated steps that rewrite nothing give the same bits."""

import numpy as np
import pytest
from operation_cases import suite

import jitnet
from jitnet import layers, regularizers
from jitnet.builder import Builder, Computation
from jitnet.core.program import Block, Buffer, Out, Program, Scalar
from jitnet.core.rewrites.batch_norm import fold_batch_norm, fuse_batch_norm
from jitnet.core.rewrites.copies import remove_copies
from jitnet.core.values import SymbolicTensor, Variable, placeholder
from jitnet.step import Step
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


def scalars(step, t):
    """The numbers of a step, by name."""
    return {**dict(zip(step.hyperparameters, step.hyperparameter_table(t, 1)[0], strict=True)), "t": t, "seed": 5}


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
        counted = {state.iterations: np.array([t]) for state in step.states}
        memory = Reference().run(step.program, BATCH, {**data, **counted}, scalars(step, t), slots)
        assert counted == {state.iterations: t + 1 for state in step.states}
        found.append((data, [memory.gradients[v].copy() for v in step.trainable], model.get_weights()))
    (names,) = ({argument: slot for slot, argument in state.slots.items()} for state in step.states)
    kept = {(names[argument], variable): array.copy() for (argument, variable), array in slots.items()}
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


def rewritten(model, mode, rewrites, shapes=None):
    """What the unfused program of a mode leaves behind, before ``rewrites`` and after them; its opcodes afterwards."""
    generator = np.random.default_rng(1)
    step = model._step(mode, shapes, fuse=False)
    data = {name: generator.standard_normal((20, *x.shape[1:])).astype("float32") for name, x in step.inputs.items()}
    if mode == "train":
        order = generator.integers(0, 20, BATCH)
        data |= {"y": generator.integers(0, 10, 20), "order": order, "sample_weight": np.ones(20, "float32")}
    else:
        data = {"x": data["x"][:BATCH], "predictions": np.empty((BATCH, 10), "float32")}
    found, weights = [], model.get_weights()
    for rewrite in (None, *rewrites):
        if rewrite is not None:
            rewrite(step.program)
        model.set_weights(weights)
        arrays = {**data, "results": np.zeros(step.results)} | {n: data[n].copy() for n in data if n == "predictions"}
        arrays |= {state.iterations: np.array([0]) for state in step.states}
        memory = Reference().run(step.program, BATCH, arrays, scalars(step, 0))
        gradients = [memory.gradients[v].copy() for v in step.trainable]
        found.append([arrays["results"], arrays.get("predictions", 0), *gradients, *model.get_weights()])
    for after in found[1:]:
        for one, two in zip(after, found[0], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5 * np.abs(two).max(initial=0))
    return {call.opcode for call in step.program.calls}


def test_neutral_rewrites_of_networks_run_here_too():
    model = residual_block()
    model.compile("sgd", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    seen = rewritten(model, "train", [fuse_batch_norm, remove_copies], ((),))
    assert {"normalization.batch_norm_add_relu_apply", "normalization.batch_norm_relu_backward_data"} <= seen
    seen = rewritten(model, "predict", [lambda program: fold_batch_norm(program, lambda call, epilogue: True)])
    assert "normalization.batch_norm_fold" in seen and "normalization.batch_norm_apply" not in seen


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


def test_views_of_an_input_without_a_batch_axis():
    """As another target has them."""
    x = SymbolicTensor((2, 3, 4), "float32", "x")
    weight = Variable(np.arange(20, dtype="float32").reshape(4, 5), name="w")
    given, found = np.arange(24, dtype="float32").reshape(2, 3, 4), []
    step = Step("Rows of an input.", Computation({"x": x}, [jitnet.ops.matmul(x, weight)]), fuse=False)
    for _ in range(2):
        found.append({"x": given, "predictions": np.full((2, 3, 5), np.nan, "float32"), "results": np.zeros(1)})
    Reference().run(step.program, 1, found[0])
    step.run(1, 1, {**found[1], "seed": 0, "t": 0}, compiled=False)
    for arrays in found:
        np.testing.assert_array_equal(arrays["predictions"], given @ weight.value)


def test_views_share_memory_and_partial_sums_have_one_part():
    """A gradient of a weight by hand: rows of all pixels, one part per chunk, its sum."""
    x = placeholder("x", (5, 2))
    weight = Variable(np.arange(6, dtype="float32").reshape(2, 3), name="w")
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


# ---- as the target of a model


def test_a_whole_model_on_the_reference_target(monkeypatch):
    """Training, evaluation and prediction through the interface of targets alone: numbers as on the CPU."""

    def trained():
        jitnet.utils.set_random_seed(3)
        model = jitnet.Sequential(
            [
                jitnet.Input((7, 6, 2)),
                layers.Conv2D(3, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.2),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(4, kernel_regularizer=regularizers.L2(1e-2)),
            ]
        )
        schedule = jitnet.schedules.ExponentialDecay(0.02, 5, 0.5)
        loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
        logs = []
        for compiled in (False, True):
            # some sections run every third step, others every fourth
            averaged = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 4}
            optimizer = jitnet.optimizers.Adam(schedule, gradient_accumulation_steps=3, **averaged)
            model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=compiled)
            history = model.fit(x, y, 5, 2, verbose=0).history  # the last batch has two samples
            logs += [history["loss"], history["accuracy"], model.evaluate(x, y, 8, verbose=0)]
            assert optimizer.iterations == 8
        return model, [*logs, *model.get_weights(), *(model.predict_on_batch(x) for _ in range(3))]

    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((17, 7, 6, 2)).astype("float32"), generator.integers(0, 4, 17)
    _, expected = trained()
    monkeypatch.setattr("jitnet.step.CPU", lambda algorithm, few: Reference())
    model, found = trained()
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    assert "conv.conv2d_forward(x, kernel, y" in model.step_source()
    assert "def dense_forward" in model.kernel_source("dense_forward")
    with pytest.raises(ValueError, match=r"no kernel of this name\. Received: 'dense'"):
        model.kernel_source("dense")
