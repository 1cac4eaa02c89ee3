"""The library's optimizers in steps, and the options that all of them have, against NumPy step by step."""

import copy
import pickle

import naive.optimizers as naive
import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import layers, ops, optimizers

BATCH, EPOCHS = 3, 17  # 51 steps
LAMB = {"learning_rate": 0.05, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
EVE = {
    "learning_rate": 0.02, "beta_1": 0.9, "beta_2": 0.99, "beta_3": 0.9, "lower": 0.1, "upper": 10.0, "epsilon": 1e-8,
}  # fmt: skip
ADAFACTOR = {
    "learning_rate": 0.1, "beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0,
}  # fmt: skip
MUON = {"learning_rate": 0.02, "adam_beta_1": 0.9, "adam_beta_2": 0.99, "epsilon": 1e-7, "momentum": 0.9}
ADAM = {"learning_rate": 0.05, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}


@pytest.fixture
def float64():
    before = jitnet.config.floatx()
    jitnet.config.set_floatx("float64")
    yield
    jitnet.config.set_floatx(before)


def fit(optimizer, jit_compile=False, epochs=EPOCHS, dtype="float64", **arguments):
    x, y = small_networks.data(dtype=dtype)
    model = small_networks.perceptron(optimizer, jit_compile=jit_compile, metrics=[])
    if "constraint" in arguments:
        model.layers[0].kernel.constraint = arguments.pop("constraint")
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, **arguments)
    return model


def train(
    update, numbers, epochs=EPOCHS, clip=None, decay=lambda i, w: 0.0, rates=(1, 1, 1, 1), every=1, wants_loss=False
):
    """Weights after a training in NumPy; decay(index, weight): by which share a weight shrinks before each update."""
    x, y = small_networks.data(dtype="float64")
    reference, slots, waiting = small_networks.Reference(), [{} for _ in range(4)], [0.0] * 4
    for number, start in enumerate(list(range(0, len(x), BATCH)) * epochs, 1):
        part = slice(start, start + BATCH)
        given = {**numbers, "loss": reference.losses(x[part], y[part])[0].mean()} if wants_loss else numbers
        waiting = [w + g / every for w, g in zip(waiting, reference.gradients(x[part], y[part]), strict=True)]
        if number % every:
            continue
        gradients, waiting = clip(waiting) if clip else waiting, [0.0] * 4
        weights = [w - decay(i, w) * w for i, w in enumerate(reference.weights)]
        reference.weights = [
            update(w, g, s, number // every, **{**given, "learning_rate": given["learning_rate"] * rate})
            for w, g, s, rate in zip(weights, gradients, slots, rates, strict=True)
        ]
    return reference.weights


def assert_weights(model, expected, tolerance=1e-10):
    for weight, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("make", "function", "numbers"),
    [
        (optimizers.RMSprop, naive.rmsprop, {"learning_rate": 0.02, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-7}),
        (optimizers.Adagrad, naive.adagrad,
         {"learning_rate": 0.2, "epsilon": 1e-7, "initial_accumulator_value": 0.3}),
        (optimizers.Adadelta, naive.adadelta, {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-7}),
        (optimizers.Adamax, naive.adamax, ADAM),
        (optimizers.Nadam, naive.nadam, ADAM),
        (optimizers.Ftrl, naive.ftrl,
         {"learning_rate": 0.2, "learning_rate_power": -0.5, "l1_regularization_strength": 0.01,
          "l2_regularization_strength": 0.02, "l2_shrinkage_regularization_strength": 0.01, "beta": 0.1,
          "initial_accumulator_value": 0.1}),
        (optimizers.Lion, naive.lion, {"learning_rate": 0.02, "beta_1": 0.9, "beta_2": 0.99}),
        (lambda **numbers: optimizers.Adam(**numbers, amsgrad=True),
         lambda *given, **numbers: naive.adam(*given, **numbers, amsgrad=True), ADAM),
    ],
)  # fmt: skip
def test_single_elements_in_steps(make, function, numbers, float64):
    expected = train(function, numbers)
    model = fit(make(**numbers))
    assert_weights(model, expected)
    state = {slot for slot, _ in model.optimizer.state()}
    assert state == set(model.optimizer.own_slots)
    if make is optimizers.Nadam:  # whose product of momenta is a sum of its own
        assert small_networks.digest(fit(make(**numbers), jit_compile=True)) == small_networks.digest(model)


