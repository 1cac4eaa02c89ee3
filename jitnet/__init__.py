"""jitnet: Keras-style neural networks whose every kernel is Python compiled by Numba."""

import importlib
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
    sys.meta_path.insert(0, _SourceTreeFinder)  # before the finder of another checkout that is installed

_MODULES = (
    "activations", "backend", "callbacks", "cli", "config", "constraints", "datasets", "initializers", "kernels",
    "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers", "preprocessing", "random",
    "regularizers", "saving", "schedules", "text", "tree", "utils",
)  # fmt: skip
_NAMES = {
    "activation": "activations", "Input": "layers", "Layer": "layers", "KerasTensor": "layers", "Variable": "ops",
    "Model": "models", "Sequential": "models", "load_model": "models",
    "Loss": "losses", "Metric": "metrics", "Optimizer": "optimizers", "Initializer": "initializers",
    "gradient_check": "running.gradient_check", "lr_find": "running.learning_rates", "warmup": "running.warmup",
    "value_and_grad": "gradients",
    "floatx": "config", "set_floatx": "config", "dtype_policy": "config", "set_dtype_policy": "config",
    "conv_algorithm": "config", "set_conv_algorithm": "config", "device": "config", "set_device": "config",
    "float32_matmul_precision": "config", "set_float32_matmul_precision": "config",
    "get_num_threads": "config", "set_num_threads": "config",
}  # fmt: skip


def __getattr__(name):
    # modules are imported when first used: ``import jitnet`` and ``jitnet --help`` stay cheap
    if name in _MODULES:
        return importlib.import_module(f"jitnet.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"jitnet.{_NAMES[name]}"), name)
    from .core.errors import missing_name

    raise missing_name(__name__, "name", name, [*_MODULES, *_NAMES])


def __dir__():
    return sorted({*_MODULES, *_NAMES})
