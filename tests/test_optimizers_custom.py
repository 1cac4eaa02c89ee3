"""Optimizers that are written in operations, gradient accumulation and moving averages, against NumPy step by step."""

import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import ops, optimizers

Reference = small_networks.Reference
BATCH, EPOCHS = 3, 2
STEPS = EPOCHS * small_networks.SAMPLES // BATCH


class LAMB(optimizers.Optimizer):
    """You et al. 2020, algorithm 2: a step as long as the parameter, in Adam's direction."""

    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    own_slots = ("m", "v")

    def __init__(self, learning_rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-6, **options):
        super().__init__(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **options)

    def update(self, parameter, gradient, m, v, learning_rate, beta_1, beta_2, epsilon, step):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * ops.square(gradient)
        direction = (m / (1 - beta_1**step)) / (ops.sqrt(v / (1 - beta_2**step)) + epsilon)
        length = ops.sqrt(ops.sum(ops.square(parameter)))
        return parameter - learning_rate * length / ops.sqrt(ops.sum(ops.square(direction))) * direction, m, v


def lamb(w, g, slots, t, learning_rate):
    m, v = slots.get("m", 0), slots.get("v", 0)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    direction = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
    slots.update(m=m, v=v)
    return w - learning_rate * np.linalg.norm(w) / np.linalg.norm(direction) * direction


class Muon(optimizers.Optimizer):
    """Jordan et al. 2024: momentum, made orthogonal by Newton-Schulz iterations; plain momentum for vectors."""

    hyperparameter_names = ("learning_rate", "momentum")
    own_slots = ("velocity",)

    def __init__(self, learning_rate=0.05, momentum=0.9, **options):
        super().__init__(learning_rate=learning_rate, momentum=momentum, **options)

    def update(self, parameter, gradient, velocity, learning_rate, momentum):
        velocity = momentum * velocity + gradient
        if len(parameter.shape) < 2:
            return parameter - learning_rate * velocity, velocity
        x = velocity / (ops.sqrt(ops.sum(ops.square(velocity))) + 1e-7)
        for _ in range(5):
            a = ops.matmul(x, ops.transpose(x, (1, 0)))
            x = 3.4445 * x + ops.matmul(-4.775 * a + 2.0315 * ops.matmul(a, a), x)
        return parameter - learning_rate * x, velocity


def muon(w, g, slots, t, learning_rate):
    velocity = slots["velocity"] = 0.9 * slots.get("velocity", 0) + g
    if w.ndim < 2:
        return w - learning_rate * velocity
    x = velocity / np.linalg.norm(velocity)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return w - learning_rate * x


class Lion(optimizers.Optimizer):
    """Chen et al. 2023: a function of single elements."""

    hyperparameter_names = ("learning_rate", "beta_1", "beta_2")
    own_slots = ("m",)

    def __init__(self, learning_rate=0.01, beta_1=0.9, beta_2=0.99, **options):
        super().__init__(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, **options)

    def update(self, parameter, gradient, m, learning_rate, beta_1, beta_2):
        direction = ops.sign(beta_1 * m + (1 - beta_1) * gradient)
        return parameter - learning_rate * direction, beta_2 * m + (1 - beta_2) * gradient


def lion(w, g, slots, t, learning_rate):
    m = slots.get("m", 0)
    slots["m"] = 0.99 * m + 0.01 * g
    return w - learning_rate * np.sign(0.9 * m + 0.1 * g)


class Polyak(optimizers.Optimizer):
    """A step that would make the loss zero if it were linear in each parameter: it needs the loss."""

    def update(self, parameter, gradient, loss):
        return parameter - 0.1 * loss / (ops.sum(ops.square(gradient)) + 1e-3) * gradient


