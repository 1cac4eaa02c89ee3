"""What every test starts from: the same seed, names and float type, and as many threads as the machine has."""

import pytest

import jitnet
from jitnet import threads
from jitnet.layers.base import clear_names


@pytest.fixture(autouse=True)
def fresh_state():
    jitnet.set_floatx("float32")
    jitnet.utils.set_random_seed(0)
    clear_names()
    yield
    jitnet.set_floatx("float32")
    threads._threads = None
