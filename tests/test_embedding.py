"""Embedding: what it trains, what it refuses, and tables too large for a gradient per chunk."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

ROWS, COLUMNS = 3000, 3  # large enough for the sums row by row


def model(rows=ROWS, **options):
    jitnet.utils.set_random_seed(1)
    table = layers.Embedding(rows, COLUMNS, name="table", **options)
    mean = layers.Lambda(lambda x: ops.mean(x, 1), name="mean")
    found = jitnet.Sequential([layers.Input((4,), dtype="int32", name="tokens"), table, mean], name="words")
    found.compile(jitnet.optimizers.SGD(0.5), "mse")
    return found


def tokens(count, rows=ROWS):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 9, (count, 4))
    x[:, 0] = generator.integers(0, rows, count)  # few of them twice, the others often
    return x, generator.normal(size=(count, COLUMNS)).astype("float32")


@pytest.mark.parametrize("rows", [11, ROWS])
@pytest.mark.parametrize("count", [1, 50])
def test_a_step_is_the_one_written_out(rows, count):
    found, (x, y) = model(rows), tokens(count, rows)
    assert ("add_rows" in found.step_source("train")) == (rows == ROWS)
    table = found.get_weights()[0].astype("float64")
    output = table[x].mean(1)
    np.testing.assert_allclose(found.predict(x, verbose=0), output, rtol=1e-5, atol=1e-7)
    d_output = 2 * (output - y) / output.size
    gradient = np.zeros_like(table)
    np.add.at(gradient, x, np.repeat(d_output[:, None] / 4, 4, 1))
    assert found.train_on_batch(x, y) == pytest.approx(((output - y) ** 2).mean(), rel=1e-5)
    np.testing.assert_allclose(found.get_weights()[0], table - 0.5 * gradient, rtol=1e-5, atol=1e-7)


def test_the_same_bits_in_every_way():
    x, y = tokens(50)
    results = []
    for compiled in (False, True):
        for threads in (1, 2):
            jitnet.set_num_threads(threads)
            found = model()
            found.compile(jitnet.optimizers.Adam(0.1), "mse", jit_compile=compiled)
            found.fit(x, y, batch_size=16, epochs=2, verbose=0)
            results.append(found.get_weights()[0])
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


# optimizers, and the kernel by which the gradient is summed: by itself where all rows may change
UPDATES = {
    "sgd": (lambda: jitnet.optimizers.SGD(0.5), "add_rows_sgd"),
    "adagrad": (lambda: jitnet.optimizers.Adagrad(0.5), "add_rows_adagrad"),
    "momentum": (lambda: jitnet.optimizers.SGD(0.5, 0.9), "add_rows"),
    "adam": (lambda: jitnet.optimizers.Adam(0.1), "add_rows"),
    "decay": (lambda: jitnet.optimizers.SGD(0.5, weight_decay=0.1), "add_rows"),
    "clipvalue": (lambda: jitnet.optimizers.SGD(0.5, clipvalue=1e-3), "add_rows"),
    "clipnorm": (lambda: jitnet.optimizers.Adagrad(0.5, clipnorm=1e-2), "add_rows"),
    "global_clipnorm": (lambda: jitnet.optimizers.SGD(0.5, global_clipnorm=1e-2), "add_rows"),
    "average": (lambda: jitnet.optimizers.SGD(0.5, use_ema=True), "add_rows"),
    "accumulation": (lambda: jitnet.optimizers.SGD(0.5, gradient_accumulation_steps=2), "add_rows"),
}


@pytest.mark.parametrize("name", UPDATES)
def test_the_update_touches_used_rows_where_others_would_not_change(name):
    make, kernel = UPDATES[name]
    results = []
    for rows in (ROWS, 2000):  # of the smaller table the gradient is summed chunk by chunk
        found = model(rows)
        found.compile(make(), "mse")
        lines = found.step_source("train").splitlines()
        calls = {line.split("(")[0].strip() for line in lines if "    add_rows" in line}
        assert calls == ({kernel} if rows == ROWS else set())
        table = np.random.default_rng(5).normal(size=(ROWS, COLUMNS)).astype("float32")[:rows]
        found.set_weights([table])
        x, y = tokens(32, 2000)
        found.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
        results.append(found.get_weights()[0])
        unused = np.setdiff1d(np.arange(rows), x)
        if name != "decay":
            np.testing.assert_array_equal(results[-1][unused], table[unused])
        else:
            np.testing.assert_allclose(results[-1][unused], table[unused] * (1 - 0.05) ** 6, rtol=1e-5)
        assert (results[-1][x] != table[x]).any(axis=-1).all()
    np.testing.assert_allclose(results[0][:2000], results[1], rtol=1e-5, atol=1e-6)


def test_tied_weights_are_updated_by_both_gradients():
    jitnet.utils.set_random_seed(1)
    inputs = layers.Input((4,), dtype="int32")
    table = layers.ReversibleEmbedding(ROWS, COLUMNS, name="table")
    found = jitnet.Model(inputs, table(ops.mean(table(inputs), 1), reverse=True))
    found.compile(jitnet.optimizers.SGD(0.5), "mse")
    x = tokens(6)[0]
    before = found.get_weights()[0].astype("float64")
    means = before[x].mean(1)
    output = means @ before.T
    found.train_on_batch(x, np.zeros((6, ROWS)))
    d_output = 2 * output / output.size
    gradient = d_output.T @ means
    np.add.at(gradient, x, np.repeat((d_output @ before)[:, None] / 4, 4, 1))
    np.testing.assert_allclose(found.get_weights()[0], before - 0.5 * gradient, rtol=1e-5, atol=1e-8)


def test_a_token_that_is_outside_is_named():
    found, (x, y) = model(), tokens(5)
    for wrong in (ROWS, -1):
        x[3, 2] = wrong
        expected = rf"The layer 'table' takes '\w+' as indices from 0 to {ROWS - 1}\. "
        message = rf"(?m){expected}Received: index={wrong}, place=\(3, 2\)$"
        before = found.get_weights()[0]
        for call in (
            lambda: found.predict(x, verbose=0), lambda: found.train_on_batch(x, y),
                lambda: found.fit(x, y, verbose=0),
            lambda: found.evaluate(x, y, verbose=0), lambda: found(x.astype("int32")),
                lambda: found.predict_on_batch(x),
            lambda: layers.Embedding(ROWS, 2, name="table")(x),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=message):
                call()
        np.testing.assert_array_equal(found.get_weights()[0], before)
    x[3, 2] = ROWS - 1
    assert np.isfinite(found.predict(x, verbose=0)).all()
    again = found.predict_on_batch(x)
    x[3, 2] = ROWS  # the same array with other content
    with pytest.raises(ValueError, match="Received: index=3000"):
        found.predict_on_batch(x)
    assert np.isfinite(again).all()


def test_floats_are_cut_off_and_computed_tokens_give_nan():
    x = np.array([[0.0, 1.9, 2.0]], "float32")
    table = layers.Embedding(3, 2, weights=[np.arange(6.0).reshape(3, 2)])
    np.testing.assert_array_equal(table(x), [[[0, 1], [2, 3], [4, 5]]])
    with pytest.raises(ValueError, match=r"(?m)indices from 0 to 2\. Received: index=3\.0, place=\(0, 2\)$"):
        table(x + 1)
    inputs = layers.Input((3,))
    computed = jitnet.Model(inputs, table(ops.cast(inputs * 2.0, "int32")))
    found = computed.predict(x, verbose=0)
    assert np.isnan(found[0, 1:]).all() and np.isfinite(found[0, 0]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": 0}, "input_dim to be a positive integer"),
        ({"output_dim": 1.5}, "output_dim to be a positive integer"),
        ({"mask_zero": "x"}, r"mask_zero to be True or False.*Received: mask_zero='x'"),
        ({"lora_rank": 3}, "lora_rank"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.Embedding(**{"input_dim": 3, "output_dim": 2, **arguments})
    with pytest.warns(UserWarning, match="input_length means nothing"):
        layers.Embedding(3, 2, input_length=4)


def test_indices_of_a_constant_are_checked_while_a_model_is_traced():
    inputs = layers.Input((3,))
    with pytest.raises(ValueError, match=r"take expects indices from -3 to 2\. Received: index=3$"):
        ops.take(inputs, [0, 3], 1)
    with pytest.raises(ValueError, match=r"not in both: .*take_along_axis"):
        ops.take(inputs, layers.Input((2,), dtype="int32"), 1)
    with pytest.raises(TypeError, match="expects integers as indices"):
        ops.take_along_axis(inputs, inputs, 1)


class Positions(layers.Layer):
    """Tokens and their places, as Keras's examples have it."""

    def __init__(self, length, rows, size, **options):
        super().__init__(**options)
        self.tokens = layers.Embedding(rows, size, name="tokens")
        self.places = layers.Embedding(length, size, name="places")

    def call(self, x):
        return self.tokens(x) + self.places(ops.arange(ops.shape(x)[-1]))


