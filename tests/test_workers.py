"""The pool of threads: every chunk runs once, whoever helps, and nobody waits for a worker to come."""

import os
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from small_networks import convolutional, images

import jitnet
from jitnet.kernels.cpu.runtime import native, pool, workers
from jitnet.kernels.cpu.runtime.jit import compile_uncached
from jitnet.kernels.cpu.runtime.parallel import parallel_for
from jitnet.kernels.cpu.runtime.pool import BUSY, REGION, RUNNING, state
from jitnet.targets.cpu import thresholds


@compile_uncached
def count_chunk(chunk, chunks, counts, totals):
    counts[chunk] += 1
    totals[chunk] += chunks


@compile_uncached
def count(times, chunks, threads, counts, totals):
    for _ in range(times):
        arguments = (counts, totals)
        parallel_for(count_chunk, chunks, threads, arguments)


def counted(times, chunks, threads):
    counts, totals = np.zeros(chunks, np.int64), np.zeros(chunks, np.int64)
    count(times, chunks, threads, counts, totals)
    return (counts == times).all() and (totals == times * chunks).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("chunks", [0, 1, 2, 7])
def test_every_chunk_runs_once(threads, chunks):
    with workers.running(threads):
        assert counted(3000, chunks, threads)
    assert state[RUNNING] == state[BUSY] == 0
    assert state[REGION] & 0xFFFFFFFF == 0, "nobody is inside"


def test_without_workers_the_caller_does_everything():
    assert counted(10, 7, 4)


@compile_uncached
def count_twice(chunks, threads, counts, totals):
    parallel_for(count_chunk, chunks, threads, (counts, totals))
    parallel_for(count_chunk, chunks + 1, threads, (totals, counts))


@compile_uncached
def note_chunk(chunk, chunks, a, b, out):
    out[chunk] = 10 * a + b


@compile_uncached
def note_twice(threads, a, first, second):
    parallel_for(note_chunk, 3, threads, (a, a, first))
    parallel_for(note_chunk, 4, threads, (a, 5, second))  # a literal, which is another tuple's type


@pytest.mark.parametrize("threads", [1, 2])
def test_one_function_has_several_loops_over_the_same_chunk(threads):
    counts, totals = np.zeros(4, np.int64), np.zeros(4, np.int64)
    first, second = np.zeros(3), np.zeros(4)
    with workers.running(threads):
        count_twice(3, threads, counts, totals)
        note_twice(threads, 7, first, second)
    np.testing.assert_array_equal(counts, [5, 5, 5, 4])
    np.testing.assert_array_equal(totals, [4, 4, 4, 1])
    np.testing.assert_array_equal(first, [77, 77, 77])
    np.testing.assert_array_equal(second, [75, 75, 75, 75])


@compile_uncached
def wait_chunk(chunk, chunks, started):
    """Returns when all chunks have begun, which takes as many threads."""
    started[chunk] = 1
    for _ in range(1 << 40):
        everyone = True
        for i in range(chunks):
            everyone &= started[i] == 1
        if everyone:
            break


@compile_uncached
def wait_for_all(chunks, started):
    arguments = (started,)
    parallel_for(wait_chunk, chunks, chunks, arguments)


def test_chunks_run_at_the_same_time():
    with workers.running(3):
        wait_for_all(3, np.zeros(3, np.int64))  # would never return from fewer than three threads


def test_several_threads_of_a_program_at_once():
    results = []

    def run():
        with workers.running(2):
            results.append(counted(20000, 5, 2))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 3


def test_unused_workers_fall_asleep():
    with workers.running(2):
        assert counted(10, 3, 2)
    finish = time.monotonic() + 30
    while not all(worker.asleep for worker in workers._workers) and time.monotonic() < finish:
        time.sleep(0.01)
    assert all(worker.asleep for worker in workers._workers)
    with workers.running(2):
        wait_for_all(2, np.zeros(2, np.int64))  # and wake up again


@pytest.mark.parametrize("jit_compile", [True, False])
def test_nobody_looks_out_for_work_while_something_is_compiled(monkeypatch, jit_compile):
    monkeypatch.delenv("JITNET_COMPILER", raising=False)
    compiled, called = [], []
    entry, run = native.entry, native.Entry.run

    def noted_entry(name, *arguments, **keywords):
        compiled.append((name, int(state[RUNNING])))
        return entry(name, *arguments, **keywords)

    def noted_run(self, address):
        called.append(int(state[RUNNING]))
        return run(self, address)

    monkeypatch.setattr(native, "entry", noted_entry)
    monkeypatch.setattr(native.Entry, "run", noted_run)
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)  # any work is shared out
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    jitnet.set_num_threads(2)
    model, (x, y) = convolutional(), images(64)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    model.fit(x, y, batch_size=32, verbose=0)
    for _ in range(3):
        model.predict_on_batch(x[:32])
    assert {name for name, _ in compiled} >= {"run_steps" if jit_compile else "step", "step"}
    assert [running for _, running in compiled if running] == []
    assert 1 in called, "workers helped"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_copy_of_the_process_has_its_own_workers():
    script = """
import os, warnings
from test_workers import counted, wait_for_all, workers
import numpy as np
with workers.running(2):
    assert counted(100, 5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        assert counted(100, 5, 2)
        with workers.running(2):
            wait_for_all(2, np.zeros(2, np.int64))
        print("done", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    folder = os.path.dirname(os.path.abspath(__file__))
    environment = {**os.environ, "PYTHONPATH": folder}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0 and result.stdout == "done\n", result.stderr


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, 0), (1e-3, 12500), (60.0, pool.MOST_PATIENCE)])
def test_workers_wait_for_a_part_of_the_time_that_a_run_took(monkeypatch, seconds, turns):
    clock = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr(workers, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    with workers.running(2):
        pass
    assert abs(pool.state[pool.PATIENCE] - turns) <= 1
