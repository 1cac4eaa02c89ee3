"""jitnet: Keras-style neural networks whose every kernel is Python compiled by Numba."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

__version__ = "0.1.0"


class _SourceTreeFinder:
    """Maps ``jitnet.kernels`` and ``jitnet.datasets`` to their folders when jitnet runs from its source tree."""

    root = Path(__file__).resolve().parent.parent

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        package, _, folder = name.partition(".")
        if package != "jitnet" or folder not in ("kernels", "datasets"):
            return None
        location = cls.root / folder
        if not (location / "__init__.py").is_file():
            return None
        return importlib.util.spec_from_file_location(
            name, location / "__init__.py", submodule_search_locations=[str(location)]
        )


if not (Path(__file__).parent / "kernels").is_dir():
    sys.meta_path.append(_SourceTreeFinder)
