"""CATALOGUE.md is current: every item with its source and its checks, and what of Keras there is."""

import subprocess
import sys
from pathlib import Path

import keras_cases as cases
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(cases.load_keras() is None, reason="needs Keras with its torch backend")
def test_current():
    command = [sys.executable, str(ROOT / "scripts" / "catalogue.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
