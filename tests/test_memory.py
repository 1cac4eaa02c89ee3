"""What stays of the models that a process has compiled and let go."""

import os
import subprocess
import sys

import pytest

ARCHITECTURES = """
import ctypes, gc, os, sys
import numpy as np
import jitnet
from jitnet import layers
from jitnet.kernels.cpu.runtime import dispatchers, generated, machine_code

free_pages = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)

def resident():
    settle()
    free_pages(0)  # the heap's to and fro is none of ours
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def settle():
    for _ in range(3):
        gc.collect()
        machine_code.free_what_ended()

def dense(units):
    return (7,), [layers.Dense(units, activation="relu"), layers.Dense(3)]

def convolutional(filters):
    return (8, 8, 2), [layers.Conv2D(filters, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]

def trained(shape, parts):
    model = jitnet.Sequential([jitnet.Input(shape), *parts])
    model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.zeros((8, *shape), "float32")
    model.fit(x, np.zeros(8, int), batch_size=8, verbose=0)
    model.predict(x, verbose=0)

def growth(architecture):
    for size in (4, 5):
        trained(*architecture(size))
    before = resident()
    for size in range(6, 9):
        trained(*architecture(size))
    return (resident() - before) / 3

jitnet.set_num_threads(1)  # this process compiles everything
generated.KEPT = 4
print(growth(dense), growth(convolutional))
settle()
print(*(sum(name.startswith(start) for name in sys.modules) for start in ("jitnet_step_", "k_")))
print(sum(type(x).__name__ == "ExecutionEngine" and not x.closed for x in gc.get_objects()))
print(sum(module.startswith("k_") for module, *_ in filter(None, dispatchers._KERNELS.values())))

# what was dropped is made again, from the cache; what is in use is never dropped
shape, parts = convolutional(7)
model, other = (jitnet.Sequential([jitnet.Input(shape), *parts]) for shape, parts in 2 * [convolutional(7)])
other.set_weights(model.get_weights())
x = np.ones((8, *shape), "float32")
expected, generated.KEPT = model.predict_on_batch(x), 0
trained(*convolutional(5))
settle()
assert (model.predict_on_batch(x) == expected).all() and (other.predict_on_batch(x) == expected).all()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system doesn't say how much memory is used")
def test_architectures_that_were_compiled_and_let_go(tmp_path):
    """Of 14 MiB for each, when Numba kept all that it compiled from and to, at most 0.9 stay, of which LLVM loses 0.1.

    The rest is the heap's to and fro; what can be counted is gone, but for the specialised kernels asked for last.
    """
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ARCHITECTURES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dense, convolutional, steps, modules, engines, kernels = map(float, done.stdout.split())
    assert max(dense, convolutional) < 0.9, f"{dense:.1f} and {convolutional:.1f} MiB for each"
    assert steps == 0, "no model is left that uses them"
    assert modules == 4, "those that were asked for last"
    assert engines <= 1 + modules, "Numba's and theirs"
    assert kernels <= 8, "their symbols"
