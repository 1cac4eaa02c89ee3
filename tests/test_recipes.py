"""Every recipe runs in its quick form, draws its picture and prints its line."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "scripts" / "recipes"
DRAWING = [path for path in FOLDER.glob("*.py") if "\nfrom recipe import" in path.read_text(encoding="utf-8")]
RECIPES = sorted(path.stem for path in DRAWING)


# of the recipes that take files: $JITNET_DATA_DIR, or a folder beside the repository
DATA = Path(os.environ.get("JITNET_DATA_DIR") or ROOT.parent / "shared" / "datasets")


@pytest.mark.parametrize("name", RECIPES)
def test_quick_form(name, tmp_path):
    pytest.importorskip("matplotlib")
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for word, package in (("optuna", "optuna"), ("photographs", "skimage"), ("pmdarima", "pmdarima")):
        if word in source:
            pytest.importorskip(package)
    missing = [str(DATA / folder) for folder in ("text", "tagging") if not (DATA / folder).is_dir()]
    if missing and ("data_file" in source or "sentences" in source):
        pytest.skip(f"no data in {', '.join(missing)}")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg", "JITNET_DATA_DIR": str(DATA)}
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert len(done.stdout.splitlines()) >= 2


def test_the_gallery_is_what_the_recipes_say():
    specification = importlib.util.spec_from_file_location("gallery", FOLDER / "gallery.py")
    gallery = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(gallery)
    results = json.loads((FOLDER / "gallery" / "results.json").read_text(encoding="utf-8"))
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == gallery.page(results)
    pictures = {path.stem: path.stat().st_size for path in (FOLDER / "gallery").glob("*.png")}
    assert set(results) == set(pictures) <= set(gallery.recipes())
    assert max(pictures.values()) <= gallery.LARGEST_PICTURE
