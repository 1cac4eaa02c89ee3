"""Several processes compile what a step needs, and the first step finds it in the cache."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
import jitnet
from jitnet import layers
from jitnet.kernels.cpu import _jit, precompile

jitnet.set_num_threads({threads})
counts = []
compile_all = precompile._compile

def counted(tasks):
    tasks = list(tasks)
    missing = [t for t in tasks if not precompile._is_there(*t)]
    compile_all(tasks)
    counts.append((len(tasks), len(missing), sum(precompile._is_there(*t) for t in tasks)))

precompile._compile = counted
saved = []
save = _jit._Cache.save_overload

def save_and_note(self, signature, data):
    saved.append(self._py_func.__name__)
    return save(self, signature, data)

_jit._Cache.save_overload = save_and_note
jitnet.utils.set_random_seed(1)
model = jitnet.Sequential(
    [jitnet.Input((5, 6, 2)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
)
model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
saved.clear()
x = np.random.default_rng(0).standard_normal((8, 5, 6, 2)).astype("float32")
model.train_on_batch(x, np.arange(8) % 4)
print(counts, len(saved), [w.sum().item().hex() for w in model.get_weights()], sep="\\n")
"""


def first_step(folder, threads):
    environment = {**os.environ, "JITNET_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", SCRIPT.format(threads=threads)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    counts, saved, weights = result.stdout.splitlines()
    return eval(counts), int(saved), weights


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="processes are not copied here")
def test_processes_share_the_compilation(tmp_path):
    (kernels, functions), saved, weights = first_step(tmp_path / "shared", 2)
    for tasks, missing, there in (kernels, functions):
        assert missing == there == tasks
    assert saved < kernels[0], "this process compiled less than all kernels"
    # nothing is left to compile; the same bits from the cache, and where one process compiles all
    counts, saved, again = first_step(tmp_path / "shared", 2)
    assert [missing for _, missing, _ in counts] == [0, 0]
    assert saved == 0
    _, saved, alone = first_step(tmp_path / "alone", 1)
    assert saved >= kernels[0] + functions[0]
    assert weights == again == alone
