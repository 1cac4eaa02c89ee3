"""A small compiler from the Python of kernels to machine code, without Numba.

``translation`` writes LLVM's text for a kernel and the types of its arguments, ``machine`` makes an object file of it,
``objects`` keeps and loads that, ``callables`` calls it from Python.  What the compiler doesn't know it refuses, with
the file and the line.
"""

from .callables import Callable, compile, compile_sections
from .intrinsics import Intrinsic, Tile, intrinsic
from .translation import Translation, translate
from .types import ArrayType, TranslationError, type_of

__all__ = [
    "ArrayType", "Callable", "Intrinsic", "Tile", "Translation", "TranslationError", "compile", "compile_sections",
    "intrinsic", "translate", "type_of",
]  # fmt: skip
