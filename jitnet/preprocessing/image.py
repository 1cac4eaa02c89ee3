"""Pictures as arrays and files, and varied at random."""

from jitnet.core.errors import module_getattr
from jitnet.utils import array_to_img, img_to_array, load_img, save_img

from .image_generator import ImageDataGenerator

__all__ = ["ImageDataGenerator", "array_to_img", "img_to_array", "load_img", "save_img"]

__getattr__ = module_getattr(__name__, "function")
