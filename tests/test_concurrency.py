"""Several threads over one model, and over models of their own: right numbers, and clear refusals."""

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from at_once import at_once
from small_networks import CLASSES, FEATURES, convolutional, data, digest, images, perceptron

import jitnet
from jitnet import layers
from jitnet.core import locks, policy, trace
from jitnet.kernels.cpu.runtime import workers
from jitnet.kernels.cpu.runtime.pool import RUNNING, state
from jitnet.targets.cpu import thresholds

THREADS = 4


@pytest.mark.parametrize("parallel", [False, True])
def test_threads_that_predict_with_one_model_get_their_own_numbers(parallel, monkeypatch):
    if parallel:
        monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
        monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
        monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    model = convolutional()
    x, y = images(64)
    expected = model.predict(x, verbose=0)
    losses = [model.evaluate(x[: 8 + i], y[: 8 + i], 4, verbose=0) for i in range(THREADS)]

    def run(thread):
        wrong = 0
        for i in range(300):
            one = (thread + THREADS * i) % 64
            wrong += not np.array_equal(model.predict_on_batch(x[one : one + 1]), expected[one : one + 1])
            if i % 10 == 0:
                size = 1 + (i + thread) % 60  # also larger than any before
                wrong += not np.array_equal(model.predict(x[:size], 16, verbose=0), expected[:size])
                wrong += model.evaluate(x[: 8 + thread], y[: 8 + thread], 4, verbose=0) != losses[thread]
        return wrong

    assert at_once(run, range(THREADS)) == [0] * THREADS
    for step in model._steps.values():
        assert 1 <= len(step.runner.free) <= THREADS
    assert state[RUNNING] == 0


def test_one_thread_has_one_workspace():
    model = convolutional("auto")
    x, y = images()
    for batch in (4, 16, 1):
        model.fit(x, y, batch, verbose=0)
        model.predict(x, batch, verbose=0)
        model.predict_on_batch(x[:batch])
        model.predict_on_batch(x[:batch])
    runners = [step.runner for step in model._steps.values()]
    bound = [len(runner.free[0].bound) for runner in runners]
    for i in range(6):
        model.predict_on_batch(x[: 1 + i % 2])
        model.predict_on_batch(x[: 1 + i % 2])
    assert [len(runner.free[0].bound) for runner in runners] == [bound[0], bound[1] + 2], "not one per call"
    assert [len(runner.free) for runner in runners] == [1, 1]
    assert {runner.free[0].capacity for runner in runners} == {16}


class Pause(jitnet.callbacks.Callback):
    """Stops a training before its first batch until it may go on."""

    def __init__(self):
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()

    def on_train_batch_begin(self, batch, logs=None):
        self.inside.set()
        assert self.go_on.wait(60)


def test_one_thread_trains_a_model_at_a_time():
    model = perceptron("adam")
    same_optimizer = perceptron(model.optimizer)
    x, y = data()
    expected = model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    model.set_weights(perceptron().get_weights())
    # models that share a weight, the optimizer, or nothing that is trained
    sharing = jitnet.Sequential([jitnet.Input((FEATURES,)), model.get_layer("hidden"), layers.Dense(CLASSES)])
    sharing.compile("sgd", "sparse_categorical_crossentropy")
    free = perceptron("adam")
    pause = Pause()
    training = threading.Thread(target=model.fit, args=(x, y), kwargs=dict(callbacks=[pause], verbose=0))
    training.start()
    try:
        assert pause.inside.wait(60)
        for call in (model.fit, model.train_on_batch):
            with pytest.raises(RuntimeError, match="Another thread is training the model 'perceptron'"):
                call(x, y)
        with pytest.raises(RuntimeError, match="model 'perceptron', which shares the weight 'hidden/kernel"):
            sharing.fit(x, y, verbose=0)
        with pytest.raises(RuntimeError, match="'perceptron', which shares the optimizer"):
            same_optimizer.train_on_batch(x, y)
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
        model.evaluate(x, y, verbose=0)
        free.fit(x, y, verbose=0)
    finally:
        pause.go_on.set()
        training.join()
    # and afterwards all that has an optimizer of its own may be trained, also from within a training by the same thread
    sharing.fit(x, y, verbose=0)
    nested = jitnet.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.train_on_batch(x, y))
    model.fit(x, y, verbose=0, callbacks=[nested], epochs=2)


