"""What ``compile`` takes, in Keras 3's order, and what it makes of losses, metrics and optimizers."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
from small_networks import FEATURES, SAMPLES, Reference, data, perceptron, two_outputs

import jitnet
from jitnet import callbacks, layers, losses, metrics, optimizers

X, Y = data()
SIZES = np.random.default_rng(3).normal(size=(SAMPLES, 1)).astype("float32")
BY_NAME = {"kind": "sparse_categorical_crossentropy", "size": "mse"}


def rejects(call, *parts):
    with pytest.raises(ValueError) as caught:
        call()
    assert "Received: " in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_loss_weights_come_before_metrics():
    model = perceptron()
    model.compile("sgd", "sparse_categorical_crossentropy", [0.5], ["accuracy"], [], False, 10, True, True)
    loss, _ = model.evaluate(X, Y, verbose=0)
    assert loss == pytest.approx(0.5 * Reference().losses(X, Y)[0].mean(), rel=2e-5)
    model.compile("sgd", "sparse_categorical_crossentropy", 0.25)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss / 2, rel=2e-5)
    for habit in (["accuracy"], "accuracy", [metrics.CategoricalAccuracy()]):
        rejects(lambda habit=habit: model.compile("sgd", "mse", habit), "loss_weights third", "metrics=[...]")
    for weights in ([float("nan")], [np.ones(1)], True):
        rejects(lambda weights=weights: model.compile("sgd", "mse", weights), "loss_weights to be finite numbers")
    rejects(lambda: model.compile("sgd", "mse", [1, 2]), "loss_weights needs 1 numbers")
    rejects(lambda: model.compile("sgd", "mse", weighted_metrics="mae"), "a list of metrics", "weighted_metrics='mae'")
    rejects(lambda: model.compile("sgd", "mse", weighted_metrics=["maee"]), "Did you mean 'mae'?", "'maee'")
    rejects(lambda: model.compile("sgd", "mse", steps_per_execution=0), "steps_per_execution=0")
    rejects(lambda: model.compile("sgd", ["mse", None]), "loss")
    rejects(lambda: model.compile("sgd", [None, None]), "a loss for at least one output")
    # what was refused has changed nothing
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss / 2, rel=2e-5)


def test_losses_metrics_weights_and_targets_by_output_name(tmp_path):
    expected = two_outputs(metrics=["mae", ["accuracy"]], loss_weights=[0.5, 2.0])
    found = expected.evaluate(X, [SIZES, Y], verbose=0, return_dict=True)
    model = two_outputs(
        loss=BY_NAME, metrics={"kind": ["accuracy"], "size": "mae"}, loss_weights={"kind": 2.0, "size": 0.5}
    )
    model.set_weights(expected.get_weights())
    assert model.evaluate(X, {"kind": Y, "size": SIZES}, verbose=0, return_dict=True) == found
    assert model.evaluate(X, [SIZES, Y], verbose=0, return_dict=True) == found
    model.save(tmp_path / "model")
    assert jitnet.load_model(tmp_path / "model").evaluate(X, [SIZES, Y], verbose=0, return_dict=True) == found
    # outputs that a dict of metrics or weights leaves out have none, and 1
    model = two_outputs(loss=BY_NAME, metrics={"kind": ["accuracy"]}, loss_weights={"kind": 2.0})
    model.set_weights(expected.get_weights())
    parts = model.evaluate(X, [SIZES, Y], verbose=0, return_dict=True)
    assert list(parts) == ["loss", "size_loss", "kind_loss", "kind_accuracy"]
    assert parts["loss"] == pytest.approx(found["size_loss"] + 2 * found["kind_loss"], rel=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("loss", [[None, "sparse_categorical_crossentropy"], {**BY_NAME, "size": None}])
def test_an_output_without_a_loss(loss, jit_compile, tmp_path):
    jitnet.utils.set_random_seed(1)
    model = two_outputs(loss=loss, metrics=[None, ["accuracy"]], jit_compile=jit_compile)
    kernel = model.get_layer("size").get_weights()[0]
    x = model.inputs[0]
    alone = jitnet.Model(x, model.outputs[1])
    alone.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    expected = alone.evaluate(X, Y, verbose=0)
    for y in (Y, [Y], [SIZES, Y], [None, Y], {"kind": Y}, {"kind": Y, "size": SIZES}):
        np.testing.assert_allclose(model.evaluate(X, y, verbose=0), expected, rtol=1e-6)
    doubled = model.evaluate(X, Y, sample_weight=np.full(len(X), 2.0), verbose=0)
    assert doubled[0] == pytest.approx(2 * expected[0], rel=1e-6)
    model.save(tmp_path / "model")
    again = jitnet.load_model(tmp_path / "model")
    np.testing.assert_allclose(again.evaluate(X, Y, verbose=0), expected, rtol=1e-6)
    history = model.fit(X, Y, batch_size=5, epochs=3, shuffle=False, verbose=0, validation_data=(X, [SIZES, Y])).history
    assert list(history) == ["loss", "kind_accuracy", "val_loss", "val_kind_accuracy"]
    np.testing.assert_array_equal(model.get_layer("size").get_weights()[0], kernel)
    assert [p.shape for p in model.predict(X, verbose=0)] == [(len(X), 1), (len(X), 3)]
    before = history["loss"][0]
    again.fit(X, Y, batch_size=5, epochs=1, shuffle=False, verbose=0)
    assert before == pytest.approx(again.history.history["loss"][0], rel=1e-6)
    jitnet.warmup(model, batch_size=5)


def test_refusals_of_an_output_without_a_loss():
    rejects(lambda: two_outputs(loss=["mse", None], metrics=[None, "mae"]), "'kind' has no loss", "metrics='mae'")
    model = two_outputs(loss=["mse", None])
    rejects(lambda: model.fit(X, [SIZES, Y, Y], verbose=0), "has 2 outputs. Received: 3 arrays in y")
    rejects(lambda: model.fit(X, {"kind": Y}, verbose=0), "lacks the output 'size'")


def test_names_that_no_output_has():
    for arguments, place in (
        ({"loss": {"siz": "mse", "kind": "mse"}}, "output in loss 'siz'"),
        ({"metrics": {"siz": "mae"}}, "output in metrics 'siz'"),
        ({"loss_weights": {"siz": 1.0}}, "output in loss_weights 'siz'"),
    ):
        rejects(lambda arguments=arguments: two_outputs(**arguments), f"Unknown {place}. Did you mean 'size'?")
    rejects(lambda: two_outputs(loss={"kind": "mse"}), "a loss for every output", "Missing: size")
    rejects(lambda: two_outputs(metrics=["mae"]), "one entry per output (size, kind)", "metrics=['mae']")
    model = two_outputs()
    rejects(lambda: model.fit(X, {"siz": SIZES, "kind": Y}, verbose=0), "Unknown output 'siz'. Did you mean 'size'?")
    rejects(lambda: model.fit(X, {"kind": Y}, verbose=0), "y of the model 'two_outputs' lacks the output 'size'")


def test_the_loss_is_set_by_compile_alone():
    with pytest.raises(ValueError, match="compile sets the loss: call it again"):
        two_outputs().loss = "mae"


# ---- reductions


def test_a_loss_without_reduction():
    y, p = np.array([[1.0], [2.0]]), np.array([[1.5], [4.0]])
    for reduction in (None, "none"):
        loss = losses.MeanSquaredError(reduction)
        np.testing.assert_allclose(loss(y, p), [0.25, 4.0])
        np.testing.assert_allclose(loss(y, p, sample_weight=[2, 1]), [0.5, 4.0])
        rejects(lambda loss=loss: perceptron(loss=loss), "A model trains on one number", "reduction='none'")
    loss = losses.MeanSquaredError()
    model = perceptron(loss=loss, metrics=None)
    loss.reduction = "none"
    rejects(lambda: model.fit(X, np.eye(3)[Y]), "A model trains on one number")
    assert losses.MeanSquaredError("sum")(y, p) == 4.25
    assert losses.MeanSquaredError("mean")(y, p) == losses.MeanSquaredError()(y, p) == 2.125


# ---- optimizers


def test_an_optimizer_belongs_to_one_model():
    optimizer = optimizers.Adam(0.1)
    first = perceptron(optimizer)
    second = perceptron(optimizer)  # nothing is wrong yet: neither has trained
    first.summary(print_fn=lambda line: None)
    first.fit(X, Y, epochs=2, verbose=0)
    before = second.get_weights()
    for train in (second.fit, second.train_on_batch):
        rejects(lambda train=train: train(X, Y), "This Adam has trained other weights", "Make a new one for each model")
    rejects(lambda: perceptron(optimizer), "This Adam has trained other weights")
    assert optimizer.iterations == 2
    for ours, theirs in zip(second.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    second.evaluate(X, Y, verbose=0)
    second.compile(optimizers.Adam.from_config(optimizer.get_config()), "sparse_categorical_crossentropy")
    second.fit(X, Y, epochs=2, verbose=0)
    for ours, theirs in zip(second.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_compiling_again_with_the_same_optimizer_goes_on():
    once, twice = perceptron(optimizers.Adam(0.1)), perceptron(optimizers.Adam(0.1))
    once.fit(X, Y, epochs=4, verbose=0, shuffle=False)
    twice.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    twice.compile(twice.optimizer, twice.loss)
    twice.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    assert twice.optimizer.iterations == 4
    for ours, theirs in zip(once.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_of_the_same_weights_shares_the_optimizer():
    optimizer = optimizers.SGD(0.1, 0.9)
    whole = two_outputs(optimizer)
    whole.fit(X, [SIZES, Y], verbose=0)
    part = jitnet.Model(whole.inputs, whole.outputs[0])
    part.compile(optimizer, "mse")
    part.fit(X, SIZES, verbose=0)
    assert optimizer.iterations == 2
    # one of its weights is unknown
    longer = jitnet.Model(whole.inputs, layers.Dense(1)(whole.outputs[0]))
    rejects(lambda: longer.compile(optimizer, "mse"), "has trained other weights")


def test_a_model_without_an_optimizer():
    model = perceptron(None)
    model.optimizer = None
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()
    rejects(lambda: model.fit(X, Y), "needs an optimizer before fit", "optimizer=None")
    rejects(lambda: model.train_on_batch(X, Y), "needs an optimizer before train_on_batch")


def test_the_learning_rate_can_be_assigned():
    model = perceptron(optimizers.SGD(0.5))
    rate = model.optimizer.learning_rate
    assert rate == 0.5 and isinstance(rate, float) and f"{rate:.3f} {rate}" == "0.500 0.5" and repr(rate) == "0.5"
    assert json.dumps({"rate": rate}) == '{"rate": 0.5}' and np.asarray(rate).dtype == np.float64
    assert rate.numpy() == 0.5 and copy.deepcopy(rate) == 0.5 and type(pickle.loads(pickle.dumps(rate))) is float
    assert {0.5: "found"}[rate] == "found" and rate * 2 == 1 and 1 - rate == 0.5 and round(rate) == 0 and -rate < 0
    rate.assign(0.25)
    assert float(model.optimizer.learning_rate) == 0.25
    # what is computed with it follows, as with Keras's variable
    assert rate == 0.25 and float(rate) == 0.25 and rate / 2 == 0.125 and f"{rate}" == "0.25" and rate < 0.3
    halving = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rate.assign(rate * 0.5))
    reference = Reference()
    for step in range(3):
        gradients = reference.gradients(X, Y)
        reference.weights = [w - 0.25 * 0.5**step * g for w, g in zip(reference.weights, gradients, strict=True)]
    model.fit(X, Y, SAMPLES, epochs=3, verbose=0, callbacks=halving)
    for ours, theirs in zip(model.get_weights(), reference.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    for wrong in (-1.0, float("nan"), "fast", None):
        rejects(lambda wrong=wrong: rate.assign(wrong), "SGD expects learning_rate", repr(wrong))
    assert model.optimizer.get_config()["learning_rate"] == 0.03125
    with pytest.raises(AttributeError, match=r"Unknown attribute of SGD 'lr'.*learning_rate"):
        model.optimizer.lr = 0.1


def test_a_number_cannot_replace_a_schedule():
    schedule = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer = optimizers.SGD(schedule)
    for assign in (optimizer.learning_rate.assign, lambda value: setattr(optimizer, "learning_rate", value)):
        with pytest.raises(TypeError, match=r"made with a schedule for learning_rate.* Received: learning_rate=0\.1"):
            assign(0.1)
    # at the start of a training, not when the plateau is there
    model = perceptron(optimizer)
    for callback in (callbacks.ReduceLROnPlateau("loss"), callbacks.LearningRateScheduler(lambda epoch: 0.1)):
        with pytest.raises(TypeError, match="made with a schedule for learning_rate"):
            model.fit(X, Y, verbose=0, callbacks=callback)
    optimizer.iterations = 1
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.25, 1, 0.5)
    assert optimizer.learning_rate == 0.125


# ---- positional arguments

KERAS = {
    losses.Loss: "name reduction dtype",
    losses.MeanSquaredError: "reduction name dtype",
    losses.MeanAbsoluteError: "reduction name dtype",
    losses.BinaryCrossentropy: "from_logits label_smoothing axis reduction name dtype",
    losses.CategoricalCrossentropy: "from_logits label_smoothing axis reduction name dtype",
    losses.SparseCategoricalCrossentropy: "from_logits ignore_class reduction axis name dtype",
    metrics.Metric: "dtype name",
    metrics.MeanSquaredError: "name dtype",
    metrics.MeanAbsoluteError: "name dtype",
    metrics.BinaryAccuracy: "name dtype threshold",
    metrics.CategoricalAccuracy: "name dtype",
    metrics.SparseCategoricalAccuracy: "name dtype",
    metrics.SparseTopKCategoricalAccuracy: "k name dtype from_sorted_ids",
    optimizers.SGD: "learning_rate momentum nesterov",
    optimizers.Adam: "learning_rate beta_1 beta_2 epsilon amsgrad",
    optimizers.schedules.ExponentialDecay: "initial_learning_rate decay_steps decay_rate staircase name",
    optimizers.schedules.PiecewiseConstantDecay: "boundaries values name",
    optimizers.schedules.PolynomialDecay: "initial_learning_rate decay_steps end_learning_rate power cycle name",
    optimizers.schedules.InverseTimeDecay: "initial_learning_rate decay_steps decay_rate staircase name",
    optimizers.schedules.CosineDecay: "initial_learning_rate decay_steps alpha name warmup_target warmup_steps",
    optimizers.schedules.CosineDecayRestarts: "initial_learning_rate first_decay_steps t_mul m_mul alpha name",
    callbacks.BackupAndRestore: "backup_dir save_freq double_checkpoint delete_checkpoint",
    callbacks.CSVLogger: "filename separator append",
    callbacks.EarlyStopping: (
        "monitor min_delta patience verbose mode baseline restore_best_weights start_from_epoch"
    ),
    callbacks.LambdaCallback: (
        "on_epoch_begin on_epoch_end on_train_begin on_train_end on_train_batch_begin on_train_batch_end"
    ),
    callbacks.LearningRateScheduler: "schedule verbose",
    callbacks.ModelCheckpoint: (
        "filepath monitor verbose save_best_only save_weights_only mode save_freq initial_value_threshold"
    ),
    callbacks.ReduceLROnPlateau: "monitor factor patience verbose mode min_delta cooldown min_lr",
    callbacks.TerminateOnNaN: "raise_error",
    jitnet.regularizers.L1: "l1",
    jitnet.regularizers.L2: "l2",
    jitnet.regularizers.L1L2: "l1 l2",
    jitnet.initializers.Constant: "value",
    jitnet.initializers.RandomNormal: "mean stddev seed",
    jitnet.initializers.RandomUniform: "minval maxval seed",
    jitnet.initializers.TruncatedNormal: "mean stddev seed",
    jitnet.initializers.VarianceScaling: "scale mode distribution seed input_axes output_axes",
    jitnet.initializers.GlorotUniform: "seed input_axes output_axes",
    jitnet.initializers.HeNormal: "seed input_axes output_axes",
    jitnet.initializers.Orthogonal: "gain seed",
    jitnet.Model.compile: (
        "optimizer loss loss_weights metrics weighted_metrics run_eagerly steps_per_execution jit_compile "
        "auto_scale_loss"
    ),
    jitnet.Model.fit: (
        "x y batch_size epochs verbose callbacks validation_split validation_data shuffle class_weight sample_weight "
        "initial_epoch steps_per_epoch validation_steps validation_batch_size validation_freq"
    ),
    jitnet.Model.evaluate: "x y batch_size verbose sample_weight steps callbacks return_dict",
    jitnet.Model.predict: "x batch_size verbose steps callbacks",
    jitnet.Model.train_on_batch: "x y sample_weight class_weight return_dict",
    jitnet.Model.test_on_batch: "x y sample_weight return_dict",
}


@pytest.mark.parametrize("target", KERAS, ids=lambda target: target.__qualname__)
def test_positional_arguments_come_in_the_order_of_keras(target):
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(target).parameters.values()
    found = [p.name for p in parameters if p.kind == positional and p.name != "self"]
    assert found == KERAS[target].split()


def test_arguments_that_only_keras_knows():
    for call, part in (
        (lambda: losses.CategoricalCrossentropy(axis=1.5), "axis=1.5"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class="0"), "ignore_class='0'"),
        (lambda: losses.MeanSquaredError(dtype="float16"), "dtype='float16'"),
        (lambda: losses.BinaryCrossentropy("binary_crossentropy"), "from_logits='binary_crossentropy'"),
        (lambda: losses.MeanSquaredError("mine"), "reduction='mine'"),
        (lambda: losses.MeanSquaredError("sum", 3), "name=3"),
        (lambda: metrics.BinaryAccuracy("b", 0.5), "dtype=0.5"),
        (lambda: metrics.BinaryAccuracy(threshold="high"), "threshold='high'"),
        (lambda: metrics.SparseTopKCategoricalAccuracy(from_sorted_ids=3), "from_sorted_ids=3"),
        (lambda: metrics.Metric("mine"), "dtype='mine'"),
        (lambda: metrics.CategoricalAccuracy(3), "name=3"),
    ):
        rejects(call, part)
    # Keras has weight_decay there
    for call in (lambda: optimizers.SGD(0.1, 0.9, True, 1e-4), lambda: optimizers.Adam(0.1, 0.9, 0.99, 1e-7, True, 1)):
        with pytest.raises(TypeError, match="positional arguments"):
            call()
    seen = []
    perceptron().fit(X, Y, verbose=0, callbacks=callbacks.LambdaCallback(lambda epoch, logs: seen.append(epoch)))
    assert seen == [0]
    model = perceptron()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    said = "Batch 0 of epoch 1, training step 1: the loss is nan"
    with pytest.warns(RuntimeWarning), pytest.raises(RuntimeError, match=said):
        model.fit(X, Y, verbose=0, callbacks=callbacks.TerminateOnNaN(True))


def test_steps_of_evaluation_and_prediction():
    model = perceptron()
    values, _ = Reference().losses(X, Y)
    assert model.evaluate(X, Y, 4, steps=2, verbose=0)[0] == pytest.approx(values[:8].mean(), rel=2e-5)
    assert model.evaluate(X, Y, 4, steps=7, verbose=0)[0] == pytest.approx(values.mean(), rel=2e-5)
    np.testing.assert_array_equal(model.predict(X, 4, steps=2, verbose=0), model.predict(X, 4, verbose=0)[:8])
    rejects(lambda: model.predict(X, steps=0), "steps=0")
    assert model.predict(X[:, :FEATURES], 4, 0, 1).shape == (4, 3)
