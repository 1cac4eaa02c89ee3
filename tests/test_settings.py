"""Numbers of a model's parts that are assigned, or follow schedules, while steps run; and what can't be assigned."""

import copy

import numpy as np
import pytest
from numba.core import event
from small_networks import FEATURES, Reference, data, perceptron, two_outputs

import jitnet
from jitnet import layers, losses, metrics, optimizers, regularizers, schedules
from jitnet._settings import Adjustable
from jitnet.core.settings import Setting
from jitnet.running import model_steps

X, Y = data()
ONE_HOT = np.eye(3)[Y]
NUMBERS = {
    "l1": 0.1, "l2": 0.2, "momentum": 0.9, "epsilon": 1e-3, "negative_slope": 0.5, "max_value": 2.0, "threshold": 0.25,
    "rate": 0.25, "label_smoothing": 0.1, "limit": 0.25, "smoothing": 0.2, "learning_rate": 0.1, "velocity": 0.9,
    "nesterov": False, "weight": 1.0,
}  # fmt: skip


def everything(jit_compile=False, **changed):
    """A model with every kind of part that a step is written from, and these parts."""
    given = {**NUMBERS, **changed}
    parts = {
        "dense": layers.Dense(5, kernel_regularizer=regularizers.L1L2(given["l1"], given["l2"]), name="hidden"),
        "normalisation": layers.BatchNormalization(
            momentum=given["momentum"], epsilon=given["epsilon"], name="normalisation"
        ),
        "relu": layers.ReLU(given["max_value"], given["negative_slope"], given["threshold"], name="relu"),
        "dropout": layers.Dropout(given["rate"], seed=3, name="dropout"),
        "loss": losses.CategoricalCrossentropy(label_smoothing=given["label_smoothing"]),
        "metric": metrics.BinaryAccuracy(threshold=given["limit"]),
        "other": losses.CategoricalCrossentropy(label_smoothing=given["smoothing"]),
        "optimizer": optimizers.SGD(given["learning_rate"], momentum=given["velocity"], nesterov=given["nesterov"]),
    }
    chain = [parts[name] for name in ("dense", "normalisation", "relu", "dropout")]
    jitnet.utils.set_random_seed(1)
    model = jitnet.Sequential(
        [jitnet.Input((FEATURES,)), *chain, layers.Dense(3, "softmax", name="probabilities")], name="everything"
    )
    generator = np.random.default_rng(2)
    model.set_weights([w + 0.5 * generator.random(w.shape) for w in model.get_weights()])
    model.compile(
        parts["optimizer"], parts["loss"], [given["weight"]], [parts["metric"], parts["other"]], jit_compile=jit_compile
    )
    return model, {**parts, "model": model, "regularizer": parts["dense"].kernel_regularizer}


ASSIGNED = {  # name of the argument of ``everything``: (part, attribute, another number)
    "l1": ("regularizer", "l1", 0.5),
    "l2": ("regularizer", "l2", 0.0),
    "momentum": ("normalisation", "momentum", 0.5),
    "epsilon": ("normalisation", "epsilon", 0.1),
    "negative_slope": ("relu", "negative_slope", 0.0),
    "max_value": ("relu", "max_value", None),
    "threshold": ("relu", "threshold", 0.5),
    "rate": ("dropout", "rate", 0.5),
    "label_smoothing": ("loss", "label_smoothing", 0.3),
    "limit": ("metric", "threshold", 0.375),
    "smoothing": ("other", "label_smoothing", 0.3),
    "learning_rate": ("optimizer", "learning_rate", 0.2),
    "velocity": ("optimizer", "momentum", 0.5),
    "nesterov": ("optimizer", "nesterov", True),
    "weight": ("model", "loss_weights", [0.5]),
}


def run(model):
    """What training, evaluation and prediction give, to the bit."""
    history = model.fit(X, ONE_HOT, batch_size=4, epochs=2, verbose=0).history
    evaluated = model.evaluate(X, ONE_HOT, verbose=0)
    predicted = [model.predict_on_batch(X).tobytes() for _ in range(2)]  # the second one takes the short way
    return history, evaluated, predicted, [w.tobytes() for w in model.get_weights()]


