"""Some of ``jitnet.utils`` by names that older Keras scripts use."""

from jitnet.core.errors import module_getattr
from jitnet.utils import image_dataset_from_directory, text_dataset_from_directory, timeseries_dataset_from_array

from . import image, sequence

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory", "timeseries_dataset_from_array",
]  # fmt: skip

__getattr__ = module_getattr(__name__, "function")
