"""Every recipe runs in its quick form, draws its picture and prints its line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "scripts" / "recipes"
DRAWING = [path for path in FOLDER.glob("*.py") if "\nfrom recipe import" in path.read_text(encoding="utf-8")]
RECIPES = sorted(path.stem for path in DRAWING)


@pytest.mark.parametrize("name", RECIPES)
def test_quick_form(name, tmp_path):
    pytest.importorskip("matplotlib")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert len(done.stdout.splitlines()) >= 2
