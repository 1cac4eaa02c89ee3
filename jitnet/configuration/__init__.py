"""What a run is made of: its configuration with all defaults, its data, its model, how it is trained.

A configuration is a dict of TOML values.  ``resolve`` completes what the user gave; the rest of a run is a function of
the resolved configuration and the data alone.  Nothing here imports NumPy before it is needed.

``toml`` reads and writes, ``values`` checks single values, ``recipes`` has the models and optimizers known by name,
``objects`` makes objects of tables with a ``class``, ``datasets`` and ``files`` load data, ``models`` and ``training``
make the model and what trains it.
"""

from jitnet.configuration.datasets import IMAGE_SHAPES, are_images, label, largest_pixel, load_data, scaled, with_shifts
from jitnet.configuration.errors import DataError, bad_data
from jitnet.configuration.models import adapt, build_model, check_data, classifies, count_classes, fits, known_classes
from jitnet.configuration.recipes import model_names
from jitnet.configuration.resolving import resolve
from jitnet.configuration.toml import parse_setting, read_config, to_toml
from jitnet.configuration.training import build_callbacks

__all__ = [
    "IMAGE_SHAPES",
    "DataError",
    "adapt",
    "are_images",
    "bad_data",
    "build_callbacks",
    "build_model",
    "check_data",
    "classifies",
    "count_classes",
    "fits",
    "known_classes",
    "label",
    "largest_pixel",
    "load_data",
    "model_names",
    "parse_setting",
    "read_config",
    "resolve",
    "scaled",
    "to_toml",
    "with_shifts",
]
