"""Sequences as arrays."""

from jitnet.core.errors import module_getattr
from jitnet.utils import pad_sequences

__all__ = ["pad_sequences"]

__getattr__ = module_getattr(__name__, "function")
