"""ops.cond, switch, fori_loop, while_loop, map and vectorized_map."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def test_choices_that_are_known():
    assert ops.cond(True, lambda: 1, lambda: 1 / 0) == 1
    assert ops.cond(np.array([False]), lambda: 1 / 0, lambda: 2) == 2
    assert [ops.switch(i, [lambda a: a, lambda a: -a], 3) for i in (-5, 0, 1, 7)] == [3, 3, -3, -3]


def test_choices_of_symbolic_values():
    x = layers.Input((3,), name="x")
    total = ops.sum(x)  # over the batch: one number
    one, two = ops.cond(total > 0, lambda: (x * 2.0, total), lambda: (x - 1.0, -total))
    chosen = ops.switch(ops.cast(total, "int32"), [lambda a: a, lambda a: a * 10.0, lambda a: a * 100.0], x)
    model = jitnet.Model(x, [one + two, chosen])
    for shift, factor in ((0.0, 100.0), (-1.0, 1.0), (-1 / 3, 10.0)):
        data = X + np.float32(shift)
        expected = data * 2 + data.sum() if data.sum() > 0 else data - 1 - data.sum()
        found = model.predict(data, verbose=0)
        np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found[1], data * factor, rtol=1e-6)


def test_loops_that_are_known():
    assert ops.fori_loop(2, 5, lambda i, total: total + i, 0) == 9
    assert ops.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, y * 2), (0, 1)) == (5, 32)
    assert ops.while_loop(lambda i: i < 5, lambda i: i + 2, 0) == 6
    assert ops.while_loop(lambda i: True, lambda i: [i + 1], [0], maximum_iterations=3) == [3]
    x = layers.Input((3,), name="x")
    model = jitnet.Model(x, ops.fori_loop(0, 3, lambda i, y: y * 0.5 + x * float(i), x))
    np.testing.assert_allclose(model.predict(X, verbose=0), X / 8 + X / 2 + 2 * X)


def test_maps_of_arrays():
    np.testing.assert_array_equal(ops.map(lambda row: row * 2, X), X * 2)
    found = ops.vectorized_map(lambda part: {"sum": part["a"].sum() + part["b"]}, {"a": X, "b": np.arange(2)})
    np.testing.assert_array_equal(found["sum"], X.sum(1) + [0, 1])


def test_refusals():
    x = layers.Input((3,), name="x")
    for call, message in (
        (lambda: ops.cond(x > 0, lambda: x, lambda: -x), "ops.where chooses element by element"),
        (lambda: ops.cond(ops.sum(x) > 0, lambda: x, lambda: (x, x)), "the same structure"),
        (lambda: ops.fori_loop(0, ops.sum(x), lambda i, y: y, x), "known when a model is traced"),
        (lambda: ops.while_loop(lambda y: ops.sum(y) > 0, lambda y: y - 1.0, (x,)), "ops.scan"),
        (lambda: ops.map(lambda row: row, x), "ops.scan on every step"),
        (lambda: ops.map(lambda row: row, (X, X[:1])), "one length"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "Received: " in str(caught.value)


def test_a_choice_that_changes_a_variable():
    seen = jitnet.Variable(np.float32(0))

    class Counting(jitnet.Model):
        def train_step(self, data):
            total = ops.sum(self(data[0], training=True))

            def changed():
                seen.assign(seen + 1.0)
                return total

            return {"loss": ops.cond(total > 0, changed, lambda: -total)}

    x = layers.Input((3,))
    model = Counting(x, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="none may change a variable"):
        model.train_on_batch(X, np.ones(2))