@pytest.fixture
def made(monkeypatch):
    """Counts of the steps that models make and of what Numba compiles meanwhile."""
    counts = {"steps": 0, "compiled": 0}

    class Counted(model_steps.Step):
        def __init__(self, *arguments, **keywords):
            counts["steps"] += 1
            super().__init__(*arguments, **keywords)

    class Listener(event.Listener):
        def on_start(self, event):
            counts["compiled"] += 1

        def on_end(self, event):
            pass

    monkeypatch.setattr(model_steps, "Step", Counted)
    with event.install_listener("numba:compile", Listener()):
        yield counts


@pytest.mark.parametrize("compiled", [False, True])
def test_every_number_takes_effect_without_another_step(made, compiled):
    model, parts = everything(compiled)
    weights = model.get_weights()
    before = run(model)
    assert made["steps"] == 3

    def start_again():
        model.set_weights(weights)
        model.optimizer.iterations = 0
        model.optimizer.set_state({key: 0 * value for key, value in model.optimizer.state().items()})

    for name, (part, attribute, value) in ASSIGNED.items():
        number = value[0] if part == "model" else value
        fresh, _ = everything(compiled, **{name: number})
        expected = run(fresh)
        made.update(steps=0, compiled=0)
        start_again()
        old = getattr(parts[part], attribute)
        setattr(parts[part], attribute, value)
        assert getattr(parts[part], attribute) == value
        found = run(model)
        assert found == expected, name
        assert found != before, name
        assert made == {"steps": 0, "compiled": 0}, name
        setattr(parts[part], attribute, NUMBERS[name] if part == "optimizer" else old)
    start_again()
    assert run(model) == before
    assert "0.25" not in model.step_source() and "dropout_rate = hyperparameters[" in model.step_source()


def test_what_decides_which_operations_there_are_makes_another_step(made):
    model, parts = everything(label_smoothing=0.0, smoothing=0.0, velocity=0.0, rate=0.0)
    relu = parts["relu"]
    relu.max_value, relu.negative_slope, relu.threshold = None, 0.0, 0.0
    model.fit(X, ONE_HOT, epochs=1, verbose=0)
    for part, attribute, value, kernel in (
        ("dropout", "rate", 0.5, "dropout_forward"),
        ("relu", "negative_slope", 0.25, "rectifier"),
        ("loss", "label_smoothing", 0.125, "fill(label_smoothing"),
        ("optimizer", "momentum", 0.5, "velocity"),
    ):
        assert kernel not in model.step_source()
        setattr(parts[part], attribute, value)
        assert kernel in model.step_source(), attribute
    weights = model.get_weights()
    fresh, _ = everything(
        label_smoothing=0.125, smoothing=0.0, velocity=0.5, rate=0.5, max_value=None, negative_slope=0.25, threshold=0.0
    )
    fresh.set_weights(weights)
    fresh.optimizer.iterations = model.optimizer.iterations
    assert run(model) == run(fresh)
    # the same value, and another one of the same kind, make none
    made.update(steps=0)
    parts["dropout"].rate, parts["dropout"].rate = 0.5, 0.25
    model.train_on_batch(X, ONE_HOT)
    assert made["steps"] == 0
    parts["dropout"].rate = 0.0
    assert "dropout_forward" not in model.step_source() and made["steps"] == 1


def test_a_callback_assigns_numbers(made):
    class Assigning(jitnet.callbacks.Callback):
        def __init__(self, parts, hook):
            super().__init__()
            self.parts, self.hook = parts, hook

        def assign(self, rate, nesterov):
            self.parts["dropout"].rate, self.parts["optimizer"].nesterov = rate, nesterov

        def on_epoch_begin(self, epoch, logs=None):
            if self.hook == "epoch":
                self.assign(0.5 * (epoch == 1), epoch == 1)

    class ByBatch(Assigning):
        def on_train_batch_begin(self, batch, logs=None):
            self.assign(0.5 * (batch == 1), batch == 1)

    model, parts = everything(rate=0.0)
    model.fit(X, ONE_HOT, batch_size=9, epochs=3, verbose=0, callbacks=[Assigning(parts, "epoch")])
    by_hand, own = everything(rate=0.0)
    for epoch in range(3):
        own["dropout"].rate, own["optimizer"].nesterov = 0.5 * (epoch == 1), epoch == 1
        by_hand.fit(X, ONE_HOT, batch_size=9, epochs=1, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in by_hand.get_weights()]
    model, parts = everything(rate=0.0)
    model.fit(X, ONE_HOT, batch_size=3, verbose=0, shuffle=False, callbacks=[ByBatch(parts, "batch")])
    by_hand, own = everything(rate=0.0)
    for batch in range(3):
        own["dropout"].rate, own["optimizer"].nesterov = 0.5 * (batch == 1), batch == 1
        by_hand.train_on_batch(X[3 * batch : 3 * batch + 3], ONE_HOT[3 * batch : 3 * batch + 3])
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in by_hand.get_weights()]


def halving(step):
    """A function of the step."""
    return 0.5**step


SCHEDULES = {  # boundaries are the last steps with the value before them
    "l1": schedules.PiecewiseConstantDecay([0, 1], [0.5, 0.0, 0.25]),
    "l2": halving,
    "momentum": schedules.PolynomialDecay(0.9, 4, 0.5),
    "epsilon": schedules.ExponentialDecay(0.1, 2, 0.5),
    "negative_slope": schedules.PiecewiseConstantDecay([0], [0.0, 0.25]),
    "max_value": schedules.InverseTimeDecay(2.0, 3, 0.5),
    "threshold": schedules.CosineDecay(0.5, 4),
    "rate": schedules.PiecewiseConstantDecay([1], [0.0, 0.5]),
    "label_smoothing": schedules.CosineDecay(0.5, 4),
    "limit": schedules.CosineDecay(0.5, 4),
    "smoothing": schedules.PiecewiseConstantDecay([2], [0.0, 0.5]),
    "learning_rate": halving,
    "velocity": schedules.PiecewiseConstantDecay([1], [0.9, 0.5]),
    "nesterov": schedules.PiecewiseConstantDecay([1], [0.0, 1.0]),
    "weight": schedules.CosineDecay(2.0, 4, 0.25),
}


def test_any_number_may_be_a_schedule(made, tmp_path):
    model, _ = everything(**SCHEDULES)
    numbers = {name: schedule(0) for name, schedule in SCHEDULES.items()}
    by_hand, own = everything(**{**numbers, "rate": 0.5, "nesterov": False})  # which have the same operations
    made.update(steps=0)
    for step in range(4):
        for name, (part, attribute, _) in ASSIGNED.items():
            value = SCHEDULES[name](step)
            if name == "rate" and value == 0:
                value = schedules.PiecewiseConstantDecay([10], [0.0, 0.5])  # it stays an operation
            if name == "smoothing" and value == 0:
                value = schedules.PiecewiseConstantDecay([10], [0.0, 0.5])
            setattr(own[part], attribute, [value] if part == "model" else bool(value) if name == "nesterov" else value)
        logs = [m.train_on_batch(X, ONE_HOT, return_dict=True) for m in (model, by_hand)]
        assert logs[0] == logs[1], step
    for name, (part, attribute, _) in ASSIGNED.items():
        value = SCHEDULES[name](4)
        setattr(own[part], attribute, [value] if part == "model" else bool(value) if name == "nesterov" else value)
    assert made["steps"] <= 4
    # evaluation and prediction: as at the optimizer's present step
    assert model.evaluate(X, ONE_HOT, verbose=0) == by_hand.evaluate(X, ONE_HOT, verbose=0)
    expected = by_hand.predict(X, verbose=0)
    assert (model.predict(X, verbose=0) == expected).all()
    assert (model.predict_on_batch(X) == expected).all() and (model.predict_on_batch(X) == expected).all()
    np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-7)
    model.optimizer.iterations = 0
    assert not (model.predict_on_batch(X) == expected).all()
    model.optimizer.iterations = 4
    # saved and loaded, training goes on
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model", custom_objects={"halving": halving})
    assert loaded.get_layer("dropout").rate.get_config() == SCHEDULES["rate"].get_config()
    assert loaded.get_layer("hidden").kernel_regularizer.l2 is halving
    loaded.fit(X, ONE_HOT, batch_size=4, verbose=0)
    model.fit(X, ONE_HOT, batch_size=4, verbose=0)
    assert loaded.get_config() == model.get_config()
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in loaded.get_weights()]
    # compiled as well
    plain, _ = everything(False, **SCHEDULES)
    compiled, _ = everything(True, **SCHEDULES)
    assert run(plain) == run(compiled)
    assert regularizers.L2(halving)(np.ones(3)) == 3.0


