"""Texts made by a model, token by token."""

from ..core.errors import module_dir, module_getattr
from .generation import generate
from .sampling import probabilities, sample

__all__ = ["generate", "probabilities", "sample"]
__getattr__ = module_getattr(__name__, "name")
__dir__ = module_dir(__name__)