@pytest.mark.parametrize(
    ("make", "function", "numbers", "others"),
    [
        (optimizers.Lamb, naive.lamb, LAMB, {}),
        (optimizers.Muon, naive.muon, MUON, {"weight_decay": None, "adam_weight_decay": None}),
        (optimizers.Adafactor, naive.adafactor, ADAFACTOR, {}),
        (optimizers.Eve, naive.eve, EVE, {}),
    ],
)
def test_in_operations_against_numpy(make, function, numbers, others, float64, tmp_path):
    expected = train(function, numbers, wants_loss=make is optimizers.Eve)
    model = fit(make(**numbers, **others))
    assert_weights(model, expected)
    # compiled and with one thread the same bits; a saved state is gone on from
    jitnet.set_num_threads(1)
    half = fit(make(**numbers, **others), jit_compile=True, epochs=8)
    half.save(tmp_path / "half.safetensors")
    again = jitnet.load_model(tmp_path / "half.safetensors")
    assert type(again.optimizer) is make and again.optimizer.get_config() == half.optimizer.get_config()
    x, y = small_networks.data(dtype="float64")
    again.fit(x, y, batch_size=BATCH, epochs=EPOCHS, initial_epoch=8, shuffle=False, verbose=0)
    assert small_networks.digest(again) == small_networks.digest(model)


def test_adafactor_where_nothing_has_a_gradient():
    """Rows and columns without any: the product of their means is smaller than any float."""
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2, "relu", name="dense")])
    kernel = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])
    model.set_weights([kernel, [0.0, -1.0]])
    model.compile(optimizers.Adafactor(0.1), "mse", jit_compile=False)
    x = np.array([[1.0, 2.0, 0.0]], "float32")
    model.fit(x, np.ones((1, 2)), epochs=3, verbose=0)
    found = model.get_weights()[0]
    assert np.isfinite(found).all() and (found[:2, 0] != 1).all()
    np.testing.assert_array_equal(found[:, 1], kernel[:, 1])
    assert found[2, 0] == 1


def shares(gradients, limit):
    """Gradients with a norm of all together of at most ``limit``."""
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, limit / norm) for g in gradients]


CLIPPING = {
    "clipvalue": lambda gradients: [np.clip(g, -0.05, 0.05) for g in gradients],
    "clipnorm": lambda gradients: [shares([g], 0.05)[0] for g in gradients],
    "global_clipnorm": lambda gradients: shares(gradients, 0.05),
}


@pytest.mark.parametrize("name", CLIPPING)
@pytest.mark.parametrize("every", [1, 3])
def test_clipping(name, every, float64):
    numbers = {"learning_rate": 0.5, "momentum": 0.5}
    options = {} if every == 1 else {"gradient_accumulation_steps": every}
    make = lambda: optimizers.SGD(0.5, 0.5, **{name: 0.05}, **options)  # noqa: E731
    expected = train(naive.sgd, numbers, clip=CLIPPING[name], every=every)
    model = fit(make())
    assert_weights(model, expected)
    assert np.abs(expected[0] - train(naive.sgd, numbers, every=every)[0]).max() > 0.01  # it is not in vain
    jitnet.set_num_threads(1)
    assert small_networks.digest(fit(make(), jit_compile=True)) == small_networks.digest(model)


def test_weight_decay_and_multipliers(float64):
    numbers = {**ADAM}
    rate = 0.05

    def decay(index, weight):
        return 0.1 * rate * (index in (0, 2))

    optimizer = optimizers.AdamW(**numbers, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = fit(optimizer)
    assert_weights(model, train(naive.adam, numbers, decay=decay))
    # the same by variables, for another optimizer; rates of layers, which decay follows
    multipliers = {"hidden/": 0.5, "probab": 0, "kernel": 7.0}
    optimizer = optimizers.Lion(0.05, 0.9, 0.99, weight_decay=0.1, learning_rate_multipliers=multipliers)
    model = small_networks.perceptron(optimizer, metrics=[])
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.weights if v.ndim == 1])
    x, y = small_networks.data(dtype="float64")
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    lion = {"learning_rate": 0.05, "beta_1": 0.9, "beta_2": 0.99}
    expected = train(naive.lion, lion, decay=lambda i, w: 0.1 * rate * 0.5 * (i == 0), rates=(0.5, 0.5, 0, 0))
    assert_weights(model, expected)
    with pytest.raises(ValueError, match=r"exclude_from_weight_decay comes before the first step"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    # Muon has two: one for what Adam updates
    decays = (0.02 * 0.1, 0.02 * 0.2)
    muon = optimizers.Muon(**MUON, weight_decay=0.1, adam_weight_decay=0.2)
    assert_weights(fit(muon), train(naive.muon, MUON, decay=lambda i, w: decays[w.ndim == 1]))
    # a variable whose name a pattern has is updated by Adam
    everything = optimizers.Muon(**MUON, weight_decay=None, adam_weight_decay=None, exclude_layers=["hidden", "prob"])
    adam = {"learning_rate": 0.02, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    assert_weights(fit(everything), train(naive.adam, adam))


def test_options_are_assigned_and_saved(float64):
    half = (EPOCHS + 1) // 2
    model = fit(optimizers.SGD(0.5, clipnorm=100.0), epochs=half)
    x, y = small_networks.data(dtype="float64")
    # one that was there takes another value; one that was not makes another step; None takes it away
    model.optimizer.clipnorm = 0.05
    model.optimizer.weight_decay = 0.1
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    model.optimizer.clipnorm = None
    assert model.optimizer.clipnorm is None and model.optimizer.weight_decay == 0.1
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    reference = small_networks.Reference()
    for epoch in range(half + 2):
        for start in range(0, len(x), BATCH):
            gradients = reference.gradients(x[start : start + BATCH], y[start : start + BATCH])
            gradients = CLIPPING["clipnorm"](gradients) if epoch == half else gradients
            shrink = 1 - 0.5 * 0.1 * (epoch >= half)
            reference.weights = [w * shrink - 0.5 * g for w, g in zip(reference.weights, gradients, strict=True)]
    assert_weights(model, reference.weights)
    with pytest.raises(ValueError, match=r"SGD expects clipnorm to be above 0. Received: clipnorm=-1"):
        model.optimizer.clipnorm = -1.0
    decay = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = optimizers.Nadam(
        weight_decay=decay, global_clipnorm=1.0, learning_rate_multipliers={"a": 2.0}, gradient_accumulation_steps=2
    )
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config() and again.learning_rate_multipliers == {"a": 2.0}
    assert again.weight_decay == 0.1 and again.global_clipnorm == 1.0 and again.clipvalue is None


def test_own_train_step():
    """``apply`` takes all options, too, and ``variables`` is what a checkpoint needs."""

    class Own(jitnet.Sequential):
        def train_step(self, data):
            x, y = data

            def loss_of():
                return ops.mean(ops.square(self(x) - y))

            loss, gradients = jitnet.value_and_grad(loss_of, variables=self.trainable_variables)()
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    x = np.random.default_rng(0).standard_normal((8, 3)).astype("float32")
    y = x[:, :1]
    weights = []
    for kind in (Own, jitnet.Sequential):
        model = kind([jitnet.Input((3,)), layers.Dense(1, name="dense")])
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        optimizer = optimizers.Adagrad(0.1, global_clipnorm=0.1, weight_decay=0.01)
        model.compile(optimizer, "mse", jit_compile=False)
        model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        weights.append(model.get_weights())
        names = ["iteration", "learning_rate", "dense_kernel_squares", "dense_bias_squares"]
        assert [v.name for v in optimizer.variables] == names
        assert optimizer.variables[0].numpy() == 3 and (optimizer.variables[2].numpy() > 0.1).all()
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_names_and_errors():
    for name in (
        "rmsprop", "adamw", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "lamb", "muon", "adafactor",
        "eve",
    ):  # fmt: skip
        found = optimizers.get(name)
        assert type(found).__name__.lower() == name
        assert optimizers.deserialize(optimizers.serialize(found)).get_config() == found.get_config()
    for make, message in [
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=0.5), r"one of .* Received: clipnorm=1.0, clipvalue=0.5"),
        (lambda: optimizers.Adam(loss_scale_factor=2.0), r"float16.*Received: loss_scale_factor=2.0"),
        (lambda: optimizers.AdamW(weight_decay=None), r"AdamW expects weight_decay .*Received: weight_decay=None"),
        (lambda: optimizers.Nadam(beta_1=1.0), r"Nadam expects beta_1 .*Received: beta_1=1.0"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), r"learning_rate_power.*Received: learning_rate_power=0.5"),
        (lambda: optimizers.RMSprop(momentum=2.0), r"RMSprop expects momentum from 0 to 1. Received: momentum=2.0"),
        (lambda: optimizers.SGD(learning_rate_multipliers={"(": 1}), r"expressions. Received: .*='\('"),
        (lambda: optimizers.SGD(learning_rate_multipliers={"a": -1}), r"Received: learning_rate_multipliers=-1"),
        (lambda: optimizers.SGD(learning_rate_multipliers=[2]), r"Received: learning_rate_multipliers=\[2\]"),
        (lambda: optimizers.AdamW().exclude_from_weight_decay(["bias"]), r"Received: var_list=\['bias'\]"),
        (lambda: optimizers.AdamW().exclude_from_weight_decay(var_names="bias"), r"Received: var_names='bias'"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


# ---- gradients that are arrays


def small_model():
    jitnet.utils.set_random_seed(0)
    x = jitnet.Input((4,))
    return jitnet.Model(x, layers.Dense(2)(layers.Dense(6, "tanh")(x)))


def loop_data():
    generator = np.random.default_rng(1)
    return generator.normal(size=(32, 4)).astype("float32"), generator.normal(size=(32, 2)).astype("float32")


def applied(make, count, after=lambda step, optimizer: None):
    """Weights after a loop of a script's own, and the optimizer."""
    model, optimizer = small_model(), make()
    variables = model.trainable_variables
    error = jitnet.value_and_grad(lambda x, y: ops.mean(ops.square(model(x) - y)), variables=variables)
    for step in range(count):
        _, gradients = error(*loop_data())
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        after(step, optimizer)
    return model.get_weights(), optimizer


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(0.01),
        lambda: optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1),
        lambda: optimizers.AdamW(jitnet.schedules.ExponentialDecay(0.1, 2, 0.5), use_ema=True, ema_momentum=0.5),
        lambda: optimizers.Muon(0.01),
        lambda: optimizers.Adam(0.1, gradient_accumulation_steps=2),
    ],
)
def test_a_loop_of_a_scripts_own_trains_as_fit_does(make):
    model = small_model()
    model.compile(make(), "mse")
    for _ in range(5):
        model.train_on_batch(*loop_data())
    found, optimizer = applied(make, 5)
    for one, other in zip(found, model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    assert optimizer.iterations == 5
    copied = copy.deepcopy(optimizer)
    assert copied.iterations == 5 and pickle.loads(pickle.dumps(optimizer)).iterations == 5


def test_arrays_of_gradients_with_settings_that_change():
    def slower(step, optimizer):
        optimizer.learning_rate = 0.1 / (step + 2)

    def by_hand():
        weights = small_model().get_weights()
        model = small_model()
        error = jitnet.value_and_grad(lambda x, y: ops.mean(ops.square(model(x) - y)), variables=model.weights)
        for step in range(3):
            model.set_weights(weights)
            gradients = error(*loop_data())[1]
            weights = [w - 0.1 / (step + 1) * g for w, g in zip(weights, gradients, strict=True)]
        return weights

    found, _ = applied(lambda: optimizers.SGD(0.1), 3, slower)
    for one, other in zip(found, by_hand(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_arrays_that_are_no_gradients():
    variables, optimizer = small_model().trainable_variables, optimizers.SGD(0.1)
    zeros = [np.zeros(v.shape, "float32") for v in variables]
    for wrong, received in (
        ([None, *zeros[1:]], r"Received: shape=\(\), dtype=dtype\('O'\)"),
        ([zeros[0][:2], *zeros[1:]], r"kernel is an array of its shape, \(4, 6\). Received: shape=\(2, 6\)"),
        ([zeros[0].astype(int), *zeros[1:]], r"Received: shape=\(4, 6\), dtype=dtype\('int64'\)"),
    ):
        with pytest.raises(ValueError, match=received):
            optimizer.apply(wrong, variables)
    assert optimizer.iterations == 0
    optimizer.apply([np.ones(v.shape) for v in variables], variables)  # of float64
    assert optimizer.iterations == 1 and variables[1].numpy().tolist() == pytest.approx([-0.1] * 6)
