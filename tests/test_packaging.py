"""What an installation contains, and what imports cost and refuse."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"jitnet": "jitnet", "kernels": "jitnet/kernels", "datasets": "jitnet/datasets"}


def run(code, cwd):
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


def source_files():
    """{path in the wheel: path in the repository} of everything that a user's installation needs."""
    found = {}
    for folder, installed in SOURCES.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[f"{installed}/{path.relative_to(ROOT / folder).as_posix()}"] = path
    return found


def test_every_package_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    needed = {name.rpartition("/")[0].replace("/", ".") for name in source_files() if name.endswith(".py")}
    assert set(declared) == needed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    try:
        backend = version("setuptools")
    except PackageNotFoundError:
        backend = "0"
    if int(backend.partition(".")[0]) < 77:
        pytest.skip("building a wheel needs setuptools 77 or newer")
    # a copy, because a build leaves files beside the sources
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."],
        cwd=copy, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (path,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_has_every_source_file_unchanged(wheel):
    assert {name: wheel.read(name) for name in wheel.namelist() if not name.partition("/")[0].endswith("info")} == {
        name: path.read_bytes() for name, path in source_files().items()
    }


def test_wheel_has_licences_and_the_command(wheel):
    described = {name.partition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "licenses/LICENSE" in described
    assert "licenses/datasets/optdigits/LICENSE.txt" in described
    assert "jitnet = jitnet.cli:main" in wheel.read(described["entry_points.txt"]).decode()


def test_wheel_works_alone(wheel, tmp_path):
    # -I and -S, and the wheel first: neither an installed jitnet nor the repository can help out
    wheel.extractall(tmp_path)
    dependencies = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path += {dependencies!r}\n"
        "import jitnet.kernels.cpu, jitnet.kernels.scalar, jitnet.datasets as datasets\n"
        "print(jitnet.__file__, datasets.digits.load_data()[0][0].shape)"
    )
    done = subprocess.run([sys.executable, "-ISc", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split(maxsplit=1) == [str(tmp_path / "jitnet" / "__init__.py"), "(1438, 8, 8)\n"], done.stderr


@pytest.mark.parametrize("name", ["kernels", "datasets"])
def test_folders_of_the_repository_are_no_top_level_packages(name):
    done = run(f"import {name}", ROOT)
    assert done.returncode == 1
    assert f"ImportError: jitnet's {name} are imported as jitnet.{name}" in done.stderr


def test_source_tree_is_whole_when_it_shadows_an_installation():
    done = run("import jitnet, jitnet.kernels, jitnet.datasets.digits; print(jitnet.__file__)", ROOT)
    assert Path(done.stdout.strip()) == ROOT / "jitnet" / "__init__.py", done.stderr


def test_imports_leave_numba_alone(tmp_path):
    modules = [
        "activations", "callbacks", "constraints", "datasets", "initializers", "layers", "losses", "metrics", "models",
        "ops", "optimizers", "optimizers.schedules", "regularizers", "saving", "utils",
    ]  # fmt: skip
    code = "import jitnet as keras, sys\n" + "".join(
        f"keras.{name}\nassert 'numba' not in sys.modules, 'numba came with {name}'\n" for name in modules
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_neither_numpy_nor_numba(arguments, tmp_path):
    code = (
        "import sys, jitnet.cli\n"
        f"try: jitnet.cli.main({arguments!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "sys.exit(' '.join({'numpy', 'numba'} & set(sys.modules)) or 0)"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    assert "jitnet" in done.stdout


def test_every_module_imports_without_docstrings():
    # Python leaves them out with -OO, and asserts too
    code = """if True:
        import importlib, pkgutil, jitnet
        for module in pkgutil.walk_packages(jitnet.__path__, "jitnet."):
            if "cuda" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        print(jitnet.ops.argpartition([3, 1, 2], 1)[0])
    """
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr
