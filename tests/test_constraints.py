"""Constraints on arrays and in steps, regularizers of a user's own, and penalties of activities."""

import json

import naive.optimizers as naive
import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import constraints, layers, ops, optimizers, regularizers

W = np.random.default_rng(3).standard_normal((4, 5)) * 2


def norms(w, axis):
    return np.sqrt((w**2).sum(axis=axis, keepdims=True))


def max_norm(w, limit, axis=0):
    return w * np.clip(norms(w, axis), 0, limit) / (1e-7 + norms(w, axis))


CASES = [
    (constraints.NonNeg(), lambda w: np.maximum(w, 0)),
    (constraints.UnitNorm(axis=1), lambda w: w / (1e-7 + norms(w, 1))),
    (constraints.MaxNorm(1.5), lambda w: max_norm(w, 1.5)),
    (constraints.MaxNorm(1.5, axis=[0, 1]), lambda w: max_norm(w, 1.5, (0, 1))),
    (
        constraints.MinMaxNorm(1.0, 2.0, 0.75, axis=-1),
        lambda w: w * (0.75 * np.clip(norms(w, -1), 1, 2) + 0.25 * norms(w, -1)) / (1e-7 + norms(w, -1)),
    ),
]
IDS = [f"{type(constraint).__name__}-{i}" for i, (constraint, _) in enumerate(CASES)]


@pytest.mark.parametrize(("constraint", "expected"), CASES, ids=IDS)
def test_values_and_configs(constraint, expected):
    np.testing.assert_allclose(constraint(W), expected(W), rtol=1e-12)
    config = json.loads(json.dumps(constraints.serialize(constraint)))
    again = constraints.deserialize(config)
    assert type(again) is type(constraint) and again.get_config() == constraint.get_config()
    np.testing.assert_array_equal(constraints.get(config)(W), constraint(W))


def fit(model, batch_size=3, epochs=4):
    x, y = small_networks.data()
    model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0)
    return model


