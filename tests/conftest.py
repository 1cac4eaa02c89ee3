"""What every test starts from: the same seed, names and float type, and as many threads as the machine has."""

import signal

import pytest

import jitnet
from jitnet.kernels.cpu.runtime import native, threads
from jitnet.layers.base import clear_names

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell started this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