def train(update, rate=None, batch=BATCH, epochs=EPOCHS, every=1):
    """Weights after a training in NumPy, one step after the other, and all weights on the way."""
    x, y = small_networks.data()
    reference, slots, path, waiting = Reference(), [{} for _ in range(4)], [], [0.0] * 4
    steps = [slice(i, i + batch) for i in range(0, len(x), batch)] * epochs
    for number, part in enumerate(steps, 1):
        gradients = reference.gradients(x[part], y[part])
        waiting = [w + g / every for w, g in zip(waiting, gradients, strict=True)]
        if number % every == 0:
            step = number // every
            rates = rate(step - 1) if callable(rate) else rate
            reference.weights = [
                update(w, g, s, step, rates) for w, g, s in zip(reference.weights, waiting, slots, strict=True)
            ]
            waiting = [0.0] * 4
        path.append([w.copy() for w in reference.weights])
    return path


def fit(optimizer, jit_compile=False, batch_size=BATCH, epochs=EPOCHS, **arguments):
    x, y = small_networks.data()
    model = small_networks.perceptron(optimizer, jit_compile=jit_compile, metrics=[])
    model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, **arguments)
    return model


def assert_weights(model, expected, tolerance=2e-5):
    for weight, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("optimizer", "function", "rate", "tolerance"),
    [(LAMB, lamb, 0.1, 2e-5), (Muon, muon, 0.05, 2e-4), (Lion, lion, 0.01, 1e-6)],
)
def test_in_operations_against_numpy(optimizer, function, rate, tolerance, tmp_path):
    path = train(function, rate)
    model = fit(optimizer(rate))
    assert_weights(model, path[-1], tolerance)
    assert model.optimizer.iterations == STEPS
    # compiled and with one thread the same bits
    jitnet.set_num_threads(1)
    compiled = fit(optimizer(rate), jit_compile=True)
    assert small_networks.digest(compiled) == small_networks.digest(model)
    # hyperparameters are read in every step; a saved state is gone on from
    half = fit(optimizer(0.5), epochs=0)
    half.optimizer.learning_rate = rate
    x, y = small_networks.data()
    half.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    half.save(tmp_path / "half.safetensors")
    again = jitnet.load_model(tmp_path / "half.safetensors", custom_objects={optimizer.__name__: optimizer})
    assert again.optimizer.iterations == STEPS // 2
    assert type(again.optimizer) is optimizer and again.optimizer.get_config() == half.optimizer.get_config()
    again.fit(x, y, batch_size=BATCH, epochs=2, initial_epoch=1, shuffle=False, verbose=0)
    assert small_networks.digest(again) == small_networks.digest(model)


class Given(jitnet.Sequential):
    """A step of the user's own that passes on the loss."""

    def train_step(self, data):
        return super().train_step(data)


def test_an_optimizer_that_needs_the_loss():
    x, y = small_networks.data()
    reference = Reference()
    plain = small_networks.perceptron()
    for model in (plain, Given(plain.layers, name="perceptron")):
        model.set_weights(small_networks.initial_weights())
        reference.weights = small_networks.initial_weights()
        model.compile(Polyak(), "sparse_categorical_crossentropy", jit_compile=False)
        model.fit(x, y, batch_size=9, epochs=2, shuffle=False, verbose=0)
        for _ in range(2):
            loss = reference.losses(x, y)[0].mean()
            gradients = reference.gradients(x, y)
            reference.weights = [
                w - 0.1 * loss / ((g**2).sum() + 1e-3) * g for w, g in zip(reference.weights, gradients, strict=True)
            ]
        assert_weights(model, reference.weights)


def sgd(w, g, slots, t, learning_rate):
    return w - learning_rate * g


