"""ops.scan: a loop over time in a step, its gradient, and what it refuses."""

import re

import numpy as np
import pytest
from graphs import Draw, Suite, normal

import jitnet
from jitnet import layers, ops

TURNS, UNITS = 4, 3
suite = Suite()


def joined(*parts):
    return ops.concatenate([part if part.ndim == 2 else ops.reshape(part, (-1, size(part))) for part in parts], axis=-1)


def size(part):
    return int(np.prod(part.shape[1:]))


def two_carries(x, h, c, w):
    def turn(state, step):
        h, c = state["h"], state["c"]
        gate = ops.sigmoid(ops.concatenate([h, step], axis=-1) @ w)
        c = gate * c + 0.5 * h
        return {"h": gate, "c": c}, [gate * c, step]

    last, (first, second) = ops.scan(turn, {"h": h, "c": c}, x)
    return joined(last["h"], last["c"], first, second)


def carries_change_places(x):
    last, ys = ops.scan(lambda s, step: ((s[1], s[0] + step), s[0]), (np.zeros(UNITS), np.ones(UNITS)), x)
    return joined(*last, ys)


def learned_beginning(x, h, w):
    return ops.scan(lambda h, step: (ops.tanh(h @ w + step), None), h, x)[0]


def batch_captured(x, q, w):
    """q is read in every turn, is the beginning, and is used after the loop."""
    last, ys = ops.scan(lambda h, step: (ops.tanh(h @ w + q * step), ops.sum(h * q, axis=-1, keepdims=True)), q, x)
    return joined(last, ys, q)


def results_alone(x, w):
    return joined(ops.scan(lambda h, step: (h, ops.tanh(step @ w)), np.zeros(1), x)[1])


def without_sequences(h, w):
    return joined(*ops.scan(lambda h, _: (ops.tanh(h @ w), h), h, length=5))


def loop_after_loop(x, w):
    _, ys = ops.scan(lambda h, step: (ops.tanh(h @ w + step),) * 2, np.zeros(UNITS), x)
    _, zs = ops.scan(lambda h, step: (ops.tanh(h @ w + step),) * 2, np.zeros(UNITS), ys, reverse=True)
    return joined(ys, zs)


def same_result_twice(x):
    last, ys = ops.scan(lambda h, step: (h * step, (h * step, step)), np.ones(UNITS), x)
    return joined(last, ys[0], ys[1], ys[0])


def of_the_first_ones(x, y):
    """The states of h = a h + b, after every step: an associative function of pairs."""
    states = ops.associative_scan(lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1]), (x, y), axis=1)
    backwards = ops.associative_scan(lambda p, q: p * q + p, y, reverse=True, axis=-1)
    return joined(*states, backwards)


def weights_read_in_many_ways(x, h, w, b):
    """In products that come after the loop, and in what does not."""
    def turn(h, step):
        gate = ops.sigmoid(step @ w + h @ w + b)
        return gate * h + b * ops.tanh(step * w[0]), ops.square(gate @ w + h)

    return joined(*ops.scan(turn, h, x, unroll=True))


X, H, W = normal(TURNS, UNITS), normal(UNITS), Draw((UNITS, UNITS))
suite.add("scan", "two carries", two_carries, (X, H, H), Draw((2 * UNITS, UNITS)))
suite.add("scan", "carries change places", carries_change_places, X)
suite.add("scan", "learned beginning", learned_beginning, X, (Draw((UNITS,)), W))
suite.add("scan", "batch captured", batch_captured, (X, H), W)
suite.add("scan", "results alone", results_alone, X, W)
suite.add("scan", "without sequences", without_sequences, H, W)
suite.add("scan", "loop after loop", loop_after_loop, X, W)
suite.add("scan", "same result twice", same_result_twice, X)
suite.add("scan", "of the first ones", of_the_first_ones, (X, X))
suite.add("scan", "weights read in many ways", weights_read_in_many_ways, (X, H), (W, Draw((UNITS,))))
suite.add("scan", "one turn", learned_beginning, normal(1, UNITS), (Draw((UNITS,)), W))


@pytest.mark.parametrize("batch", [1, 33])
@pytest.mark.parametrize("case", suite.cases, ids=repr)
def test_central_differences(case, batch):
    suite.check_differences(case, batch)


