"""The C header of a step's library."""

import re
import textwrap
from dataclasses import dataclass
from math import prod

from ...kernels.literals import docstring, literal
from ...kernels.literals import name as checked_name

_WIDTH = 112  # characters of a line in a comment
_TYPES = {"float32": "float", "float64": "double", "bool": "uint8_t"}  # of others C's name has the same beginning


@dataclass
class Header:
    """What C is told of a library.

    name: what its functions begin with; title: of the model; origin: what wrote it, and for which machine.
    arrays: {argument: (dtype, shape)} of the inputs and outputs; written: which are outputs; names: their names in the
        model, where they have some.
    state, workspace: bytes of the memory that the caller gives; state may be 0.
    """

    name: str
    title: str
    origin: str
    arrays: dict[str, tuple[str, tuple]]
    written: list[str]
    names: dict[str, str]
    state: int
    workspace: int

    def text(self) -> str:
        name = checked_name(f"{self.name}_predict").removesuffix("_predict")
        guard = f"{name.upper()}_H"
        arguments = [*map(self._declared, self.arrays), *(["void *state"] if self.state else []), "void *workspace"]
        declared = f"int32_t {name}_predict({', '.join(arguments)});"
        lines = [
            _comment([f"Written by {self.origin}.", self.title]),
            f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", "",
            "#ifdef __cplusplus", 'extern "C" {', "#endif", "",
            *(self._size(argument) for argument in self.arrays),
            *([f"#define {name.upper()}_STATE_BYTES {self.state}"] if self.state else []),
            f"#define {name.upper()}_WORKSPACE_BYTES {self.workspace}", "",
            *(_reset(name) if self.state else []),
            _comment(self._explained()), *textwrap.wrap(declared, _WIDTH, subsequent_indent="    "), "",
            _comment(["What a status means, in English."]), f"const char *{name}_error(int32_t status);", "",
            "#ifdef __cplusplus", "}", "#endif", "", "#endif", "",
        ]  # fmt: skip
        return "\n".join(lines)

    def _declared(self, argument: str) -> str:
        constant = "" if argument in self.written else "const "
        return f"{constant}{_type(self.arrays[argument][0])} *{checked_name(argument)}"

    def _size(self, argument: str) -> str:
        dtype, shape = self.arrays[argument]
        sizes = "".join(f"[{literal(size)}]" for size in shape)
        named = f", {self.names[argument]!r}" if argument in self.names else ""
        macro = f"{self.name}_{checked_name(argument)}_SIZE".upper()
        return f"#define {macro} {prod(shape)} {_comment([f'elements of {_type(dtype)}{sizes}{named}'])}"

    def _explained(self) -> list[str]:
        inputs = ", ".join(argument for argument in self.arrays if argument not in self.written)
        outputs = ", ".join(self.written)
        kept = ", goes on from the state and changes it" if self.state else ""
        return [
            f"Reads {inputs}, writes {outputs}{kept}; arrays are C-contiguous.",
            "Returns 0, or a status that says what is wrong with the inputs.",
            f"workspace: any {self.name.upper()}_WORKSPACE_BYTES bytes. Nothing in them counts between two calls; "
            "threads that call at once need some each.",
            "It allocates nothing and runs in the calling thread.",
        ]  # fmt: skip


def _type(dtype: str) -> str:
    return _TYPES.get(dtype) or f"{checked_name(dtype)}_t"


def _reset(name: str) -> list[str]:
    explained = [
        "Writes the state that the model was exported with.",
        f"state: any {name.upper()}_STATE_BYTES bytes; there may be several, one for each sequence that is being read.",
    ]
    return [_comment(explained), f"void {name}_reset(void *state);", ""]


def _comment(lines: list[str]) -> str:
    """Lines as a comment, which no text in them can end."""
    texts = [re.sub(r"([*?])(?=/)|(/)(?=\*)", r"\1\2 ", docstring(line)[3:-3]) for line in lines]
    folded = [part for text in texts for part in textwrap.wrap(text, _WIDTH)]
    return "\n * ".join([f"/* {folded[0]}", *folded[1:]]) + " */"
