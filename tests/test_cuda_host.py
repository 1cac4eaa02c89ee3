"""The host's side of CUDA: numba-cuda itself on a driver that pretends, see cuda_host.py and fake_cuda_driver.c."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jitnet

TESTS = Path(__file__).resolve().parent
# each in a process of its own: what a driver counts is of a process
CHECKS = (
    "faults", "launches", "arrays", "streams", "parts_of_data", "arrays_of_others", "train_perceptron",
    "train_convolutions", "train_lstm", "train_transformer", "train_otherwise", "other_threads", "too_little_memory",
    "memory_of_graphs", "rubbish_while_recording",
)  # fmt: skip


def missing() -> str | None:
    """Why the driver can't be built or would be in the way of another."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "needs numba-cuda: pip install '.[test-cuda]'"
    if shutil.which("cc") is None:
        return "needs a C compiler, cc"
    if sys.platform != "linux":
        return "the driver is for Linux"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return "this machine has a CUDA driver: pytest -m gpu"


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The folder of a driver."""
    folder = tmp_path_factory.mktemp("driver")
    source, library = str(TESTS / "fake_cuda_driver.c"), str(folder / "libcuda.so.1")
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *options, "-o", library, source, "-lpthread", "-ldl"], check=True)
    return folder


@pytest.mark.parametrize("check", CHECKS)
def test_host(check, driver):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "NUMBA_CUDA_"))}
    environment |= {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": str(Path(jitnet.__file__).parent.parent)}
    command = [sys.executable, str(TESTS / "cuda_host.py"), check]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