def test_what_a_schedule_gives_is_checked():
    model, parts = everything()
    parts["dropout"].rate = schedules.PiecewiseConstantDecay([1], [0.5, 1.5])
    model.fit(X, ONE_HOT, batch_size=9, epochs=1, verbose=0)
    model.fit(X, ONE_HOT, batch_size=9, epochs=1, verbose=0)
    with pytest.raises(ValueError, match=r"Dropout 'dropout' expects rate .* not including, 1\. Received: rate=1\.5$"):
        model.fit(X, ONE_HOT, verbose=0)
    parts["dropout"].rate = 0.5
    model.loss_weights = [lambda step: float("nan") if step else 1.0]
    with pytest.raises(ValueError, match=r"finite number\. Received: the loss weight of probabilities=nan"):
        model.fit(X, ONE_HOT, verbose=0)


def test_bad_values_are_refused_where_they_are_assigned():
    _, parts = everything()
    for part, attribute, value, text in (
        ("dropout", "rate", 1.0, "Dropout 'dropout' expects rate to be a finite number from 0 up to, not including, 1"),
        ("dropout", "rate", "half", "expects rate to be a finite number"),
        ("dropout", "rate", schedules.CosineDecay(2.0, 10), "expects rate to be a finite number"),
        ("normalisation", "momentum", 2, "BatchNormalization 'normalisation' expects momentum"),
        ("normalisation", "epsilon", -1, "expects epsilon to be a finite number, not negative"),
        ("relu", "negative_slope", None, "ReLU 'relu' expects negative_slope"),
        ("regularizer", "l2", -1, "L1L2 expects l2 to be a finite number, not negative"),
        ("loss", "label_smoothing", 2, "CategoricalCrossentropy 'categorical_crossentropy' expects label_smoothing"),
        ("metric", "threshold", float("nan"), "BinaryAccuracy 'binary_accuracy' expects threshold"),
        ("optimizer", "nesterov", 2, "SGD 'SGD' expects nesterov to be True or False"),
        ("model", "loss_weights", [1, 2], "loss_weights needs 1 numbers"),
        ("model", "loss_weights", [float("inf")], "loss_weights to be finite numbers"),
        ("model", "loss_weights", ["accuracy"], "they are numbers or schedules"),
    ):
        before = getattr(parts[part], attribute)
        with pytest.raises(ValueError, match="Received: ") as caught:
            setattr(parts[part], attribute, value)
        assert text in str(caught.value)
        assert getattr(parts[part], attribute) is before
    with pytest.raises(ValueError, match=r"Dropout expects rate .* Received: rate=-1"):
        layers.Dropout(-1)
    with pytest.raises(ValueError, match="is not compiled: pass loss_weights to compile"):
        jitnet.Sequential([jitnet.Input((3,))]).loss_weights = [1.0]


