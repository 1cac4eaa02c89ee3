"""What stays of the models that a process has compiled and let go."""

import os
import subprocess
import sys

import pytest

ARCHITECTURES = """
import gc, os, sys
import numpy as np
import jitnet
from jitnet import layers

def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def trained(units):
    model = jitnet.Sequential([jitnet.Input((7,)), layers.Dense(units, activation="relu"), layers.Dense(3)])
    model.compile("adam", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
    model.fit(np.zeros((8, 7), "float32"), np.zeros(8, int), batch_size=8, verbose=0)

jitnet.set_num_threads(1)  # this process compiles everything
for units in (5, 6):
    trained(units)
before = resident()
for units in range(7, 11):
    trained(units)
growth = (resident() - before) / 4
steps = [name for name in sys.modules if name.startswith("jitnet_step_")]
print(growth, len(steps))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system doesn't say how much memory is used")
def test_architectures_that_were_compiled_and_let_go(tmp_path):
    """Of 14 MiB for each, when Numba kept all that it compiled from, at most 4 stay."""
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ARCHITECTURES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    growth, steps = map(float, done.stdout.split())
    assert growth < 4, f"{growth:.1f} MiB for each"
    assert steps == 0, "no model is left that uses them"
