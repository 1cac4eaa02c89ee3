"""Training and test steps of users' own: traced once, and run like any other step."""

import numpy as np
import pytest
import small_networks

import jitnet
from jitnet import layers, metrics, ops, optimizers
from jitnet.callbacks import LambdaCallback


class Own(jitnet.Model):
    """The built-in step, written out."""

    def train_step(self, data):
        x, y = data

        def loss_of_batch():
            predictions = self(x, training=True)
            return self.loss(y, predictions), predictions

        variables = self.trainable_variables
        (loss, predictions), gradients = jitnet.value_and_grad(loss_of_batch, has_aux=True, variables=variables)()
        self.optimizer.apply(gradients, variables)
        accuracy = metrics.SparseCategoricalAccuracy()
        accuracy.update_state(y, predictions)
        return {"loss": loss, "accuracy": accuracy.result()}


class Inherited(jitnet.Model):
    def train_step(self, data):
        return super().train_step(data)

    def test_step(self, data):
        return {**super().test_step(data), "largest": ops.max(self(data[0]), axis=-1)}


class WithLoss(jitnet.Model):
    """Twice the loss, by compute_loss alone."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)


def network(kind, optimizer="adam", jit_compile=False, dropout=0.2, **arguments):
    jitnet.utils.set_random_seed(2)
    x = jitnet.Input((small_networks.FEATURES,), name="features")
    hidden = layers.Dense(small_networks.HIDDEN, "tanh", name="hidden")(x)
    hidden = layers.Dropout(dropout, name="dropout")(hidden) if dropout else hidden
    model = kind(x, layers.Dense(small_networks.CLASSES, "softmax", name="probabilities")(hidden), name="network")
    arguments = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **arguments}
    model.compile(optimizer, jit_compile=jit_compile, **arguments)
    return model


FIT = {"batch_size": 4, "epochs": 3, "verbose": 0}  # the last batch of nine samples is a single one


@pytest.mark.parametrize("kind", [Own, Inherited])
def test_the_same_mathematics_gives_the_same_bits(kind):
    x, y = small_networks.data()
    built_in, own = network(jitnet.Model), network(kind)
    expected, found = built_in.fit(x, y, **FIT).history, own.fit(x, y, **FIT).history
    assert small_networks.digest(own) == small_networks.digest(built_in)
    assert list(found) == ["loss", "accuracy"]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-6)
    np.testing.assert_allclose(found["accuracy"], expected["accuracy"], rtol=1e-12)
    assert own.optimizer.iterations == built_in.optimizer.iterations == 9
    # compiled, with one thread
    jitnet.set_num_threads(1)
    compiled = network(kind, jit_compile=True)
    assert compiled.fit(x, y, **FIT).history == found
    assert small_networks.digest(compiled) == small_networks.digest(own)
    # and batch by batch
    by_batch, expected = network(kind), network(kind)
    logs = [by_batch.train_on_batch(x[i : i + 4], y[i : i + 4], return_dict=True) for i in (0, 4, 8)]
    expected.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert small_networks.digest(by_batch) == small_networks.digest(expected)
    assert list(logs[0]) == ["loss", "accuracy"]


def test_inherited_steps_with_sample_weights_penalties_and_momentum():
    x, y = small_networks.data()
    weights = np.linspace(0.5, 2, len(x))
    made = {}
    for kind in (jitnet.Model, Inherited):
        model = made[kind] = network(kind, optimizers.SGD(0.1, momentum=0.9), dropout=0)
        for layer in model.layers[1:]:
            layer.kernel.regularizer = jitnet.regularizers.L2(0.01)
        model.history = model.fit(x, y, sample_weight=weights, **FIT).history
    for one, other in zip(made[Inherited].get_weights(), made[jitnet.Model].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made[Inherited].history["loss"], made[jitnet.Model].history["loss"], rtol=1e-5)
    found, expected = (made[kind].evaluate(x, y, verbose=0, return_dict=True) for kind in (Inherited, jitnet.Model))
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["largest"], made[Inherited].predict(x, verbose=0).max(axis=1).mean(), rtol=1e-6)


def test_compute_loss_alone():
    x, y = small_networks.data()
    twice = network(WithLoss, optimizers.SGD(0.1), dropout=0)
    once = network(jitnet.Model, optimizers.SGD(0.2), dropout=0)
    found, expected = twice.fit(x, y, **FIT).history, once.fit(x, y, **FIT).history
    np.testing.assert_allclose(found["loss"], 2 * np.array(expected["loss"]), rtol=1e-5)
    for one, other in zip(twice.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twice.evaluate(x, y, verbose=0)[0], 2 * once.evaluate(x, y, verbose=0)[0], rtol=1e-5)


def test_validation_and_callbacks():
    x, y = small_networks.data()
    seen = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, list(logs))))
    model = network(Own, dropout=0)
    history = model.fit(x, y, validation_split=0.3, callbacks=[callback], **FIT).history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert seen == [(0, ["loss", "accuracy"]), (1, ["loss", "accuracy"])] * 3
    again = network(Own, dropout=0)
    other = again.fit(x[:6], y[:6], validation_data=(x[6:], y[6:]), **FIT).history
    assert other == history
    np.testing.assert_allclose(history["val_loss"][-1], again.evaluate(x[6:], y[6:], verbose=0)[0], rtol=1e-6)


class Two(jitnet.Model):
    """A discriminator and a generator of one number each, with optimizers of their own."""

    def __init__(self, generator, discriminator):
        super().__init__(name="two")
        self.generator, self.discriminator = generator, discriminator

    def compile(self, generator_optimizer, discriminator_optimizer, **arguments):
        super().compile(**arguments)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer

    def train_step(self, data):
        latent, real = data
        fake = self.generator(latent, training=True)

        def of_discriminator():
            right = ops.softplus(-self.discriminator(real)) + ops.softplus(self.discriminator(fake))
            return ops.mean(right)

        variables = self.discriminator.trainable_variables
        d_loss, gradients = jitnet.value_and_grad(of_discriminator, variables=variables)()
        self.discriminator_optimizer.apply(gradients, variables)

        def of_generator():
            return ops.mean(ops.softplus(-self.discriminator(self.generator(latent))))

        variables = self.generator.trainable_variables
        g_loss, gradients = jitnet.value_and_grad(of_generator, variables=variables)()
        self.generator_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def two_networks(jit_compile):
    jitnet.utils.set_random_seed(1)
    generator = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2, name="made")], name="generator")
    parts = [jitnet.Input((2,)), layers.Dense(4, "tanh", name="seen"), layers.Dense(1, name="judged")]
    model = Two(generator, jitnet.Sequential(parts, name="discriminator"))
    model.compile(optimizers.SGD(0.5, momentum=0.5), optimizers.Adam(0.05), jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
def test_two_networks_updated_one_after_the_other(jit_compile):
    torch = pytest.importorskip("torch")
    model = two_networks(jit_compile)
    generator = np.random.default_rng(6)
    latent, real = (generator.standard_normal((20, size), np.float32) for size in (3, 2))
    weights = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in model.get_weights()]
    w, b, *judges = weights
    sgd = torch.optim.SGD([w, b], 0.5, momentum=0.5)
    adam = torch.optim.Adam(judges, 0.05, eps=1e-7)
    softplus = torch.nn.functional.softplus

    def judge(x):
        return torch.tanh(x @ judges[0] + judges[1]) @ judges[2] + judges[3]

    expected = []
    for _ in range(3):
        z, x = (torch.tensor(a, dtype=torch.float64) for a in (latent, real))
        d_loss = (softplus(-judge(x)) + softplus(judge(z @ w + b))).mean()
        adam.zero_grad()
        d_loss.backward()
        adam.step()
        g_loss = softplus(-judge(z @ w + b)).mean()  # of the updated discriminator
        sgd.zero_grad()
        g_loss.backward()
        sgd.step()
        expected.append((d_loss.item(), g_loss.item()))
    history = model.fit(latent, real, batch_size=20, epochs=3, shuffle=False, verbose=0).history
    found = list(zip(history["d_loss"], history["g_loss"], strict=True))
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    for weight, tensor in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(weight, tensor.detach(), rtol=2e-3, atol=1e-4)
    assert model.generator_optimizer.iterations == model.discriminator_optimizer.iterations == 3


class Noisy(layers.Layer):
    """Adds random numbers in training, and a penalty of what comes in."""

    def __init__(self, factor=0.01, **arguments):
        super().__init__(**arguments)
        self._factor = factor

    def call(self, inputs, training=False):
        self.add_loss(self._factor * ops.mean(ops.square(inputs)))
        return inputs + 0.1 * jitnet.random.normal(ops.shape(inputs)) if training else inputs


class Counting(jitnet.Model):
    """Counts steps and sums up samples in variables of its own."""

    def build(self, input_shape):
        self.steps = self.add_weight((), "zeros", trainable=False, name="steps")
        self.total = self.add_weight((2,), "zeros", trainable=False, name="total")
        self.noise = self.add_weight((2,), "zeros", trainable=False, name="noise")

    def train_step(self, data):
        if not self.built:
            self.build(None)
            self.built = True
        self.steps.assign(self.steps + 1)
        self.total.assign(self.total + ops.sum(data, axis=0))
        before = self.total * 1.0
        self.total.assign(self.total * 0.5)
        self.noise.assign(jitnet.random.uniform((2,)))
        return {"steps": self.steps * 1.0, "before": ops.sum(before), "samples": ops.sum(data, axis=-1)}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_variables_that_a_step_assigns(jit_compile):
    x = np.arange(18, dtype=np.float32).reshape(9, 2)
    model = Counting(name="counting")
    model.compile(jit_compile=jit_compile)
    noise = []
    for _ in range(2):
        history = model.fit(x, batch_size=4, shuffle=False, verbose=0).history
        noise.append(model.noise.numpy())
    assert (noise[0] != noise[1]).all() and ((noise[0] >= 0) & (noise[0] < 1)).all()
    total, before = np.zeros(2), []
    for _ in range(2):
        before = []
        for start in (0, 4, 8):
            total = total + x[start : start + 4].sum(axis=0)
            before.append(total.sum())
            total = total / 2
    assert model.steps.numpy() == 6
    np.testing.assert_allclose(model.total.numpy(), total, rtol=1e-6)
    # numbers of steps count as their samples do
    np.testing.assert_allclose(history["before"], [np.average(before, weights=[4, 4, 1])], rtol=1e-6)
    np.testing.assert_allclose(history["steps"], [np.average([4, 5, 6], weights=[4, 4, 1])], rtol=1e-6)
    np.testing.assert_allclose(history["samples"], [x.sum(axis=1).mean()], rtol=1e-6)


def penalised(kind):
    jitnet.utils.set_random_seed(3)
    if kind == "subclassed":

        class Subclassed(jitnet.Model):
            def __init__(self):
                super().__init__(name="penalised")
                self.first, self.noisy, self.last = layers.Dense(3, "tanh"), Noisy(), layers.Dense(1)

            def call(self, inputs):
                return self.last(self.noisy(self.first(inputs)))

        return Subclassed()
    if kind == "nested":
        inner = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3, "tanh"), Noisy()], name="inner")
        return jitnet.Sequential([jitnet.Input((4,)), inner, layers.Dense(1)], name="penalised")
    x = jitnet.Input((4,))
    y = layers.Dense(1)(Noisy()(layers.Dense(3, "tanh")(x)))
    return (Inherited if kind == "own step" else jitnet.Model)(x, y, name="penalised")


@pytest.mark.parametrize("kind", ["functional", "subclassed", "nested", "own step"])
def test_losses_that_layers_add(kind):
    x, _ = small_networks.data()
    y = x[:, :1]
    digests = []
    for threads in (1, 2):
        jitnet.set_num_threads(threads)
        model = penalised(kind)
        model.compile(optimizers.SGD(0.1), "mse", jit_compile=threads == 1)
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        digests.append(small_networks.digest(model))
    assert digests[0] == digests[1]
    kernel, bias, last, last_bias = (w.astype(float) for w in model.get_weights())
    hidden = np.tanh(x @ kernel + bias)
    expected = np.square(hidden @ last + last_bias - y).mean() + 0.01 * np.square(hidden).mean()
    found = model.evaluate(x, y, batch_size=9, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    # the gradient of the penalty counts: without it the weights become others
    other = penalised(kind)
    for layer in other._parts():
        if isinstance(layer, Noisy):
            layer._factor = 0.0
    other.compile(optimizers.SGD(0.1), "mse", jit_compile=False)
    other.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert not np.allclose(other.get_weights()[0], model.get_weights()[0], rtol=1e-5)


class Returning(jitnet.Model):
    def __init__(self, x, y, function):
        super().__init__(x, y, name="network")
        self._function = function

    def train_step(self, data):
        return self._function(self, data)


def test_errors():
    x, y = small_networks.data()

    def fit(function, compiled=True, **arguments):
        inputs = jitnet.Input((small_networks.FEATURES,), name="features")
        model = Returning(inputs, layers.Dense(2)(inputs), function)
        if compiled:
            model.compile("sgd")
        model.fit(x, y, verbose=0, **arguments)

    with pytest.raises(TypeError, match=r"Returning.train_step returns a dict of logs by name. Received: None"):
        fit(lambda model, data: None)
    with pytest.raises(ValueError, match=r"The log 'x' is a single number.*Received: \(4,\)"):
        fit(lambda model, data: {"x": ops.sum(data[0], axis=0)})
    with pytest.raises(ValueError, match=r"The log 'x' is a single number.*Received: float"):
        fit(lambda model, data: {"x": 3.0})
    with pytest.raises(ValueError, match=r"gradient for each of 2 variables. Received: 1 gradients"):
        fit(lambda model, data: model.optimizer.apply(model.weights[:1], model.weights))
    with pytest.raises(ValueError, match=r"has its shape, \(4, 2\). Received: shape=\(2,\)"):
        fit(lambda model, data: model.optimizer.apply(model.weights[::-1], model.weights))
    with pytest.raises(ValueError, match=r"has no loss: pass one to compile, or compute one in train_step"):
        fit(lambda model, data: jitnet.Model.train_step(model, data))
    with pytest.raises(ValueError, match=r"is assigned a value of shape \(2,\)"):
        fit(lambda model, data: model.weights[1].assign(model.weights[0]))
    with pytest.raises(ValueError, match=r"needs a call of model.compile before fit"):
        fit(lambda model, data: {}, compiled=False)
    with pytest.raises(ValueError, match=r"pass sample_weight, which it is given. Received: class_weight="):
        fit(lambda model, data: {}, class_weight={0: 1.0})
    with pytest.raises(ValueError, match=r"y needs 9 samples, as its x has"):
        inputs = jitnet.Input((4,))
        model = Returning(inputs, layers.Dense(2)(inputs), None)
        model.compile()
        model.fit(x, y[:5], verbose=0)
    with pytest.raises(ValueError, match=r"changes something when a step runs: it belongs into a model's train_step"):
        optimizers.SGD().apply(model.weights, model.weights)
    with pytest.raises(ValueError, match=r"dense.*/kernel has changed since the loss was computed with it.*of matmul"):
        fit(after_update)
    with pytest.raises(ValueError, match=r"needs the loss: optimizer.apply"):
        fit(lambda model, data: needing_loss(model))


def after_update(model, data):
    """Takes gradients of what was computed before an update."""
    predictions = model(data[0])
    for _ in range(2):
        loss, gradients = jitnet.value_and_grad(lambda: ops.mean(ops.square(predictions)), variables=model.weights)()
        model.optimizer.apply(gradients, model.weights)
    return {"loss": loss}


def needing_loss(model):
    class Eve(optimizers.Optimizer):
        def update(self, parameter, gradient, loss):
            return parameter - loss * gradient

    Eve().apply(model.weights, model.weights)
    return {}


class Twice(jitnet.Model):
    """Two steps on each batch."""

    def train_step(self, data):
        x, y = data
        losses = []
        for _ in range(2):
            loss, gradients = jitnet.value_and_grad(
                lambda: self.loss(y, self(x, training=True)), variables=self.trainable_variables
            )()
            self.optimizer.apply(gradients, self.trainable_variables)
            losses.append(loss)
        return {"first": losses[0], "second": losses[1]}


def images_network(kind):
    jitnet.utils.set_random_seed(5)
    x = y = jitnet.Input((6, 5, 2), name="images")
    for number, filters in enumerate((16, 16)):
        y = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"convolution_{number}")(y)
    y = layers.MaxPooling2D(2, name="pooling")(y)
    y = layers.Dense(8, "relu", name="hidden")(layers.Flatten(name="flatten")(y))
    model = kind(x, layers.Dense(small_networks.CLASSES, "softmax", name="probabilities")(y), name="network")
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    return model


def test_weights_that_change_within_a_step():
    # copies of weights for the backward pass (transposed, transformed) follow
    x, y = small_networks.images()
    twice, once = images_network(Twice), images_network(jitnet.Model)
    history = twice.fit(x, y, batch_size=len(x), epochs=2, shuffle=False, verbose=0).history
    expected = once.fit(x, y, batch_size=len(x), epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(np.stack([history["first"], history["second"]], 1).ravel(), expected, rtol=1e-5)
    for one, other in zip(twice.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_structures_of_data_and_an_optimizer_that_gets_momentum():
    x, y = small_networks.data()
    inputs = jitnet.Input((small_networks.FEATURES,), name="features")
    model = Returning(inputs, layers.Dense(2, name="dense")(inputs), None)
    model.compile(optimizers.SGD(0.1), jit_compile=False)
    structures = []
    model._function = lambda model, data: structures.append(data) or {"loss": ops.sum(data[-1])}
    model.fit({"features": x, "labels": y}, sample_weight=np.ones(9), batch_size=9, verbose=0)
    ((inputs, targets, weights),) = structures
    assert inputs["features"].shape == (None, 4) and inputs["labels"].dtype == "int64" and targets is None
    assert weights.shape == (None,)

    # targets are shaped as for the built-in step; a step can be shown, measured and compiled ahead of time
    model = network(Inherited, dropout=0)
    with pytest.raises(ValueError, match=r"traced with data: call fit or train_on_batch first"):
        jitnet.warmup(model)
    digests = []
    for labels in (y, y[:, None], y.astype(np.float32)):
        model = network(Inherited, dropout=0)
        model.fit(x, labels, **FIT)
        model.evaluate(x, labels, verbose=0)
        digests.append(small_networks.digest(model))
    assert len(set(digests)) == 1
    jitnet.warmup(model)
    assert small_networks.digest(model) == digests[0]
    lines = []
    model.summary(print_fn=lines.append)
    assert any("Training step: plain" in line for line in lines)
    model.profile(x, y, repeat=1, print_fn=lines.append)
    assert any("sparse_softmax_cross_entropy_forward" in line for line in lines)

    own, built_in = network(Own, optimizers.SGD(0.1), dropout=0), network(jitnet.Model, optimizers.SGD(0.1), dropout=0)
    for model in (own, built_in):
        model.fit(x, y, **FIT)
        model.optimizer.momentum = 0.9
        model.fit(x, y, **FIT)
        assert "sgd_momentum_update" in model.step_source()
    assert small_networks.digest(own) == small_networks.digest(built_in)


def test_losses_of_layers_and_weights():
    class Added(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * ops.mean(ops.square(inputs)))
            return inputs

    class Summing(jitnet.Model):
        def train_step(self, data):
            x, y = data

            def objective():
                predictions = self(x, training=True)
                assert len(self.losses) == 2
                return self.loss(y, predictions) + sum(self.losses)

            loss, gradients = jitnet.value_and_grad(objective, variables=self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    x, y = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3), np.ones((8, 2), np.float32)
    found = []
    for kind in (Summing, jitnet.Model):
        jitnet.utils.set_random_seed(2)
        inputs = jitnet.Input((3,), name="features")
        model = kind(inputs, layers.Dense(2, kernel_regularizer="l2", name="out")(Added(name="added")(inputs)))
        model.compile("sgd", "mse")
        found.append(model.fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-6)
    model(x)  # what is read outside of a step is of the last call on arrays
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(model.losses, [0.1 * np.mean(x**2), 0.01 * np.sum(kernel**2)], rtol=1e-5)
