"""Batches joined along the batch axis: each operation does the same as with one batch of as many samples."""

import itertools

import numpy as np
import pytest
from graphs import Case, Graphs
from operation_cases import suite
from small_networks import digest

import jitnet
from jitnet import layers, ops
from jitnet.core.values import placeholder
from jitnet.targets.cpu import thresholds
from jitnet.targets.reference import Reference

BATCH = 5
# they are made for one batch, whatever they are combined with, or take an index that would not take a part
REFUSED = {"rows of a variable", "rows that are kept", "index, all", "broadcast_to", "full"}


def joined(case):
    """A case of two inputs for each, joined, whose results stand side by side."""
    count = len(case.inputs)

    def function(*given):
        both = [ops.concatenate(given[2 * i : 2 * i + 2], axis=0) for i in range(count)]
        return ops.stack(ops.split(case.function(*both, *given[2 * count :]), 2), axis=1)

    return Case(case.name, function, tuple(d for d in case.inputs for _ in range(2)), case.variables)


@pytest.mark.parametrize("group", suite.groups)
def test_every_operation(group):
    cases = [case for case in suite.groups[group] if case.name not in REFUSED]
    plain, twins = Graphs(cases, "float64", target=Reference()), {case: joined(case) for case in cases}
    both = Graphs(twins.values(), "float64", target=Reference())
    arrays, gradients = plain.draw(2 * BATCH)
    halves, of_halves = {}, {}
    for case, twin in twins.items():
        count = len(case.inputs)
        for i in range(count):
            for half in range(2):
                halves[twin, 2 * i + half] = np.ascontiguousarray(arrays[case, i][half::2])
        halves |= {(twin, 2 * count + i): arrays[case, count + i] for i in range(len(case.variables))}
        if case in gradients:
            of_halves[twin] = np.stack([gradients[case][0::2], gradients[case][1::2]], axis=1)
    expected = plain.run(arrays, gradients, reference=True)
    found = both.run(halves, of_halves, reference=True)
    for case, twin in twins.items():
        count, one, two = len(case.inputs), expected[case], found[twin]
        np.testing.assert_allclose(two.output.reshape(one.output.shape), one.output, rtol=1e-12, err_msg=case.name)
        for i, gradient in enumerate(one.gradients):
            if gradient is None:
                continue
            own = two.gradients[2 * count + i - count] if i >= count else None
            if own is None:
                own = np.stack(two.gradients[2 * i : 2 * i + 2], axis=1).reshape(gradient.shape)
            np.testing.assert_allclose(own, gradient, rtol=1e-11, atol=1e-12, err_msg=case.name)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_for_one_batch_is_refused(name):
    (case,) = [case for case in suite.cases if case.name == name]
    message = r"takes tensors of equally many samples|works on one batch|x\[:\] of a tensor that joins several batches"
    with pytest.raises(ValueError, match=message):
        Graphs([joined(case)], "float64", target=Reference())


# ---- in a train_step


def discriminator():
    parts = [layers.Conv2D(8, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.LeakyReLU(0.2)]
    parts += [layers.MaxPooling2D(2), layers.Conv2D(8, 3), layers.LeakyReLU(0.2), layers.Flatten(), layers.Dense(1)]
    return jitnet.Sequential([jitnet.Input((8, 8, 2)), *parts])


class Adversary(jitnet.Model):
    """Tells real pictures from noise, in one batch of both."""

    noise = layers.Dropout(0.3, seed=3)

    def __init__(self):
        super().__init__()
        self.network = discriminator()
        self.right = jitnet.metrics.BinaryAccuracy(threshold=0.0, name="right")
        self.mean = jitnet.metrics.Mean(name="mean")

    @property
    def metrics(self):
        return [self.right, self.mean]

    def train_step(self, data):
        real, fake = data
        both = ops.concatenate([real, fake], axis=0)
        samples = ops.shape(real)[0]
        labels = ops.concatenate([ops.ones((samples, 1)), ops.zeros((samples, 1))], axis=0)

        def objective():
            given = self.noise(both, training=True) if self.noisy else both
            scores = self.network(given, training=True)
            self.right.update_state(labels, scores)
            self.mean.update_state(scores[:samples] - scores[samples:])
            return jitnet.losses.BinaryCrossentropy(from_logits=True)(labels, scores)

        variables = self.network.trainable_variables
        loss, gradients = jitnet.value_and_grad(objective, variables=variables)()
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss, "right": self.right.result(), "mean": self.mean.result()}


def pictures(samples):
    generator = np.random.default_rng(samples)
    return [generator.normal(loc, 1, (samples, 8, 8, 2)).astype("float32") for loc in (0.2, -0.2)]


def trained(samples, noisy=False, **arguments):
    jitnet.utils.set_random_seed(4)
    model = Adversary()
    model.noisy = noisy
    model.compile(jitnet.optimizers.SGD(0.05), **arguments)
    history = model.fit(*pictures(samples), batch_size=8, epochs=2, shuffle=False, verbose=0).history
    return model, history


def test_a_step_does_what_one_with_the_whole_batch_does():
    model, history = trained(16)
    jitnet.utils.set_random_seed(4)
    network = discriminator()
    network.compile(
        jitnet.optimizers.SGD(0.05), jitnet.losses.BinaryCrossentropy(from_logits=True),
        metrics=[jitnet.metrics.BinaryAccuracy(threshold=0.0, name="right")],
    )  # fmt: skip
    real, fake = pictures(16)
    x = np.concatenate([real[:8], fake[:8], real[8:], fake[8:]])
    labels = np.tile(np.repeat([1.0, 0.0], 8), 2)[:, None]
    expected = network.fit(x, labels, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["right"], expected["right"], rtol=1e-6)
    for one, two in zip(model.network.weights, network.weights, strict=True):
        np.testing.assert_allclose(one.value, two.value, rtol=1e-4, atol=1e-6, err_msg=one.name)


