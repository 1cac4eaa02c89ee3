"""Every operation and every layer on CUDA, emulated: outputs and gradients are the CPU's."""

import numpy as np
import pytest
import test_layers
from cuda_cases import emulator
from graphs import Graphs
from operation_cases import suite

from jitnet.targets.cuda import devices
from jitnet.targets.cuda.target import CUDA

BATCH = 3
GROUPS = [
    pytest.param(cases, id=f"{family} {group}")
    for family, groups in (("operations", suite.groups), ("layers", test_layers.suite.groups))
    for group, cases in groups.items()
]


@pytest.fixture(autouse=True)
def emulated():
    devices.install("cuda:0", emulator(0))
    yield
    devices.install("cuda:0", None)


def has_users_kernel(case) -> bool:
    calls = Graphs([case], "float32").step.program.calls
    return any("function" in call.attributes for call in calls)


@pytest.mark.parametrize("fuse", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("cases", GROUPS)
def test_outputs_and_gradients(cases, fuse):
    cases = [case for case in cases if not has_users_kernel(case)]
    if not cases:
        pytest.skip("users' own kernels are the CPU's")
    ours, theirs = Graphs(cases, "float32", fuse, CUDA("cuda:0")), Graphs(cases, "float32")
    arrays, gradients = theirs.draw(BATCH)
    found, expected = ours.run(arrays, gradients), theirs.run(arrays, gradients)
    for case in cases:
        pairs = [(found[case].output, expected[case].output)]
        pairs += zip(found[case].gradients, expected[case].gradients, strict=True)
        for number, (actual, right) in enumerate(pairs):
            if right is not None:
                largest = np.abs(right).max(initial=0)
                np.testing.assert_allclose(
                    actual, right, rtol=1e-4, atol=1e-5 * largest + 1e-30, err_msg=f"{case}, {number}"
                )