def test_loss_weights_and_their_entries():
    sizes = X[:, :1]
    weights = {"size": 0.5, "kind": 2.0}
    model = two_outputs(loss_weights=weights)
    model.train_on_batch(X, [sizes, Y])
    weights["size"] = 0.0
    loss, _, kind = model.evaluate(X, [sizes, Y], verbose=0)
    assert loss == pytest.approx(2 * kind, rel=1e-6)
    model.loss_weights["kind"] = schedules.PiecewiseConstantDecay([0], [3.0, 4.0])
    assert model.evaluate(X, [sizes, Y], verbose=0)[0] == pytest.approx(4 * kind, rel=1e-6)
    model.loss_weights = [1, 1]
    loss, size, kind = model.evaluate(X, [sizes, Y], verbose=0)
    assert loss == pytest.approx(size + kind, rel=1e-6)
    model.loss_weights = None
    assert model.evaluate(X, [sizes, Y], verbose=0)[0] == loss
    model.loss_weights = weights
    weights["size"] = "x"
    for call in (model.train_on_batch, model.evaluate, model.fit):
        with pytest.raises(ValueError, match=r"they are numbers.* Received: loss_weights="):
            call(X, [sizes, Y])
    weights["siz"] = weights.pop("size")
    with pytest.raises(ValueError, match="they are numbers"):
        model.evaluate(X, [sizes, Y])
    weights["siz"] = 1.0
    with pytest.raises(ValueError, match=r"Unknown output in loss_weights 'siz'\. Did you mean 'size'"):
        model.evaluate(X, [sizes, Y])


def test_repeated_predictions_see_what_is_assigned(made):
    model, parts = everything()
    outer = jitnet.Sequential([jitnet.Input((FEATURES,)), model])
    first = model.predict_on_batch(X)
    assert (model.predict_on_batch(X) == first).all() and (outer.predict_on_batch(X) == first).all()
    assert model._quick is not None and (outer.predict_on_batch(X) == first).all()
    made.update(steps=0, compiled=0)
    parts["normalisation"].epsilon = 0.5
    parts["relu"].negative_slope = 0.125
    found = model.predict_on_batch(X), model.predict_on_batch(X), model.predict(X, verbose=0)
    again = outer.predict_on_batch(X), outer.predict_on_batch(X)
    assert all((p == found[0]).all() for p in (*found, *again)) and not (found[0] == first).all()
    assert made == {"steps": 0, "compiled": 0}
    fresh, _ = everything(epsilon=0.5, negative_slope=0.125)
    assert (fresh.predict(X, verbose=0) == found[0]).all()


FIXED = {
    "dense": {"activation": "tanh", "use_bias": False, "units": 7, "kernel_regularizer": None, "kernel": None},
    "normalisation": {"center": False, "axis": 1},
    "dropout": {"seed": 4},
    "loss": {"from_logits": True, "reduction": "sum"},
    "model": {"optimizer": optimizers.SGD(0.5)},
}


def test_what_is_no_number_is_fixed_once_a_step_has_run():
    model, parts = everything()
    # looking at a step fixes nothing
    model.summary(print_fn=lambda line: None)
    assert model.step_source()
    parts["dropout"].seed = 4
    assert "(" in model.step_source() and model.get_layer("dropout").seed == 4
    parts["dropout"].seed = 3
    model.fit(X, ONE_HOT, verbose=0)
    before = model.get_config(), model.optimizer.get_config(), model.loss.get_config()
    for name, attributes in FIXED.items():
        for attribute, value in attributes.items():
            with pytest.raises(ValueError, match="have run: assigned now, it would change nothing") as caught:
                setattr(parts[name], attribute, value)
            text = str(caught.value)
            assert text.startswith(f"{type(parts[name]).__name__}.{attribute} ") and "'everything'" in text
            assert "Call the model's compile again first" in text and f"Received: {attribute}=" in text
    assert (model.get_config(), model.optimizer.get_config(), model.loss.get_config()) == before
    # what is the same, and what every run reads
    parts["dropout"].seed = 3
    parts["optimizer"].iterations = 7
    parts["dense"].name = "other"
    parts["dense"].trainable = False
    parts["dense"]._note = parts["dense"].note = "mine"
    model.stop_training = True
    # a copy's steps have not run, and its numbers are its own
    copied = copy.deepcopy(model)
    copied.get_layer("dropout").seed = 5
    copied.get_layer("dropout").rate = copied.loss.label_smoothing = 0.125
    copied.optimizer.nesterov = True
    assert parts["dropout"].rate == 0.25 and parts["dropout"].seed == 3 and not parts["optimizer"].nesterov
    # after compile, all of them may be assigned, and count
    model.compile(parts["optimizer"], parts["loss"])
    parts["dropout"].seed = 5
    parts["loss"].reduction = "sum"
    assert model.evaluate(X, ONE_HOT, verbose=0) > 9


