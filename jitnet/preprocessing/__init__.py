"""Some of ``jitnet.utils`` by names that older Keras scripts use, and how these made numbers of texts and series."""

from jitnet.core.errors import module_getattr
from jitnet.utils import image_dataset_from_directory, text_dataset_from_directory, timeseries_dataset_from_array

from . import image, sequence, text

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip

__getattr__ = module_getattr(__name__, "function")
