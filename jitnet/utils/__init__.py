"""Helpers under the names that Keras gives them."""

from jitnet._registry import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from jitnet._seed import set_random_seed
from jitnet.core.errors import missing_name, module_dir

from . import prune
from .batches import (
    get_source_inputs,
    is_keras_tensor,
    pack_x_y_sample_weight,
    standardize_dtype,
    unpack_x_y_sample_weight,
)
from .csv_files import csv_dataset
from .disk_batches import DiskBatches
from .files import get_file
from .image_folders import image_dataset_from_directory
from .images import array_to_img, img_to_array, load_img, save_img
from .numerical import normalize, one_hot, to_categorical
from .parts import split_dataset, train_test_split
from .plots import model_to_dot, plot_model
from .progress import Progbar
from .py_dataset import PyDataset
from .sequence_batches import SequenceBatches
from .sequences import pad_sequences, timeseries_dataset_from_array
from .session import clear_session
from .text_folders import text_dataset_from_directory

CustomObjectScope = custom_object_scope
Sequence = PyDataset  # its older name in Keras

__all__ = [
    "CustomObjectScope",
    "DiskBatches",
    "Progbar",
    "PyDataset",
    "Sequence",
    "SequenceBatches",
    "array_to_img",
    "clear_session",
    "csv_dataset",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "one_hot",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "prune",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "train_test_split",
    "unpack_x_y_sample_weight",
]

def __getattr__(name):
    if name in ("deserialize_keras_object", "serialize_keras_object"):  # which import layers
        from jitnet import saving

        return getattr(saving, name)
    raise missing_name(__name__, "function", name)


__dir__ = module_dir(__name__)
