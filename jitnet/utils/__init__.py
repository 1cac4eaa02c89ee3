"""Helpers under the names that Keras gives them."""

from jitnet._registry import custom_object_scope, register_keras_serializable
from jitnet._seed import set_random_seed
from jitnet.core.errors import module_dir, module_getattr

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

Sequence = PyDataset  # its older name in Keras

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "SequenceBatches",
    "array_to_img",
    "clear_session",
    "custom_object_scope",
    "get_file",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "model_to_dot",
    "normalize",
    "one_hot",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "split_dataset",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "train_test_split",
]

__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