class Recurrent(layers.Layer):
    """h = tanh(x w + h u), with dropout in every turn."""

    def __init__(self, units, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.dropout = units, layers.Dropout(rate)

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), "glorot_uniform", name="w")
        self.u = self.add_weight((self.units, self.units), "orthogonal", name="u")

    def call(self, inputs, training=False):
        def turn(h, x):
            h = ops.tanh(x @ self.w + self.dropout(h, training=training) @ self.u)
            return h, h

        return ops.scan(turn, np.zeros(self.units), inputs)[1]


def network(rate=0.0, steps=5, **options):
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [jitnet.Input((steps, 2)), Recurrent(4, rate, name="recurrent"), layers.Flatten(), layers.Dense(1)]
    )
    model.compile("adam", "mse", **options)
    return model


def data(count=37, steps=5):
    x = np.random.default_rng(0).standard_normal((count, steps, 2)).astype("float32")
    return x, x[:, :, 0].sum(1, keepdims=True)


def trained(threads=1, **options):
    before = jitnet.get_num_threads()
    jitnet.set_num_threads(threads)
    try:
        model = network(**options)
        model.fit(*data(), batch_size=16, epochs=2, verbose=0)
        return b"".join(w.tobytes() for w in model.get_weights())
    finally:
        jitnet.set_num_threads(before)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_same_bits_in_both_modes_and_with_any_threads(rate):
    found = {trained(threads, rate=rate, jit_compile=mode) for threads in (1, 2) for mode in (False, True)}
    assert found == {trained(rate=rate, memory="low")} and len(found) == 1


def test_the_source_is_as_long_for_any_number_of_steps():
    def source(steps):
        model = network(steps=steps)
        model.train_on_batch(*data(4, steps))
        return model.step_source().splitlines()

    short, long = source(5), source(500)
    assert len(short) == len(long)
    assert sum("for time in range(4, -1, -1):" in line for line in short) == 1
    assert sum("for time in range(500):" in line for line in long) == 1


def test_every_turn_drops_other_elements():
    class Masks(layers.Layer):
        def call(self, inputs, training=False):
            drop = layers.Dropout(0.5)
            return ops.scan(lambda h, x: (h, drop(x, training=training)), np.zeros(1), inputs)[1]

    model = jitnet.Sequential([jitnet.Input((6, 50)), Masks()])
    masks = np.asarray(model(np.ones((3, 6, 50), "float32"), training=True)) > 0
    flat = masks.reshape(18, 50)
    assert len({row.tobytes() for row in flat}) == 18
    assert 0.4 < flat.mean() < 0.6


def test_on_arrays():
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    last, sums = ops.scan(lambda total, step: (total + step, total + step), np.zeros(2), x)
    np.testing.assert_allclose(sums, np.cumsum(x, axis=1))
    np.testing.assert_allclose(last, x.sum(1))
    np.testing.assert_allclose(ops.associative_scan(ops.add, x, axis=1), sums)
    np.testing.assert_allclose(ops.associative_scan(ops.maximum, x, axis=2), np.maximum.accumulate(x, axis=2))
    assert ops.associative_scan(ops.add, x[:, :1], axis=1).shape == (4, 1, 2)
    halves, before = ops.scan(lambda h, _: (h * 0.5, h), x[:, 0], length=3)
    np.testing.assert_allclose(halves, x[:, 0] / 8)
    np.testing.assert_allclose(before, x[:, :1] * np.array([1, 0.5, 0.25])[:, None])
    last, nothing = ops.scan(lambda total, step: (total + step, None), np.ones((4, 2)), x, reverse=True)
    np.testing.assert_allclose(last, 1 + x.sum(1))
    assert nothing is None