def test_nesterov_and_l2_count_when_they_are_assigned_before_the_first_step():
    given = regularizers.L2(0.01), None
    model = perceptron(optimizers.SGD(0.3, momentum=0.9), regularizers=given, metrics=None)
    model.optimizer.nesterov = True
    given[0].l2 = 0.05
    reference = Reference(l2=0.05)
    expected = reference.losses(X, Y)[0].mean() + reference.penalty()
    assert model.train_on_batch(X, Y) == pytest.approx(expected, rel=2e-5)
    gradients = reference.gradients(X, Y)
    for weight, gradient, ours in zip(reference.weights, gradients, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, weight - 0.3 * 1.9 * gradient, rtol=2e-5, atol=1e-6)
    # a weight's own regularizer may be replaced at any time
    model.get_layer("hidden").kernel.regularizer = None
    reference.weights = model.get_weights()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(reference.losses(X, Y)[0].mean(), rel=2e-5)


class Scaled(layers.Layer):
    """A user's layer, whose number is an attribute like any other."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.uses = 0

    def call(self, inputs):
        self.uses += 1  # what a layer remembers of a call
        return inputs * self.factor


def test_a_layer_of_the_users_own():
    layer = Scaled(2.0, name="scaled")
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), layer], name="scaling")
    layer.factor = 3.0
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 3)
    traced = layer.uses
    layer(X), layer(jitnet.Input((FEATURES,)))
    model.compile("sgd", "mse")
    model.predict(X, verbose=0), model.evaluate(X, X, verbose=0)
    assert layer.uses == traced + 4
    # a number counts, in steps that are written anew; what may be anything else can't be assigned
    layer.factor = 4.0
    np.testing.assert_allclose(model.predict(X, verbose=0), X * 4)
    assert layer.uses == traced + 5
    with pytest.raises(ValueError, match=r"Scaled.factor of the layer 'scaled' is written into the steps of the model"):
        layer.factor = X[:, :1]
    model.compile()
    layer.factor = 5.0
    np.testing.assert_allclose(model.predict_on_batch(X), X * 5)
    layer.factor = 6
    np.testing.assert_allclose(model.predict_on_batch(X), X * 6)
    # alone, it is computed anew every time; a model that is gone holds nothing
    del model
    layer.factor = None
    layer.factor = 7.0
    np.testing.assert_allclose(layer(X), X * 7)


class Adjusted(layers.Layer):
    """A user's layer, whose number steps read whenever they run."""

    factor = Adjustable(least=0)

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        factor = Setting(self, "factor")
        return inputs * factor + (2 - factor / 4) - -factor


class Weaker(layers.Dropout):
    """A user's subclass that takes the number out: steps are written from it."""

    def call(self, inputs, training=False):
        return inputs * (1 - self.rate)


def test_settings_beside_tensors_and_taken_out(made):
    layer = Adjusted(2.0, name="adjusted")
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), layer], name="adjusting")
    np.testing.assert_allclose(model.predict_on_batch(X), X * 2 + 1.5 + 2, rtol=1e-6)
    made.update(steps=0, compiled=0)
    layer.factor = 4
    np.testing.assert_allclose(model.predict_on_batch(X), X * 4 + 1 + 4, rtol=1e-6)
    layer.factor = halving
    np.testing.assert_allclose(model.predict_on_batch(X), X + 1.75 + 1, rtol=1e-6)
    assert made == {"steps": 0, "compiled": 0}
    np.testing.assert_allclose(layer(X), X + 1.75 + 1, rtol=1e-6)
    weaker = Weaker(0.5, name="weaker")
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), weaker], name="weakening")
    np.testing.assert_allclose(model.predict_on_batch(X), X * 0.5)
    weaker.rate = 0.25
    np.testing.assert_allclose(model.predict_on_batch(X), X * 0.75)


