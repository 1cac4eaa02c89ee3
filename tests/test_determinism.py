"""The same seed gives the same bits: with any number of threads, in both modes, and in another process."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_networks import convolutional, digest, images

import jitnet
from jitnet import layers, optimizers
from jitnet.targets.cpu import thresholds

X, Y = images()


@pytest.fixture(autouse=True)
def always_parallel(monkeypatch):
    # networks as small as these would stay on one thread
    monkeypatch.setattr(thresholds, "PARALLEL_WORK", 0)
    monkeypatch.setattr(thresholds, "SINGLE_CHUNK_WORK", 0)
    monkeypatch.setattr(thresholds, "MOST_WASTE", np.inf)
    monkeypatch.setattr(thresholds, "WORK_PER_COPIED_BYTE", 0)
    # and so few samples in one chunk
    for threshold in ("ROWS_PER_CHUNK", "ROWS_PER_HEAVY_CHUNK"):
        monkeypatch.setattr(thresholds, threshold, 2)
    monkeypatch.setattr(thresholds, "PARAMETERS_PER_BLOCK", 64)


def trained(jit_compile, threads=2, seed=5):
    """A network trained for two epochs, the last batch of each being smaller: its digest."""
    jitnet.set_num_threads(threads)
    jitnet.utils.set_random_seed(seed)
    model = convolutional(jit_compile)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, validation_split=0.2)
    return digest(model)


def test_any_number_of_threads_and_both_modes():
    digests = {(mode, threads): trained(mode, threads) for mode in (False, True) for threads in (1, 2, 3)}
    assert len(set(digests.values())) == 1, digests


def test_products_in_parts_give_the_same_bits_with_any_number_of_threads(monkeypatch):
    for threshold in ("SMALL_KERNEL", "SPLIT_KERNEL", "PANEL_KERNEL"):
        monkeypatch.setattr(thresholds, threshold, 1)
    monkeypatch.setattr(thresholds, "COPIED_PRODUCTS", 0)
    digests = set()
    for mode, threads in itertools.product((False, True), (1, 2, 3)):
        jitnet.set_num_threads(threads)
        jitnet.utils.set_random_seed(5)
        hidden = layers.Dense(67, "relu")
        model = jitnet.Sequential([jitnet.Input((6, 5, 2)), layers.Flatten(), hidden, layers.Dense(3)])
        model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=mode)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        digests.add(digest(model))
    assert "matrix_multiply_part(" in model.step_source()
    assert "transpose_to_panels(" in model.step_source()
    assert len(digests) == 1


def test_the_step_really_runs_on_several_threads():
    jitnet.set_num_threads(3)
    model = convolutional()
    model.fit(X, Y, verbose=0)
    assert model._step("train", ((),)).runner.threads(21, compiled=False) == (3, 3)


def test_another_seed_gives_another_result():
    assert len({trained(False, seed=seed) for seed in (0, 1, 2)}) == 3
    jitnet.utils.set_random_seed(0)
    first, second = convolutional(), convolutional()
    assert digest(first) != digest(second)  # the second takes the next random streams


def test_a_number_of_runs_is_one_long_run():
    jitnet.utils.set_random_seed(3)
    whole = convolutional()
    whole.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    jitnet.utils.set_random_seed(3)
    parts = convolutional()
    for _ in range(3):
        parts.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    assert digest(parts) == digest(whole)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "compiled"])
def test_weights_and_the_number_of_steps_are_enough_to_resume(jit_compile):
    # SGD without momentum has no state of its own: order of samples and dropout follow from seed and step number
    jitnet.utils.set_random_seed(3)
    whole = convolutional(jit_compile, optimizers.SGD(0.1))
    whole.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    weights, iterations = whole.get_weights(), whole.optimizer.iterations
    whole.fit(X, Y, batch_size=8, epochs=1, verbose=0)

    jitnet.utils.set_random_seed(3)
    resumed = convolutional(jit_compile, optimizers.SGD(0.1))
    resumed.set_weights(weights)
    unaware = digest(resumed)
    resumed.optimizer.iterations = iterations
    resumed.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    assert digest(resumed) == digest(whole) != unaware

    resumed.set_weights(weights)
    resumed.optimizer.iterations = 0
    resumed.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    assert digest(resumed) != digest(whole)


def test_evaluation_and_prediction_leave_no_trace():
    jitnet.utils.set_random_seed(3)
    model = convolutional()
    model.fit(X, Y, batch_size=8, verbose=0)
    jitnet.utils.set_random_seed(3)
    watched = convolutional()
    watched.evaluate(X, Y, verbose=0)
    watched.predict(X, verbose=0)
    watched.fit(X, Y, batch_size=8, verbose=0, validation_data=(X, Y))
    assert digest(watched) == digest(model)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from jitnet.targets.cpu import thresholds
thresholds.PARALLEL_WORK = thresholds.SINGLE_CHUNK_WORK = thresholds.WORK_PER_COPIED_BYTE = 0
thresholds.MOST_WASTE = float('inf')
thresholds.ROWS_PER_CHUNK = thresholds.ROWS_PER_HEAVY_CHUNK = 2
thresholds.PARAMETERS_PER_BLOCK = 64
from test_determinism import trained
for mode in sys.argv[2:]:
    print(trained(mode == "compiled"))
"""


@pytest.mark.parametrize("order", [("plain", "compiled"), ("compiled", "plain")], ids=" then ".join)
def test_a_fresh_process_gives_the_same_bits(order):
    # in plain order the kernels are loaded by Python first, in compiled order by compiled code
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(Path(__file__).parent), *order],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [trained(False)] * 2


def test_results_do_not_depend_on_what_lies_in_memory():
    first = trained(True)
    noise = [np.full(100_000, np.nan) for _ in range(8)]
    del noise
    assert trained(True) == first


def test_a_seed_gives_the_same_whenever_layers_are_imported():
    program = """
import jitnet
{first}
jitnet.utils.set_random_seed(3)
{then}
from jitnet import _seed
print(_seed.streams())
"""
    every = "import jitnet.layers, jitnet.models, jitnet.losses, jitnet.metrics, jitnet.optimizers, jitnet.callbacks"
    found = [
        subprocess.run([sys.executable, "-c", program.format(first=first, then=then)], capture_output=True, text=True)
        for first, then in ((every, ""), ("", every))
    ]
    assert found[0].stdout == found[1].stdout == "1\n", found[1].stderr
