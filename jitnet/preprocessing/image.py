"""Pictures as arrays and files."""

from jitnet.core.errors import module_getattr
from jitnet.utils import array_to_img, img_to_array, load_img, save_img

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]

__getattr__ = module_getattr(__name__, "function")