def recurrent(units=8, steps=64):
    jitnet.utils.set_random_seed(5)
    parts = [Recurrent(units, name="recurrent"), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    model = jitnet.Sequential([jitnet.Input((steps, 70)), *parts])
    model.compile("sgd", "mse")
    return model


def test_gradients_of_weights_are_one_product_after_the_loop():
    model = recurrent()
    model.train_on_batch(np.ones((3, 64, 70), "float32"), np.ones((3, 1), "float32"))
    forward, backward = re.findall(r"    for time in range\(.*\):\n((?:        .*\n)+)", model.step_source())
    assert "matrix_multiply_transposed" not in forward + backward
    assert model.step_source().count("matrix_multiply_transposed") > 2
    # the sums of both products in a turn lie in one place, and what no other turn reads in memory of one turn
    assert forward.count("_multiply") == 2 and "matmul_at_time = view" not in forward


def test_memory_grows_with_what_is_read_later():
    def memory(steps):
        model = recurrent(steps=steps)
        model.predict_on_batch(np.ones((16, steps, 70), "float32"))
        model.train_on_batch(np.ones((16, steps, 70), "float32"), np.ones((16, 1), "float32"))
        # a chunk has room for one more sample
        return [s.schedule.arena_bytes(16) / (4 * (16 + s.schedule.chunks(16))) for s in model._steps.values()]

    (predicts, trains), (predicts_longer, trains_longer) = memory(64), memory(1024)
    assert predicts_longer - predicts <= 960 * (8 + 1)  # the results
    # the data, and their copy by steps, what is carried, and gradients of what was multiplied; a little for rounding
    assert trains_longer - trains <= 960 * (2 * 70 + 8 + 8 + 1)


def test_few_samples_have_the_bits_of_many():
    model = recurrent(200)
    x = np.random.default_rng(0).standard_normal((20, 64, 70)).astype("float32")
    many = model.predict_on_batch(x)
    assert any("time in range" in line for line in model.step_source("predict").splitlines())
    for batch in (1, 3, 7):
        np.testing.assert_array_equal(model.predict_on_batch(x[:batch]), many[:batch])
    found = [step for step in model._steps.values() if step.target.few]
    assert len(found) == 1
    (inside,) = re.findall(r"    for time in range\(64\):\n((?:        .*\n)+)", found[0].source)[1:]
    assert inside.count("matrix_multiply") == 1  # the other one comes before the loop


@pytest.mark.parametrize("call, message", [
    (lambda x: ops.scan(lambda h, s: h, np.zeros(3), x), "returns?.* a carry and what is stacked"),
    (lambda x: ops.scan(lambda h, s: (ops.sum(s, axis=-1), None), np.zeros(3), x), "shape and dtype that it was given"),
    (lambda x: ops.scan(lambda h, s: ((h, h), None), np.zeros(3), x), "a carry of 1 tensors"),
    (lambda x: ops.scan(lambda h, s: (h, s), np.zeros(3), x, length=9), r"one number of steps.*lengths=\[4, 9\]"),
    (lambda x: ops.scan(lambda h, s: (h, s), np.zeros(3), ops.sum(x, axis=(1, 2))), "xs to be symbolic tensors"),
    (lambda x: ops.scan(lambda h, s: (h + ops.mean(s), None), np.zeros(3), x), "needs the whole batch"),
    (lambda x: ops.scan(lambda h, s: (h, s), np.zeros(3), x, unroll=0), "unroll .*Received: unroll=0"),
    (lambda x: [ops.associative_scan(ops.add, x)], "cannot run along the batch axis .*Received: axis=0"),
    (lambda x: ops.scan(lambda h, s: ops.scan(lambda k, _: (k, s), h, length=2), np.zeros(3), x), "another one"),
])  # fmt: skip
def test_what_is_refused(call, message):
    x = jitnet.Input((TURNS, 3))

    class Own(layers.Layer):
        def call(self, inputs):
            return call(inputs)[0]

    with pytest.raises(ValueError, match=message):
        jitnet.Sequential([x, Own()]).predict(np.zeros((2, TURNS, 3), "float32"), verbose=0)


@pytest.mark.parametrize("kind", [layers.LayerNormalization, layers.RMSNormalization])
def test_normalisation_of_every_turn(kind):
    """As in a cell with layer normalisation (Ba et al. 2016): like the turns written out."""
    draw = np.random.default_rng(3).normal
    normalise = kind()
    kernel = jitnet.Variable(draw(size=(UNITS, UNITS)).astype("float32"))
    normalise.build((None, UNITS))
    for weight in normalise.weights:
        weight.assign(draw(size=UNITS))
    variables = [*normalise.trainable_variables, kernel]

    def turn(h, step):
        h = ops.tanh(normalise(step + h @ kernel))
        return h, h

    def of_loop(x):
        return ops.sum(ops.square(ops.scan(turn, np.zeros(UNITS), x)[1]))

    def written_out(x):
        h, total = 0.0 * x[:, 0], 0.0
        for time in range(TURNS):
            h, _ = turn(h, x[:, time])
            total = total + ops.sum(ops.square(h))
        return total

    x = draw(size=(5, TURNS, UNITS)).astype("float32")
    found, expected = (jitnet.value_and_grad(f, 0, variables=variables)(x) for f in (of_loop, written_out))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for one, other in zip([found[1][0], *found[1][1]], [expected[1][0], *expected[1][1]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
