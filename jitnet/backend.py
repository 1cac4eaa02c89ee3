"""Keras's older name for what scripts ask of it."""

from .config import epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from .core.errors import module_dir, module_getattr
from .utils import clear_session, is_keras_tensor

__all__ = [
    "clear_session", "epsilon", "floatx", "image_data_format", "is_keras_tensor", "set_epsilon", "set_floatx",
    "set_image_data_format",
]  # fmt: skip


__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
