"""Exceptions in compiled code, and Ctrl-C: they reach the caller, and the model is as the last counted step left it."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from numba import njit
from small_networks import CLASSES, FEATURES, convolutional, data, digest, images, perceptron

import jitnet
from jitnet import eager, layers, ops
from jitnet.kernels.cpu.runtime import workers
from jitnet.kernels.cpu.runtime.jit import compile_uncached
from jitnet.kernels.cpu.runtime.parallel import parallel_for
from jitnet.kernels.cpu.runtime.pool import BUSY, REGION, RUNNING, state
from jitnet.targets.cpu import thresholds

SAMPLES = 40
TINY = np.float32(1e-39)  # a denormal


@pytest.fixture(autouse=True)
def always_parallel(monkeypatch):
    # networks as small as these would stay on one thread
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)


# ---- users' own operations


@njit
def square(x, y):
    for i in range(len(x)):
        if x[i, 0] > 100:
            raise ValueError("too large", x[i, 0])
        if x[i, 0] < -100:
            raise KeyError("too small")
    y[...] = x * x


@njit
def square_gradient(x, y, dy, dx):
    for i in range(len(x)):
        if x[i, 0] > 10:
            raise OverflowError("gradient")
    dx[...] = 2 * x * dy


@pytest.fixture(scope="module")
def network():
    """The square of four inputs, and a dense layer; the first layer leaves the inputs as they are."""
    x = jitnet.Input((FEATURES,), name="features")
    first = layers.Dense(FEATURES, name="first")
    operation = ops.CustomOperation(square, square_gradient, name="square")
    model = jitnet.Model(x, layers.Dense(CLASSES, name="last")(operation(first(x))), name="squares")
    first.set_weights([np.eye(FEATURES), np.zeros(FEATURES)])
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def counts_denormals():
    return (np.full(3, TINY) * np.float32(0.5)).all()


def inputs(*special):
    x = np.ones((SAMPLES, FEATURES), "float32")
    for sample, value in special:
        x[sample, 0] = value
    return x, np.zeros((SAMPLES, CLASSES), "float32")


@pytest.mark.parametrize("mode", [False, True])
def test_what_an_operation_raises_reaches_the_caller(network, mode):
    network.compile("sgd", "mse", jit_compile=mode)
    x, y = inputs()
    calls = [
        lambda: network.predict(x, SAMPLES, verbose=0),
        lambda: network.predict_on_batch(x),
        lambda: network.evaluate(x, y, SAMPLES, verbose=0),
        lambda: network.fit(x, y, SAMPLES, verbose=0, shuffle=False),
        lambda: network.train_on_batch(x, y),
    ]
    start = network.get_weights()
    for call in calls:
        call()
    network.set_weights(start)
    expected = network.predict_on_batch(x)
    before, iterations = bits(network), network.optimizer.iterations
    for threads in (1, 2, 3):
        jitnet.set_num_threads(threads)
        for place, error, message in (
            ([(SAMPLES - 1, 101)], ValueError, ("too large", 101)),
            ([(0, -101), (SAMPLES - 1, 101)], KeyError, ("too small",)),  # the first chunk's, whoever is faster
            ([(9, 102), (17, -101), (SAMPLES - 1, 103)], ValueError, ("too large", 102)),
        ):
            x[...] = inputs(*place)[0]
            for call in calls * 3:
                with pytest.raises(error) as found:
                    call()
                assert found.value.args == message
                assert "'square', the forward function of CustomOperation 'square'" in found.value.__notes__[0]
                assert state[RUNNING] == state[BUSY] == state[REGION] & 0xFFFFFFFF == 0
                assert counts_denormals()
        x[...] = inputs((23, 11))[0]
        for call in calls[-2:]:
            with pytest.raises(OverflowError) as found:
                call()
            assert "the backward function of CustomOperation 'square'" in found.value.__notes__[0]
        assert bits(network) == before and network.optimizer.iterations == iterations
        x[...] = inputs()[0]
        np.testing.assert_array_equal(network.predict_on_batch(x), expected)
    for call in calls:
        call()
    assert network.optimizer.iterations == iterations + 2
    network.set_weights(start)


def test_the_short_way_of_predictions_raises_too(network, monkeypatch):
    monkeypatch.undo()
    x, _ = inputs()
    network.predict_on_batch(x)
    assert network._quick.takes(x)
    with pytest.raises(ValueError, match="too large") as found:
        network.predict_on_batch(inputs((3, 101))[0])
    assert "CustomOperation 'square'" in found.value.__notes__[0]
    assert counts_denormals()
    assert np.isfinite(network.predict_on_batch(x)).all()


def applied(forward, backward=None, **arguments):
    x = jitnet.Input((FEATURES,))
    return jitnet.Model(x, ops.CustomOperation(forward, backward, **arguments)(x))


@njit
def of_another_shape(x, y):
    y[...] = x[:, :3]


def test_shapes_that_do_not_match_are_an_error():
    model = applied(of_another_shape, name="cut")
    with pytest.raises(ValueError, match=r"cannot assign slice of shape \(\d+, 4\) from input of shape") as found:
        model.predict(inputs()[0], verbose=0)
    assert "CustomOperation 'cut'" in found.value.__notes__[0]
    # and with several operations the right one is named
    x = jitnet.Input((FEATURES,))
    good = ops.CustomOperation(square, square_gradient, name="good")
    bad = ops.CustomOperation(of_another_shape, name="my_backward_2")
    with pytest.raises(ValueError, match="cannot assign slice") as found:
        jitnet.Model(x, good(bad(good(x)))).predict(inputs()[0], verbose=0)
    assert "forward function of CustomOperation 'my_backward_2'" in found.value.__notes__[0]
    with pytest.raises(ValueError, match="cannot assign slice") as found:
        eager.evaluate_function(bad, inputs()[0])
    assert "CustomOperation 'my_backward_2'" in found.value.__notes__[0]


@njit
def without_a_type(x, y):
    y[...] = x.depth


def test_what_numba_cannot_compile_is_said_of_the_operation():
    model = applied(without_a_type, name="untyped")
    for _ in range(2):
        with pytest.raises(TypeError, match="the forward function of CustomOperation 'untyped'") as found:
            model.predict(inputs()[0], verbose=0)
        assert "Unknown attribute 'depth'" in str(found.value) and "parallel_for" not in str(found.value)
        assert str(found.value).endswith("Received: array(float32, 2d, C), array(float32, 2d, C)")


@pytest.mark.parametrize(
    "forward, backward, expected, received",
    [
        (square_gradient, None, r"forward\(x1, y\)", r"forward=square_gradient\(x, y, dy, dx\)"),
        (square, square, r"backward\(x1, y, dy, dx1\)", r"backward=square\(x, y\)"),
    ],
)
def test_a_function_of_other_arguments_is_refused(forward, backward, expected, received):
    with pytest.raises(TypeError, match=rf"CustomOperation 'other' expects {expected}.*Received: {received}"):
        applied(forward, backward, name="other")


# ---- regions


@compile_uncached
def fail_chunk(chunk, chunks, first, done):
    done[chunk] += 1
    if chunk >= first:
        raise ValueError("chunk", chunk)


@compile_uncached
def fail(chunks, threads, first, done):
    arguments = (first, done)
    parallel_for(fail_chunk, chunks, threads, arguments)
    done[0] = -1


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_of_several_chunks_the_lowest_counts_and_the_others_give_back_their_memory(threads):
    from numba.core.runtime import rtsys
    from numba.core.runtime._nrt_python import memsys_disable_stats, memsys_enable_stats

    def run(first):
        done = np.zeros(16, np.int64)
        with pytest.raises(ValueError, match="chunk") as found:
            fail(16, threads, first, done)
        assert found.value.args == ("chunk", first)
        assert (done == 1).all()

    with workers.running(threads):
        run(2)
        memsys_enable_stats()
        try:
            before = rtsys.get_allocation_stats()
            for first in (3, 0, 15) * 50:
                run(first)
            after = rtsys.get_allocation_stats()
        finally:
            memsys_disable_stats()
    assert after.free - before.free == after.alloc - before.alloc


# ---- denormal numbers


@pytest.mark.parametrize("mode", [False, True])
def test_serial_sections_flush_denormals_and_restore_the_mode(mode):
    model = convolutional(mode)
    statistics = model.get_layer("normalisation").moving_mean
    x, y = np.zeros((21, 6, 5, 2), "float32"), images()[1]
    model.fit(x, y, batch_size=21, verbose=0)
    statistics.assign(np.full(4, TINY))
    assert statistics.numpy().all()
    model.fit(x, y, batch_size=21, verbose=0)
    # the means of the batch are zero, and 0.9 * TINY is not worth a hundred times the time
    functions = model.step_source().partition("@")[2].split("\n\n\n")
    (serial,) = (function for function in functions if " batch_norm_update_moving(" in function)
    assert " flush_denormals()" in serial and "parallel_for" not in serial and "_chunk(" not in serial
    assert not np.delete(statistics.numpy(), 0).any() and not statistics.numpy().any()
    assert counts_denormals()


# ---- Ctrl-C


def interrupted(model, x, y, seconds):
    """Train until Ctrl-C, which is pressed once, after so many seconds."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            pressed.start()
            model.fit(x, y, batch_size=4, epochs=10**9, verbose=0)
    finally:
        pressed.join()
        signal.signal(signal.SIGINT, handler)


