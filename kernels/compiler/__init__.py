"""A small compiler from the Python of kernels to machine code, without Numba.

``translate`` writes LLVM's text for a kernel and the types of its arguments, ``machine`` makes an object file of it,
``callables`` loads that and calls it from Python.  What it doesn't know it refuses, with the file and the line.
"""

from .callables import Callable, compile
from .intrinsics import Intrinsic, intrinsic
from .translation import Translation, translate
from .types import ArrayType, TranslationError, type_of

__all__ = ["ArrayType", "Callable", "Intrinsic", "Translation", "TranslationError", "compile", "intrinsic", "translate", "type_of"]