def test_gradient_accumulation():
    # three batches of three are one of nine
    accumulated = fit(optimizers.Adam(0.1, gradient_accumulation_steps=3), epochs=4)
    whole = fit(optimizers.Adam(0.1), batch_size=9, epochs=4)
    assert accumulated.optimizer.iterations == 3 * whole.optimizer.iterations == 12
    assert_weights(accumulated, whole.get_weights())
    jitnet.set_num_threads(1)
    compiled = fit(optimizers.Adam(0.1, gradient_accumulation_steps=3), jit_compile=True, epochs=4)
    assert small_networks.digest(compiled) == small_networks.digest(accumulated)
    # schedules and optimizers in operations count updates; what is left over waits for the next epoch
    decay = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    rate = lambda step: 0.5 * 0.5**step  # noqa: E731
    model = fit(optimizers.SGD(decay, gradient_accumulation_steps=2))
    assert_weights(model, train(sgd, rate, every=2)[-1])
    assert float(model.optimizer.learning_rate) == pytest.approx(rate(3))
    assert_weights(fit(LAMB(0.1, gradient_accumulation_steps=2)), train(lamb, 0.1, every=2)[-1])


def averages(path, momentum):
    average = path[0]  # as in Keras
    for weights in path[1:]:
        average = [momentum * a + (1 - momentum) * w for a, w in zip(average, weights, strict=True)]
    return average


def average_of(model):
    state = model.optimizer.state()
    return [state["average", v] for v in model.trainable_variables]


def test_moving_averages(tmp_path):
    path = train(sgd, 0.3)
    model = fit(optimizers.SGD(0.3, use_ema=True, ema_momentum=0.6))
    assert_weights(model, path[-1])
    for found, expected in zip(average_of(model), averages(path, 0.6), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "averaged.safetensors")
    again = jitnet.load_model(tmp_path / "averaged.safetensors")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for found, expected in zip(average_of(again), average_of(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    # it may be assigned at any time
    again.optimizer.ema_momentum = 0.0
    x, y = small_networks.data()
    again.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    for found, weight in zip(average_of(again), again.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_averages_that_replace_the_weights(jit_compile):
    x, y = small_networks.data()
    reference, average = Reference(), None
    for number in range(1, STEPS + 1):
        part = slice((number - 1) * BATCH % len(x), ((number - 1) * BATCH) % len(x) + BATCH)
        gradients = reference.gradients(x[part], y[part])
        reference.weights = [w - 0.3 * g for w, g in zip(reference.weights, gradients, strict=True)]
        pairs = zip(average or reference.weights, reference.weights, strict=True)
        average = [0.6 * a + 0.4 * w if number > 1 else w for a, w in pairs]
        if number % 2 == 0:
            reference.weights = average
    model = fit(optimizers.SGD(0.3, use_ema=True, ema_momentum=0.6, ema_overwrite_frequency=2), jit_compile)
    assert_weights(model, reference.weights)


def test_errors():
    class TooFew(Lion):
        def update(self, parameter, gradient, m):
            return parameter

    class OtherShape(Lion):
        def update(self, parameter, gradient, m):
            return ops.sum(parameter), m

    class NoNumbers(optimizers.Optimizer):
        hyperparameter_names = ("learning_rate", "decay")

        def __init__(self):
            super().__init__(learning_rate=0.1)

    with pytest.raises(ValueError, match=r"TooFew.update returns 2 values: parameter, m. Received: 1"):
        fit(TooFew())
    with pytest.raises(ValueError, match=r"OtherShape.update returns parameter of shape \(4, 5\). Received: shape=\("):
        fit(OtherShape())
    with pytest.raises(TypeError, match=r"NoNumbers passes its hyperparameters to Optimizer.__init__. Missing: decay"):
        NoNumbers()
    with pytest.raises(TypeError, match=r"Optimizer needs a function or an update method"):
        fit(optimizers.Optimizer())
    with pytest.raises(ValueError, match=r"gradient_accumulation_steps.*Received: gradient_accumulation_steps=1"):
        optimizers.SGD(gradient_accumulation_steps=1)
    with pytest.raises(ValueError, match=r"ema_momentum"):
        optimizers.SGD(use_ema=True, ema_momentum=-1)
