"""What every test starts from: the same seed, names and float type, and as many threads as the machine has."""

import os
import signal

import pytest

import jitnet
from jitnet.kernels.cpu.runtime import native, threads
from jitnet.layers.base import clear_names
from jitnet.targets.cuda import devices

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell started this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


NOT_ON_DEVICE = {
    "test_cuda_emulator.py", "test_cuda_emulator_instructions.py", "test_cuda_contract.py", "test_cuda_compile.py",
    "test_cuda_host.py",
}  # fmt: skip


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: with -m gpu, the tests of CUDA on a GPU instead of the emulator")
    if config.option.markexpr == "gpu":
        os.environ.setdefault("JITNET_TEST_DEVICE", "cuda:0")  # of ``cuda_cases``


def pytest_collection_modifyitems(items):
    missing = _missing_device()
    for item in items:
        if item.path.name.startswith(("test_cuda_", "test_gpu")) and item.path.name not in NOT_ON_DEVICE:
            item.add_marker("gpu")
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


def _missing_device() -> str | None:
    """Why there is no GPU to test on, where one is wanted."""
    wanted = os.environ.get("JITNET_TEST_DEVICE")
    if wanted is None:
        return None
    try:
        devices.backend(wanted)
    except RuntimeError as error:
        return str(error)
    return None


@pytest.fixture(autouse=True)
def fresh_state():
    jitnet.set_floatx("float32")
    jitnet.utils.set_random_seed(0)
    clear_names()
    yield
    jitnet.set_floatx("float32")
    threads._threads = None
    ours = [reason for reason in native.FALLBACKS if "/kernels/cpu/" in reason or "<k_" in reason]
    assert ours == [], "kernels of jitnet that its own compiler doesn't take"
