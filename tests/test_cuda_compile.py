"""A sample of the CUDA kernels compiled for one architecture, where numba-cuda is installed; neither GPU nor driver."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPECIFICATION = importlib.util.spec_from_file_location("cuda_report", ROOT / "scripts" / "cuda_report.py")
report = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(report)
needs_numba_cuda = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="needs numba-cuda: pip install '.[test-cuda]'"
)


@needs_numba_cuda
def test_a_sample_of_the_kernels_compiles(tmp_path):
    """No spills, no more registers than fit twice, no arithmetic in float64 but where there is a reason."""
    file = tmp_path / "rows.json"
    command = [sys.executable, str(ROOT / "scripts" / "cuda_report.py"), "--arch", "90", "--json", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(file.read_text())
    assert len(rows) > 40
    names = {row["kernel"].partition("[")[0] for row in rows}
    assert {
        "random._truncated_normal",
        "optimizers._adam_update",
        "training._total",
        "elementwise._gelu_forward",
    } <= names
    counts = {name: row["instructions"] for row in rows for name in [row["kernel"]]}
    tensor_cores = [found for name, found in counts.items() if name.startswith("_tensor_cores.product")]
    assert tensor_cores
    assert all(found["mma"] >= 2 and found["barriers"] for found in tensor_cores)
    assert {"ldmatrix", "cp.async", "vector loads"} <= set().union(*tensor_cores)
    assert counts["training._total"]["shuffles"] >= 10 and counts["training._total"]["barriers"] >= 2


def row(**changes):
    found = {
        "kernel": "losses._mean_over_rows[x]",
        "types": "",
        "architecture": 90,
        "threads": 256,
        "registers": 40,
        "stack": 0,
    }
    found |= {"of": "float32", "circle": False}
    return found | {"spills": 0, "shared": 128, "alignment": 4, "float64": {}, "instructions": {}} | changes


def test_faults_are_named():
    assert report.faults(row()) == []
    assert "spills 8" in report.faults(row(spills=8))[0]
    assert "129 registers, more than 128" in report.faults(row(registers=129))[0]
    assert "257 registers, more than 256" in report.faults(row(registers=257, kernel="attention._forward"))[0]
    assert report.faults(row(registers=134, of="float64")) == []
    assert "float64" in report.faults(row(float64={"add.f64": 1}))[0]
    assert report.faults(row(kernel="training._total", float64={"add.f64": 1})) == []
    assert report.faults(row(circle=True, float64={"add.f64": 1})) == []
    assert "aligned to 4" in report.faults(row(instructions={"cp.async": 2}))[0]


def test_arithmetic_in_float64_is_seen_and_loads_are_not():
    ptx = "\tld.global.f64 \t%fd1, [%rd1];\n\tcvt.rn.f32.f64 \t%f1, %fd1;\n\tmul.f64 \t%fd2, %fd1, %fd1;\n"
    ptx += "\t@%p1 add.rn.f64 \t%fd3, %fd2, %fd1;\n\tsetp.gt.f64 \t%p1, %fd1, %fd2;\n\t.reg .f64 \t%fd<4>;\n"
    assert report._FLOAT64_ARITHMETIC.findall(ptx) == ["mul.f64", "add.rn.f64", "setp.gt.f64"]


def test_occupancy():
    assert report.occupancy(32, 0, 256, 90) == 1.0
    assert report.occupancy(64, 1024, 128, 90) == 0.5
    assert report.occupancy(128, 0, 256, 80) == 0.25
    assert report.occupancy(32, 80 * 1024, 256, 80) == 0.25
