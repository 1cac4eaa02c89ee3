"""Keras's ``ops.linalg``: what jitnet.ops has of it."""

from ..core.errors import module_dir, module_getattr
from .reductions import norm

__all__ = ["norm"]
__getattr__ = module_getattr(__name__, "function")
__dir__ = module_dir(__name__)