def test_a_model_within_a_model_is_compiled_on_its_own():
    inner = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(3, name="dense")], name="inner")
    inner.compile("sgd", "mse")
    outer = jitnet.Sequential([jitnet.Input((FEATURES,)), inner], name="outer")
    outer.compile("sgd", "mse")
    outer.train_on_batch(X, ONE_HOT)
    inner.compile("adam", "mae")
    assert inner.train_on_batch(X, ONE_HOT) > 0


class Custom(jitnet.Sequential):
    """A model with a training step of its own, in which numbers and parts count as in any."""

    def train_step(self, data):
        logs = super().train_step(data)
        x, y = data
        return {**logs, "own": self.own(y, self(x, training=True))}


def custom(momentum=0.0, l2=0.25, smoothing=0.0, weight=2.0):
    hidden = layers.Dense(3, "softmax", kernel_regularizer=regularizers.L2(l2), name="hidden")
    jitnet.utils.set_random_seed(1)
    model = Custom([jitnet.Input((FEATURES,)), hidden], name="custom")
    model.own = losses.CategoricalCrossentropy(label_smoothing=smoothing)
    model.compile(optimizers.SGD(0.1, momentum), losses.CategoricalCrossentropy(), [weight])
    return model


def test_in_a_training_step_of_the_users_own():
    model = custom()
    first = model.fit(X, ONE_HOT, batch_size=9, verbose=0).history
    kernel = custom().get_weights()[0].astype(float)
    p = np.exp(X @ kernel) / np.exp(X @ kernel).sum(axis=1, keepdims=True)
    cross_entropy = -np.log(p[np.arange(len(Y)), Y]).mean()
    assert first["loss"][0] == pytest.approx(2 * cross_entropy + 0.25 * (kernel**2).sum(), rel=1e-5)
    gradient = 2 * X.T @ (p - ONE_HOT) / len(Y) + 0.5 * kernel
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * gradient, rtol=1e-5, atol=1e-6)
    model = custom(momentum=0.0, l2=0.0, smoothing=0.0, weight=1.0)
    model.fit(X, ONE_HOT, batch_size=9, verbose=0)
    model.set_weights(custom().get_weights())
    model.optimizer.iterations = 0
    model.optimizer.momentum = 0.5
    model.own.label_smoothing = 0.25
    model.get_layer("hidden").kernel_regularizer.l2 = 0.5
    model.loss_weights[0] = 3.0
    fresh = custom(0.5, 0.5, 0.25, 3.0)
    found, expected = (m.fit(X, ONE_HOT, batch_size=4, epochs=2, verbose=0).history for m in (model, fresh))
    assert found == expected
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in fresh.get_weights()]


def test_in_a_function_that_is_differentiated():
    relu = layers.ReLU(negative_slope=0.0)
    function = jitnet.value_and_grad(lambda x: jitnet.ops.mean(relu(x)))
    x = np.array([[-2.0, 4.0]], "float32")
    assert function(x)[0] == 2.0
    relu.negative_slope = 0.5
    value, gradient = function(x)
    assert value == 1.5 and gradient.tolist() == [[0.25, 0.5]]
    relu.negative_slope = 0.25
    assert function(x)[0] == 1.75
    # what can't be assigned where a model has steps makes the function's anew
    dense = layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")
    assert dense(x) == 3
    function = jitnet.value_and_grad(lambda x: jitnet.ops.sum(dense(x)))
    assert function(x)[0] == 3
    dense.use_bias = False
    assert function(x)[0] == 2
