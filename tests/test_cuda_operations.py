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
        for number, (actual, right) in enumerate(zip(results(found[case]), results(expected[case]), strict=True)):
            if right is not None and not np.allclose(actual, right, 1e-4, allowed(right)):
                # where differences leave few digits, CUDA is no farther from double precision than the CPU
                exact = results(of_doubles(case, arrays, gradients))[number]
                error = np.abs(right - exact).max()
                np.testing.assert_allclose(
                    actual, exact, rtol=1e-4, atol=2 * error + allowed(right), err_msg=f"{case}, {number}"
                )


def results(case) -> list:
    return [case.output, *case.gradients]


def allowed(right) -> float:
    return 1e-5 * np.abs(right).max(initial=0) + 1e-30


def of_doubles(case, arrays, gradients):
    def doubled(values):
        return {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in values.items()}

    return Graphs([case], "float64").run(doubled(arrays), doubled(gradients))[case]
