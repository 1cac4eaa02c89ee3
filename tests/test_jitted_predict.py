"""Predictions in users' own compiled functions (that these are kept on disk: test_user_code.py)."""

import gc
import subprocess
import sys

import numba
import numpy as np
import pytest
from at_once import at_once
from numba.core.errors import NumbaError
from small_networks import convolutional, images

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.runtime import machine_code


def two_inputs_and_outputs():
    a, b = jitnet.Input((3,), name="a"), jitnet.Input((5, 2), name="b")
    hidden = layers.Concatenate()([layers.Dense(4, "tanh")(a), layers.Flatten()(b)])
    return jitnet.Model([a, b], [layers.Dense(2)(hidden), layers.Dense(3, "softmax")(hidden)])


@numba.njit
def by(function, state, x, predictions):
    function(state, x, predictions)


def test_it_is_predict_with_the_weights_of_the_moment():
    model = convolutional()
    x, y = images(24)
    function, state = model.jitted_predict(8)
    found = np.full((8, *model.output_shape[1:]), 7, "float32")
    for _ in range(2):
        by(function, state, x[:8], found)
        np.testing.assert_array_equal(found, model.predict(x[:8], verbose=0))
        model.fit(x, y, verbose=0)
    by(function, state, x[:8], found)
    model.set_weights([0 * w for w in model.get_weights()])
    function(state, x[:8], found)  # Python may call it, too
    np.testing.assert_array_equal(found, model.predict(x[:8], verbose=0))


def test_several_inputs_and_outputs_and_batches():
    model = two_inputs_and_outputs()
    generator = np.random.default_rng(0)
    for batch in (1, 3):
        a, b = (generator.standard_normal((batch, *s)).astype("float32") for s in ((3,), (5, 2)))
        first, second = np.empty((batch, 2), "float32"), np.empty((batch, 3), "float32")
        function, state = model.jitted_predict(batch)
        function(state, a, b, first, second)
        for found, expected in zip((first, second), model.predict([a, b], verbose=0), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_threads_have_a_state_each():
    model = convolutional()
    x, _ = images(32)
    pairs = [model.jitted_predict(8) for _ in range(4)]
    expected = model.predict(x, 8, verbose=0)
    found = np.empty_like(expected)

    def run(i):
        function, state = pairs[i]
        for _ in range(200):
            function(state, x[8 * i : 8 * i + 8], found[8 * i : 8 * i + 8])

    at_once(run, range(4))
    np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused():
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    other = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(5, "relu"), layers.Dense(2)])
    (function, state), (_, others) = model.jitted_predict(4), other.jitted_predict(4)
    x, y = np.ones((4, 3), "float32"), np.empty((4, 2), "float32")
    assert numba.typeof(state) == numba.typeof(others), "Numba would not notice"
    with pytest.raises(ValueError, match="This state belongs to another function"):
        by(function, others, x, y)
    with pytest.raises(ValueError, match=r"x has another shape than the \(4, 3\)"):
        by(function, state, x[:3], y)
    with pytest.raises(ValueError, match=r"predictions has another shape than the \(4, 2\)"):
        by(function, state, x, y[:2])
    frozen = y.copy()
    frozen.flags.writeable = False
    for a, b, expected in (
        (x.astype("float64"), y, r"C-contiguous array of float32 with 2 axes here. Received: array\(float64"),
        (x[0], y, r"with 2 axes here. Received: array\(float32, 1d"),
        (np.asfortranarray(x), y, r"C-contiguous array of float32 with 2 axes here. Received: array\(float32, 2d, F"),
        (x, frozen, r"takes a writable, C-contiguous array of float32 .* Received: readonly array"),
        (3.0, y, r"Received: float64"),
    ):
        with pytest.raises(NumbaError, match=expected):
            by(function, state, a, b)
    for batch in (0, 2.5):
        with pytest.raises((TypeError, ValueError), match=r"Received: batch_size="):
            model.jitted_predict(batch)


def test_random_numbers_are_refused():
    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + jitnet.random.normal((3,))

    model = jitnet.Sequential([jitnet.Input((3,)), Noise()])
    with pytest.raises(ValueError, match="draws random numbers in predictions"):
        model.jitted_predict()


def test_settings_are_those_of_the_call():
    model = jitnet.Sequential([jitnet.Input((3,)), layers.ReLU(negative_slope=0.5)])
    x, y = -np.ones((1, 3), "float32"), np.empty((1, 3), "float32")
    function, state = model.jitted_predict()
    model.layers[-1].negative_slope = 0.25
    again, changed = model.jitted_predict()
    for run, given, expected in ((function, state, -0.5), (again, changed, -0.25)):
        run(given, x, y)
        assert (y == expected).all()


PROGRAM = """
import sys
import numpy as np
from numba import njit
import jitnet
from jitnet import layers

model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(int(sys.argv[1]), "relu"), layers.Dense(2)])
predict, state = model.jitted_predict(4)


@njit(cache=True)
def shifted(state, x, y):
    predict(state, x, y)
    y += 1


x, y = np.ones((4, 3), np.float32), np.empty((4, 2), np.float32)
shifted(state, x, y)
assert np.array_equal(y, model.predict(x, verbose=0) + np.float32(1))
print(sum(shifted.stats.cache_hits.values()))
"""


def test_a_later_process_finds_the_function_that_calls_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    hits = []
    for units in (5, 5, 6):  # another network's step is not taken for it, though its arguments have the same types
        command = [sys.executable, str(program), str(units)]
        hits.append(subprocess.run(command, capture_output=True, text=True, timeout=300))
    assert [done.stderr for done in hits] == [""] * 3
    assert [int(done.stdout) for done in hits] == [0, 1, 0]


def test_the_function_outlives_the_model():
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    x, y = np.ones((4, 3), "float32"), np.empty((4, 2), "float32")
    function, state = model.jitted_predict(4)
    assert model.jitted_predict(4)[0] is function
    expected = model.predict(x, verbose=0)
    del model
    for _ in range(3):
        gc.collect()
        machine_code.free_what_ended()

    @numba.njit
    def caller(state, x, y):
        function(state, x, y)

    for call in (function, caller):
        y[...] = 7
        call(state, x, y)
        np.testing.assert_array_equal(y, expected)
