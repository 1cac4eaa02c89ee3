"""Who may import whom: what a model means knows no machine, and kernels know nothing of jitnet."""

import importlib.metadata
import importlib.util
import itertools
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPECIFICATION = importlib.util.spec_from_file_location("imports", ROOT / "scripts" / "imports.py")
pictures = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(pictures)

SMALL = ("jitnet.kernels.scalar", "jitnet.kernels.literals", "jitnet.kernels.locks")  # know neither Numba nor machines
ANY = ""  # every package that is not jitnet's
# room: (what it may import of jitnet, of other packages; Python's own are free)
ROOMS = {
    "jitnet.core": (("jitnet.core", *SMALL), ("numpy",)),
    "jitnet.targets": (("jitnet.targets", "jitnet.core", "jitnet.kernels"), ANY),
    "jitnet.reports": (("jitnet",), ("numpy",)),
    "jitnet.configuration": (
        (
            "jitnet.configuration", "jitnet.core", "jitnet._registry", "jitnet.layers", "jitnet.losses",
            "jitnet.metrics", "jitnet.models", "jitnet.optimizers", "jitnet.schedules", "jitnet.utils",
        ),
        ("numpy",),
    ),
    "jitnet.files": (
        (
            "jitnet.files", "jitnet.core", "jitnet.optimizers.base", "jitnet._masks", "jitnet._seed",
            "jitnet._settings", "jitnet._structures", "jitnet.kernels.cpu.runtime.cache",
        ),
        ("numpy", "safetensors"),
    ),
    "jitnet.kernels": (("jitnet.kernels",), ANY),
    "jitnet.kernels.scalar": (("jitnet.kernels.scalar",), ("numpy",)),
    "jitnet.kernels.compiler": (("jitnet.kernels.compiler", "jitnet.kernels.locks"), ("numpy", "llvmlite", "numba")),
    "jitnet.kernels.cuda": (("jitnet.kernels.cuda", "jitnet.kernels.scalar"), ("numpy", "numba", "cuda", "llvmlite")),
    "jitnet.kernels.literals": ((), ("numpy",)),
    "jitnet.kernels.locks": ((), ()),
}  # fmt: skip
# kernels/cpu/*.py: the plain loops, which run without specialised kernels and the generator of vector code
REFERENCE = ("jitnet.kernels.scalar", "jitnet.kernels.cpu.runtime", "jitnet.kernels.literals", "jitnet.kernels.locks")

PATHS = pictures.files(ROOT)
IMPORTS = pictures.imports(ROOT)


def within(module, rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def is_reference(module):
    return PATHS[module].parent == ROOT / "kernels" / "cpu" and module != "jitnet.kernels.cpu"


def broken():
    """Every import that a rule forbids: [(module, what it imports)]."""
    for module, names in IMPORTS.items():
        rules = [rule for room, rule in ROOMS.items() if within(module, [room])]
        if is_reference(module):
            siblings = tuple(name for name in PATHS if is_reference(name))
            rules.append(((*REFERENCE, *siblings), ANY))
        for name in sorted(names):
            for ours, others in rules:
                if within(name, ["jitnet"]):
                    allowed = within(name, ours) or name == "jitnet"  # its version
                else:
                    allowed = others == ANY or name in others or name in sys.stdlib_module_names
                if not allowed:
                    yield module, name


def test_every_room_imports_what_it_may():
    assert list(broken()) == []
    for room in ROOMS:
        assert any(within(module, [room]) for module in IMPORTS), f"{room} has moved"


def test_no_files_import_each_other():
    assert pictures.circles(IMPORTS) == []


def test_no_script_hides_a_package():
    """A script's folder comes first where its imports are looked for, and a cuda.py in it would be found as cuda."""
    taken = set(sys.stdlib_module_names).union(*IMPORTS.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    distributions = {re.match(r"[\w-]+", name)[0] for name in required}
    modules = importlib.metadata.packages_distributions()
    taken |= distributions | {module for module, origins in modules.items() if distributions.intersection(origins)}
    assert {"cuda", "numba", "numpy", "torch", "keras", "random"} <= taken
    found = [path for folder in ("scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    beside = [path for path in found if not (path.parent / "__init__.py").exists()]  # no modules of a package
    assert [str(path) for path in beside if path.stem in taken] == []


def test_the_picture_of_a_small_package(tmp_path, capsys, monkeypatch):
    texts = {
        "jitnet/__init__.py": "from . import a",
        "jitnet/a.py": "import numpy as np\n\ndef later():\n    from .b.c import d",
        "jitnet/b/__init__.py": "",
        "jitnet/b/c.py": "from ..a import later\nfrom ..kernels import one, some_name",
        "kernels/__init__.py": "",
        "kernels/one.py": "import os.path",
        "datasets/__init__.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = pictures.imports(tmp_path)
    assert found["jitnet"] == {"jitnet.a"}
    assert found["jitnet.a"] == {"numpy", "jitnet.b.c"}
    assert found["jitnet.b.c"] == {"jitnet.a", "jitnet.kernels.one", "jitnet.kernels"}
    assert found["jitnet.kernels.one"] == {"os"}
    assert pictures.circles(found) == [["jitnet.a", "jitnet.b.c"]]
    monkeypatch.setattr(sys, "argv", ["imports.py", str(tmp_path)])
    pictures.main()
    shown = capsys.readouterr().out
    assert "jitnet/b  jitnet 1, kernels 1\n" in shown
    assert "circles of files: 1\n  2: jitnet.a, jitnet.b.c\n" in shown
    monkeypatch.setattr(sys, "argv", ["imports.py", str(tmp_path), "--mermaid"])
    pictures.main()
    assert "    jitnet ==>|1| jitnet/b\n" in capsys.readouterr().out