def constrained(constraint, jit_compile=False, optimizer=None):
    model = jitnet.Sequential(
        [
            jitnet.Input((4,), name="features"),
            layers.Dense(5, "tanh", kernel_constraint=constraint, bias_constraint="non_neg", name="hidden"),
            layers.Dense(3, "softmax", name="probabilities"),
        ],
        name="perceptron",
    )
    model.set_weights(small_networks.initial_weights())
    optimizer = optimizer or optimizers.SGD(0.5, 0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(("constraint", "expected"), CASES, ids=IDS)
def test_steps(constraint, expected, tmp_path):
    x, y = small_networks.data()
    reference, slots = small_networks.Reference(), [{} for _ in range(4)]
    for start in list(range(0, len(x), 3)) * 4:
        part = slice(start, start + 3)
        pairs = zip(reference.weights, reference.gradients(x[part], y[part]), slots, strict=True)
        weights = [naive.sgd(w, g, s, 0, 0.5, 0.9) for w, g, s in pairs]
        reference.weights = [expected(weights[0]), np.maximum(weights[1], 0), *weights[2:]]
    model = fit(constrained(constraint))
    for weight, wanted in zip(model.get_weights(), reference.weights, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-4, atol=1e-5)
    if isinstance(constraint, constraints.MinMaxNorm):
        jitnet.set_num_threads(1)
        assert small_networks.digest(fit(constrained(constraint, jit_compile=True))) == small_networks.digest(model)
        model.save(tmp_path / "constrained.safetensors")
        again = jitnet.load_model(tmp_path / "constrained.safetensors")
        assert again.get_config() == model.get_config()
        assert again.layers[0].kernel.constraint.get_config() == constraint.get_config()
        # a number may be assigned, or a schedule, and the next step reads it
        again.layers[0].kernel_constraint.max_value = 1.5
        again.layers[0].kernel_constraint.rate = 1.0
        found = norms(fit(again, epochs=1).get_weights()[0], -1)
        assert found.max() <= 1.5 + 1e-5 and found.min() >= 1 - 1e-5


def test_with_accumulation_and_in_own_steps():
    class Own(jitnet.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    plain = fit(constrained(constraints.UnitNorm(), optimizer=optimizers.Adam(0.1, gradient_accumulation_steps=2)))
    np.testing.assert_allclose(norms(plain.get_weights()[0], 0), 1, rtol=1e-5)
    source = constrained(lambda w: ops.minimum(w, 0.125))
    model = Own(source.layers, name="perceptron")
    model.compile(optimizers.Adam(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    kernel, bias = fit(model).get_weights()[:2]
    assert kernel.max() == 0.125 and kernel.min() < 0 <= bias.min()


def test_every_layer_takes_them():
    image = jitnet.Input((4, 4, 2))
    norm = constraints.MaxNorm(0.5, axis=[0, 1, 2])
    x = layers.Conv2D(3, 3, kernel_constraint=norm, bias_constraint="non_neg")(image)
    x = layers.BatchNormalization(beta_constraint="non_neg", gamma_constraint=constraints.NonNeg())(x)
    x = layers.DepthwiseConv2D(2, depthwise_constraint=norm, bias_constraint=constraints.NonNeg)(x)
    model = jitnet.Model(image, x)
    found = {v.name.split("/")[1]: type(v.constraint).__name__ for v in model.trainable_weights}
    assert found == {"kernel": "MaxNorm", "bias": "NonNeg", "gamma": "NonNeg", "beta": "NonNeg"}
    assert jitnet.Model.from_config(model.get_config()).get_config() == model.get_config()


def quartic(w):
    return 0.1 * ops.sum(ops.square(ops.square(w)))


class Quartic(regularizers.Regularizer):
    """Made as Keras's are: without the base's constructor."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(ops.square(ops.square(x)))

    def get_config(self):
        return {"factor": self.factor}


@pytest.mark.parametrize("make", [lambda: quartic, lambda: Quartic(0.1)])
def test_regularizers_of_a_users_own(make):
    """Of a class or a function: the loss and its gradients, in a plain step and in one of the user's own."""

    class Own(jitnet.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    x, y = small_networks.data()
    for kind in (jitnet.Sequential, Own):
        model = small_networks.perceptron(optimizers.SGD(0.1), regularizers=(make(), None), metrics=[])
        model = kind(model.layers, name="perceptron")
        model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
        history = model.fit(x, y, batch_size=9, epochs=2, shuffle=False, verbose=0).history
        reference, losses = small_networks.Reference(), []
        for _ in range(2):
            losses.append(reference.losses(x, y)[0].mean() + 0.1 * (reference.weights[0] ** 4).sum())
            gradients = reference.gradients(x, y)
            gradients[0] = gradients[0] + 0.4 * reference.weights[0] ** 3
            reference.weights = [w - 0.1 * g for w, g in zip(reference.weights, gradients, strict=True)]
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
        np.testing.assert_allclose(model.get_weights()[0], reference.weights[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal(mode):
    regularizer = regularizers.OrthogonalRegularizer(0.3, mode)
    rows = W if mode == "rows" else W.T
    pairs = [(i, j) for i in range(len(rows)) for j in range(i)]
    cosines = [abs(rows[i] @ rows[j]) / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j]) for i, j in pairs]
    assert regularizer(W) == pytest.approx(0.3 * np.mean(cosines), rel=1e-12)
    x, y = small_networks.data()
    model = small_networks.perceptron("sgd", regularizers=(regularizer, None), metrics=[])
    initial = regularizer(model.get_weights()[0])
    before = small_networks.Reference().losses(x, y)[0].mean()
    history = model.fit(x, y, batch_size=9, epochs=1, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], before + initial, rtol=1e-5)
    regularizer.factor = 100.0
    after = regularizer(fit(model, epochs=20).get_weights()[0])
    assert after / 100.0 < initial / 0.3 / 2


@pytest.mark.parametrize("regularizer", ["l1_l2", lambda output: 0.02 * ops.sum(ops.square(output))])
def test_activities(regularizer):
    """The penalty of a layer's outputs, divided by the batch, in the loss and in the gradients."""
    x, _ = small_networks.data()
    model = jitnet.Sequential(
        [jitnet.Input((4,)), layers.Dense(3, activity_regularizer=regularizer, name="dense")], name="linear"
    )
    kernel = small_networks.initial_weights()[0][:, :3]
    model.set_weights([kernel, np.zeros(3)])
    model.compile(optimizers.SGD(0.1), "mse", jit_compile=False)
    target = np.zeros((9, 3), "float32")
    l1, l2 = (0.01, 0.01) if regularizer == "l1_l2" else (0.0, 0.02)
    for size in (9, 4):  # the last batch is a part
        history = model.fit(x[:size], target[:size], batch_size=9, shuffle=False, verbose=0).history
        z = x[:size] @ kernel
        expected = (z**2).mean() + (l1 * np.abs(z).sum() + l2 * (z**2).sum()) / size
        np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
        slope = 2 * z / z.size + (l1 * np.sign(z) + 2 * l2 * z) / size
        np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * x[:size].T @ slope, rtol=1e-4, atol=1e-6)
        model.set_weights([kernel, np.zeros(3)])
    # the layer of its own does the same
    own = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3), layers.ActivityRegularization(0.01, 0.01)])
    own.set_weights([kernel, np.zeros(3)])
    own.compile("sgd", "mse", jit_compile=False)
    z = x @ kernel
    expected = (z**2).mean() + 0.01 * (np.abs(z).sum() + (z**2).sum()) / 9
    assert own.evaluate(x, target, batch_size=9, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_errors():
    x, y = small_networks.data()
    for make, message in [
        (lambda: constraints.get("max_nrm"), r"Did you mean 'max_norm'\? Received: constraint='max_nrm'$"),
        (lambda: constraints.get(3), r"Expected a constraint: .* Received: constraint=3$"),
        (lambda: constraints.MaxNorm(-1), r"MaxNorm expects max_value .*not negative. Received: max_value=-1$"),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), r"min_value up to max_value. Received: min_value=2.0, max_value=1"),
        (lambda: constraints.UnitNorm(axis=1.5), r"UnitNorm expects axis to be an integer. Received: axis=1.5$"),
        (lambda: constraints.UnitNorm(axis=[0, 0]), r"UnitNorm expects axis .* Received: axis=\[0, 0\]$"),
        (lambda: constraints.UnitNorm(axis=2)(W), r"UnitNorm: the weight has no such axes. Received: axis=2"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), r"Did you mean 'rows'\? Received: "),
        (lambda: regularizers.OrthogonalRegularizer()(W[:1]), r"at least two rows. Received: shape=\(1, 5\)$"),
        (lambda: fit(constrained(lambda w: ops.sum(w))), r"constraint of hidden/kernel .*Received: shape=\(\)$"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    model = small_networks.perceptron(regularizers=(lambda w: w, None))
    with pytest.raises(ValueError, match=r"The regularizer of hidden/kernel returns a single number"):
        model.fit(x, y, verbose=0)
