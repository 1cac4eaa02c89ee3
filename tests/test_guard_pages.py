"""No kernel reads or writes outside of its arrays: the kernels' own tests once more, beside forbidden pages."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from jitnet.kernels import cpu
from jitnet.kernels.cpu import fast
from jitnet.kernels.cpu.runtime import generated

# with the vectors of all targets, whose last ones end in different ways
GENERATED = (
    "test_simd.py", "test_convolution_direct.py", "test_convolution_pooled.py", "test_convolution_rows.py",
    "test_convolution_groups.py::test_other_vectors", "test_winograd.py::test_other_vectors",
    "test_winograd.py::test_epilogues", "test_bfloat16.py::test_rounding", "test_bfloat16.py::test_convolution",
    "test_bfloat16.py::test_epilogues", "test_bfloat16.py::test_product_of_matrices",
)  # fmt: skip
# tests of other things than one kernel's results
OTHERS = "torch", "process", "module", "central", "likely", "vectorise", "machines", "where", "source", "plans"


def _kernels():
    """Names of all kernels that other modules call, and of all classes of specialised ones."""
    names = set()
    for package, prefix in ((cpu, ""), (fast, "fast.")):
        for found in pkgutil.iter_modules(package.__path__):
            if found.ispkg:
                continue
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            names |= {
                f"{prefix}{found.name}.{name}"
                for name, value in vars(module).items()
                if isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__ and name[0] != "_"
            }
    todo = [generated.GeneratedKernel]
    while todo:
        for subclass in todo.pop().__subclasses__():
            todo.append(subclass)
            if not subclass.__subclasses__():
                names.add(subclass.__name__)
    return names


@pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="needs mprotect")
def test_kernels_beside_forbidden_pages(tmp_path):
    here = Path(__file__).parent
    files = [str(here / name) for name in GENERATED] + [str(path) for path in sorted(here.glob("test_kernels_*.py"))]
    environment = os.environ | {"GUARD_REPORT": str(tmp_path / "called.json")}
    environment["PYTHONPATH"] = os.pathsep.join([str(here), *filter(None, [environment.get("PYTHONPATH")])])
    wanted = " and ".join(f"not {word}" for word in OTHERS)
    options = ["-p", "guard_pages", "-p", "no:cacheprovider", "-n", "0", "-v", "-x", "-k", wanted]
    command = [sys.executable, "-m", "pytest", *options, *files]
    result = subprocess.run(command, cwd=here.parent, env=environment, capture_output=True, text=True)
    # a segmentation fault is that of the last test in the list
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    called = set(json.loads((tmp_path / "called.json").read_text()))
    expected = _kernels()
    assert expected - called == set()