def test_models_trained_by_threads_at_once_are_as_trained_alone(monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    x, y = images()

    def build(mode):
        jitnet.utils.set_random_seed(3)
        return convolutional(mode)

    def fit(model):
        model.fit(x, y, 8, epochs=20, verbose=0)
        return digest(model)

    modes = (False, True, False, True)
    assert len(set([fit(build(False)), *at_once(fit, [build(mode) for mode in modes])])) == 1


def test_threads_that_build_and_first_use_one_model_build_it_once():
    for _ in range(5):
        model = jitnet.Sequential([layers.Dense(5, "tanh"), layers.Dense(3)])
        x = data()[0]
        results = at_once(lambda _, model=model, x=x: model.predict(x, verbose=0), range(THREADS))
        assert all(np.array_equal(result, results[0]) for result in results)
        assert len(model.weights) == 4 and len(model._steps) == 1


# ---- what is global


@jitnet.saving.register_keras_serializable("threads")
class Slow(layers.Layer):
    """A layer that takes its time to come from a file."""

    started, go_on = threading.Event(), threading.Event()

    def call(self, x):
        return x * 2.0

    @classmethod
    def from_config(cls, config):
        cls.started.set()
        assert cls.go_on.wait(60)
        return cls(**config)


def test_loading_a_float64_model_concerns_no_other_thread(tmp_path):
    jitnet.set_floatx("float64")
    model = jitnet.Sequential([jitnet.Input((FEATURES,)), Slow(), layers.Dense(2)])
    model.save(tmp_path / "double.safetensors")
    jitnet.set_floatx("float32")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(jitnet.load_model, tmp_path / "double.safetensors")
        try:
            assert Slow.started.wait(60)
            assert jitnet.config.floatx() == "float32"
            single = jitnet.Sequential([jitnet.Input((FEATURES,)), layers.Dense(2)])
            assert {w.dtype for w in single.weights} == {"float32"}
            jitnet.set_floatx("float64")  # of all threads, and not undone by the other
        finally:
            Slow.go_on.set()
        assert {w.dtype for w in loading.result().weights} == {"float64"}
        assert jitnet.config.floatx() == "float64" == pool.submit(jitnet.config.floatx).result()
        assert loading.result().predict(data()[0], verbose=0).dtype == "float64"


def test_tracing_in_training_mode_concerns_no_other_thread():
    with trace.training_mode(True), trace.scope("layer", policy.MIXED):
        assert trace.is_training() and trace.current_scope() == ("layer", policy.MIXED)
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(trace.is_training).result()
            assert pool.submit(trace.current_scope).result() == ("", "float32")
    assert not trace.is_training() and trace.current_scope() == ("", "float32")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork while there are threads
def test_a_copy_of_the_process_finds_no_lock_taken():
    from jitnet.kernels.cpu.runtime.dispatchers import global_compiler_lock  # which tells of it, where Numba is used

    for lock in (global_compiler_lock, locks.building):
        holding, go_on = threading.Event(), threading.Event()

        def hold(lock=lock, holding=holding, go_on=go_on):
            with lock:
                holding.set()
                go_on.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        assert holding.wait(60)
        threading.Timer(0.1, go_on.set).start()
        child = os.fork()  # waits for the other thread
        if child == 0:
            signal.alarm(30)
            with lock:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        thread.join()
        with lock:
            pass


def test_the_global_seed_is_drawn_once(monkeypatch):
    monkeypatch.setattr(jitnet._seed, "_seed", None)
    assert len(set(at_once(lambda _: jitnet._seed.global_seed(), range(16)))) == 1


def test_runs_are_counted_by_all_threads():
    def run(_):
        for _ in range(3000):
            with workers.running(2):
                pass

    at_once(run, range(THREADS))
    assert state[RUNNING] == 0
    assert len(workers._workers) == len({worker.number for worker in workers._workers})


def test_python_collects_again_when_something_is_built():
    collected = []

    def build(fails):
        with locks.building, locks.building:
            pass
        with locks.building:
            collected.append(gc.isenabled())
            if fails:
                raise ValueError

    for wanted in (True, False):
        (gc.enable if wanted else gc.disable)()
        try:
            build(False)
            with pytest.raises(ValueError):
                build(True)
            assert gc.isenabled() is wanted
        finally:
            gc.enable()
    assert collected == [False] * 4
