"""The cache directory: what is in it, and what clearing it must leave alone."""

import os
import subprocess
import sys

import pytest

from jitnet._cache import cached_files, clear_cache
from jitnet.cli import main

OWN = {
    "compiled kernels": "kernels/conv-0123456789abcdef/conv.conv2d_forward-120.py311.89abcdef01234567.nbc",
    "compiled generated kernels": f"kernels/k_{'1a' * 12}-0123456789abcdef/k_{'1a' * 12}.f-14.py311.12.34",
    "compiled steps": f"kernels/step_{'2b' * 10}-0123456789abcdef/step_{'2b' * 10}.update-9.py311.0123.nbc",
    "Numba indexes": "kernels/pool-0123456789abcdef/pool.f-9.py311.nbi",
    "sources of generated kernels": f"simd/k_{'1a' * 12}.py",
    "sources of steps": f"steps/__pycache__/step_{'2b' * 10}.cpython-311.pyc",
}
OTHERS = (
    "datasets/mnist/train-images-idx3-ubyte.gz", "kernels/notes.txt", "kernels/mine/conv.f.nbc",
    "kernels/conv-0123456789abcdef/readme", "steps/step_of_mine.py", "simd/__init__.py", "runs/model.safetensors",
)  # fmt: skip


def write(path, text="12345"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory with one file of each kind, and some files that are none of jitnet's business."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("JITNET_CACHE_DIR", str(folder))
    for name in (*OWN.values(), *OTHERS):
        write(folder / name)
    return folder


def remaining(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_kinds(cache):
    assert {kind: [path.relative_to(cache).as_posix() for path in paths] for kind, paths in cached_files().items()} == {
        kind: [name] for kind, name in OWN.items()
    }


def test_clear_removes_only_what_jitnet_wrote(cache):
    assert clear_cache() == {kind: (1, 5) for kind in OWN}
    assert remaining(cache) == set(OTHERS)
    folders = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_dir()}
    assert "kernels/pool-0123456789abcdef" not in folders
    assert "steps/__pycache__" not in folders
    assert "kernels/mine" in folders
    assert clear_cache() == {kind: (0, 0) for kind in OWN}


@pytest.mark.parametrize("place", ["kernels", "kernels/conv-fedcba9876543210", "kernels/conv-fedcba9876543210/f.nbc"])
def test_links_are_not_followed(tmp_path, monkeypatch, place):
    outside = tmp_path / "outside"
    kept = write(outside / OWN["compiled kernels"])
    folder = tmp_path / "cache"
    monkeypatch.setenv("JITNET_CACHE_DIR", str(folder))
    link = folder / place
    link.parent.mkdir(parents=True)
    target = {"kernels": outside / "kernels", "kernels/conv-fedcba9876543210": kept.parent}.get(place, kept)
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    assert not any(cached_files().values())
    clear_cache()
    assert kept.read_text() == "12345"
    assert link.is_symlink()


def test_command(cache, capsys):
    assert main(["cache", "info"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Cache: {cache}"
    assert [line.split()[-4:-2] for line in said[1:]] == [["1", "files"]] * len(OWN) + [[str(len(OWN)), "files"]]
    assert remaining(cache) == {*OWN.values(), *OTHERS}
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["total", str(len(OWN))]
    assert remaining(cache) == set(OTHERS)


def test_a_directory_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "none"))
    assert main(["cache", "info"]) == main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.count(" 0 files") == 2 * (len(OWN) + 1)
    assert not (tmp_path / "none").exists()


def test_every_file_that_jitnet_writes_has_a_kind(tmp_path):
    code = (
        "import numpy as np, jitnet\n"
        "model = jitnet.Sequential([jitnet.Input((3,)), jitnet.layers.Dense(2)])\n"
        "model.predict(np.zeros((4, 3)), verbose=0)\n"
        "from jitnet._cache import cache_directory, cached_files\n"
        "files = {p for p in cache_directory().rglob('*') if p.is_file()}\n"
        "known = {p for paths in cached_files().values() for p in paths}\n"
        "assert files == known and len(files) > 4, files - known"
    )
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_does_not_wait_for_numba():
    code = "import sys; from jitnet.cli import main; main(['cache', 'info']); assert 'numba' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