def restart(model, weights):
    """As before the first step."""
    model.set_weights(weights)
    model.optimizer.iterations = 0
    model.optimizer.set_state({key: np.zeros_like(value) for key, value in model.optimizer.state().items()})


def trained(model, x, y, iterations):
    """As many steps without an interruption; a whole epoch has len(x) // 4."""
    epochs, rest = divmod(iterations, len(x) // 4)
    model.fit(x, y, batch_size=4, epochs=epochs, verbose=0)
    if rest:
        model.fit(x, y, batch_size=4, steps_per_epoch=rest, verbose=0)


@pytest.mark.skipif(os.name == "nt", reason="no signals to a process")
@pytest.mark.parametrize("mode", [False, True])
@pytest.mark.parametrize("build", [lambda mode: perceptron("adam", mode), lambda mode: convolutional(mode)])
def test_an_interrupted_fit_has_counted_the_steps_of_its_weights(build, mode):
    jitnet.set_num_threads(1)
    model = build(mode)
    x, y = data(24) if model.name == "perceptron" else images(24)
    start = model.get_weights()
    for iterations in (8, 600):  # compiles
        trained(model, x, y, iterations)
    generator = np.random.default_rng(0)
    for _ in range(6):
        for run in ("interrupted", "whole"):
            restart(model, start)
            if run == "interrupted":
                interrupted(model, x, y, generator.uniform(0.02, 0.08))
                iterations, found = model.optimizer.iterations, digest(model)
            else:
                trained(model, x, y, iterations)  # as many steps in one go
        assert model.optimizer.iterations == iterations
        assert digest(model) == found, iterations


@pytest.mark.skipif(os.name == "nt", reason="no signals to a process")
def test_ctrl_c_waits_for_the_step_and_a_second_one_does_not():
    model = perceptron("adam", False)
    x, y = data(24)
    seen = []

    def press(times):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # for Python to call the handler
            seen.append(model.optimizer.iterations)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for times, expected in ((1, [1]), (2, [2])):
            seen.clear()
            pressing = jitnet.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, n=times: press(n))
            with pytest.raises(KeyboardInterrupt):
                model.fit(x, y, batch_size=4, verbose=0, callbacks=[pressing])
            assert seen == expected
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        # at the very end: not lost
        pressing = jitnet.callbacks.LambdaCallback(on_train_end=lambda logs: press(1))
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=24, verbose=0, callbacks=[pressing])
        # something else ended the training: nothing is left waiting
        pressing = jitnet.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: press(1) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.fit(x, y, batch_size=24, verbose=0, callbacks=[pressing])
        model.evaluate(x, y, verbose=0)
        # a handler of the program's own stays in charge
        pressing = jitnet.callbacks.LambdaCallback(on_train_end=lambda logs: press(1))
        called = []
        signal.signal(signal.SIGINT, lambda number, frame: called.append(number))
        model.fit(x, y, batch_size=24, verbose=0, callbacks=[pressing])
        assert called == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, handler)


def test_the_number_of_iterations_can_be_set_and_is_an_int():
    model = perceptron("adam")
    x, y = data()
    model.fit(x, y, batch_size=4, verbose=0)
    assert model.optimizer.iterations == 3 and type(model.optimizer.iterations) is int
    model.optimizer.iterations = 7
    model.train_on_batch(x, y)
    assert model.optimizer.iterations == 8
    assert model.optimizer.without_state().iterations == 0
    model.get_layer("hidden").trainable = model.get_layer("probabilities").trainable = False
    model.compile(model.optimizer, "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    assert model.optimizer.iterations == 8, "nothing was trained"