def test_places_are_learned_too():
    inputs = layers.Input((4,), dtype="int32")
    layer = Positions(4, 9, 2)
    found = jitnet.Model(inputs, ops.mean(layer(inputs)[:, 1:], axis=1))
    found.compile(jitnet.optimizers.SGD(0.5), "mse")
    x = np.random.default_rng(0).integers(0, 9, (5, 4))
    table, places = (w.astype("float64") for w in found.get_weights())
    output = (table[x] + places)[:, 1:].mean(1)
    np.testing.assert_allclose(found.predict(x, verbose=0), output, rtol=1e-5, atol=1e-6)
    found.train_on_batch(x, np.zeros((5, 2)))
    d_places = np.zeros_like(places)
    d_places[1:] = (2 * output / output.size).sum(0) / 3
    np.testing.assert_allclose(found.get_weights()[1], places - 0.5 * d_places, rtol=1e-5, atol=1e-6)


def test_lengths_that_are_not_known():
    tokens, rows = layers.Input((None,), dtype="int32"), layers.Input((None, 3))
    table = layers.Embedding(9, 3)(tokens)
    pairs = ops.einsum("bij,bkj->bik", rows, rows)
    model = jitnet.Model([tokens, rows], [ops.max(table[:, ::2] * 2.0, 1), ops.flip(rows, 1)[:, -1], pairs])
    generator = np.random.default_rng(0)
    weights = model.get_weights()[0]
    for length in (3, 6):
        x, y = generator.integers(0, 9, (2, length)), generator.normal(size=(2, length, 3)).astype("float32")
        first, second, third = model.predict([x, y], verbose=0)
        np.testing.assert_allclose(first, weights[x][:, ::2].max(1) * 2, rtol=1e-6)
        np.testing.assert_array_equal(second, y[:, 0])
        np.testing.assert_allclose(third, y @ y.mT, rtol=1e-5, atol=1e-6)