def test_any_number_of_threads_and_both_modes(monkeypatch):
    for threshold in ("PARALLEL_WORK", "SINGLE_CHUNK_WORK", "WORK_PER_COPIED_BYTE"):
        monkeypatch.setattr(thresholds, threshold, 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    for threshold in ("ROWS_PER_CHUNK", "ROWS_PER_HEAVY_CHUNK"):
        monkeypatch.setattr(thresholds, threshold, 2)
    digests = set()
    for mode, threads in itertools.product((False, True), (1, 2, 3)):
        jitnet.set_num_threads(threads)
        model, history = trained(21, noisy=True, jit_compile=mode)
        digests.add((digest(model.network), history["mean"][-1]))
    assert len(digests) == 1


# ---- in a functional model


def siamese():
    """One branch for both inputs at once, with the batch's statistics of both."""
    a, b = jitnet.Input((4,), name="a"), jitnet.Input((4,), name="b")
    both = layers.Concatenate(axis=0)([a, b])
    both = layers.Dense(3)(layers.BatchNormalization()(both))
    one, two = ops.split(both, 2)
    return jitnet.Model([a, b], ops.sum(ops.square(one - two), axis=-1, keepdims=True))


def test_a_functional_model(tmp_path):
    model = siamese()
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=(23, 4)).astype("float32") for _ in range(2))
    model.compile("adam", "mse")
    model.fit([a, b], np.ones((23, 1), "float32"), batch_size=8, verbose=0)
    gamma, _, mean, variance, kernel, _ = model.get_weights()
    one, two = ((x - mean) / np.sqrt(variance + 1e-3) * gamma @ kernel for x in (a, b))
    found = model.predict([a, b], verbose=0)
    np.testing.assert_allclose(found, np.square(one - two).sum(-1, keepdims=True), rtol=1e-4)
    model.save(tmp_path / "model.safetensors")
    again = jitnet.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict([a, b], verbose=0), found)


# ---- parts, and what is refused


def given():
    x = [placeholder("x", (3,)) for _ in range(3)]
    return ops.shape(x[0])[0], ops.concatenate(x, axis=0), x[0]


def test_parts_of_the_batch_axis():
    n, x, one = given()
    found = x[:n], x[n:], x[n : 2 * n], x[-n:], x[: n + n, 1], ops.split(x, [n])[1], ops.split(x, 3)[2]
    assert [part.batches for part in found] == [1, 2, 1, 1, 2, 2, 1]
    assert found[4].shape == (None,)
    assert one[:n] is one
    assert x[: 3 * n] is x
    assert ops.tile(one, (2, 1)).batches == 2
    assert ops.vstack([one, x]).batches == 4
    assert ops.append(one, one, axis=0).batches == 2
    assert ops.zeros(ops.shape(x)).batches == ops.zeros_like(x).batches == ops.ones((3 * n, 2)).batches == 3
    assert jitnet.random.normal((2 * n // 2, 3)).batches == 1
    assert ops.shape(x) == (None, 3)


def test_the_size_of_a_batch_is_a_number():
    def function(x):
        n = ops.shape(ops.concatenate([x, x], axis=0))[0]
        return ops.sum(x, axis=0) / n + ops.cast(n, "float32")

    x = np.arange(12, dtype="float32").reshape(4, 3)
    from jitnet.eager import evaluate_function

    np.testing.assert_allclose(evaluate_function(function, x), x.sum(0) / 8 + 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, x, one: x + one, r"^add takes tensors of equally many samples.*tensors of 1 batch and 3 b"),
        (lambda n, x, one: x[:2], r"first and whole|begins and ends at multiples"),
        (lambda n, x, one: x[: 4 * n], r"multiples of a batch's size.*this joins 3"),
        (lambda n, x, one: one[n:], r"joins 1 batches has samples"),
        (lambda n, x, one: x[n:n], r"joins 3 batches has samples"),
        (lambda n, x, one: x[: one.shape[0]], r"not x\.shape\[0\], which is None\. Received: index=slice"),
        (lambda n, x, one: ops.split(x, 2), r"a number of parts that divides 3: .*Received: indices_or_sections=2$"),
        (lambda n, x, one: ops.split(x, [4]), r"multiples of a batch's size.*Received: index=4$"),
        (lambda n, x, one: ops.reshape(x, (n, 3)), r"keeps the batch axis.*Received: newshape=\(None, 3\)$"),
        (lambda n, x, one: ops.concatenate([one, ops.ones((None, 4))], axis=0), r"shapes \(None, 3\), \(None, 4\)$"),
        (lambda n, x, one: n // 2, r"known only when a step runs.*Received: None // 2$"),
        (lambda n, x, one: n * 1.5, r"known only when a step runs.*Received: None \* 1\.5$"),
        (lambda n, x, one: range(n), r"it is no index"),
        (lambda n, x, one: 1.0 / n, r"ops\.cast\(size, .*Received: None / 1\.0$"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(*given())


def test_an_output_has_the_samples_of_the_data():
    a = jitnet.Input((4,))
    model = jitnet.Model(a, layers.Dense(2)(ops.concatenate([a, a], axis=0)))
    with pytest.raises(ValueError, match=r"^An output or a loss has a sample for each of the data's.*ops\.split"):
        model.predict(np.ones((3, 4), "float32"), verbose=0)
