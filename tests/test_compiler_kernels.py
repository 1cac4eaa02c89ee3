"""Every kernel of jitnet gives the same bits by its own compiler as by Numba, in the kernels' own tests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_guard_pages import GENERATED, _kernels

SHARE = ("test_kernels_dense.py", "test_kernels_reduction.py", "test_kernels_softmax.py", "test_convolution_rows.py")
# tests of other things than one kernel's results
OTHERS = "torch", "process", "module", "central", "likely", "vectorise", "machines", "where", "source", "plans"
# sums and products in another order, one unit in the last place apart: LLVM brings a loss into the loop over a row and
# vectorises it, which Numba's larger functions, called for each element, prevent; or it reassociates what they contain
DIFFERENT = {
    "augmentation.perspective_transforms": ("float64",),
    "augmentation.resample": ("float32", "float64"),
    "cumulative.cumprod_backward": ("float64",),
    "elementwise.mish_backward": ("float64",),
    "losses.binary_cross_entropy_forward": ("float32", "float64"),
    "losses.ctc_backward": ("float64",),
    "losses.mean_absolute_error_forward": ("float64",),
    "losses.softmax_cross_entropy_forward": ("float64",),
    "losses.sparse_softmax_cross_entropy_forward": ("float64",),
    "optimizers.nadam_update": ("float64",),
    "sample_normalization.group_norm_backward_means": ("float64",),
    "sample_normalization.layer_norm_backward": ("float64",),
}
LAST_PLACE = {"float32": 2.4e-7, "float64": 4.4e-16}  # two of them, of the largest element


def compare(tmp_path, tests):
    """What the plugin found: {kernel and types: "equal" or what is wrong}."""
    here, report = Path(__file__).parent, tmp_path / "found.json"
    environment = os.environ | {"BOTH_REPORT": str(report)}
    environment["PYTHONPATH"] = os.pathsep.join([str(here), *filter(None, [environment.get("PYTHONPATH")])])
    wanted = " and ".join(f"not {word}" for word in OTHERS)
    options = ["-p", "both_compilers", "-p", "no:cacheprovider", "-n", "0", "-v", "-x", "-k", wanted]
    command = [sys.executable, "-m", "pytest", *options, *(str(here / test) for test in tests)]
    result = subprocess.run(command, cwd=here.parent, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return json.loads(report.read_text())[0]


def wrong(found):
    return {name: text for name, text in found.items() if text != "equal" and not accepted(name, text)}


def accepted(name, text) -> bool:
    """Whether a kernel is one of ``DIFFERENT``, and differs in the last place at most."""
    dtype = re.search("float(32|64)", name).group()
    distance = re.fullmatch(r"differs in argument .* by (\S+)", text)
    known = dtype in DIFFERENT.get(name.split("[")[0], ())
    return known and distance is not None and float(distance.group(1)) <= LAST_PLACE[dtype]


def test_a_share_of_the_kernels(tmp_path):
    found = compare(tmp_path, SHARE)
    assert wrong(found) == {}
    assert len(found) > 40


@pytest.mark.skipif("JITNET_BOTH_COMPILERS" not in os.environ, reason="takes minutes: JITNET_BOTH_COMPILERS=1 runs it")
def test_all_kernels(tmp_path):
    here = Path(__file__).parent
    found = compare(tmp_path, [*GENERATED, *(path.name for path in sorted(here.glob("test_kernels_*.py")))])
    assert wrong(found) == {}
    called = {name.split("[")[0].split(": ")[0] for name in found}
    assert _kernels() - called == set()
